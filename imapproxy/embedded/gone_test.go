package embedded_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"balorg/imapproxy/embedded"
	"balorg/store/mailbox"
)

// TestGoneWhileReading: a client that goes in the middle of a long message is no fault to tell an administrator of.
func TestGoneWhileReading(t *testing.T) {
	var log bytes.Buffer // read when the connections have ended
	srv := newServerLogging(t, mailbox.Options{MaxMessage: 8 * mb}, slog.New(slog.NewTextHandler(&log, nil)))
	dial(t, srv, embedded.Who{}).appendMessage("INBOX", "", "Subject: long\r\n\r\n"+strings.Repeat("0123456789abcdef\r\n", 4*mb/18))
	for _, item := range []string{"BODY[]", "BODY[TEXT]", "RFC822.TEXT"} {
		c := dial(t, srv, embedded.Who{})
		c.ok("SELECT INBOX")
		c.say("a FETCH 1 (%s)\r\n", item)
		if line, err := c.br.ReadString('\n'); err != nil || !strings.HasPrefix(line, "* 1 FETCH ") {
			t.Fatalf("%s: %q %v", item, line, err)
		}
		c.conn.Close()
	}
	if strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("the log has\n%s", log.String())
	}
}
