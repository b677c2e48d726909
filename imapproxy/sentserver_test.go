package imapproxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"balorg/store/sent"
)

// scriptStore is an IMAP server that says of everything what it is told to: answers maps the beginning of a command to what comes
// before its OK. It takes messages, several at once too.
type scriptStore struct {
	answers map[string]string
	caps    []string // beside those it always has
	mu      sync.Mutex
	said    []string // the commands, without tags, messages inline
}

func (s *scriptStore) Capabilities() []string {
	return append([]string{"IMAP4rev1", "UIDPLUS", "LITERAL+", "MULTIAPPEND"}, s.caps...)
}

// scriptConn has the names of a Courier.
type scriptConn struct{ net.Conn }

func (scriptConn) Names() Names { return Names{Prefix: "INBOX.", Delimiter: '.'} }

func (s *scriptStore) Open(context.Context, Who) (io.ReadWriteCloser, error) {
	ours, theirs := net.Pipe()
	go s.serve(theirs)
	return scriptConn{ours}, nil
}

var announcedSize = regexp.MustCompile(`\{(\d+)\+?\}$`)

func (s *scriptStore) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	say := func(text string) { io.WriteString(conn, text) }
	say("* PREAUTH [CAPABILITY " + strings.Join(s.Capabilities(), " ") + "] ready\r\n")
	for {
		var command strings.Builder
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			line = strings.TrimRight(line, "\r\n")
			command.WriteString(line)
			size := announcedSize.FindStringSubmatch(line)
			if size == nil {
				break
			}
			var n int64
			fmt.Sscan(size[1], &n)
			if !strings.HasSuffix(line, "+}") {
				say("+ go on\r\n")
			}
			if _, err := io.CopyN(&command, in, n); err != nil {
				return
			}
		}
		tag, rest, _ := strings.Cut(command.String(), " ")
		s.mu.Lock()
		s.said = append(s.said, rest)
		s.mu.Unlock()
		code := ""
		for begin, answer := range s.answers {
			if strings.HasPrefix(rest, begin) {
				say(answer)
			}
		}
		if strings.HasPrefix(rest, "APPEND ") {
			code = "[APPENDUID 7 5] "
		}
		say(tag + " OK " + code + "done\r\n")
	}
}

// commands answers those that began with a word.
func (s *scriptStore) commands(begin string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.said), func(c string) bool { return !strings.HasPrefix(c, begin) })
}

// TestSentCopyOnServer: of a mailbox on a server that has names of its own and does not say which folder is Sent.
func TestSentCopyOnServer(t *testing.T) {
	const (
		list  = "* LIST () \".\" INBOX\r\n* LIST () \".\" \"INBOX.Sent Items\"\r\n"
		fetch = "* 1 FETCH (UID 4 FLAGS (\\Seen) INTERNALDATE \"24-Nov-2026 12:00:00 +0100\" BODY[HEADER] {4}\r\nA:\r\n)\r\n"
		// In another order, and without an empty line.
		other = "* 1 FETCH (BODY[HEADER] \"\" INTERNALDATE \"24-Nov-2026 12:00:00 +0100\" UID 4 FLAGS ())\r\n"
		here  = "OK [APPENDUID 7 4] APPEND completed"
		added = "OK [APPENDUID 7 5] APPEND completed"
		same  = clientHeader + "\r\n" + sentBody
	)
	placed := func(folder string) func(*sent.Copy) {
		return func(c *sent.Copy) { c.Folder, c.UIDValidity, c.UID = folder, 7, 4 }
	}
	for _, tt := range []struct {
		name           string
		change         func(*sent.Copy)
		answers        map[string]string
		folder, append string
		want           string
		said           map[string]int // how often what begins so was said to the server
	}{
		{
			"in the folder, by the server's name", placed("INBOX.Sent Items"),
			map[string]string{"SELECT": "* OK [UIDVALIDITY 7] x\r\n", "UID FETCH": fetch},
			"Sent Items", same, here,
			map[string]int{"APPEND": 0, `UID STORE 4 +FLAGS.SILENT (\Flagged)`: 1},
		},
		{
			"in a folder whose name is not ASCII", placed("INBOX.Envoyés"),
			map[string]string{"SELECT": "* OK [UIDVALIDITY 7] x\r\n", "UID FETCH": fetch},
			sentWire, same, here,
			map[string]int{"APPEND": 0, `UID STORE 4 +FLAGS.SILENT (\Flagged)`: 1},
		},
		{
			"in the folder, by its owner's name", placed("Sent Items"),
			map[string]string{"SELECT": "* OK [UIDVALIDITY 7] x\r\n", "UID FETCH": other},
			"Sent Items", same, here,
			map[string]int{"APPEND": 0, `UID STORE 4 +FLAGS.SILENT (\Seen \Flagged)`: 1},
		},
		{
			"with Bcc", placed("Sent Items"),
			map[string]string{"SELECT": "* OK [UIDVALIDITY 7] x\r\n", "UID FETCH": fetch},
			"Sent Items", clientHeader + "Bcc: x@y.fr\r\n\r\n" + sentBody, added,
			map[string]int{`APPEND "INBOX.Sent Items" (\Seen \Flagged) "24-Nov-2026 12:00:00 +0100" {`: 1, `UID STORE 4 +FLAGS.SILENT (\Deleted)`: 1, "UID EXPUNGE 4": 1},
		},
		{
			"gone", placed("Sent Items"),
			map[string]string{"SELECT": "* OK [UIDVALIDITY 7] x\r\n"},
			"Sent Items", same, added,
			map[string]int{`APPEND "INBOX.Sent Items" (\Seen \Flagged) {`: 1},
		},
		{
			"the folder made anew", placed("Sent Items"),
			map[string]string{"SELECT": "* OK [UIDVALIDITY 8] x\r\n", "UID FETCH": fetch},
			"Sent Items", same, added,
			map[string]int{"APPEND": 1},
		},
		{
			"in another folder", placed("INBOX.Sent"),
			map[string]string{"SELECT": "* OK [UIDVALIDITY 7] x\r\n", "UID FETCH": fetch},
			"Sent Items", same, added,
			map[string]int{"APPEND": 1, "SELECT": 0},
		},
		{"not placed yet", nil, map[string]string{"LIST": list}, "Sent Items", same, "OK APPEND completed", map[string]int{"APPEND": 0}},
		{"not placed yet, and not Sent by its name", nil, map[string]string{"LIST": list}, "Archive", same, added, map[string]int{"APPEND": 1}},
		{
			"not placed yet, and Sent is another", nil,
			map[string]string{"LIST": "* LIST (\\Sent) \".\" INBOX.x\r\n* LIST () \".\" INBOX.Sent\r\n"},
			"Sent", same, added,
			map[string]int{"APPEND": 1},
		},
		{
			"several at once", placed("Sent Items"),
			map[string]string{"SELECT": "* OK [UIDVALIDITY 7] x\r\n", "UID FETCH": fetch},
			"Sent Items", same + fmt.Sprintf(" {%d+}\r\n", len(same)) + same, added,
			map[string]int{"APPEND": 1, "SELECT": 0},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := &scriptStore{answers: tt.answers}
			f := newFixture(t, func(o *Options) { o.Stores = map[string]MailStore{"local": server} })
			newSubmitted(t, f, sentBody, tt.change)
			c := f.login(noemie)
			first, _, _ := strings.Cut(tt.append, " {")
			got := c.ok(fmt.Sprintf("APPEND %q (\\Seen \\Flagged) {%d+}\r\n%s", tt.folder, len(first), tt.append))
			if got[len(got)-1] != tt.want {
				t.Errorf("answered %q, want %q", got, tt.want)
			}
			for begin, n := range tt.said {
				if said := server.commands(begin); len(said) != n {
					t.Errorf("%s was said %d times, want %d: %q", begin, len(said), n, server.said)
				}
			}
			for _, said := range server.commands("APPEND") {
				if n := strings.Count(tt.append, first); strings.Count(said, first) != n && !strings.HasSuffix(said, "A:\r\nBcc: x@y.fr\r\n\r\n"+sentBody) {
					t.Errorf("appended %q", said)
				}
			}
		})
	}
}
