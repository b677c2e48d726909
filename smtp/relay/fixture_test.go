package relay

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"balorg/mail"
	"balorg/smtp/wire"
)

// script is a server's side of one connection, line by line: "> X" awaits a line that begins with X; "!data" awaits a message after DATA and
// "!chunk" one after BDAT; "!tls" does the handshake, "!drop" closes, "!reset" closes without taking what has come, "!stall" says nothing any
// more, "!slow" takes octets one by one, "!hang" none; everything else is said. After the last line the server waits for the client to close.
type script []string

// server is a next hop that follows scripts, one for each connection, and drops what comes after the last.
type server struct {
	t       *testing.T
	address string
	tls     *tls.Config

	mu       sync.Mutex
	scripts  []script
	messages []string
	lines    []string // all that was awaited, as it came
}

func serve(t *testing.T, config *tls.Config, scripts ...script) *server {
	t.Helper()
	return serveOn(t, "tcp", "127.0.0.1:0", config, scripts...)
}

func serveOn(t *testing.T, network, address string, config *tls.Config, scripts ...script) *server {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, address: listener.Addr().String(), tls: config, scripts: scripts}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			var next script
			if len(s.scripts) > 0 {
				next, s.scripts = s.scripts[0], s.scripts[1:]
			} else {
				next = script{"!drop"}
			}
			s.mu.Unlock()
			all.Go(func() { s.play(conn, next) })
		}
	})
	t.Cleanup(func() { listener.Close(); all.Wait() })
	return s
}

// patience is how long a server waits for what never comes when the client is wrong.
const patience = 10 * time.Second

func (s *server) play(conn net.Conn, next script) {
	defer func() { conn.Close() }()
	conn.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(conn)
	for _, step := range next {
		var err error
		switch {
		case strings.HasPrefix(step, "> "):
			err = s.await(in, step[2:])
		case step == "!data":
			err = s.takeData(in)
		case step == "!chunk":
			err = s.takeChunk(in)
		case step == "!tls":
			over := tls.Server(conn, s.tls)
			if over.Handshake() != nil {
				return // the client's test says whether that is right
			}
			conn, in = over, bufio.NewReader(over)
		case step == "!drop":
			return
		case step == "!reset":
			conn.(*net.TCPConn).SetLinger(0)
			return
		case step == "!slow":
			s.sip(conn)
			return
		case step == "!hang":
			<-s.t.Context().Done()
			return
		case step == "!stall":
			io.Copy(io.Discard, conn)
			return
		default:
			_, err = io.WriteString(conn, step+"\r\n")
		}
		if err != nil {
			s.t.Errorf("server, at %q: %v", step, err)
			return
		}
	}
	io.Copy(io.Discard, in)
}

func (s *server) await(in *bufio.Reader, want string) error {
	line, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, strings.TrimSuffix(line, "\r\n"))
	if !strings.HasPrefix(line, want) {
		return errors.New("it says " + line)
	}
	return nil
}

func (s *server) takeData(in *bufio.Reader) error {
	var b strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		if line == ".\r\n" {
			s.keep(b.String())
			return nil
		}
		b.WriteString(strings.TrimPrefix(line, "."))
	}
}

func (s *server) takeChunk(in *bufio.Reader) error {
	line, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	fields := strings.Fields(line)
	if len(fields) != 3 || fields[0] != "BDAT" || fields[2] != "LAST" {
		return errors.New("it says " + line)
	}
	n, _ := new(big.Int).SetString(fields[1], 10)
	content := make([]byte, n.Int64())
	if _, err := io.ReadFull(in, content); err != nil {
		return err
	}
	s.keep(string(content))
	return nil
}

func (s *server) keep(message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, message)
}

func (s *server) taken() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.messages...)
}

// hello is the start of a dialogue, with a server that offers extensions.
func hello(extensions ...string) script {
	s := script{"220 mx.example.fr ESMTP", "> EHLO gw.sapins.fr"}
	for _, e := range extensions {
		s = append(s, "250-"+e)
	}
	s = append(s, "250 HELP")
	s[2] = strings.Replace(s[2], "250-", "250-mx.example.fr\r\n250-", 1)
	if len(extensions) == 0 {
		s[2] = "250 mx.example.fr"
	}
	return s
}

func (s script) then(more ...string) script { return append(append(script(nil), s...), more...) }

// short are time-outs for servers that stall.
func short() Timeouts {
	const d = 150 * time.Millisecond
	return Timeouts{Connect: d, Greeting: d, Command: d, Data: d, Block: d, Final: d, Total: 3 * time.Second}
}

func (s *server) options() Options {
	return Options{Hostname: "gw.sapins.fr", Smarthost: s.address, Security: InsecureNone, Timeouts: short()}
}

func newRelay(t *testing.T, opt Options) *Relay {
	t.Helper()
	r := New(opt)
	t.Cleanup(r.Close)
	return r
}

const content = "From: a@sapins.fr\r\n\r\nBonjour\r\n.\r\n..deux\r\n"

func message(content string) Message {
	return Message{
		ID: "1", Sender: wire.Sender{Address: "a@sapins.fr"}, Size: int64(len(content)),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil },
	}
}

func recipients(addresses ...mail.Address) []wire.Recipient {
	all := make([]wire.Recipient, len(addresses))
	for i, a := range addresses {
		all[i].Address = a
	}
	return all
}

// authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert, a.key = a.sign(t, template)
	return a
}

func (a *authority) sign(t *testing.T, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// server answers a server's configuration with a certificate for names.
func (a *authority) server(t *testing.T, operator string, names ...string) *tls.Config {
	t.Helper()
	cert, key := a.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: operator}, DNSNames: names, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}
}

func (a *authority) trusted() *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
}

// dns is what a test has the DNS say. Names that it does not have do not exist; an empty list is a failure.
type dns struct {
	mx   map[string][]*net.MX
	host map[string][]string
}

func (d dns) LookupMX(_ context.Context, domain string) ([]*net.MX, error) {
	records, ok := d.mx[domain]
	return records, lookupError(domain, ok, len(records))
}

func (d dns) LookupHost(_ context.Context, host string) ([]string, error) {
	addresses, ok := d.host[host]
	return addresses, lookupError(host, ok, len(addresses))
}

func lookupError(name string, there bool, n int) error {
	switch {
	case !there:
		return &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	case n == 0:
		return &net.DNSError{Err: "server misbehaving", Name: name, IsTemporary: true}
	}
	return nil
}

// sip reads one octet after the other, at a pace, until the client or the test ends.
func (s *server) sip(conn io.Reader) {
	pace := time.NewTicker(5 * time.Millisecond)
	defer pace.Stop()
	for {
		if _, err := io.CopyN(io.Discard, conn, 1); err != nil {
			return
		}
		select {
		case <-pace.C:
		case <-s.t.Context().Done():
			return
		}
	}
}
