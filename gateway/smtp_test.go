package gateway_test

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"strings"
	"testing"

	imap "github.com/emersion/go-imap/v2"

	"balorg/gateway"
	"balorg/gateway/gatewaytest"
	"balorg/store/audit"
)

// submit sends a message as a person, from an address, and answers the first error.
func submit(t *testing.T, g *gatewaytest.Gateway, person, from string, to ...string) error {
	t.Helper()
	conn, err := tls.Dial("tcp", g.Listeners().Submissions[0], &tls.Config{RootCAs: g.Roots(), ServerName: "localhost", MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	c, err := smtp.NewClient(conn, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Auth(smtp.PlainAuth("", string(address(person)), gatewaytest.Password(person), "localhost")); err != nil {
		return err
	}
	if err := c.Mail(from); err != nil {
		return err
	}
	for _, r := range to {
		if err := c.Rcpt(r); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "From: <%s>\r\nSubject: x\r\n\r\nBonjour\r\n", from); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return c.Quit()
}

// TestSubmission sends from one person to another, who reads it over IMAP; the copy is in the Sent folder of the mailbox it went out as.
func TestSubmission(t *testing.T) {
	g := gatewaytest.Start(t, nil, claire, noemie)
	from := string(address(secretariat))
	if err := submit(t, g, noemie, from, string(address(claire))); err != nil {
		t.Fatal(err)
	}
	if err := submit(t, g, noemie, string(address(claire)), string(address(claire))); err == nil || !strings.HasPrefix(err.Error(), "553 ") {
		t.Errorf("as somebody else: %v", err)
	}
	c := login(t, g, claire)
	for _, folder := range []string{"INBOX", "Comptes/" + from + "/Envoyés"} {
		status, err := c.Status(folder, &imap.StatusOptions{NumMessages: true}).Wait()
		if err != nil || *status.NumMessages != 1 {
			t.Errorf("%s: %+v, %v", folder, status, err)
		}
	}
	if all := trace(t, g, gateway.AuditArgs{Action: string(audit.Send)}); len(all) != 1 || all[0].Person.Address != address(noemie) {
		t.Errorf("the trace: %+v", all)
	}
}

// whitelist is a list of domains as it is published, each with an operator.
func whitelist(domains ...string) string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?><ListeBlancheMSSante xmlns="https://listeblanche.mssante.fr/schema"><DateDeGeneration>2026-11-24T06:00:00</DateDeGeneration><ListeDomaines>`)
	for _, d := range domains {
		fmt.Fprintf(&b, "<Domaine><Nom>%s</Nom><Description>x</Description><DNCertificatOperateur>CN=%[1]s,O=x,C=FR</DNCertificatOperateur></Domaine>", d)
	}
	return b.String() + "</ListeDomaines></ListeBlancheMSSante>"
}

// TestWhitelist reaches the domains of the list, takes a longer one at a reload, and one that has lost half of its domains by force only.
func TestWhitelist(t *testing.T) {
	list := whitelist("a.mssante.fr", "b.mssante.fr")
	g := gatewaytest.Start(t, map[string]string{
		"balorg.yaml": gatewaytest.Balorg + "relay: {smarthost: \"127.0.0.1:1\"}\n", "liste.xml": list,
	}, noemie)
	g.Edit("balorg.yaml", "trust_space: {extra_domains: [chu-exemple.mssante.fr]}", "trust_space: {file: liste.xml}")
	if _, err := g.Reload(t.Context(), false); err == nil || !strings.Contains(err.Error(), "trust_space has changed") {
		t.Errorf("another list at a reload: %v", err)
	}
	g.Stop()
	g = gatewaytest.Run(t, g.Dir)
	g.SetPassword(address(noemie), gatewaytest.Password(noemie))
	reaches := func(domain string) bool {
		return submit(t, g, noemie, string(address(secretariat)), "x@"+domain) == nil
	}
	if !reaches("a.mssante.fr") || reaches("c.mssante.fr") || reaches("x.a.mssante.fr") {
		t.Error("the trust space is not the list")
	}
	for _, step := range []struct {
		list        []string
		force       bool
		warned      bool
		in, outside string
	}{
		{[]string{"a.mssante.fr", "b.mssante.fr", "c.mssante.fr"}, false, false, "c.mssante.fr", "d.mssante.fr"},
		{[]string{"d.mssante.fr"}, false, true, "c.mssante.fr", "d.mssante.fr"},
		{[]string{"d.mssante.fr"}, true, false, "d.mssante.fr", "c.mssante.fr"},
	} {
		g.Write("liste.xml", whitelist(step.list...))
		problems, err := g.Reload(t.Context(), step.force)
		if warned := strings.Contains(fmt.Sprint(problems), "trust_space"); err != nil || warned != step.warned {
			t.Errorf("%v: %v, %v", step.list, problems, err)
		}
		if !reaches(step.in) || reaches(step.outside) {
			t.Errorf("after %v: the trust space is another", step.list)
		}
	}
}

// TestWhitelistByURL takes the list from a server that the named authority vouches for, and from no other.
func TestWhitelistByURL(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/liste.xml" {
			http.NotFound(w, r)
			return
		}
		io.WriteString(w, whitelist("a.mssante.fr"))
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	defer server.Close()
	files := map[string]string{
		"balorg.yaml": strings.Replace(gatewaytest.Balorg, "trust_space: {extra_domains: [chu-exemple.mssante.fr]}",
			"trust_space: {url: "+server.URL+"/liste.xml, ca: list-ca.pem}", 1) + "relay: {smarthost: \"127.0.0.1:1\"}\n",
		"list-ca.pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})),
	}
	g := gatewaytest.Start(t, files, noemie)
	if problems, err := g.Reload(t.Context(), false); err != nil || len(problems) > 0 {
		t.Errorf("reloading: %v, %v", problems, err)
	}
	if submit(t, g, noemie, string(address(secretariat)), "x@a.mssante.fr") != nil {
		t.Error("the trust space is not the list")
	}
	files["list-ca.pem"] = g.Read("tls/ca.pem")
	stranger := gatewaytest.Start(t, files, noemie)
	problems, err := stranger.Reload(t.Context(), false)
	if told := fmt.Sprint(problems); err != nil || !strings.Contains(told, "does not vouch for the server") {
		t.Errorf("the server of another authority: %v, %v", told, err)
	}
	if submit(t, stranger, noemie, string(address(secretariat)), "x@a.mssante.fr") == nil {
		t.Error("the list of a server is taken that nobody vouches for")
	}
}

// TestDeliveryByLMTP: mail that comes in for a mailbox on a server, here another gateway, goes there over LMTP, once; what the server refuses for
// good is returned.
func TestDeliveryByLMTP(t *testing.T) {
	hospital := gatewaytest.Start(t, nil, claire)
	to := string(address(secretariat))
	files := gatewaytest.Files(t)
	accounts := strings.ReplaceAll(files["accounts.yaml"], "    kind:", "    mailstore: local\n    kind:")
	accounts = strings.Replace(accounts, "- address: "+to+"\n    mailstore: local", "- address: "+to+"\n    mailstore: hospital", 1)
	g := gatewaytest.Run(t, gatewaytest.Folder(t, map[string]string{
		"accounts.yaml": accounts, "password": gatewaytest.Password(claire) + "\n", "hospital-ca.pem": hospital.Read("tls/ca.pem"),
		"balorg.yaml": gatewaytest.Balorg + fmt.Sprintf("mailstores:\n  local: {type: embedded}\n  hospital: {type: imap, addresses: %q, ca: hospital-ca.pem, server_name: localhost, user: %s, password_file: password, lmtp: %q}\n",
			hospital.Listeners().IMAPS[0], address(claire), hospital.Listeners().LMTP[0]),
	}))
	lmtp(t, g, "secretariat@sapins.mssante.fr", "X-MSS-INS: 1\r\n")
	g.Eventually("the delivery", func() bool {
		return g.Metrics()[`balorg_smtp_queue_attempts_total{route="deliver",state="delivered"}`] == 1
	})
	all := trace(t, hospital, gateway.AuditArgs{Action: string(audit.Receive)})
	if len(all) != 1 || all[0].Mailbox.Address != address(secretariat) || !strings.Contains(all[0].Request, "MAIL FROM:<dr.dupont@chu-exemple.mssante.fr> RCPT TO:<"+to+">") {
		t.Errorf("the server's trace: %+v", all)
	}
	c := login(t, hospital, claire)
	if _, err := c.Select("Comptes/"+to+"/INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	messages, err := c.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{{Peek: true}}}).Collect()
	if err != nil || len(messages) != 1 {
		t.Fatalf("%d messages, %v", len(messages), err)
	}
	if text := string(messages[0].BodySection[0].Bytes); strings.Count(text, "Return-Path:") != 1 || !strings.Contains(text, "X-MSS-INS: 1\r\n") {
		t.Errorf("delivered %q", text)
	}
}
