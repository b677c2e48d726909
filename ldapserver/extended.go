package ldapserver

import (
	"context"
	"crypto/tls"
	"time"

	"balorg/ldapserver/directory"
	"balorg/ldapserver/wire"
)

// extended answers a request of an extension.
func (c *conn) extended(ctx context.Context) error {
	r := &c.req.Extended
	if code, text := c.checkControls(); code != wire.Success {
		return c.result(wire.ExtendedAnswer, &wire.Result{Code: code, Text: text})
	}
	switch string(r.Name) {
	case wire.ExtensionStartTLS:
		return c.startTLS(ctx)
	case wire.ExtensionWhoAmI:
		return c.whoAmI()
	case wire.ExtensionCancel:
		return c.cancelOperation()
	}
	return c.result(wire.ExtendedAnswer, &wire.Result{Code: wire.ProtocolError, Text: "this extended operation is not known here"})
}

// startTLS goes over to TLS (RFC 4511, 4.14). Nothing the client sent before the answer may be taken for sent within TLS, so a connection on which something is there is closed.
func (c *conn) startTLS(ctx context.Context) error {
	refuse := func(code wire.Code, text string) error {
		return c.result(wire.ExtendedAnswer, &wire.Result{Code: code, Text: text, Name: wire.ExtensionStartTLS})
	}
	switch {
	case c.secure:
		return refuse(wire.OperationsError, "TLS is on already")
	case c.srv.opt.TLS == nil:
		return refuse(wire.ProtocolError, "TLS is not offered here")
	case c.req.Extended.Value != nil:
		return refuse(wire.ProtocolError, "StartTLS has no value")
	case c.head < c.tail || c.isBusy():
		return errClose
	}
	if err := refuse(wire.Success, ""); err != nil {
		return err
	}
	if err := c.flush(); err != nil {
		return err
	}
	c.becomeAnonymous() // RFC 4513, 3.1.4 lets us; whoever logged in without TLS did so in the clear
	secured := tls.Server(c.nc, c.srv.opt.TLS)
	ctx, cancel := context.WithTimeout(ctx, tlsTimeout)
	defer cancel()
	c.nc.SetDeadline(time.Time{}) //nolint:errcheck // the context bounds the handshake
	c.until, c.wrote = time.Time{}, time.Time{}
	if err := secured.HandshakeContext(ctx); err != nil {
		return errClose
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nc, c.secure = secured, true
	return nil
}

func (c *conn) isBusy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.running) > 0
}

// whoAmI answers who is logged in (RFC 4532).
func (c *conn) whoAmI() error {
	id := []byte{}
	if who := c.who.Load(); who != nil {
		id = append(id, "dn:"...)
		id = c.srv.names.Append(id, 0, directory.Local, []byte(who.person.Published()))
	}
	return c.result(wire.ExtendedAnswer, &wire.Result{Code: wire.Success, Value: id})
}

// cancelOperation ends a request and answers both (RFC 3909).
func (c *conn) cancelOperation() error {
	answer := func(code wire.Code, text string) error {
		return c.result(wire.ExtendedAnswer, &wire.Result{Code: code, Text: text})
	}
	id, err := wire.ParseCancel(c.req.Extended.Value)
	if err != nil {
		return answer(wire.ProtocolError, "the request to cancel cannot be read")
	}
	c.mu.Lock()
	op := c.running[id]
	if op != nil && op.canceled == 0 {
		op.canceled = c.req.ID
		op.cancel()
		c.mu.Unlock()
		return nil // finish answers both
	}
	c.mu.Unlock()
	if op != nil {
		return answer(wire.TooLate, "it is being cancelled already")
	}
	return answer(wire.NoSuchOperation, "no such operation is under way")
}
