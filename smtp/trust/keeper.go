package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options are what a Keeper works with.
type Options struct {
	File, URL   string  // one of them, or neither: then the space is the extra domains
	Fetcher     Fetcher // of the URL; it trusts the authority that is named for it alone
	Refresh     time.Duration
	Extra       []string // domains, as mail.Address has them
	ShrinkShare float64
	Folder      string // where the last good list is kept; it exists
	Logger      *slog.Logger
	Metrics     prometheus.Registerer
}

// Keeper holds the current trust space and keeps it up to date.
type Keeper struct {
	opt     Options
	log     *slog.Logger
	current atomic.Pointer[Space]
	domains prometheus.Gauge
	refused prometheus.Gauge

	mu    sync.Mutex // of what follows, and of the order in which spaces are put into effect
	list  *List      // the last good one, nil before there is any
	raw   []byte     // its octets, which are kept already
	extra []string
}

// ErrShrunk is a list that has lost so much since the last one that it looks cut short.
var ErrShrunk = errors.New("the list has shrunk suspiciously")

// NewKeeper answers a Keeper with the last good list of the folder, if there is one. A kept list that cannot be read is told in the log,
// and as if there were none.
func NewKeeper(opt Options) *Keeper {
	k := &Keeper{
		opt: opt, log: opt.Logger, extra: slices.Clone(opt.Extra),
		domains: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "balorg_smtp_trust_space_domains_count", Help: "Domains in the trust space.",
		}),
		refused: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "balorg_smtp_trust_space_refused_bool", Help: "1 while the newest whitelist was refused or cannot be had, and an older one holds.",
		}),
	}
	if k.log == nil {
		k.log = slog.New(slog.DiscardHandler)
	}
	if opt.Metrics != nil {
		opt.Metrics.MustRegister(k.domains, k.refused)
	}
	if k.fromList() {
		if raw, err := readFile(k.kept(), maxList); err == nil {
			if k.list, err = Parse(bytes.NewReader(raw)); err != nil {
				k.log.Error("the kept trust space cannot be read", slog.String("file", k.kept()), slog.Any("error", err))
			} else {
				k.raw = raw
			}
		} else if !errors.Is(err, fs.ErrNotExist) {
			k.log.Error("the kept trust space cannot be read", slog.String("file", k.kept()), slog.Any("error", err))
		}
	}
	k.publish()
	return k
}

// Current answers the trust space as it is now, never nil.
func (k *Keeper) Current() *Space { return k.current.Load() }

func (k *Keeper) fromList() bool { return k.opt.File != "" || k.opt.URL != "" }

// SetExtra puts other domains of the configuration into effect.
func (k *Keeper) SetExtra(extra []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.extra = slices.Clone(extra)
	k.publish()
}

func (k *Keeper) publish() {
	space := newSpace(k.list, k.extra)
	k.current.Store(space)
	k.domains.Set(float64(space.Len()))
}

// Refresh takes the list anew and puts it into effect, unless there is something wrong with it, which it answers. With force a list that
// has shrunk is taken all the same.
func (k *Keeper) Refresh(ctx context.Context, force bool) error {
	if !k.fromList() {
		return nil
	}
	err := k.refresh(ctx, force)
	switch {
	case err == nil:
		k.refused.Set(0)
	case ctx.Err() == nil:
		k.refused.Set(1)
		k.log.ErrorContext(ctx, "the whitelist is refused: the last good one holds", slog.Any("error", err), slog.Int("domains", k.Current().Len()))
	}
	return err
}

func (k *Keeper) refresh(ctx context.Context, force bool) error {
	raw, err := k.fetch(ctx)
	if err != nil {
		return fmt.Errorf("taking the whitelist: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.list != nil && bytes.Equal(raw, k.raw) {
		return nil
	}
	list, err := Parse(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("reading the whitelist: %w", err)
	}
	for _, fault := range list.Faults {
		k.log.WarnContext(ctx, "a row of the whitelist is not right", slog.String("fault", fault))
	}
	if err := k.compare(list); err != nil && !force {
		return err
	}
	if err := k.keep(raw); err != nil {
		return fmt.Errorf("keeping the whitelist: %w", err)
	}
	k.list, k.raw = list, raw
	k.publish()
	k.log.InfoContext(ctx, "trust space", slog.Int("domains", k.Current().Len()), slog.Time("generated", list.Generated), slog.Int("skipped", list.Skipped))
	return nil
}

// compare refuses a list that lacks too many of the domains of the last one. Others that it gained do not count: a list of something else
// is as long.
func (k *Keeper) compare(list *List) error {
	if k.list == nil {
		return nil
	}
	last, next := newSpace(k.list, nil), newSpace(list, nil)
	lost := 0
	for domain := range last.domains {
		if !next.Contains(domain) {
			lost++
		}
	}
	if float64(lost) > k.opt.ShrinkShare*float64(last.Len()) {
		return fmt.Errorf("%w: %d of %d domains are gone", ErrShrunk, lost, last.Len())
	}
	return nil
}

// KeptName is the file of Options.Folder that holds the last good list.
const KeptName = "trust-space.xml"

func (k *Keeper) kept() string { return filepath.Join(k.opt.Folder, KeptName) }

// keep writes the last good list so that at any time the file is this one or the one before, whole.
func (k *Keeper) keep(raw []byte) error {
	f, err := os.OpenFile(k.kept()+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), k.kept()); err != nil {
		return err
	}
	dir, err := os.Open(k.opt.Folder)
	if err != nil {
		return nil // the list is in place; only a power cut could bring the one before back
	}
	defer dir.Close() //nolint:errcheck // it was only synced
	if err := dir.Sync(); err != nil {
		k.log.Warn("syncing the folder of the trust space", slog.Any("error", err))
	}
	return nil
}

// firstRetry is how soon a list that could not be taken is tried again; the wait doubles up to the usual one.
const firstRetry = time.Minute

// Run takes the list, and takes it anew on schedule, until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	if !k.fromList() {
		return
	}
	retry := firstRetry
	for {
		wait := k.opt.Refresh
		if err := k.Refresh(ctx, false); err != nil {
			wait = min(retry, wait)
			retry *= 2
		} else {
			retry = firstRetry
		}
		timer := time.NewTimer(jitter(wait))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// jitter is up to a tenth more than wait, at random: the gateways of a country do not all ask at once.
func jitter(wait time.Duration) time.Duration {
	return wait + rand.N(max(wait/10, 1)) //nolint:gosec // nobody guesses it to any use
}
