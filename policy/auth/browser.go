package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"

	"balorg/configs"
	"balorg/policy"
)

// BrowserConfig is authentication.oidc.portal: people log in to the portal at the provider (OpenID Connect Core, 3.1: the code flow). It is
// off without a client.
type BrowserConfig struct {
	Client     configs.Value[string] `yaml:"client"`      // as whom the provider knows the portal
	SecretFile configs.Value[string] `yaml:"secret_file"` // its secret; left out for a public client
	Scopes     []string              `yaml:"scopes"`      // asked for beside openid
	Name       configs.Value[string] `yaml:"name"`        // of the provider, on the page
}

func (b BrowserConfig) check() (problems configs.Problems) {
	if !b.Client.Set && (b.SecretFile.Set || b.Name.Set) {
		pos := b.Name.Pos
		if b.SecretFile.Set {
			pos = b.SecretFile.Pos
		}
		problems.Add(pos, "client: balorg", "to log in to the portal at the provider needs the name under which the provider knows it")
	}
	return problems
}

func (b BrowserConfig) equal(other BrowserConfig) bool {
	return b.Client.V == other.Client.V && b.SecretFile.V == other.SecretFile.V && b.Name.V == other.Name.V && sameList(b.Scopes, other.Scopes)
}

// Departure is a browser on its way to the provider. What it must keep until it comes back is for nobody else.
type Departure struct {
	URL  string // where it goes
	Kept Secret
}

// Arrival is a browser that comes back.
type Arrival struct {
	Kept        Secret // of its Departure, as the browser kept it
	State       string // what the provider was given
	Code        Secret
	Error       string // in place of a code
	Issuer      string // RFC 9207; empty: the provider does not say
	RedirectURI string
}

// maxRedeeming bounds the codes that are redeemed at a time. They are not throttled by address: nobody guesses one, and many people come from the address
// of one proxy.
const maxRedeeming = 32

// keptParts are what a browser keeps: the state, the nonce, and the verifier of the code (RFC 7636).
const keptParts = 3

// BrowserProvider is what the provider is called on the page, or false where nobody logs in there.
func (a *Authenticator) BrowserProvider() (name string, ok bool) {
	if a.provider == nil || !a.provider.cfg.Browser.Client.Set {
		return "", false
	}
	return a.provider.cfg.Browser.Name.Or("OpenID Connect"), true
}

// Depart sends a browser to the provider. The error is an *Unavailable.
func (a *Authenticator) Depart(ctx context.Context, redirectURI string) (Departure, error) {
	if _, ok := a.BrowserProvider(); !ok {
		return Departure{}, a.providerDown(errors.New("nobody logs in to the portal there"))
	}
	p := a.provider
	if _, err := p.lookUp(ctx); err != nil {
		return Departure{}, a.providerDown(err)
	}
	at, err := url.Parse(p.endpoints.Authorization)
	if err != nil || at.Scheme != "https" {
		return Departure{}, a.providerDown(fmt.Errorf("the provider does not say where people log in over HTTPS: %q", p.endpoints.Authorization))
	}
	state, nonce, verifier := rand.Text(), rand.Text(), rand.Text()+rand.Text() // 43 characters at least (RFC 7636, 4.1)
	challenge := sha256.Sum256([]byte(verifier))
	query := at.Query()
	for key, value := range map[string]string{
		"response_type": "code", "client_id": p.cfg.Browser.Client.V, "redirect_uri": redirectURI, "state": state, "nonce": nonce,
		"scope":          strings.Join(append([]string{oidc.ScopeOpenID}, p.cfg.Browser.Scopes...), " "),
		"code_challenge": base64.RawURLEncoding.EncodeToString(challenge[:]), "code_challenge_method": "S256",
	} {
		query.Set(key, value)
	}
	if len(p.cfg.ACR) > 0 {
		query.Set("acr_values", strings.Join(p.cfg.ACR, " "))
	}
	at.RawQuery = query.Encode()
	return Departure{at.String(), NewSecret(strings.Join([]string{state, nonce, verifier}, "."))}, nil
}

func (a *Authenticator) providerDown(err error) *Unavailable {
	return &Unavailable{Err: err, Reason: policy.Reason{Code: policy.ReasonUnavailable, Text: fmt.Sprintf("the OpenID provider could not be asked: %v", err)}}
}

// Leave is where a browser also logs out at the provider, or empty where that is not known.
func (a *Authenticator) Leave(redirectURI string) string {
	if _, ok := a.BrowserProvider(); !ok {
		return ""
	}
	at, err := url.Parse(a.provider.known().EndSession)
	if err != nil || at.Scheme != "https" {
		return ""
	}
	query := at.Query()
	query.Set("client_id", a.provider.cfg.Browser.Client.V)
	query.Set("post_logout_redirect_uri", redirectURI)
	at.RawQuery = query.Encode()
	return at.String()
}

// Arrive says who has logged in at the provider. Errors are those of Authenticate.
func (a *Authenticator) Arrive(ctx context.Context, arrived Arrival) (Result, error) {
	refusal := func(text string) error {
		return &Refusal{Reason: policy.Reason{Code: policy.ReasonWrongSecret, Text: text}}
	}
	if _, ok := a.BrowserProvider(); !ok {
		return Result{}, refusal("nobody logs in to the portal at an OpenID provider")
	}
	kept := strings.Split(arrived.Kept.Reveal(), ".")
	switch {
	case len(kept) != keptParts || len(kept[0]) < 20 || subtle.ConstantTimeCompare([]byte(kept[0]), []byte(arrived.State)) != 1:
		return Result{}, refusal("the browser comes back from another way than it went")
	case arrived.Issuer != "" && arrived.Issuer != a.provider.cfg.Issuer.V:
		return Result{}, refusal("another provider sends the browser back")
	case arrived.Error != "":
		return Result{}, refusal(fmt.Sprintf("the provider logged nobody in: %q", shortened(arrived.Error)))
	case arrived.Code.IsEmpty():
		return Result{}, refusal("the provider sends the browser back with no code")
	}
	id, err := a.provider.redeem(ctx, arrived, kept[1], kept[2])
	if err != nil {
		if bad, ok := errors.AsType[*badToken](err); ok {
			return Result{}, refusal(bad.Error())
		}
		return Result{}, a.providerDown(err)
	}
	snap := a.snapshot()
	person, reason := id.personOf(snap)
	if person == nil {
		return Result{}, &Refusal{Reason: reason}
	}
	access, ok := a.openedBy(snap, person, "", WayOIDC)
	if !ok {
		return Result{}, &Refusal{Reason: access.Reason, Person: person, Mailbox: access.Mailbox}
	}
	return Result{Person: person, Mailbox: access.Mailbox, Access: access, Means: policy.Means{
		Method: policy.MethodOAuth, ID: "oauth/" + id.id, Name: a.provider.cfg.Browser.Client.V, Until: a.now().Add(a.provider.cfg.Session),
	}}, nil
}

// shortened is what a stranger may have written, for the trace.
func shortened(s string) string {
	const longest = 64
	if len(s) > longest {
		s = s[:longest]
	}
	return strings.ToValidUTF8(s, "")
}

// redeem gives the code for an ID token, and answers who it is of.
func (p *provider) redeem(ctx context.Context, arrived Arrival, nonce, verifier string) (identity, error) {
	if _, err := p.lookUp(ctx); err != nil {
		return identity{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, providerTimeout)
	defer cancel()
	select {
	case p.redeeming <- struct{}{}:
		defer func() { <-p.redeeming }()
	case <-ctx.Done():
		return identity{}, errors.New("too many codes are being redeemed")
	}
	token, err := p.exchange(ctx, arrived, verifier)
	if err != nil {
		return identity{}, err
	}
	return p.checkIDToken(ctx, token, nonce)
}

// exchange asks for the tokens of a code (RFC 6749, 4.1.3).
func (p *provider) exchange(ctx context.Context, arrived Arrival, verifier string) (Secret, error) {
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {arrived.Code.Reveal()}, "redirect_uri": {arrived.RedirectURI}, "code_verifier": {verifier},
	}
	if p.browserSecret.IsEmpty() {
		form.Set("client_id", p.cfg.Browser.Client.V)
	}
	if !strings.HasPrefix(p.endpoints.Token, "https://") {
		return Secret{}, fmt.Errorf("the provider does not say where codes are redeemed over HTTPS: %q", p.endpoints.Token)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.endpoints.Token, strings.NewReader(form.Encode()))
	if err != nil {
		return Secret{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if !p.browserSecret.IsEmpty() {
		req.SetBasicAuth(url.QueryEscape(p.cfg.Browser.Client.V), url.QueryEscape(p.browserSecret.Reveal()))
	}
	resp, err := p.direct.Do(req)
	if err != nil {
		return Secret{}, fmt.Errorf("redeeming a code: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // read
	octets, err := io.ReadAll(resp.Body)
	if err != nil {
		return Secret{}, fmt.Errorf("redeeming a code: %w", err)
	}
	var answer struct {
		IDToken string `json:"id_token"`
		Error   string `json:"error"`
	}
	err = json.Unmarshal(octets, &answer)
	switch {
	case resp.StatusCode == http.StatusBadRequest && answer.Error == "invalid_grant":
		return Secret{}, &badToken{"the provider does not know the code"}
	case resp.StatusCode != http.StatusOK:
		return Secret{}, fmt.Errorf("redeeming a code: the provider answers %s %q", resp.Status, shortened(answer.Error))
	case err != nil || answer.IDToken == "":
		return Secret{}, errors.New("redeeming a code: the provider's answer is of another form than expected")
	}
	return NewSecret(answer.IDToken), nil
}

// checkIDToken verifies an ID token (OpenID Connect Core, 3.1.3.7).
func (p *provider) checkIDToken(ctx context.Context, token Secret, nonce string) (identity, error) {
	verified, claims, all, err := verify(ctx, p.idTokens, token)
	if err != nil {
		return identity{}, err
	}
	switch {
	case subtle.ConstantTimeCompare([]byte(verified.Nonce), []byte(nonce)) != 1:
		return identity{}, &badToken{"it was made for another way to the provider"}
	case claims.AZP != "" && claims.AZP != p.cfg.Browser.Client.V, claims.AZP == "" && len(verified.Audience) > 1:
		return identity{}, &badToken{fmt.Sprintf("it was made for the client %q", claims.AZP)}
	case len(p.cfg.ACR) > 0 && !slices.Contains(p.cfg.ACR, claims.ACR):
		return identity{}, &badToken{fmt.Sprintf("the person authenticated at the level %q only", claims.ACR)}
	}
	return p.identityOf(claims, all), nil
}
