package auth

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"balorg/configs"
	"balorg/policy"
	"balorg/policy/auth/authtest"
)

const (
	browserSecret = "s3cret & more"
	browserClient = "balorg portal"
	wayBack       = "https://portal.example.org/login/return"
)

// browsing is a clinic to whose portal people log in at a real provider.
func browsing(t *testing.T, edit func(*OIDCConfig)) (*clinic, *authtest.Provider) {
	t.Helper()
	c, p := psc(t, nil)
	p.Register(browserClient, browserSecret, wayBack)
	cfg := c.provider.cfg
	cfg.Browser = BrowserConfig{Client: configs.Value[string]{V: browserClient, Set: true}, Scopes: []string{"scope_all"}}
	if edit != nil {
		edit(&cfg)
	}
	c.provider = newProvider(cfg, Provider{Way: p.Client().Transport, BrowserSecret: NewSecret(browserSecret)}, time.Now)
	return c, p
}

// there goes to the provider as a browser does, up to the way back.
func there(t *testing.T, c *clinic, p *authtest.Provider) Arrival {
	t.Helper()
	way, err := c.Depart(t.Context(), wayBack)
	if err != nil {
		t.Fatal(err)
	}
	client := *p.Client()
	var back *url.URL
	client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), wayBack) {
			back = r.URL
			return http.ErrUseLastResponse
		}
		return nil
	}
	resp, err := client.Get(way.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if back == nil {
		t.Fatalf("at %s: %s", resp.Request.URL, resp.Status)
	}
	q := back.Query()
	return Arrival{Kept: way.Kept, State: q.Get("state"), Code: NewSecret(q.Get("code")), Error: q.Get("error"), Issuer: q.Get("iss"), RedirectURI: wayBack}
}

func TestBrowser(t *testing.T) {
	c, p := browsing(t, func(o *OIDCConfig) { o.ACR, o.ByEmail = []string{"eidas2"}, true })
	more := func(pairs ...any) map[string]any {
		all := map[string]any{"acr": "eidas2"}
		for i := 0; i < len(pairs); i += 2 {
			all[pairs[i].(string)] = pairs[i+1]
		}
		return all
	}
	for _, tt := range []struct {
		name   string
		person map[string]any
		change func(*Arrival)
		opens  string
		says   string // of why not
	}{
		{"Claire", more("SubjectNameID", clairePSC), nil, "claire.durand", ""},
		{"whose default is another mailbox", more("email", "noemie.martin"+at, "email_verified", true), nil, "secretariat", ""},
		{"with the provider's name", more("SubjectNameID", clairePSC), func(a *Arrival) { a.Issuer = p.Issuer }, "claire.durand", ""},
		{"nobody here", more("SubjectNameID", "899999999999"), nil, "", "no account has"},
		{"an address nobody verified", more("email", "noemie.martin"+at), nil, "", "no account has"},
		{"preregistered", more("email", "marc.roux"+at, "email_verified", true), nil, "", ""},
		{"at too low a level", map[string]any{"acr": "eidas1", "SubjectNameID": clairePSC}, nil, "", `at the level "eidas1" only`},
		{"made for another departure", more("SubjectNameID", clairePSC, "nonce", "another"), nil, "", "another way to the provider"},
		{"another state", more("SubjectNameID", clairePSC), func(a *Arrival) { a.State = "another" }, "", "another way than it went"},
		{"no state", more("SubjectNameID", clairePSC), func(a *Arrival) { a.State = "" }, "", "another way than it went"},
		{"a browser that kept nothing", more("SubjectNameID", clairePSC), func(a *Arrival) { a.Kept, a.State = Secret{}, "" }, "", "another way than it went"},
		{"a browser that kept nonsense", more("SubjectNameID", clairePSC), func(a *Arrival) { a.Kept, a.State = NewSecret(".."), "" }, "", "another way than it went"},
		{"no code", more("SubjectNameID", clairePSC), func(a *Arrival) { a.Code = Secret{} }, "", "no code"},
		{"a made-up code", more("SubjectNameID", clairePSC), func(a *Arrival) { a.Code = NewSecret("guess") }, "", "does not know the code"},
		{"a code somebody else began", more("SubjectNameID", clairePSC), func(a *Arrival) {
			parts := strings.Split(a.Kept.Reveal(), ".")
			a.Kept = NewSecret(parts[0] + "." + parts[1] + "." + strings.Repeat("A", 52))
		}, "", "does not know the code"},
		{"refused there", more("SubjectNameID", clairePSC), func(a *Arrival) { a.Error = "access_denied" }, "", `logged nobody in: "access_denied"`},
		{"of another provider", more("SubjectNameID", clairePSC), func(a *Arrival) { a.Issuer = "https://other.example.org" }, "", "another provider"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p.Person(authtest.Claims{More: tt.person})
			arrived := there(t, c, p)
			if tt.change != nil {
				tt.change(&arrived)
			}
			result, err := c.Arrive(t.Context(), arrived)
			var refusal *Refusal
			switch {
			case tt.opens == "":
				if !errors.As(err, &refusal) || !strings.Contains(refusal.Reason.Text, tt.says) {
					t.Errorf("answered %v", err)
				}
			case err != nil:
				t.Fatal(err)
			case result.Mailbox.Address.Local() != tt.opens || result.Means.Method != policy.MethodOAuth || time.Until(result.Means.Until) > defaultSession:
				t.Errorf("%+v opens %s", result.Means, result.Mailbox.Address)
			}
			if tt.opens != "" {
				if _, err := c.Arrive(t.Context(), arrived); !errors.Is(err, ErrRefused) {
					t.Errorf("the same way back again: %v", err)
				}
			}
		})
	}
}

func TestBrowserAsks(t *testing.T) {
	c, p := browsing(t, func(o *OIDCConfig) { o.ACR = []string{"eidas2", "eidas3"} })
	first, err := c.Depart(t.Context(), wayBack)
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.Depart(t.Context(), wayBack)
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(first.URL)
	if err != nil || !strings.HasPrefix(first.URL, p.Issuer+"/authorize?") {
		t.Fatalf("goes to %s, %v", first.URL, err)
	}
	q := at.Query()
	for key, want := range map[string]string{
		"response_type": "code", "client_id": browserClient, "redirect_uri": wayBack, "scope": "openid scope_all", "code_challenge_method": "S256", "acr_values": "eidas2 eidas3",
	} {
		if q.Get(key) != want {
			t.Errorf("%s=%q, want %q", key, q.Get(key), want)
		}
	}
	for i, a := range strings.Split(first.Kept.Reveal(), ".") {
		if len(a) < 26 || a == strings.Split(second.Kept.Reveal(), ".")[i] {
			t.Errorf("what is kept is no chance: %q", a)
		}
	}
	if verifier := strings.Split(first.Kept.Reveal(), ".")[2]; len(verifier) < 43 || strings.Contains(first.URL, verifier) {
		t.Errorf("the verifier %q is short, or told", verifier)
	}
	if leave, err := url.Parse(c.Leave("https://portal.example.org/login")); err != nil || leave.Path != "/end_session" || leave.Query().Get("client_id") != browserClient {
		t.Errorf("leaves by %v, %v", leave, err)
	}
}

// TestIDTokens: what the portal takes is an ID token made for it, and signed.
func TestIDTokens(t *testing.T) {
	c, p := browsing(t, nil)
	if _, err := c.provider.lookUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	good := p.IDToken(authtest.Claims{Audience: []string{browserClient}, Client: browserClient, More: map[string]any{"nonce": "n", "SubjectNameID": clairePSC}})
	for _, tt := range []struct{ name, token, nonce, says string }{
		{"good", good, "n", ""},
		{"another nonce", good, "m", "another way"},
		{"no nonce", good, "", "another way"},
		{"unsigned", authtest.Unsigned(good), "n", "no JWT"},
		{"altered", authtest.Altered(t, good, clairePSC, "810002345671"), "n", "signature"},
		{"for others", p.IDToken(authtest.Claims{Audience: []string{"other"}, Client: "other", More: map[string]any{"nonce": "n"}}), "n", "for others"},
		{"asked for by others", p.IDToken(authtest.Claims{Audience: []string{browserClient}, Client: "other", More: map[string]any{"nonce": "n"}}), "n", `for the client "other"`},
		{"an access token", p.Token(authtest.Claims{Audience: []string{browserClient}, Client: browserClient, More: map[string]any{"SubjectNameID": clairePSC}}), "n", "another way"},
	} {
		_, err := c.provider.checkIDToken(t.Context(), NewSecret(tt.token), tt.nonce)
		var bad *badToken
		if tt.says == "" && err != nil || tt.says != "" && (!errors.As(err, &bad) || !strings.Contains(bad.what, tt.says)) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestBrowserUnavailable: what is not the person's fault is temporary.
func TestBrowserUnavailable(t *testing.T) {
	c, p := browsing(t, nil)
	p.Down(true)
	if _, err := c.Depart(t.Context(), wayBack); !errors.Is(err, ErrTemporary) {
		t.Errorf("departs to a provider that is down: %v", err)
	}
	p.Down(false)
	c.provider.failedAt = time.Time{}
	p.Person(authtest.Claims{More: map[string]any{"SubjectNameID": clairePSC}})
	arrived := there(t, c, p)
	p.Down(true)
	if _, err := c.Arrive(t.Context(), arrived); !errors.Is(err, ErrTemporary) {
		t.Errorf("arrives from a provider that is down: %v", err)
	}
	p.Down(false)
	p.Register(browserClient, "another", wayBack)
	if _, err := c.Arrive(t.Context(), arrived); !errors.Is(err, ErrTemporary) || strings.Contains(err.Error(), browserSecret) {
		t.Errorf("with another secret: %v", err)
	}
	none := newClinic(t, Config{})
	if _, ok := none.BrowserProvider(); ok || none.Leave("https://x") != "" {
		t.Error("a provider is offered where none is configured")
	}
	if _, err := none.Arrive(t.Context(), arrived); !errors.Is(err, ErrRefused) {
		t.Errorf("arrives where nobody departs: %v", err)
	}
}

// TestPortalAloneTakesNoTokens: where only the portal's client is configured, nothing says for whom access tokens were made.
func TestPortalAloneTakesNoTokens(t *testing.T) {
	c, p := browsing(t, func(o *OIDCConfig) { o.Audiences, o.Clients = nil, nil })
	for _, m := range c.Mechanisms() {
		if isOAuth(m) {
			t.Errorf("%s is offered", m)
		}
	}
	if _, err := c.present("", p.Token(hers(nil))); !errors.Is(err, ErrRefused) {
		t.Errorf("an access token: %v", err)
	}
}

// TestPublicBrowserClient: without a secret the verifier alone proves that the code is ours.
func TestPublicBrowserClient(t *testing.T) {
	c, p := browsing(t, nil)
	p.Register(browserClient, "", wayBack)
	c.provider.browserSecret = Secret{}
	p.Person(authtest.Claims{More: map[string]any{"SubjectNameID": clairePSC}})
	arrived := there(t, c, p)
	stolen := arrived
	parts := strings.Split(arrived.Kept.Reveal(), ".")
	stolen.Kept = NewSecret(parts[0] + "." + parts[1] + "." + strings.Repeat("B", 52))
	if _, err := c.Arrive(t.Context(), stolen); !errors.Is(err, ErrRefused) {
		t.Errorf("a code without its verifier: %v", err)
	}
	if result, err := c.Arrive(t.Context(), there(t, c, p)); err != nil || result.Person.Address != "claire.durand"+at {
		t.Errorf("%+v, %v", result.Person, err)
	}
}

// TestBrowserMethods: where a kind of account does not log in with oidc, neither does it to the portal.
func TestBrowserMethods(t *testing.T) {
	c, p := browsing(t, nil)
	c.cfg.Methods = Ways{Per: []Way{WayPasswords}}
	p.Person(authtest.Claims{More: map[string]any{"SubjectNameID": clairePSC}})
	var refusal *Refusal
	if _, err := c.Arrive(t.Context(), there(t, c, p)); !errors.As(err, &refusal) || refusal.Reason.Code != policy.ReasonMethod || refusal.Person == nil {
		t.Errorf("answered %v", err)
	}
}
