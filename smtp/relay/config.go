package relay

import (
	"crypto/tls"
	"crypto/x509"
	"net"

	"balorg/configs"
	"balorg/policy/auth"
)

// Config is the section relay. The zero value of every key means its default.
type Config struct {
	Smarthost      configs.Value[string] `yaml:"smarthost"` // host:port; left out: the mail exchangers of each domain
	Security       configs.Value[string] `yaml:"security"`  // starttls, or for a smarthost also tls
	InsecureNoTLS  configs.Value[bool]   `yaml:"insecure_no_tls"`
	CA             configs.Value[string] `yaml:"ca"`
	Certificate    configs.Value[string] `yaml:"certificate"` // of ours, PEM
	Key            configs.Value[string] `yaml:"key"`
	ServerName     configs.Value[string] `yaml:"server_name"`
	User           configs.Value[string] `yaml:"user"`
	PasswordFile   configs.Value[string] `yaml:"password_file"`
	MutualTLS      configs.Value[bool]   `yaml:"mutual_tls"`
	MaxConnections int                   `yaml:"max_connections,positive"` // for each destination
	Timeouts       Timeouts              `yaml:"timeouts"`
}

// Files reads what a configuration names.
type Files struct {
	Path     func(string) string // makes a path of the configuration absolute
	Roots    func(path string) (*x509.CertPool, error)
	Password func(path string) (auth.Secret, error)
}

// Check answers what is wrong with the section.
func (c Config) Check(files Files) configs.Problems {
	var problems configs.Problems
	if c.Smarthost.Set {
		if host, port, err := net.SplitHostPort(c.Smarthost.V); err != nil || host == "" || port == "" {
			problems.Add(c.Smarthost.Pos, "host:port", "%q is no address of a smarthost", c.Smarthost.V)
		}
	}
	switch Security(c.Security.V) {
	case "", StartTLS:
	case TLS:
		if !c.Smarthost.Set {
			problems.Add(c.Security.Pos, "starttls", "mail exchangers speak TLS after STARTTLS only")
		}
	default:
		problems.Add(c.Security.Pos, "starttls or tls", "%q is not known", c.Security.V)
	}
	c.checkTLS(&problems)
	if c.User.Set != c.PasswordFile.Set {
		problems.Add(orPos(c.User.Pos, c.PasswordFile.Pos), "user and password_file", "a user and the file with its password go together")
	}
	if c.User.Set && !c.Smarthost.Set {
		problems.Add(c.User.Pos, "remove user", "only a smarthost is logged in to")
	}
	if c.PasswordFile.Set {
		if _, err := files.Password(files.Path(c.PasswordFile.V)); err != nil {
			problems.Add(c.PasswordFile.Pos, "", "%v", err)
		}
	}
	if c.CA.Set {
		if _, err := files.Roots(files.Path(c.CA.V)); err != nil {
			problems.Add(c.CA.Pos, "", "%v", err)
		}
	}
	if c.Certificate.Set && c.Key.Set {
		if _, err := tls.LoadX509KeyPair(files.Path(c.Certificate.V), files.Path(c.Key.V)); err != nil {
			problems.Add(c.Certificate.Pos, "", "certificate of the relay: %v", err)
		}
	}
	return problems
}

func (c Config) checkTLS(problems *configs.Problems) {
	if c.Certificate.Set != c.Key.Set {
		problems.Add(orPos(c.Certificate.Pos, c.Key.Pos), "certificate and key", "a certificate and its key go together")
	}
	if c.InsecureNoTLS.V {
		problems.Warn(c.InsecureNoTLS.Pos, "remove insecure_no_tls", "mail leaves in the clear")
		if c.MutualTLS.V || c.Security.Set {
			problems.Add(c.InsecureNoTLS.Pos, "remove insecure_no_tls", "mail cannot leave in the clear and with TLS")
		}
	}
	if !c.MutualTLS.V {
		return
	}
	if c.Smarthost.Set {
		problems.Add(c.MutualTLS.Pos, "remove mutual_tls", "a smarthost is the operator of no recipient's domain")
	}
	if !c.Certificate.Set || !c.CA.Set {
		problems.Add(c.MutualTLS.Pos, "certificate, key and ca", "mutual TLS needs a certificate of ours, and the authority of the others'")
	}
}

func orPos(a, b configs.Pos) configs.Pos {
	if a.IsZero() {
		return b
	}
	return a
}

// Options answers what a Relay needs of the section, which has no problems. matches is that of the trust space.
func (c Config) Options(files Files, matches func(domain string, cert *x509.Certificate) bool) (Options, error) {
	opt := Options{
		Smarthost: c.Smarthost.V, Security: Security(c.Security.Or(string(StartTLS))), User: c.User.V,
		MaxConnections: c.MaxConnections, Timeouts: c.Timeouts,
		TLS: &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName.V},
	}
	if c.InsecureNoTLS.V {
		opt.Security = InsecureNone
	}
	if c.MutualTLS.V {
		opt.Matches = matches
	}
	var err error
	if c.CA.Set {
		if opt.TLS.RootCAs, err = files.Roots(files.Path(c.CA.V)); err != nil {
			return opt, err
		}
	}
	if c.PasswordFile.Set {
		if opt.Password, err = files.Password(files.Path(c.PasswordFile.V)); err != nil {
			return opt, err
		}
	}
	if c.Certificate.Set {
		cert, key := files.Path(c.Certificate.V), files.Path(c.Key.V)
		opt.TLS.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(cert, key) // at each handshake: a renewed one is taken at once
			return &pair, err
		}
	}
	return opt, nil
}
