package policy

import "net/netip"

// clientBits is how much of an IPv6 address tells clients apart: whoever has one address of a /64 has them all (RFC 6177, 2).
const clientBits = 64

// ClientOf answers the address that limits for each client count by: an IPv4 address itself, of an IPv6 address its /64.
// It answers the zero Addr for none.
func ClientOf(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if !a.Is6() {
		return a
	}
	p, err := a.Prefix(clientBits)
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr()
}
