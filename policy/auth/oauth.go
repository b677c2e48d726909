package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"balorg/policy"
)

// The mechanisms that carry an access token.
const (
	MechanismOAuthBearer = "OAUTHBEARER"
	MechanismXOAuth2     = "XOAUTH2"
)

func isOAuth(mechanism string) bool {
	return mechanism == MechanismOAuthBearer || mechanism == MechanismXOAuth2
}

// Failure answers what a mechanism tells the client in a last challenge before a refusal, or nil. The client's response to it says
// nothing (RFC 7628, 3.2.3; XOAUTH2).
func Failure(mechanism string) []byte {
	switch mechanism {
	case MechanismOAuthBearer:
		return []byte(`{"status":"invalid_token"}`)
	case MechanismXOAuth2:
		return []byte(`{"status":"401","schemes":"bearer"}`)
	}
	return nil
}

const bearer = "bearer "

// parseOAuth reads the one message of OAUTHBEARER (RFC 7628, 3.1) or XOAUTH2.
func parseOAuth(mechanism string, message []byte) (Request, error) {
	if len(message) > maxMessage || !utf8.Valid(message) {
		return Request{}, ErrSASL
	}
	head, rest, ok := bytes.Cut(message, []byte{1})
	if !ok || !bytes.HasSuffix(rest, []byte{1, 1}) {
		return Request{}, ErrSASL
	}
	user, err := oauthUser(mechanism, string(head))
	if err != nil {
		return Request{}, err
	}
	req := Request{Mechanism: mechanism, Authzid: user}
	for pair := range strings.SplitSeq(string(rest[:len(rest)-2]), "\x01") {
		name, value, ok := strings.Cut(pair, "=")
		switch {
		case !ok:
			return Request{}, ErrSASL
		case name != "auth":
			continue // host and port
		case !req.Password.IsEmpty(), len(value) <= len(bearer), !strings.EqualFold(value[:len(bearer)], bearer):
			return Request{}, ErrSASL
		}
		req.Password = NewSecret(value[len(bearer):])
	}
	if req.Password.IsEmpty() || strings.ContainsAny(req.Password.Reveal(), " \x00") {
		return Request{}, ErrSASL
	}
	return req, nil
}

// oauthUser reads whom the message names: the mailbox, or the person.
func oauthUser(mechanism, head string) (string, error) {
	if mechanism == MechanismXOAuth2 {
		user, ok := strings.CutPrefix(head, "user=")
		if !ok {
			return "", ErrSASL
		}
		return user, nil
	}
	// gs2-header (RFC 5801): no channel binding, perhaps an authorization identity, a comma.
	binding, rest, ok := strings.Cut(head, ",")
	name, end, ok2 := strings.Cut(rest, ",")
	if !ok || !ok2 || end != "" || (binding != "n" && binding != "y") {
		return "", ErrSASL
	}
	if name == "" {
		return "", nil
	}
	name, ok = strings.CutPrefix(name, "a=")
	unescaped := strings.NewReplacer("=2C", ",", "=3D", "=").Replace(name)
	if !ok || name == "" || strings.Count(name, "=") != strings.Count(name, "=2C")+strings.Count(name, "=3D") {
		return "", ErrSASL
	}
	return unescaped, nil
}

// withAccessToken logs in with an access token. Whom the request names is the mailbox, or the person again; who it is says the token.
func (a *Authenticator) withAccessToken(ctx context.Context, req Request) (Result, error) {
	named, err := policy.ParseLogin(req.Authzid, "")
	if req.Authzid != "" && err != nil {
		named = policy.Login{}
	}
	who := pair{network: networkOf(req.Remote), who: named.Person}
	attempt, ok := a.throttle.begin(who, a.passwords.mac(req.Authzid, req.Password.Reveal()))
	if !ok {
		return Result{}, a.throttled(req, nil, who)
	}
	id, err := a.provider.check(ctx, req.Password)
	var bad *badToken
	switch {
	case errors.As(err, &bad):
		attempt.finish(refused)
		return Result{}, &Refusal{Reason: policy.Reason{Code: policy.ReasonWrongSecret, Text: bad.Error()}, User: req.Authzid}
	case err != nil:
		attempt.finish(undecided)
		return Result{}, &Unavailable{User: req.Authzid, Err: err, Reason: policy.Reason{
			Code: policy.ReasonUnavailable, Text: fmt.Sprintf("the access token could not be checked: %v", err),
		}}
	}
	snap := a.snapshot()
	person, reason := id.personOf(snap)
	if person == nil {
		attempt.finish(refused)
		return Result{}, &Refusal{Reason: reason, User: req.Authzid}
	}
	access, ok := a.openedBy(snap, person, req.Authzid, WayOIDC)
	if !ok {
		attempt.finish(refused)
		return Result{}, &Refusal{Reason: access.Reason, Person: person, Mailbox: access.Mailbox, User: req.Authzid}
	}
	// Not a success of the address that was named: a network becomes familiar by passwords alone.
	attempt.finish(undecided)
	return Result{Person: person, Mailbox: access.Mailbox, Access: access, Means: policy.Means{
		Method: policy.MethodOAuth, ID: "oauth/" + id.id, Name: id.client, Until: a.now().Add(a.provider.cfg.Session),
	}}, nil
}

// openedBy decides which mailbox opens for a person whom a token names and a request that names a mailbox, the person, both in a form
// of a user name, or nobody.
func (a *Authenticator) openedBy(snap *policy.Snapshot, person *policy.Account, named string, way Way) (policy.Access, bool) {
	user, authzid := string(person.Address), named
	if strings.ContainsAny(named, "*/") {
		user, authzid = named, ""
	}
	login, err := policy.ParseLogin(user, authzid)
	if err != nil {
		return policy.Access{Reason: policy.Reason{Code: policy.ReasonBadLogin, Text: err.Error()}}, false
	}
	if !person.Is(login.Person) {
		return policy.Access{Reason: policy.Reason{
			Code: policy.ReasonDisagree, Text: fmt.Sprintf("the credentials are of %s, and the user name of %s", person.Address, login.Person),
		}}, false
	}
	_, access, ok := snap.Resolve(login)
	if ok && !a.cfg.Methods.allows(person.Kind, way) {
		return policy.Access{Mailbox: access.Mailbox, Reason: closed(person, way)}, false
	}
	return access, ok
}
