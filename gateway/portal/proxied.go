package portal

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// asked is where a request comes from: the connection's other end or, where that is one of our proxies, what the proxies say (X-Forwarded-For). Each adds
// at the end whom it was asked by, so that what stands before the first address that is no proxy's is the asker's own to make up. Limits and the
// trace go by this.
func asked(r *http.Request, proxies []netip.Prefix) string {
	ours := func(a netip.Addr) bool {
		return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !ours(from.Addr().Unmap()) {
		return r.RemoteAddr
	}
	said := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, one := range slices.Backward(said) {
		a, ok := hop(strings.TrimSpace(one))
		if !ok {
			break
		}
		if !ours(a) {
			return netip.AddrPortFrom(a, 0).String()
		}
	}
	return r.RemoteAddr
}

// hop reads an address as proxies write it, some with a port.
func hop(text string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return a.Unmap().WithZone(""), true
	}
	if a, err := netip.ParseAddrPort(text); err == nil {
		return a.Addr().Unmap().WithZone(""), true
	}
	return netip.Addr{}, false
}
