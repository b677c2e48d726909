package smtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"balorg/smtp/wire"
)

// TestSmuggling runs the ends of data that servers have been found to disagree on: nothing but CRLF . CRLF ends a message, and what was
// to be smuggled never runs.
func TestSmuggling(t *testing.T) {
	const smuggled = "MAIL FROM:<injected@out.fr>\r\nRCPT TO:<victim@d.fr>\r\nDATA\r\nSubject: injected\r\n\r\nx"
	for _, end := range []string{
		"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\n.\r", "\r.\n", "\n\n.\n", "\r\r.\r\n", "\r\n.\r\r\n", "\n\r.\r\n", "\r\n\r.\r\n",
		"\r\n.\x00\r\n", "\r\n\x00.\r\n", "\r\n.\r\x00\n", "\r\x00\n.\r\n", "\x00\n.\r\n", "\n.\x00\n",
		"\r\n. \r\n", "\r\n.\t\r\n", "\r\n..\r\n", "\r\n.\u2028", "\x0b.\x0b", "\x85.\x85", "\x8d.\x8a", "\r\n.\x8a",
	} {
		for _, role := range roles {
			t.Run(fmt.Sprintf("%s/%q", role, end), func(t *testing.T) {
				f := newFixture(t, nil)
				c := f.dial(t.Context(), role)
				c.hello(role)
				mails := 0
				f.onMail = func(from wire.Sender) error {
					mails++
					if from.Address != "a@b.fr" {
						t.Errorf("MAIL FROM:<%s> ran", from.Address)
					}
					return nil
				}
				c.begin()
				c.send("Subject: x\r\n\r\nx" + end + smuggled + "\r\n.\r\n")
				bare := strings.ContainsAny(strings.ReplaceAll(end, "\r\n", ""), "\r\n")
				switch reply := c.next(); {
				case bare && role != Submission:
					if !strings.HasPrefix(reply, "550 5.6.") || len(f.messages()) > 0 {
						t.Errorf("reply %q", reply)
					}
				case strings.Contains(end, "\x00"):
					if !strings.HasPrefix(reply, "550 5.6.0") || len(f.messages()) > 0 {
						t.Errorf("reply %q", reply)
					}
				default:
					got := f.messages()
					if !strings.HasPrefix(reply, "250 ") || len(got) != 1 {
						t.Fatalf("reply %q, messages %+v", reply, got)
					}
					if content := got[0].content; !strings.Contains(content, smuggled) || strings.ContainsAny(strings.ReplaceAll(content, "\r\n", ""), "\r\n") {
						t.Errorf("content %q", content)
					}
				}
				// The session is where it should be: ready for another message, and for no recipient.
				c.do("RCPT TO:<c@d.fr>", "503 5.5.1")
				c.begin()
				c.send(".\r\n")
				c.expect("250 ")
				if mails != 2 {
					t.Errorf("%d transactions", mails)
				}
			})
		}
	}
}

// TestStalls: who sends nothing is cut after a while, who sends too little as well, and nobody holds a message open for ever.
func TestStalls(t *testing.T) {
	for _, tt := range []struct {
		name string
		send func(i int) string // what is sent in the i-th minute
		cut  time.Duration
	}{
		{"nothing", func(int) string { return "" }, blockTimeout},
		{"an octet a minute", func(int) string { return "x" }, dataGrace},
		{"below the floor", func(int) string { return strings.Repeat("0123456789\r\n", 2500) }, 9*time.Minute + 52*time.Second},
		{"above the floor, for ever", func(int) string { return strings.Repeat("0123456789\r\n", 20_000) }, dataTimeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, nil)
				c := f.dial(t.Context(), Inbound)
				c.hello(Inbound)
				c.begin()
				before := time.Now()
				stop := time.AfterFunc(3*time.Hour, func() { c.conn.Close() })
				defer stop.Stop()
				c.conn.SetWriteDeadline(time.Time{})
				go func() {
					for i := 0; ; i++ {
						if s := tt.send(i); s != "" {
							if _, err := io.WriteString(c.conn, s); err != nil {
								return
							}
						}
						select {
						case <-time.After(time.Minute):
						case <-c.ended:
							return
						}
					}
				}()
				<-c.ended
				took := time.Since(before)
				c.expect("421 4.4.2")
				c.closed()
				if took < tt.cut-2*time.Second || took > tt.cut+2*time.Second {
					t.Errorf("cut after %v, want %v", took, tt.cut)
				}
				if n := len(f.messages()); n > 0 {
					t.Errorf("%d messages were taken", n)
				}
			})
		})
	}
}

// TestSize: a message that is too large is refused when it is announced, or when it is seen to be, and read to its end.
func TestSize(t *testing.T) {
	f := newFixture(t, func(s *Service) { s.MaxMessage = 1000 })
	c := f.dial(t.Context(), Inbound)
	c.hello(Inbound)
	c.do("MAIL FROM:<a@b.fr> SIZE=1001", "552 5.3.4")
	c.do("MAIL FROM:<a@b.fr> SIZE=1000", "250 ")
	c.do("RCPT TO:<c@d.fr>", "250 ")
	c.do("DATA", "354 ")
	c.send(strings.Repeat("0123456789\r\n", 200) + ".\r\nNOOP\r\n")
	c.expect("552 5.3.4", "250 2.0.0 Nothing")
	c.begin()
	c.send(strings.Repeat("a", 998) + "\r\n.\r\n")
	c.expect("250 ")
	c.begin()
	go io.WriteString(c.conn, strings.Repeat("0123456789\r\n", 100_000)+".\r\n")
	c.expect("552 5.3.4", "421 4.3.4")
	c.closed()
	if n := len(f.messages()); n != 1 {
		t.Errorf("%d messages were taken", n)
	}
}

// TestRefusedContent: what a handler refuses without reading it is read to its end, and does not run.
func TestRefusedContent(t *testing.T) {
	for _, role := range roles {
		f := newFixture(t, nil)
		f.onData = func(_ context.Context, _ fakeHandler, _ *wire.Envelope, r io.Reader) ([]wire.Reply, error) {
			io.ReadFull(r, make([]byte, 3))
			return nil, wire.NewReply(550, "5.7.1", "Not this one")
		}
		c := f.dial(t.Context(), role)
		c.hello(role)
		f.onMail = func(from wire.Sender) error {
			if from.Address != "a@b.fr" {
				t.Errorf("MAIL FROM:<%s> ran", from.Address)
			}
			return nil
		}
		c.do("MAIL FROM:<a@b.fr>", "250 ")
		c.do("RCPT TO:<c@d.fr>", "250 ")
		c.do("RCPT TO:<e@d.fr>", "250 ")
		c.do("DATA", "354 ")
		c.send("Subject: x\r\n\r\n.\rMAIL FROM:<x@y.fr>\r\n" + strings.Repeat("0123456789\r\n", 20_000) + ".\r\nNOOP\r\nRSET\r\n")
		if role == Inbound || role == Submission {
			c.expect("550 5.7.1")
		} else {
			c.expect("550 5.7.1", "550 5.7.1")
		}
		c.expect("250 2.0.0 Nothing", "250 2.0.0 Forgotten")
	}
}

// TestPipelinedBehindRefusedData: when DATA is refused, what follows is commands, as RFC 2920, 3.1 has it.
func TestPipelinedBehindRefusedData(t *testing.T) {
	f := newFixture(t, nil)
	f.onRcpt = func(to wire.Recipient) error {
		if to.Address == "c@d.fr" {
			return wire.NewReply(550, "5.1.1", "Unknown")
		}
		return nil
	}
	c := f.dial(t.Context(), Inbound)
	c.hello(Inbound)
	c.send("MAIL FROM:<a@b.fr>\r\nRCPT TO:<c@d.fr>\r\nDATA\r\nRSET\r\nMAIL FROM:<a@b.fr>\r\nRCPT TO:<e@d.fr>\r\nDATA\r\n")
	c.expect("250 ", "550 5.1.1", "503 5.5.1", "250 2.0.0", "250 2.1.0", "250 2.1.5", "354 ")
	c.send("x\r\n.\r\n")
	c.expect("250 ")
	if got := f.messages(); len(got) != 1 || len(got[0].env.To) != 1 || got[0].env.To[0].Address != "e@d.fr" {
		t.Errorf("received %+v", got)
	}
}

// TestHandlerIsHeldToItsWord: what a handler must not do is answered as temporary, never as accepted.
func TestHandlerIsHeldToItsWord(t *testing.T) {
	accepted := []wire.Reply{*okay("2.0.0", "Queued")}
	for _, tt := range []struct {
		name, content string
		data          func(io.Reader) ([]wire.Reply, error)
		want          string
	}{
		{"reads nothing", "x\r\n", func(io.Reader) ([]wire.Reply, error) { return accepted, nil }, "451 4.3.0"},
		{"reads a part", "xyz\r\n", func(r io.Reader) ([]wire.Reply, error) {
			_, err := io.ReadFull(r, make([]byte, 2))
			return accepted, err
		}, "451 4.3.0"},
		{"does not look at errors", "a\nb\r\n", func(r io.Reader) ([]wire.Reply, error) {
			io.Copy(io.Discard, r)
			return accepted, nil
		}, "550 5.6.11"},
		{"hides errors", "a\nb\r\n", func(r io.Reader) ([]wire.Reply, error) {
			_, err := io.ReadAll(r)
			return nil, errors.New("something else than " + err.Error())
		}, "550 5.6.11"},
		{"gives no reply", "x\r\n", func(r io.Reader) ([]wire.Reply, error) {
			_, err := io.Copy(io.Discard, r)
			return nil, err
		}, "451 4.3.0"},
		{"gives two replies", "x\r\n", func(r io.Reader) ([]wire.Reply, error) {
			_, err := io.Copy(io.Discard, r)
			return append(accepted, accepted...), err
		}, "451 4.3.0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, nil)
			f.onData = func(_ context.Context, _ fakeHandler, _ *wire.Envelope, r io.Reader) ([]wire.Reply, error) {
				return tt.data(r)
			}
			c := f.dial(t.Context(), Inbound)
			c.hello(Inbound)
			c.begin()
			c.send(tt.content + ".\r\n")
			c.expect(tt.want)
			c.do("NOOP", "250 ")
		})
	}
}

// TestCommitTimeout: a handler that has everything must finish before its client gives up waiting.
func TestCommitTimeout(t *testing.T) {
	for _, way := range []func(io.Reader) error{
		func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err },
		func(r io.Reader) error { _, err := io.ReadAll(struct{ io.Reader }{r}); return err },
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, nil)
			f.onData = func(ctx context.Context, _ fakeHandler, _ *wire.Envelope, r io.Reader) ([]wire.Reply, error) {
				if err := way(r); err != nil {
					return nil, err
				}
				<-ctx.Done()
				return nil, ctx.Err()
			}
			c := f.dial(t.Context(), Inbound)
			c.hello(Inbound)
			c.begin()
			c.send("x\r\n.\r\n")
			before := time.Now()
			time.Sleep(commitTimeout - time.Second)
			c.expect("451 4.3.0")
			if took := time.Since(before); took != commitTimeout {
				t.Errorf("after %v", took)
			}
		})
	}
}

// TestShutdownFinishesWhatIsWhole: when the server stops, a message that has been read is finished and answered; half of one is not.
func TestShutdownFinishesWhatIsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		read := make(chan struct{})
		f.onData = func(ctx context.Context, h fakeHandler, env *wire.Envelope, r io.Reader) ([]wire.Reply, error) {
			replies, err := h.take(ctx, env, r)
			if err != nil {
				return nil, err
			}
			close(read)
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				err = errors.New("cut while it was written")
			}
			return replies, err
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		whole, half := f.dial(ctx, Inbound), f.dial(ctx, LMTP)
		whole.hello(Inbound)
		whole.begin()
		half.hello(LMTP)
		half.begin()
		whole.send("x\r\n.\r\n")
		<-read
		half.send("x\r\n")
		synctest.Wait()
		cancel()
		whole.expect("250 2.0.0 Queued", "421 4.3.2")
		half.expect("421 4.3.2")
		whole.closed()
		half.closed()
		if n := len(f.messages()); n != 1 {
			t.Errorf("%d messages", n)
		}
	})
}

// TestFence: a fault of the program in one session is answered, counted and logged, and ends that session only.
func TestFence(t *testing.T) {
	f := newFixture(t, nil)
	f.onData = func(context.Context, fakeHandler, *wire.Envelope, io.Reader) ([]wire.Reply, error) { panic("a fault") }
	c, other := f.dial(t.Context(), Inbound), f.dial(t.Context(), Inbound)
	c.hello(Inbound)
	c.begin()
	c.expect("421 4.3.0")
	c.closed()
	<-c.ended
	other.do("NOOP", "250 ")
	other.do("QUIT", "221 ")
	<-other.ended
	if n := f.metric("balorg_smtp_panics_total", ""); n != 1 {
		t.Errorf("%v panics were counted", n)
	}
	if !strings.Contains(f.log.String(), "a fault") {
		t.Errorf("log: %s", f.log.String())
	}
}
