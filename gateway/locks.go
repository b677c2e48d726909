package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"balorg/gateway/control"
	"balorg/mail"
	"balorg/policy/auth"
	"balorg/store/audit"
	"balorg/store/lock"
)

// The operations on what is counted of refused log-ins.
const (
	OpLockList  = "lock.list"
	OpLockClear = "lock.clear"
)

// Arguments and answers of the operations on refused log-ins.
type (
	// LockListArgs are for OpLockList.
	LockListArgs struct{ All bool } // those below their limit, too
	// LockClearArgs are for OpLockClear. What is an address or a network, or empty: everything.
	LockClearArgs struct{ What string }
	// LockEntry is a count as it is listed.
	LockEntry struct {
		Kind     auth.LockKind `json:"kind"`
		Account  mail.Address  `json:"account,omitempty"`
		Network  string        `json:"network,omitempty"`
		Failures int           `json:"failures"`
		Limit    int           `json:"limit"`
		Locked   bool          `json:"locked"`
		Until    time.Time     `json:"until"`
	}
)

// locks are the counts as authentication sees them.
type locks struct{ *lock.Table }

// Locks implements auth.Locks.
func (l locks) Locks(ctx context.Context) ([]auth.Lock, error) {
	kept, err := l.All(ctx)
	all := make([]auth.Lock, len(kept))
	for i, k := range kept {
		all[i] = auth.Lock{LockKey: auth.LockKey{Kind: authKind(k.Kind), Network: k.Network, Account: k.Account}, Since: k.Since, Failures: k.Failures, Success: k.Success}
	}
	return all, err
}

// KeepLocks implements auth.Locks.
func (l locks) KeepLocks(ctx context.Context, changed []auth.Lock, gone []auth.LockKey) error {
	rows, keys := make([]lock.Lock, len(changed)), make([]lock.Key, len(gone))
	for i, c := range changed {
		rows[i] = lock.Lock{Key: storedLock(c.LockKey), Since: c.Since, Failures: c.Failures, Success: c.Success}
	}
	for i, k := range gone {
		keys[i] = storedLock(k)
	}
	return l.Keep(ctx, rows, keys)
}

func storedLock(k auth.LockKey) lock.Key {
	kind := lock.Pair
	switch k.Kind {
	case auth.LockAccount:
		kind = lock.Account
	case auth.LockNetwork:
		kind = lock.Network
	case auth.LockPair:
	}
	return lock.Key{Kind: kind, Network: k.Network, Account: k.Account}
}

func authKind(kind lock.Kind) auth.LockKind {
	switch kind {
	case lock.Account:
		return auth.LockAccount
	case lock.Network:
		return auth.LockNetwork
	case lock.Pair:
	}
	return auth.LockPair
}

// countLocks has the metrics tell how many are locked.
func (g *Gateway) countLocks() {
	for _, kind := range []auth.LockKind{auth.LockAccount, auth.LockNetwork, auth.LockPair} {
		g.reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "balorg_gateway_locked_count", Help: "Accounts, networks and pairs of both whose log-ins are not looked at after too many failures.",
			ConstLabels: prometheus.Labels{"kind": string(kind)},
		}, func() float64 { return float64(g.auth.Locked(kind)) }))
	}
}

// keepLocks writes what is counted of refused log-ins, a moment later, until ctx ends.
func (g *Gateway) keepLocks(ctx context.Context) {
	g.auth.RunLocks(ctx, func(err error) {
		g.log.WarnContext(ctx, "refused log-ins are counted in memory alone", slog.Any("error", err))
	})
}

// lockOperations are those on what is counted. counts answers who counts.
func (st *state) lockOperations(a admin, counts func(context.Context) (*auth.Authenticator, error)) map[string]control.Op {
	return map[string]control.Op{
		OpLockList: operation(func(ctx context.Context, args LockListArgs, emit func(any) error) error {
			who, err := counts(ctx)
			if err != nil {
				return err
			}
			for _, l := range who.Locks() {
				if !args.All && !l.Locked() {
					continue
				}
				entry := LockEntry{Kind: l.Kind, Account: l.Account, Failures: l.Failures, Limit: l.Limit, Locked: l.Locked(), Until: l.Until}
				if l.Network.IsValid() {
					entry.Network = l.Network.String()
				}
				if err := emit(entry); err != nil {
					return err
				}
			}
			return nil
		}),
		OpLockClear: operation(func(ctx context.Context, args LockClearArgs, emit func(any) error) error {
			match, err := a.locksOf(ctx, args.What)
			if err != nil {
				return err
			}
			who, err := counts(ctx)
			if err != nil {
				return err
			}
			n, err := who.ClearLocks(ctx, match)
			if err != nil {
				return fmt.Errorf("cleared until the next start, and not on disk: %w", err)
			}
			err = st.trace.Append(ctx, audit.Record{
				Time: time.Now(), Action: audit.Administer, Protocol: "control", Request: strings.TrimSpace("lock clear " + args.What), Answer: "OK",
			})
			if err != nil {
				return err
			}
			return emit(fmt.Sprintf("%d counts of refused log-ins cleared", n))
		}),
	}
}

// locksOf says which counts an address or a network means: of an account by either of its addresses, of a network all within it.
func (a admin) locksOf(ctx context.Context, what string) (func(auth.LockKey) bool, error) {
	if what == "" {
		return func(auth.LockKey) bool { return true }, nil
	}
	if address, err := mail.ParseAddress(what); err == nil {
		snap, err := a.look(ctx)
		if err != nil {
			return nil, err
		}
		other := address
		if account, ok := snap.Account(address); ok {
			address, other = account.Address, account.MSSante
		}
		return func(k auth.LockKey) bool {
			return k.Kind != auth.LockNetwork && k.Account != "" && (k.Account == address || k.Account == other)
		}, nil
	}
	network, err := netip.ParsePrefix(what)
	if one, oneErr := netip.ParseAddr(what); oneErr == nil {
		network, err = netip.PrefixFrom(one, one.BitLen()), nil
	}
	if err != nil {
		return nil, errors.New("write the address of an account, or a network such as 192.0.2.0/24, as `balorg lock list` shows them")
	}
	return func(k auth.LockKey) bool {
		return k.Kind != auth.LockAccount && k.Network.IsValid() && k.Network.Overlaps(network)
	}, nil
}
