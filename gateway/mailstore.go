package gateway

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"balorg/configs"
	"balorg/imapproxy"
	"balorg/imapproxy/embedded"
	"balorg/imapproxy/origin"
	"balorg/mail"
	"balorg/policy"
	"balorg/policy/auth"
)

// Mailstore is one of the section mailstores. All but Type are for IMAP servers.
type Mailstore struct {
	Type           configs.Value[string]       `yaml:"type,required"`
	Addresses      configs.OneOrMore[string]   `yaml:"addresses"`
	Security       configs.Value[string]       `yaml:"security"`
	InsecureNoTLS  bool                        `yaml:"insecure_no_tls"`
	CA             configs.Value[string]       `yaml:"ca"`
	ServerName     string                      `yaml:"server_name"`
	Login          configs.Value[string]       `yaml:"login"`
	User           string                      `yaml:"user"`
	PasswordFile   configs.Value[string]       `yaml:"password_file"`
	Separator      string                      `yaml:"separator"`
	SecretsFile    configs.Value[string]       `yaml:"secrets_file"`
	Mailbox        configs.Value[string]       `yaml:"mailbox"`
	MaxConnections int                         `yaml:"max_connections"`
	LMTP           configs.Value[LocalAddress] `yaml:"lmtp"`
}

// The types of mail stores.
const (
	embeddedType = "embedded"
	imapType     = "imap"
)

func (c *Config) checkMailstore(problems *configs.Problems, name string) {
	m := c.Mailstores[name]
	pos := cmp.Or(m.Type.Pos, c.pos)
	switch m.Type.V {
	case embeddedType:
		if len(m.Addresses) > 0 || m.Login.Set || m.LMTP.Set {
			problems.Add(pos, "type: imap", "mail store %s is embedded and has no server to log in to", name)
		}
	case imapType:
		c.checkServer(problems, name, m, pos)
	default:
		problems.Add(pos, "type: embedded, or type: imap", "mail store %s is of the unknown type %q", name, m.Type.V)
	}
}

func (c *Config) checkServer(problems *configs.Problems, name string, m Mailstore, pos configs.Pos) {
	if len(m.Addresses) == 0 {
		problems.Add(pos, "addresses: mail.example.org:993", "mail store %s has no address", name)
	}
	for _, address := range m.Addresses {
		if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
			problems.Add(pos, "host:port", "%q is no address of mail store %s", address, name)
		}
	}
	oneOf(problems, m.Security, string(origin.TLS), string(origin.StartTLS))
	oneOf(problems, m.Login, string(origin.LoginAuthzid), string(origin.LoginMaster), string(origin.LoginSecret))
	oneOf(problems, m.Mailbox, "address", "local_part", "mssante")
	if m.InsecureNoTLS {
		problems.Warn(pos, "remove insecure_no_tls", "credentials and mail go to mail store %s in the clear", name)
	}
	if origin.LoginMode(m.Login.Or(string(origin.LoginAuthzid))) == origin.LoginSecret {
		if !m.SecretsFile.Set {
			problems.Add(pos, "secrets_file: secrets.txt, with a line address:secret for each mailbox", "mail store %s logs in with a secret for each mailbox, and names no file of them", name)
		}
	} else if m.User == "" || !m.PasswordFile.Set {
		problems.Add(pos, "user and password_file", "mail store %s needs a user that may open every mailbox, and the file with its password", name)
	}
	for _, f := range []configs.Value[string]{m.PasswordFile, m.SecretsFile} {
		if !f.Set {
			continue
		}
		if file, err := openSecret(c.path(f.V)); err != nil {
			problems.Add(f.Pos, "", "%v", err)
		} else {
			file.Close() //nolint:errcheck // it was only looked at
		}
	}
	if m.CA.Set {
		if _, err := loadRoots(c.path(m.CA.V)); err != nil {
			problems.Add(m.CA.Pos, "", "%v", err)
		}
	}
}

// withoutPositions is the mail store as far as a change of it matters: positions move when other lines do.
func (m Mailstore) withoutPositions() string {
	m.LMTP.Pos = configs.Pos{}
	for _, v := range []*configs.Value[string]{&m.Type, &m.Security, &m.CA, &m.Login, &m.PasswordFile, &m.SecretsFile, &m.Mailbox} {
		v.Pos = configs.Pos{}
	}
	return fmt.Sprintf("%+v", m)
}

// openSecret opens a file of secrets, which nobody but its owner and group may read.
func openSecret(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading a secret: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.Mode().Perm()&0o007 != 0 {
		err = fmt.Errorf("%s may be read by everybody; run chmod 600 on it", path)
	}
	if err != nil {
		f.Close() //nolint:errcheck // the first error counts
		return nil, err
	}
	return f, nil
}

// readPassword answers the first line of a file.
func readPassword(path string) (auth.Secret, error) {
	f, err := openSecret(path)
	if err != nil {
		return auth.Secret{}, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	line, err := bufio.NewReader(f).ReadString('\n')
	line = strings.TrimRight(line, "\r\n")
	if err != nil && !errors.Is(err, io.EOF) || line == "" {
		return auth.Secret{}, fmt.Errorf("%s holds no password", path)
	}
	return auth.NewSecret(line), nil
}

// readSecret looks a mailbox up in a file of lines "address:secret". It is read at each login, so that a line that is added holds at once.
func readSecret(path string, mailbox mail.Address) (auth.Secret, error) {
	f, err := openSecret(path)
	if err != nil {
		return auth.Secret{}, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		address, secret, ok := strings.Cut(lines.Text(), ":")
		if ok && strings.EqualFold(strings.TrimSpace(address), string(mailbox)) {
			return auth.NewSecret(strings.TrimRight(secret, "\r")), nil
		}
	}
	if err := lines.Err(); err != nil {
		return auth.Secret{}, fmt.Errorf("reading %s: %w", path, err)
	}
	return auth.Secret{}, fmt.Errorf("%s has no line for %s", path, mailbox)
}

func loadRoots(path string) (*x509.CertPool, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", path)
	}
	return pool, nil
}

// mailstores makes what the configuration names.
func (g *Gateway) mailstores(cfg *Config) (map[string]imapproxy.MailStore, error) {
	stores := make(map[string]imapproxy.MailStore)
	local := embedded.New(g.st.boxes, embedded.Options{Logger: g.log})
	g.servers = make(map[string]*origin.Store)
	for name, m := range cfg.Mailstores {
		if m.Type.V == embeddedType {
			stores[name] = embeddedStore{local}
			continue
		}
		server, err := cfg.server(name, g.log, func(a mail.Address) (*policy.Account, bool) { return g.snapshot.Load().Account(a) })
		if err != nil {
			return nil, err
		}
		g.onStop(server.Close)
		g.servers[name] = server
		stores[name] = serverStore{server}
	}
	return stores, nil
}

// server makes a mail store that is an IMAP server.
func (c *Config) server(name string, log *slog.Logger, find func(mail.Address) (*policy.Account, bool)) (*origin.Store, error) {
	m := c.Mailstores[name]
	opt, err := c.serverOptions(name, m)
	if err != nil {
		return nil, fmt.Errorf("mail store %s: %w", name, err)
	}
	opt.Logger, opt.Mailbox = log, mailboxName(m.Mailbox.V, find)
	return origin.New(opt), nil
}

// aMailbox is an account that lives on a mail store: its first one.
func aMailbox(accounts []*policy.Account, store string) (mail.Address, bool) {
	for _, a := range accounts {
		if a.Mailstore == store {
			return a.Address, true
		}
	}
	return "", false
}

// Waits between attempts to learn what a server can do.
const (
	probeFirst = time.Second
	probeLimit = time.Minute
)

// probeServers logs in to each server once, so that the first session knows what it can do. Later logins keep that up to date.
func (g *Gateway) probeServers(ctx context.Context) {
	var all sync.WaitGroup
	for name, server := range g.servers {
		mailbox, ok := aMailbox(g.snapshot.Load().Accounts(), name)
		if !ok {
			continue
		}
		all.Go(func() {
			for wait := probeFirst; ; wait = min(2*wait, probeLimit) {
				c, err := server.Open(ctx, origin.Who{Address: mailbox})
				if err == nil {
					c.Close() //nolint:errcheck // it has told what it can do
					return
				}
				g.log.WarnContext(ctx, "mail store cannot be opened; balorg check --live tells more", slog.Any("error", err))
				select {
				case <-time.After(wait):
				case <-ctx.Done():
					return
				}
			}
		})
	}
	all.Wait()
}

// CheckLive logs in to each mail store that is a server, as one of the mailboxes that live there, and answers what is wrong.
func (l *Loaded) CheckLive(ctx context.Context) configs.Problems {
	var problems configs.Problems
	byAddress := make(map[mail.Address]*policy.Account)
	for _, a := range l.Roster.Accounts {
		byAddress[a.Address] = a
	}
	for _, name := range l.Config.mailstoreNames() {
		m := l.Config.Mailstores[name]
		mailbox, ok := aMailbox(l.Roster.Accounts, name)
		if m.Type.V != imapType || !ok {
			continue
		}
		server, err := l.Config.server(name, slog.New(slog.DiscardHandler), func(a mail.Address) (*policy.Account, bool) { found, ok := byAddress[a]; return found, ok })
		if err == nil {
			err = server.Check(ctx, origin.Who{Address: mailbox})
			server.Close()
		}
		if err != nil {
			problems.Add(m.Type.Pos, "", "mail store %s: %v", name, err)
		}
	}
	return problems
}

func (c *Config) serverOptions(name string, m Mailstore) (origin.Options, error) {
	opt := origin.Options{
		Name: name, Addresses: m.Addresses, Security: origin.Security(m.Security.Or(string(origin.TLS))),
		Login: origin.LoginMode(m.Login.Or(string(origin.LoginAuthzid))), User: m.User, Separator: m.Separator, MaxConnections: m.MaxConnections,
		TLS: &tls.Config{MinVersion: tls.VersionTLS12, ServerName: m.ServerName, ClientSessionCache: tls.NewLRUClientSessionCache(0)},
	}
	if m.InsecureNoTLS {
		opt.Security = origin.InsecureNone
	}
	var err error
	if m.CA.Set {
		if opt.TLS.RootCAs, err = loadRoots(c.path(m.CA.V)); err != nil {
			return opt, err
		}
	}
	if opt.Login == origin.LoginSecret {
		path := c.path(m.SecretsFile.V)
		opt.Secret = func(mailbox mail.Address) (auth.Secret, error) { return readSecret(path, mailbox) }
		return opt, nil
	}
	opt.Password, err = readPassword(c.path(m.PasswordFile.V))
	return opt, err
}

// mailboxName is what a server calls a mailbox: its address, what stands before the @ of it, or its MSSanté address.
func mailboxName(form string, find func(mail.Address) (*policy.Account, bool)) func(mail.Address) string {
	switch form {
	case "local_part":
		return mail.Address.Local
	case "mssante":
		return func(a mail.Address) string {
			if account, ok := find(a); ok && account.MSSante != "" {
				return string(account.MSSante)
			}
			return string(a)
		}
	}
	return func(a mail.Address) string { return string(a) }
}

// embeddedStore is the in-process mail server as the proxy sees mail stores.
type embeddedStore struct{ server *embedded.Server }

func (e embeddedStore) Open(ctx context.Context, who imapproxy.Who) (io.ReadWriteCloser, error) {
	return e.server.Open(ctx, embedded.Who{Account: who.Account, Person: who.Person, Quota: who.Quota, Client: who.Client})
}

func (e embeddedStore) Capabilities() []string { return e.server.Capabilities() }

// serverStore is an IMAP server as the proxy sees mail stores.
type serverStore struct{ store *origin.Store }

func (s serverStore) Open(ctx context.Context, who imapproxy.Who) (io.ReadWriteCloser, error) {
	c, err := s.store.Open(ctx, origin.Who{Address: who.Address, Client: who.Client})
	if err != nil {
		return nil, err
	}
	return serverConn{c}, nil
}

func (s serverStore) Capabilities() []string { return s.store.Capabilities() }

// serverConn tells the proxy the server's names in the proxy's own type.
type serverConn struct{ *origin.Conn }

func (c serverConn) Names() imapproxy.Names { return imapproxy.Names(c.Conn.Names()) }
