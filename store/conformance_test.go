package store_test

import (
	"testing"

	"balorg/store"
	"balorg/store/storetest"
)

func TestConformanceInMemory(t *testing.T) {
	storetest.Run(t, storetest.Engine{Open: func(t *testing.T) store.Store {
		t.Helper()
		return open(t, store.Options{InMemory: true})
	}})
}

func TestConformanceOnDisk(t *testing.T) {
	dirs := make(map[store.Store]string)
	var e storetest.Engine
	e.Open = func(t *testing.T) store.Store {
		t.Helper()
		dir := t.TempDir()
		st := open(t, store.Options{Dir: dir})
		dirs[st] = dir
		return st
	}
	e.Reopen = func(t *testing.T, st store.Store) store.Store {
		t.Helper()
		if err := st.(*store.DB).Close(); err != nil {
			t.Fatal(err)
		}
		again := open(t, store.Options{Dir: dirs[st]})
		dirs[again] = dirs[st]
		return again
	}
	storetest.Run(t, e)
}

func open(t *testing.T, opt store.Options) *store.DB {
	t.Helper()
	db, err := store.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}
