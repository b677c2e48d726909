package bounce

import (
	"net"
	"net/netip"
	"strings"
	"time"

	"balorg/smtp/wire"
)

// said is a reply taken apart.
type said struct {
	code     int
	enhanced string
	text     string
}

// parseReply reads what wire.Reply prints.
func parseReply(s string) said {
	reply, err := wire.ReadReply(wire.NewReader(strings.NewReader(clean(s, false) + "\r\n")))
	if err != nil {
		return said{text: s}
	}
	return said{reply.Code, reply.Enhanced, reply.Text}
}

// Actions of RFC 3464, 2.3.3.
const (
	failed    = "failed"
	delayed   = "delayed"
	delivered = "delivered"
	relayed   = "relayed"
)

func (r *Report) action(to Recipient) string {
	switch {
	case r.Kind == Failure:
		return failed
	case r.Kind == Delay:
		return delayed
	case to.Relayed:
		return relayed
	}
	return delivered
}

// expired is the status of a message for which there is no time left (RFC 3463, 3.5).
const expired = "4.4.7"

// statusOf answers the status of a recipient (RFC 3463), whatever a server made of it: its class fits the action.
func (r *Report) statusOf(to Recipient) string {
	reply := parseReply(to.Reply)
	class := "2"
	switch r.action(to) {
	case failed:
		if reply.code < 500 {
			return expired // it was put off again and again
		}
		class = "5"
	case delayed:
		class = "4"
	}
	if strings.HasPrefix(reply.enhanced, class+".") {
		return reply.enhanced
	}
	return class + ".0.0"
}

// status writes the machine's part.
func (c *Composer) status(out *writer, r *Report) {
	utf8 := r.utf8()
	out.field("Reporting-MTA", "dns; "+c.hostname)
	if r.EnvelopeID != "" && !r.Anonymous {
		out.field("Original-Envelope-Id", clean(r.EnvelopeID, utf8))
	}
	if !r.Arrived.IsZero() {
		out.field("Arrival-Date", r.time(r.Arrived))
	}
	for _, to := range r.Recipients {
		out.line("")
		if original := originalOf(to.Original, utf8); original != "" && !r.Anonymous {
			out.field("Original-Recipient", original)
		}
		kind := "rfc822"
		if !isASCII(string(to.Address)) {
			kind = "utf-8" // RFC 6533, 3
		}
		out.field("Final-Recipient", kind+"; "+string(to.Address))
		out.field("Action", r.action(to))
		out.field("Status", r.statusOf(to))
		if host := hostOf(to.Peer); host != "" {
			out.field("Remote-MTA", "dns; "+host)
		}
		switch reply := clean(to.Reply, utf8); {
		case reply == "":
		case to.Peer != "":
			out.field("Diagnostic-Code", "smtp; "+reply)
		default:
			out.field("Diagnostic-Code", "x-balorg; "+reply)
		}
		if !to.Tried.IsZero() {
			out.field("Last-Attempt-Date", r.time(to.Tried))
		}
		if r.Kind == Delay && !to.Until.IsZero() {
			out.field("Will-Retry-Until", r.time(to.Until))
		}
	}
}

// dateTime is the form of RFC 5322, 3.3.
const dateTime = "Mon, 2 Jan 2006 15:04:05 -0700"

func (r *Report) time(t time.Time) string { return t.In(r.Date.Location()).Format(dateTime) }

// originalOf writes ORCPT as a field has it.
func originalOf(original string, utf8 bool) string {
	kind, address, ok := strings.Cut(clean(original, true), ";")
	switch {
	case !ok:
		return ""
	case isASCII(address), utf8:
		return kind + "; " + address
	}
	return kind + "; " + string(wire.AppendUTF8Address(nil, address))
}

// hostOf answers the name of a peer as a field has it: "mx.example.fr [192.0.2.1:25]" is mx.example.fr.
func hostOf(peer string) string {
	host, _, _ := strings.Cut(clean(peer, false), " ")
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if address, err := netip.ParseAddr(host); err == nil {
		if address.Is6() {
			return "[IPv6:" + host + "]"
		}
		return "[" + host + "]"
	}
	return host
}
