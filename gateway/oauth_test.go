package gateway_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	imap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-sasl"

	"balorg/gateway"
	"balorg/gateway/gatewaytest"
	"balorg/ldapserver/ber"
	"balorg/policy/auth/authtest"
	"balorg/store/audit"
)

// withProvider runs a gateway that takes the access tokens of a real OpenID provider.
func withProvider(t *testing.T, more string) (*gatewaytest.Gateway, *authtest.Provider) {
	t.Helper()
	p := authtest.Start(t)
	section := fmt.Sprintf("authentication:\n  oidc:\n    issuer: %s\n    ca: provider.pem\n    audiences: [balorg]\n%s", p.Issuer, more)
	return gatewaytest.Start(t, map[string]string{"balorg.yaml": gatewaytest.Balorg + section, "provider.pem": p.CA()}), p
}

// claireToken is an access token of Claire's.
func claireToken(p *authtest.Provider) string {
	return p.Token(authtest.Claims{Audience: []string{"balorg"}, Client: "dossier-patient", More: map[string]any{"SubjectNameID": "810003456786"}})
}

// xoauth2 is the mechanism's client.
type xoauth2 struct{ user, token string }

func (x xoauth2) Start() (string, []byte, error) {
	return "XOAUTH2", []byte("user=" + x.user + "\x01auth=Bearer " + x.token + "\x01\x01"), nil
}

func (x xoauth2) Next(challenge []byte) ([]byte, error) {
	if !strings.Contains(string(challenge), `"status"`) {
		return nil, fmt.Errorf("challenged with %q", challenge)
	}
	return []byte{}, nil
}

func TestOAuthOverIMAP(t *testing.T) {
	g, p := withProvider(t, "")
	wrong := p.Token(authtest.Claims{Audience: []string{"others"}, More: map[string]any{"SubjectNameID": "810003456786"}})
	bearer := func(user, token string) sasl.Client {
		return sasl.NewOAuthBearerClient(&sasl.OAuthBearerOptions{Username: user, Token: token})
	}
	for _, tt := range []struct {
		name   string
		client sasl.Client
		opens  string
	}{
		{"XOAUTH2", xoauth2{string(address(claire)), claireToken(p)}, claire},
		{"XOAUTH2 for a mailbox", xoauth2{string(address(secretariat)), claireToken(p)}, secretariat},
		{"OAUTHBEARER", bearer("", claireToken(p)), claire},
		{"OAUTHBEARER for a mailbox", bearer("urgences@clinique-des-sapins.fr", claireToken(p)), urgences},
		{"XOAUTH2, refused", xoauth2{string(address(claire)), wrong}, ""},
		{"XOAUTH2, not hers", xoauth2{string(address(noemie)), claireToken(p)}, ""},
		{"OAUTHBEARER, refused", bearer("", authtest.Unsigned(claireToken(p))), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, g)
			if caps, err := c.Capability().Wait(); err != nil || !caps.Has(imap.AuthCap("XOAUTH2")) || !caps.Has(imap.AuthCap("OAUTHBEARER")) || !caps.Has(imap.AuthCap("PLAIN")) {
				t.Errorf("capabilities %v, %v", caps, err)
			}
			err := c.Authenticate(tt.client)
			var refusal *imap.Error
			switch {
			case tt.opens == "":
				// The client of OAUTHBEARER answers with what the last challenge said.
				if said := err != nil && strings.Contains(err.Error(), "invalid_token"); !said && (!errors.As(err, &refusal) || refusal.Code != "AUTHENTICATIONFAILED") {
					t.Errorf("answered %v", err)
				}
			case err != nil:
				t.Error(err)
			case opened(g, claire) != address(tt.opens):
				t.Errorf("opens %s", opened(g, claire))
			}
			c.Close()
			g.Eventually("the session's end", func() bool { return len(g.Sessions()) == 0 })
		})
	}
	last := trace(t, g, gateway.AuditArgs{Action: string(audit.Login)})
	if len(last) == 0 || last[len(last)-1].Means != `oauth "dossier-patient"` {
		t.Errorf("traced %+v", last)
	}
	p.Rotate()
	stranger := claireToken(p)
	p.Down(true)
	var refusal *imap.Error
	if err := dial(t, g).Authenticate(xoauth2{"", stranger}); !errors.As(err, &refusal) || refusal.Code != "UNAVAILABLE" {
		t.Errorf("with the provider down: %v", err)
	}
	if strings.Contains(g.Log.String(), stranger) {
		t.Error("a token is in the log")
	}
}

// smtpDialogue sends lines over submission and answers the first line of each reply.
func smtpDialogue(t *testing.T, g *gatewaytest.Gateway, lines ...string) (replies []string) {
	t.Helper()
	conn, err := tls.Dial("tcp", g.Listeners().Submissions[0], &tls.Config{RootCAs: g.Roots(), ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	r := bufio.NewReader(conn)
	read := func() {
		text := ""
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatalf("after %q: %v", replies, err)
			}
			text += line
			if len(line) < 4 || line[3] != '-' {
				replies = append(replies, text)
				return
			}
		}
	}
	read()
	for _, line := range lines {
		if _, err := conn.Write([]byte(line + "\r\n")); err != nil {
			t.Fatal(err)
		}
		read()
	}
	return replies
}

func xoauthLine(user, token string) string {
	return "AUTH XOAUTH2 " + base64.StdEncoding.EncodeToString([]byte("user="+user+"\x01auth=Bearer "+token+"\x01\x01"))
}

// TestOAuthOverSMTP: a refusal is 334 with JSON, an empty line, 535; a provider that is down is 454 at once.
func TestOAuthOverSMTP(t *testing.T) {
	g, p := withProvider(t, "")
	sec := string(address(secretariat))
	got := smtpDialogue(t, g, "EHLO x", xoauthLine(sec, claireToken(p)), "MAIL FROM:<"+sec+">")
	if !strings.Contains(got[1], "AUTH PLAIN LOGIN OAUTHBEARER XOAUTH2") || !strings.HasPrefix(got[2], "235 ") || !strings.HasPrefix(got[3], "250 ") {
		t.Errorf("the dialogue: %q", got)
	}
	got = smtpDialogue(t, g, "EHLO x", xoauthLine(sec, authtest.Unsigned(claireToken(p))), "", "NOOP")
	challenge, err := base64.StdEncoding.DecodeString(strings.TrimSpace(strings.TrimPrefix(got[2], "334 ")))
	if !strings.HasPrefix(got[2], "334 ") || err != nil || !strings.Contains(string(challenge), `"status":"401"`) || !strings.HasPrefix(got[3], "535 5.7.8") || !strings.HasPrefix(got[4], "250 ") {
		t.Errorf("refused: %q, %s", got, challenge)
	}
	p.Rotate()
	token := claireToken(p)
	p.Down(true)
	if got = smtpDialogue(t, g, "EHLO x", xoauthLine(sec, token)); !strings.HasPrefix(got[2], "454 ") {
		t.Errorf("with the provider down: %q", got)
	}
	plain := gatewaytest.Start(t, nil)
	if got = smtpDialogue(t, plain, "EHLO x", xoauthLine(sec, token)); strings.Contains(got[1], "OAUTH") || !strings.HasPrefix(got[2], "504 ") {
		t.Errorf("without a provider: %q", got)
	}
}

// TestOAuthSessionEnds: an expired token ends no session, and the cap on sessions does.
func TestOAuthSessionEnds(t *testing.T) {
	g, p := withProvider(t, "    session: 2s\n")
	c := dial(t, g)
	short := p.Token(authtest.Claims{Audience: []string{"balorg"}, Client: "x", Lives: -20 * time.Second, More: map[string]any{"SubjectNameID": "810003456786"}})
	began := time.Now()
	if err := c.Authenticate(xoauth2{"", short}); err != nil {
		t.Fatal(err)
	}
	if all := g.Sessions(); len(all) != 1 || all[0].Until.IsZero() {
		t.Fatalf("sessions %+v", all)
	}
	g.Eventually("the end of its longest duration", func() bool { return len(g.Sessions()) == 0 })
	if took := time.Since(began); took < 1500*time.Millisecond {
		t.Errorf("the session ended after %v, with its token", took)
	}
}

// TestOAuthOverLDAP: OAUTHBEARER logs in; a refusal comes after the mechanism's last challenge.
func TestOAuthOverLDAP(t *testing.T) {
	g, p := withProvider(t, "")
	conn, err := tls.Dial("tcp", g.Listeners().LDAPS[0], &tls.Config{RootCAs: g.Roots(), ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	bind := func(mechanism, credentials string) (code byte) {
		t.Helper()
		sasl := ber.Append(ber.Append(nil, 0x04, mechanism), 0x04, credentials)
		op := ber.Append(ber.Append(ber.AppendInt(nil, 0x02, 3), 0x04, ""), 0xa3, sasl)
		message := ber.Append(nil, 0x30, ber.Append(ber.AppendInt(nil, 0x02, 7), 0x60, op))
		if _, err := conn.Write(message); err != nil {
			t.Fatal(err)
		}
		head := make([]byte, 2)
		if _, err := io.ReadFull(conn, head); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, head[1])
		if _, err := io.ReadFull(conn, answer); err != nil {
			t.Fatal(err)
		}
		return answer[7] // behind the message's id, the answer's header and the code's
	}
	message := func(token string) string { return "n,,\x01auth=Bearer " + token + "\x01\x01" }
	const success, inProgress, unsupported, invalid, unavailable = 0, 14, 7, 49, 52
	wrong := authtest.Unsigned(claireToken(p))
	for i, step := range []struct {
		mechanism, credentials string
		want                   byte
	}{
		{"OAUTHBEARER", message(claireToken(p)), success},
		{"XOAUTH2", "user=\x01auth=Bearer " + claireToken(p) + "\x01\x01", unsupported},
		{"OAUTHBEARER", message(wrong), inProgress},
		{"OAUTHBEARER", "\x01", invalid},
		{"OAUTHBEARER", message(wrong), inProgress},
		{"OAUTHBEARER", message(claireToken(p)), invalid}, // that is the response, whatever it says
		{"OAUTHBEARER", message(claireToken(p)), success},
	} {
		if got := bind(step.mechanism, step.credentials); got != step.want {
			t.Errorf("step %d: %d, want %d", i, got, step.want)
		}
	}
	if got := opened(g, claire); got != address(claire) {
		t.Errorf("bound, she opens %q", got)
	}
	p.Rotate()
	token := claireToken(p)
	p.Down(true)
	if got := bind("OAUTHBEARER", message(token)); got != unavailable {
		t.Errorf("with the provider down: %d", got)
	}
}

// TestIntrospectedToken: with introspection a token that was taken back opens no further session; a provider that does not say is no wrong token.
func TestIntrospectedToken(t *testing.T) {
	p := authtest.Start(t)
	p.Register("balorg", "s3cret")
	section := fmt.Sprintf("authentication:\n  oidc:\n    issuer: %s\n    ca: provider.pem\n    audiences: [balorg]\n"+
		"    introspection: {client: balorg, secret_file: introspection-secret, remember: 1ms}\n", p.Issuer)
	g := gatewaytest.Start(t, map[string]string{"balorg.yaml": gatewaytest.Balorg + section, "provider.pem": p.CA(), "introspection-secret": "s3cret\n"})
	token := claireToken(p)
	if err := dial(t, g).Authenticate(xoauth2{"", token}); err != nil {
		t.Fatal(err)
	}
	p.Revoke("balorg", "s3cret", token)
	var refusal *imap.Error
	if err := dial(t, g).Authenticate(xoauth2{"", token}); !errors.As(err, &refusal) || refusal.Code != "AUTHENTICATIONFAILED" {
		t.Errorf("a token that was taken back: %v", err)
	}
	token = claireToken(p)
	p.Down(true)
	if err := dial(t, g).Authenticate(xoauth2{"", token}); !errors.As(err, &refusal) || refusal.Code != "UNAVAILABLE" {
		t.Errorf("with the provider down: %v", err)
	}
}
