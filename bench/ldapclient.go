package main

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/go-ldap/ldap/v3"

	"balorg/ldapserver/ber"
	"balorg/ldapserver/wire"
)

// ldapConn is a client that sends requests which were encoded before, and reads of the answers where each begins and what it is.
type ldapConn struct {
	net.Conn
	forget     func() bool
	in         []byte
	head, tail int
}

// answered is what came to requests: how many entries, and with which code the last ended.
type answered struct {
	entries int
	code    wire.Code
}

// unbind is the request that ends a connection, its number that of no other.
var unbind = []byte{ber.Sequence, 5, ber.Integer, 1, 127, ber.Application(wire.UnbindRequest, false), 0}

// dialLDAP connects. A connection that hangs is cut after a while.
func (b *bench) dialLDAP(s *server) (*ldapConn, error) {
	conn, forget, err := b.connect(s.ldap)
	if err != nil {
		return nil, err
	}
	c := &ldapConn{Conn: conn, forget: forget, in: make([]byte, readBuffer)}
	if err := c.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// bind connects and logs in.
func (b *bench) bind(s *server) (*ldapConn, error) {
	c, err := b.dialLDAP(s)
	if err != nil {
		return nil, err
	}
	if err := c.bind(bindRequest(s)); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *ldapConn) bind(request []byte) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	_, err := c.await(1)
	return err
}

// Close ends the connection.
func (c *ldapConn) Close() error {
	c.forget()
	return c.Conn.Close()
}

// await reads the answers to so many requests.
func (c *ldapConn) await(requests int) (got answered, err error) {
	for requests > 0 {
		_, done, err := c.read(&got)
		if err != nil {
			return got, err
		}
		if done {
			requests--
		}
	}
	return got, nil
}

// read reads a message, and tells which request it is of and whether that is done, which must be because all was found or as much as was asked for.
func (c *ldapConn) read(got *answered) (id int32, done bool, err error) {
	message, err := c.next()
	if err != nil {
		return 0, false, err
	}
	_, header, length, err := ber.Header(message)
	if err != nil || header+length >= len(message) {
		return 0, false, errors.New("an answer has no number")
	}
	if id, err = ber.ParseInt(message[header : header+length]); err != nil {
		return 0, false, err
	}
	switch operation := message[header+length:]; operation[0] {
	case ber.Application(wire.SearchEntry, true):
		got.entries++
		return id, false, nil
	case ber.Application(wire.SearchDone, true), ber.Application(wire.BindResponse, true):
		_, header, _, err := ber.Header(operation)
		if err != nil || len(operation) < header+3 {
			return id, false, errors.New("an answer has no code")
		}
		if got.code = wire.Code(operation[header+2]); got.code != wire.Success && got.code != wire.SizeLimitExceeded {
			return id, false, fmt.Errorf("the answer is %v", got.code)
		}
		return id, true, nil
	default:
		return id, false, fmt.Errorf("an answer with the tag %#x", operation[0])
	}
}

// whole answers how many octets of header and content the next message has, if all of it was read.
func (c *ldapConn) whole() (header, length int, ok bool) {
	_, header, length, err := ber.Header(c.in[c.head:c.tail])
	return header, length, err == nil && header+length <= c.tail-c.head
}

// next answers the content of the next message.
func (c *ldapConn) next() ([]byte, error) {
	for {
		if header, length, ok := c.whole(); ok {
			c.head += header + length
			return c.in[c.head-length : c.head], nil
		}
		if c.head > 0 {
			c.tail = copy(c.in, c.in[c.head:c.tail])
			c.head = 0
		}
		if c.tail == len(c.in) {
			c.in = append(c.in, make([]byte, len(c.in))...)
		}
		n, err := c.Read(c.in[c.tail:])
		if c.tail += n; n == 0 && err != nil {
			return nil, err
		}
	}
}

func bindRequest(s *server) []byte {
	b, message := ber.Begin(nil, ber.Sequence)
	b = ber.AppendInt(b, ber.Integer, 1)
	b, body := ber.Begin(b, ber.Application(wire.BindRequest, true))
	b = ber.AppendInt(b, ber.Integer, 3)
	b = ber.Append(b, ber.Octets, s.user)
	b = ber.Append(b, ber.Context(0, false), s.password)
	return ber.End(ber.End(b, body), message)
}

// searchRequest is a search of the whole directory.
func searchRequest(id int32, filter string, limit int, attributes []string) ([]byte, error) {
	packet, err := ldap.CompileFilter(filter)
	if err != nil {
		return nil, err
	}
	b, message := ber.Begin(nil, ber.Sequence)
	b = ber.AppendInt(b, ber.Integer, id)
	b, body := ber.Begin(b, ber.Application(wire.SearchRequest, true))
	b = ber.Append(b, ber.Octets, ldapBase)
	b = ber.AppendInt(b, ber.Enumerated, int32(wire.Sub))
	b = ber.AppendInt(b, ber.Enumerated, 0)
	b = ber.AppendInt(b, ber.Integer, int32(limit))
	b = ber.AppendInt(b, ber.Integer, 0)
	b = ber.AppendBool(b, false)
	b = append(b, packet.Bytes()...)
	b, list := ber.Begin(b, ber.Sequence)
	for _, name := range attributes {
		b = ber.Append(b, ber.Octets, name)
	}
	return ber.End(ber.End(ber.End(b, list), body), message), nil
}
