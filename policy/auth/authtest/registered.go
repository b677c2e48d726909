package authtest

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// loginPath is the provider's own page, where people say who they are.
const loginPath = "/who"

// registered is a client that the provider knows.
type registered struct {
	secret    string
	redirects []string
}

// people say who they are.
type people struct {
	mu   sync.Mutex
	next Claims
	asks bool // for a click
}

// Register makes a client known: one that asks about tokens, and that people are sent back to at these addresses.
func (p *Provider) Register(id, secret string, redirects ...string) {
	p.storage.mu.Lock()
	defer p.storage.mu.Unlock()
	p.storage.clients[id] = registered{secret, redirects}
}

// Person is who logs in at the provider's page from now on; acr and what else is in More is said of them.
func (p *Provider) Person(c Claims) {
	p.people.mu.Lock()
	defer p.people.mu.Unlock()
	p.people.next = c
}

// Ask has the provider's page show a button, as one does whose people have to log in there.
func (p *Provider) Ask() {
	p.people.mu.Lock()
	defer p.people.mu.Unlock()
	p.people.asks = true
}

// Revoke has a registered client take a token back.
func (p *Provider) Revoke(id, secret, token string) {
	p.t.Helper()
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.Issuer+"/revoke", strings.NewReader(form.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	resp, err := p.Client().Do(req)
	if err != nil {
		p.t.Fatalf("revoking a token: %v", err)
	}
	defer resp.Body.Close() //nolint:errcheck // nothing is read
	if resp.StatusCode != http.StatusOK {
		p.t.Fatalf("revoking a token: %s", resp.Status)
	}
}

// logIn is the page: whoever comes is the person of the moment, and goes back with a code.
func (p *Provider) logIn(w http.ResponseWriter, r *http.Request) {
	p.people.mu.Lock()
	next, asks := p.people.next, p.people.asks
	p.people.mu.Unlock()
	if asks && r.Method != http.MethodPost {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write([]byte(`<!doctype html><title>Provider</title><main><h1>Who are you?</h1><form method="post"><button id="me">Log in</button></form></main>`)) //nolint:errcheck // the asker is gone
		return
	}
	id := r.URL.Query().Get("id")
	p.storage.mu.Lock()
	asked, ok := p.storage.asked[id]
	if ok {
		asked.c, asked.done = next, true
	}
	p.storage.mu.Unlock()
	if !ok {
		http.Error(w, "no such request", http.StatusNotFound)
		return
	}
	http.Redirect(w, r, "/authorize/callback?id="+url.QueryEscape(id), http.StatusFound)
}

// authRequest is a person's way from a client to the page and back.
type authRequest struct {
	request
	asked *oidc.AuthRequest
	done  bool
}

func (r *authRequest) GetID() string { return r.id }

func (r *authRequest) GetACR() string {
	acr, _ := r.c.More["acr"].(string)
	return acr
}

func (r *authRequest) GetAudience() []string {
	if r.c.Audience != nil {
		return r.c.Audience
	}
	return []string{r.asked.ClientID}
}

func (r *authRequest) GetClientID() string { return r.asked.ClientID }

func (r *authRequest) GetCodeChallenge() *oidc.CodeChallenge {
	if r.asked.CodeChallenge == "" {
		return nil
	}
	return &oidc.CodeChallenge{Challenge: r.asked.CodeChallenge, Method: r.asked.CodeChallengeMethod}
}

func (r *authRequest) GetNonce() string {
	if nonce, ok := r.c.More["nonce"].(string); ok {
		return nonce
	}
	return r.asked.Nonce
}

func (r *authRequest) GetRedirectURI() string             { return r.asked.RedirectURI }
func (r *authRequest) GetResponseType() oidc.ResponseType { return r.asked.ResponseType }
func (r *authRequest) GetResponseMode() oidc.ResponseMode { return r.asked.ResponseMode }
func (r *authRequest) GetScopes() []string                { return r.asked.Scopes }
func (r *authRequest) GetState() string                   { return r.asked.State }
func (r *authRequest) Done() bool                         { return r.done }

// said is what is said of whoever a token is for.
func said(r any) (Claims, bool) {
	switch r := r.(type) {
	case *request:
		return r.c, true
	case *authRequest:
		return r.c, true
	}
	return Claims{}, false
}

func (s *storage) CreateAuthRequest(_ context.Context, r *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := &authRequest{request: request{id: rand.Text()}, asked: r}
	s.asked[asked.id] = asked
	return asked, nil
}

func (s *storage) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if asked, ok := s.asked[id]; ok {
		return asked, nil
	}
	return nil, errors.New("no such request")
}

func (s *storage) AuthRequestByCode(ctx context.Context, code string) (op.AuthRequest, error) {
	return s.AuthRequestByID(ctx, "code "+code)
}

func (s *storage) SaveAuthCode(_ context.Context, id, code string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked["code "+code] = s.asked[id]
	return nil
}

func (s *storage) DeleteAuthRequest(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, asked := range s.asked {
		if asked.id == id {
			delete(s.asked, key)
		}
	}
	return nil
}

func (s *storage) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of, ok := s.clients[id]
	if !ok {
		return nil, errors.New("no such client")
	}
	return client{id: id, of: of}, nil
}

func (s *storage) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if of, ok := s.clients[id]; !ok || of.secret != secret {
		return errors.New("not the client's secret")
	}
	return nil
}

func (s *storage) RevokeToken(_ context.Context, id, _, _ string) *oidc.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked[id] = true
	return nil
}

func (s *storage) SetIntrospectionFromToken(_ context.Context, _ *oidc.IntrospectionResponse, id, _, _ string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.revoked[id] {
		return errors.New("revoked")
	}
	return nil
}
