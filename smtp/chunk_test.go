package smtp

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"balorg/smtp/wire"
)

// chunk is a BDAT command with its octets.
func chunk(content, last string) string {
	return fmt.Sprintf("BDAT %d%s\r\n%s", len(content), last, content)
}

// withRecipients opens a transaction of n recipients.
func (c *client) withRecipients(n int) {
	c.t.Helper()
	c.do("MAIL FROM:<a@b.fr>", "250 ")
	for i := range n {
		c.do(fmt.Sprintf("RCPT TO:<c%d@d.fr>", i), "250 ")
	}
}

func TestChunks(t *testing.T) {
	large := strings.Repeat("0123456789\r\n", 20_000)
	for _, tt := range []struct {
		name    string
		say     string
		want    []string // prefixes of the replies
		content string   // of the one message that is taken; "-": none is
	}{
		{"one", chunk("x\r\n", " LAST"), []string{"250 2.0.0 Queued"}, "x\r\n"},
		{"three", chunk("x", "") + chunk("\r", "") + chunk("\ny\r\n", " LAST"), []string{"250 2.0.0 Chunk", "250 2.0.0 Chunk", "250 2.0.0 Queued"}, "x\r\ny\r\n"},
		{"dots are dots", chunk("x\r\n.\r\n..\r\n", " last"), []string{"250 2.0.0 Queued"}, "x\r\n.\r\n..\r\n"},
		{"empty last", chunk("x\r\n", "") + "BDAT 0 LAST\r\n", []string{"250 2.0.0 Chunk", "250 2.0.0 Queued"}, "x\r\n"},
		{"nothing at all", "BDAT 0 LAST\r\n", []string{"250 2.0.0 Queued"}, ""},
		{"large", chunk(large, "") + chunk(large, " LAST"), []string{"250 2.0.0 Chunk", "250 2.0.0 Queued"}, large + large},
		{"no end of line at the end", chunk("x", " LAST"), []string{"250 2.0.0 Queued"}, "x"},
		{"a line that was none", chunk("a\nb", " LAST"), []string{"550 5.6.11"}, "-"},
		{"a CR at the very end", chunk("a\r", " LAST"), []string{"550 5.6.11"}, "-"},
		{
			"commands in between",
			chunk("x", "") + "NOOP\r\nXFOO\r\nMAIL FROM:<x@y.fr>\r\nRCPT TO:<x@y.fr>\r\nDATA\r\nAUTH PLAIN\r\nSTARTTLS\r\n\r\n" + chunk("y\r\n", " LAST"),
			[]string{"250 2.0.0 Chunk", "250 2.0.0 Nothing", "500 ", "503 ", "503 ", "503 ", "50", "50", "500 ", "250 2.0.0 Queued"},
			"xy\r\n",
		},
		{"given up", chunk("x", "") + "RSET\r\n" + chunk("y\r\n", " LAST"), []string{"250 2.0.0 Chunk", "250 2.0.0 Forgotten", "503 "}, "-"},
		{"given up by EHLO", chunk("x", "") + "HELO x\r\nLHLO x\r\nNOOP\r\n", []string{"250 2.0.0 Chunk", "", "", "250 2.0.0 Nothing"}, "-"},
		{"given up by QUIT", chunk("x", "") + "QUIT\r\n", []string{"250 2.0.0 Chunk", "221 "}, "-"},
		{
			"refused in the middle",
			chunk("a\nb", "") + chunk("MAIL FROM:<x@y.fr>\r\n", "") + chunk("NOOP\r\n", " LAST") + "MAIL FROM:<a@b.fr>\r\nRSET\r\nNOOP\r\n",
			[]string{"550 5.6.11", "503 5.5.1", "503 5.5.1", "503 5.5.1", "250 2.0.0 Forgotten", "250 2.0.0 Nothing"},
			"-",
		},
	} {
		for _, role := range roles {
			t.Run(string(role)+"/"+tt.name, func(t *testing.T) {
				f := newFixture(t, nil)
				c := f.dial(t.Context(), role)
				c.hello(role)
				c.withRecipients(1)
				go io.WriteString(c.conn, tt.say)
				c.expect(tt.want...)
				var want []string
				if tt.content != "-" {
					want = []string{tt.content}
				}
				var got []string
				for _, m := range f.messages() {
					got = append(got, m.content)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// TestRefusedChunks: the octets of a chunk that is refused never run as commands.
func TestRefusedChunks(t *testing.T) {
	const evil = "MAIL FROM:<injected@b.fr>\r\nRSET\r\n"
	newFixture := func(t *testing.T) (*fixture, *client) {
		t.Helper()
		f := newFixture(t, func(s *Service) { s.MaxMessage = 1000 })
		f.onMail = func(from wire.Sender) error {
			if from.Address != "a@b.fr" {
				t.Errorf("MAIL FROM:<%s> ran", from.Address)
			}
			return nil
		}
		c := f.dial(t.Context(), Inbound)
		c.hello(Inbound)
		return f, c
	}
	t.Run("outside a transaction", func(t *testing.T) {
		_, c := newFixture(t)
		c.send(chunk(evil, "") + chunk(evil, " LAST") + "NOOP\r\n")
		c.expect("503 5.5.1", "503 5.5.1", "250 2.0.0 Nothing")
	})
	t.Run("without a recipient", func(t *testing.T) {
		_, c := newFixture(t)
		c.withRecipients(0)
		c.send(chunk(evil, " LAST") + "NOOP\r\n")
		c.expect("503 5.5.1", "250 2.0.0 Nothing")
	})
	t.Run("before login", func(t *testing.T) {
		f, _ := newFixture(t)
		c := f.dial(t.Context(), Submission)
		c.do("EHLO x", "250-")
		go io.WriteString(c.conn, chunk(evil, " LAST"))
		c.expect("530 5.7.0", "421 ")
		c.closed()
	})
	t.Run("of no size", func(t *testing.T) {
		_, c := newFixture(t)
		c.withRecipients(1)
		go io.WriteString(c.conn, "BDAT x LAST\r\n"+evil)
		c.expect("501 5.5.4", "421 ")
		c.closed()
	})
	t.Run("of no size, the second one", func(t *testing.T) {
		_, c := newFixture(t)
		c.withRecipients(1)
		go io.WriteString(c.conn, chunk("x", "")+"BDAT -1\r\n"+evil)
		c.expect("250 ", "501 5.5.4", "421 ")
		c.closed()
	})
	t.Run("too large", func(t *testing.T) {
		_, c := newFixture(t)
		c.withRecipients(1)
		c.send(chunk(strings.Repeat(evil, 50), " LAST") + "NOOP\r\n")
		c.expect("552 5.3.4", "250 2.0.0 Nothing")
		c.withRecipients(1)
		c.send(chunk(strings.Repeat("x", 990), "") + chunk(evil, "") + chunk(evil, " LAST") + "RSET\r\n")
		c.expect("250 ", "552 5.3.4", "503 5.5.1", "250 2.0.0 Forgotten")
		c.withRecipients(1)
		go io.WriteString(c.conn, "BDAT 999999999999 LAST\r\n"+evil)
		c.expect("552 5.3.4", "421 4.3.4")
		c.closed()
	})
	t.Run("unread by the handler", func(t *testing.T) {
		f, c := newFixture(t)
		f.onData = func(context.Context, fakeHandler, *wire.Envelope, io.Reader) ([]wire.Reply, error) {
			return nil, wire.NewReply(550, "5.7.1", "Not this one")
		}
		c.withRecipients(1)
		c.send(chunk(evil, "") + chunk(evil, " LAST") + "RSET\r\n")
		c.expect("550 5.7.1", "503 5.5.1", "250 2.0.0 Forgotten")
		c.withRecipients(1)
		c.send(chunk(evil, " LAST") + "NOOP\r\n")
		c.expect("550 5.7.1", "250 2.0.0 Nothing")
	})
	t.Run("cut in the middle", func(t *testing.T) {
		f, c := newFixture(t)
		c.withRecipients(1)
		c.send("BDAT 100 LAST\r\nabc")
		c.conn.Close()
		<-c.ended
		if n := len(f.messages()); n > 0 {
			t.Errorf("%d messages were taken", n)
		}
	})
}

// TestChunksOverLMTP: the last chunk has one reply for each recipient, the others have one.
func TestChunksOverLMTP(t *testing.T) {
	f := newFixture(t, nil)
	f.onData = func(_ context.Context, _ fakeHandler, env *wire.Envelope, r io.Reader) ([]wire.Reply, error) {
		if _, err := io.Copy(io.Discard, r); err != nil {
			return nil, err
		}
		var replies []wire.Reply
		for i := range env.To {
			replies = append(replies, []wire.Reply{*okay("2.0.0", "Taken"), *wire.NewReply(452, "4.2.2", "Full")}[i%2])
		}
		return replies, nil
	}
	c := f.dial(t.Context(), LMTP)
	c.hello(LMTP)
	c.withRecipients(3)
	c.send(chunk("x", "") + chunk("\r\n", " LAST"))
	c.expect("250 2.0.0 Chunk", "250 2.0.0 Taken", "452 4.2.2", "250 2.0.0 Taken")
	c.withRecipients(2)
	c.send(chunk("a\nb", " LAST"))
	c.expect("550 5.6.11", "550 5.6.11")
	c.withRecipients(2)
	c.do("DATA", "354 ")
	c.send("a\r\n.\r\n")
	c.expect("250 2.0.0 Taken", "452 4.2.2")
	c.do("RCPT TO:<c@d.fr>", "503 ")
	c.do("MAIL FROM:<a@b.fr>", "250 ")
	c.do("RCPT TO:<c@d.fr>", "250 ")
	c.do("RCPT TO:<c@d.fr>", "250 ") // RFC 2033, 4.2: each RCPT has its reply
	c.do("DATA", "354 ")
	c.send(".\r\n")
	c.expect("250 2.0.0 Taken", "452 4.2.2")
	c.do("NOOP", "250 2.0.0 Nothing")
}

// TestChunkTimeouts: the time of a message is counted over all of its chunks.
func TestChunkTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		c := f.dial(t.Context(), Inbound)
		c.hello(Inbound)
		c.withRecipients(1)
		c.send(chunk("x", ""))
		c.expect("250 ")
		time.Sleep(commandTimeout)
		c.expect("421 4.4.2")
		c.closed()

		c = f.dial(t.Context(), Inbound)
		c.hello(Inbound)
		c.withRecipients(1)
		for range 59 {
			c.send(chunk(strings.Repeat("0123456789\r\n", 10_000), ""))
			c.expect("250 ")
			time.Sleep(time.Minute)
		}
		time.Sleep(time.Minute)
		c.expect("421 4.4.2")
		if n := len(f.messages()); n > 0 {
			t.Errorf("%d messages were taken", n)
		}
	})
}
