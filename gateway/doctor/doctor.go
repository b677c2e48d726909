// Package doctor looks at a platform from outside, as its clients and other operators do, and at the machine it runs on, and says what is wrong and
// what to do about it. Nothing is changed. Which things there are to be looked at is for the gateway to say.
package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Level says how bad a finding is.
type Level string

// The levels.
const (
	OK      Level = "ok"
	Warning Level = "warning" // it works, or will not for long
	Broken  Level = "broken"
)

// Finding is what was found of one thing.
type Finding struct {
	Level   Level  `json:"level"`
	Check   string `json:"check"`
	Subject string `json:"subject"`
	What    string `json:"what"`
	Do      string `json:"do,omitempty"` // what to do about it
}

func good(check, subject, what string) Finding { return Finding{OK, check, subject, what, ""} }
func warning(check, subject, what, do string) Finding {
	return Finding{Warning, check, subject, what, do}
}

func broken(check, subject, what, do string) Finding {
	return Finding{Broken, check, subject, what, do}
}

// patience is how long one thing may take to answer.
const patience = 10 * time.Second

// Listener connects to a listener, over TLS when it speaks that from the start, and reads what it says first, if it says anything.
func Listener(ctx context.Context, service, address string, implicitTLS bool, greeting string) Finding {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	const do = "is the daemon running, and does a firewall let it be reached? `balorg serve`, and its log"
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", reachable(address))
	if err != nil {
		return broken("listener", service+" "+address, cause(err), do)
	}
	defer conn.Close() //nolint:errcheck // it was a question
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return broken("listener", service+" "+address, cause(err), do)
	}
	if implicitTLS {
		// What the certificate is worth is looked at elsewhere.
		secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // as said
		if err := secure.HandshakeContext(ctx); err != nil {
			return broken("listener", service+" "+address, "no TLS: "+cause(err), do)
		}
		conn = secure
	}
	if greeting != "" {
		said := make([]byte, len(greeting))
		n, err := conn.Read(said)
		if err != nil || !strings.HasPrefix(greeting, string(said[:n])) {
			return broken("listener", service+" "+address, fmt.Sprintf("it does not greet as %s does: %q", service, said[:n]), "does another program listen there?")
		}
	}
	return good("listener", service+" "+address, "answers")
}

// reachable is where a listener is reached from its own machine.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("localhost", port)
	}
	return address
}

func cause(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err.Error()
	}
	return err.Error()
}

// Times before a certificate's end at which it is told of.
const (
	expireSoon = 21 * 24 * time.Hour
)

// Certificate looks at the certificate the daemon shows: its dates, the name clients connect to, and who vouches for it.
func Certificate(cert *tls.Certificate, hostname string, now time.Time) []Finding {
	leaf := cert.Leaf
	subject := leaf.Subject.CommonName
	if subject == "" && len(leaf.DNSNames) > 0 {
		subject = leaf.DNSNames[0]
	}
	var all []Finding
	switch {
	case now.After(leaf.NotAfter):
		all = append(all, broken("certificate", subject, "expired on "+leaf.NotAfter.Format(time.DateOnly), "put a new one in its place; it is taken without a restart"))
	case now.Before(leaf.NotBefore):
		all = append(all, broken("certificate", subject, "begins on "+leaf.NotBefore.Format(time.DateOnly), "is the clock right?"))
	case leaf.NotAfter.Sub(now) < expireSoon:
		all = append(all, warning("certificate", subject, "expires on "+leaf.NotAfter.Format(time.DateOnly), "put a new one in its place; it is taken without a restart"))
	default:
		all = append(all, good("certificate", subject, "valid until "+leaf.NotAfter.Format(time.DateOnly)))
	}
	if err := leaf.VerifyHostname(hostname); err != nil {
		all = append(all, broken("certificate", subject, "does not name "+hostname, "have one made for the name clients connect to, or set hostname in balorg.yaml"))
	}
	between := x509.NewCertPool()
	for _, der := range cert.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(c)
		}
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Intermediates: between, CurrentTime: leaf.NotBefore.Add(time.Second)}); err != nil {
		all = append(all, warning("certificate", subject, "this machine does not trust it, with the "+fmt.Sprint(len(cert.Certificate)-1)+" certificates that stand behind it",
			"when clients trust its authority by other means, as they do IGC-Santé's, all is well; else put the authority's intermediate certificates behind it in the file"))
	} else {
		all = append(all, good("certificate", subject, "its chain is complete"))
	}
	return all
}

// Secret looks at who may read a file that holds one, or a folder of such.
func Secret(path string) Finding {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return broken("file", path, pathCause(err), "make it, or correct its name in balorg.yaml")
	case info.Mode().Perm()&0o077 == 0 || (!info.IsDir() && info.Mode().Perm()&0o027 == 0):
		return good("file", path, "its mode is "+info.Mode().Perm().String())
	}
	mode := "0600"
	if info.IsDir() {
		mode = "0700"
	}
	return broken("file", path, "others may read it: its mode is "+info.Mode().Perm().String(), "chmod "+mode+" "+path)
}

// Rules looks at who may change a file that decides what people may do.
func Rules(path string) Finding {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return broken("file", path, pathCause(err), "make it, or correct its name in balorg.yaml")
	case info.Mode().Perm()&0o002 != 0:
		return broken("file", path, "everybody may change it: its mode is "+info.Mode().Perm().String(), "chmod o-w "+path)
	}
	return good("file", path, "its mode is "+info.Mode().Perm().String())
}

func pathCause(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}

// Space looks at the room on the disk of a folder. Below floor nothing is accepted any more.
func Space(folder string, floor int64) Finding {
	var st unix.Statfs_t
	if err := unix.Statfs(folder, &st); err != nil {
		return broken("disk", folder, err.Error(), "does the folder exist? The daemon makes it when it first starts")
	}
	free := int64(st.Bavail) * st.Bsize
	what := fmt.Sprintf("%d MB free; below %d MB nothing is accepted", free/1e6, floor/1e6)
	switch {
	case free < floor:
		return broken("disk", folder, what, "make room, or move the state to a larger disk")
	case free < 3*floor:
		return warning("disk", folder, what, "make room before it runs out")
	}
	return good("disk", folder, what)
}

// Clock tells whether the system keeps its clock right. Tokens, certificates and the trace depend on it.
func Clock() Finding {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	switch {
	case err != nil:
		return warning("clock", "system", "cannot be asked: "+err.Error(), "see that it is kept right, by chrony or systemd-timesyncd")
	case state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0:
		return warning("clock", "system", "it is not synchronised", "have it kept right, by chrony or systemd-timesyncd: access tokens live for minutes")
	}
	return good("clock", "system", "it is synchronised")
}

// Whitelist judges the age of the last good list; zero: there is none.
func Whitelist(generated, now time.Time) Finding {
	const old = 10 * 24 * time.Hour // it has been absent for as long as that
	switch {
	case generated.IsZero():
		return broken("whitelist", "trust_space", "no list has been taken yet: no message leaves but to extra_domains", "`balorg reload` says why; is the URL reachable, and its authority the right one?")
	case now.Sub(generated) > old:
		return warning("whitelist", "trust_space", "the last good list is of "+generated.Format(time.DateOnly), "`balorg reload` says why there is no newer one")
	}
	return good("whitelist", "trust_space", "the list is of "+generated.Format(time.DateOnly))
}

// Provider asks an identity provider for its description, as a login does.
func Provider(ctx context.Context, issuer string, transport http.RoundTripper) Finding {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	const do = "is the provider reachable from here, and its authority the one of authentication.oidc.ca? Logins by token wait until it is"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", nil)
	if err != nil {
		return broken("provider", issuer, err.Error(), do)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return broken("provider", issuer, cause(err), do)
	}
	defer resp.Body.Close() //nolint:errcheck // only the status counts
	if resp.StatusCode != http.StatusOK {
		return broken("provider", issuer, "it answers "+resp.Status, do)
	}
	return good("provider", issuer, "answers")
}

// Did makes a finding of what was done at a server, or why it could not be.
func Did(check, subject, done string, err error, do string) Finding {
	if err != nil {
		return broken(check, subject, cause(err), do)
	}
	return good(check, subject, done)
}

// Of makes findings of whether something worked.
func Of(check, subject string, err error, do string) Finding {
	if err != nil {
		return broken(check, subject, err.Error(), do)
	}
	return good(check, subject, "answers")
}
