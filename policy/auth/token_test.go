package auth

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"balorg/policy"
)

// keptTokens are Tokens in memory.
type keptTokens struct {
	mu    sync.Mutex
	known map[TokenHash]policy.Token
	looks int
	err   error
}

func (k *keptTokens) Token(_ context.Context, hash TokenHash) (policy.Token, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.looks++
	if t, ok := k.known[hash]; ok || k.err != nil {
		return t, k.err
	}
	return policy.Token{}, ErrUnset
}

func (k *keptTokens) Used(_ context.Context, t policy.Token, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for hash, kept := range k.known {
		if kept.ID == t.ID {
			kept.LastUsed = now
			k.known[hash] = kept
		}
	}
}

// withTokens gives a clinic device tokens; make adds one and answers its secret.
func withTokens(c *clinic) (kept *keptTokens, add func(t policy.Token) Secret) {
	kept = &keptTokens{known: map[TokenHash]policy.Token{}}
	c.tokens = kept
	return kept, func(t policy.Token) Secret {
		secret, hash := NewToken()
		t.Created = c.now()
		kept.known[hash] = t
		return secret
	}
}

func TestTokenForm(t *testing.T) {
	secret, hash := NewToken()
	text := secret.Reveal()
	if !regexp.MustCompile(`^bal-[0-9a-hjkmnp-tv-z]{26}$`).MatchString(text) {
		t.Errorf("the form of a token: %d characters", len(text))
	}
	if again, _ := NewToken(); again.Reveal() == text {
		t.Error("two tokens are one")
	}
	// As somebody types it from paper.
	fixed := "bal-10abcdefghjkmnpqrstvwxyz08"
	for _, typed := range []string{text, strings.ToUpper(text), text[:10] + " " + text[10:20] + "-" + text[20:]} {
		if got, ok := parseToken(NewSecret(typed)); !ok || got != hash {
			t.Errorf("as %d characters it is another", len(typed))
		}
	}
	want, _ := parseToken(NewSecret(fixed))
	if got, ok := parseToken(NewSecret("BAL-lOABCDEFGHJKMNPQRSTVWXYZo8")); !ok || got != want {
		t.Error("letters that look like digits are not read as those")
	}
	for _, no := range []string{"", "bal-", "bal", text + "0", text[:29], "bat" + text[3:], "demo-claire.durand", "bal-" + strings.Repeat("z", 26), "bal-" + strings.Repeat("-", 5000)} {
		if _, ok := parseToken(NewSecret(no)); ok {
			t.Errorf("%.40q is taken for a token", no)
		}
	}
}

func TestAuthenticateWithToken(t *testing.T) {
	c := newClinic(t, Config{})
	kept, add := withTokens(c)
	phone := add(policy.Token{ID: "any", Account: "id-claire.durand", Name: "phone", Scopes: policy.Scopes()})
	scanner := add(policy.Token{ID: "scanner", Account: "id-claire.durand", Name: "scanner", Scopes: []policy.Scope{policy.ScopeSMTP}, Mailbox: "id-secretariat"})
	app := add(policy.Token{ID: "app", Account: "id-imagerie-auto", Name: "RIS", Scopes: policy.Scopes()})
	stray, _ := NewToken()
	for _, tt := range []struct {
		name, user, protocol string
		secret               Secret
		opens                string
		code                 policy.ReasonCode
	}{
		{"hers", "claire.durand", "imap", phone, "claire.durand", ""},
		{"bound to a mailbox", "claire.durand", "smtp", scanner, "secretariat", ""},
		{"an app's", "imagerie-auto", "ldap", app, "imagerie-auto", ""},
		{"another protocol", "claire.durand", "imap", scanner, "", policy.ReasonTokenScope},
		{"the portal", "claire.durand", "portal", phone, "", policy.ReasonTokenScope},
		{"no protocol", "claire.durand", "", phone, "", policy.ReasonTokenScope},
		{"another person's", "noemie.martin", "imap", phone, "", policy.ReasonWrongSecret},
		{"none", "claire.durand", "imap", stray, "", policy.ReasonWrongSecret},
		{"none, of nobody", "nobody", "imap", stray, "", policy.ReasonUnknown},
		{"none, of an organisation", "secretariat", "imap", stray, "", policy.ReasonOrgLogin},
		{"hers, for an organisation", "secretariat", "imap", phone, "", policy.ReasonOrgLogin},
		{"pre-registered", "marc.roux", "imap", phone, "", policy.ReasonNotActive},
	} {
		t.Run(tt.name, func(t *testing.T) {
			kept.looks = 0
			result, err := c.Authenticate(t.Context(), Request{User: tt.user + at, Password: tt.secret, Protocol: tt.protocol, Remote: ward})
			if kept.looks != 1 || c.hashes.Load() != 0 {
				t.Errorf("looked up %d times, %d hashes", kept.looks, c.hashes.Load())
			}
			var refusal *Refusal
			switch {
			case tt.opens == "":
				if !errors.As(err, &refusal) || refusal.Reason.Code != tt.code {
					t.Errorf("answered %v", err)
				}
			case err != nil:
				t.Error(err)
			case result.Mailbox.Address.Local() != tt.opens || result.Means.Method != policy.MethodToken || result.Means.ID == "":
				t.Errorf("opens %+v", result)
			}
		})
	}
	result, err := c.Authenticate(t.Context(), Request{User: "claire.durand" + at, Password: scanner, Protocol: "smtp"})
	want := policy.Means{Method: policy.MethodToken, ID: TokenCredential("scanner"), Name: "scanner", Only: "id-secretariat"}
	if diff := cmp.Diff(want, result.Means); err != nil || diff != "" {
		t.Errorf("%v, %s", err, diff)
	}
	if got := result.Means.String(); got != `token "scanner"` {
		t.Errorf("traced as %s", got)
	}
}

// TestTokenIsNotLockedOut: those who try wrong tokens are throttled, and the right one gets in all the same.
func TestTokenIsNotLockedOut(t *testing.T) {
	c := newClinic(t, Config{})
	_, add := withTokens(c)
	secret := add(policy.Token{ID: "a", Account: "id-lea.petit", Scopes: policy.Scopes()})
	req := Request{User: "lea.petit" + at, Protocol: "imap", Remote: stranger}
	throttled := false
	for range 30 {
		req.Password, _ = NewToken()
		_, err := c.Authenticate(t.Context(), req)
		throttled = throttled || errors.Is(err, ErrTemporary)
	}
	if !throttled {
		t.Error("30 wrong tokens were all looked at")
	}
	req.Password = secret
	if _, err := c.Authenticate(t.Context(), req); err != nil {
		t.Errorf("the right one: %v", err)
	}
}

func TestTokenExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, Config{TokenUnused: 24 * time.Hour})
		_, add := withTokens(c)
		req := Request{User: "lea.petit" + at, Protocol: "imap", Password: add(policy.Token{ID: "a", Account: "id-lea.petit", Scopes: policy.Scopes()})}
		for _, pause := range []time.Duration{23 * time.Hour, 23 * time.Hour} {
			wait(pause)
			if _, err := c.Authenticate(t.Context(), req); err != nil {
				t.Errorf("used again after %v: %v", pause, err)
			}
		}
		wait(24*time.Hour + 1)
		var refusal *Refusal
		if _, err := c.Authenticate(t.Context(), req); !errors.As(err, &refusal) || refusal.Reason.Code != policy.ReasonTokenExpired {
			t.Errorf("unused for a day: %v", err)
		}
	})
}

func TestTokenStorageTrouble(t *testing.T) {
	c := newClinic(t, Config{})
	kept, add := withTokens(c)
	secret := add(policy.Token{ID: "a", Account: "id-lea.petit", Scopes: policy.Scopes()})
	kept.err = errors.New("disk on fire")
	if _, err := c.Authenticate(t.Context(), Request{User: "lea.petit" + at, Protocol: "imap", Password: secret}); !errors.Is(err, ErrTemporary) || !errors.Is(err, kept.err) {
		t.Errorf("storage down: %v", err)
	}
}

func TestTokenIsNoPassword(t *testing.T) {
	c := newClinic(t, Config{})
	secret, _ := NewToken()
	if err := c.SetPassword(t.Context(), "id-lea.petit", secret); !errors.Is(err, ErrWeakPassword) {
		t.Errorf("a password that reads as a token: %v", err)
	}
}

// TestFormerPasswordEnds: what a session has logged in with is told of when it changes, and is never the same again.
func TestFormerPasswordEnds(t *testing.T) {
	c := newClinic(t, Config{})
	var ended []string
	c.ended = func(credential string) { ended = append(ended, credential) }
	var had []string
	for range 2 {
		for range 2 { // the second is remembered
			result, err := c.try("lea.petit"+at, "demo-lea.petit", ward)
			if err != nil || result.Means.Method != policy.MethodPassword || result.Means.ID == "" {
				t.Fatalf("%+v, %v", result.Means, err)
			}
			had = append(had, result.Means.ID)
		}
		if err := c.SetPassword(t.Context(), "id-lea.petit", NewSecret("demo-lea.petit")); err != nil {
			t.Fatal(err)
		}
	}
	if had[0] != had[1] || had[2] != had[3] || had[0] == had[2] {
		t.Errorf("credentials %q", had)
	}
	if err := c.RemovePassword(t.Context(), "id-lea.petit"); err != nil {
		t.Fatal(err)
	}
	if len(ended) != 3 || ended[0] != had[0] || ended[1] != had[2] {
		t.Errorf("ended %q of %q", ended, had)
	}
}
