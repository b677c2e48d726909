package relay

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"balorg/smtp/wire"
)

// extensions are what a server offers (RFC 5321, 4.1.1.1).
type extensions struct {
	pipelining, eightBit, utf8, dsn, chunking, binary, startTLS, sized, plain bool
	maxSize                                                                   int64 // 0: it does not say
}

// conn is a connection that is ready for a transaction.
type conn struct {
	net.Conn
	in   *wire.Reader
	out  *bufio.Writer
	time Timeouts
	ext  extensions
	dest string
	peer string
	tls  string
	cert *x509.Certificate

	used   int // transactions
	block  []byte
	expire *time.Timer
}

// writeBuffer holds the commands of a transaction with many recipients, and much of a message.
const writeBuffer = 32 << 10

// buffer answers what messages are copied through, one for all of a connection.
func (c *conn) buffer() []byte {
	if c.block == nil {
		c.block = make([]byte, writeBuffer)
	}
	return c.block
}

// deadlined is a connection whose every write has its time.
type deadlined struct {
	net.Conn
	block time.Duration
}

func (d deadlined) Write(p []byte) (int, error) {
	if err := d.SetWriteDeadline(time.Now().Add(d.block)); err != nil {
		return 0, err
	}
	return d.Conn.Write(p)
}

// use makes c speak over a connection, with nothing read or written yet.
func (c *conn) use(over net.Conn) {
	c.Conn = over
	c.in = wire.NewReader(over)
	c.out = bufio.NewWriterSize(deadlined{over, c.time.Block}, writeBuffer)
}

// open connects to a target and does all that comes before the first transaction.
func (r *Relay) open(ctx context.Context, to target, dest string) (*conn, error) {
	dialCtx, cancel := context.WithTimeout(ctx, r.opt.Timeouts.Connect)
	defer cancel()
	raw, err := r.opt.Dial(dialCtx, to.network, to.address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() }) //nolint:errcheck // the dialogue sees it
	c := &conn{time: r.opt.Timeouts, dest: dest, peer: to.peer()}
	c.use(raw)
	err = r.greet(ctx, c, to)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		raw.Close() //nolint:errcheck // the first error counts
		return nil, err
	}
	return c, nil
}

// greet takes the server's greeting, turns TLS on and logs in.
func (r *Relay) greet(ctx context.Context, c *conn, to target) error {
	if r.opt.Security == TLS {
		if err := r.startTLS(ctx, c, to); err != nil {
			return err
		}
	}
	if reply, err := c.read(c.time.Greeting); err != nil {
		return fmt.Errorf("waiting for the greeting: %w", err)
	} else if reply.Code != 220 {
		return fmt.Errorf("it greets with %w", reply)
	}
	if err := r.hello(c); err != nil {
		return err
	}
	if r.opt.Security == StartTLS {
		if !c.ext.startTLS {
			return errors.New("it offers no TLS")
		}
		if reply, err := c.run("STARTTLS", c.time.Command); err != nil {
			return err
		} else if reply.Code != 220 {
			return fmt.Errorf("it answers STARTTLS with %w", reply)
		}
		if c.in.Buffered() > 0 { // somebody between us has put it there
			return errors.New("it says something before TLS is on")
		}
		if err := r.startTLS(ctx, c, to); err != nil {
			return err
		}
		if err := r.hello(c); err != nil {
			return err
		}
	}
	return r.login(c)
}

// startTLS does the handshake and verifies who the server is.
func (r *Relay) startTLS(ctx context.Context, c *conn, to target) error {
	config := r.opt.TLS.Clone()
	if config.ServerName == "" {
		config.ServerName = to.host
	}
	if r.opt.Matches != nil {
		config.InsecureSkipVerify = true //nolint:gosec // VerifyConnection does it, with the operator's name in the place of the host's
		config.VerifyConnection = func(state tls.ConnectionState) error { return r.verifyOperator(config.RootCAs, state, c.dest) }
	}
	over := tls.Client(c.Conn, config)
	ctx, cancel := context.WithTimeout(ctx, c.time.Greeting)
	defer cancel()
	if err := over.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	state := over.ConnectionState()
	c.use(over)
	c.tls, c.cert = tls.VersionName(state.Version), state.PeerCertificates[0]
	return nil
}

// verifyOperator verifies that a certificate is trusted, and that it is the domain's operator's.
func (r *Relay) verifyOperator(roots *x509.CertPool, state tls.ConnectionState, domain string) error {
	opt := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, cert := range state.PeerCertificates[1:] {
		opt.Intermediates.AddCert(cert)
	}
	leaf := state.PeerCertificates[0]
	if _, err := leaf.Verify(opt); err != nil {
		return err
	}
	if !r.opt.Matches(domain, leaf) {
		return fmt.Errorf("the whitelist does not name %q as the operator of %s", leaf.Subject, domain)
	}
	return nil
}

// hello says who we are and learns what the server offers.
func (r *Relay) hello(c *conn) error {
	verb := "EHLO "
	if r.opt.LMTP {
		verb = "LHLO "
	}
	reply, err := c.run(verb+r.opt.Hostname, c.time.Command)
	if err != nil {
		return err
	}
	c.ext = extensions{}
	if reply.Code == 250 {
		c.ext = parseExtensions(reply.Text)
		return nil
	}
	// RFC 5321, 3.2: a server of old. It knows nothing of TLS and logging in.
	if !reply.Permanent() || r.opt.LMTP || r.opt.Security == StartTLS || r.opt.User != "" {
		return fmt.Errorf("it answers %swith %w", verb, reply)
	}
	if reply, err = c.run("HELO "+r.opt.Hostname, c.time.Command); err != nil {
		return err
	}
	if reply.Code != 250 {
		return fmt.Errorf("it answers HELO with %w", reply)
	}
	return nil
}

// parseExtensions reads the lines of the answer to EHLO; the first is the server's name.
func parseExtensions(text string) (e extensions) {
	for i, line := range strings.Split(text, "\n") {
		fields := strings.Fields(strings.ToUpper(line))
		if i == 0 || len(fields) == 0 {
			continue
		}
		switch fields[0] {
		case "PIPELINING":
			e.pipelining = true
		case "8BITMIME":
			e.eightBit = true
		case "SMTPUTF8":
			e.utf8 = true
		case "DSN":
			e.dsn = true
		case "CHUNKING":
			e.chunking = true
		case "BINARYMIME":
			e.binary = true
		case "STARTTLS":
			e.startTLS = true
		case "AUTH":
			e.plain = slices.Contains(fields, "PLAIN")
		case "SIZE":
			e.sized = true
			if len(fields) > 1 {
				if n, err := strconv.ParseInt(fields[1], 10, 64); err == nil && n > 0 {
					e.maxSize = n
				}
			}
		}
	}
	return e
}

// login authenticates with SASL PLAIN (RFC 4616), when it is to be.
func (r *Relay) login(c *conn) error {
	if r.opt.User == "" {
		return nil
	}
	if !c.ext.plain {
		return errors.New("it does not offer AUTH PLAIN")
	}
	response := base64.StdEncoding.EncodeToString([]byte("\x00" + r.opt.User + "\x00" + r.opt.Password.Reveal()))
	reply, err := c.run("AUTH PLAIN "+response, c.time.Command)
	if err != nil {
		return err
	}
	if reply.Code != 235 {
		return fmt.Errorf("it answers AUTH with %w", reply)
	}
	return nil
}

// read reads one reply, all of which must have come in time.
func (c *conn) read(within time.Duration) (*wire.Reply, error) {
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		return nil, err
	}
	reply, err := wire.ReadReply(c.in)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return reply, err
}

// run says a command and reads its reply. The command is in no error.
func (c *conn) run(command string, within time.Duration) (*wire.Reply, error) {
	verb, _, _ := strings.Cut(command, " ")
	c.out.WriteString(command + "\r\n") //nolint:errcheck // Flush tells
	if err := c.out.Flush(); err != nil {
		return nil, fmt.Errorf("saying %s: %w", verb, err)
	}
	reply, err := c.read(within)
	if err != nil {
		return nil, fmt.Errorf("waiting for the answer to %s: %w", verb, err)
	}
	return reply, nil
}

// farewell bounds a QUIT, whose answer nobody waits for.
const farewell = time.Second

// quit ends a connection on which the server waits for a command.
func (c *conn) quit() {
	c.SetDeadline(time.Now().Add(farewell)) //nolint:errcheck // it is closed in any case
	io.WriteString(c.Conn, "QUIT\r\n")      //nolint:errcheck // as above
	c.close()
}

func (c *conn) close() { c.Close() } //nolint:errcheck // nothing is kept in it

// silent tells whether the server has said nothing meanwhile, neither a farewell.
func (c *conn) silent() bool {
	if c.in.Buffered() > 0 {
		return false
	}
	under := c.Conn
	if over, ok := under.(*tls.Conn); ok {
		under = over.NetConn()
	}
	socket, ok := under.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	silent := false
	err = raw.Control(func(fd uintptr) {
		var octet [1]byte
		_, _, err := syscall.Recvfrom(int(fd), octet[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		silent = errors.Is(err, syscall.EAGAIN)
	})
	return silent && err == nil
}
