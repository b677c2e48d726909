package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"balorg/ldapserver/directory"
	"balorg/mail"
	"balorg/policy"
	"balorg/policy/auth"
	"balorg/smtp/notice"
	"balorg/smtp/queue"
	"balorg/store"
	"balorg/store/activation"
	"balorg/store/audit"
	"balorg/store/body"
	"balorg/store/identity"
	"balorg/store/lastlogin"
	"balorg/store/lock"
	"balorg/store/mailbox"
	"balorg/store/sent"
	"balorg/store/setting"
	"balorg/store/subscription"
	"balorg/store/token"
	"balorg/store/transfer"
)

// state is everything the daemon keeps, opened together.
type state struct {
	db            *store.DB
	bodies        *body.Bodies
	boxes         *mailbox.Store
	trace         *audit.Log
	settings      passwords
	tokens        tokens
	unused        time.Duration // how long a device token may go unused
	subscriptions *subscription.Table
	transfers     *transfer.Table
	sent          *sent.Table
	logins        *lastlogin.Table
	locks         locks
	links         *activation.Table
	national      *directory.Table
	spool         string // folder for messages that are held while it is decided what becomes of them
	queue         *queue.Queue
	log           *slog.Logger
	maxChanges    int // maxChanges, but in tests
}

// bodiesFolder, in the state's folder, holds the large messages.
const bodiesFolder = "bodies"

// spoolFolder, in the state's folder, is empty after a start.
const spoolFolder = "spool"

func emptySpool(dir string) (string, error) {
	spool := filepath.Join(dir, spoolFolder)
	err := os.RemoveAll(spool)
	if err == nil {
		err = os.Mkdir(spool, 0o700)
	}
	if err != nil {
		return "", fmt.Errorf("emptying %s: %w", spool, err)
	}
	return spool, nil
}

// openState opens the state of a configuration, made when it is not there, and sweeps what a crash left behind.
func openState(cfg *Config, log *slog.Logger) (*state, error) {
	if err := whole(cfg.StateDir()); err != nil {
		return nil, err
	}
	return openAnyState(cfg, log)
}

// openAnyState is openState for one that is being restored, too.
func openAnyState(cfg *Config, log *slog.Logger) (*state, error) {
	dir := cfg.StateDir()
	db, err := store.Open(store.Options{Dir: dir, MinFree: int64(cfg.Store.MinFree), Logger: log})
	if err != nil {
		return nil, fmt.Errorf("opening the state in %s: %w", dir, err)
	}
	bodies, err := body.New(db, filepath.Join(dir, bodiesFolder), body.Options{Room: db.Room})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the bodies in %s: %w", dir, err), db.Close())
	}
	spool, err := emptySpool(dir)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	swept, err := bodies.Sweep(context.Background())
	if err != nil { // it costs room on the disk, and no mail; a state that is damaged must open to be checked
		log.Error("removing what unfinished writes left: run `balorg check-store`", slog.Any("error", err))
	}
	if swept > 0 {
		log.Info("removed what unfinished writes had left", slog.Any("files", swept))
	}
	names := mailbox.FrenchNames
	if cfg.IMAP.FolderNames.V == "en" {
		names = mailbox.EnglishNames
	}
	trace := audit.New(db)
	return &state{
		db: db, bodies: bodies,
		queue:         queue.New(queue.Options{Config: cfg.Relay.QueueConfig, PerDestination: cfg.Relay.MaxConnections, Store: db, Bodies: bodies, Trace: trace, Logger: log}),
		boxes:         mailbox.New(db, bodies, mailbox.Options{Names: names, MaxMessage: int64(cfg.IMAP.MaxMessage)}),
		trace:         trace,
		settings:      passwords{setting.New(db)},
		tokens:        tokens{token.New(db), log},
		unused:        cfg.Authentication.Unused(),
		subscriptions: subscription.New(db),
		transfers:     transfer.New(db),
		sent:          sent.New(db),
		logins:        lastlogin.New(db),
		locks:         locks{lock.New(db)},
		links:         activation.New(db),
		national:      directory.NewTable(db),
		spool:         spool,
		log:           log,
		maxChanges:    maxChanges,
	}, nil
}

func (st *state) close() {
	if err := st.trace.Close(context.Background()); err != nil {
		st.log.Error("writing the last records of the trace", slog.Any("error", err))
	}
	if err := st.db.Close(); err != nil {
		st.log.Error("closing the state", slog.Any("error", err))
	}
}

// passwords are the settings as authentication sees them.
type passwords struct{ *setting.Table }

func (p passwords) Password(ctx context.Context, id mail.AccountID) (string, error) {
	hash, err := p.Table.Password(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return "", auth.ErrUnset
	}
	return hash, err
}

// healthy answers an error when the state cannot be read.
func (st *state) healthy(ctx context.Context) error {
	return st.db.View(ctx, func(store.Reader) error { return nil })
}

// writable answers an error when the state takes no writes.
func (st *state) writable() error {
	if err := st.db.Ready(); err != nil {
		return err
	}
	return st.db.Room(0)
}

// snapshot reconciles the identities with a roster, durably, and makes the snapshot of both. It writes only what has changed: a
// daemon whose disk is full can start, so that mail can be removed. Unless forced, it parks no more accounts at once than a
// reload may remove, and answers how many it held back: files cut short before a start close nobody's account.
func (st *state) snapshot(ctx context.Context, l *Loaded, now time.Time, force bool) (snap *policy.Snapshot, held int, err error) {
	known, err := st.identities(ctx)
	if err != nil {
		return nil, 0, err
	}
	reconcile := func() []policy.Identity {
		changes := policy.Reconcile(known, l.Roster, now, l.Config.Limits.Park())
		if !force {
			changes, held = l.Config.Limits.Hold(known, changes)
		}
		return changes
	}
	for more := len(reconcile()) > 0; more; {
		err = st.db.Update(ctx, func(tx store.Writer) error {
			kept, err := identity.All(tx)
			if err != nil {
				return err
			}
			known = policyIdentities(kept)
			changes := reconcile()
			more = len(changes) > st.maxChanges
			changes = changes[:min(st.maxChanges, len(changes))]
			if err := putIdentities(tx, changes); err != nil {
				return err
			}
			known = policy.ApplyIdentities(known, changes)
			return nil
		})
		if err != nil {
			return nil, 0, fmt.Errorf("matching accounts with their identities: %w", err)
		}
		// What is left of this belongs to it: with a part of the accounts parked, the shares are others.
		force = force || (more && held == 0)
	}
	snap, err = st.build(ctx, l, known)
	st.forgetLapsed(ctx, snap, err)
	return snap, held, err
}

// maxChanges bounds the rows of one transaction: a platform that starts with a hundred thousand accounts does not fit into one. Each
// row stands for itself, so that the next start goes on where a crash interrupted.
const maxChanges = 5000

// forgetLapsed deletes the choices that no longer hold in the snapshot that was built. Where that fails the snapshot is no worse,
// and the next one tries again.
func (st *state) forgetLapsed(ctx context.Context, built *policy.Snapshot, failed error) {
	if failed != nil {
		return
	}
	var lapsed []setting.Choice
	for _, c := range built.Lapsed() {
		lapsed = append(lapsed, storedChoice(c))
	}
	for part := range slices.Chunk(lapsed, st.maxChanges) {
		if err := st.settings.DeleteChoices(ctx, part...); err != nil {
			st.log.WarnContext(ctx, "forgetting lapsed choices", slog.Any("error", err))
			return
		}
	}
}

func storedChoice(c policy.Choice) setting.Choice {
	return setting.Choice{
		Kind: string(c.Kind), Person: c.Person, Mailbox: c.Mailbox, On: c.On, FileDefault: c.FileDefault, FileNotify: c.FileNotify,
	}
}

// look makes a snapshot without writing anything: for questions.
func (st *state) look(ctx context.Context, l *Loaded, now time.Time) (*policy.Snapshot, error) {
	known, err := st.identities(ctx)
	if err != nil {
		return nil, err
	}
	changes := policy.Reconcile(known, l.Roster, now, l.Config.Limits.Park())
	return st.build(ctx, l, policy.ApplyIdentities(known, changes))
}

func (st *state) build(ctx context.Context, l *Loaded, known []policy.Identity) (*policy.Snapshot, error) {
	kept, err := st.settings.Choices(ctx)
	if err != nil {
		return nil, err
	}
	choices := make([]policy.Choice, len(kept))
	for i, c := range kept {
		choices[i] = policy.Choice{
			Kind: policy.ChoiceKind(c.Kind), Person: c.Person, Mailbox: c.Mailbox, On: c.On,
			FileDefault: c.FileDefault, FileNotify: c.FileNotify,
		}
	}
	return policy.NewSnapshot(withQuotas(l), known, choices), nil
}

// withQuotas answers the roster with the configuration's quota for accounts that have none of their own.
func withQuotas(l *Loaded) *policy.Roster {
	r := *l.Roster
	r.Accounts = slices.Clone(r.Accounts)
	for i, a := range r.Accounts {
		if a.Quota == 0 {
			account := *a
			account.Quota = int64(l.Config.Limits.Quota)
			r.Accounts[i] = &account
		}
	}
	return &r
}

func (st *state) identities(ctx context.Context) ([]policy.Identity, error) {
	var known []policy.Identity
	err := st.db.View(ctx, func(r store.Reader) error {
		kept, err := identity.All(r)
		known = policyIdentities(kept)
		return err
	})
	return known, err
}

func policyIdentities(kept []identity.Identity) []policy.Identity {
	known := make([]policy.Identity, len(kept))
	for i, k := range kept {
		known[i] = policy.Identity{ID: k.ID, Address: k.Address, Kind: policy.Kind(k.Kind), State: policy.IdentityState(k.State), Since: k.Since}
	}
	return known
}

// changeIdentities writes what fn answers of the identities known.
func (st *state) changeIdentities(ctx context.Context, fn func(known []policy.Identity) ([]policy.Identity, error)) error {
	return st.db.Update(ctx, func(tx store.Writer) error {
		kept, err := identity.All(tx)
		if err != nil {
			return err
		}
		changes, err := fn(policyIdentities(kept))
		if err != nil {
			return err
		}
		return putIdentities(tx, changes)
	})
}

func putIdentities(tx store.Writer, changes []policy.Identity) error {
	for _, c := range changes {
		if err := identity.Put(tx, identity.Identity{ID: c.ID, Address: c.Address, Kind: string(c.Kind), State: string(c.State), Since: c.Since}); err != nil {
			return err
		}
	}
	return nil
}

// housekeep removes old trace records, what was sent too long ago for the client's copy to come, and what is left of accounts that were parked for too long. That they were is found here, too: the
// files may stay as they are for months.
func (st *state) housekeep(ctx context.Context, cfg *Config, now time.Time) error {
	var errs []error
	if _, err := st.lastLogins(ctx, true); err != nil { // before the records leave
		errs = append(errs, err)
	}
	if _, err := st.trace.Prune(ctx, now.Add(-cfg.Audit.Retention)); err != nil {
		errs = append(errs, fmt.Errorf("removing old trace records: %w", err))
	}
	if _, err := st.sent.Prune(ctx, now.Add(-sent.Keep)); err != nil {
		errs = append(errs, err)
	}
	// Those that have expired are listed for as long again: their owners wonder.
	if err := st.tokens.RemoveUnused(ctx, now.Add(-2*st.unused)); err != nil {
		errs = append(errs, err)
	}
	if err := st.expire(ctx, now, cfg.Limits.Park()); err != nil {
		errs = append(errs, fmt.Errorf("letting go of former accounts: %w", err))
	}
	return errors.Join(append(errs, st.removeExpired(ctx, st.log))...)
}

func (st *state) expire(ctx context.Context, now time.Time, parkFor time.Duration) error {
	known, err := st.identities(ctx)
	for more := len(policy.Expire(known, now, parkFor)) > 0; more && err == nil; {
		err = st.db.Reclaim(ctx, func(tx store.Writer) error {
			kept, err := identity.All(tx)
			if err != nil {
				return err
			}
			changes := policy.Expire(policyIdentities(kept), now, parkFor)
			more = len(changes) > st.maxChanges
			return putIdentities(tx, changes[:min(st.maxChanges, len(changes))])
		})
	}
	return err
}

// removeExpired deletes everything of accounts whose time in parking is over. The identity goes last, so that an interrupted
// removal is taken up again.
func (st *state) removeExpired(ctx context.Context, log *slog.Logger) error {
	known, err := st.identities(ctx)
	if err != nil {
		return err
	}
	for _, i := range known {
		if i.State != policy.IdentityExpired {
			continue
		}
		if err := st.boxes.Remove(ctx, i.ID); err != nil {
			return fmt.Errorf("removing the mail of %s: %w", i.Address, err)
		}
		if err := st.forget(ctx, i.ID); err != nil {
			return fmt.Errorf("removing the settings of %s: %w", i.Address, err)
		}
		log.InfoContext(ctx, "removed the mail of a former account", slog.Any("address", i.Address))
	}
	return nil
}

// forget removes the settings, device tokens, subscriptions, what was sent lately or is to be told of and the identity of an account, in as many transactions as they need.
func (st *state) forget(ctx context.Context, id mail.AccountID) error {
	for more := true; more; {
		err := st.db.Reclaim(ctx, func(tx store.Writer) (err error) {
			if more, err = subscription.Forget(tx, id); err != nil || more {
				return err
			}
			if more, err = token.Forget(tx, id); err != nil || more {
				return err
			}
			if more, err = sent.Forget(tx, id); err != nil || more {
				return err
			}
			if more, err = notice.Forget(tx, id); err != nil || more {
				return err
			}
			if err := activation.Forget(tx, id); err != nil {
				return err
			}
			if err := lastlogin.Forget(tx, id); err != nil {
				return err
			}
			if err := setting.Forget(tx, id); err != nil {
				return err
			}
			return identity.Delete(tx, id)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// check verifies every invariant of the state.
func (st *state) check(ctx context.Context) ([]string, error) {
	return store.Check(ctx, st.db, append(st.mailCheckers(), st.queue, st.trace.Checker(),
		identity.Checker{Owners: []identity.Owner{st.boxes, st.settings.Table, st.tokens, st.subscriptions, st.sent, st.logins, st.links, notice.Table{}}}, st.logins, st.links, st.settings.Table, st.tokens, st.subscriptions, st.transfers, st.sent, notice.Table{}, st.national, st.locks)...)
}
