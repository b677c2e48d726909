package auth

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"balorg/policy"
)

const (
	// providerTimeout bounds each question to the provider: a person waits for the answer.
	providerTimeout = 3 * time.Second
	// providerPause is how long a provider that did not answer is left alone, so that not every log-in waits for it.
	providerPause = 2 * time.Second
	// maxProviderAnswer bounds what a provider may answer.
	maxProviderAnswer = 1 << 20
	// leeway is how far the provider's clock may be from ours.
	leeway = 30 * time.Second
)

// provider checks the access tokens of one OpenID provider. What it publishes is looked up at the first token, and its keys again
// when a token names one that is unknown.
type provider struct {
	cfg    OIDCConfig
	now    func() time.Time
	client *http.Client
	direct *http.Client  // for questions that carry a secret: it goes nowhere else
	asks   *introspector // nil: tokens that are signed are not asked about

	browserSecret Secret
	redeeming     chan struct{} // holds one for each code that is being redeemed

	mu        sync.Mutex
	verifier  *oidc.IDTokenVerifier // of access tokens; nil: not looked up yet
	idTokens  *oidc.IDTokenVerifier // of ID tokens, for the portal
	endpoints endpoints
	failed    error // why the last look-up failed
	failedAt  time.Time
}

// newProvider answers nil where none is configured.
func newProvider(cfg OIDCConfig, opt Provider, now func() time.Time) *provider {
	if !cfg.Issuer.Set {
		return nil
	}
	base := opt.Way
	if base == nil {
		base = http.DefaultTransport
	}
	client := &http.Client{
		Transport: boundedAnswers{base}, Timeout: providerTimeout,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if r.URL.Scheme != "https" || len(via) > 3 {
				return errors.New("the provider sends us elsewhere")
			}
			return nil
		},
	}
	direct := &http.Client{
		Transport: boundedAnswers{base}, Timeout: providerTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("the provider sends us elsewhere") },
	}
	return &provider{
		cfg: cfg.withDefaults(), now: now, client: client, direct: direct, browserSecret: opt.BrowserSecret, redeeming: make(chan struct{}, maxRedeeming),
		asks: newIntrospector(cfg.Introspection, opt.IntrospectionSecret, direct, now),
	}
}

// boundedAnswers bounds the length of answers, which the library reads whole.
type boundedAnswers struct{ http.RoundTripper }

func (b boundedAnswers) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxProviderAnswer), resp.Body}
	}
	return resp, err
}

// keySet tells a signature that is wrong from a provider that does not answer, which the library's verifier makes one.
type keySet struct{ remote *oidc.RemoteKeySet }

type unreachableKey struct{}

func (k keySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.remote.VerifySignature(ctx, jwt)
	// What it wraps is why keys could not be fetched; of signatures it says no more than that they are wrong.
	if cause := errors.Unwrap(err); cause != nil {
		if at, ok := ctx.Value(unreachableKey{}).(*error); ok {
			*at = cause
		}
	}
	return payload, err
}

// Provider is what is known of the OpenID provider, beside what OIDCConfig says.
type Provider struct {
	Way                 http.RoundTripper // to it; nil: Go's
	IntrospectionSecret Secret
	BrowserSecret       Secret
}

// endpoints are where a provider says it is asked what. They change no more once a look-up has succeeded.
type endpoints struct {
	Keys          string `json:"jwks_uri"`
	Introspection string `json:"introspection_endpoint"`
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
	EndSession    string `json:"end_session_endpoint"`
}

// known are the provider's endpoints, empty ones before it was looked up.
func (p *provider) known() endpoints {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.endpoints
}

// lookUp answers the verifier of the provider's tokens.
func (p *provider) lookUp(ctx context.Context) (*oidc.IDTokenVerifier, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.verifier != nil {
		return p.verifier, nil
	}
	if now := p.now(); now.Sub(p.failedAt) < providerPause {
		return nil, p.failed
	}
	ctx = oidc.ClientContext(ctx, p.client)
	found, err := oidc.NewProvider(ctx, p.cfg.Issuer.V)
	var published endpoints
	if err == nil {
		err = found.Claims(&published)
	}
	if err == nil && !strings.HasPrefix(published.Keys, "https://") {
		err = fmt.Errorf("its keys are not published over HTTPS: %q", published.Keys)
	}
	if url := p.cfg.Introspection.URL; url.Set {
		published.Introspection = url.V
	}
	if err == nil && p.asks != nil && !strings.HasPrefix(published.Introspection, "https://") {
		err = fmt.Errorf("it does not say where to ask about tokens over HTTPS: %q (authentication.oidc.introspection.url)", published.Introspection)
	}
	if err != nil {
		p.failed, p.failedAt = fmt.Errorf("looking up the OpenID provider %s: %w", p.cfg.Issuer.V, err), p.now()
		return nil, p.failed
	}
	algs := make([]string, len(p.cfg.Algorithms))
	for i, a := range p.cfg.Algorithms {
		algs[i] = string(a)
	}
	p.endpoints = published
	keys, now := keySet{oidc.NewRemoteKeySet(ctx, published.Keys)}, func() time.Time { return p.now().Add(-leeway) }
	p.idTokens = oidc.NewVerifier(p.cfg.Issuer.V, keys, &oidc.Config{ClientID: p.cfg.Browser.Client.V, SupportedSigningAlgs: algs, Now: now})
	p.verifier = oidc.NewVerifier(p.cfg.Issuer.V, keys, &oidc.Config{
		SkipClientIDCheck:    true, // an access token is for a resource: checkClaims
		SupportedSigningAlgs: algs,
		Now:                  now,
	})
	return p.verifier, nil
}

// accessClaims are those of an access token that are looked at.
type accessClaims struct {
	Type     string          `json:"typ"` // Keycloak's, in the body
	Scope    json.RawMessage `json:"scope"`
	SCP      json.RawMessage `json:"scp"`
	Nonce    string          `json:"nonce"`
	ATHash   string          `json:"at_hash"`
	CHash    string          `json:"c_hash"`
	AZP      string          `json:"azp"`
	ClientID string          `json:"client_id"`
	ACR      string          `json:"acr"`
	JTI      string          `json:"jti"`
	Email    string          `json:"email"`
	Verified bool            `json:"email_verified"`
}

// identity is what an access token says.
type identity struct {
	national []string // what may be a national identity number
	email    string   // verified, and may name the person
	client   string
	id       string
}

// check verifies an access token. What is wrong with it is a *badToken; any other error means that it could not be checked.
func (p *provider) check(ctx context.Context, token Secret) (identity, error) {
	verifier, err := p.lookUp(ctx)
	if err != nil {
		return identity{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, providerTimeout)
	defer cancel()
	verified, claims, all, err := verify(ctx, verifier, token)
	if err != nil {
		return identity{}, err
	}
	if what := p.checkClaims(headerType(token), verified.Audience, claims); what != "" {
		return identity{}, &badToken{what}
	}
	if p.asks != nil {
		if err := p.asks.check(ctx, p.endpoints.Introspection, token); err != nil {
			return identity{}, err
		}
	}
	return p.identityOf(claims, all), nil
}

// verify checks a token's signature, issuer, audience and time, and reads its claims.
func verify(ctx context.Context, v *oidc.IDTokenVerifier, token Secret) (verified *oidc.IDToken, claims accessClaims, all map[string]json.RawMessage, err error) {
	var unreachable error
	verified, err = v.Verify(context.WithValue(ctx, unreachableKey{}, &unreachable), token.Reveal())
	switch {
	case unreachable != nil:
		return nil, claims, nil, fmt.Errorf("fetching the keys of the OpenID provider: %w", unreachable)
	case err != nil:
		return nil, claims, nil, &badToken{why(err)}
	}
	if err := errors.Join(verified.Claims(&claims), verified.Claims(&all)); err != nil {
		return nil, claims, nil, &badToken{"its claims are of another form than expected"}
	}
	return verified, claims, all, nil
}

// identityOf is whom the claims of a verified token name.
func (p *provider) identityOf(claims accessClaims, all map[string]json.RawMessage) identity {
	id := identity{client: claims.client(), id: claims.JTI}
	for _, name := range p.cfg.Claims {
		var text string
		if json.Unmarshal(all[name], &text) == nil && text != "" {
			id.national = append(id.national, text)
		}
	}
	if p.cfg.ByEmail && claims.Verified {
		id.email = claims.Email
	}
	return id
}

func (c accessClaims) client() string {
	if c.AZP != "" {
		return c.AZP
	}
	return c.ClientID
}

// checkClaims answers what is wrong with the claims of a token whose signature, issuer and time are right, or nothing.
func (p *provider) checkClaims(header string, audience []string, c accessClaims) string {
	among := func(list []string) func(string) bool {
		return func(s string) bool { return slices.Contains(list, s) }
	}
	switch {
	case !c.isAccess(header):
		return "it is no access token"
	case len(p.cfg.Audiences) > 0 && !slices.ContainsFunc(audience, among(p.cfg.Audiences)):
		return fmt.Sprintf("it was made for %q", audience)
	case len(p.cfg.Clients) > 0 && !among(p.cfg.Clients)(c.client()):
		return fmt.Sprintf("it was made for the client %q", c.client())
	case len(p.cfg.ACR) > 0 && !among(p.cfg.ACR)(c.ACR):
		return fmt.Sprintf("the person authenticated at the level %q only", c.ACR)
	}
	return ""
}

// isAccess tells an access token from an ID token, which its client shows around: one that says what it is is believed, and one that says
// nothing must have what only access tokens have.
func (c accessClaims) isAccess(header string) bool {
	switch {
	case c.Nonce != "", c.ATHash != "", c.CHash != "", c.Type != "" && c.Type != "Bearer":
		return false
	case strings.EqualFold(header, "at+jwt"), strings.EqualFold(header, "application/at+jwt"), c.Type == "Bearer":
		return true // RFC 9068, 2.1; Keycloak
	}
	return len(c.Scope) > 0 || len(c.SCP) > 0
}

// headerType is the typ of a token's header, whose signature has been verified.
func headerType(token Secret) string {
	head, _, _ := strings.Cut(token.Reveal(), ".")
	octets, err := base64.RawURLEncoding.DecodeString(head)
	var header struct {
		Type string `json:"typ"`
	}
	if err != nil || json.NewDecoder(bytes.NewReader(octets)).Decode(&header) != nil {
		return ""
	}
	return header.Type
}

// badToken is an access token that opens nothing.
type badToken struct{ what string }

func (b *badToken) Error() string { return "the token is refused: " + b.what }

// why is what the library says of a token, which may quote it.
func why(err error) string {
	var expired *oidc.TokenExpiredError
	text := err.Error()
	switch {
	case errors.As(err, &expired):
		return "it has expired"
	case strings.Contains(text, "malformed jwt"):
		return "it is no JWT, or signed by another algorithm"
	case strings.Contains(text, "different provider"):
		return "another provider issued it"
	case strings.Contains(text, "audience"):
		return "it was made for others"
	case strings.Contains(text, "signature"):
		return "its signature is wrong"
	case strings.Contains(text, "nbf"):
		return "it does not hold yet"
	}
	return "it is of another form than expected"
}

// personOf finds whose token it is: by the national identity number, else by address where that is configured.
func (id identity) personOf(snap *policy.Snapshot) (*policy.Account, policy.Reason) {
	for _, number := range id.national {
		if account, reason := snap.ByNational(number); account != nil || reason.Code != policy.ReasonUnknown {
			return account, reason
		}
	}
	if id.email != "" {
		return snap.ByMail(id.email)
	}
	return nil, policy.Reason{Code: policy.ReasonUnknown, Text: "no account has the national identity number of the access token"}
}
