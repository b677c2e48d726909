package e2e

import (
	"bytes"
	"net"
	"sync"
	"testing"
)

// cutter is a cable between the gateway and a mail store that can be pulled out, at a chosen place of what the store says, or hold
// everything back.
type cutter struct {
	t       *testing.T
	address string // where the gateway connects to
	target  string

	mu       sync.Mutex
	listener net.Listener // nil: connections are refused by the system
	cables   map[*cable]struct{}
	tries    int           // connections that were accepted
	broken   bool          // what is accepted is closed at once
	pattern  []byte        // behind this, left octets pass before everything is cut; nil: nothing is
	skip     int           // how often the pattern comes before that
	left     int           // counts down once the pattern was seen
	counting bool          // the pattern was seen
	holds    bool          // behind it everything is held back, in the place of being cut
	held     chan struct{} // not nil: nothing passes until it is closed
	running  sync.WaitGroup
}

// cable is one connection through a cutter.
type cable struct {
	client, server net.Conn
	gone           chan struct{}
	once           sync.Once
	seen           []byte // the last octets of the server, in case the pattern is split
}

func (c *cable) cut() {
	c.once.Do(func() {
		close(c.gone)
		c.client.Close()
		c.server.Close()
	})
}

// newCutter puts a cutter before a mail store; everything passes.
func newCutter(t *testing.T, target string) *cutter {
	t.Helper()
	c := &cutter{t: t, target: target, cables: make(map[*cable]struct{})}
	c.listen("127.0.0.1:0")
	c.address = c.listener.Addr().String()
	t.Cleanup(func() {
		c.refuse()
		c.running.Wait()
	})
	return c
}

func (c *cutter) listen(address string) {
	c.t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		c.t.Fatal(err)
	}
	c.listener = l
	c.running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.running.Go(func() { c.serve(conn) })
		}
	})
}

func (c *cutter) serve(client net.Conn) {
	server, err := net.Dial("tcp", c.target)
	if err != nil {
		client.Close()
		return
	}
	cable := &cable{client: client, server: server, gone: make(chan struct{})}
	c.mu.Lock()
	c.tries++
	c.cables[cable] = struct{}{}
	broken := c.broken || c.listener == nil
	c.mu.Unlock()
	if broken {
		cable.cut()
	}
	var both sync.WaitGroup
	both.Go(func() { c.pass(cable, client, server, false) })
	both.Go(func() { c.pass(cable, server, client, true) })
	both.Wait()
	c.mu.Lock()
	delete(c.cables, cable)
	c.mu.Unlock()
}

// pass carries octets one way until the cable is cut.
func (c *cutter) pass(cable *cable, from, to net.Conn, ofServer bool) {
	defer cable.cut()
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		c.mu.Lock()
		held := c.held
		c.mu.Unlock()
		if held != nil {
			select {
			case <-held:
			case <-cable.gone:
				return
			}
		}
		data, last := buf[:n], false
		if ofServer {
			data, last = c.measure(cable, data)
		}
		if _, err := to.Write(data); err != nil {
			return
		}
		if last {
			c.cutAll()
			return
		}
	}
}

// measure answers what may still pass, and whether it is the last.
func (c *cutter) measure(cable *cable, data []byte) (passes []byte, last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pattern == nil {
		return data, false
	}
	behind := 0 // what stands in data before the count begins
	if !c.counting {
		all := append(bytes.Clone(cable.seen), data...)
		end := 0
		for ; c.skip >= 0; c.skip-- {
			at := bytes.Index(all[end:], c.pattern)
			if at < 0 {
				cable.seen = all[max(end, len(all)-len(c.pattern)+1):]
				return data, false
			}
			end += at + len(c.pattern)
		}
		c.counting = true
		behind = end - len(cable.seen)
	}
	if len(data)-behind < c.left {
		c.left -= len(data) - behind
		return data, false
	}
	passes = data[:behind+c.left]
	c.pattern = nil
	if c.holds {
		c.held = make(chan struct{})
		return passes, false
	}
	c.broken = true
	return passes, true
}

// cutBehind cuts all connections, and those to come, when the store has said a text so many times, and then n octets more.
func (c *cutter) cutBehind(text string, times, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pattern, c.skip, c.left, c.counting, c.holds = []byte(text), times-1, n, false, false
}

// holdBehind lets nothing pass any more once the store has said a text; what it says behind that in one breath is lost.
func (c *cutter) holdBehind(text string) {
	c.cutBehind(text, 1, 0)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holds = true
}

// holding tells whether nothing passes.
func (c *cutter) holding() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held != nil
}

// cutAll cuts all connections now; those to come are accepted and closed.
func (c *cutter) cutAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = true
	for cable := range c.cables {
		cable.cut()
	}
}

// refuse cuts all connections, and has the system refuse those to come.
func (c *cutter) refuse() {
	c.cutAll()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listener != nil {
		c.listener.Close()
		c.listener = nil
	}
}

// hold lets nothing pass any more, while connections live and are made.
func (c *cutter) hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = make(chan struct{})
}

// heal lets everything pass again. A cut that was to come must have come.
func (c *cutter) heal() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pattern != nil {
		c.t.Errorf("the store did not say %q, or not enough behind it", c.pattern)
	}
	c.broken, c.pattern = false, nil
	if c.held != nil {
		close(c.held)
		c.held = nil
	}
	if c.listener == nil {
		c.listen(c.address)
	}
}

// counts answers how many connections there have been and how many there are.
func (c *cutter) counts() (tries, open int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tries, len(c.cables)
}
