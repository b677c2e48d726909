package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"balorg/mail"
	"balorg/policy"

	"golang.org/x/text/unicode/norm"
)

// maxPassword bounds what is hashed, in octets.
const maxPassword = 1024

// passwords verifies local passwords: one argon2id hash for each attempt, whatever is wrong with it.
type passwords struct {
	store  Passwords
	cfg    Config
	now    func() time.Time
	slots  *slots
	derive deriver
	dummy  hashed
	macKey []byte // of this process: what is remembered is of no use elsewhere

	mu         sync.Mutex
	remembered map[mail.AccountID]remembered
	epoch      uint64 // counts changes of passwords, so that one changed while being checked is not remembered
}

type remembered struct {
	mac   [sha256.Size]byte
	until time.Time
	means policy.Means
}

func newPasswords(store Passwords, cfg Config, now func() time.Time, derive deriver) *passwords {
	p := &passwords{
		store: store, cfg: cfg, now: now, slots: newSlots(cfg.HashSlots), derive: derive, dummy: dummyHash(),
		macKey: make([]byte, sha256.Size), remembered: map[mail.AccountID]remembered{},
	}
	rand.Read(p.macKey)
	return p
}

// mac stands for a secret in memory without being it.
func (p *passwords) mac(owner, secret string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, p.macKey)
	_, _ = fmt.Fprintf(h, "%d:%s%s", len(owner), owner, secret) // a hash takes everything
	h.Sum(sum[:0])
	return sum
}

// Remembers tells whether the password was right at most Config.Remember ago.
func (p *passwords) Remembers(person *policy.Account, cred Credential) (policy.Means, bool) {
	mac := p.mac(string(person.ID), prepare(cred.Secret))
	p.mu.Lock()
	defer p.mu.Unlock()
	known, ok := p.remembered[person.ID]
	return known.means, ok && p.now().Before(known.until) && hmac.Equal(known.mac[:], mac[:])
}

// Verify checks the password against the account's hash, or against one that nothing fits.
func (p *passwords) Verify(ctx context.Context, person *policy.Account, cred Credential) (policy.Means, error) {
	p.mu.Lock()
	epoch := p.epoch
	p.mu.Unlock()
	hash, reason, err := p.lookUp(ctx, person)
	if err != nil {
		return policy.Means{}, err
	}
	password := prepare(cred.Secret)
	if len(password) > maxPassword {
		hash, password = p.dummy, password[:maxPassword]
	}
	release, err := p.slots.take(ctx, cred.Familiar)
	if err != nil {
		return policy.Means{}, err
	}
	right := hash.fits(password, p.derive)
	release()
	if !right {
		return policy.Means{}, &Refusal{Reason: reason, Person: person}
	}
	means := policy.Means{Method: policy.MethodPassword, ID: hash.credential()}
	p.remember(person.ID, password, epoch, means)
	return means, nil
}

// lookUp answers the hash to check against, and the reason of a refusal when it does not fit.
func (p *passwords) lookUp(ctx context.Context, person *policy.Account) (hashed, policy.Reason, error) {
	switch {
	case person == nil:
		return p.dummy, policy.Reason{Code: policy.ReasonUnknown, Text: "no account that may log in"}, nil
	case person.Kind == policy.App:
		return p.dummy, policy.Reason{
			Code: policy.ReasonNotForApps, Text: fmt.Sprintf("%s is software, which has no password", person.Address), Pos: person.Pos,
		}, nil
	}
	if !p.cfg.Methods.allows(person.Kind, WayPasswords) {
		return p.dummy, closed(person, WayPasswords), nil
	}
	stored, err := p.store.Password(ctx, person.ID)
	if errors.Is(err, ErrUnset) {
		return p.dummy, policy.Reason{
			Code: policy.ReasonNoSecret, Text: fmt.Sprintf("%s has no password", person.Address), Pos: person.Pos,
		}, nil
	}
	if err != nil {
		return hashed{}, policy.Reason{}, fmt.Errorf("reading the password of %s: %w", person.Address, err)
	}
	hash, err := parseHash(stored)
	if err != nil {
		return hashed{}, policy.Reason{}, fmt.Errorf("reading the password of %s: %w", person.Address, err)
	}
	return hash, policy.Reason{Code: policy.ReasonWrongSecret, Text: fmt.Sprintf("wrong password for %s", person.Address)}, nil
}

func (p *passwords) remember(id mail.AccountID, password string, epoch uint64, means policy.Means) {
	mac := p.mac(string(id), password)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.epoch == epoch {
		p.remembered[id] = remembered{mac, p.now().Add(p.cfg.Remember), means}
	}
}

func (p *passwords) forget(id mail.AccountID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.epoch++
	delete(p.remembered, id)
}

// credential is the policy.Means.ID of sessions with the account's password, or empty when it has none that can be read.
func (p *passwords) credential(ctx context.Context, id mail.AccountID) string {
	stored, err := p.store.Password(ctx, id)
	if err != nil {
		return ""
	}
	hash, err := parseHash(stored)
	if err != nil {
		return ""
	}
	return hash.credential()
}

// set hashes and keeps a password.
func (p *passwords) set(ctx context.Context, id mail.AccountID, secret Secret) error {
	password := prepare(secret)
	if err := checkPassword(password, p.cfg.MinPassword); err != nil {
		return err
	}
	release, err := p.slots.take(ctx, true)
	if err != nil {
		return fmt.Errorf("hashing the password: %w", err)
	}
	hash := newHash(password, p.derive)
	release()
	// Also when writing fails: whether the old one still holds is then for the store to say.
	defer p.forget(id)
	if err := p.store.SetPassword(ctx, id, hash.String()); err != nil {
		return fmt.Errorf("keeping the password: %w", err)
	}
	return nil
}

// remove takes the password away.
func (p *passwords) remove(ctx context.Context, id mail.AccountID) error {
	defer p.forget(id)
	if err := p.store.SetPassword(ctx, id, ""); err != nil {
		return fmt.Errorf("removing the password: %w", err)
	}
	return nil
}

// prepare gives the accented letters of all keyboards one form (RFC 8265, 4.2: NFC).
func prepare(s Secret) string { return norm.NFC.String(s.Reveal()) }

// ErrWeakPassword is a password that may not be set; the text says why.
var ErrWeakPassword = errors.New("the password cannot be used")

func checkPassword(password string, minimum int) error {
	switch {
	case !utf8.ValidString(password):
		return fmt.Errorf("%w: it is not UTF-8 text", ErrWeakPassword)
	case utf8.RuneCountInString(password) < minimum:
		return fmt.Errorf("%w: it is shorter than %d characters", ErrWeakPassword, minimum)
	case len(password) > maxPassword:
		return fmt.Errorf("%w: it is longer than %d octets", ErrWeakPassword, maxPassword)
	}
	if _, ok := parseToken(NewSecret(password)); ok {
		return fmt.Errorf("%w: it has the form of a device token", ErrWeakPassword)
	}
	for _, r := range password {
		if unicode.IsControl(r) {
			return fmt.Errorf("%w: it holds the control character %U", ErrWeakPassword, r)
		}
	}
	return nil
}
