package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"balorg/configs"
)

// settle is how long files must stay as they are before a change is taken: an editor may write in several steps.
const settle = 250 * time.Millisecond

// ErrUnsafe wraps why a reload waits for `balorg reload --force`.
var ErrUnsafe = errors.New("this reload needs --force")

// trustTimeout is how long a reload waits for the whitelist.
const trustTimeout = 30 * time.Second

// Reload reads the configuration again and puts it into effect, whole or not at all, and takes the whitelist anew. Warnings are answered with
// a nil error; a whitelist that cannot be taken is one, since the last good one holds.
func (g *Gateway) Reload(ctx context.Context, force bool) (configs.Problems, error) {
	problems, err := g.reload(ctx, force)
	if err != nil {
		return problems, err
	}
	ctx, cancel := context.WithTimeout(ctx, trustTimeout)
	defer cancel()
	if err := g.trust.Refresh(ctx, force); err != nil {
		problems.Warn(configs.Pos{File: g.path}, "balorg reload --force takes a list that has shrunk", "trust_space: %v", err)
	}
	return problems, nil
}

func (g *Gateway) reload(ctx context.Context, force bool) (configs.Problems, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	next, problems := Load(g.path)
	g.watch(next)
	err := g.apply(ctx, next, problems, force)
	if err != nil {
		g.metrics.reloadFailed.Set(1)
		g.log.ErrorContext(ctx, "reload refused; the running configuration stays", slog.Any("error", err))
		return problems, err
	}
	g.metrics.reloadFailed.Set(0)
	g.metrics.reloads.Inc()
	g.log.InfoContext(ctx, "configuration reloaded", slog.Int("accounts", len(next.Roster.Accounts)), slog.Int("delegations", len(next.Roster.Delegations)))
	return problems, nil
}

func (g *Gateway) apply(ctx context.Context, next *Loaded, problems configs.Problems, force bool) error {
	if err := problems.Err(); err != nil {
		return err
	}
	if key := g.loaded.Config.frozen(next.Config); key != "" {
		return fmt.Errorf("%s has changed, which takes a restart", key)
	}
	if !force {
		if err := next.Config.Limits.Guard(g.loaded.Roster, next.Roster); err != nil {
			g.metrics.reloadHeld.Set(1)
			return fmt.Errorf("%w: %w", ErrUnsafe, err)
		}
	}
	cert, err := next.Config.certificate()
	if err != nil {
		return err
	}
	snap, held, err := g.st.snapshot(ctx, next, time.Now(), force)
	if err != nil {
		return err
	}
	// From here on nothing fails: all of it is put into effect.
	g.tellHeld(held)
	g.cert.current.Store(cert)
	before := g.loaded.Config.Directory.National
	g.loaded = next
	if values(before) != values(next.Config.Directory.National) {
		g.imports.changed()
	}
	g.trust.SetExtra(next.Config.TrustSpace.Extra())
	if g.notices != nil {
		g.notices.SetTemplates(next.notices)
	}
	g.swap(snap)
	return nil
}

// tellHeld raises or ends the alarm that accounts are missing from the files, and not parked for want of --force.
func (g *Gateway) tellHeld(held int) {
	if held == 0 {
		g.metrics.reloadHeld.Set(0)
		return
	}
	g.metrics.reloadHeld.Set(1)
	g.log.Error("many accounts are missing from the files; their mail stays as it is until balorg reload --force", slog.Int("accounts", held))
}

// reloadOnSignal reloads at each signal.
func (g *Gateway) reloadOnSignal(ctx context.Context) {
	for {
		select {
		case <-g.reloads:
			g.Reload(ctx, false) //nolint:errcheck // logged, and shown by the gauge; a bad file never stops the daemon
		case <-ctx.Done():
			return
		}
	}
}

// watchFiles reloads when one of the configuration's files changes.
func (g *Gateway) watchFiles(ctx context.Context) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		g.log.ErrorContext(ctx, "files are not watched; use balorg reload", slog.Any("error", err))
		return
	}
	defer watcher.Close() //nolint:errcheck // nothing to lose
	g.watchFolders(watcher)
	// A change between the start and the watch has no event of its own.
	seen, settled := g.readInputs(), time.After(settle)
	for {
		select {
		case <-ctx.Done():
			return
		case err := <-watcher.Errors:
			g.log.WarnContext(ctx, "watching files", slog.Any("error", err))
			seen, settled = g.readInputs(), time.After(settle) // events may have been lost
		case <-watcher.Events:
			if settled == nil {
				seen, settled = g.readInputs(), time.After(settle)
			}
		case <-settled:
			now := g.readInputs()
			if !sameFiles(seen, now) {
				seen, settled = now, time.After(settle)
				continue
			}
			settled = nil
			if g.changed(now) {
				g.Reload(ctx, false) //nolint:errcheck // logged, and shown by the gauge
			}
			// Also when nothing has changed: a folder that was replaced by another has lost its watch.
			g.watchFolders(watcher)
		}
	}
}

// changed tells whether the files differ from those that were loaded last, put into effect or not.
func (g *Gateway) changed(now []configs.File) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !sameFiles(g.tried, now)
}

// watch takes the files of a configuration that was just loaded for those last tried. If it is refused, those of the running one
// are watched as well. The caller holds g.mu, or nobody else knows g.
func (g *Gateway) watch(next *Loaded) {
	g.inputs, g.tried = next.inputPaths(), next.inputs()
	for _, path := range g.loaded.inputPaths() {
		if !slices.Contains(g.inputs, path) {
			g.inputs = append(g.inputs, path)
			g.tried = append(g.tried, readAll([]string{path})...)
		}
	}
}

// inputs are all files that a configuration is made of, in the order of inputPaths.
func (l *Loaded) inputs() []configs.File {
	if l.unread {
		return readAll(l.inputPaths())
	}
	return slices.Concat(l.Inputs, readAll(slices.Concat(l.Config.certificatePaths(), l.Config.templatePaths())))
}

// inputPaths name the files and folders that a configuration is made of: of one that could not be read, itself.
func (l *Loaded) inputPaths() []string {
	cfg := l.Config
	if l.unread {
		return []string{cfg.file}
	}
	return slices.Concat([]string{cfg.file, cfg.path(cfg.Accounts), cfg.path(cfg.Delegations)}, cfg.certificatePaths(), cfg.templatePaths())
}

func (c *Config) certificatePaths() []string {
	if !c.TLS.Certificate.Set {
		return nil
	}
	return []string{c.path(c.TLS.Certificate.V), c.path(c.TLS.Key.V)}
}

// watchFolders watches the folders that hold the files: editors replace files, and a watch on a file would go with the old one.
func (g *Gateway) watchFolders(watcher *fsnotify.Watcher) {
	for _, path := range g.inputPaths() {
		for _, folder := range []string{filepath.Dir(path), path} {
			if slices.Contains(watcher.WatchList(), folder) || folder == path && missing(path) {
				continue // its folder tells when it comes
			}
			if err := watcher.Add(folder); err != nil {
				g.log.Warn("a folder is not watched; use balorg reload", slog.Any("folder", folder), slog.Any("error", err))
			}
		}
	}
}

func missing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, os.ErrNotExist)
}

func (g *Gateway) inputPaths() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.inputs)
}

func (g *Gateway) readInputs() []configs.File { return readAll(g.inputPaths()) }

func readAll(paths []string) []configs.File {
	var all []configs.File
	for _, path := range paths {
		files, _ := configs.ReadFiles(path) // what cannot be read is the reload's to report
		all = append(all, files...)
	}
	return all
}

func sameFiles(a, b []configs.File) bool {
	return slices.EqualFunc(a, b, func(x, y configs.File) bool { return x.Name == y.Name && bytes.Equal(x.Data, y.Data) })
}
