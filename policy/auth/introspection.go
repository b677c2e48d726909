package auth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"balorg/configs"
)

// IntrospectionConfig is authentication.oidc.introspection: the provider is asked at each log-in whether a token still holds (RFC 7662). It is
// off without a client.
type IntrospectionConfig struct {
	Client     configs.Value[string] `yaml:"client"`      // as whom the provider knows us
	SecretFile configs.Value[string] `yaml:"secret_file"` // its secret, alone on the first line
	URL        configs.Value[string] `yaml:"url"`         // where to ask; else where the provider says
	Remember   time.Duration         `yaml:"remember,positive"`
}

const (
	// defaultIntrospected is how long a token that held needs no other question: programs open several connections at once.
	defaultIntrospected = 10 * time.Second
	// maxIntrospected is how long that may be at most: what is revoked must be refused soon.
	maxIntrospected = 5 * time.Minute
	// maxRemembered bounds how many tokens are remembered.
	maxRemembered = 10_000
)

func (i IntrospectionConfig) check() (problems configs.Problems) {
	switch {
	case !i.Client.Set && (i.SecretFile.Set || i.URL.Set):
		pos := i.SecretFile.Pos
		if i.URL.Set {
			pos = i.URL.Pos
		}
		problems.Add(pos, "client: balorg", "introspection needs the name under which the provider knows balorg")
	case i.Client.Set && !i.SecretFile.Set:
		problems.Add(i.Client.Pos, "secret_file: introspection-secret", "introspection needs the secret of the client %q", i.Client.V)
	}
	if at, err := url.Parse(i.URL.V); i.URL.Set && (err != nil || at.Scheme != "https" || at.Host == "" || at.User != nil || at.Fragment != "") {
		problems.Add(i.URL.Pos, "https://host/path", "%q is not where an OpenID provider is asked about tokens", i.URL.V)
	}
	if i.Client.Set && i.Remember > maxIntrospected {
		problems.Add(i.Client.Pos, "", "a token that was revoked would be taken for %v: remember is at most %v", i.Remember, maxIntrospected)
	}
	return problems
}

// introspector asks the provider whether tokens still hold. What does not is never remembered, nor that it could not be asked.
type introspector struct {
	client   string
	secret   Secret
	remember time.Duration
	now      func() time.Time
	http     *http.Client

	mu       sync.Mutex
	held     map[[sha256.Size]byte]time.Time // until when tokens are remembered that held
	failedAt time.Time
	failed   error
}

// newIntrospector answers nil where it is off. client goes nowhere else with the question, which carries our secret and somebody's token.
func newIntrospector(cfg IntrospectionConfig, secret Secret, client *http.Client, now func() time.Time) *introspector {
	if !cfg.Client.Set {
		return nil
	}
	remember := cfg.Remember
	if remember == 0 {
		remember = defaultIntrospected
	}
	return &introspector{
		client: cfg.Client.V, secret: secret, remember: remember, now: now, held: make(map[[sha256.Size]byte]time.Time), http: client,
	}
}

// check answers nil for a token that holds, a *badToken for one that does not, and any other error when the provider does not say.
func (i *introspector) check(ctx context.Context, endpoint string, token Secret) error {
	key := sha256.Sum256([]byte(token.Reveal()))
	now := i.now()
	i.mu.Lock()
	held, known := i.held[key]
	failed, failedAt := i.failed, i.failedAt
	i.mu.Unlock()
	if since := now.Sub(held); known && since < 0 && -since <= i.remember {
		return nil
	}
	if pause := now.Sub(failedAt); failed != nil && pause >= 0 && pause < providerPause {
		return failed
	}
	active, err := i.ask(ctx, endpoint, token)
	i.mu.Lock()
	defer i.mu.Unlock()
	if err != nil {
		err = fmt.Errorf("asking the OpenID provider about a token: %w", err)
		if !errors.Is(ctx.Err(), context.Canceled) { // that the client went away says nothing of the provider
			i.failed, i.failedAt = err, i.now()
		}
		return err
	}
	i.failed = nil
	if !active {
		delete(i.held, key)
		return &badToken{"the provider says that it holds no more"}
	}
	if len(i.held) >= maxRemembered {
		clear(i.held) // each costs one question more
	}
	i.held[key] = now.Add(i.remember)
	return nil
}

// ask puts the question (RFC 7662, 2.1), as a client with a secret (RFC 6749, 2.3.1).
func (i *introspector) ask(ctx context.Context, endpoint string, token Secret) (active bool, err error) {
	form := url.Values{"token": {token.Reveal()}, "token_type_hint": {"access_token"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.SetBasicAuth(url.QueryEscape(i.client), url.QueryEscape(i.secret.Reveal()))
	resp, err := i.http.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close() //nolint:errcheck // read
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		return false, fmt.Errorf("it does not know the client %q by its secret (%s)", i.client, resp.Status)
	default:
		return false, fmt.Errorf("it answers %s", resp.Status)
	}
	var answer struct {
		Active *bool `json:"active"`
	}
	octets, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(octets, &answer)
	}
	if err != nil || answer.Active == nil {
		return false, errors.New("its answer is of another form than expected")
	}
	return *answer.Active, nil
}

func (i IntrospectionConfig) equal(other IntrospectionConfig) bool {
	return i.Client.V == other.Client.V && i.SecretFile.V == other.SecretFile.V && i.URL.V == other.URL.V && i.Remember == other.Remember
}
