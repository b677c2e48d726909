package auth

import (
	"bytes"
	"errors"
	"unicode/utf8"
)

// maxMessage bounds one SASL message, decoded.
const maxMessage = 8 << 10

var (
	// ErrSASL is a message that is not what its mechanism asks.
	ErrSASL = errors.New("not a message of this SASL mechanism")
	// ErrNoMechanism is a mechanism that nobody here speaks.
	ErrNoMechanism = errors.New("no such SASL mechanism")
)

// ParsePlain reads the one message of PLAIN (RFC 4616): authorization identity, NUL, user name, NUL, password.
func ParsePlain(message []byte) (Request, error) {
	parts := bytes.Split(message, []byte{0})
	if len(message) > maxMessage || len(parts) != 3 || len(parts[1]) == 0 || len(parts[2]) == 0 || !utf8.Valid(message) {
		return Request{}, ErrSASL
	}
	return Request{
		Mechanism: MechanismPlain,
		Authzid:   string(parts[0]), User: string(parts[1]), Password: NewSecret(string(parts[2])),
	}, nil
}

// parseExternal reads the one message of EXTERNAL: an authorization identity, or nothing.
func parseExternal(message []byte) (Request, error) {
	if bytes.IndexByte(message, 0) >= 0 || !utf8.Valid(message) {
		return Request{}, ErrSASL
	}
	return Request{Mechanism: MechanismExternal, Authzid: string(message)}, nil
}

// Exchange is the server's side of a SASL exchange. Call Next with the client's initial response, or nil when there is none,
// then with each response, until it answers a request; after an error the exchange is over.
type Exchange struct {
	mechanism string
	steps     int
	request   Request
}

// NewExchange begins an exchange of a mechanism. Whether it is offered is for Authenticator.Mechanisms to say.
func NewExchange(mechanism string) (*Exchange, error) {
	switch mechanism {
	case MechanismPlain, MechanismLogin, MechanismOAuthBearer, MechanismXOAuth2, MechanismExternal:
		return &Exchange{mechanism: mechanism}, nil
	}
	return nil, ErrNoMechanism
}

// Next takes a response and answers either the next challenge or the finished request.
func (e *Exchange) Next(response []byte) (challenge []byte, done *Request, err error) {
	if len(response) > maxMessage {
		return nil, nil, ErrSASL
	}
	if e.mechanism == MechanismLogin {
		return e.login(response)
	}
	return e.single(response)
}

// single is a mechanism of one message, which the client sends.
func (e *Exchange) single(response []byte) ([]byte, *Request, error) {
	if response == nil && e.steps == 0 {
		e.steps++
		return []byte{}, nil, nil
	}
	parse := ParsePlain
	if isOAuth(e.mechanism) {
		parse = func(message []byte) (Request, error) { return parseOAuth(e.mechanism, message) }
	}
	if e.mechanism == MechanismExternal {
		parse = parseExternal
	}
	request, err := parse(response)
	if err != nil {
		return nil, nil, err
	}
	return nil, &request, nil
}

// login is the mechanism of draft-murchison-sasl-login: two prompts, two answers. An initial response is the user name.
func (e *Exchange) login(response []byte) ([]byte, *Request, error) {
	if bytes.IndexByte(response, 0) >= 0 || !utf8.Valid(response) {
		return nil, nil, ErrSASL
	}
	switch {
	case e.request.User == "" && response == nil && e.steps == 0:
		e.steps++
		return []byte("Username:"), nil, nil
	case len(response) == 0:
		return nil, nil, ErrSASL
	case e.request.User == "":
		e.request = Request{Mechanism: MechanismLogin, User: string(response)}
		return []byte("Password:"), nil, nil
	}
	e.request.Password = NewSecret(string(response))
	return nil, &e.request, nil
}
