package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"balorg/policy/auth/authtest"
)

// withProvider runs the demo with a real OpenID provider beside it; more is what else the section oidc says.
func withProvider(t *testing.T, more string) (*daemon, *authtest.Provider) {
	t.Helper()
	p := authtest.Start(t)
	d := startDemo(t)
	d.stop()
	d.write("provider.pem", p.CA())
	d.write("portal-secret", "s3cret\n")
	d.edit("balorg.yaml", "language: fr", fmt.Sprintf("language: fr\nauthentication:\n  oidc:\n    issuer: %s\n    ca: provider.pem\n%s", p.Issuer, more))
	d.serve()
	return d, p
}

// claireSays are what a token of Claire's says.
func claireSays(audience string) authtest.Claims {
	return authtest.Claims{Audience: []string{audience}, Client: "msmtp", More: map[string]any{"SubjectNameID": "810003456786"}}
}

// msmtpWithToken sends with msmtp, whose passwordeval asks the provider for a token as each message is sent.
func msmtpWithToken(t *testing.T, d *daemon, p *authtest.Provider, says authtest.Claims, s sending) (string, error) {
	t.Helper()
	dir := t.TempDir()
	starttls := "off"
	if s.starttls {
		starttls = "on"
	}
	ask := fmt.Sprintf("#!/bin/sh\nset -eu\ncurl -sS --cacert '%s' -d grant_type=client_credentials --data-urlencode 'client_id=%s' -d client_secret=s3cret -d scope=openid '%s/oauth/token' |\n"+
		"\tpython3 -c 'import json, sys; print(json.load(sys.stdin)[\"access_token\"])'\n", filepath.Join(d.dir, "provider.pem"), p.ClientID(says), p.Issuer)
	config := fmt.Sprintf("defaults\ntls on\ntls_starttls %s\ntls_trust_file %s\naccount default\nhost localhost\nport %s\nauth %s\nuser %s\npasswordeval sh %s/ask\nfrom %s\n",
		starttls, d.ca(), s.port(d), s.mechanism, s.user, dir, s.from)
	for name, content := range map[string]string{"ask": ask, "msmtprc": config, "message": s.message()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return tryRun(t, "sh", append([]string{"-c", `exec msmtp --file="$0/msmtprc" -- "$@" <"$0/message"`, dir}, s.to...)...)
}

// TestMsmtpWithTokens: msmtp logs in with access tokens of a real provider, by both mechanisms, and sends as the secretariat.
func TestMsmtpWithTokens(t *testing.T) {
	t.Parallel()
	d, p := withProvider(t, "    audiences: [balorg]\n")
	n := 0
	for _, mechanism := range []string{"oauthbearer", "xoauth2"} {
		for _, starttls := range []bool{true, false} {
			for _, user := range []string{claire, secretariat} {
				n++
				s := sending{
					user: address(user), from: address(secretariat), to: []string{mssante(paul)}, subject: fmt.Sprintf("jeton-%d-", n), starttls: starttls, mechanism: mechanism,
				}
				t.Run(fmt.Sprintf("%s starttls=%t as %s", mechanism, starttls, user), func(t *testing.T) {
					if out, err := msmtpWithToken(t, d, p, claireSays("balorg"), s); err != nil {
						t.Fatalf("%v\n%s", err, tail(out))
					}
					arrived := login(t, d, paul).one(d, "INBOX", s.subject)
					if !strings.Contains(arrived.octets, secretariatName) || strings.Contains(strings.ToLower(arrived.octets), "claire") {
						t.Errorf("arrived:\n%s", arrived.octets)
					}
					sent := d.trace("--action", "send", "--mailbox", address(secretariat))
					if last := sent[len(sent)-1]; last.Person.Address != address(claire) || last.Mailbox.Address != address(secretariat) {
						t.Errorf("the trace: %+v", last)
					}
				})
			}
		}
		for _, tt := range []struct {
			name, user string
			says       authtest.Claims
		}{
			{"a token for others", claire, claireSays("others")},
			{"another's mailbox", lea, claireSays("balorg")},
		} {
			t.Run(mechanism+" "+tt.name, func(t *testing.T) {
				s := sending{user: address(tt.user), from: address(secretariat), to: []string{mssante(paul)}, subject: "refusé", mechanism: mechanism}
				out, err := msmtpWithToken(t, d, p, tt.says, s)
				if exitCode(t, err) != 77 || !strings.Contains(out, "535 5.7.8 Authentication failed") { // EX_NOPERM
					t.Errorf("it ends with %d:\n%s", exitCode(t, err), tail(out))
				}
			})
		}
	}
	if logins := d.trace("--action", "login", "--person", address(claire)); len(logins) != n || logins[0].Means != `oauth "msmtp"` {
		t.Errorf("the trace of log-ins: %+v", logins)
	}
	if got := login(t, d, paul).find("INBOX", "refus"); len(got) > 0 {
		t.Errorf("%d messages arrived", len(got))
	}
}
