package mailbox

import (
	"context"
	"sync"

	"balorg/mail"
)

// known is what is remembered of accounts between changes of their folders: every message that comes in asks for it, and a scan of the
// folders' rows meets each of the many forms that their counters gave them lately. There is one Store on a state, so that no
// change escapes it.
type known struct {
	mu       sync.Mutex
	changes  uint64 // of folders, of any account
	accounts map[mail.AccountID]*knownAccount
}

// knownAccount is one that is there, with no deletion left to be finished.
type knownAccount struct {
	uses map[SpecialUse]string // names of folders; nil: not looked for yet
}

// changed forgets everything. It is called after a change, whether it succeeded or not.
func (k *known) changed() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.changes++
	k.accounts = nil
}

// now answers the state of things before a look at the store, for what is remembered of it.
func (k *known) now() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.changes
}

func (k *known) has(id mail.AccountID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.accounts[id] != nil
}

// use answers the folder with a special use, "" for none; it is not ok when they have not been looked for.
func (k *known) use(id mail.AccountID, use SpecialUse) (name string, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a := k.accounts[id]
	if a == nil || a.uses == nil {
		return "", false
	}
	return a.uses[use], true
}

// remember keeps that an account is there, unless there was a change since at.
func (k *known) remember(at uint64, id mail.AccountID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.changes != at || k.accounts[id] != nil {
		return
	}
	if k.accounts == nil {
		k.accounts = make(map[mail.AccountID]*knownAccount)
	}
	k.accounts[id] = &knownAccount{}
}

// rememberUses keeps the special uses of folders of an account that is known to be there.
func (k *known) rememberUses(at uint64, id mail.AccountID, uses map[SpecialUse]string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if a := k.accounts[id]; a != nil && k.changes == at {
		a.uses = uses
	}
}

// Use answers the name of the account's folder with a special use, "" when there is none.
func (a *Account) Use(ctx context.Context, use SpecialUse) (name string, err error) {
	if name, ok := a.s.known.use(a.id, use); ok {
		return name, nil
	}
	at := a.s.known.now()
	folders, err := a.Folders(ctx)
	if err != nil {
		return "", err
	}
	uses := make(map[SpecialUse]string)
	for _, f := range folders {
		if _, found := uses[f.SpecialUse]; !found && !f.NoSelect && f.SpecialUse != NoUse {
			uses[f.SpecialUse] = f.Name
		}
	}
	a.s.known.rememberUses(at, a.id, uses)
	return uses[use], nil
}
