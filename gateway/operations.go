package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"balorg/gateway/control"
	"balorg/mail"
	"balorg/policy"
	"balorg/policy/auth"
	"balorg/store/audit"
	"balorg/store/setting"
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
	OpCheckStore  = "check-store"
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
	ops := g.st.operations(admin{
		snapshot: func(context.Context) (*policy.Snapshot, error) { return g.snapshot.Load(), nil },
		auth:     g.auth,
		changed:  g.refresh,
	})
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
	for _, loss := range policy.Lost(old, snap) {
		g.log.Info("access withdrawn or lessened", slog.Any("person", addressOf(old, loss.Person)), slog.Any("mailbox", addressOf(old, loss.Mailbox)))
	}
	g.sessions.Recheck(snap)
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
	snapshot func(context.Context) (*policy.Snapshot, error)
	auth     *auth.Authenticator
	changed  func(context.Context) error // called after identities or choices have changed
}

// operations are those that work on the state, with a daemon or without.
func (st *state) operations(a admin) map[string]control.Op {
	return map[string]control.Op{
		OpExplain: operation(func(ctx context.Context, q policy.Question, emit func(any) error) error {
			snap, err := a.snapshot(ctx)
			if err != nil {
				return err
			}
			return emit(snap.Explain(q))
		}),
		OpPassword: operation(func(ctx context.Context, args PasswordArgs, emit func(any) error) error {
			return st.setPassword(ctx, a, args, emit)
		}),
		OpRestore: operation(func(ctx context.Context, args AddressArgs, emit func(any) error) error {
			return st.reopen(ctx, a, "restored", args.Address, emit, func(known []policy.Identity, now time.Time) ([]policy.Identity, error) {
				i, err := policy.Restore(known, args.Address, now)
				return []policy.Identity{i}, err
			})
		}),
		OpRenew: operation(func(ctx context.Context, args AddressArgs, emit func(any) error) error {
			return st.reopen(ctx, a, "started anew", args.Address, emit, func(known []policy.Identity, now time.Time) ([]policy.Identity, error) {
				return policy.Renew(known, args.Address, now)
			})
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
		OpCheckStore: func(ctx context.Context, _ json.RawMessage, emit func(any) error) error {
			problems, err := st.check(ctx)
			if err != nil {
				return err
			}
			for _, p := range problems {
				if err := emit(p); err != nil {
					return err
				}
			}
			return nil
		},
	}
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
	return emit(fmt.Sprintf("password of %s set", account.Address))
}

// administered records what an administrator did at the shell, where nobody is authenticated.
func (st *state) administered(ctx context.Context, account *policy.Account, request string) error {
	return st.trace.Append(ctx, audit.Record{
		Time: time.Now(), Action: audit.Administer, Protocol: "control", Request: request, Answer: "OK",
		Mailbox: audit.Party{ID: account.ID, Address: account.Address},
	})
}

func (st *state) reopen(ctx context.Context, a admin, what string, address mail.Address, emit func(any) error,
	change func([]policy.Identity, time.Time) ([]policy.Identity, error),
) error {
	now := time.Now()
	err := st.changeIdentities(ctx, func(known []policy.Identity) ([]policy.Identity, error) { return change(known, now) })
	if err != nil {
		return err
	}
	if err := a.changed(ctx); err != nil {
		return err
	}
	if err := st.administered(ctx, &policy.Account{Address: address}, "account "+what); err != nil {
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
	err = st.settings.SetChoice(ctx, setting.Choice{
		Kind: string(c.Kind), Person: c.Person, Mailbox: c.Mailbox, On: c.On, FileDefault: c.FileDefault, FileNotify: c.FileNotify,
	})
	if err != nil {
		return err
	}
	if err := a.changed(ctx); err != nil {
		return err
	}
	return emit(fmt.Sprintf("%s opens %s first", person.Address, box.Address))
}

func (st *state) listAudit(ctx context.Context, a admin, args AuditArgs, emit func(any) error) error {
	snap, err := a.snapshot(ctx)
	if err != nil {
		return err
	}
	f := audit.Filter{Since: args.Since, Action: audit.Action(args.Action)}
	for _, w := range []struct {
		address mail.Address
		into    *mail.AccountID
	}{{args.Mailbox, &f.Mailbox}, {args.Person, &f.Person}} {
		if w.address == "" {
			continue
		}
		account, ok := snap.Account(w.address)
		if !ok || account.ID == "" {
			return fmt.Errorf("no account has the address %s", w.address)
		}
		*w.into = account.ID
	}
	var failed error
	err = st.trace.List(ctx, f, func(r audit.Record) bool {
		failed = emit(r)
		return failed == nil
	})
	return errors.Join(err, failed)
}

// lineEmitter sends what is written to it line by line.
type lineEmitter struct{ emit func(any) error }

func (l lineEmitter) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		if err := l.emit(json.RawMessage(strings.TrimRight(line, "\n"))); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

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
	broken := problems.Err()
	if broken != nil && loaded.brokenConfig(problems) {
		return nil, broken
	}
	st, err := openState(loaded.Config, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	look := func(ctx context.Context) (*policy.Snapshot, error) {
		if broken != nil {
			return nil, broken
		}
		return st.look(ctx, loaded, time.Now())
	}
	ops := st.operations(admin{
		snapshot: func(ctx context.Context) (*policy.Snapshot, error) {
			if broken != nil {
				return nil, broken
			}
			snap, _, err := st.snapshot(ctx, loaded, time.Now(), false)
			return snap, err
		},
		auth: auth.New(auth.Options{
			Config: loaded.Config.Authentication, Passwords: st.settings,
			Snapshot: func() *policy.Snapshot {
				snap, err := look(ctx)
				if err != nil {
					return policy.NewSnapshot(&policy.Roster{}, nil, nil)
				}
				return snap
			},
		}),
		changed: func(context.Context) error { return nil },
	})
	explain := st.operations(admin{snapshot: look})[OpExplain]
	ops[OpExplain] = explain // a question changes nothing
	return control.Local(ops, func() error {
		st.close()
		return nil
	}), nil
}
