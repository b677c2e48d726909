package gateway

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"balorg/configs"
	"balorg/configs/edit"
	"balorg/gateway/control"
	"balorg/policy"
	"balorg/policy/amend"
)

// Amended is what a change of the files came to.
type Amended struct {
	Files    []string         `json:"files"`              // written
	Warnings configs.Problems `json:"warnings,omitempty"` // that were none before
}

// Amend changes the files of accounts and delegations: change is given what they say, and what they would be is checked whole, by the
// daemon's own checks, before anything is written. Problems are answered as configs.Problems. Without apply, nothing is written.
func Amend(configPath string, apply bool, change func(*amend.Draft, *policy.Roster) error) (Amended, error) {
	unlock, err := lockFiles(configPath)
	if err != nil {
		return Amended{}, err
	}
	defer unlock()
	loaded, found := Load(configPath)
	if err := found.Err(); err != nil && (loaded.unread || loaded.brokenConfig(found)) {
		return Amended{}, err
	}
	draft, err := amend.NewDraft(loaded.accounts, loaded.delegations)
	if err != nil {
		return Amended{}, err
	}
	if err := change(draft, loaded.Roster); err != nil {
		return Amended{}, err
	}
	files, err := draft.Files()
	if err != nil {
		return Amended{}, err
	}
	_, problems := loadWith(configPath, files)
	if err := problems.Err(); err != nil {
		return Amended{}, err
	}
	done := Amended{Warnings: fresh(found, problems)}
	for _, file := range files {
		done.Files = append(done.Files, file.Name)
	}
	if !apply {
		return done, nil
	}
	return done, writeFiles(loaded, files)
}

// fresh are the warnings that did not stand before. Lines move, so places do not count.
func fresh(before, now configs.Problems) configs.Problems {
	known := map[string]bool{}
	for _, p := range before {
		known[p.What] = true
	}
	return slices.DeleteFunc(slices.Clone(now), func(p configs.Problem) bool { return known[p.What] })
}

// lockFiles keeps two commands from changing the files at the same time.
func lockFiles(configPath string) (unlock func(), err error) {
	f, err := os.Open(configPath)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("waiting for another command: %w", err), f.Close())
	}
	return func() { _ = f.Close() }, nil // nothing was written to it
}

// writeFiles replaces each file, or, when one cannot be, none.
func writeFiles(loaded *Loaded, files []configs.File) error {
	for n, file := range files {
		err := edit.Replace(file.Name, loaded.input(file.Name), file.Data)
		if err == nil {
			continue
		}
		for _, done := range files[:n] {
			if undo := edit.Replace(done.Name, done.Data, loaded.input(done.Name)); undo != nil {
				err = errors.Join(err, fmt.Errorf("and what was written before could not be undone: %w", undo))
			}
		}
		return err
	}
	return nil
}

// input is what a file held when it was loaded.
func (l *Loaded) input(name string) []byte {
	for _, file := range l.Inputs {
		if file.Name == name {
			return file.Data
		}
	}
	return nil
}

// ReloadRunning has the daemon read its files again, if one runs.
func ReloadRunning(ctx context.Context, configPath string) (running bool, err error) {
	loaded, problems := Load(configPath)
	if loaded.Config.StateDir() == "" {
		return false, problems.Err()
	}
	caller, err := control.Dial(ctx, loaded.Config.StateDir())
	if errors.Is(err, control.ErrNoDaemon) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer caller.Close() //nolint:errcheck // answered
	return true, caller.Call(ctx, OpReload, ReloadArgs{}, nil)
}
