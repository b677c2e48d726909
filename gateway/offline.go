package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"balorg/gateway/control"
	"balorg/ldapserver/directory"
	"balorg/mail"
	"balorg/policy"
	"balorg/policy/auth"
)

// Connect answers a caller of the operations: of the daemon that runs on the configuration's state or, when none does, of the
// state itself.
func Connect(ctx context.Context, configPath string) (control.Caller, error) {
	loaded, problems := Load(configPath)
	if loaded.Config.StateDir() == "" {
		return nil, problems.Err()
	}
	caller, err := control.Dial(ctx, loaded.Config.StateDir())
	if err == nil || !errors.Is(err, control.ErrNoDaemon) {
		return caller, err
	}
	// A mistake in the accounts or delegations stops what depends on them, not a look at the state or the trace.
	o := &offline{loaded: loaded, broken: problems.Err()}
	if o.broken != nil && loaded.brokenConfig(problems) {
		return nil, o.broken
	}
	if o.fresh() {
		return o, nil
	}
	return o.open()
}

// offline answers operations while no daemon runs and there is no state yet: it opens, and so makes, one only for what is to be
// kept. A question asked by root before the first start must not leave a state that the daemon's user cannot open.
type offline struct {
	loaded *Loaded
	broken error // of the accounts and delegations
	st     *state
}

// fresh tells whether no state was ever made in the folder.
func (o *offline) fresh() bool {
	_, err := os.Stat(filepath.Join(o.loaded.Config.StateDir(), bodiesFolder))
	return errors.Is(err, os.ErrNotExist)
}

func (o *offline) Call(ctx context.Context, op string, args any, each func(json.RawMessage) error) error {
	switch op {
	case OpReload, OpSessions, OpEndSession:
		return control.ErrNoDaemon
	case OpAuditList, OpAuditVerify, OpAuditExport, OpCheckStore, OpRepairStore, OpQueueList, OpQueueShow, OpQueueRetry, OpQueueRemove, OpDirectorySearch, OpDirectoryStatus,
		OpTokenList, OpTokenRevoke, OpLockList, OpLockClear, OpBackup:
		return fmt.Errorf("there is no state in %s yet; the daemon makes it when it first starts", o.loaded.Config.StateDir())
	case OpExplain, OpAccountList, OpDelegationList:
		a := admin{look: o.look}
		ops := a.accountOperations(func(context.Context) (map[mail.AccountID]time.Time, error) { return nil, nil }) // nobody ever logged in
		ops[OpExplain] = a.explain()
		return control.Local(ops, nil).Call(ctx, op, args, each)
	}
	caller, err := o.open()
	if err != nil {
		return err
	}
	return caller.Call(ctx, op, args, each)
}

func (o *offline) Close() error {
	if o.st != nil {
		o.st.close()
	}
	return nil
}

func (o *offline) open() (control.Caller, error) {
	st, err := openState(o.loaded.Config, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	o.st = st
	a := admin{
		look: o.look,
		snapshot: func(ctx context.Context) (*policy.Snapshot, error) {
			if o.broken != nil {
				return nil, o.broken
			}
			snap, _, err := st.snapshot(ctx, o.loaded, time.Now(), false)
			return snap, err
		},
		auth: auth.New(auth.Options{
			Config: o.loaded.Config.Authentication, Passwords: st.settings, Locks: st.locks,
			Snapshot: func() *policy.Snapshot { return policy.NewSnapshot(&policy.Roster{}, nil, nil) }, // nobody logs in here
		}),
		changed: func(context.Context) error { return nil },
		ended:   func(string) {}, // there are no sessions
		imports: sync.OnceValue(func() *imports {
			log := slog.New(slog.DiscardHandler)
			config := func() *Config { return o.loaded.Config }
			return newImports(st, directory.New(nil), o.loaded.Config.StateDir(), config, func(bool) {}, log)
		}),
	}
	ops := st.operations(a)
	maps.Copy(ops, o.inviter(a).operations())
	maps.Copy(ops, st.lockOperations(a, func(ctx context.Context) (*auth.Authenticator, error) { return a.auth, a.auth.LoadLocks(ctx) }))
	return control.Local(ops, o.Close), nil
}

// look is the snapshot that the daemon would start with.
func (o *offline) look(ctx context.Context) (*policy.Snapshot, error) {
	switch {
	case o.broken != nil:
		return nil, o.broken
	case o.st == nil:
		identities := policy.Reconcile(nil, o.loaded.Roster, time.Now(), o.loaded.Config.Limits.Park())
		return policy.NewSnapshot(withQuotas(o.loaded), identities, nil), nil
	}
	return o.st.look(ctx, o.loaded, time.Now())
}
