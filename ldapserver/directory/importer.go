package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"balorg/ldapserver/extraction"
	"balorg/ldapserver/index"
	"balorg/store"
)

// DefaultShrink is how much smaller than the one before a file may be, in per cent, before it is taken for a broken one.
const DefaultShrink = 10

// By how many per cent the heap may grow between two rounds of the collector while an import is under way: while rows are gathered, and while the index is built, when
// there are two, and what is on the heap has few pointers, so that a round costs little.
const (
	importGrowth = 30
	buildGrowth  = 5
)

// ErrShrunk is a file that has lost too many entries; --force takes it.
var ErrShrunk = errors.New("the file has far fewer mailboxes than the directory that is served")

// ErrOlder is a file that was made before the one that is served.
var ErrOlder = errors.New("the file is older than the directory that is served")

// ErrRunning is answered while an import is under way: there is one at a time.
var ErrRunning = errors.New("an import is under way already")

// Stage is how far an import is.
type Stage struct {
	Name string // reading, sorting, writing
	Done int64
	Of   int64 // zero: not known
}

// Importer takes national extractions in.
type Importer struct {
	directory *Directory
	table     *Table
	file      string // of the index, to start from
	log       *slog.Logger
	now       func() time.Time

	running sync.Mutex
}

// NewImporter makes an importer. The folder is where it keeps the index from which a start is quick.
func NewImporter(d *Directory, table *Table, folder string, log *slog.Logger) *Importer {
	return &Importer{directory: d, table: table, file: filepath.Join(folder, "national.idx"), log: log, now: d.now}
}

// Load serves what the state has: from the file of the index, or built anew from the records when that is missing, damaged or of another generation. SetAccounts comes first. It is
// no error when nothing was ever imported.
func (m *Importer) Load(ctx context.Context) error {
	current, err := m.table.Current(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("loading the national directory: %w", err)
	}
	x, err := index.Load(m.file, Constants(current.Date))
	if err == nil && x.Info().Generation == current.Generation && int(x.Len()) == current.Entries {
		m.directory.SetNational(x)
		return nil
	}
	m.log.InfoContext(ctx, "the index of the national directory is built anew", slog.Any("reason", cmp.Or(err, errors.New("it is of another import"))))
	b := new(index.Builder)
	err = m.table.read(ctx, current, func(record []byte) error {
		b.AddRecord(record)
		return nil
	})
	if err != nil {
		return fmt.Errorf("loading the national directory: %w", err)
	}
	return m.serve(ctx, b, current)
}

// serve builds the index of records and puts it in the place of the one before.
func (m *Importer) serve(ctx context.Context, b *index.Builder, i Import) error {
	x, err := build(b, i)
	if err != nil {
		return err
	}
	m.put(ctx, x)
	return nil
}

func build(b *index.Builder, i Import) (*index.Index, error) {
	x, err := b.Build(index.Info{Generation: i.Generation, Date: i.Date}, Constants(i.Date))
	if err != nil {
		return nil, fmt.Errorf("building the national directory: %w", err)
	}
	return x, nil
}

// put serves an index and keeps it for the next start, which can do without.
func (m *Importer) put(ctx context.Context, x *index.Index) {
	m.directory.SetNational(x)
	err := os.MkdirAll(filepath.Dir(m.file), 0o700)
	if err == nil {
		err = x.Save(m.file)
	}
	if err != nil {
		m.log.WarnContext(ctx, "the index could not be kept; the next start builds it anew", slog.Any("error", err))
	}
	// Hundreds of megabytes were needed for seconds, and are not again until tomorrow; the former index goes with them, once nobody searches it.
	debug.FreeOSMemory()
}

// Options say how a file is taken.
type Options struct {
	Force    bool        // take a file that has shrunk, or is older
	Newer    bool        // take none that is older than what is served
	Shrink   int         // per cent it may lose; zero means DefaultShrink
	Source   string      // where it comes from, as it is told
	Made     time.Time   // when, unless its name tells; zero where nobody knows
	Progress func(Stage) // may be nil
}

// Import takes a file in the place of the directory that is served. It answers what it found in the file also when it fails; then the directory stays as it is.
func (m *Importer) Import(ctx context.Context, path string, opt Options) (Import, extraction.Report, error) {
	if !m.running.TryLock() {
		return Import{}, extraction.Report{}, ErrRunning
	}
	defer m.running.Unlock()
	// All that an import gathers is held until it is done, so that a heap that may double would be half empty, on top of two indexes.
	defer debug.SetGCPercent(debug.SetGCPercent(importGrowth))
	if opt.Progress == nil {
		opt.Progress = func(Stage) {}
	}
	f, err := extraction.Open(path)
	if err != nil {
		return Import{}, extraction.Report{}, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	g, err := m.read(ctx, f, opt.Progress)
	report := f.Report()
	i := Import{
		File: f.Name, Date: f.Date, Imported: m.now().UTC().Truncate(time.Second), Rows: report.Rows, Bad: report.Bad, Warned: report.Warned,
		Source: opt.Source,
	}
	for _, date := range []time.Time{opt.Made, i.Imported} {
		if i.Date.IsZero() {
			i.Date = date
		}
	}
	i.Date = i.Date.UTC().Truncate(time.Second)
	if err != nil {
		return i, report, fmt.Errorf("importing %s: %w", f.Name, err)
	}
	i.Entries = g.builder.Len()
	g.byMail = nil // it has served, and the index is about to need the room
	if err := m.compare(ctx, i, opt); err != nil {
		return i, report, err
	}
	err = m.replace(ctx, &i, &g.builder, opt.Progress)
	return i, report, err
}

// read gathers the entries of a file.
func (m *Importer) read(ctx context.Context, f *extraction.File, progress func(Stage)) (*gather, error) {
	return gatherRows(f, func(n int) error {
		if n%4096 != 0 {
			return nil
		}
		done, of := f.Progress()
		progress(Stage{"reading", done, of})
		return ctx.Err()
	})
}

// gatherRows makes entries of the rows of a file, and calls each with the number of every row.
func gatherRows(f *extraction.File, each func(n int) error) (*gather, error) {
	g := newGather()
	for n := 0; ; n++ {
		row, err := f.Next()
		if errors.Is(err, io.EOF) {
			return g, nil
		}
		if err == nil {
			err = g.add(row)
		}
		if err == nil {
			err = each(n)
		}
		if err != nil {
			return nil, err
		}
	}
}

// compare refuses a file that makes less of what is served.
func (m *Importer) compare(ctx context.Context, next Import, opt Options) error {
	current, err := m.table.Current(ctx)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, ErrDamaged) || opt.Force {
		return nil
	}
	if err != nil {
		return err
	}
	if opt.Newer && next.Date.Before(current.Date) {
		return fmt.Errorf("%w: it is of %s, and what is served of %s", ErrOlder, next.Date.Format(time.RFC3339), current.Date.Format(time.RFC3339))
	}
	shrink := cmp.Or(opt.Shrink, DefaultShrink)
	if least := current.Entries * (100 - shrink) / 100; next.Entries < least {
		return fmt.Errorf("%w: %d where there were %d, and the directory stays as it is; --force takes it", ErrShrunk, next.Entries, current.Entries)
	}
	return nil
}

// replace builds the index while the records are written: neither needs the other, and each takes seconds.
func (m *Importer) replace(ctx context.Context, i *Import, b *index.Builder, progress func(Stage)) error {
	progress(Stage{Name: "sorting"})
	if err := b.Sort(); err != nil {
		return fmt.Errorf("importing %s: %w", i.File, err)
	}
	debug.SetGCPercent(buildGrowth) // Import sets it back
	debug.FreeOSMemory()            // what reading and sorting needed is not needed again, and the index is about to be
	current, err := m.table.Current(ctx)
	if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, ErrDamaged) {
		return err
	}
	i.Generation = current.Generation + 1
	var (
		x        *index.Index
		building sync.WaitGroup
		failed   error
	)
	of := *i
	building.Go(func() { x, failed = build(b, of) })
	err = m.table.replace(ctx, i, b, func(done, all int) { progress(Stage{"writing", int64(done), int64(all)}) })
	debug.FreeOSMemory() // the index needs the most towards its end
	building.Wait()
	if err != nil {
		return err
	}
	if failed != nil {
		// The records are the truth, and were written whole; what cannot be built now is told, and tried again at the next start.
		return failed
	}
	m.put(ctx, x)
	return nil
}

// Current answers what is served, or store.ErrNotFound.
func (m *Importer) Current(ctx context.Context) (Import, error) { return m.table.Current(ctx) }
