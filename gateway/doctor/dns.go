package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Site is what is to be published of a platform.
type Site struct {
	Hostname string
	Portal   string         // where browsers reach the portal; empty: by Hostname
	Domains  []string       // of the addresses people log in with and are written to
	Ports    map[string]int // by service: imap, imaps, submission, submissions, ldap, ldaps, https, inbound; one that is not offered is not there
	MX       []string       // the domains whose mail comes here
}

// Record is one entry of the DNS, as a zone file has it.
type Record struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Value string `json:"value"`
	Why   string `json:"why"`
}

// String is a line of a zone file.
func (r Record) String() string {
	return fmt.Sprintf("%s 3600 IN %s %s ; %s", r.Name, r.Type, r.Value, r.Why)
}

// serviceRecords are those by which programs find a service of a domain: RFC 6186 and RFC 8314, 5.1, for mail, RFC 2782 for LDAP.
func serviceRecords() []struct{ service, label, why string } {
	return []struct{ service, label, why string }{
		{"imaps", "_imaps._tcp", "mail programs find IMAP over TLS (RFC 8314)"},
		{"imap", "_imap._tcp", "mail programs find IMAP with STARTTLS (RFC 6186)"},
		{"submissions", "_submissions._tcp", "mail programs find submission over TLS (RFC 8314)"},
		{"submission", "_submission._tcp", "mail programs find submission with STARTTLS (RFC 6186)"},
		{"ldap", "_ldap._tcp", "address books find the directory (RFC 2782)"},
		{"ldaps", "_ldaps._tcp", "address books find the directory over TLS"},
	}
}

// Records are what is to be published, by domain.
func (s Site) Records() []Record {
	var all []Record
	host := s.Hostname + "."
	portal := cmp.Or(s.Portal, s.Hostname) + "."
	for _, domain := range s.Domains {
		for _, r := range serviceRecords() {
			port, offered := s.Ports[r.service]
			mail := strings.HasPrefix(r.service, "imap") || strings.HasPrefix(r.service, "sub")
			switch {
			case offered:
				all = append(all, Record{r.label + "." + domain + ".", "SRV", fmt.Sprintf("0 1 %d %s", port, host), r.why})
			case mail:
				all = append(all, Record{r.label + "." + domain + ".", "SRV", "0 0 0 .", "not offered (RFC 6186, 3.4)"})
			}
		}
		if port, ok := s.Ports["https"]; ok {
			all = append(all,
				Record{"_autodiscover._tcp." + domain + ".", "SRV", fmt.Sprintf("0 0 %d %s", port, portal), "Outlook configures itself"},
				Record{"autoconfig." + domain + ".", "CNAME", portal, "Thunderbird configures itself; the certificate names this, too"},
			)
		}
		if slices.Contains(s.MX, domain) {
			all = append(all, Record{domain + ".", "MX", "10 " + host, "other operators deliver here"})
		}
	}
	return all
}

// Resolver looks the DNS up; *net.Resolver is one.
type Resolver interface {
	LookupHost(ctx context.Context, host string) ([]string, error)
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
}

// DNS compares what is published with what is to be.
func DNS(ctx context.Context, r Resolver, s Site) []Finding {
	var all []Finding
	names := []string{s.Hostname}
	if s.Portal != "" && s.Portal != s.Hostname {
		names = append(names, s.Portal)
	}
	for _, name := range names {
		if _, err := r.LookupHost(ctx, name); err != nil {
			all = append(all, broken("dns", name, "the name has no address: "+dnsError(err), "publish an A or AAAA record of it"))
		} else {
			all = append(all, good("dns", name, "the name has an address"))
		}
	}
	for _, record := range s.Records() {
		if record.Type == "CNAME" {
			if _, err := r.LookupHost(ctx, strings.TrimSuffix(record.Name, ".")); err != nil {
				all = append(all, warning("dns", record.Name, "is not published", record.String()))
				continue
			}
			all = append(all, good("dns", record.Name, "is published"))
			continue
		}
		got, err := published(ctx, r, record)
		switch {
		case err != nil:
			level := warning // programs can be configured by hand
			if record.Type == "MX" {
				level = broken
			}
			all = append(all, level("dns", record.Name, record.Type+" is not published: "+dnsError(err), record.String()))
		case !slices.Contains(got, record.Value):
			all = append(all, warning("dns", record.Name, fmt.Sprintf("%s is %s", record.Type, strings.Join(got, ", ")), record.String()))
		default:
			all = append(all, good("dns", record.Name, record.Type+" is published"))
		}
	}
	return all
}

// published answers the values of a name, as Record.Value has them but for priorities.
func published(ctx context.Context, r Resolver, record Record) ([]string, error) {
	var values []string
	if record.Type == "MX" {
		found, err := r.LookupMX(ctx, strings.TrimSuffix(record.Name, "."))
		for _, mx := range found {
			values = append(values, "10 "+strings.ToLower(mx.Host)) // any preference will do
		}
		return values, err
	}
	_, found, err := r.LookupSRV(ctx, "", "", strings.TrimSuffix(record.Name, "."))
	wanted := strings.Fields(record.Value)
	for _, srv := range found {
		// Priority and weight are the site's to choose.
		values = append(values, strings.Join([]string{wanted[0], wanted[1], strconv.Itoa(int(srv.Port)), strings.ToLower(srv.Target)}, " "))
	}
	return values, err
}

func dnsError(err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return "there is no such name"
		}
		return dns.Err
	}
	return err.Error()
}
