package gateway

import (
	"cmp"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"balorg/configs"
	"balorg/mail"
	"balorg/policy"
	"balorg/policy/auth"
	"balorg/smtp/notice"
	"balorg/smtp/trust"
)

// Config is balorg.yaml. Each section belongs to the package that uses it; the zero value of every key means its default, and
// configs/balorg.yaml describes them all.
type Config struct {
	Hostname  configs.Value[string] `yaml:"hostname"`
	PublicURL configs.Value[string] `yaml:"public_url"`

	TrustedProxies configs.OneOrMore[configs.Value[Network]] `yaml:"trusted_proxies"`

	State          string                `yaml:"state"`
	Store          StoreConfig           `yaml:"store"`
	Listen         ListenConfig          `yaml:"listen"`
	TLS            TLSConfig             `yaml:"tls"`
	Accounts       string                `yaml:"accounts"`
	Delegations    string                `yaml:"delegations"`
	Mailstores     map[string]Mailstore  `yaml:"mailstores"`
	Authentication auth.Config           `yaml:"authentication"`
	IMAP           IMAPConfig            `yaml:"imap"`
	Submission     SubmissionConfig      `yaml:"submission"`
	Inbound        InboundConfig         `yaml:"inbound"`
	Relay          RelayConfig           `yaml:"relay"`
	TrustSpace     trust.Config          `yaml:"trust_space"`
	Notifications  NotificationsConfig   `yaml:"notifications"`
	Directory      DirectoryConfig       `yaml:"directory"`
	Audit          AuditConfig           `yaml:"audit"`
	Limits         LimitsConfig          `yaml:"limits"`
	Language       configs.Value[string] `yaml:"language"`
	Log            LogConfig             `yaml:"log"`

	pos  configs.Pos
	file string // its path, to which the others are relative
}

// StoreConfig is the section store.
type StoreConfig struct {
	MinFree configs.Size `yaml:"min_free,positive"`
}

// ListenConfig is the section listen.
type ListenConfig struct {
	IMAP        Addresses      `yaml:"imap"`
	IMAPS       Addresses      `yaml:"imaps"`
	Submission  Addresses      `yaml:"submission"`
	Submissions Addresses      `yaml:"submissions"`
	Inbound     Addresses      `yaml:"inbound"`
	LMTP        LocalAddresses `yaml:"lmtp"`
	LDAP        Addresses      `yaml:"ldap"`
	LDAPS       Addresses      `yaml:"ldaps"`
	HTTPS       Addresses      `yaml:"https"`
	Metrics     Addresses      `yaml:"metrics"`
}

// TLSConfig is the section tls.
type TLSConfig struct {
	Certificate configs.Value[string] `yaml:"certificate"`
	Key         configs.Value[string] `yaml:"key"`
}

// IMAPConfig is the section imap.
type IMAPConfig struct {
	SharedPrefix             configs.Value[string] `yaml:"shared_prefix"`
	FolderNames              configs.Value[string] `yaml:"folder_names"`
	MaxMessage               configs.Size          `yaml:"max_message,positive"`
	MaxConnections           int                   `yaml:"max_connections,positive"`
	MaxConnectionsPerAddress int                   `yaml:"max_connections_per_address,positive"`
	MaxCompressed            int                   `yaml:"max_compressed,positive"`
	IdleTimeout              time.Duration         `yaml:"idle_timeout,positive"`
	InsecureLogin            bool                  `yaml:"insecure_login_without_tls"`
	AnyHeader                bool                  `yaml:"any_header"`
}

// AuditConfig is the section audit.
type AuditConfig struct {
	Retention time.Duration `yaml:"retention,positive"`
}

// LimitsConfig is the section limits.
type LimitsConfig struct {
	policy.Config
	Quota configs.Size `yaml:"quota,positive"`
}

// LogConfig is the section log.
type LogConfig struct {
	Level  configs.Value[slog.Level] `yaml:"level"`
	Format configs.Value[string]     `yaml:"format"`
}

// Defaults of balorg.yaml.
const (
	defaultState          = "/var/lib/balorg"
	defaultMinFree        = 1e9
	defaultMaxMessage     = 50e6
	defaultQuota          = 2e9
	defaultRetention      = 180 * configs.Day
	defaultConnections    = 10000
	defaultPerAddress     = 200
	defaultMailstore      = "local"
	defaultFolderNames    = "fr"
	defaultAccountsFile   = "accounts.yaml"
	defaultDelegationFile = "delegations.yaml"
)

// Loaded is a whole configuration: balorg.yaml and what it names, read and checked together.
type Loaded struct {
	Config *Config
	Roster *policy.Roster
	// Inputs are the files read, by name, as they were: a reload on change compares them.
	Inputs []configs.File

	accounts, delegations []configs.File // those of Inputs

	notices *notice.Templates // nil: nobody is notified

	unread bool // balorg.yaml itself could not be read
}

// Load reads and checks balorg.yaml at path with all that it names: the very checks of the daemon. It answers what it could
// read even when there are problems; only a Loaded without errors may be served.
func Load(path string) (*Loaded, configs.Problems) { return loadWith(path, nil) }

// loadWith is Load as if some of the files of accounts and delegations held something else.
func loadWith(path string, instead []configs.File) (*Loaded, configs.Problems) {
	cfg := &Config{file: path}
	files, problems := configs.ReadFiles(path)
	if len(files) != 1 {
		if problems.Err() == nil {
			problems.Add(configs.Pos{File: path}, "", "this must be one file")
		}
		return &Loaded{Config: cfg, Roster: &policy.Roster{}, unread: true}, problems
	}
	cfg.pos = configs.Pos{File: files[0].Name}
	problems = append(problems, configs.Decode(files[0].Name, files[0].Data, cfg)...)
	cfg.applyDefaults()
	problems = append(problems, cfg.check()...)
	notices, found := cfg.checkNotifications()
	problems = append(problems, found...)

	src := policy.Source{Mailstores: cfg.mailstoreNames()}
	for _, kind := range []struct {
		path    string
		files   *[]configs.File
		missing *bool
	}{{cfg.Accounts, &src.Accounts, &src.AccountsMissing}, {cfg.Delegations, &src.Delegations, &src.DelegationsMissing}} {
		read, found := configs.ReadFiles(cfg.path(kind.path))
		problems = append(problems, found...)
		for i, file := range read {
			if n := slices.IndexFunc(instead, func(f configs.File) bool { return f.Name == file.Name }); n >= 0 {
				read[i] = instead[n]
			}
		}
		*kind.files, *kind.missing = read, found.Err() != nil
	}
	roster, found := policy.Load(src)
	problems = append(problems, found...)
	return &Loaded{
		Config: cfg, Roster: roster, notices: notices, accounts: src.Accounts, delegations: src.Delegations,
		Inputs: slices.Concat(files, src.Accounts, src.Delegations),
	}, problems.Sorted()
}

// brokenConfig tells whether an error is in balorg.yaml itself.
func (l *Loaded) brokenConfig(problems configs.Problems) bool {
	return slices.ContainsFunc(problems, func(p configs.Problem) bool { return !p.Warning && p.Pos.File == l.Config.file })
}

func (c *Config) applyDefaults() {
	c.State = cmp.Or(c.State, defaultState)
	c.Store.MinFree = cmp.Or(c.Store.MinFree, defaultMinFree)
	c.Accounts = cmp.Or(c.Accounts, defaultAccountsFile)
	c.Delegations = cmp.Or(c.Delegations, defaultDelegationFile)
	c.IMAP.MaxMessage = cmp.Or(c.IMAP.MaxMessage, defaultMaxMessage)
	c.IMAP.MaxConnections = cmp.Or(c.IMAP.MaxConnections, defaultConnections)
	c.IMAP.MaxConnectionsPerAddress = cmp.Or(c.IMAP.MaxConnectionsPerAddress, defaultPerAddress)
	c.smtpDefaults()
	c.Directory.defaults()
	c.Audit.Retention = cmp.Or(c.Audit.Retention, defaultRetention)
	c.Limits.Quota = cmp.Or(c.Limits.Quota, defaultQuota)
	if len(c.Mailstores) == 0 {
		c.Mailstores = map[string]Mailstore{defaultMailstore: {Type: configs.Value[string]{V: embeddedType}}}
	}
}

// check is what only balorg.yaml as a whole can tell.
func (c *Config) check() configs.Problems {
	var problems configs.Problems
	for _, name := range c.mailstoreNames() {
		c.checkMailstore(&problems, name)
	}
	problems = append(problems, c.Listen.check()...)
	problems = append(problems, c.checkSMTP()...)
	problems = append(problems, c.checkAuthentication()...)
	problems = append(problems, c.Directory.check(c.pos)...)
	problems = append(problems, c.checkUpstreams()...)
	problems = append(problems, c.Directory.National.check(c.path)...)
	oneOf(&problems, c.IMAP.FolderNames, "fr", "en")
	oneOf(&problems, c.Language, "fr", "en")
	if name := c.Hostname; name.Set && name.V != "localhost" {
		if _, err := mail.ParseDomain(name.V); err != nil {
			problems.Add(name.Pos, "a full name such as mail.example.org", "%v", err)
		}
	}
	problems = append(problems, checkPublicURL(c.PublicURL)...)
	problems = append(problems, checkProxies(c.TrustedProxies)...)
	oneOf(&problems, c.Log.Format, "text", "json")
	if p := c.IMAP.SharedPrefix; p.Set && !validPrefix(p.V) {
		problems.Add(p.Pos, "a word of letters, digits and hyphens, such as Comptes", "%q cannot be the folder of shared mailboxes", p.V)
	}
	if c.needsTLS() {
		problems = append(problems, c.checkTLS()...)
	}
	if c.IMAP.InsecureLogin {
		problems.Warn(c.pos, "remove insecure_login_without_tls", "passwords may be sent in the clear")
	}
	return problems
}

func (c *Config) checkTLS() configs.Problems {
	var problems configs.Problems
	if !c.TLS.Certificate.Set || !c.TLS.Key.Set {
		problems.Add(c.pos, "tls: {certificate: cert.pem, key: key.pem}", "a certificate and its key are needed: nobody logs in without TLS")
		return problems
	}
	cert, err := loadCertificate(c.path(c.TLS.Certificate.V), c.path(c.TLS.Key.V))
	if err != nil {
		problems.Add(c.TLS.Certificate.Pos, "", "%v", err)
		return problems
	}
	if name := c.Hostname; name.Set && cert.Leaf.VerifyHostname(name.V) != nil {
		problems.Warn(name.Pos, "clients that connect to it will not trust it", "the certificate does not name %s", name.V)
	}
	return problems
}

func oneOf(problems *configs.Problems, v configs.Value[string], allowed ...string) {
	if v.Set && !slices.Contains(allowed, v.V) {
		problems.Add(v.Pos, strings.Join(allowed, " or "), "%q is not known", v.V)
	}
}

func validPrefix(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' {
			return false
		}
	}
	return s != ""
}

func (c *Config) mailstoreNames() []string {
	names := make([]string, 0, len(c.Mailstores))
	for name := range c.Mailstores {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// path answers a path of the file, which is relative to the file's own folder.
func (c *Config) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(filepath.Dir(c.file), p)
}

// StateDir is the folder of the state.
func (c *Config) StateDir() string { return c.path(c.State) }

// frozen are the settings that only a restart changes; it answers the first one that differs.
func (c *Config) frozen(next *Config) string {
	switch {
	case c.StateDir() != next.StateDir():
		return "state"
	case c.Hostname.V != next.Hostname.V:
		return "hostname"
	case c.publicURL() != next.publicURL():
		return "public_url"
	case !slices.Equal(c.proxies(), next.proxies()):
		return "trusted_proxies"
	case c.Store != next.Store:
		return "store"
	case !c.Listen.equal(next.Listen):
		return "listen"
	case c.TLS.Certificate.Set != next.TLS.Certificate.Set:
		return "tls" // whether there is any: STARTTLS is offered or not; another certificate is taken
	case !c.Authentication.Equal(next.Authentication):
		return "authentication"
	case !maps.EqualFunc(c.Mailstores, next.Mailstores, func(a, b Mailstore) bool { return a.withoutPositions() == b.withoutPositions() }):
		return "mailstores"
	case c.Log.Level.V != next.Log.Level.V, c.Log.Format.V != next.Log.Format.V:
		return "log"
	case !c.Directory.equal(&next.Directory):
		return "directory"
	case c.smtpFrozen(next) != "":
		return c.smtpFrozen(next)
	case c.IMAP != next.IMAP:
		// Positions move when other lines do: only the values count.
		a, b := c.IMAP, next.IMAP
		a.SharedPrefix.Pos, b.SharedPrefix.Pos = configs.Pos{}, configs.Pos{}
		a.FolderNames.Pos, b.FolderNames.Pos = configs.Pos{}, configs.Pos{}
		if a != b {
			return "imap"
		}
	}
	return ""
}

// FindConfig answers the path a command uses when none is given.
func FindConfig() string {
	for _, path := range []string{"balorg.yaml", "/etc/balorg/balorg.yaml"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return "balorg.yaml"
}
