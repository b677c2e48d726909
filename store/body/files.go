package body

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	tempFolder = "tmp"
	nameDigits = 32
)

// newName makes a random name of a file.
func newName() string {
	var b [nameDigits / 2]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

func validName(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == nameDigits/2 && hex.EncodeToString(b) == s
}

func (b *Bodies) folder(name string) string { return filepath.Join(b.dir, name[:2]) }
func (b *Bodies) path(name string) string   { return filepath.Join(b.folder(name), name) }
func (b *Bodies) temp(name string) string   { return filepath.Join(b.dir, tempFolder, name) }

// makeFolders makes the folder for files being written and one for each start of a name, all of them ahead: a folder made
// by the first to need it might not be on disk yet when the second has synced its file in there.
func makeFolders(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, tempFolder), 0o700); err != nil {
		return err
	}
	for i := range 256 {
		err := os.Mkdir(filepath.Join(dir, hex.EncodeToString([]byte{byte(i)})), 0o700)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if err := syncFolder(dir); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(filepath.Clean(dir)))
}

// place moves a written file to its final name, and makes content and name survive a power cut. Both are synced at a time, which costs the
// file system one commit instead of two; a cut meanwhile may leave a name without content, which no row names yet.
func (b *Bodies) place(name string, f *os.File) error {
	if err := os.Rename(b.temp(name), b.path(name)); err != nil {
		return err
	}
	folder := make(chan error, 1)
	go func() { folder <- syncFolder(b.folder(name)) }()
	return errors.Join(f.Sync(), <-folder)
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}
