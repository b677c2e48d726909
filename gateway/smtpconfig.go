package gateway

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"balorg/configs"
	"balorg/mail"
	"balorg/smtp"
	"balorg/smtp/queue"
	"balorg/smtp/relay"
)

// SubmissionConfig is the section submission.
type SubmissionConfig struct {
	smtp.Limits
	MaxMessage               configs.Size `yaml:"max_message,positive"`
	MaxRecipients            int          `yaml:"max_recipients,positive"`
	MaxConnections           int          `yaml:"max_connections,positive"`
	MaxConnectionsPerAddress int          `yaml:"max_connections_per_address,positive"`
	InsecureLogin            bool         `yaml:"insecure_login_without_tls"`
}

// InboundConfig is the section inbound.
type InboundConfig struct {
	Networks                 configs.OneOrMore[configs.Value[Network]] `yaml:"networks"`
	Postmaster               configs.Value[string]                     `yaml:"postmaster"`
	MutualTLS                bool                                      `yaml:"mutual_tls"`
	ClientCA                 configs.Value[string]                     `yaml:"client_ca"`
	MaxMessage               configs.Size                              `yaml:"max_message,positive"`
	MaxRecipients            int                                       `yaml:"max_recipients,positive"`
	MaxConnections           int                                       `yaml:"max_connections,positive"`
	MaxConnectionsPerAddress int                                       `yaml:"max_connections_per_address,positive"`
	InsecureNoTLS            bool                                      `yaml:"insecure_no_tls"`
}

// QueueConfig is how often and how long is tried.
type QueueConfig = queue.Config

// RelayConfig is the section relay: the way to other operators.
type RelayConfig struct {
	relay.Config
	QueueConfig
}

// Defaults of both sections.
const (
	defaultMaxRecipients   = 100 // the least that RFC 5321, 4.5.3.1.8 allows
	defaultSMTPConnections = 1000
	defaultSMTPPerAddress  = 50
	defaultSMTPMessage     = 50e6
)

// Network is an IP network, or one address.
type Network netip.Prefix

// UnmarshalText reads a network.
func (n *Network) UnmarshalText(text []byte) error {
	if a, err := netip.ParseAddr(string(text)); err == nil {
		*n = Network(netip.PrefixFrom(a, a.BitLen()))
		return nil
	}
	p, err := netip.ParsePrefix(string(text))
	if err != nil {
		return fmt.Errorf("%q is no network; write 192.0.2.0/24, 2001:db8::/32 or one address", text)
	}
	*n = Network(p.Masked())
	return nil
}

// LocalAddress is where a service listens that trusts whoever reaches it: a unix socket or an address of the loopback interface.
type LocalAddress string

const unixPrefix = "unix:"

// UnmarshalText reads unix:/path or host:port.
func (a *LocalAddress) UnmarshalText(text []byte) error {
	if path, ok := strings.CutPrefix(string(text), unixPrefix); ok {
		if !strings.HasPrefix(path, "/") {
			return fmt.Errorf("%q is no path of a socket; write unix:/run/balorg/lmtp.sock", text)
		}
		*a = LocalAddress(text)
		return nil
	}
	var tcp Address
	if err := tcp.UnmarshalText(text); err != nil {
		return err
	}
	host, _, _ := net.SplitHostPort(string(tcp))
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return fmt.Errorf("%q can be reached from elsewhere, and the service trusts whoever reaches it; write 127.0.0.1:24 or unix:/run/balorg/lmtp.sock", text)
	}
	*a = LocalAddress(tcp)
	return nil
}

// LocalAddresses are all of a service.
type LocalAddresses = configs.OneOrMore[configs.Value[LocalAddress]]

func localTexts(a LocalAddresses) []string {
	all := make([]string, len(a))
	for i, address := range a {
		all[i] = string(address.V)
	}
	return all
}

func (c *Config) smtpDefaults() {
	s, in := &c.Submission, &c.Inbound
	s.MaxMessage = cmp.Or(s.MaxMessage, defaultSMTPMessage)
	s.MaxRecipients = cmp.Or(s.MaxRecipients, defaultMaxRecipients)
	s.MaxConnections = cmp.Or(s.MaxConnections, defaultSMTPConnections)
	s.MaxConnectionsPerAddress = cmp.Or(s.MaxConnectionsPerAddress, defaultSMTPPerAddress)
	in.MaxMessage = cmp.Or(in.MaxMessage, defaultSMTPMessage)
	in.MaxRecipients = cmp.Or(in.MaxRecipients, defaultMaxRecipients)
	in.MaxConnections = cmp.Or(in.MaxConnections, defaultSMTPConnections)
	in.MaxConnectionsPerAddress = cmp.Or(in.MaxConnectionsPerAddress, defaultSMTPPerAddress)
}

// needsTLS tells whether a service listens that does nothing without a certificate.
func (c *Config) needsTLS() bool {
	l := c.Listen
	return (len(l.IMAP) > 0 || len(l.IMAPS) > 0) && !c.IMAP.InsecureLogin ||
		(len(l.Submission) > 0 && !c.Submission.InsecureLogin) || len(l.Submissions) > 0 || (len(l.Inbound) > 0 && !c.Inbound.InsecureNoTLS) ||
		(len(l.LDAP) > 0 && !c.Directory.InsecureBind) || len(l.LDAPS) > 0 || len(l.HTTPS) > 0
}

func (c *Config) checkSMTP() configs.Problems {
	var problems configs.Problems
	if c.Submission.InsecureLogin {
		problems.Warn(c.pos, "remove insecure_login_without_tls", "passwords may be sent in the clear to submit mail")
	}
	problems = append(problems, c.TrustSpace.Check(c.path, loadRoots)...)
	problems = append(problems, c.Relay.Check(c.relayFiles())...)
	in := c.Inbound
	if in.InsecureNoTLS {
		problems.Warn(c.pos, "remove insecure_no_tls", "mail of other operators may come in the clear")
	}
	if len(c.Listen.Inbound) > 0 && len(in.Networks) == 0 && !in.MutualTLS {
		problems.Warn(c.Listen.Inbound[0].Pos, "inbound: {networks: [192.0.2.0/24]}, or mutual_tls: true", "no mail is taken here: neither networks nor certificates are let in")
	}
	if in.Postmaster.Set {
		if _, err := mail.ParseAddress(in.Postmaster.V); err != nil {
			problems.Add(in.Postmaster.Pos, "the address of an account", "%v", err)
		}
	}
	if in.ClientCA.Set {
		if _, err := loadRoots(c.path(in.ClientCA.V)); err != nil {
			problems.Add(in.ClientCA.Pos, "", "%v", err)
		}
	} else if in.MutualTLS {
		problems.Add(c.pos, "client_ca: /etc/balorg/tls/igc-sante.pem", "with mutual_tls the authorities of other operators' certificates are needed")
	}
	return problems
}

// postmaster is the account that gets mail for the postmaster, empty for none. The address has been checked.
func (c *Config) postmaster() mail.Address {
	a, err := mail.ParseAddress(c.Inbound.Postmaster.V)
	if err != nil {
		return ""
	}
	return a
}

// smtpFrozen answers the first section of those about SMTP that differs.
func (c *Config) smtpFrozen(next *Config) string {
	if c.Submission != next.Submission {
		return "submission"
	}
	if x, y := c.TrustSpace, next.TrustSpace; x.File.V != y.File.V || x.URL.V != y.URL.V || x.CA.V != y.CA.V || x.Refresh != y.Refresh || x.ShrinkShare != y.ShrinkShare {
		return "trust_space" // but for extra_domains
	}
	if values(c.Relay) != values(next.Relay) {
		return "relay"
	}
	if values(c.Notifications) != values(next.Notifications) {
		return "notifications" // but for what the templates say
	}
	a, b := c.Inbound, next.Inbound
	same := slices.EqualFunc(a.Networks, b.Networks, func(x, y configs.Value[Network]) bool { return x.V == y.V }) && a.ClientCA.V == b.ClientCA.V && a.Postmaster.V == b.Postmaster.V
	a.Networks, b.Networks = nil, nil
	a.ClientCA, b.ClientCA, a.Postmaster, b.Postmaster = configs.Value[string]{}, configs.Value[string]{}, configs.Value[string]{}, configs.Value[string]{}
	if !same || fmt.Sprint(a) != fmt.Sprint(b) {
		return "inbound"
	}
	return ""
}

// values is a section as text, without the places where its keys stand: those move when other lines do.
func values(section any) string {
	v := reflect.New(reflect.TypeOf(section)).Elem()
	v.Set(reflect.ValueOf(section))
	withoutPlaces(v)
	return fmt.Sprintf("%+v", v)
}

func withoutPlaces(v reflect.Value) {
	if v.Kind() != reflect.Struct {
		return
	}
	for _, f := range v.Fields() {
		if f.Type() == reflect.TypeFor[configs.Pos]() {
			f.SetZero()
		} else {
			withoutPlaces(f)
		}
	}
}

// inboundTLS is the TLS of inbound mail: whoever shows a certificate shows one that is verified.
func (c *Config) inboundTLS(base *tls.Config) (*tls.Config, error) {
	if base == nil || !c.Inbound.MutualTLS {
		return base, nil
	}
	roots, err := loadRoots(c.path(c.Inbound.ClientCA.V))
	if err != nil {
		return nil, err
	}
	mutual := base.Clone()
	mutual.ClientCAs, mutual.ClientAuth = roots, tls.VerifyClientCertIfGiven
	return mutual, nil
}
