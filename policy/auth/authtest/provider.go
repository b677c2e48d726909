// Package authtest runs a real OpenID provider for tests: zitadel's, over HTTPS, with signing keys that can be rotated. What its
// access tokens say is the test's to choose; they are issued at the token endpoint and signed by the provider.
package authtest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Claims are what a token says.
type Claims struct {
	Audience []string
	Client   string         // client_id
	Lives    time.Duration  // 0: two minutes, as Pro Santé Connect has it; may be negative
	More     map[string]any // claims of their own
}

// Provider is a running provider.
type Provider struct {
	Issuer string

	t        *testing.T
	server   *httptest.Server
	handler  http.Handler
	storage  *storage
	people   people
	down     atomic.Bool
	requests atomic.Int64
}

// Start runs a provider until the test ends.
func Start(t *testing.T) *Provider {
	t.Helper()
	p := &Provider{t: t}
	p.server = httptest.NewTLSServer(http.HandlerFunc(p.serve))
	t.Cleanup(p.server.Close)
	p.Issuer = p.server.URL
	p.storage = &storage{next: make(map[string]Claims), revoked: make(map[string]bool), clients: make(map[string]registered), asked: make(map[string]*authRequest)}
	p.Rotate()
	provider, err := op.NewProvider(&op.Config{}, p.storage, op.StaticIssuer(p.Issuer))
	if err != nil {
		t.Fatalf("starting an OpenID provider: %v", err)
	}
	p.handler = provider
	return p
}

func (p *Provider) serve(w http.ResponseWriter, r *http.Request) {
	p.requests.Add(1)
	if p.down.Load() {
		http.Error(w, "maintenance", http.StatusServiceUnavailable)
		return
	}
	if r.URL.Path == loginPath {
		p.logIn(w, r)
		return
	}
	p.handler.ServeHTTP(w, r)
}

// Client trusts the provider's certificate.
func (p *Provider) Client() *http.Client { return p.server.Client() }

// CA is the provider's certificate in PEM, which vouches for itself.
func (p *Provider) CA() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw}))
}

// Down has the provider answer nothing but errors, or answer again.
func (p *Provider) Down(down bool) { p.down.Store(down) }

// Requests is how many it was asked.
func (p *Provider) Requests() int64 { return p.requests.Load() }

// rsaBits is the least that is taken.
const rsaBits = 2048

// Rotate makes a new signing key; the former one is published no more.
func (p *Provider) Rotate() {
	p.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, rsaBits)
	if err != nil {
		p.t.Fatal(err)
	}
	p.storage.mu.Lock()
	defer p.storage.mu.Unlock()
	p.storage.key = &signingKey{key: key, id: rand.Text()}
}

// Token has the provider issue an access token.
func (p *Provider) Token(c Claims) string {
	p.t.Helper()
	ticket := p.storage.ticket(c)
	resp, err := p.Client().PostForm(p.Issuer+"/oauth/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {ticket}, "client_secret": {"s3cret"}, "scope": {"openid"},
	})
	if err != nil {
		p.t.Fatalf("asking for a token: %v", err)
	}
	defer resp.Body.Close() //nolint:errcheck // read
	var answer struct {
		Token string `json:"access_token"`
		Error string `json:"error"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Token == "" {
		p.t.Fatalf("asking for a token: %s, %q, %v", resp.Status, answer.Error, err)
	}
	return answer.Token
}

// IDToken has the provider make an ID token.
func (p *Provider) IDToken(c Claims) string {
	p.t.Helper()
	request := &request{id: p.storage.ticket(c), c: c}
	token, err := op.CreateIDToken(p.t.Context(), p.Issuer, request, time.Minute, "", "", p.storage, client{id: request.id, c: c})
	if err != nil {
		p.t.Fatal(err)
	}
	return token
}

// Unsigned is a token with another header and without a signature.
func Unsigned(token string) string {
	_, rest, _ := strings.Cut(token, ".")
	body, _, _ := strings.Cut(rest, ".")
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + body + "."
}

// Altered is a token that says something else than what was signed.
func Altered(t *testing.T, token, from, to string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || !strings.Contains(string(body), from) {
		t.Fatalf("the token does not say %q", from)
	}
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(body), from, to, 1)))
	return strings.Join(parts, ".")
}

// storage is what zitadel's provider asks of ours. What it does not ask for in these tests is not there.
type storage struct {
	op.Storage

	mu      sync.Mutex
	key     *signingKey
	next    map[string]Claims // by ticket: the client that asks
	revoked map[string]bool   // by token id
	clients map[string]registered
	asked   map[string]*authRequest // by id, and by code
}

func (s *storage) ticket(c Claims) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ticket := c.Client + "!" + rand.Text()
	s.next[ticket] = c
	return ticket
}

func (s *storage) claims(ticket string) (Claims, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.next[ticket]
	if !ok {
		return Claims{}, errors.New("no such client")
	}
	return c, nil
}

func (s *storage) ClientCredentials(_ context.Context, id, _ string) (op.Client, error) {
	c, err := s.claims(id)
	return client{id: id, c: c}, err
}

func (s *storage) ClientCredentialsTokenRequest(_ context.Context, id string, scopes []string) (op.TokenRequest, error) {
	c, err := s.claims(id)
	return &request{id: id, c: c, scopes: scopes}, err
}

func (s *storage) CreateAccessToken(_ context.Context, r op.TokenRequest) (string, time.Time, error) {
	said, ok := said(r)
	if !ok {
		return "", time.Time{}, fmt.Errorf("a request of type %T", r)
	}
	lives := said.Lives
	if lives == 0 {
		lives = 2 * time.Minute
	}
	return rand.Text(), time.Now().Add(lives), nil
}

func (s *storage) GetPrivateClaimsFromRequest(_ context.Context, r op.TokenRequest, scopes []string) (map[string]any, error) {
	said, ok := said(r)
	if !ok {
		return nil, fmt.Errorf("a request of type %T", r)
	}
	all := map[string]any{"scope": strings.Join(scopes, " ")}
	maps.Copy(all, said.More)
	return all, nil
}

func (s *storage) SetUserinfoFromScopes(context.Context, *oidc.UserInfo, string, string, []string) error {
	return nil
}

func (s *storage) SetUserinfoFromRequest(_ context.Context, info *oidc.UserInfo, r op.IDTokenRequest, _ []string) error {
	if said, ok := said(r); ok {
		info.Claims = said.More
	}
	return nil
}

func (s *storage) SigningKey(context.Context) (op.SigningKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.key, nil
}

func (s *storage) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.RS256}, nil
}

func (s *storage) KeySet(context.Context) ([]op.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []op.Key{published{s.key}}, nil
}

func (s *storage) Health(context.Context) error { return nil }

type signingKey struct {
	key *rsa.PrivateKey
	id  string
}

func (k *signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k *signingKey) Key() any                                    { return k.key }
func (k *signingKey) ID() string                                  { return k.id }

// published is a key as others see it.
type published struct{ of *signingKey }

func (p published) ID() string                         { return p.of.id }
func (p published) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (p published) Use() string                        { return "sig" }
func (p published) Key() any                           { return &p.of.key.PublicKey }

// request asks for a token.
type request struct {
	id     string
	c      Claims
	scopes []string
}

func (r *request) GetSubject() string     { return "f:sujet" }
func (r *request) GetAudience() []string  { return r.c.Audience }
func (r *request) GetScopes() []string    { return append([]string{"openid"}, r.scopes...) }
func (r *request) GetAMR() []string       { return nil }
func (r *request) GetAuthTime() time.Time { return time.Now() }
func (r *request) GetClientID() string    { return r.c.Client }

// client is the software a token is for.
type client struct {
	id string
	c  Claims
	of registered // as which it is known; none: only to ask for tokens
}

func (c client) GetID() string {
	name, _, _ := strings.Cut(c.id, "!")
	return name
}
func (c client) RedirectURIs() []string              { return c.of.redirects }
func (c client) PostLogoutRedirectURIs() []string    { return nil }
func (c client) ApplicationType() op.ApplicationType { return op.ApplicationTypeWeb }
func (c client) AuthMethod() oidc.AuthMethod {
	switch {
	case c.of.secret != "":
		return oidc.AuthMethodBasic
	case c.of.redirects != nil:
		return oidc.AuthMethodNone // a public client
	}
	return oidc.AuthMethodPost
}

func (c client) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}

func (c client) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeClientCredentials, oidc.GrantTypeCode}
}
func (c client) LoginURL(id string) string            { return loginPath + "?id=" + id }
func (c client) AccessTokenType() op.AccessTokenType  { return op.AccessTokenTypeJWT }
func (c client) IDTokenLifetime() time.Duration       { return time.Minute }
func (c client) DevMode() bool                        { return false }
func (c client) IsScopeAllowed(string) bool           { return true }
func (c client) IDTokenUserinfoClaimsAssertion() bool { return true }
func (c client) ClockSkew() time.Duration             { return 0 }
func (c client) RestrictAdditionalIdTokenScopes() func([]string) []string { //nolint:revive,staticcheck // zitadel's name
	return allScopes
}

func (c client) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return allScopes
}

func allScopes(scopes []string) []string { return scopes }

// ClientID is as whom a program asks the token endpoint, with the secret s3cret, for tokens that say this.
func (p *Provider) ClientID(c Claims) string { return p.storage.ticket(c) }
