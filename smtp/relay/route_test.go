package relay

import (
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"balorg/configs"
	"balorg/policy/auth"
)

func mx(pairs ...any) []*net.MX {
	var all []*net.MX
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, &net.MX{Host: pairs[i].(string), Pref: uint16(pairs[i+1].(int))})
	}
	return all
}

func TestTargets(t *testing.T) {
	hosts := map[string][]string{
		"a.fr": {"192.0.2.1"}, "b.fr": {"192.0.2.2", "2001:db8::2"}, "c.fr": {"192.0.2.3"}, "gw.sapins.fr": {"192.0.2.9"}, "down.fr": {},
		"many.fr": {"1.0.0.1", "1.0.0.2", "1.0.0.3", "1.0.0.4", "1.0.0.5", "1.0.0.6", "1.0.0.7", "1.0.0.8", "1.0.0.9", "1.0.0.10", "1.0.0.11"},
	}
	for _, test := range []struct {
		name string
		mx   map[string][]*net.MX
		dest string
		want string // addresses, or the refusal
	}{
		{"in order of preference", map[string][]*net.MX{"x.fr": mx("b.fr.", 20, "a.fr.", 10)}, "x.fr", "192.0.2.1:25 192.0.2.2:25 [2001:db8::2]:25"},
		{"one that is not found is passed over", map[string][]*net.MX{"x.fr": mx("none.fr.", 1, "a.fr.", 10, "a.fr", 20)}, "x.fr", "192.0.2.1:25"},
		{"none: the domain itself", nil, "c.fr", "192.0.2.3:25"},
		{"neither", nil, "none.fr", "failed 550 5.1.2"},
		{"the domain's address is not told", nil, "down.fr", "deferred 451 4.4.3"},
		{"the DNS is down", map[string][]*net.MX{"c.fr": nil}, "c.fr", "deferred 451 4.4.3"},
		{"all exchangers are missing", map[string][]*net.MX{"x.fr": mx("none.fr.", 1)}, "x.fr", "deferred 451 4.4.3"},
		{"takes no mail", map[string][]*net.MX{"a.fr": mx(".", 0)}, "a.fr", "failed 556 5.1.10"},
		{"we are the best", map[string][]*net.MX{"x.fr": mx("GW.sapins.fr.", 10, "a.fr.", 20)}, "x.fr", "failed 554 5.4.6"},
		{"we are as good", map[string][]*net.MX{"x.fr": mx("a.fr.", 10, "gw.sapins.fr.", 10)}, "x.fr", "failed 554 5.4.6"},
		{"we are a relay of theirs", map[string][]*net.MX{"x.fr": mx("c.fr.", 30, "gw.sapins.fr.", 20, "a.fr.", 10, "b.fr.", 20)}, "x.fr", "192.0.2.1:25"},
		{"no more than some", map[string][]*net.MX{"x.fr": mx("many.fr.", 1)}, "x.fr", "1.0.0.1:25 1.0.0.2:25 1.0.0.3:25 1.0.0.4:25 1.0.0.5:25 1.0.0.6:25 1.0.0.7:25 1.0.0.8:25 1.0.0.9:25 1.0.0.10:25"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRelay(t, Options{Hostname: "gw.sapins.fr", Resolver: dns{test.mx, hosts}})
			targets, refused := r.targets(t.Context(), test.dest)
			var got []string
			for _, target := range targets {
				got = append(got, target.address)
			}
			if refused != nil {
				reply := refused.reply.String()
				got = []string{refused.result.String(), reply[:strings.Index(reply, " ")], refused.reply.Enhanced}
			}
			if text := strings.Join(got, " "); text != test.want {
				t.Errorf("%s, want %s", text, test.want)
			}
		})
	}
}

// TestEqualExchangersAreShuffled: each of two comes first at times.
func TestEqualExchangersAreShuffled(t *testing.T) {
	r := newRelay(t, Options{Resolver: dns{map[string][]*net.MX{"x.fr": mx("a.fr.", 10, "b.fr.", 10)}, map[string][]string{"a.fr": {"192.0.2.1"}, "b.fr": {"192.0.2.2"}}}})
	var first []string
	for range 100 {
		targets, refused := r.targets(t.Context(), "x.fr")
		if refused != nil || len(targets) != 2 {
			t.Fatal(targets, refused)
		}
		if !slices.Contains(first, targets[0].host) {
			first = append(first, targets[0].host)
		}
	}
	if len(first) != 2 {
		t.Errorf("only %q come first", first)
	}
}

// TestNextHost: what one exchanger refuses before MAIL, the next may take; what it refuses later is refused.
func TestNextHost(t *testing.T) {
	good := hello().then("> MAIL", "250", "> RCPT", "250", "> DATA", "354", "!data", "250 ok")
	for _, test := range []struct {
		name  string
		first script
		want  string
	}{
		{"greets with 554", script{"554 no"}, "delivered 250"},
		{"drops", script{"!drop"}, "delivered 250"},
		{"refuses EHLO", script{"220 x", "> EHLO", "421 busy"}, "delivered 250"},
		{"refuses MAIL", hello().then("> MAIL", "550 no"), "failed 550"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, nil, test.first, good)
			host, port, _ := net.SplitHostPort(s.address)
			r := newRelay(t, Options{
				Hostname: "gw.sapins.fr", Security: InsecureNone, Port: port, Timeouts: short(),
				Resolver: dns{map[string][]*net.MX{"chu.fr": mx("a.fr.", 10, "b.fr.", 20)}, map[string][]string{"a.fr": {host}, "b.fr": {host}}},
			})
			if got := r.Send(t.Context(), message(content), recipients("x@chu.fr")); told(got) != test.want {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	files := Files{
		Path: func(p string) string { return p },
		Roots: func(p string) (*x509.CertPool, error) {
			if p != "ca.pem" {
				return nil, errors.New("no such CA")
			}
			return x509.NewCertPool(), nil
		},
		Password: func(p string) (auth.Secret, error) {
			if p != "password" {
				return auth.Secret{}, errors.New("no such password")
			}
			return auth.NewSecret("s3cret"), nil
		},
	}
	for _, test := range []struct{ yaml, want string }{
		{"", ""},
		{"smarthost: mail.chu.fr:465\nsecurity: tls\nuser: gw\npassword_file: password\nca: ca.pem\ntimeouts: {final: 1m}", ""},
		{"smarthost: 127.0.0.1:25\ninsecure_no_tls: true", "warning: mail leaves in the clear"},
		{"smarthost: mail.chu.fr", "no address of a smarthost"},
		{"security: tls", "after STARTTLS only"},
		{"security: none", "is not known"},
		{"user: gw\npassword_file: password", "only a smarthost is logged in to"},
		{"smarthost: a:25\nuser: gw", "go together"},
		{"smarthost: a:25\nuser: gw\npassword_file: absent", "no such password"},
		{"ca: absent", "no such CA"},
		{"certificate: c.pem", "go together"},
		{"certificate: c.pem\nkey: k.pem", "certificate of the relay"},
		{"mutual_tls: true\nsmarthost: a:25", "operator of no recipient's domain"},
		{"mutual_tls: true", "needs a certificate of ours"},
		{"mutual_tls: true\ninsecure_no_tls: true", "in the clear and with TLS"},
		{"timeouts: {final: 0s}", "final"},
	} {
		var c Config
		problems := configs.Decode("c.yaml", []byte(test.yaml), &c)
		problems = append(problems, c.Check(files)...)
		if text := problems.Error(); test.want == "" && text != "" || !strings.Contains(text, test.want) {
			t.Errorf("%q: %q", test.yaml, text)
		}
		if problems.Err() != nil {
			continue
		}
		opt, err := c.Options(files, nil)
		if err != nil || (opt.Security == InsecureNone) != c.InsecureNoTLS.V || opt.User != "" && opt.Password.IsEmpty() {
			t.Errorf("%q: %+v, %v", test.yaml, opt, err)
		}
	}
}
