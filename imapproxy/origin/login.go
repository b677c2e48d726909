package origin

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	"balorg/policy/auth"
)

// dialogue is a connection up to the end of the login.
type dialogue struct {
	conn     net.Conn
	in       *bufio.Reader
	out      []byte // said, and sent before the next line is read
	tags     int
	caps     []string
	lists    *lists
	stepwise bool // each command waits for the answer to the one before
	asked    int  // commands whose answers are still to be read
	ahead    bool // there were several at a time
}

const (
	loginBuffer = 4 << 10
	maxLine     = 8 << 10 // of a server's line before the end of the login
	maxLines    = 100     // of one answer
)

// loginBuffers are given back when what was read ahead has been used, or lost with a connection that fails.
var loginBuffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, loginBuffer) }}

func (s *Store) login(ctx context.Context, raw net.Conn, address string, who Who, stepwise bool) (c *Conn, err error) {
	d := &dialogue{conn: raw, in: loginBuffers.Get().(*bufio.Reader), stepwise: stepwise, lists: &s.lists} //nolint:errcheck,forcetypeassert // the pool holds nothing else
	d.in.Reset(raw)
	defer func() {
		if err != nil && d.ahead && !errors.Is(err, ErrRefused) {
			err = &aheadError{err}
		}
	}()
	if s.opt.Security == TLS {
		if err := d.startTLS(ctx, s.tlsConfig(address)); err != nil {
			return nil, err
		}
	}
	if err := d.greeting(); err != nil {
		return nil, err
	}
	if s.opt.Security == StartTLS {
		if _, err := d.run("STARTTLS", nil); err != nil {
			return nil, fmt.Errorf("STARTTLS: %w", err)
		}
		if d.in.Buffered() > 0 {
			return nil, errors.New("STARTTLS: the server sent more before TLS was on")
		}
		if err := d.startTLS(ctx, s.tlsConfig(address)); err != nil {
			return nil, err
		}
		d.caps = nil
	}
	if d.caps == nil {
		if err := d.capability(); err != nil {
			return nil, err
		}
	}
	d.stepwise = d.stepwise || !d.has("SASL-IR") // such a server asks for credentials, between other answers
	identified, err := d.identify(who)
	if err != nil {
		return nil, err
	}
	return s.authenticate(d, who, identified)
}

func (s *Store) tlsConfig(address string) *tls.Config {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.opt.TLS != nil {
		cfg = s.opt.TLS.Clone()
	}
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(address)
	}
	return cfg
}

func (d *dialogue) startTLS(ctx context.Context, cfg *tls.Config) error {
	conn := tls.Client(d.conn, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	d.conn = conn
	d.in.Reset(conn)
	return nil
}

func (d *dialogue) greeting() error {
	line, err := d.line()
	if err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	text, ok := strings.CutPrefix(line, "* OK ")
	if !ok {
		return fmt.Errorf("the server does not greet: %.60q", line)
	}
	d.noteCapabilities(text)
	return nil
}

// noteCapabilities takes the capabilities out of a response code.
func (d *dialogue) noteCapabilities(text string) {
	if len(text) < len("[CAPABILITY ]") || !strings.EqualFold(text[:len("[CAPABILITY ")], "[CAPABILITY ") {
		return
	}
	if list, _, ok := strings.Cut(text[len("[CAPABILITY "):], "]"); ok {
		d.caps = d.lists.fields(list)
	}
}

// lists remembers the capabilities that a server told lately, before and after the log-in: they are the same each time.
type lists struct {
	mu   sync.Mutex
	last [2]told
	next int
}

type told struct {
	list string
	caps []string
}

// fields answers the capabilities of a list, in capitals. Nobody may change them.
func (l *lists) fields(list string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range l.last {
		if t.list == list && t.caps != nil {
			return t.caps
		}
	}
	t := told{strings.Clone(list), strings.Fields(strings.ToUpper(list))}
	l.last[l.next] = t
	l.next = (l.next + 1) % len(l.last)
	return t.caps
}

func (d *dialogue) has(capability string) bool { return slices.Contains(d.caps, capability) }

func (d *dialogue) capability() error {
	d.caps = nil
	_, err := d.run("CAPABILITY", func(line string) {
		if name, list, ok := strings.Cut(line, " "); ok && strings.EqualFold(name, "CAPABILITY") {
			d.caps = d.lists.fields(list)
		}
	})
	if err != nil {
		return fmt.Errorf("CAPABILITY: %w", err)
	}
	if d.caps == nil {
		return errors.New("the server has no capabilities")
	}
	return nil
}

// identify tells the server who is behind us, as Dovecot's proxies do: its log and its limits are then about the client.
func (d *dialogue) identify(who Who) (answered func() error, err error) {
	if !d.has("ID") {
		return func() error { return nil }, nil
	}
	fields := `"name" "balorg"`
	if who.Client.IsValid() {
		fields += fmt.Sprintf(` "x-originating-ip" "%s" "x-originating-port" "%d"`, who.Client.Addr(), who.Client.Port())
	}
	answer, err := d.ask("ID ("+fields+")", nil)
	if err != nil {
		return nil, fmt.Errorf("ID: %w", err)
	}
	return func() error {
		if _, err := answer(); err != nil && !errors.Is(err, errNo) {
			return fmt.Errorf("ID: %w", err)
		}
		return nil
	}, nil
}

// credentials are what SASL PLAIN says (RFC 4616).
type credentials struct {
	authzid, authcid string
	password         auth.Secret
}

func (s *Store) credentials(who Who) (credentials, error) {
	mailbox := string(who.Address)
	if s.opt.Mailbox != nil {
		mailbox = s.opt.Mailbox(who.Address)
	}
	c := credentials{authcid: mailbox, password: s.opt.Password}
	switch s.opt.Login {
	case LoginAuthzid:
		c.authzid, c.authcid = mailbox, s.opt.User
	case LoginMaster:
		c.authcid = mailbox + s.opt.Separator + s.opt.User
	case LoginSecret:
		secret, err := s.opt.Secret(who.Address)
		if err != nil {
			return c, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		c.password = secret
	}
	return c, nil
}

// authenticate logs in with SASL PLAIN: of all mechanisms it is the one that names two identities and that every server has. It then asks
// what the proxy must know of the mailbox, and hands the connection over.
//
// All of it goes in one packet, where that can be: no other than the last connection's server is expected, and a wrong guess is
// noticed. identified is called before the answer to AUTHENTICATE is read.
func (s *Store) authenticate(d *dialogue, who Who, identified func() error) (*Conn, error) {
	c, err := s.credentials(who)
	if err != nil {
		return nil, err
	}
	if !d.has("AUTH=PLAIN") {
		return nil, fmt.Errorf("%w: it has no AUTH=PLAIN", ErrRefused)
	}
	answer, err := d.authenticatePlain(c)
	if err != nil {
		return nil, fmt.Errorf("AUTHENTICATE: %w", err)
	}
	var namespace func() (Names, error)
	if !d.stepwise && slices.Contains(s.Capabilities(), "NAMESPACE") {
		if namespace, err = d.namespace(); err != nil {
			return nil, err
		}
	}
	if err := identified(); err != nil {
		return nil, err
	}
	text, err := answer()
	switch {
	case errors.Is(err, errNo) && temporary(text):
		return nil, errors.New("the server cannot log anybody in at the moment")
	case errors.Is(err, errNo):
		return nil, ErrRefused
	case err != nil:
		return nil, fmt.Errorf("AUTHENTICATE: %w", err)
	}
	d.caps = nil // after the login others hold
	d.noteCapabilities(text)
	return s.opened(d, namespace)
}

// temporary tells whether a refusal is about the moment and not about the credentials (RFC 5530).
func temporary(text string) bool {
	code, _, _ := strings.Cut(strings.TrimPrefix(text, "["), "]")
	switch strings.ToUpper(code) {
	case "UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG":
		return true
	}
	return false
}

func (d *dialogue) authenticatePlain(c credentials) (answer func() (string, error), err error) {
	message := base64.StdEncoding.EncodeToString([]byte(c.authzid + "\x00" + c.authcid + "\x00" + c.password.Reveal()))
	if d.has("SASL-IR") {
		return d.ask("AUTHENTICATE PLAIN "+message, nil)
	}
	tag := d.say("AUTHENTICATE PLAIN")
	line, err := d.line()
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(line, "+") {
		return nil, fmt.Errorf("%w to a server that should ask for credentials", errNo)
	}
	d.out = append(d.out, message+"\r\n"...)
	return func() (string, error) { return d.answer(tag, nil) }, nil
}

// opened asks what is still to be known. namespace answers what has been asked of name spaces already; nil: nothing.
func (s *Store) opened(d *dialogue, namespace func() (Names, error)) (*Conn, error) {
	if d.caps == nil && namespace == nil {
		if err := d.capability(); err != nil {
			return nil, err
		}
	}
	names := Names{Delimiter: '/'}
	if namespace != nil || d.has("NAMESPACE") {
		var err error
		if namespace == nil {
			namespace, err = d.namespace()
		}
		if err == nil {
			names, err = namespace()
		}
		if err != nil {
			return nil, err
		}
	}
	if d.caps == nil { // it did not tell them with its answer to the log-in
		if err := d.capability(); err != nil {
			return nil, err
		}
	}
	return &Conn{Conn: d.conn, in: d.in, fresh: true, caps: d.caps, names: names, store: s}, nil
}

// errNo is a command that the server answered with NO or BAD.
var errNo = errors.New("the server says no")

// run sends a command and reads its answer. untagged gets each untagged response without its star; text is that of the tagged one,
// also of a NO.
func (d *dialogue) run(command string, untagged func(line string)) (text string, err error) {
	return d.answer(d.say(command), untagged)
}

// ask is run whose answer is read later, of several in their order.
func (d *dialogue) ask(command string, untagged func(line string)) (answer func() (text string, err error), err error) {
	tag := d.say(command)
	if !d.stepwise {
		d.asked++
		d.ahead = d.ahead || d.asked > 1
		return func() (string, error) {
			d.asked--
			return d.answer(tag, untagged)
		}, nil
	}
	text, err := d.answer(tag, untagged)
	if err != nil && !errors.Is(err, errNo) {
		return nil, err
	}
	return func() (string, error) { return text, err }, nil
}

func (d *dialogue) say(command string) (tag string) {
	d.tags++
	tag = "o" + strconv.Itoa(d.tags)
	d.out = append(d.out, tag+" "+command+"\r\n"...)
	return tag
}

func (d *dialogue) answer(tag string, untagged func(line string)) (text string, err error) {
	for range maxLines {
		line, err := d.line()
		if err != nil {
			return "", err
		}
		if data, ok := strings.CutPrefix(line, "* "); ok {
			if len(data) >= 3 && strings.EqualFold(data[:3], "BYE") {
				return "", errors.New("the server ends the connection")
			}
			if untagged != nil {
				untagged(data)
			}
			continue
		}
		rest, ok := strings.CutPrefix(line, tag+" ")
		if !ok {
			return "", errors.New("an answer that fits no question")
		}
		status, text, _ := strings.Cut(rest, " ")
		if !strings.EqualFold(status, "OK") {
			return text, errNo
		}
		return text, nil
	}
	return "", errors.New("an answer without end")
}

// line reads one line without its end.
func (d *dialogue) line() (string, error) {
	if len(d.out) > 0 {
		_, err := d.conn.Write(d.out)
		if d.out = d.out[:0]; err != nil {
			return "", err
		}
	}
	var whole []byte
	for {
		piece, err := d.in.ReadSlice('\n')
		whole = append(whole, piece...)
		switch {
		case len(whole) > maxLine:
			return "", errors.New("a line that is too long")
		case err == nil:
			return strings.TrimRight(string(whole), "\r\n"), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return "", err
		}
	}
}
