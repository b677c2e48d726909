package ldapserver

import (
	"context"
	"errors"

	"balorg/ldapserver/wire"
)

// protocol is what trace, log and table of sessions call this one.
const protocol = "ldap"

// answers are the tags of the responses to requests that have one.
var answers = map[int]byte{
	wire.BindRequest: wire.BindResponse, wire.SearchRequest: wire.SearchDone, wire.ModifyRequest: wire.ModifyResponse, wire.AddRequest: wire.AddResponse,
	wire.DeleteRequest: wire.DeleteResponse, wire.RenameRequest: wire.RenameResponse, wire.CompareRequest: wire.CompareResponse,
	wire.ExtendedRequest: wire.ExtendedAnswer,
}

// handle answers one request. An error ends the connection.
func (c *conn) handle(ctx context.Context, message []byte) error {
	r := &c.req
	err := r.Parse(message)
	var fault *wire.Fault
	if err != nil && !errors.As(err, &fault) {
		return err
	}
	if _, known := answers[r.Op]; known && r.ID == 0 {
		return wire.ErrMalformed // 0 is the number of notices (RFC 4511, 4.1.1.1)
	}
	if fault != nil {
		if r.Op == wire.BindRequest {
			c.becomeAnonymous()
		}
		return c.result(answers[r.Op], &wire.Result{Code: fault.Code, Text: fault.Text})
	}
	switch r.Op {
	case wire.UnbindRequest:
		return errClose
	case wire.AbandonRequest:
		c.cancel(r.Abandon)
		return nil
	case wire.BindRequest:
		return c.bind(ctx)
	case wire.ExtendedRequest:
		return c.extended(ctx)
	}
	if len(c.srv.opt.Remotes) > 0 && c.isRunning(r.ID) {
		return wire.ErrMalformed // RFC 4511, 4.1.1.1: the number of a request that is not done
	}
	switch r.Op {
	case wire.SearchRequest:
		return c.search(ctx, message)
	case wire.CompareRequest:
		return c.compare()
	default:
		return c.result(answers[r.Op], &wire.Result{Code: wire.UnwillingToPerform, Text: "the directory is changed in the files of its administrators, not over LDAP"})
	}
}

// operation is a request that waits for another server.
type operation struct {
	cancel   context.CancelFunc
	canceled int32 // the number of the request that cancelled it (RFC 3909), or 0
	silent   bool  // abandoned: nothing is answered
}

// start runs a request beside the connection's loop. It is false when too many do.
func (c *conn) start(ctx context.Context, id int32, run func(context.Context) *wire.Result) bool {
	ctx, cancel := context.WithCancel(ctx)
	op := &operation{cancel: cancel}
	c.mu.Lock()
	if len(c.running) >= maxRunning || c.ended {
		c.mu.Unlock()
		cancel()
		return false
	}
	if c.running == nil {
		c.running = make(map[int32]*operation)
	}
	c.running[id] = op
	c.mu.Unlock()
	c.waiting.Go(func() {
		defer cancel()
		result := run(ctx)
		c.finish(id, op, result)
	})
	return true
}

// finish answers a request that ran beside, unless it was abandoned.
func (c *conn) finish(id int32, op *operation, result *wire.Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.running, id)
	switch {
	case op.silent:
		return
	case op.canceled != 0:
		result = &wire.Result{Code: wire.Canceled, Text: "cancelled"}
	}
	c.out = wire.AppendResult(c.answers(), id, wire.SearchDone, result)
	if op.canceled != 0 {
		c.out = wire.AppendResult(c.out, op.canceled, wire.ExtendedAnswer, &wire.Result{Code: wire.Success})
	}
	c.srv.metrics.result(wire.SearchDone, result.Code)
	c.flushLocked() //nolint:errcheck // the loop finds the connection ended
}

func (c *conn) isRunning(id int32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running[id] != nil
}

// cancel ends a request that runs, silently (RFC 4511, 4.11).
func (c *conn) cancel(id int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if op := c.running[id]; op != nil {
		op.silent = op.canceled == 0
		op.cancel()
	}
}

// abandonAll ends all that runs, as a bind asks for (RFC 4511, 4.2.1).
func (c *conn) abandonAll() {
	c.mu.Lock()
	for _, op := range c.running {
		op.silent = op.canceled == 0
		op.cancel()
	}
	c.mu.Unlock()
	c.waiting.Wait()
}
