package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// retire takes an engine that met a write error out of use and has it opened anew in the background. A sync that failed is
// never tried again: the kernel may have dropped the pages and would answer that all is well.
func (db *DB) retire(e *engine) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.engine != e {
		return
	}
	db.engine = nil
	e.broken = true
	db.leave(e)
	db.wg.Add(1)
	go db.reopen(e)
}

func (db *DB) reopen(old *engine) {
	defer db.wg.Done()
	<-old.idle
	if err := db.end(old); err != nil {
		db.log.LogAttrs(db.ctx, slog.LevelWarn, "state closed with an error", slog.Any("error", err))
	}
	if db.opt.InMemory {
		return // what it held is gone with it; there is nothing to read back
	}
	for wait := reopenFirst; ; wait = min(2*wait, reopenLimit) {
		select {
		case <-db.ctx.Done():
			return
		case <-time.After(wait):
		}
		err := db.space.allows(true)
		if err == nil {
			err = db.install()
		}
		if err == nil {
			db.log.LogAttrs(db.ctx, slog.LevelInfo, "state reopened")
			return
		}
		db.log.LogAttrs(db.ctx, slog.LevelError, "state not reopened", slog.Any("error", err), slog.Duration("retry_in", min(2*wait, reopenLimit)))
	}
}

func (db *DB) install() error {
	e, err := db.open()
	if err != nil {
		return err
	}
	db.mu.Lock()
	db.engine = e // Close waits for this goroutine first, so it finds and closes it
	db.mu.Unlock()
	if e.large != nil {
		db.askSweep()
	}
	select {
	case db.reopened <- struct{}{}:
	default:
	}
	return nil
}

// isLocked tells whether Badger's lock on the folder is held. Its error does not always wrap the system's.
func isLocked(err error) bool {
	return err != nil && (errors.Is(err, unix.EWOULDBLOCK) || strings.Contains(err.Error(), "Another process is using this Badger database"))
}

// engineLog passes Badger's messages on. Its informational ones tell of every compaction: they are ours at debug level.
type engineLog struct{ log *slog.Logger }

func (l engineLog) Errorf(format string, args ...any)   { l.write(slog.LevelError, format, args) }
func (l engineLog) Warningf(format string, args ...any) { l.write(slog.LevelWarn, format, args) }
func (l engineLog) Infof(format string, args ...any)    { l.write(slog.LevelDebug, format, args) }

func (l engineLog) write(level slog.Level, format string, args []any) {
	ctx := context.Background() // Badger hands none over
	if l.log.Enabled(ctx, level) {
		l.log.LogAttrs(ctx, level, "store engine", slog.String("message", strings.TrimSpace(fmt.Sprintf(format, args...))))
	}
}

// Debugf is dropped: Badger calls it for every write.
func (engineLog) Debugf(string, ...any) {}
