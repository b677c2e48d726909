package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"

	"balorg/policy"
)

// Tokens is where device tokens are kept, by the SHA-256 of their secrets.
type Tokens interface {
	// Token answers the token of a secret, or ErrUnset.
	Token(ctx context.Context, hash TokenHash) (policy.Token, error)
	// Used notes that a token was used. That it cannot be noted keeps nobody out.
	Used(ctx context.Context, t policy.Token, now time.Time)
}

// TokenHash stands for the secret of a device token.
type TokenHash = [sha256.Size]byte

const (
	// tokenMark begins each secret and tells it from a password; whoever finds one in a file knows what it is.
	tokenMark = "bal-"
	// tokenOctets are drawn at random: no guessing, and so no slow hash.
	tokenOctets = 16
)

// tokenLetters leave out i, l, o and u, which are mistyped on the panel of a scanner; case does not matter.
func tokenLetters() *base32.Encoding {
	return base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)
}

// NewToken makes the secret of a device token: 30 characters, since some devices take 32 at most.
func NewToken() (Secret, TokenHash) {
	octets := make([]byte, tokenOctets)
	rand.Read(octets) // never fails (crypto/rand)
	return NewSecret(tokenMark + tokenLetters().EncodeToString(octets)), sha256.Sum256(octets)
}

// parseToken reads what may be the secret of a device token, as somebody may have typed it.
func parseToken(s Secret) (TokenHash, bool) {
	text := s.Reveal()
	if len(text) > 2*maxToken() || len(text) < len(tokenMark) || !strings.EqualFold(text[:len(tokenMark)], tokenMark) {
		return TokenHash{}, false
	}
	text = strings.NewReplacer("-", "", " ", "", "i", "1", "l", "1", "o", "0").Replace(strings.ToLower(text[len(tokenMark):]))
	octets, err := tokenLetters().DecodeString(text)
	if err != nil || len(octets) != tokenOctets || tokenLetters().EncodeToString(octets) != text {
		return TokenHash{}, false
	}
	return sha256.Sum256(octets), true
}

func maxToken() int { return len(tokenMark) + tokenLetters().EncodedLen(tokenOctets) }

// withToken logs in with a device token. It is looked up before anything is throttled: it cannot be guessed, nor its device locked
// out by those who try. What is wrong with one that is refused is looked at after the same one read.
func (a *Authenticator) withToken(ctx context.Context, req Request, hash TokenHash) (Result, error) {
	token, err := a.tokens.Token(ctx, hash)
	if err != nil && !errors.Is(err, ErrUnset) {
		return Result{}, a.unavailable(req, err)
	}
	known := err == nil
	now := a.now()
	login, person, access, ok := a.resolveToken(req, token, known, now)
	if ok {
		a.tokens.Used(ctx, token, now)
		return Result{Person: person, Mailbox: access.Mailbox, Access: access, Means: policy.Means{
			Method: policy.MethodToken, ID: TokenCredential(token.ID), Name: token.Name, Only: token.Mailbox,
		}}, nil
	}
	who := pair{network: networkOf(req.Remote), who: login.Person}
	attempt, ok := a.throttle.begin(who, a.passwords.mac(req.User+"\x00"+req.Authzid, req.Password.Reveal()))
	if !ok {
		return Result{}, a.throttled(req, person, who)
	}
	attempt.finish(refused)
	return Result{}, &Refusal{Reason: access.Reason, Person: person, Mailbox: access.Mailbox, User: req.User}
}

// resolveToken asks policy what a token opens that was found, or not.
func (a *Authenticator) resolveToken(req Request, token policy.Token, known bool, now time.Time) (login policy.Login, person *policy.Account, access policy.Access, ok bool) {
	login, person, access, _ = a.resolve(req)
	switch {
	case whoMayLogIn(person) == nil:
		return login, person, policy.Access{Reason: access.Reason}, false
	case !known:
		return login, person, policy.Access{Reason: policy.Reason{
			Code: policy.ReasonWrongSecret, Text: fmt.Sprintf("no such device token, or no longer, for %s", person.Address),
		}}, false
	case token.Expired(now, a.cfg.TokenUnused):
		return login, person, policy.Access{Reason: policy.Reason{
			Code: policy.ReasonTokenExpired, Text: fmt.Sprintf("the device token %q was not used for %v", token.Name, a.cfg.TokenUnused),
		}}, false
	}
	person, access, ok = a.snapshot().ResolveToken(token, login, policy.Scope(req.Protocol))
	if ok && !a.cfg.Methods.allows(person.Kind, WayTokens) {
		return login, person, policy.Access{Mailbox: access.Mailbox, Reason: closed(person, WayTokens)}, false
	}
	return login, person, access, ok
}

// TokenCredential is the policy.Means.ID of sessions with a device token.
func TokenCredential(id string) string { return "token/" + id }
