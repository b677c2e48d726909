// Package storetest says what an engine must do to be balorg's store: Run is the conformance suite every engine passes. It
// also gives the tests of the tables a store in memory, and checks their invariants when a test ends.
package storetest

import (
	"context"
	"testing"

	"balorg/store"
)

// New opens a store in memory that is closed when the test ends. When it does, the checkers, and those given to CheckAtEnd
// later, must find nothing.
func New(tb testing.TB, checkers ...store.Checker) *store.DB {
	tb.Helper()
	db, err := store.Open(store.Options{InMemory: true})
	if err != nil {
		tb.Fatalf("open a store in memory: %v", err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Errorf("close the store: %v", err)
		}
	})
	CheckAtEnd(tb, db, checkers...)
	return db
}

// CheckAtEnd has the checkers look at st when the test ends, before what was opened earlier is closed.
func CheckAtEnd(tb testing.TB, st store.Store, checkers ...store.Checker) {
	tb.Helper()
	tb.Cleanup(func() {
		tb.Helper()
		problems, err := store.Check(context.WithoutCancel(tb.Context()), st, checkers...)
		if err != nil {
			tb.Errorf("check the store: %v", err)
		}
		for _, p := range problems {
			tb.Errorf("check the store: %s", p)
		}
	})
}
