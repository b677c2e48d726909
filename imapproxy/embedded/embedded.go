// Package embedded is an IMAP server over store/mailbox that runs in this process: to the proxy it is a mail store like any other,
// a stream that begins with "* PREAUTH".
//
// Who connects has been authenticated, and what they may do has been decided, by the proxy: this package knows one account per
// connection and no rights.
//
// Invariants:
//   - Sequence numbers change only where the client is told (session.tell), never during FETCH, STORE and SEARCH.
//   - A connection costs one goroutine and, while nothing flows, no buffer but a command's; what is written waits in a
//     bounded ring, so that a slow reader makes the server wait.
//   - No message is ever in memory as a whole.
package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"

	"balorg/mail"
	"balorg/store/mailbox"
)

// Subscriptions are each person's own: a folder counts as subscribed until the person says otherwise.
type Subscriptions interface {
	// Overrides answers what the person said of the account's folders, by their UTF-8 names.
	Overrides(ctx context.Context, person, account mail.AccountID) (map[string]bool, error)
	Set(ctx context.Context, person, account mail.AccountID, folder string, subscribed bool) error
}

// Options are what a Server works with.
type Options struct {
	Logger *slog.Logger // nil: nothing is logged
	// Subscriptions is nil where somebody else keeps them: then every folder is subscribed and stays so.
	Subscriptions Subscriptions
}

// Who is the mailbox a connection opens.
type Who struct {
	Account mail.AccountID
	Quota   int64          // octets, 0: none
	Person  mail.AccountID // whose subscriptions hold
	Client  netip.AddrPort // for the log
}

// Server serves the mailboxes of a store.
type Server struct {
	boxes   *mailbox.Store
	opt     Options
	log     *slog.Logger
	table   map[string]command
	caps    []string
	buffers sync.Pool // of *[]byte with bufferSize octets
	passing sync.Pool // of those with passBuffer
	keys    sortKeys
	threads sortKeys // the same of THREAD
}

// capabilities is what the server does, but for APPENDLIMIT. XCOPYTO is between the proxy and us (session.copyAcross).
const capabilities = "IMAP4rev1 IMAP4rev2 LITERAL+ ID ENABLE IDLE NAMESPACE CHILDREN UNSELECT UIDPLUS MOVE LIST-EXTENDED LIST-STATUS SPECIAL-USE CREATE-SPECIAL-USE STATUS=SIZE MULTIAPPEND REPLACE BINARY OBJECTID SAVEDATE PREVIEW " +
	"ESEARCH SEARCHRES WITHIN SORT SORT=DISPLAY ESORT CONTEXT=SEARCH THREAD=ORDEREDSUBJECT THREAD=REFERENCES THREAD=REFS CONDSTORE QRESYNC QUOTA UTF8=ACCEPT XCOPYTO"

// New answers a server of the mailboxes in boxes.
func New(boxes *mailbox.Store, opt Options) *Server {
	s := &Server{boxes: boxes, opt: opt, log: opt.Logger, table: commands()}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.caps = strings.Fields(capabilities)
	if limit := boxes.MaxMessage(); limit > 0 {
		s.caps = append(s.caps, fmt.Sprintf("APPENDLIMIT=%d", limit))
	} else {
		s.caps = append(s.caps, "APPENDLIMIT")
	}
	s.buffers.New = func() any { b := make([]byte, bufferSize); return &b }
	s.passing.New = func() any { b := make([]byte, passBuffer); return &b }
	return s
}

// Capabilities answers what every connection offers. Nobody may change the list.
func (s *Server) Capabilities() []string { return s.caps }

// Open answers a connection to a mailbox, authenticated: its stream begins with "* PREAUTH [CAPABILITY …]". The mailbox is
// created on first use. The connection ends with Close alone, not with ctx.
func (s *Server) Open(ctx context.Context, who Who) (*Conn, error) {
	account, err := s.boxes.Account(ctx, who.Account, who.Quota)
	if err != nil {
		return nil, fmt.Errorf("open mailbox %s: %w", who.Account, err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c := newConn(&s.buffers, cancel)
	go func() {
		defer close(c.ended)
		defer cancel()
		newSession(ctx, s, who, account, c).serve()
	}()
	return c, nil
}
