package gateway_test

import (
	"crypto/tls"
	"fmt"
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
