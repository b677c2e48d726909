package ldapserver

import (
	"net/netip"
	"sync"
	"time"

	"balorg/mail"
	"balorg/policy"
)

// budgetPeriod is what budgets are counted in.
const budgetPeriod = time.Hour

// maxSpenders bounds what is remembered of who has had entries.
const maxSpenders = 100_000

// budget counts the entries that persons and addresses get: that somebody carries the whole directory away is its real risk.
type budget struct {
	perPerson, perAddress int
	now                   func() time.Time

	mu    *sync.Mutex
	since *time.Time // when the current period began

	persons   map[mail.AccountID]int
	addresses map[netip.Addr]int
}

func newBudget(l Limits, now func() time.Time) budget {
	return budget{l.PerPerson, l.PerAddress, now, new(sync.Mutex), new(time.Time), make(map[mail.AccountID]int), make(map[netip.Addr]int)}
}

// on tells whether there is any.
func (b *budget) on() bool { return b.perPerson > 0 || b.perAddress > 0 }

// left is how many entries a person may still get from an address; a search that ends at it is one that was cut.
func (b *budget) left(person mail.AccountID, address netip.Addr, most int) int {
	if !b.on() {
		return most
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := b.now(); now.Sub(*b.since) >= budgetPeriod || now.Before(*b.since) || len(b.persons)+len(b.addresses) >= maxSpenders {
		*b.since = now
		clear(b.persons)
		clear(b.addresses)
	}
	if b.perPerson > 0 && person != "" {
		most = min(most, b.perPerson-b.persons[person])
	}
	if b.perAddress > 0 {
		most = min(most, b.perAddress-b.addresses[policy.ClientOf(address)])
	}
	return max(most, 0)
}

// spend counts entries that were answered.
func (b *budget) spend(person mail.AccountID, address netip.Addr, n int) {
	if n == 0 || !b.on() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if person != "" {
		b.persons[person] += n
	}
	b.addresses[policy.ClientOf(address)] += n
}
