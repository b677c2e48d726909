package smtp

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"balorg/mail"
	"balorg/policy"
	"balorg/smtp/queue"
	"balorg/store/audit"
)

// fakeServer keeps what it is told to put into a folder.
type fakeServer struct{ copies []Copy }

func (f *fakeServer) Append(_ context.Context, _ *policy.Account, c Copy) (Place, error) {
	f.copies = append(f.copies, c)
	return Place{Folder: "Sent", UIDValidity: 1, UID: 1}, nil
}

func (*fakeServer) MarkAnswered(context.Context, *policy.Account, []string) error { return nil }

// TestLookFirst: a server is asked first for a message that an attempt may have put there, whether that was written down or not.
func TestLookFirst(t *testing.T) {
	server, now := &fakeServer{}, time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	o := newOffice(t, func(opt *AcceptorOptions) {
		opt.Home = func(*policy.Account) MailServer { return server }
		opt.Now = func() time.Time { return now }
	})
	account, ok := o.snapshot().Account(mail.Address(secretariat))
	if !ok {
		t.Fatal("no account")
	}
	now = now.Add(time.Hour)
	for _, tt := range []struct {
		name     string
		age      time.Duration
		attempts int
		want     bool
	}{
		{"fresh", time.Second, 0, false},
		{"an attempt has failed", time.Second, 1, true},
		{"an attempt may not have been written down", time.Minute, 0, true},
		{"accepted before the daemon began", 2 * time.Hour, 0, true},
	} {
		for route, carrier := range o.acceptor.Carriers() {
			if route == queue.Answered {
				continue
			}
			server.copies = nil
			outcomes := carrier.Carry(t.Context(), queue.Delivery{
				Message: queue.Message{ID: "x", Accepted: now.Add(-tt.age), Mailbox: audit.Party{ID: account.ID}},
				Items:   []queue.Item{{Route: route, Account: account.ID, Attempts: tt.attempts}},
				Open:    func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("x")), nil },
			})
			if len(server.copies) != 1 || outcomes[0].Result != queue.ResultDelivered {
				t.Fatalf("%s, %s: %+v", tt.name, route, outcomes)
			}
			if got := server.copies[0].Retry; got != tt.want {
				t.Errorf("%s, %s: looked for first: %t", tt.name, route, got)
			}
		}
	}
	// However short a restart was, what came before it is looked for.
	now = now.Add(-time.Hour)
	if o.acceptor.mayHaveTried(queue.Message{Accepted: now}) || !o.acceptor.mayHaveTried(queue.Message{Accepted: now.Add(-time.Nanosecond)}) {
		t.Error("what was accepted when the daemon began")
	}
}
