package control

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFormerFolder: what a daemon that died has left of its socket is removed by the next one, and nothing else.
func TestFormerFolder(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	state := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	dead, err := Listen(state, nil)
	if err != nil {
		t.Fatal(err)
	}
	left := filepath.Dir(dead.paths[0])
	dead.listener.Close()
	next, err := Listen(state, nil)
	if err != nil {
		t.Fatal(err)
	}
	next.listener.Close()
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the former folder: %v", err)
	}
	precious := t.TempDir()
	if err := os.WriteFile(filepath.Join(state, "control.path"), []byte(filepath.Join(precious, "control.sock")), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Listen(state, nil); err != nil {
		t.Fatal(err)
	} else {
		s.listener.Close()
	}
	if _, err := os.Stat(precious); err != nil {
		t.Errorf("a folder that is not ours: %v", err)
	}
}
