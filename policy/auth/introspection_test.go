package auth

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"balorg/configs"
	"balorg/policy"
	"balorg/policy/auth/authtest"
)

const introspectionSecret = "s3cret: with % and é"

// introspecting is a clinic that asks a real provider about each token.
func introspecting(t *testing.T, remember time.Duration) (*clinic, *authtest.Provider) {
	t.Helper()
	c, p := psc(t, nil)
	p.Register("balorg api", introspectionSecret)
	cfg := c.provider.cfg
	cfg.Introspection = IntrospectionConfig{Client: configs.Value[string]{V: "balorg api", Set: true}, Remember: remember}
	c.provider = newProvider(cfg, Provider{Way: p.Client().Transport, IntrospectionSecret: NewSecret(introspectionSecret)}, time.Now)
	return c, p
}

func TestIntrospection(t *testing.T) {
	c, p := introspecting(t, time.Minute)
	token, other := p.Token(hers(nil)), p.Token(hers(nil))
	if _, err := c.present("", token); err != nil {
		t.Fatal(err)
	}
	asked := p.Requests()
	if _, err := c.present("", token); err != nil || p.Requests() != asked {
		t.Errorf("asked %d times about a token that held a moment ago, %v", p.Requests()-asked, err)
	}
	p.Revoke("balorg api", introspectionSecret, other)
	var refusal *Refusal
	if _, err := c.present("", other); !errors.As(err, &refusal) || refusal.Reason.Code != policy.ReasonWrongSecret || !strings.Contains(refusal.Reason.Text, "holds no more") {
		t.Errorf("a revoked token: %v", err)
	}
	// Once it is no longer remembered, a token that opened something is refused, too.
	p.Revoke("balorg api", introspectionSecret, token)
	c.provider.asks.now = func() time.Time { return time.Now().Add(time.Minute) }
	if _, err := c.present("", token); !errors.Is(err, ErrRefused) {
		t.Errorf("a token revoked after it was used: %v", err)
	}
	if _, err := c.present("", authtest.Unsigned(p.Token(hers(nil)))); !errors.Is(err, ErrRefused) {
		t.Errorf("unsigned, and held by the provider: %v", err)
	}
	good := p.Token(hers(nil))
	p.Down(true)
	if _, err := c.present("", good); !errors.Is(err, ErrTemporary) || errors.Is(err, ErrRefused) {
		t.Errorf("with the provider down: %v", err)
	}
	p.Down(false)
	asked = p.Requests()
	if _, err := c.present("", good); !errors.Is(err, ErrTemporary) || p.Requests() != asked {
		t.Errorf("a provider that did not answer is not left alone: %v", err)
	}
	c.provider.asks.now = func() time.Time { return time.Now().Add(time.Minute + providerPause) }
	if _, err := c.present("", good); err != nil {
		t.Errorf("once it is up again: %v", err)
	}
}

func TestIntrospectionWithoutOurSecret(t *testing.T) {
	c, p := introspecting(t, 0)
	p.Register("balorg api", "another")
	var unavailable *Unavailable
	_, err := c.present("", p.Token(hers(nil)))
	if !errors.As(err, &unavailable) || !strings.Contains(unavailable.Reason.Text, `does not know the client "balorg api"`) || strings.Contains(err.Error(), introspectionSecret) {
		t.Errorf("answered %v", err)
	}
}

// TestIntrospectionAnswers: whatever is no answer is temporary; our secret and the token go nowhere else.
func TestIntrospectionAnswers(t *testing.T) {
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("asked elsewhere: %s", r.URL) }))
	defer elsewhere.Close()
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   error
	}{
		{"holds", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"active":true,"sub":"x"}`)) }, nil},
		{"does not", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"active":false}`)) }, ErrRefused},
		{"says nothing", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{}`)) }, ErrTemporary},
		{"no JSON", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`<html>`)) }, ErrTemporary},
		{"endless", func(w http.ResponseWriter, _ *http.Request) {
			for range 3 {
				w.Write([]byte(strings.Repeat(" ", maxProviderAnswer)))
			}
			w.Write([]byte(`{"active":true}`))
		}, ErrTemporary},
		{"sends us elsewhere", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, ErrTemporary},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewTLSServer(tt.answer)
			defer server.Close()
			asks := asking(server.Client().Transport)
			err := asks.check(t.Context(), server.URL, NewSecret("token"))
			var bad *badToken
			switch refused := errors.As(err, &bad); {
			case tt.want == nil && err != nil, errors.Is(tt.want, ErrRefused) != refused, tt.want != nil && err == nil:
				t.Errorf("answered %v", err)
			}
		})
	}
}

// asking is what asks a provider by a way.
func asking(way http.RoundTripper) *introspector {
	client := configs.Value[string]{V: "x", Set: true}
	return newProvider(OIDCConfig{Issuer: client, Introspection: IntrospectionConfig{Client: client}}, Provider{Way: way, IntrospectionSecret: NewSecret("y")}, time.Now).asks
}

// hanging is a way to a provider that never answers.
type hanging struct{}

func (hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, context.Cause(r.Context())
}

func TestIntrospectionIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asks := asking(hanging{})
		began := time.Now()
		if err := asks.check(t.Context(), "https://provider.example.org", NewSecret("token")); err == nil || time.Since(began) != providerTimeout {
			t.Errorf("a provider that never answers: %v after %v", err, time.Since(began))
		}
		if err := asks.check(t.Context(), "https://provider.example.org", NewSecret("token")); err == nil || time.Since(began) != providerTimeout {
			t.Errorf("the next one waits, too: %v after %v", err, time.Since(began))
		}
	})
	asks := asking(hanging{})
	for i := range maxRemembered {
		asks.held[[32]byte{byte(i), byte(i >> 8)}] = time.Now()
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"active":true}`)) }))
	defer server.Close()
	asks.http = server.Client()
	if err := asks.check(t.Context(), server.URL, NewSecret("token")); err != nil || len(asks.held) > maxRemembered {
		t.Errorf("%d tokens are remembered, %v", len(asks.held), err)
	}
}
