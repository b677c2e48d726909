// Package lock keeps what was counted of refused log-ins, and from which networks an account was successful, so that a restart of the daemon gives
// nobody a fresh start who is guessing. What the counts mean is policy/auth's to say.
//
// Keys, with the network as a prefix (192.0.2.0/24) or empty, and the address as it was given:
//
//	l/a/<address>            → JSON of row: an account, from wherever
//	l/n/<network>            → JSON of row: a network, whatever the account
//	l/p/<network> <address>  → JSON of row: both
package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"balorg/mail"
	"balorg/store"
)

// Kind is what is counted.
type Kind string

// The kinds of counts.
const (
	Account Kind = "a"
	Network Kind = "n"
	Pair    Kind = "p"
)

// Key names a count.
type Key struct {
	Kind    Kind
	Network netip.Prefix
	Account mail.Address
}

// Lock is a count.
type Lock struct {
	Key
	Since    time.Time // when the first of these failures was, to the millisecond
	Failures int
	Success  time.Time // of the last success; zero: there was none
}

type row struct {
	Since    int64 `json:"since,omitempty"` // milliseconds since 1970
	Failures int   `json:"failures,omitempty"`
	Success  int64 `json:"success,omitempty"`
}

// chunk rows go in one transaction, far below store.MaxTx.
const chunk = 2000

// Table reads and writes counts.
type Table struct{ st store.Store }

// New answers the counts kept in st.
func New(st store.Store) *Table { return &Table{st} }

// All answers every count that can be read. A damaged row keeps nobody out, nor lets anybody in; store.Check finds it.
func (t *Table) All(ctx context.Context) ([]Lock, error) {
	var all []Lock
	err := t.st.View(ctx, func(r store.Reader) error {
		prefix := []byte(store.PrefixLock)
		for k, v := range r.Scan(prefix, store.PrefixEnd(prefix)) {
			if l, err := parse(k, v); err == nil {
				all = append(all, l)
			}
		}
		return r.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("counts of refused log-ins: %w", err)
	}
	return all, nil
}

// Keep removes what is gone, which a full disk allows, and then writes what has changed.
func (t *Table) Keep(ctx context.Context, changed []Lock, gone []Key) error {
	for part := range slices.Chunk(gone, chunk) {
		err := t.st.Reclaim(ctx, func(tx store.Writer) error {
			for _, k := range part {
				if err := tx.Delete(k.octets()); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("removing counts of refused log-ins: %w", err)
		}
	}
	for part := range slices.Chunk(changed, chunk) {
		err := t.st.Update(ctx, func(tx store.Writer) error {
			for _, l := range part {
				value, err := json.Marshal(row{millis(l.Since), l.Failures, millis(l.Success)})
				if err != nil {
					return err
				}
				if err := tx.Set(l.octets(), value); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("keeping counts of refused log-ins: %w", err)
		}
	}
	return nil
}

// Check implements store.Checker: every row can be read, and stands under its own key.
func (t *Table) Check(_ context.Context, r store.Reader, report func(problem string)) error {
	prefix := []byte(store.PrefixLock)
	for k, v := range r.Scan(prefix, store.PrefixEnd(prefix)) {
		if _, err := parse(k, v); err != nil {
			report(fmt.Sprintf("count of refused log-ins %q: its row is damaged", k))
		}
	}
	return r.Err()
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

func (k Key) octets() []byte {
	network := ""
	if k.Network.IsValid() {
		network = k.Network.String()
	}
	switch begin := store.PrefixLock + string(k.Kind) + "/"; k.Kind {
	case Account:
		return []byte(begin + string(k.Account))
	case Network:
		return []byte(begin + network)
	default:
		return []byte(begin + network + " " + string(k.Account))
	}
}

var errDamaged = errors.New("no count of refused log-ins")

func parse(key, value []byte) (Lock, error) {
	kind, rest, ok := strings.Cut(strings.TrimPrefix(string(key), store.PrefixLock), "/")
	l := Lock{Key: Key{Kind: Kind(kind)}}
	network := ""
	switch {
	case !ok:
		return Lock{}, errDamaged
	case l.Kind == Account:
		l.Account = mail.Address(rest)
	case l.Kind == Network:
		network = rest
	default:
		var address string
		network, address, _ = strings.Cut(rest, " ")
		l.Account = mail.Address(address)
	}
	var kept row
	if err := json.Unmarshal(value, &kept); err != nil {
		return Lock{}, errDamaged
	}
	if network != "" {
		prefix, err := netip.ParsePrefix(network)
		if err != nil {
			return Lock{}, errDamaged
		}
		l.Network = prefix
	}
	if string(l.octets()) != string(key) || kept.Failures < 0 {
		return Lock{}, errDamaged
	}
	l.Since, l.Failures, l.Success = moment(kept.Since), kept.Failures, moment(kept.Success)
	return l, nil
}
