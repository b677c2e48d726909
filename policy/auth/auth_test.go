package auth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"balorg/configs"
	"balorg/mail"
	"balorg/policy"
)

const at = "@clinique-des-sapins.fr"

var (
	ward     = netip.MustParseAddr("192.0.2.7")
	stranger = netip.MustParseAddr("198.51.100.9")
)

// kept is a Passwords in memory.
type kept struct {
	mu     sync.Mutex
	hashes map[mail.AccountID]string
	err    error
}

func (k *kept) Password(_ context.Context, id mail.AccountID) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if hash := k.hashes[id]; hash != "" || k.err != nil {
		return hash, k.err
	}
	return "", ErrUnset
}

func (k *kept) SetPassword(_ context.Context, id mail.AccountID, hash string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hashes[id] = hash
	return k.err
}

// clinic is the demo with passwords, and a count of hashes instead of their cost.
type clinic struct {
	*Authenticator
	store    *kept
	roster   *policy.Roster
	snapshot atomic.Pointer[policy.Snapshot]
	hashes   atomic.Int64
	during   func() // runs while a password is being hashed
}

func newClinic(t *testing.T, cfg Config) *clinic {
	t.Helper()
	var files [2][]configs.File
	for i, name := range []string{"demo/accounts.yaml", "demo/delegations.yaml"} {
		data, err := fs.ReadFile(configs.Examples, name)
		if err != nil {
			t.Fatal(err)
		}
		files[i] = []configs.File{{Name: name, Data: data}}
	}
	roster, problems := policy.Load(policy.Source{Accounts: files[0], Delegations: files[1], Mailstores: []string{"local"}})
	if problems.Err() != nil {
		t.Fatal(problems)
	}
	c := &clinic{roster: roster, store: &kept{hashes: map[mail.AccountID]string{}}, during: func() {}}
	c.reload()
	c.Authenticator = newAuthenticator(Options{Config: cfg, Snapshot: c.snapshot.Load, Passwords: c.store}, c.derive)
	for _, a := range roster.Accounts {
		// The org and the app have one too: it must not count.
		if a.State == policy.Active {
			if err := c.SetPassword(t.Context(), idOf(a.Address), NewSecret("demo-"+a.Address.Local())); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.hashes.Store(0)
	return c
}

func (c *clinic) derive(password, salt []byte, _ params, length uint32) []byte {
	c.hashes.Add(1)
	c.during()
	sum := sha256.Sum256(append(append([]byte{}, salt...), password...))
	return sum[:length]
}

func (c *clinic) reload() {
	var ids []policy.Identity
	for _, a := range c.roster.Accounts {
		ids = append(ids, policy.Identity{ID: idOf(a.Address), Address: a.Address, State: policy.IdentityLive})
	}
	c.snapshot.Store(policy.NewSnapshot(c.roster, ids, nil))
}

func idOf(a mail.Address) mail.AccountID { return mail.AccountID("id-" + a.Local()) }

func (c *clinic) try(user, password string, from netip.Addr) (Result, error) {
	return c.Authenticate(context.Background(), Request{Mechanism: MechanismPlain, User: user, Password: NewSecret(password), Remote: from})
}

func TestAuthenticate(t *testing.T) {
	tests := []struct {
		user, authzid, password string
		opens                   string
	}{
		{"claire.durand" + at, "", "demo-claire.durand", "claire.durand"},
		{"Claire.Durand@SAPINS.mssante.fr", "", "demo-claire.durand", "claire.durand"},
		{"noemie.martin" + at, "", "demo-noemie.martin", "secretariat"},
		{"noemie.martin" + at, "noemie.martin" + at, "demo-noemie.martin", "secretariat"},
		{"noemie.martin" + at + "*noemie.martin" + at, "", "demo-noemie.martin", "noemie.martin"},
		{"secretariat" + at + "*paul.bernard" + at, "", "demo-paul.bernard", "secretariat"},
		{"paul.bernard" + at + "/secretariat@sapins.mssante.fr", "", "demo-paul.bernard", "secretariat"},
		{"paul.bernard" + at, "urgences" + at, "demo-paul.bernard", "urgences"},
	}
	c := newClinic(t, Config{})
	for _, test := range tests {
		result, err := c.Authenticate(t.Context(), Request{User: test.user, Authzid: test.authzid, Password: NewSecret(test.password), Remote: ward})
		if err != nil {
			t.Errorf("%s, authzid %q: %v", test.user, test.authzid, err)
			continue
		}
		if result.Mailbox.Address.Local() != test.opens || result.Access.Mailbox != result.Mailbox || result.Person.Kind == policy.Org {
			t.Errorf("%s, authzid %q opens %s", test.user, test.authzid, result.Mailbox.Address)
		}
	}
}

// TestRefusalsAreAlike holds the leak table: whatever is wrong, by each form of user name, the answer and the work are the same;
// the trace alone has the reason.
func TestRefusalsAreAlike(t *testing.T) {
	tests := []struct {
		name, person, mailbox, password string
		code                            policy.ReasonCode
	}{
		{"unknown account", "nobody", "secretariat", "demo-nobody", policy.ReasonUnknown},
		{"wrong password", "paul.bernard", "secretariat", "demo-wrong", policy.ReasonWrongSecret},
		{"empty password", "paul.bernard", "secretariat", "", policy.ReasonWrongSecret},
		{"endless password", "paul.bernard", "secretariat", "demo-paul.bernard" + strings.Repeat("x", 5000), policy.ReasonWrongSecret},
		{"org with its own password", "secretariat", "secretariat", "demo-secretariat", policy.ReasonOrgLogin},
		{"app with a password", "imagerie-auto", "imagerie-auto", "demo-imagerie-auto", policy.ReasonNotForApps},
		{"pre-registered", "marc.roux", "marc.roux", "demo-marc.roux", policy.ReasonNotActive},
		{"mailbox not delegated, right password", "noemie.martin", "urgences", "demo-noemie.martin", policy.ReasonNotDelegated},
		{"mailbox not delegated, wrong password", "noemie.martin", "urgences", "demo-x", policy.ReasonWrongSecret},
		{"mailbox unknown, right password", "noemie.martin", "nowhere", "demo-noemie.martin", policy.ReasonUnknown},
	}
	forms := map[string]func(person, mailbox string) (user, authzid string){
		"star":    func(p, m string) (string, string) { return m + at + "*" + p + at, "" },
		"slash":   func(p, m string) (string, string) { return p + at + "/" + m + at, "" },
		"authzid": func(p, m string) (string, string) { return p + at, m + at },
	}
	for _, test := range tests {
		for form, build := range forms {
			t.Run(test.name+", "+form, func(t *testing.T) {
				c := newClinic(t, Config{})
				// What succeeded a moment ago makes no refusal quicker.
				if _, err := c.try("noemie.martin"+at, "demo-noemie.martin", ward); err != nil {
					t.Fatal(err)
				}
				c.hashes.Store(0)
				user, authzid := build(test.person, test.mailbox)
				for i := range 6 { // six in a row are answered as usual
					_, err := c.Authenticate(t.Context(), Request{User: user, Authzid: authzid, Password: NewSecret(test.password), Remote: ward})
					var refusal *Refusal
					if !errors.Is(err, ErrRefused) || errors.Is(err, ErrTemporary) || !errors.As(err, &refusal) {
						t.Fatalf("attempt %d: %v", i, err)
					}
					if refusal.Reason.Code != test.code || refusal.User != user {
						t.Errorf("attempt %d: the trace says %+v", i, refusal)
					}
				}
				if got := c.hashes.Load(); got != 6 {
					t.Errorf("%d hashes for 6 refusals", got)
				}
			})
		}
	}
}

func TestMalformedUserNames(t *testing.T) {
	c := newClinic(t, Config{})
	for i, user := range []string{"", "noemie", "a*b*c", "\x00", strings.Repeat("x", 10000)} {
		_, err := c.try(user, "demo-noemie.martin", ward)
		var refusal *Refusal
		if !errors.As(err, &refusal) || refusal.Reason.Code != policy.ReasonBadLogin || int(c.hashes.Load()) != i+1 {
			t.Errorf("%.20q: %v after %d hashes", user, err, c.hashes.Load())
		}
	}
	_, err := c.Authenticate(t.Context(), Request{User: "secretariat" + at + "*claire.durand" + at, Authzid: "urgences" + at, Password: NewSecret("demo-claire.durand"), Remote: ward})
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Reason.Code != policy.ReasonDisagree {
		t.Errorf("names that disagree: %v", err)
	}
}

func TestRightPasswordIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, Config{})
		hashesFor := func(want int64, password string, ok bool) {
			t.Helper()
			before := c.hashes.Load()
			if _, err := c.try("claire.durand"+at, password, ward); (err == nil) != ok {
				t.Errorf("%s: %v", password, err)
			}
			if got := c.hashes.Load() - before; got != want {
				t.Errorf("%s: %d hashes, want %d", password, got, want)
			}
		}
		hashesFor(1, "demo-claire.durand", true)
		hashesFor(0, "demo-claire.durand", true)
		hashesFor(1, "demo-claire.duranD", false)
		wait(10 * time.Minute)
		hashesFor(1, "demo-claire.durand", true)
		if err := c.SetPassword(t.Context(), "id-claire.durand", NewSecret("a new passphrase")); err != nil {
			t.Fatal(err)
		}
		hashesFor(1, "demo-claire.durand", false)
		hashesFor(1, "a new passphrase", true)
		if err := c.RemovePassword(t.Context(), "id-claire.durand"); err != nil {
			t.Fatal(err)
		}
		hashesFor(1, "a new passphrase", false)
	})
}

// wait lets synctest's clock run.
func wait(d time.Duration) { <-time.After(d) }

func TestPasswordChangedWhileChecked(t *testing.T) {
	c := newClinic(t, Config{})
	c.during = func() { c.Forget("id-claire.durand") } // as SetPassword does
	for range 2 {
		if _, err := c.try("claire.durand"+at, "demo-claire.durand", ward); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.hashes.Load(); got != 2 {
		t.Errorf("a password that changed while it was checked was remembered (%d hashes)", got)
	}
}

func TestRulesChangedWhileChecked(t *testing.T) {
	c := newClinic(t, Config{})
	c.during = func() {
		c.roster.Delegations = nil
		c.reload()
	}
	_, err := c.try("secretariat"+at+"*noemie.martin"+at, "demo-noemie.martin", ward)
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Reason.Code != policy.ReasonNotDelegated {
		t.Errorf("a delegation withdrawn while the password was hashed: %v", err)
	}

	c = newClinic(t, Config{})
	c.during = func() { // as account new does
		c.snapshot.Store(policy.NewSnapshot(c.roster, []policy.Identity{
			{ID: "somebody-else", Address: "claire.durand" + at, State: policy.IdentityLive},
		}, nil))
	}
	if result, err := c.try("claire.durand"+at, "demo-claire.durand", ward); !errors.Is(err, ErrRefused) {
		t.Errorf("an address given to somebody else while its former password was hashed: %+v, %v", result, err)
	}
}

func TestStorageTrouble(t *testing.T) {
	c := newClinic(t, Config{})
	broken := errors.New("disk on fire")
	c.store.err = broken
	_, err := c.try("paul.bernard"+at, "demo-paul.bernard", ward)
	if !errors.Is(err, ErrTemporary) || errors.Is(err, ErrRefused) || !errors.Is(err, broken) {
		t.Errorf("storage down: %v", err)
	}
	if err := c.SetPassword(t.Context(), "id-paul.bernard", NewSecret("a new passphrase")); !errors.Is(err, broken) {
		t.Errorf("setting a password: %v", err)
	}
	c.store.err = nil
	c.store.hashes["id-paul.bernard"] = "$argon2id$v=19$m=99999999,t=2,p=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5"
	if _, err := c.try("paul.bernard"+at, "demo-paul.bernard", ward); !errors.Is(err, ErrTemporary) {
		t.Errorf("a hash out of bounds: %v", err)
	}
	// None of these was the person's fault, so none used up the budget.
	if n := c.throttle.pairs[pair{networkOf(ward), mail.Address("paul.bernard" + at)}].fails.n; n != 0 {
		t.Errorf("%d failures counted", n)
	}
}

func TestSetPasswordRefuses(t *testing.T) {
	c := newClinic(t, Config{})
	for _, password := range []string{"", "elevenchars", "with\ttab and more", "bad\xffutf8 and more", strings.Repeat("x", 1025), strings.Repeat("é", 11)} {
		if err := c.SetPassword(t.Context(), "id-paul.bernard", NewSecret(password)); !errors.Is(err, ErrWeakPassword) {
			t.Errorf("%.20q: %v", password, err)
		}
	}
	// A letter and its accent, typed as one or as two, are the same password.
	if err := c.SetPassword(t.Context(), "id-paul.bernard", NewSecret("me\u0301decine générale")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.try("paul.bernard"+at, "m\u00e9decine g\u00e9ne\u0301rale", ward); err != nil {
		t.Error(err)
	}
}

func TestArgon2id(t *testing.T) {
	h := newHash("correct horse", argon2id)
	text := h.String()
	if !strings.HasPrefix(text, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Error(text)
	}
	back, err := parseHash(text)
	if err != nil || !back.fits("correct horse", argon2id) || back.fits("correct horsE", argon2id) {
		t.Errorf("%s reads as %+v, %v", text, back, err)
	}
	// From the reference implementation's tests (argon2 0x13, id, t=2, m=2^8, p=1).
	known, err := parseHash("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4")
	if err != nil || !known.fits("password", argon2id) {
		t.Errorf("reference vector: %v", err)
	}
	for _, bad := range []string{
		"", "x", strings.Replace(text, "argon2id", "argon2i", 1), strings.Replace(text, "v=19", "v=16", 1), text + "$", text[:60],
		strings.Replace(text, "t=2", "t=11", 1), strings.Replace(text, "t=2", "t=0", 1), strings.Replace(text, "p=1", "p=1x", 1), strings.Replace(text, "m=19456", "m=+19456", 1),
	} {
		if h, err := parseHash(bad); err == nil {
			t.Errorf("%q reads as %+v", bad, h)
		}
	}
}

func TestSecretIsNeverPrinted(t *testing.T) {
	s := NewSecret("hunter2 hunter2")
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).LogAttrs(t.Context(), slog.LevelInfo, "x",
		slog.Any("secret", s), slog.Any("request", Request{Password: s}), slog.Any("credential", &Credential{Secret: s}))
	fmt.Fprintf(&b, "%v %+v %#v %s %q %x %d %v %#v", s, s, s, s, s, s, s, &s, Request{Password: s})
	encoded, err := json.Marshal(map[string]any{"s": s, "p": &s, "r": Request{Password: s}})
	if err != nil {
		t.Fatal(err)
	}
	b.Write(encoded)
	if out := b.String(); strings.Contains(out, "hunter2") || strings.Contains(out, fmt.Sprintf("%x", "hunter2")) {
		t.Errorf("printed: %s", out)
	}
	if s.Reveal() != "hunter2 hunter2" {
		t.Error("Reveal does not")
	}
}
