package gateway

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"balorg/configs"
	"balorg/ldapserver"
	"balorg/ldapserver/directory"
	"balorg/mail"
	"balorg/policy"
)

// DirectoryConfig is the section directory.
type DirectoryConfig struct {
	Suffixes                 configs.OneOrMore[configs.Value[string]] `yaml:"suffix"`
	Anonymous                configs.Value[string]                    `yaml:"anonymous"`
	MaxEntries               int                                      `yaml:"max_entries,positive"`
	MaxPagedEntries          int                                      `yaml:"max_paged_entries,positive"`
	MaxTime                  time.Duration                            `yaml:"max_time,positive"`
	MinLetters               int                                      `yaml:"min_letters,positive"`
	EntriesPerPerson         int                                      `yaml:"entries_per_person,positive"`
	EntriesPerAddress        int                                      `yaml:"entries_per_address,positive"`
	IdleTimeout              time.Duration                            `yaml:"idle_timeout,positive"`
	MaxConnections           int                                      `yaml:"max_connections,positive"`
	MaxConnectionsPerAddress int                                      `yaml:"max_connections_per_address,positive"`
	Proxies                  []configs.Value[string]                  `yaml:"may_act_for_others"`
	Upstreams                map[string]UpstreamConfig                `yaml:"upstreams"`
	InsecureBind             bool                                     `yaml:"insecure_bind_without_tls"`
	National                 NationalConfig                           `yaml:"national"`
}

// Defaults of the section directory.
const (
	defaultEntriesPerPerson  = 20_000
	defaultEntriesPerAddress = 100_000
	defaultLDAPConnections   = 2000
	defaultLDAPPerAddress    = 200
)

func (d *DirectoryConfig) defaults() {
	d.EntriesPerPerson = cmp.Or(d.EntriesPerPerson, defaultEntriesPerPerson)
	d.EntriesPerAddress = cmp.Or(d.EntriesPerAddress, defaultEntriesPerAddress)
	d.MaxConnections = cmp.Or(d.MaxConnections, defaultLDAPConnections)
	d.MaxConnectionsPerAddress = cmp.Or(d.MaxConnectionsPerAddress, defaultLDAPPerAddress)
}

func (d *DirectoryConfig) check(pos configs.Pos) configs.Problems {
	var problems configs.Problems
	oneOf(&problems, d.Anonymous, "none", "local", "all")
	for _, s := range d.Suffixes {
		if _, err := directory.NewNames([]string{s.V}, nil); err != nil {
			problems.Add(s.Pos, "dc=mssante,dc=fr", "%q cannot be a suffix: %v", s.V, err)
		}
	}
	for _, p := range d.Proxies {
		if _, err := mail.ParseAddress(p.V); err != nil {
			problems.Add(p.Pos, "", "%q: %v", p.V, err)
		}
	}
	if d.InsecureBind {
		problems.Warn(pos, "remove insecure_bind_without_tls", "passwords may be sent to the directory in the clear")
	}
	return problems
}

func (d *DirectoryConfig) suffixes() []string {
	var all []string
	for _, s := range d.Suffixes {
		all = append(all, strings.TrimSpace(s.V))
	}
	return all
}

func (d *DirectoryConfig) proxies() []string {
	var all []string
	for _, p := range d.Proxies {
		all = append(all, p.V)
	}
	return all
}

// anonymous is what those see who have not logged in.
func (d *DirectoryConfig) anonymous() policy.Sight {
	switch d.Anonymous.V {
	case "local":
		return policy.Sight{Local: true}
	case "all":
		return policy.Sight{Local: true, National: true}
	}
	return policy.Sight{}
}

func (d *DirectoryConfig) limits() ldapserver.Limits {
	return ldapserver.Limits{
		Entries: d.MaxEntries, PagedEntries: d.MaxPagedEntries, Time: d.MaxTime, Letters: d.MinLetters,
		PerPerson: d.EntriesPerPerson, PerAddress: d.EntriesPerAddress, Idle: d.IdleTimeout,
	}
}

// equal compares what takes a restart to change: all but national.
func (d *DirectoryConfig) equal(other *DirectoryConfig) bool {
	return d.limits() == other.limits() && d.anonymous() == other.anonymous() && slices.Equal(d.suffixes(), other.suffixes()) &&
		slices.Equal(d.proxies(), other.proxies()) && d.sameUpstreams(other) && d.InsecureBind == other.InsecureBind &&
		d.MaxConnections == other.MaxConnections && d.MaxConnectionsPerAddress == other.MaxConnectionsPerAddress
}
