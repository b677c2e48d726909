package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"balorg/gateway/control"
	"balorg/store/audit"
	"balorg/store/backup"
	"balorg/store/transfer"
)

// OpBackup writes the state: it answers pieces of the backup, as BackupPiece.
const OpBackup = "backup"

// BackupPiece is the next octets of a backup; with the last come its figures.
type BackupPiece struct {
	Octets  []byte          `json:"octets,omitempty"`
	Summary *backup.Summary `json:"summary,omitempty"`
}

// pieces is a backup on its way over the control socket.
type pieces struct{ emit func(any) error }

// Write implements io.Writer.
func (p pieces) Write(b []byte) (int, error) { return len(b), p.emit(BackupPiece{Octets: b}) }

func (st *state) backupOperations() map[string]control.Op {
	return map[string]control.Op{
		OpBackup: func(ctx context.Context, _ json.RawMessage, emit func(any) error) error {
			err := st.trace.Append(ctx, audit.Record{Time: time.Now(), Action: audit.Administer, Protocol: "control", Request: "backup", Answer: "OK"})
			if err != nil {
				return err
			}
			done, err := backup.Write(ctx, st.db, st.bodies, pieces{emit})
			if err != nil {
				return err
			}
			return emit(BackupPiece{Summary: &done})
		},
	}
}

// Backup writes the state of a configuration to w: the running daemon's, or the one in its folder when none runs.
func Backup(ctx context.Context, configPath string, w io.Writer) (done backup.Summary, err error) {
	caller, err := Connect(ctx, configPath)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, caller.Close()) }()
	whole := false
	err = caller.Call(ctx, OpBackup, nil, func(raw json.RawMessage) error {
		var p BackupPiece
		if err := json.Unmarshal(raw, &p); err != nil {
			return fmt.Errorf("reading the answer: %w", err)
		}
		if p.Summary != nil {
			done, whole = *p.Summary, true
		}
		_, err := w.Write(p.Octets)
		return err
	})
	if err == nil && !whole {
		err = errors.New("the daemon ended in the middle")
	}
	return done, err
}

// Restored says what Restore did.
type Restored struct {
	backup.Summary
	Held int // messages of the queue
}

// restoring is a file in the state's folder while it is being restored. A daemon does not start on a state that has it.
const restoring = "restoring"

// Restore makes the state of a configuration from a backup. The state's folder is not there, or empty; it is so again when anything goes wrong,
// of which the last is that the backup turns out not to be a whole one.
func Restore(ctx context.Context, configPath string, r io.Reader) (done Restored, err error) {
	loaded, problems := Load(configPath)
	if loaded.Config.StateDir() == "" || loaded.brokenConfig(problems) {
		return done, problems.Err()
	}
	dir := loaded.Config.StateDir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return done, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return done, err
	}
	if len(entries) > 0 {
		return done, fmt.Errorf("%s is not empty: stop the daemon, and move away what is there", dir)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, empty(dir))
		}
	}()
	marker := filepath.Join(dir, restoring)
	if err := os.WriteFile(marker, nil, 0o600); err != nil {
		return done, err
	}
	if err := syncDir(dir); err != nil {
		return done, err
	}
	if done, err = restoreInto(ctx, loaded.Config, r); err != nil {
		return done, err
	}
	if err := os.Remove(marker); err != nil {
		return done, err
	}
	return done, syncDir(dir)
}

func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, entry.Name())))
	}
	return err
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// whole answers an error for a state that is not all there.
func whole(dir string) error {
	if _, err := os.Lstat(filepath.Join(dir, restoring)); err == nil {
		return fmt.Errorf("restoring a backup into %s did not come to its end: empty the folder, and do it again", dir)
	}
	return nil
}

func restoreInto(ctx context.Context, cfg *Config, r io.Reader) (done Restored, err error) {
	err = withState(cfg, func(st *state) (err error) {
		done.Summary, err = backup.Restore(ctx, st.db, st.bodies, r)
		return err
	})
	if err != nil {
		return done, err
	}
	// Opened anew, so that nothing is remembered of the empty one.
	return done, withState(cfg, func(st *state) (err error) {
		if done.Held, err = st.age(ctx); err != nil {
			return err
		}
		return st.trace.Append(ctx, audit.Record{Time: time.Now(), Action: audit.Administer, Protocol: "control", Request: "restore", Answer: "OK"})
	})
}

func withState(cfg *Config, fn func(*state) error) error {
	st, err := openAnyState(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer st.close()
	return fn(st)
}

// age makes of a state that was written a while ago one that goes on from there: what clients know of it holds no more, what waited may have gone
// out, and what was on its way between mail servers has come to an end there.
func (st *state) age(ctx context.Context) (held int, err error) {
	if err := st.boxes.Renew(ctx); err != nil {
		return 0, err
	}
	underWay, err := st.transfers.All(ctx)
	if err != nil {
		return 0, err
	}
	if err := st.transfers.Delete(ctx, idsOf(underWay)...); err != nil {
		return 0, err
	}
	return st.queue.HoldAll(ctx)
}

func idsOf(all []transfer.Transfer) []string {
	ids := make([]string, len(all))
	for i, t := range all {
		ids[i] = t.ID
	}
	return ids
}
