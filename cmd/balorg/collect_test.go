package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestPercent(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{{0, 800}, {8 << 20, 400}, {32 << 20, 100}, {64 << 20, 50}, {1 << 30, 50}} {
		if got := percent(c.live); got != c.want {
			t.Errorf("%d octets: %d %%, want %d", c.live, got, c.want)
		}
	}
}

// TestTuneCollector: rounds of the collector change how much the next one waits for, but not what somebody else has set, and it ends with its context.
func TestTuneCollector(t *testing.T) {
	t.Setenv("GOGC", "")
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tuneCollector(ctx)
	current := func() int {
		now := debug.SetGCPercent(100)
		debug.SetGCPercent(now)
		return now
	}
	deadline := time.After(20 * time.Second)
	for current() == 100 { // a heap of a test is small
		runtime.GC()
		select {
		case <-deadline:
			t.Fatal("the collector is told nothing")
		default:
		}
	}
	debug.SetGCPercent(25)
	for range 5 {
		runtime.GC()
	}
	if now := current(); now != 25 {
		t.Errorf("somebody has set 25 %%, and it is %d %%", now)
	}
}
