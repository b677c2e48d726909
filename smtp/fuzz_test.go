package smtp

import (
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"
)

// FuzzSession says anything in each role and state. The session must end when its client does, without a fault, and what it says is
// replies.
func FuzzSession(f *testing.F) {
	for state := range byte(6) {
		for _, seed := range []string{
			"EHLO x\r\nNOOP\r\nVRFY x\r\nHELP\r\nRSET\r\nQUIT\r\n",
			"AUTH PLAIN\r\nAGEAYg==\r\nAUTH LOGIN YQ==\r\n*\r\nAUTH PLAIN =\r\n",
			"STARTTLS\r\nRSET\r\n",
			"MAIL FROM:<a@b.fr> SIZE=10 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x+2By AUTH=<>\r\nRCPT TO:<c@d.fr> NOTIFY=NEVER ORCPT=utf-8;\\x{E9}\r\n",
			"MAIL FROM:<>\r\nRCPT TO:<\"victim@out> ORCPT=rfc822;z\"@trusted.fr>\r\nRCPT TO:<postmaster>\r\n",
			"DATA\r\nSubject: x\r\n\r\n..\r\n.\r\nQUIT\r\n",
			"DATA\r\na\n.\nMAIL FROM:<x@y.fr>\r\n.\r\n",
			"BDAT 3\r\nx\r\nNOOP\r\nBDAT 3 LAST\r\ny\r\n",
			"BDAT 1\r\nxRSET\r\nBDAT 99 LAST\r\nx",
			"BDAT 3\r\na\nbBDAT 0 LAST\r\nMAIL FROM:<a@b.fr>\r\n",
		} {
			f.Add(state, []byte(seed))
		}
	}
	fixed := newFixture(f, func(s *Service) { s.MaxMessage = 10_000 })
	fixed.server.log = slog.New(slog.DiscardHandler) // it would grow without end
	hello := map[Role]string{
		Submission: "EHLO x\r\nAUTH PLAIN " + plain("", noemie, "ok") + "\r\n", Inbound: "EHLO x\r\n", LMTP: "LHLO x\r\n",
	}
	f.Fuzz(func(t *testing.T, state byte, input []byte) {
		role := roles[int(state)%len(roles)]
		prelude := ""
		if state%6 >= 3 {
			prelude = hello[role] + "MAIL FROM:<a@b.fr>\r\nRCPT TO:<c@d.fr>\r\nRCPT TO:<e@f.fr>\r\n"
		}
		ours, theirs := net.Pipe()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			fixed.server.Serve(t.Context(), theirs, role)
		}()
		said := make(chan string, 1)
		go func() {
			var b strings.Builder
			io.Copy(&b, ours)
			said <- b.String()
		}()
		io.WriteString(ours, prelude)
		ours.Write(input)
		ours.Close()
		select {
		case <-ended:
		case <-time.After(clientTimeout):
			t.Fatal("the session goes on without a client")
		}
		for line := range strings.Lines(<-said) {
			if strings.HasSuffix(line, "\r\n") && (len(line) < 6 || line[0] < '2' || line[0] > '5' || line[3] != ' ' && line[3] != '-') {
				t.Errorf("said %q", line)
			}
		}
		if n := fixed.metric("balorg_smtp_panics_total", ""); n != 0 {
			t.Fatalf("%v faults of the program", n)
		}
		if n := fixed.sessions.Len(); n != 0 {
			t.Fatalf("%d sessions are left in the table", n)
		}
	})
}
