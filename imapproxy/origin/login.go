package origin

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"balorg/imapproxy/wire"
	"balorg/policy/auth"
)

// dialogue is a connection up to the end of the login.
type dialogue struct {
	conn net.Conn
	in   *bufio.Reader
	tags int
	caps []string
}

const (
	loginBuffer = 4 << 10
	maxLine     = 8 << 10 // of a server's line before the end of the login
	maxLines    = 100     // of one answer
)

func (s *Store) login(ctx context.Context, raw net.Conn, address string, who Who) (*Conn, error) {
	d := &dialogue{conn: raw, in: bufio.NewReaderSize(raw, loginBuffer)}
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
	if err := d.identify(who); err != nil {
		return nil, err
	}
	if err := s.authenticate(d, who); err != nil {
		return nil, err
	}
	return s.opened(d)
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
		d.caps = strings.Fields(strings.ToUpper(list))
	}
}

func (d *dialogue) has(capability string) bool { return slices.Contains(d.caps, capability) }

func (d *dialogue) capability() error {
	d.caps = nil
	_, err := d.run("CAPABILITY", func(line string) {
		if name, list, ok := strings.Cut(line, " "); ok && strings.EqualFold(name, "CAPABILITY") {
			d.caps = strings.Fields(strings.ToUpper(list))
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
func (d *dialogue) identify(who Who) error {
	if !d.has("ID") {
		return nil
	}
	fields := `"name" "balorg"`
	if who.Client.IsValid() {
		fields += fmt.Sprintf(` "x-originating-ip" "%s" "x-originating-port" "%d"`, who.Client.Addr(), who.Client.Port())
	}
	if _, err := d.run("ID ("+fields+")", nil); err != nil && !errors.Is(err, errNo) {
		return fmt.Errorf("ID: %w", err)
	}
	return nil
}

// authenticate logs in with SASL PLAIN: of all mechanisms it is the one that names two identities and that every server has.
func (s *Store) authenticate(d *dialogue, who Who) error {
	mailbox := string(who.Address)
	if s.opt.Mailbox != nil {
		mailbox = s.opt.Mailbox(who.Address)
	}
	authzid, authcid, password := "", mailbox, s.opt.Password
	switch s.opt.Login {
	case LoginAuthzid:
		authzid, authcid = mailbox, s.opt.User
	case LoginMaster:
		authcid = mailbox + s.opt.Separator + s.opt.User
	case LoginSecret:
		secret, err := s.opt.Secret(who.Address)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		password = secret
	}
	if !d.has("AUTH=PLAIN") {
		return fmt.Errorf("%w: it has no AUTH=PLAIN", ErrRefused)
	}
	text, err := d.authenticatePlain(authzid, authcid, password)
	d.caps = nil // after the login others hold
	switch {
	case errors.Is(err, errNo) && temporary(text):
		return errors.New("the server cannot log anybody in at the moment")
	case errors.Is(err, errNo):
		return ErrRefused
	case err != nil:
		return fmt.Errorf("AUTHENTICATE: %w", err)
	}
	d.noteCapabilities(text)
	return nil
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

func (d *dialogue) authenticatePlain(authzid, authcid string, password auth.Secret) (text string, err error) {
	message := base64.StdEncoding.EncodeToString([]byte(authzid + "\x00" + authcid + "\x00" + password.Reveal()))
	if d.has("SASL-IR") {
		return d.run("AUTHENTICATE PLAIN "+message, nil)
	}
	tag, err := d.send("AUTHENTICATE PLAIN")
	if err != nil {
		return "", err
	}
	line, err := d.line()
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(line, "+") {
		return "", fmt.Errorf("%w to a server that should ask for credentials", errNo)
	}
	if _, err := io.WriteString(d.conn, message+"\r\n"); err != nil {
		return "", err
	}
	return d.answer(tag, nil)
}

// opened asks what the proxy must know of the mailbox, and hands the connection over.
func (s *Store) opened(d *dialogue) (*Conn, error) {
	if d.caps == nil {
		if err := d.capability(); err != nil {
			return nil, err
		}
	}
	names := Names{Delimiter: '/'}
	if d.has("NAMESPACE") {
		var err error
		if names, err = d.namespace(); err != nil {
			return nil, err
		}
	}
	c := &Conn{Conn: d.conn, in: d.in, caps: d.caps, names: names, store: s}
	c.greet()
	return c, nil
}

func (d *dialogue) namespace() (Names, error) {
	var names Names
	var bad error
	_, err := d.run("NAMESPACE", func(line string) {
		if name, rest, ok := strings.Cut(line, " "); ok && strings.EqualFold(name, "NAMESPACE") {
			names, bad = parseNamespace(rest)
		}
	})
	if err = errors.Join(err, bad); err != nil {
		return names, fmt.Errorf("NAMESPACE: %w", err)
	}
	if names.Delimiter == 0 {
		return names, errors.New("NAMESPACE: the mailbox has no name space of its own")
	}
	return names, nil
}

// parseNamespace reads the three lists of RFC 2342: the mailbox's own name spaces, other people's and shared ones. The first of its
// own is the one that is shown.
func parseNamespace(text string) (names Names, err error) {
	p := wire.NewParser([]byte(text))
	for i := range 3 {
		if i > 0 {
			if err := p.SP(); err != nil {
				return names, err
			}
		}
		if p.Peek() != '(' {
			if _, _, err := p.NString(); err != nil { // NIL
				return names, err
			}
			continue
		}
		p.Take('(')
		for n := 0; p.Peek() == '('; n++ {
			prefix, delimiter, err := namespaceOf(p)
			switch {
			case err != nil:
				return names, err
			case i == 0 && n == 0:
				names.Prefix, names.Delimiter = prefix, delimiter
			case prefix != "":
				names.Foreign = append(names.Foreign, prefix)
			}
		}
		if err := p.Expect(')'); err != nil {
			return names, err
		}
	}
	return names, p.End()
}

// namespaceOf reads ("INBOX." "."), passing over extensions.
func namespaceOf(p *wire.Parser) (prefix string, delimiter byte, err error) {
	p.Take('(')
	if prefix, err = p.String(); err != nil {
		return "", 0, err
	}
	if err := p.SP(); err != nil {
		return "", 0, err
	}
	d, ok, err := p.NString()
	switch {
	case err != nil:
		return "", 0, err
	case !ok:
		delimiter = '/' // a flat name space: no name holds it
	case len(d) != 1:
		return "", 0, fmt.Errorf("delimiter %q", d)
	default:
		delimiter = d[0]
	}
	for p.Take(' ') {
		if _, err := p.String(); err != nil {
			return "", 0, err
		}
		if err := p.SP(); err != nil {
			return "", 0, err
		}
		if err := p.List(func() error { _, err := p.String(); return err }); err != nil {
			return "", 0, err
		}
	}
	return prefix, delimiter, p.Expect(')')
}

// errNo is a command that the server answered with NO or BAD.
var errNo = errors.New("the server says no")

// run sends a command and reads its answer. untagged gets each untagged response without its star; text is that of the tagged one,
// also of a NO.
func (d *dialogue) run(command string, untagged func(line string)) (text string, err error) {
	tag, err := d.send(command)
	if err != nil {
		return "", err
	}
	return d.answer(tag, untagged)
}

func (d *dialogue) send(command string) (tag string, err error) {
	d.tags++
	tag = fmt.Sprintf("o%d", d.tags)
	_, err = io.WriteString(d.conn, tag+" "+command+"\r\n")
	return tag, err
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
