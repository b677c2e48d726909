package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// How much the heap may grow until the collector's next round: by half of itself, or by leastGrowth where that is more. Most of a large heap are the
// engine's buffers, which hold no pointers and cost a round nothing, so that half of Go's default is memory saved at no price; a small heap would
// have round after round.
const (
	growth      = 50 // percent
	leastGrowth = 32 << 20
)

// percent answers what the collector is to be told of a heap of which so many octets live.
func percent(live uint64) int {
	return int(max(growth, 100*leastGrowth/max(live, leastGrowth/8)))
}

// collecting tells the collector after each of its rounds.
type collecting struct {
	ctx    context.Context // ends it
	sample []metrics.Sample
	told   int
}

// tuneCollector begins that, unless the environment says how it is to be.
func tuneCollector(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	c := &collecting{ctx: ctx, sample: []metrics.Sample{{Name: "/gc/heap/live:bytes"}}, told: 100}
	c.await()
}

// await has tune called after the next round: something that nobody holds is let go of in it.
func (c *collecting) await() {
	runtime.SetFinalizer(&struct{ c *collecting }{c}, func(*struct{ c *collecting }) {
		if c.ctx.Err() == nil {
			c.tune()
			c.await()
		}
	})
}

func (c *collecting) tune() {
	metrics.Read(c.sample)
	now := percent(c.sample[0].Value.Uint64())
	if now == c.told {
		return
	}
	if before := debug.SetGCPercent(now); before != c.told { // an import has its own, for as long as it takes
		debug.SetGCPercent(before)
		return
	}
	c.told = now
}
