package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"

	"balorg/smtp/wire"
)

// target is one address of a next hop.
type target struct {
	network string
	host    string // its name
	address string // to dial
}

func (t target) peer() string {
	if t.host == "" || strings.HasPrefix(t.address, t.host+":") {
		return t.address
	}
	return fmt.Sprintf("%s [%s]", t.host, t.address)
}

// unixPrefix of a smarthost that is a socket.
const unixPrefix = "unix:"

// maxTargets bounds the addresses that are tried for one message.
const maxTargets = 10

// targets answers where to connect to, in order.
func (r *Relay) targets(ctx context.Context, dest string) ([]target, *refusal) {
	smarthost := r.opt.Smarthost
	if path, ok := strings.CutPrefix(smarthost, unixPrefix); ok {
		return []target{{network: "unix", address: path}}, nil
	}
	if smarthost != "" {
		host, _, err := net.SplitHostPort(smarthost)
		if err != nil {
			return nil, &refusal{Deferred, wire.NewReply(451, "4.3.5", "The smarthost is no address")}
		}
		return []target{{network: "tcp", host: host, address: smarthost}}, nil // the dialer tries each of its addresses
	}
	hosts, implicit, refused := r.exchangers(ctx, dest)
	if refused != nil {
		return nil, refused
	}
	var all []target
	var last error
	for _, host := range hosts {
		addresses, err := r.opt.Resolver.LookupHost(ctx, host)
		if err != nil {
			last = err
			continue
		}
		for _, address := range addresses {
			all = append(all, target{network: "tcp", host: host, address: net.JoinHostPort(address, r.opt.Port)})
		}
	}
	switch {
	case len(all) > 0:
		return all[:min(len(all), maxTargets)], nil
	case implicit && notFound(last):
		return nil, &refusal{Failed, wire.NewReply(550, "5.1.2", "The domain %s has no mail server", dest)}
	}
	return nil, &refusal{Deferred, wire.NewReply(451, "4.4.3", "The mail servers of %s are not found: %v", dest, last)}
}

func notFound(err error) bool {
	dns, ok := errors.AsType[*net.DNSError](err)
	return ok && dns.IsNotFound
}

// exchangers answers the mail exchangers of a domain in the order of RFC 5321, 5.1. A domain that names none is its own.
func (r *Relay) exchangers(ctx context.Context, domain string) (hosts []string, implicit bool, refused *refusal) {
	records, err := r.opt.Resolver.LookupMX(ctx, domain)
	switch {
	case len(records) == 0 && notFound(err):
		return []string{domain}, true, nil
	case len(records) == 0:
		return nil, false, &refusal{Deferred, wire.NewReply(451, "4.4.3", "The mail servers of %s are not found: %v", domain, err)}
	case len(records) == 1 && strings.Trim(records[0].Host, ".") == "": // RFC 7505
		return nil, false, &refusal{Failed, wire.NewReply(556, "5.1.10", "The domain %s takes no mail", domain)}
	}
	records = slices.Clone(records)
	rand.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
	slices.SortStableFunc(records, func(a, b *net.MX) int { return cmp.Compare(a.Pref, b.Pref) })
	for _, mx := range records {
		if strings.EqualFold(strings.TrimSuffix(mx.Host, "."), r.opt.Hostname) {
			// Those as good as we are, or worse, would send it back to us.
			records = slices.DeleteFunc(records, func(other *net.MX) bool { return other.Pref >= mx.Pref })
			break
		}
	}
	for _, mx := range records {
		if host := strings.TrimSuffix(mx.Host, "."); host != "" && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	if len(hosts) == 0 {
		return nil, false, &refusal{Failed, wire.NewReply(554, "5.4.6", "Mail for %s would come back to this server", domain)}
	}
	return hosts, false, nil
}
