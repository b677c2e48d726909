package gateway

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"balorg/configs"
)

// Address is where a service listens: host:port, with an empty host for all addresses of the machine.
type Address string

// UnmarshalText reads an address, so that a mistake is found by a check and not by the next start.
func (a *Address) UnmarshalText(text []byte) error {
	host, port, err := net.SplitHostPort(string(text))
	if err != nil {
		return fmt.Errorf("%q is no address and port; write 127.0.0.1:993, [::1]:993 or :993", text)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q is not a port; write a number up to 65535", port)
	}
	if _, err := netip.ParseAddr(host); err != nil && strings.ContainsFunc(host, noHostLetter) {
		return fmt.Errorf("%q is not an address; write 127.0.0.1, ::1 in brackets, a name, or nothing for all", host)
	}
	*a = Address(text)
	return nil
}

// noHostLetter tells whether no name of a host has this letter; what a name stands for is asked when it is listened on.
func noHostLetter(r rune) bool {
	return r != '-' && r != '.' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
}

// Addresses are all of a service.
type Addresses = configs.OneOrMore[configs.Value[Address]]

func texts(a Addresses) []string {
	all := make([]string, len(a))
	for i, address := range a {
		all[i] = string(address.V)
	}
	return all
}

// check finds addresses that stand twice: the second could not be opened.
func (l ListenConfig) check() configs.Problems {
	var problems configs.Problems
	first := make(map[Address]configs.Pos)
	all := slices.Concat(l.IMAP, l.IMAPS, l.Submission, l.Submissions, l.Inbound, l.LDAP, l.LDAPS, l.HTTPS, l.Metrics)
	for _, a := range l.LMTP {
		all = append(all, configs.Value[Address]{V: Address(a.V), Pos: a.Pos, Set: true})
	}
	for _, a := range all {
		if _, port, _ := net.SplitHostPort(string(a.V)); (port == "" && !strings.HasPrefix(string(a.V), unixPrefix)) || port == "0" {
			continue // reported, or the system chooses another each time
		}
		if at, twice := first[a.V]; twice {
			problems.Add(a.Pos, "", "%s is listened on twice; first at line %d", a.V, at.Line)
			continue
		}
		first[a.V] = a.Pos
	}
	return problems
}

func (l ListenConfig) equal(next ListenConfig) bool {
	for _, pair := range [][2]Addresses{
		{l.IMAP, next.IMAP},
		{l.IMAPS, next.IMAPS},
		{l.Submission, next.Submission},
		{l.Submissions, next.Submissions},
		{l.LDAP, next.LDAP},
		{l.LDAPS, next.LDAPS},
		{l.HTTPS, next.HTTPS},
		{l.Inbound, next.Inbound},
		{l.Metrics, next.Metrics},
	} {
		if !slices.Equal(texts(pair[0]), texts(pair[1])) {
			return false
		}
	}
	return slices.Equal(localTexts(l.LMTP), localTexts(next.LMTP))
}
