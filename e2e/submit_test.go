package e2e

import (
	"crypto/tls"
	"fmt"
	"os"
	"regexp"
	"testing"

	"balorg/e2e/exchange"
)

// remote is a recipient whom the demo's trust space holds, at another operator.
const remote = "dr.martin@chu-exemple.mssante.fr"

// submit connects over TLS as a person who sends as the mailbox from.
func submit(t *testing.T, d *daemon, person, from string) *exchange.Submitter {
	t.Helper()
	conn, err := tls.Dial("tcp", d.listeners.Submissions[0], d.tls())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() }) // the test is over
	s, err := exchange.Submit(conn, address(person), password(person), address(from))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sentFolder is the demo's folder Envoyés, as IMAP writes it.
const sentFolder = "Envoy&AOk-s"

// numbered is a message from the secretariat to another operator.
func numbered(id string, octets int) string {
	return exchange.Letter(id, address(secretariat), remote, octets)
}

// startSink starts a next hop.
func startSink(t *testing.T) *exchange.Sink {
	t.Helper()
	s, err := exchange.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// relayTo restarts the demo with another next hop, to which mail goes in the clear, and lets everybody send as much as they like.
func (d *daemon) relayTo(address string) {
	d.t.Helper()
	d.stop()
	d.edit("balorg.yaml", d.configured(smarthostSection), fmt.Sprintf("  smarthost: %q\n  insecure_no_tls: true\n", address))
	d.edit("balorg.yaml", d.configured(notificationsSection), "") // nobody is told: the demo's own sink is not there
	d.edit("balorg.yaml", "language: fr", "submission: {messages_per_hour: 10000000, recipients_per_hour: 10000000}\nlanguage: fr")
	d.serve()
}

// configured is what the configuration says of something.
func (d *daemon) configured(section *regexp.Regexp) string {
	d.t.Helper()
	content, err := os.ReadFile(d.config())
	if err != nil {
		d.t.Fatal(err)
	}
	return section.FindString(string(content))
}

// What the demo's configuration says of its next hops, and of whom it trusts.
var (
	trustedDomains       = regexp.MustCompile(`  extra_domains:\n(    .*\n)+`)
	smarthostSection     = regexp.MustCompile(`  smarthost: .*\n  security: .*\n  ca: .*\n`)
	notificationsSection = regexp.MustCompile(`notifications:\n(  .*\n)+`)
)
