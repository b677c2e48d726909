package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"balorg/gateway/control"
	"balorg/mail"
	"balorg/policy"
	"balorg/policy/auth"
	"balorg/store/audit"
)

// The operations of the control socket.
const (
	OpReload      = "reload"
	OpExplain     = "explain"
	OpPassword    = "account.passwd"
	OpRestore     = "account.restore"
	OpRenew       = "account.new"
	OpDefault     = "delegation.default"
	OpSessions    = "session.list"
	OpEndSession  = "session.end"
	OpAuditList   = "audit.list"
	OpAuditVerify = "audit.verify"
	OpAuditExport = "audit.export"
	OpQueueList   = "queue.list"
	OpQueueShow   = "queue.show"
	OpQueueRetry  = "queue.retry"
	OpQueueRemove = "queue.remove"
	OpCheckStore  = "check-store"
	OpRepairStore = "repair-store"

	OpAccountList    = "account.list"
	OpDelegationList = "delegation.list"

	OpDirectoryImport = "directory.import"
	OpDirectorySearch = "directory.search"
	OpDirectoryStatus = "directory.status"
)

// Arguments of the operations; OpExplain takes a policy.Question.
type (
	// ReloadArgs are for OpReload.
	ReloadArgs struct{ Force bool }
	// PasswordArgs are for OpPassword.
	PasswordArgs struct {
		Address  mail.Address
		Password string
	}
	// AddressArgs are for operations on one account.
	AddressArgs struct{ Address mail.Address }
	// DefaultArgs are for OpDefault.
	DefaultArgs struct{ Person, Mailbox mail.Address }
	// EndSessionArgs are for OpEndSession.
	EndSessionArgs struct{ ID string }
	// AuditArgs are for OpAuditList.
	AuditArgs struct {
		Mailbox, Person mail.Address
		Since           time.Time
		Action          string
	}
)

// operations are those of a running daemon.
func (g *Gateway) operations() map[string]control.Op {
	current := func(context.Context) (*policy.Snapshot, error) { return g.snapshot.Load(), nil }
	ops := g.st.operations(admin{
		snapshot: current, look: current,
		auth:    g.auth,
		changed: g.refresh,
		ended:   g.sessions.EndCredential,
		imports: func() *imports { return g.imports },
	})
	maps.Copy(ops, g.inviter().operations())
	maps.Copy(ops, g.st.lockOperations(admin{look: current}, func(context.Context) (*auth.Authenticator, error) { return g.auth, nil }))
	ops[OpReload] = operation(func(ctx context.Context, a ReloadArgs, emit func(any) error) error {
		problems, err := g.Reload(ctx, a.Force)
		if err != nil {
			return err
		}
		for _, p := range problems {
			if err := emit(p); err != nil {
				return err
			}
		}
		return nil
	})
	ops[OpListeners] = func(_ context.Context, _ json.RawMessage, emit func(any) error) error { return emit(g.Listeners()) }
	ops[OpSessions] = func(_ context.Context, _ json.RawMessage, emit func(any) error) error {
		for _, s := range g.sessions.List() {
			if err := emit(s); err != nil {
				return err
			}
		}
		return nil
	}
	ops[OpEndSession] = operation(func(_ context.Context, a EndSessionArgs, emit func(any) error) error {
		if !g.sessions.End(a.ID, "Ended by an administrator") {
			return fmt.Errorf("there is no session %q; `balorg session list` shows them", a.ID)
		}
		return emit("session ended")
	})
	return ops
}

// refresh makes a new snapshot of the same files after something in the state has changed.
func (g *Gateway) refresh(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	snap, _, err := g.st.snapshot(ctx, g.loaded, time.Now(), false)
	if err != nil {
		return err
	}
	g.swap(snap)
	return nil
}

// swap puts a snapshot into effect and ends what it no longer allows.
func (g *Gateway) swap(snap *policy.Snapshot) {
	old := g.snapshot.Swap(snap)
	// Before sessions look: one that logs in meanwhile must find the rules of both.
	if err := g.directory.SetAccounts(snap); err != nil {
		g.log.Error("the directory is closed until a reload succeeds", slog.Any("error", err))
	}
	for _, loss := range policy.Lost(old, snap) {
		g.log.Info("access withdrawn or lessened", slog.Any("person", addressOf(old, loss.Person)), slog.Any("mailbox", addressOf(old, loss.Mailbox)))
	}
	g.sessions.Recheck(snap)
	if g.watcher != nil {
		g.watcher.Changed()
	}
}

func addressOf(snap *policy.Snapshot, id mail.AccountID) mail.Address {
	if a, ok := snap.ByID(id); ok {
		return a.Address
	}
	return ""
}

// operation reads an operation's arguments.
func operation[A any](run func(ctx context.Context, args A, emit func(any) error) error) control.Op {
	return func(ctx context.Context, raw json.RawMessage, emit func(any) error) error {
		var args A
		if err := json.Unmarshal(raw, &args); err != nil {
			return fmt.Errorf("reading the arguments: %w", err)
		}
		return run(ctx, args, emit)
	}
}

// admin is what operations on the state need beside it.
type admin struct {
	snapshot func(context.Context) (*policy.Snapshot, error) // with the accounts' identities written down
	look     func(context.Context) (*policy.Snapshot, error) // for questions, which change nothing
	auth     *auth.Authenticator
	changed  func(context.Context) error // called after identities or choices have changed
	imports  func() *imports             // nil: there is no state
	ended    func(credential string)     // called with each that holds no more
}

// explain answers a policy.Question.
func (a admin) explain() control.Op {
	return operation(func(ctx context.Context, q policy.Question, emit func(any) error) error {
		snap, err := a.look(ctx)
		if err != nil {
			return err
		}
		e := snap.Explain(q)
		a.tellPresence(ctx, q, &e)
		return emit(e)
	})
}

// operations are those that work on the state, with a daemon or without.
func (st *state) operations(a admin) map[string]control.Op {
	ops := map[string]control.Op{
		OpExplain: a.explain(),
		OpPassword: operation(func(ctx context.Context, args PasswordArgs, emit func(any) error) error {
			return st.setPassword(ctx, a, args, emit)
		}),
		OpRestore: operation(func(ctx context.Context, args AddressArgs, emit func(any) error) error {
			return st.reopen(ctx, a, "restored", args.Address, emit, func(known []policy.Identity, address mail.Address, now time.Time) ([]policy.Identity, error) {
				i, err := policy.Restore(known, address, now)
				return []policy.Identity{i}, err
			})
		}),
		OpRenew: operation(func(ctx context.Context, args AddressArgs, emit func(any) error) error {
			return st.reopen(ctx, a, "started anew", args.Address, emit, policy.Renew)
		}),
		OpDefault: operation(func(ctx context.Context, args DefaultArgs, emit func(any) error) error {
			return st.setDefault(ctx, a, args, emit)
		}),
		OpAuditList: operation(func(ctx context.Context, args AuditArgs, emit func(any) error) error {
			return st.listAudit(ctx, a, args, emit)
		}),
		OpAuditVerify: func(ctx context.Context, _ json.RawMessage, emit func(any) error) error {
			report, err := st.trace.Verify(ctx)
			if err != nil {
				return err
			}
			return emit(report)
		},
		OpAuditExport: func(ctx context.Context, _ json.RawMessage, emit func(any) error) error {
			return st.trace.Export(ctx, lineEmitter{emit})
		},
	}
	maps.Copy(ops, st.storeOperations())
	maps.Copy(ops, st.queueOperations())
	maps.Copy(ops, st.tokenOperations(a))
	maps.Copy(ops, st.backupOperations())
	maps.Copy(ops, a.accountOperations(func(ctx context.Context) (map[mail.AccountID]time.Time, error) { return st.lastLogins(ctx, false) }))
	maps.Copy(ops, st.directoryOperations(a))
	return ops
}

func (st *state) setPassword(ctx context.Context, a admin, args PasswordArgs, emit func(any) error) error {
	snap, err := a.snapshot(ctx)
	if err != nil {
		return err
	}
	account, ok := snap.Account(args.Address)
	switch {
	case !ok:
		return fmt.Errorf("no account has the address %s", args.Address)
	case !account.Kind.Nominative():
		return fmt.Errorf("%s is of kind %s: nobody logs in to it with a password", args.Address, account.Kind)
	case account.ID == "":
		return fmt.Errorf("%s is closed: run `balorg account restore` or `balorg account new` first", args.Address)
	}
	if err := a.auth.SetPassword(ctx, account.ID, auth.NewSecret(args.Password)); err != nil {
		return err
	}
	if err := st.administered(ctx, account, "account passwd"); err != nil {
		return err
	}
	said := fmt.Sprintf("password of %s set", account.Address)
	if account.State != policy.Active {
		said += fmt.Sprintf("; the account is %s and cannot log in before it is active in the accounts file", account.State)
	}
	return emit(said)
}

// administered records what an administrator did at the shell, where nobody is authenticated.
func (st *state) administered(ctx context.Context, account *policy.Account, request string) error {
	return st.trace.Append(ctx, audit.Record{
		Time: time.Now(), Action: audit.Administer, Protocol: "control", Request: request, Answer: "OK",
		Mailbox: audit.Party{ID: account.ID, Address: account.Address},
	})
}

// reopen gives a closed address back to somebody. The snapshot comes first: without a daemon nobody has noticed yet that the address
// is in the files again, and it may be named by its MSSanté address.
func (st *state) reopen(ctx context.Context, a admin, what string, address mail.Address, emit func(any) error,
	change func([]policy.Identity, mail.Address, time.Time) ([]policy.Identity, error),
) error {
	snap, err := a.snapshot(ctx)
	if err != nil {
		return err
	}
	if account, ok := snap.Account(address); ok {
		address = account.Address
	}
	var id mail.AccountID
	err = st.changeIdentities(ctx, func(known []policy.Identity) ([]policy.Identity, error) {
		changes, err := change(known, address, time.Now())
		for _, i := range changes {
			if i.State == policy.IdentityLive {
				id = i.ID
			}
		}
		return changes, err
	})
	if err != nil {
		return err
	}
	if err := a.changed(ctx); err != nil {
		return err
	}
	if err := st.administered(ctx, &policy.Account{ID: id, Address: address}, "account "+what); err != nil {
		return err
	}
	return emit(fmt.Sprintf("%s %s", address, what))
}

func (st *state) setDefault(ctx context.Context, a admin, args DefaultArgs, emit func(any) error) error {
	snap, err := a.snapshot(ctx)
	if err != nil {
		return err
	}
	person, ok := snap.Account(args.Person)
	if !ok {
		return fmt.Errorf("no account has the address %s", args.Person)
	}
	box, ok := snap.Account(args.Mailbox)
	if !ok {
		return fmt.Errorf("no account has the address %s", args.Mailbox)
	}
	c, ok := snap.ChooseDefault(person.ID, box.ID)
	if !ok {
		return fmt.Errorf("%s may not open %s; `balorg explain` says why", args.Person, args.Mailbox)
	}
	if err := st.settings.SetChoice(ctx, storedChoice(c)); err != nil {
		return err
	}
	if err := a.changed(ctx); err != nil {
		return err
	}
	return emit(fmt.Sprintf("%s opens %s first", person.Address, box.Address))
}
