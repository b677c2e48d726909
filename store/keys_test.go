package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"balorg/store"
)

// TestTables compares the key space with testdata/keys.golden: a change of prefix is a change of the layout on disk.
func TestTables(t *testing.T) {
	var b strings.Builder
	tables := store.Tables()
	for i, table := range tables {
		fmt.Fprintf(&b, "%s %-14s %s\n", table.Prefix, table.Folder, table.Holds)
		if i > 0 && (tables[i-1].Prefix >= table.Prefix || strings.HasPrefix(table.Prefix, tables[i-1].Prefix)) {
			t.Errorf("prefixes %q and %q are not in order, or one begins the other", tables[i-1].Prefix, table.Prefix)
		}
		if _, err := os.Stat(table.Folder); err != nil {
			t.Errorf("owner of %q: %v", table.Prefix, err)
		}
	}
	golden, err := os.ReadFile(filepath.Join("testdata", "keys.golden"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(golden), b.String()); diff != "" {
		t.Errorf("key space (-golden +got):\n%s", diff)
	}
}

type checkFunc func(report func(string)) error

func (f checkFunc) Check(_ context.Context, _ store.Reader, report func(string)) error {
	return f(report)
}

func TestCheck(t *testing.T) {
	db := open(t, store.Options{InMemory: true})
	update := func(keys ...string) {
		t.Helper()
		err := db.Update(t.Context(), func(tx store.Writer) error {
			for _, k := range keys {
				if err := tx.Set([]byte(k), nil); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, table := range store.Tables() {
		update(table.Prefix + "key")
	}
	sound := checkFunc(func(func(string)) error { return nil })
	if got, err := store.Check(t.Context(), db, sound); err != nil || len(got) > 0 {
		t.Errorf("sound state: %q, %v", got, err)
	}
	update("A", "a", "b0", "b1", "z")
	broken := checkFunc(func(report func(string)) error { report("mailbox: broken"); return nil })
	got, err := store.Check(t.Context(), db, sound, broken, broken)
	want := []string{
		`store: key "A" belongs to no table`,
		`store: key "b0" belongs to no table`,
		`store: key "z" belongs to no table`,
		"mailbox: broken", "mailbox: broken",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("check: %q, %v", got, err)
	}
	unable := errors.New("unable")
	if _, err := store.Check(t.Context(), db, checkFunc(func(func(string)) error { return unable })); !errors.Is(err, unable) {
		t.Errorf("a checker that cannot look: %v", err)
	}
}
