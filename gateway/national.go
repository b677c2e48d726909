package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"balorg/gateway/fetch"
	"balorg/ldapserver/directory"
	"balorg/ldapserver/extraction"
)

// Limits on what is fetched. The real file has 20 MB packed, 89 MB as text.
const (
	maxExtraction     = 1 << 30
	extractionTimeout = 30 * time.Minute
	extractionRoom    = 128 << 20 // that the disk has above its guard before a fetch begins
)

// fetchPrefix is what folders of files being fetched begin with; one that is there at a start was left by a daemon that died.
const fetchPrefix = "fetch-"

// imports takes the national directory in: on schedule, and when an administrator says so. One import runs at a time, its fetching included.
type imports struct {
	config    func() *Config
	directory *directory.Directory
	table     *directory.Table
	importer  *directory.Importer
	folder    string // for what is fetched
	room      func(int64) error
	alarm     func(failed bool)
	log       *slog.Logger
	wake      chan struct{} // the schedule is to look now

	busy sync.Mutex // through an import

	mu      sync.Mutex // of what follows
	stage   *directory.Stage
	refused refusedFile
}

// refusedFile is a file of the schedule's source that was refused: it is not fetched again while it is the same. A restart forgets it, which may have brought a
// program that takes it.
type refusedFile struct {
	source  string
	version directory.Version
	err     error
}

// newImports makes what takes the national directory in, and serves what was taken last.
func newImports(st *state, d *directory.Directory, dir string, config func() *Config, alarm func(bool), log *slog.Logger) *imports {
	folder := filepath.Join(dir, directoryFolder)
	m := &imports{
		config: config, directory: d, table: st.national, importer: directory.NewImporter(d, st.national, folder, log), folder: folder, room: st.db.Room,
		alarm: alarm, log: log, wake: make(chan struct{}, 1),
	}
	left, _ := filepath.Glob(filepath.Join(folder, fetchPrefix+"*")) // the pattern is right
	for _, path := range left {
		os.RemoveAll(path) //nolint:errcheck // it takes room, and does no other harm
	}
	if err := m.importer.Load(context.Background()); err != nil {
		// Mail goes on without it, and an import mends it.
		log.Error("the national directory is not served: import it anew", slog.Any("error", err))
	}
	if turn, err := m.table.Turn(context.Background()); err == nil && turn.Reason != "" && turn.Source == m.source().String() {
		alarm(true)
	}
	return m
}

func (m *imports) source() importSource {
	cfg := m.config()
	return cfg.Directory.National.source(cfg.path)
}

// order is one import.
type order struct {
	source   importSource
	told     string // what the source is called; "" is its path or URL
	turn     bool   // as the schedule does it: a file that is the same as the last one, or older, is left where it is
	force    bool   // take it anyway
	progress func(directory.Stage)
}

// outcome is what became of it.
type outcome struct {
	taken  bool // false with no error: there is nothing new
	before int  // entries that were served
	next   directory.Import
	report extraction.Report
}

// run does an import. What it says of the schedule's source is noted.
func (m *imports) run(ctx context.Context, o order) (out outcome, err error) {
	if !m.busy.TryLock() {
		return out, directory.ErrRunning
	}
	defer m.busy.Unlock()
	tell := o.progress
	o.progress = func(s directory.Stage) {
		m.setStage(&s)
		if tell != nil {
			tell(s)
		}
	}
	defer m.setStage(nil)
	if current, err := m.importer.Current(ctx); err == nil {
		out.before = current.Entries
	}
	turn, err := m.table.Turn(ctx)
	if err != nil {
		return out, err
	}
	scheduled := o.source == m.source()
	if turn.Source != o.source.String() {
		if !scheduled {
			defer func() { m.otherTaken(out.taken && turn.Reason != "") }()
		}
		turn = directory.Turn{Source: o.source.String()}
	}
	err = m.take(ctx, o, &turn, &out)
	if scheduled && ctx.Err() == nil {
		m.note(ctx, turn, err)
	}
	return out, err
}

// otherTaken has the schedule look again: what was wrong with its file may be right after another was taken.
func (m *imports) otherTaken(again bool) {
	if again {
		m.changed()
	}
}

// take brings a file and has it taken.
func (m *imports) take(ctx context.Context, o order, turn *directory.Turn, out *outcome) error {
	var known directory.Version
	refused := m.lastRefused(turn.Source)
	if o.turn && !o.force && m.directory.HasNational() {
		known = turn.Version
	}
	if o.turn && !o.force && refused.err != nil {
		known = refused.version
	}
	got, err := m.bring(ctx, o, known)
	if err != nil {
		return err
	}
	defer got.remove()
	if got.path == "" {
		if known == refused.version {
			return refused.err
		}
		return nil
	}
	shrink := m.config().Directory.National.maxShrink()
	out.next, out.report, err = m.importer.Import(ctx, got.path, directory.Options{
		Force: o.force, Newer: o.turn, Shrink: shrink, Source: cmp.Or(o.told, turn.Source), Made: got.made, Progress: o.progress,
	})
	switch {
	case errors.Is(err, directory.ErrOlder):
		m.log.InfoContext(ctx, "the national directory's source has an older file than what is served", slog.String("source", turn.Source), slog.Any("error", err))
	case errors.Is(err, directory.ErrShrunk), errors.Is(err, extraction.ErrFormat), errors.Is(err, extraction.ErrTruncated):
		m.setRefused(refusedFile{turn.Source, got.version, err})
		return err
	case err != nil:
		return readable(err)
	default:
		out.taken = true
		m.log.InfoContext(ctx, "national directory imported", slog.String("file", out.next.File), slog.Time("date", out.next.Date),
			slog.Int("entries", out.next.Entries), slog.Int("before", out.before), slog.Int("bad_rows", out.next.Bad))
	}
	m.setRefused(refusedFile{})
	turn.Version = got.version
	return nil
}

// note keeps what a look at the schedule's source came to, and raises or ends the alarm.
func (m *imports) note(ctx context.Context, turn directory.Turn, failed error) {
	now := time.Now().UTC().Truncate(time.Second)
	if failed == nil {
		turn.Looked, turn.Failed, turn.Reason = now, time.Time{}, ""
	} else {
		if turn.Reason == "" {
			turn.Failed = now
		}
		turn.Reason = failed.Error()
		m.log.ErrorContext(ctx, "the national directory was not renewed; the one before is served", slog.String("source", turn.Source), slog.Any("error", failed))
	}
	if err := m.table.SetTurn(ctx, turn); err != nil {
		m.log.WarnContext(ctx, "the next start looks at the national directory's source as if it were new", slog.Any("error", err))
	}
	m.alarm(failed != nil) // who sees it finds the reason written down
}

// brought is a file that is there to be read.
type brought struct {
	path    string // empty: it is the one that is known
	version directory.Version
	made    time.Time // zero: nobody says
	folder  string    // removed in the end
}

func (b brought) remove() {
	if b.folder != "" {
		os.RemoveAll(b.folder) //nolint:errcheck // the next start does it
	}
}

// bring answers the file of a source, fetched where that is needed.
func (m *imports) bring(ctx context.Context, o order, known directory.Version) (brought, error) {
	if o.source.url != "" {
		return m.fetch(ctx, o, known)
	}
	info, err := os.Stat(o.source.file)
	if err != nil {
		return brought{}, readable(err)
	}
	made := info.ModTime()
	b := brought{path: o.source.file, made: made, version: directory.Version{LastModified: made.UTC().Format(time.RFC3339Nano), Size: info.Size()}}
	if b.version == known {
		b.path = ""
	}
	return b, nil
}

// readable says of a file that cannot be read what an administrator can do about it: the shell's user may often read what the daemon's may not.
func readable(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: the daemon reads the file as its own user (%d); copy it to where that one may read it", err, os.Geteuid())
	}
	return err
}

// fetch takes the file from a server, unless it is the one that is known.
func (m *imports) fetch(ctx context.Context, o order, known directory.Version) (b brought, err error) {
	cfg := m.config()
	ca := cfg.Directory.National.CA
	if !ca.Set {
		return b, fmt.Errorf("%s: directory.national.ca in %s must name the authority of the server: the system's are not trusted for this", o.source, cfg.file)
	}
	roots, err := loadRoots(cfg.path(ca.V))
	if err != nil {
		return b, err
	}
	if err := m.room(extractionRoom); err != nil {
		return b, fmt.Errorf("fetching the national directory: %w", err)
	}
	if err := os.MkdirAll(m.folder, 0o700); err != nil {
		return b, fmt.Errorf("making a folder for what is fetched: %w", err)
	}
	if b.folder, err = os.MkdirTemp(m.folder, fetchPrefix); err != nil {
		return b, fmt.Errorf("making a folder for what is fetched: %w", err)
	}
	defer func() {
		if err != nil {
			b.remove()
		}
	}()
	got, err := fetch.New(fetch.Options{Roots: roots, Timeout: extractionTimeout}).Download(ctx, fetch.Request{
		URL: o.source.url, Folder: b.folder, Limit: maxExtraction, Known: fetch.Version(known),
		Tell: func(read, total int64) { o.progress(directory.Stage{Name: "fetching", Done: read, Of: total}) },
	})
	if err != nil {
		return b, err
	}
	b.path, b.version = got.Path, directory.Version(got.Version)
	b.made, _ = http.ParseTime(got.Version.LastModified) // zero when the server says nothing of use
	if b.path != "" && b.version.Name != "" {            // the date is in the name
		named := filepath.Join(b.folder, b.version.Name)
		if err := os.Rename(b.path, named); err != nil {
			return b, err
		}
		b.path = named
	}
	return b, nil
}

// firstImportRetry is how soon a source that failed is looked at again; the rest doubles up to the usual one.
const firstImportRetry = time.Minute

// schedule looks at the configured source at once, and then as often as the configuration says, until ctx ends.
func (m *imports) schedule(ctx context.Context) {
	repeat(ctx, m.wake, func() (time.Duration, error) {
		source := m.source()
		if source == (importSource{}) {
			m.alarm(false)
			return 0, nil
		}
		_, err := m.run(ctx, order{source: source, turn: true})
		return m.config().Directory.National.every(), err
	})
}

// repeat looks at once, when it is woken, and after what look answers, which is never when that is zero; after an error sooner, with a rest that grows.
func repeat(ctx context.Context, wake <-chan struct{}, look func() (every time.Duration, err error)) {
	retry := firstImportRetry
	for {
		wait, err := look()
		switch {
		case errors.Is(err, directory.ErrRunning):
			wait = min(firstImportRetry, wait)
		case err != nil:
			wait = min(retry, wait)
			retry *= 2
		default:
			retry = firstImportRetry
		}
		var next <-chan time.Time
		if wait > 0 {
			next = time.After(wait + rand.N(max(wait/10, 1))) //nolint:gosec // so that the gateways of a country do not all ask at once
		}
		select {
		case <-next:
		case <-wake:
			retry = firstImportRetry
		case <-ctx.Done():
			return
		}
	}
}

// changed has the schedule look now, at what may have been refused before too.
func (m *imports) changed() {
	m.setRefused(refusedFile{})
	select {
	case m.wake <- struct{}{}:
	default: // it is to look already
	}
}

func (m *imports) lastRefused(source string) refusedFile {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refused.source != source {
		return refusedFile{}
	}
	return m.refused
}

func (m *imports) setRefused(r refusedFile) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refused = r
}

func (m *imports) setStage(s *directory.Stage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stage = s
}

// running is how far the import is that is under way; nil when none is.
func (m *imports) running() *directory.Stage {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stage
}
