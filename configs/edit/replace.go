package edit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// ErrChanged is what Replace answers when the file is not any more as it was read.
var ErrChanged = errors.New("the file was changed meanwhile by somebody else; nothing was written")

// Replace writes a file anew, whole or not at all, durably, with the mode and owner it has. before is what was read of it; a file that
// holds something else now is left as it is.
func Replace(name string, before, after []byte) error {
	// A link stays one.
	target, err := filepath.EvalSymlinks(name)
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	if err := replace(target, before, after); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

func replace(target string, before, after []byte) (err error) {
	info, err := os.Stat(target)
	if err != nil {
		return err
	}
	// Hidden, and no *.yaml: a daemon that reads the folder now does not take it for one of its files.
	temp, err := os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+".*.part")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(temp.Name()) //nolint:errcheck // what went wrong is told already
		}
	}()
	_, err = temp.Write(after)
	err = errors.Join(err, temp.Chmod(info.Mode().Perm()), keepOwner(temp, info))
	if err == nil {
		err = temp.Sync()
	}
	if err := errors.Join(err, temp.Close()); err != nil {
		return err
	}
	now, err := os.ReadFile(target)
	if err != nil {
		return err
	}
	if !bytes.Equal(now, before) {
		return ErrChanged
	}
	if err := os.Rename(temp.Name(), target); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(target))
}

// keepOwner gives the new file the owner and group of the old one.
func keepOwner(temp *os.File, old os.FileInfo) error {
	was, ok := old.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	info, err := temp.Stat()
	if err != nil {
		return err
	}
	if is, ok := info.Sys().(*syscall.Stat_t); ok && is.Uid == was.Uid && is.Gid == was.Gid {
		return nil
	}
	return temp.Chown(int(was.Uid), int(was.Gid))
}

func syncFolder(name string) error {
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
