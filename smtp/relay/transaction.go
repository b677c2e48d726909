package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"balorg/smtp/wire"
)

// transaction hands one message on over one connection, after another one when the first has turned out to be dead.
type transaction struct {
	r        *Relay
	m        Message
	to       []wire.Recipient
	outcomes []Outcome
	done     []bool
	c        *conn // nil before there is one
	accepted []int // recipients that the next hop takes the message for
}

func newTransaction(r *Relay, m Message, to []wire.Recipient) *transaction {
	return &transaction{r: r, m: m, to: to, outcomes: make([]Outcome, len(to)), done: make([]bool, len(to))}
}

// settle decides about a recipient, once.
func (t *transaction) settle(i int, result Result, reply *wire.Reply) {
	if t.done[i] {
		return
	}
	t.done[i] = true
	o := &t.outcomes[i]
	o.Result, o.Reply = result, *reply
	if t.c != nil {
		o.Peer, o.TLS = t.c.peer, t.c.tls
		o.Relayed = result == Delivered && t.to[i].Notify&wire.NotifySuccess != 0 && !t.c.ext.dsn
	}
}

// settleAll decides about those who are left.
func (t *transaction) settleAll(result Result, reply *wire.Reply) {
	for i := range t.to {
		t.settle(i, result, reply)
	}
}

// settleAccepted decides about those that the next hop took the message for.
func (t *transaction) settleAccepted(result Result, reply *wire.Reply) {
	for _, i := range t.accepted {
		t.settle(i, result, reply)
	}
}

// open answers those who are not settled.
func (t *transaction) open() (left []int) {
	for i, done := range t.done {
		if !done {
			left = append(left, i)
		}
	}
	return left
}

// judge is what a reply to a command comes to that was to be answered 2xx.
func judge(reply *wire.Reply) Result {
	switch {
	case reply.Code >= 200 && reply.Code < 300:
		return Delivered
	case reply.Permanent():
		return Failed
	}
	return Deferred // 4xx; and 3xx, which is no answer to it
}

// ending is what becomes of a connection after a transaction.
type ending uint8

const (
	endCut  ending = iota // it is in no state that anything could be said in
	endQuit               // the server waits for a command, of a transaction that is not over
	endPark               // the transaction is over
)

// errUnheard is a connection on which the server did not even answer the first command.
var errUnheard = errors.New("the server is gone")

// run does the transaction. It is false when the connection had been waiting and turns out to be dead: nothing has been said on it that
// counts.
func (t *transaction) run(ctx context.Context, c *conn) bool {
	t.c = c
	stop := context.AfterFunc(ctx, c.close)
	t.accepted = nil
	end, err := t.dialogue()
	cut := !stop()
	switch {
	case errors.Is(err, errUnheard) && c.used > 0 && !cut:
		t.c = nil
		return false
	case err != nil && cut:
		err = context.Cause(ctx)
	}
	if err != nil {
		t.settleAll(Deferred, wire.NewReply(451, "4.4.2", "Connection lost: %v", err))
		end = endCut
	}
	switch {
	case cut || end == endCut:
		c.close()
	case end == endPark:
		t.r.pool.park(c)
	default:
		c.quit()
	}
	return true
}

// dialogue says everything from MAIL on. Its error is a lost connection, or one on which the server says what is no SMTP.
func (t *transaction) dialogue() (ending, error) {
	if err := t.check(); err != nil {
		t.settleAll(Deferred, unreadable())
		return endPark, nil
	}
	rcpts := t.open()
	if len(rcpts) == 0 {
		return endPark, nil
	}
	content, err := t.m.Open()
	if err != nil {
		t.settleAll(Deferred, unreadable())
		return endPark, nil
	}
	defer content.Close() //nolint:errcheck // it was only read
	chunked := t.c.ext.chunking && t.m.Size > 0
	commands := t.commands(rcpts, chunked)
	if t.c.ext.pipelining { // RFC 2920: all up to DATA in one write
		for _, command := range commands {
			t.c.out.WriteString(command) //nolint:errcheck // Flush tells
		}
		if err := t.c.out.Flush(); err != nil {
			return endCut, unheard(err)
		}
	}
	end, err := t.envelope(commands, rcpts)
	if err != nil || len(t.accepted) == 0 {
		return end, err
	}
	if chunked {
		return t.chunk(content)
	}
	return t.data(content)
}

func unreadable() *wire.Reply { return wire.NewReply(451, "4.3.0", "The message cannot be read") }

// unheard is a failure of the first command: on a connection that had been waiting it says nothing about the next hop.
func unheard(err error) error { return fmt.Errorf("%w: %w", errUnheard, err) }

// ask says a command, unless it has been said already, and reads the reply.
func (t *transaction) ask(command string, within time.Duration) (*wire.Reply, error) {
	if !t.c.ext.pipelining {
		t.c.out.WriteString(command) //nolint:errcheck // Flush tells
		if err := t.c.out.Flush(); err != nil {
			return nil, err
		}
	}
	return t.c.read(within)
}

// goingDown tells whether the server closes the connection; then its reply counts for all who are left.
func (t *transaction) goingDown(reply *wire.Reply) bool {
	if reply.Code != 421 {
		return false
	}
	t.settleAll(Deferred, reply)
	t.accepted = nil
	return true
}

// envelope reads the replies to MAIL, to RCPT and to DATA, as far as they are among the commands.
func (t *transaction) envelope(commands []string, rcpts []int) (ending, error) {
	pipelined := t.c.ext.pipelining
	reply, err := t.ask(commands[0], t.c.time.Command)
	switch {
	case err != nil:
		return endCut, unheard(err)
	case reply.Code == 421 && t.c.used > 0:
		return endCut, unheard(reply)
	case t.goingDown(reply):
		return endCut, nil
	}
	if result := judge(reply); result != Delivered {
		t.settleAll(result, reply)
		if !pipelined {
			return endQuit, nil
		}
	}
	for n, i := range rcpts {
		reply, err := t.ask(commands[1+n], t.c.time.Command)
		if err != nil {
			return endCut, fmt.Errorf("waiting for the answer to RCPT: %w", err)
		}
		if t.goingDown(reply) {
			return endCut, nil
		}
		t.recipient(i, reply)
	}
	if len(commands) == 1+len(rcpts) || !pipelined && len(t.accepted) == 0 {
		return endQuit, nil
	}
	reply, err = t.ask(commands[len(commands)-1], t.c.time.Data)
	switch {
	case err != nil:
		return endCut, fmt.Errorf("waiting for the answer to DATA: %w", err)
	case t.goingDown(reply):
		return endCut, nil
	case reply.Code == 354:
		return endCut, nil // when nobody is left, this is how nothing is sent; else the message follows
	}
	result := judge(reply)
	if result == Delivered { // nothing has been delivered yet
		result = Deferred
	}
	t.settleAccepted(result, reply)
	t.accepted = nil
	return endQuit, nil
}

// recipient notes the reply to one RCPT.
func (t *transaction) recipient(i int, reply *wire.Reply) {
	result := judge(reply)
	switch {
	case t.done[i]: // MAIL was refused
	case result == Delivered:
		t.accepted = append(t.accepted, i)
	case reply.Code == 552: // RFC 5321, 4.5.3.1.10: too many recipients, from a server of old
		t.settle(i, Deferred, reply)
	default:
		t.settle(i, result, reply)
	}
}

// source remembers whether it was reading that failed.
type source struct {
	io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// data sends the message after the answer to DATA.
func (t *transaction) data(content io.Reader) (ending, error) {
	src := &source{Reader: content}
	dots := wire.NewDotWriter(t.c.out)
	_, err := io.CopyBuffer(dots, src, t.c.buffer())
	if src.err != nil {
		return t.unread()
	}
	if err == nil {
		err = dots.Close()
	}
	return t.finish(err)
}

// chunk sends the message as one chunk (RFC 3030), exactly as long as announced.
func (t *transaction) chunk(content io.Reader) (ending, error) {
	src := &source{Reader: content}
	_, err := fmt.Fprintf(t.c.out, "BDAT %d LAST\r\n", t.m.Size)
	if err == nil {
		_, err = io.CopyN(t.c.out, src, t.m.Size-1)
	}
	if src.err != nil || errors.Is(err, io.EOF) {
		return t.unread()
	}
	if err == nil {
		var last [2]byte // the last octet only goes when it is the last
		if n, err := io.ReadFull(src, last[:]); n != 1 || !errors.Is(err, io.ErrUnexpectedEOF) {
			return t.unread()
		}
		err = t.c.out.WriteByte(last[0])
	}
	return t.finish(err)
}

// unread cuts a message short that cannot be read to its end.
func (t *transaction) unread() (ending, error) {
	t.settleAccepted(Deferred, unreadable())
	return endCut, nil
}

// lastWords is how long a server that takes nothing any more is listened to: it may have said why.
const lastWords = 2 * time.Second

// finish sends what is left of the message and reads what has become of it. err is that of sending it.
func (t *transaction) finish(err error) (ending, error) {
	if err == nil {
		err = t.c.out.Flush()
	}
	if err != nil {
		if reply, rerr := t.c.read(lastWords); rerr == nil && !reply.Positive() {
			t.settleAccepted(judge(reply), reply)
			return endCut, nil
		}
		return endCut, fmt.Errorf("sending the message: %w", err)
	}
	if t.r.opt.LMTP {
		return t.each()
	}
	reply, err := t.c.read(t.c.time.Final)
	if err != nil {
		t.doubt(t.accepted, err)
		return endCut, nil
	}
	t.settleAccepted(judge(reply), reply)
	return after(reply), nil
}

// each reads the replies of LMTP, one for each recipient (RFC 2033, 4.2).
func (t *transaction) each() (ending, error) {
	end := endPark
	for n, i := range t.accepted {
		reply, err := t.c.read(t.c.time.Final)
		if err != nil {
			t.doubt(t.accepted[n:], err)
			return endCut, nil
		}
		t.settle(i, judge(reply), reply)
		end = min(end, after(reply))
	}
	return end, nil
}

func after(reply *wire.Reply) ending {
	if reply.Code == 421 || reply.Code < 400 && reply.Code >= 300 {
		return endCut
	}
	return endPark
}

// doubt notes that the message was sent to its end and nobody knows what has become of it.
func (t *transaction) doubt(rcpts []int, err error) {
	t.r.doubtful.Add(float64(len(rcpts)))
	for _, i := range rcpts {
		t.settle(i, Deferred, wire.NewReply(451, "4.4.2", "Connection lost after the end of the message, which may have arrived: %v", err))
	}
}
