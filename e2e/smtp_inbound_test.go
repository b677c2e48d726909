package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// whitelist is a list of domains, each with the operator that speaks for it.
func whitelist(domains map[string]string) string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<ListeBlancheMSSante xmlns="https://listeblanche.mssante.fr/schema"><DateDeGeneration>2026-11-23T04:00:12.345+01:00</DateDeGeneration><ListeDomaines>`)
	for domain, operator := range domains {
		fmt.Fprintf(&b, "<Domaine><Nom>%s</Nom><DNCertificatOperateur>%s</DNCertificatOperateur></Domaine>\n", domain, operator)
	}
	b.WriteString("</ListeDomaines></ListeBlancheMSSante>\n")
	return b.String()
}

// TestPostfixSender has Postfix deliver to us: as another operator, over SMTP with the certificate that the whitelist names, and as the mail
// server beside us, over LMTP.
func TestPostfixSender(t *testing.T) {
	t.Parallel()
	p := newPostfix(t)
	d := startDemo(t)
	d.write("liste.xml", whitelist(map[string]string{"chu-exemple.mssante.fr": operatorName, "autre.mssante.fr": "CN=autre,O=AUTRE,C=FR"}))
	d.setRelay(smarthostSectionOf(p),
		d.configured(trustedDomains), "  file: liste.xml\n",
		"  networks: [127.0.0.0/8, \"::1\"]\n", "  mutual_tls: true\n  client_ca: "+filepath.Join(p.dir, "cert.pem")+"\n",
		"  insecure_no_tls: true       # to try it with any tool\n", "",
		`lmtp: "127.0.0.1:0"`, `lmtp: ["127.0.0.1:0", "unix:`+filepath.Join(p.dir, "lmtp.sock")+`"]`)
	p.reaches(d)
	p.start()
	out := dialMail(t, "tcp", p.smtp, nil)
	out.do("EHLO poste", "250-")
	const dr = "dr@chu-exemple.mssante.fr"
	for i, tt := range []struct {
		name, from, header, to string
		want                   string
		box                    string // whose INBOX has it then
		with                   string
	}{
		{name: "SMTP", from: dr, header: dr, to: mssante(secretariat), want: "sent (250 2.0.0 Ok: accepted as ", box: shared(secretariat, "INBOX"), with: "ESMTPS"},
		{name: "LMTP over TCP", from: dr, header: dr, to: mssante(paul), want: "sent (250 2.0.0 Ok: accepted as ", box: "INBOX", with: "LMTP"},
		{name: "LMTP over a unix socket", from: dr, header: dr, to: mssante(claire), want: "sent (250 2.0.0 Ok: accepted as ", box: "INBOX", with: "LMTP"},
		{name: "no certificate", from: dr, header: dr, to: mssante(lea), want: "bounced (host 127.0.0.1[127.0.0.1] said: 550 5.7.1 You may not send mail from chu-exemple.mssante.fr here"},
		{name: "another operator's certificate", from: "x@autre.mssante.fr", header: dr, to: mssante(secretariat), want: "bounced (host 127.0.0.1[127.0.0.1] said: 550 5.7.1 You may not send mail from autre.mssante.fr here"},
		{name: "another operator's From", from: dr, header: "x@example.net", to: mssante(secretariat), want: "bounced (host 127.0.0.1[127.0.0.1] said: 550 5.7.1 header From: <x@example.net>: the sender's domain is not in the trust space"},
		{name: "our From", from: dr, header: mssante(claire), to: mssante(secretariat), want: "bounced (host 127.0.0.1[127.0.0.1] said: 550 5.7.1 header From: <" + mssante(claire) + ">: senders of this platform submit their mail"},
		{name: "nobody here", from: dr, header: dr, to: mssante("personne"), want: "bounced (host 127.0.0.1[127.0.0.1] said: 550 5.1.1 <" + mssante("personne") + ">: no such mailbox here"},
		{name: "nobody here by LMTP", from: dr, header: dr, to: mssante("personne.lmtp"), want: "said: 550 5.1.1 <" + mssante("personne.lmtp") + ">: no such mailbox here"},
		{name: "outside by LMTP", from: "x@example.net", header: "x@example.net", to: mssante(paul), want: "said: 550 5.7.1 <x@example.net>: the sender's domain is not in the trust space"},
		{name: "our sender by LMTP", from: mssante(lea), header: dr, to: mssante(claire), want: "said: 550 5.7.1 <" + mssante(lea) + ">: senders of this platform submit their mail"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			subject := fmt.Sprintf("entrant-%d-@chu", i)
			sent := composed(tt.header, subject, "X-MSS-INS: 1.2.3", "x-odd:  two  spaces\t", "Disposition-Notification-To: "+dr)
			if got := p.outcome(d, out.submit(tt.from, []string{tt.to}, stuffed(sent))); !strings.Contains(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
			if tt.box == "" {
				for _, person := range []string{claire, paul, lea} {
					if got := login(t, d, person).find("INBOX", subject); len(got) > 0 {
						t.Errorf("%s has it", person)
					}
				}
				if tt.from == dr { // who is told, by Postfix
					if got := p.arrived(d, "dr", subject); !strings.Contains(got, "Action: failed") {
						t.Errorf("the report:\n%s", got)
					}
				}
				return
			}
			reader := map[string]string{mssante(secretariat): claire, mssante(paul): paul, mssante(claire): claire}[tt.to]
			got := login(t, d, reader).one(d, tt.box, subject)
			above, rest, _ := strings.Cut(got.octets, "Received: from poste")
			if !strings.HasPrefix(above, "Return-Path: <"+dr+">\r\nReceived: from mx.chu-exemple.mssante.fr ([127.0.0.1])\r\n\tby localhost (balorg) with "+tt.with+" id ") &&
				!strings.HasPrefix(above, "Return-Path: <"+dr+">\r\nReceived: from mx.chu-exemple.mssante.fr\r\n\tby localhost (balorg) with "+tt.with+" id ") {
				t.Errorf("above it stands\n%s", above)
			}
			if !strings.HasSuffix(rest, sent) {
				t.Errorf("it is not as it was sent:\n%s", rest)
			}
			if got.flags != "" {
				t.Errorf("flags %q", got.flags)
			}
			r := d.trace("--action", "receive")
			if last := r[len(r)-1]; last.Mailbox.Address == "" || last.UIDs != got.uid || last.Request != fmt.Sprintf("MAIL FROM:<%s> RCPT TO:<%s>", dr, tt.to) {
				t.Errorf("the trace: %+v", last)
			}
		})
	}
}
