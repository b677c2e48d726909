package imapproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"balorg/imapproxy/wire"
	"balorg/policy"
)

// Limits on what a mail store may make us hold.
const (
	maxLine     = 1 << 20 // octets of one response that is collected: a COPYUID of a large set is the longest known
	maxInFlight = 64      // commands sent to one mail store and not answered: beyond, the client's reader waits
)

// openTimeout is how long a mail store may take to greet.
const openTimeout = 30 * time.Second

// upstream is a session's connection to the mail store of one account. Commands are started by the session's goroutine
// alone. Responses are given to the exchange that waits for them, or relayed to the client; who reads them, reading.go says.
type upstream struct {
	s       *session
	account *policy.Account
	conn    io.ReadWriteCloser
	in      *wire.ResponseReader
	out     *buffer // to the mail store; the session's goroutine only
	caps    map[string]bool
	names   Names
	tags    int
	used    time.Time   // when a command last needed it; the session's goroutine only
	parking atomic.Bool // its reader is to end, and the connection to go back to its mail store
	broken  bool        // a write has failed, which its reader may not have noticed yet; the session's goroutine only
	pumped  bool        // a goroutine of its own reads it; the session's goroutine only

	// selection is what this connection has selected for the client; nil: nothing of what it says untagged is relayed.
	selection atomic.Pointer[selection]

	mu    sync.Mutex
	queue []*exchange // sent and not answered, in order
	// boundUntil is when the reader gives up, zero for never.
	boundUntil time.Time
	lost       error         // set once the connection has ended
	change     chan struct{} // closed and replaced whenever the queue shrinks or the connection ends
	ended      chan struct{} // closed when nobody reads it any more
}

// exchange is one command sent to a mail store.
type exchange struct {
	tag    string
	client string // the client's tag of a command that was piped; else ""
	// asks says that behind its "+" the mail store cannot answer before more has come: the DONE of an IDLE, the message of an APPEND.
	// waits says that it is so now; under upstream.mu.
	asks, waits bool
	// data is offered each untagged response while the exchange is the oldest unanswered one, and answers whether it took
	// it. It runs in who reads.
	data func(*wire.ResponseReader, *wire.Response) (took bool, err error)
	// named, if any, runs when the command has got its tag, before anything of it is sent.
	named func(tag string)
	// asked runs in who reads when the mail store first asks for more, before anything behind that is read.
	asked func()
	// proceed is sent to when the mail store asks for more ("+ …"); capacity one.
	proceed chan struct{}
	// done gets the tagged answer, or nil when the connection was lost. It runs in who reads.
	done func(*reply)
}

// reply is a tagged answer of a mail store.
type reply struct {
	status string // OK, NO, BAD
	code   string // response code without brackets, or ""
}

func (r *reply) ok() bool { return r.status == "OK" }

// greeted is a connection that tells the capabilities of its greeting when it is asked, and greets no more.
type greeted interface{ Greeted() string }

// openUpstream connects to the mail store of an account and reads its greeting.
func openUpstream(ctx context.Context, s *session, account *policy.Account) (*upstream, error) {
	ms, ok := s.p.opt.Stores[account.Mailstore]
	if !ok {
		return nil, fmt.Errorf("mail store %q of %s is not configured", account.Mailstore, account.Address)
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	conn, err := ms.Open(ctx, Who{Account: account.ID, Address: account.Address, Person: s.person.ID, Quota: account.Quota, Client: s.client})
	if err != nil {
		return nil, fmt.Errorf("%w: opening the mail store of %s: %w", errDown, account.Address, err)
	}
	u := &upstream{
		s: s, account: account, conn: conn, used: time.Now(),
		out:    newBuffer(conn),
		change: make(chan struct{}), ended: make(chan struct{}),
	}
	u.in = wire.NewResponseReader(u.watch())
	if n, ok := conn.(named); ok {
		u.names = n.Names()
	}
	if g, ok := conn.(greeted); ok {
		u.caps = s.p.offered(account.Mailstore, g.Greeted())
		return u, nil
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() }) //nolint:errcheck // the reader sees it
	err = u.greeting()
	stop()
	if err != nil {
		conn.Close() //nolint:errcheck // the first error counts
		return nil, fmt.Errorf("%w: greeting of the mail store of %s: %w", errDown, account.Address, err)
	}
	return u, nil
}

// greeting reads "* PREAUTH [CAPABILITY …]", with which every mail store's stream begins.
func (u *upstream) greeting() error {
	resp, err := u.in.Next()
	if err != nil {
		return err
	}
	if resp.Kind != wire.Untagged || !resp.Is("PREAUTH") {
		return wire.ErrResponse
	}
	line, err := u.in.Collect(maxLine)
	if err != nil {
		return err
	}
	code, _ := splitCode(strings.TrimPrefix(string(line), "* PREAUTH "))
	name, list, _ := strings.Cut(code, " ")
	if !strings.EqualFold(name, "CAPABILITY") {
		return fmt.Errorf("%w: greeting without capabilities", wire.ErrResponse)
	}
	u.caps = u.s.p.offered(u.account.Mailstore, list)
	return nil
}

// offer is what a mail store can do.
type offer struct {
	list string // as it says it
	caps map[string]bool
}

// offered answers the capabilities of a list as a set, which all connections that were given the same list share and nobody changes:
// a set of its own would be the most that an idle connection holds.
func (p *Proxy) offered(store, list string) map[string]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.offers[store]
	if last.caps == nil || last.list != list {
		last = offer{list, make(map[string]bool)}
		for c := range strings.FieldsSeq(list) {
			last.caps[strings.ToUpper(c)] = true
		}
		p.offers[store] = last
	}
	return last.caps
}

// splitCode takes the response code off a text.
func splitCode(text string) (code, rest string) {
	if !strings.HasPrefix(text, "[") {
		return "", text
	}
	end := strings.IndexByte(text, ']')
	if end < 0 {
		return "", text
	}
	return text[1:end], strings.TrimPrefix(text[end+1:], " ")
}

// start puts ex in flight and writes its tag; the caller writes the rest of the command to u.out and, when nothing follows at
// once, calls u.flush. It waits while too many commands are unanswered. From here on the connection is read by a goroutine of its own.
func (u *upstream) start(ctx context.Context, ex *exchange) error {
	u.attend()
	return u.send(ctx, ex)
}

func (u *upstream) send(ctx context.Context, ex *exchange) error {
	for {
		u.mu.Lock()
		if u.lost != nil {
			u.mu.Unlock()
			return fmt.Errorf("%w: %w", errLost, u.lost)
		}
		if len(u.queue) < maxInFlight {
			break
		}
		changed := u.change
		u.mu.Unlock()
		if err := u.flush(); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	u.tags++
	ex.tag = "p" + strconv.Itoa(u.tags)
	if ex.named != nil {
		ex.named(ex.tag)
	}
	u.queue = append(u.queue, ex)
	if len(u.queue) == 1 { // its reader waits without a bound
		u.boundLocked(0)
	}
	u.mu.Unlock()
	u.out.WriteString(ex.tag) //nolint:errcheck // the buffer keeps the error for flush
	u.out.WriteByte(' ')      //nolint:errcheck // as above
	return nil
}

func (u *upstream) flush() error { return u.written(u.out.Flush()) }

// written notes a write that has failed.
func (u *upstream) written(err error) error {
	if err == nil {
		return nil
	}
	u.broken = true
	return fmt.Errorf("%w: %w", errLost, err)
}

// drain waits until every command sent has been answered.
func (u *upstream) drain(ctx context.Context) error {
	if err := u.flush(); err != nil {
		return err
	}
	for {
		u.mu.Lock()
		if u.lost != nil {
			u.mu.Unlock()
			return errLost
		}
		if len(u.queue) == 0 {
			u.mu.Unlock()
			return nil
		}
		changed := u.change
		u.mu.Unlock()
		u.attend()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// run sends a command and waits for its answer. data may be nil.
func (u *upstream) run(ctx context.Context, command []byte, data func(*wire.ResponseReader, *wire.Response) (bool, error)) (*reply, error) {
	if !u.pumped {
		return u.runAlone(ctx, command, data)
	}
	wait, err := u.begin(ctx, command, data)
	if err != nil {
		return nil, err
	}
	if err := u.flush(); err != nil {
		return nil, err
	}
	return wait(ctx)
}

// begin sends a command without flushing, and answers what waits for its answer. The connection must be read by somebody by then.
func (u *upstream) begin(ctx context.Context, command []byte, data func(*wire.ResponseReader, *wire.Response) (bool, error)) (wait func(context.Context) (*reply, error), err error) {
	answered := make(chan *reply, 1)
	ex := &exchange{data: data, done: func(r *reply) { answered <- r }, proceed: make(chan struct{}, 1)}
	if err := u.send(ctx, ex); err != nil {
		return nil, err
	}
	if err := u.writeCommand(ctx, ex, command); err != nil && !errors.Is(err, errAnswered) {
		return nil, err
	}
	return func(ctx context.Context) (*reply, error) { return awaitReply(ctx, answered) }, nil
}

func awaitReply(ctx context.Context, answered <-chan *reply) (*reply, error) {
	select {
	case r := <-answered:
		if r == nil {
			return nil, errLost
		}
		return r, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// writeCommand writes the rest of a command and its line end. Literals in it are sent as the mail store takes them: without
// waiting where it has LITERAL+, else after its "+".
func (u *upstream) writeCommand(ctx context.Context, ex *exchange, command []byte) error {
	for len(command) > 0 {
		head, size, rest, ok := wire.CutLiteral(command)
		u.out.Write(head) //nolint:errcheck // the buffer keeps the error for flush
		if !ok {
			break
		}
		if u.caps["LITERAL+"] {
			fmt.Fprintf(u.out, "{%d+}\r\n", size) //nolint:errcheck // as above
		} else {
			fmt.Fprintf(u.out, "{%d}\r\n", size) //nolint:errcheck // as above
			if err := u.awaitProceed(ctx, ex); err != nil {
				return err
			}
		}
		u.out.Write(rest[:size]) //nolint:errcheck // as above
		command = rest[size:]
	}
	_, err := u.out.WriteString("\r\n")
	return u.written(err)
}

// awaitProceed flushes and waits for "+". errAnswered says that the answer came instead: the mail store refuses.
func (u *upstream) awaitProceed(ctx context.Context, ex *exchange) error {
	if err := u.flush(); err != nil {
		return err
	}
	if !u.pumped {
		if err := u.readAlone(ctx, func() bool { return len(ex.proceed) > 0 || !u.awaits(ex) }, false); err != nil {
			return err
		}
	}
	for {
		u.mu.Lock()
		changed, waits, lost := u.change, slices.Contains(u.queue, ex), u.lost
		u.mu.Unlock()
		switch {
		case waits || len(ex.proceed) > 0:
		case lost != nil:
			return errLost
		default:
			return errAnswered
		}
		select {
		case <-ex.proceed:
			return nil
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// awaits tells whether the answer to ex is still to come.
func (u *upstream) awaits(ex *exchange) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Contains(u.queue, ex)
}

// appendFolder appends the mail store's name of an account's folder to a command.
func (u *upstream) appendFolder(command []byte, folder string) ([]byte, error) {
	name, ok := u.names.toStore(folder)
	if !ok {
		return nil, errNoMailbox()
	}
	return u.naming().Append(command, name), nil
}

// usable tells whether commands can still be sent, as far as is known.
func (u *upstream) usable() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.lost == nil && !u.broken
}

// close ends the connection and waits for its reader.
func (u *upstream) close() {
	u.selection.Store(nil)
	u.conn.Close() //nolint:errcheck // nothing is kept in it
	if u.pumped {
		<-u.ended
	}
}

// parker is a connection that can serve another session.
type parker interface {
	SetReadDeadline(t time.Time) error
	Park()
}

// park gives the connection back to its mail store, if that takes it and nothing is selected, enabled or unanswered; else it closes it.
func (u *upstream) park() {
	p, ok := u.conn.(parker)
	u.mu.Lock()
	quiet := u.lost == nil && len(u.queue) == 0
	u.mu.Unlock()
	if !ok || !quiet || u.broken || u.selection.Load() != nil || len(u.s.enabled) > 0 {
		u.close()
		return
	}
	if !u.pumped {
		u.handBack(p)
		return
	}
	u.mu.Lock()
	u.parking.Store(true)         // from here on nobody else sets a deadline
	p.SetReadDeadline(time.Now()) //nolint:errcheck // its reader sees it in any case
	u.mu.Unlock()
	<-u.ended
}

// handBack gives the connection back, of which nobody reads and nothing has been read ahead.
func (u *upstream) handBack(p parker) {
	if u.in.Buffered() || p.SetReadDeadline(time.Time{}) != nil {
		u.conn.Close() //nolint:errcheck // nothing is kept in it
		return
	}
	u.in.Rest()
	p.Park()
}

// letGo closes the connection once its reader has ended, or gives it back.
func (u *upstream) letGo(err error) {
	if p, ok := u.conn.(parker); ok && u.parking.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
		u.handBack(p)
		return
	}
	u.conn.Close() //nolint:errcheck // it has failed already, or is of no more use
}

// finish hands a tagged answer to its exchange. The exchange leaves the queue only after it has been told, so that drain
// means "answered to the client too".
func (u *upstream) finish(tag string) error {
	line, err := u.in.Collect(maxLine)
	if err != nil {
		return err
	}
	_, text, _ := strings.Cut(string(line), " ")
	status, text, _ := strings.Cut(text, " ")
	code, _ := splitCode(text)
	if u.s.hides(code) {
		code = ""
	}
	u.mu.Lock()
	at := -1
	for i, ex := range u.queue {
		if ex.tag == tag {
			at = i
			break
		}
	}
	if at < 0 {
		u.mu.Unlock()
		return fmt.Errorf("%w: answer with a tag that is not ours", wire.ErrResponse)
	}
	ex := u.queue[at]
	u.mu.Unlock()
	ex.done(&reply{strings.ToUpper(status), code})
	u.mu.Lock()
	u.queue = append(u.queue[:at], u.queue[at+1:]...)
	close(u.change)
	u.change = make(chan struct{})
	u.mu.Unlock()
	return nil
}

func (u *upstream) oldest() *exchange {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.queue) == 0 {
		return nil
	}
	return u.queue[0]
}

func (u *upstream) proceed() {
	if ex := u.oldest(); ex != nil && ex.proceed != nil {
		u.mu.Lock()
		ex.waits = ex.asks
		u.mu.Unlock()
		if ex.asked != nil {
			ex.asked()
			ex.asked = nil
		}
		select {
		case ex.proceed <- struct{}{}:
		default: // a second "+" means nothing
		}
	}
}

func (u *upstream) untagged(resp *wire.Response) error {
	ex := u.oldest()
	u.in.Expect(ex != nil && !ex.asks)
	if ex != nil && ex.data != nil && !ex.isNotOf(resp) {
		if took, err := ex.data(u.in, resp); took || err != nil {
			return err
		}
	}
	if resp.Is("BYE") {
		return errStoreBye
	}
	if u.selection.Load() == nil {
		return nil // what a mailbox that the client has not selected says never reaches it
	}
	if resp.Is("OK") {
		return u.relayCode(resp)
	}
	if resp.Is("FETCH") && (ex == nil || ex.data == nil) {
		// What has been read is an answer to ex or none at all: who starts a command now has not sent it yet.
		return u.s.out.relayRun(u.in)
	}
	if resp.Is("ESEARCH") {
		return u.relaySearch(resp)
	}
	if resp.Is("NO") {
		return u.relayRefusal(resp)
	}
	for _, name := range relayed {
		if resp.Is(name) {
			return u.s.out.relay(u.in)
		}
	}
	return nil
}

// relayed are the untagged responses about a selected mailbox that go to the client octet for octet: none holds a mailbox
// name. The rest is asked for by the session itself and taken by its exchanges, or dropped.
var relayed = [...]string{"FETCH", "EXISTS", "EXPUNGE", "FLAGS", "SEARCH", "RECENT", "VANISHED", "SORT", "THREAD"}

// relayedCodes are the response codes of an untagged OK that concern the selected mailbox. The text is ours: a store's text may
// name it.
var relayedCodes = [...]string{"UIDVALIDITY", "UIDNEXT", "UNSEEN", "PERMANENTFLAGS", "HIGHESTMODSEQ", "NOMODSEQ", "CLOSED", "UIDNOTSTICKY", "MAILBOXID", "COPYUID", "APPENDUID"}

func (u *upstream) relayCode(resp *wire.Response) error {
	if !bytes.HasPrefix(resp.Rest, []byte("[")) {
		return nil
	}
	line, err := u.in.Collect(maxLine)
	if err != nil {
		return err
	}
	code, _ := splitCode(strings.TrimPrefix(string(line), "* OK "))
	name, _, _ := strings.Cut(code, " ")
	if u.s.hides(code) {
		return nil
	}
	for _, c := range relayedCodes {
		if strings.EqualFold(name, c) {
			u.s.out.printf("* OK [%s] Ok\r\n", code)
		}
	}
	return nil
}
