package auth

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"strings"
	"testing"
	"time"

	"balorg/configs"
	"balorg/policy"
	"balorg/policy/auth/authtest"
)

const (
	clairePSC = "810003456786" // her RPPS behind its type digit
	audience  = "balorg"
	software  = "dossier-patient"
)

// psc is a clinic that takes the tokens of a real provider.
func psc(t *testing.T, edit func(*OIDCConfig)) (*clinic, *authtest.Provider) {
	t.Helper()
	p := authtest.Start(t)
	cfg := OIDCConfig{Issuer: configs.Value[string]{V: p.Issuer, Set: true}, Audiences: []string{audience}, Clients: []string{software}}
	if edit != nil {
		edit(&cfg)
	}
	c := newClinic(t, Config{OIDC: cfg})
	c.provider = newProvider(cfg, Provider{Way: p.Client().Transport}, time.Now)
	return c, p
}

func hers(more map[string]any) authtest.Claims {
	all := map[string]any{"SubjectNameID": clairePSC}
	maps.Copy(all, more)
	return authtest.Claims{Audience: []string{"account", audience}, Client: software, More: all}
}

func (c *clinic) present(named, token string) (Result, error) {
	return c.Authenticate(context.Background(), Request{Mechanism: MechanismXOAuth2, Authzid: named, Password: NewSecret(token), Remote: ward, Protocol: "imap"})
}

// TestAccessTokens holds what a token must say, and which mailbox opens by what else is named.
func TestAccessTokens(t *testing.T) {
	c, p := psc(t, func(o *OIDCConfig) { o.ACR, o.ByEmail = []string{"eidas2", "eidas3"}, true })
	good := map[string]any{"acr": "eidas2"}
	with := func(name string, value any) map[string]any { return map[string]any{"acr": "eidas2", name: value} }
	secretariat := "secretariat" + at
	for _, tt := range []struct {
		name   string
		named  string
		claims authtest.Claims
		opens  string
		code   policy.ReasonCode
	}{
		{"nobody named", "", hers(good), "claire.durand", ""},
		{"herself", "claire.durand@sapins.mssante.fr", hers(good), "claire.durand", ""},
		{"a mailbox of hers", secretariat, hers(good), "secretariat", ""},
		{"in a form of a user name", secretariat + "*claire.durand" + at, hers(good), "secretariat", ""},
		{"a form with another person", secretariat + "*noemie.martin" + at, hers(good), "", policy.ReasonDisagree},
		{"another person", "noemie.martin" + at, hers(good), "", policy.ReasonNotDelegated},
		{"nonsense", "a*b*c", hers(good), "", policy.ReasonBadLogin},
		{"by azp", "", hers(with("azp", software)), "claire.durand", ""},
		{"of another client by azp", "", hers(with("azp", "other")), "", policy.ReasonWrongSecret},
		{"without her level", "", hers(nil), "", policy.ReasonWrongSecret},
		{"at too low a level", "", hers(map[string]any{"acr": "eidas1"}), "", policy.ReasonWrongSecret},
		{"by another claim, without its digit", "", hers(map[string]any{"acr": "eidas2", "SubjectNameID": "", "preferred_username": "10003456786"}), "claire.durand", ""},
		{"of nobody here", "", hers(with("SubjectNameID", "899999999999")), "", policy.ReasonUnknown},
		{"a number that is none", "", hers(with("SubjectNameID", "")), "", policy.ReasonUnknown},
		{"by a verified address", "", hers(map[string]any{"acr": "eidas2", "SubjectNameID": "", "email": "Noemie.Martin" + at, "email_verified": true}), "secretariat", ""},
		{"by an address nobody verified", "", hers(map[string]any{"acr": "eidas2", "SubjectNameID": "", "email": "noemie.martin" + at}), "", policy.ReasonUnknown},
		{"an organisation's address", "", hers(map[string]any{"acr": "eidas2", "SubjectNameID": "", "email": secretariat, "email_verified": true}), "", policy.ReasonUnknown},
		{"a refresh token", "", hers(with("typ", "Refresh")), "", policy.ReasonWrongSecret},
		{"with a nonce", "", hers(with("nonce", "n")), "", policy.ReasonWrongSecret},
		{"for others", "", authtest.Claims{Audience: []string{"other"}, Client: software, More: hers(good).More}, "", policy.ReasonWrongSecret},
		{"of other software", "", authtest.Claims{Audience: []string{audience}, Client: "other", More: hers(good).More}, "", policy.ReasonWrongSecret},
		{"expired", "", authtest.Claims{Audience: []string{audience}, Client: software, Lives: -time.Minute, More: hers(good).More}, "", policy.ReasonWrongSecret},
		{"expired within the clocks' leeway", "", authtest.Claims{Audience: []string{audience}, Client: software, Lives: -5 * time.Second, More: hers(good).More}, "claire.durand", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			result, err := c.present(tt.named, p.Token(tt.claims))
			var refusal *Refusal
			switch {
			case tt.opens == "":
				if !errors.As(err, &refusal) || refusal.Reason.Code != tt.code {
					t.Errorf("answered %v", err)
				}
			case err != nil:
				t.Error(err)
			case result.Mailbox.Address.Local() != tt.opens || result.Means.Method != policy.MethodOAuth || result.Means.Name != software:
				t.Errorf("%+v opens %s", result.Means, result.Mailbox.Address)
			case time.Until(result.Means.Until) > defaultSession || time.Until(result.Means.Until) < defaultSession-time.Minute:
				t.Errorf("the session may last until %v", result.Means.Until)
			}
		})
	}
	if c.hashes.Load() != 0 {
		t.Error("a password was hashed")
	}
}

// TestForgedTokens: nothing but an access token of the provider's, signed by a key of its own, opens anything.
func TestForgedTokens(t *testing.T) {
	c, p := psc(t, nil)
	other := authtest.Start(t)
	token := p.Token(hers(nil))
	forged := map[string]string{
		"unsigned":             authtest.Unsigned(token),
		"altered":              authtest.Altered(t, token, clairePSC, "810002345671"),
		"of another provider":  other.Token(hers(nil)),
		"an ID token":          p.IDToken(hers(nil)),
		"without signature":    token[:strings.LastIndex(token, ".")+1],
		"no token":             "nonsense",
		"longer than it is":    token + "A",
		"of another's keys":    authtest.Altered(t, other.Token(hers(nil)), other.Issuer, p.Issuer),
		"with JSON about keys": strings.Repeat("{", 100),
	}
	for name, text := range forged {
		var refusal *Refusal
		if _, err := c.present("", text); !errors.As(err, &refusal) || refusal.Reason.Code != policy.ReasonWrongSecret {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(refusal.Reason.Text, text) {
			t.Errorf("%s: the trace has the token", name)
		}
	}
	if _, err := c.present("", token); err != nil {
		t.Errorf("the token itself: %v", err)
	}
}

// TestKeysRotate: a token signed by a new key is taken at once, and one of a key that is published no more is not.
func TestKeysRotate(t *testing.T) {
	c, p := psc(t, nil)
	former := p.Token(hers(nil))
	if _, err := c.present("", former); err != nil {
		t.Fatal(err)
	}
	asked := p.Requests()
	if _, err := c.present("", former); err != nil || p.Requests() != asked {
		t.Errorf("keys are not kept: %d questions for a known one, %v", p.Requests()-asked, err)
	}
	p.Rotate()
	if _, err := c.present("", p.Token(hers(nil))); err != nil {
		t.Errorf("a new key: %v", err)
	}
	// The library puts new keys in the place of the former ones a moment after it has used them.
	for until := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		if _, err := c.present("", former); errors.Is(err, ErrRefused) {
			break
		} else if time.Now().After(until) {
			t.Fatalf("a key that is published no more: %v", err)
		}
	}
}

// TestProviderDown: what cannot be checked is never told to be wrong, neither before the provider was ever reached nor afterwards.
func TestProviderDown(t *testing.T) {
	c, p := psc(t, nil)
	first := p.Token(hers(nil))
	p.Down(true)
	if _, err := c.present("", first); !errors.Is(err, ErrTemporary) {
		t.Errorf("down from the start: %v", err)
	}
	asked := p.Requests()
	if _, err := c.present("", first); !errors.Is(err, ErrTemporary) || p.Requests() != asked {
		t.Errorf("asked again at once: %v", err)
	}
	p.Down(false)
	c.provider.failedAt = time.Time{} // the pause has passed
	if _, err := c.present("", first); err != nil {
		t.Errorf("up again: %v", err)
	}
	p.Rotate()
	second := p.Token(hers(nil))
	p.Down(true)
	if _, err := c.present("", second); !errors.Is(err, ErrTemporary) {
		t.Errorf("a new key that cannot be fetched: %v", err)
	}
	if _, err := c.present("", first); err != nil {
		t.Errorf("a key that is known needs no provider: %v", err)
	}
	if n := c.throttle.pairs[pair{network: networkOf(ward)}].fails.n; n != 0 {
		t.Errorf("%d failures counted", n)
	}
}

// TestOIDCClosed: where a kind of account does not log in this way, or none is configured, tokens open nothing.
func TestOIDCClosed(t *testing.T) {
	c, p := psc(t, nil)
	c.cfg.Methods = Ways{Per: []Way{WayPasswords}}
	var refusal *Refusal
	if _, err := c.present("", p.Token(hers(nil))); !errors.As(err, &refusal) || refusal.Reason.Code != policy.ReasonMethod {
		t.Errorf("closed for her kind: %v", err)
	}
	plain := newClinic(t, Config{})
	if _, err := plain.present("", p.Token(hers(nil))); !errors.Is(err, ErrRefused) || len(plain.Mechanisms()) != 2 || len(c.Mechanisms()) != 4 {
		t.Errorf("not configured: %v, %q", err, plain.Mechanisms())
	}
}

func TestWays(t *testing.T) {
	c := newClinic(t, Config{Methods: Ways{Per: []Way{WayTokens}, Med: []Way{}}})
	_, add := withTokens(c)
	hers := add(policy.Token{ID: "a", Account: "id-claire.durand", Scopes: policy.Scopes()})
	noemies := add(policy.Token{ID: "b", Account: "id-noemie.martin", Scopes: policy.Scopes()})
	try := func(local string, secret Secret) error {
		_, err := c.Authenticate(t.Context(), Request{User: local + at, Password: secret, Protocol: "imap", Remote: ward})
		return err
	}
	if err := try("claire.durand", hers); err != nil {
		t.Errorf("tokens are open to her: %v", err)
	}
	for name, err := range map[string]error{
		"a password where only tokens are": try("claire.durand", NewSecret("demo-claire.durand")),
		"a password where nothing is":      try("noemie.martin", NewSecret("demo-noemie.martin")),
		"a token where nothing is":         try("noemie.martin", noemies),
	} {
		var refusal *Refusal
		if !errors.As(err, &refusal) || refusal.Reason.Code != policy.ReasonMethod {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c.hashes.Load() != 2 {
		t.Errorf("%d hashes for two passwords", c.hashes.Load())
	}
}

func TestParseOAuth(t *testing.T) {
	for _, tt := range []struct {
		mechanism, message, user string
		ok                       bool
	}{
		{MechanismXOAuth2, "user=a@b.fr\x01auth=Bearer tok\x01\x01", "a@b.fr", true},
		{MechanismXOAuth2, "user=\x01auth=bearer tok\x01\x01", "", true},
		{MechanismXOAuth2, "auth=Bearer tok\x01\x01", "", false},
		{MechanismXOAuth2, "user=a@b.fr\x01auth=Basic tok\x01\x01", "", false},
		{MechanismXOAuth2, "user=a@b.fr\x01auth=Bearer \x01\x01", "", false},
		{MechanismXOAuth2, "user=a@b.fr\x01auth=Bearer tok\x01", "", false},
		{MechanismXOAuth2, "", "", false},
		{MechanismOAuthBearer, "n,a=a=3Db=2Cc@b.fr,\x01host=x\x01port=993\x01auth=Bearer tok\x01\x01", "a=b,c@b.fr", true},
		{MechanismOAuthBearer, "n,,\x01auth=Bearer tok\x01\x01", "", true},
		{MechanismOAuthBearer, "y,a=x,\x01auth=Bearer tok\x01\x01", "x", true},
		{MechanismOAuthBearer, "p=tls-unique,,\x01auth=Bearer tok\x01\x01", "", false},
		{MechanismOAuthBearer, "n,a=x=41,\x01auth=Bearer tok\x01\x01", "", false},
		{MechanismOAuthBearer, "n,a=,\x01auth=Bearer tok\x01\x01", "", false},
		{MechanismOAuthBearer, "n,x,\x01auth=Bearer tok\x01\x01", "", false},
		{MechanismOAuthBearer, "n,,\x01auth=Bearer tok\x01auth=Bearer two\x01\x01", "", false},
		{MechanismOAuthBearer, "n,,\x01auth=Bearer tok tok\x01\x01", "", false},
		{MechanismOAuthBearer, "n,,\x01nonsense\x01\x01", "", false},
		{MechanismOAuthBearer, "n,,\x01\x01", "", false},
		{MechanismOAuthBearer, "\x01", "", false},
	} {
		req, err := parseOAuth(tt.mechanism, []byte(tt.message))
		if (err == nil) != tt.ok || req.Authzid != tt.user || (tt.ok && req.Password.Reveal() != "tok") {
			t.Errorf("%s %q: %+v, %v", tt.mechanism, tt.message, req, err)
		}
	}
}

func FuzzParseOAuth(f *testing.F) {
	f.Add("user=a@b.fr\x01auth=Bearer tok\x01\x01")
	f.Add("n,a=a=3Db=2Cc@b.fr,\x01host=x\x01port=993\x01auth=Bearer tok\x01\x01")
	f.Fuzz(func(t *testing.T, message string) {
		for _, m := range []string{MechanismXOAuth2, MechanismOAuthBearer} {
			if req, err := parseOAuth(m, []byte(message)); err == nil && (req.Password.IsEmpty() || !strings.Contains(message, req.Password.Reveal())) {
				t.Errorf("%s %q reads as %q", m, message, req.Authzid)
			}
		}
	})
}
