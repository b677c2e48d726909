package smtp

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"balorg/mail"
	"balorg/smtp/wire"
)

var roles = []Role{Submission, Inbound, LMTP}

func TestOneMessage(t *testing.T) {
	for _, role := range roles {
		t.Run(string(role), func(t *testing.T) {
			f := newFixture(t, nil)
			c := f.dial(t.Context(), role)
			c.hello(role)
			c.do("MAIL FROM:<A@b.fr> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=x+2By", "250 2.1.0")
			c.do("RCPT TO:<c@D.fr> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;C+40d.fr", "250 2.1.5")
			c.do("RCPT TO:<Postmaster>", "250 2.1.5")
			c.do("DATA", "354 ")
			c.send("Subject: x\r\n\r\n..dot\r\n.\r\n")
			c.expect("250 2.0.0 Queued as 1")
			if role == LMTP {
				c.expect("250 2.0.0 Queued as 1")
			}
			c.do("QUIT", "221 2.0.0")
			c.closed()
			want := []received{{
				wire.Envelope{
					From: wire.Sender{Address: "a@b.fr", Size: 100, Body: wire.Body8Bit, Return: wire.ReturnHeaders, EnvID: "x+y"},
					To: []wire.Recipient{
						{Address: "c@d.fr", Notify: wire.NotifySuccess | wire.NotifyFailure, Original: "rfc822;C@d.fr"},
						{Address: mail.Address(claire)},
					},
				},
				"Subject: x\r\n\r\n.dot\r\n",
			}}
			if diff := cmp.Diff(want, f.messages(), cmp.AllowUnexported(received{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPipeliningAnswersInOneWrite(t *testing.T) {
	f := newFixture(t, nil)
	c := f.dial(t.Context(), Inbound)
	c.do("EHLO x", "250-")
	c.send("MAIL FROM:<a@b.fr>\r\nRCPT TO:<c@d.fr>\r\nRCPT TO:<e@f.fr>\r\nDATA\r\n")
	c.expect("250 2.1.0", "250 2.1.5", "250 2.1.5", "354 ")
	c.send("x\r\n.\r\nNOOP\r\nQUIT\r\n")
	c.expect("250 2.0.0 Queued", "250 2.0.0 Nothing", "221 ")
	c.closed()
	if got := f.messages(); len(got) != 1 || got[0].content != "x\r\n" {
		t.Errorf("received %+v", got)
	}
}

func TestCapabilities(t *testing.T) {
	f := newFixture(t, func(s *Service) { s.MaxMessage = 1000 })
	ehlo := f.dial(t.Context(), Submission).do("EHLO x", "250-")
	want := "250-mx.example.fr\n250-PIPELINING\n250-SIZE 1000\n250-8BITMIME\n250-SMTPUTF8\n250-DSN\n250-ENHANCEDSTATUSCODES\n250-CHUNKING\n" +
		"250-LIMITS RCPTMAX=100 MAILMAX=1000\n250 AUTH PLAIN LOGIN"
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(ehlo, "\n")); diff != "" {
		t.Error(diff)
	}
	if inbound := f.dial(t.Context(), Inbound).do("EHLO x", "250-"); strings.Contains(inbound, "AUTH") {
		t.Errorf("inbound: %s", inbound)
	}
}
