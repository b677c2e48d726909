package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"balorg/mail"
	"balorg/policy"
)

// Options are what an Authenticator works with.
type Options struct {
	Config       Config
	Snapshot     func() *policy.Snapshot // the current one
	Passwords    Passwords
	Tokens       Tokens                  // nil: there are none
	Locks        Locks                   // nil: what is counted of refused log-ins ends with the process
	Ended        func(credential string) // told of each credential that holds no more, a policy.Means.ID; may be nil
	Provider     Provider
	Directory    Directory // the way to the site's directory
	Certificates Certificates
	Now          func() time.Time // nil: time.Now
}

// Authenticator says who somebody is and which mailbox opens for them. It may be used by any number of goroutines.
type Authenticator struct {
	cfg          Config
	now          func() time.Time
	snapshot     func() *policy.Snapshot
	throttle     *throttle
	ledger       *ledger // nil: none is kept
	passwords    *passwords
	verifier     Verifier
	tokens       Tokens
	provider     *provider // nil: none is configured
	certificates Certificates
	ended        func(credential string)
}

// New makes an Authenticator for what is configured.
func New(opt Options) *Authenticator { return newAuthenticator(opt, argon2id) }

func newAuthenticator(opt Options, derive deriver) *Authenticator {
	cfg := opt.Config.withDefaults()
	now := opt.Now
	if now == nil {
		now = time.Now
	}
	p := newPasswords(opt.Passwords, cfg, now, derive)
	a := &Authenticator{
		cfg: cfg, now: now, snapshot: opt.Snapshot, throttle: newThrottle(cfg, now), passwords: p, verifier: p, tokens: opt.Tokens, ended: opt.Ended,
		provider: newProvider(cfg.OIDC, opt.Provider, now), certificates: opt.Certificates,
	}
	a.ledger = newLedger(a.throttle, opt.Locks)
	if d := newDirectory(cfg.LDAP, opt.Directory); d != nil {
		a.verifier = &chain{p, d}
	}
	if a.ended == nil {
		a.ended = func(string) {}
	}
	return a
}

// Authenticate answers who the request comes from and what they open, or an error that is ErrRefused (a *Refusal) or
// ErrTemporary (an *Unavailable).
//
// Every refusal of a password follows the same work, one hash: what is wrong with a request is looked at before and told after.
// Only what succeeds may be quick, and what has the form of a device token, which needs no hash.
func (a *Authenticator) Authenticate(ctx context.Context, req Request) (Result, error) {
	if req.Mechanism == MechanismExternal {
		return a.withCertificate(ctx, req)
	}
	if isOAuth(req.Mechanism) {
		if a.provider == nil || !a.provider.cfg.takesTokens() {
			return Result{}, &Refusal{Reason: policy.Reason{Code: policy.ReasonMethod, Text: "no OpenID provider is configured"}, User: req.Authzid}
		}
		return a.withAccessToken(ctx, req)
	}
	if hash, ok := parseToken(req.Password); ok && a.tokens != nil {
		return a.withToken(ctx, req, hash)
	}
	login, person, access, allowed := a.resolve(req)
	cred := Credential{Mechanism: req.Mechanism, Secret: req.Password, Remote: req.Remote, Protocol: req.Protocol, Address: login.Person}
	if person != nil {
		cred.Address = person.Address
	}
	if allowed {
		if means, ok := a.verifier.Remembers(person, cred); ok {
			return Result{Person: person, Mailbox: access.Mailbox, Access: access, Means: means}, nil
		}
	}
	// By the address as it was given: were both addresses of an account counted as one, a stranger who used up the budget of one would
	// learn, from being throttled at the other, that there is such an account, and that it has both.
	who := pair{network: networkOf(req.Remote), who: login.Person}
	// The mailbox asked for is part of what was wrong: a right password for a mailbox not delegated is no known wrong one.
	attempt, ok := a.throttle.begin(who, a.passwords.mac(req.User+"\x00"+req.Authzid, prepare(req.Password)))
	if !ok {
		return Result{}, a.throttled(req, person, who)
	}
	cred.Familiar = attempt.familiar
	means, err := a.verifier.Verify(ctx, whoMayLogIn(person), cred)
	if err == nil || errors.Is(err, ErrRefused) {
		result, err := a.conclude(req, person, access, err)
		if err != nil {
			attempt.finish(refused)
			return Result{}, err
		}
		attempt.finish(succeeded)
		result.Means = means
		return result, nil
	}
	attempt.finish(undecided)
	return Result{}, a.unavailable(req, err)
}

func (a *Authenticator) throttled(req Request, person *policy.Account, who pair) *Unavailable {
	return &Unavailable{Person: person, User: req.User, Reason: policy.Reason{
		Code: policy.ReasonThrottled, Text: fmt.Sprintf("too many failures lately from %s or for %q", who.network, who.who),
	}}
}

func (a *Authenticator) unavailable(req Request, err error) *Unavailable {
	_, person, _, _ := a.resolve(req)
	return &Unavailable{Person: person, User: req.User, Err: err, Reason: policy.Reason{
		Code: policy.ReasonUnavailable, Text: fmt.Sprintf("the credentials could not be checked: %v", err),
	}}
}

// Mechanisms are the SASL mechanisms that are offered, as configured; EXTERNAL only to those who have shown a certificate.
func (a *Authenticator) Mechanisms() []string {
	all := []string{MechanismPlain, MechanismLogin}
	if a.provider != nil && a.provider.cfg.takesTokens() {
		all = append(all, MechanismOAuthBearer, MechanismXOAuth2)
	}
	if a.certificates.Roots != nil {
		all = append(all, MechanismExternal)
	}
	return all
}

// resolve reads the user name and asks policy what it opens.
func (a *Authenticator) resolve(req Request) (login policy.Login, person *policy.Account, access policy.Access, ok bool) {
	login, err := policy.ParseLogin(req.User, req.Authzid)
	if err != nil {
		return policy.Login{}, nil, policy.Access{Reason: policy.Reason{Code: policy.ReasonBadLogin, Text: err.Error()}}, false
	}
	person, access, ok = a.snapshot().Resolve(login)
	return login, person, access, ok
}

// whoMayLogIn keeps from the verifier accounts whose password, if there is one, must not count.
func whoMayLogIn(person *policy.Account) *policy.Account {
	if person == nil || person.Kind == policy.Org || person.State != policy.Active {
		return nil
	}
	return person
}

// conclude turns the verifier's word and policy's into an answer. Policy is asked again: rules may have changed while the
// hash was computed.
func (a *Authenticator) conclude(req Request, before *policy.Account, asked policy.Access, verdict error) (Result, error) {
	_, person, access, allowed := a.resolve(req)
	refusal := &Refusal{Reason: access.Reason, Person: person, Mailbox: access.Mailbox, User: req.User}
	var wrong *Refusal
	switch {
	case errors.As(verdict, &wrong):
		// Whether the account may log in weighs more than its password; what the mailbox is does not.
		refusal.Reason = wrong.Reason
		if whoMayLogIn(before) == nil {
			refusal.Reason = asked.Reason
		}
		return Result{}, refusal
	case !allowed:
		return Result{}, refusal
	case before == nil || person.ID != before.ID:
		refusal.Reason = policy.Reason{Code: policy.ReasonUnknown, Text: "the account was replaced while it logged in"}
		return Result{}, refusal
	}
	return Result{Person: person, Mailbox: access.Mailbox, Access: access}, nil
}

// SetPassword checks, hashes and keeps a password for the account; what was known of the former one is dropped, and its sessions are
// ended. An error that is ErrWeakPassword says what to choose instead.
func (a *Authenticator) SetPassword(ctx context.Context, id mail.AccountID, password Secret) error {
	defer a.forgive(id)
	return a.replacing(ctx, id, func() error { return a.passwords.set(ctx, id, password) })
}

// CheckPassword answers ErrWeakPassword, with what to choose instead, for a password that SetPassword would not keep.
func (a *Authenticator) CheckPassword(password Secret) error {
	return checkPassword(prepare(password), a.passwords.cfg.MinPassword)
}

// RemovePassword takes the account's password away.
func (a *Authenticator) RemovePassword(ctx context.Context, id mail.AccountID) error {
	return a.replacing(ctx, id, func() error { return a.passwords.remove(ctx, id) })
}

// replacing changes the account's password, and tells that the former one holds no more.
func (a *Authenticator) replacing(ctx context.Context, id mail.AccountID, change func() error) error {
	former := a.passwords.credential(ctx, id)
	if err := change(); err != nil {
		return err
	}
	if former != "" {
		a.ended(former)
	}
	return nil
}

// Forget drops what is remembered of the account's password, after something else than SetPassword changed it.
func (a *Authenticator) Forget(id mail.AccountID) {
	a.passwords.forget(id)
	a.forgive(id)
}

// forgive drops what is known of wrong passwords for an account, by either of its addresses.
func (a *Authenticator) forgive(id mail.AccountID) {
	if account, ok := a.snapshot().ByID(id); ok {
		a.throttle.forgive(account.Address, account.MSSante)
	}
}
