package imapproxy

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"balorg/imapproxy/wire"
	"balorg/policy"
	"balorg/store/audit"
)

// traceTimeout bounds how long the end of a session waits for its last records.
const traceTimeout = 5 * time.Second

// maxTracedRequest cuts what is kept of a command: set and items are short, a set of thousands is in UIDs as well.
const maxTracedRequest = 1 << 10

// trace records what the session's person did, in the mailbox that r names or else the opened one.
func (s *session) trace(ctx context.Context, r audit.Record) error {
	return s.traceAs(ctx, s.mine(r))
}

// mine says in a record whose it is.
func (s *session) mine(r audit.Record) audit.Record {
	r.Person = party(s.person)
	if r.Mailbox == (audit.Party{}) {
		r.Mailbox = party(s.opened)
	}
	return r
}

// stamped is a record with what every record of the session has, its folder in UTF-8.
func (s *session) stamped(r audit.Record) audit.Record {
	r.Time, r.Protocol, r.Session = time.Now(), "imap", s.id
	if name, err := wire.DecodeMailbox(r.Folder); err == nil { // people read the trace
		r.Folder = name
	}
	if s.client.IsValid() {
		r.Client = s.client.String()
	}
	return r
}

// traceAs records r as it is, with what every record of the session has.
func (s *session) traceAs(ctx context.Context, r audit.Record) error {
	r = s.stamped(r)
	if len(r.Request) > maxTracedRequest {
		r.Request = r.Request[:maxTracedRequest]
	}
	for _, uids := range splitSet(r.UIDs) {
		r.UIDs = uids
		if err := s.p.opt.Trace.Append(ctx, r); err != nil {
			return fmt.Errorf("tracing: %w", err)
		}
	}
	return nil
}

// maxTracedSet keeps one record to a size that the trace takes; a longer set makes several.
const maxTracedSet = 64 << 10

// splitSet cuts a set of numbers at commas; one record at least is made, of no set.
func splitSet(set string) []string {
	var parts []string
	for len(set) > maxTracedSet {
		at := strings.LastIndexByte(set[:maxTracedSet], ',')
		parts = append(parts, set[:at])
		set = set[at+1:]
	}
	return append(parts, set)
}

// party is an account in the trace; nil is nobody.
func party(a *policy.Account) audit.Party {
	if a == nil {
		return audit.Party{}
	}
	return audit.Party{ID: a.ID, Address: a.Address}
}

// refused records that a command was refused for want of a right, or of the mailbox, and answers err.
func (s *session) refused(cmd *wire.Command, mailbox audit.Party, reason policy.Reason, err *answer) error {
	terr := s.trace(s.ctx, audit.Record{
		Action: audit.Refusal, Mailbox: mailbox, Request: cmd.Name, Answer: err.short(), Reason: reason.Text,
	})
	if terr != nil {
		return terr
	}
	return err
}

// selection is the mailbox a client has selected.
type selection struct {
	up     *upstream
	folder string       // the mail store's name of it
	name   string       // the client's
	rights policy.Right // with which it was opened: fewer, and the session ends
	// uidValidity is set by the mail store's reader before SELECT is answered.
	uidValidity uint32
	readOnly    bool
	followed    followed // searches whose results the client is kept informed of
}

func (sel *selection) record(action audit.Action, request, uids string) audit.Record {
	return audit.Record{
		Action: action, Mailbox: party(sel.up.account), Folder: sel.folder, UIDValidity: sel.uidValidity, Request: request, UIDs: uids,
	}
}

// whichUIDs asks the mail store, ahead of a command, which messages the command names. The answer is complete when the command
// itself is answered, for the store answers in order.
//
// Sequence numbers are asked for with FETCH, during which RFC 9051, 7.5.1 forbids the store to renumber messages; a UID SEARCH
// could renumber them under the client's command.
func (sel *selection) whichUIDs(s *session, set string, byUID, deletedOnly bool) (*uidCollector, error) {
	c := &uidCollector{}
	var command string
	var data func(*wire.ResponseReader, *wire.Response) (bool, error)
	switch {
	case byUID || deletedOnly:
		command, data = "UID SEARCH", c.search
		if byUID {
			command += " UID " + set
		}
		if deletedOnly {
			command += " DELETED"
		}
	default:
		command, data = "FETCH "+set+" (UID)", c.fetchOf(set)
	}
	_, err := sel.up.begin(s.ctx, []byte(command), data)
	return c, err
}

// resolve answers the UIDs of the messages a command names, in ascending order.
func (sel *selection) resolve(s *session, set string, byUID bool) ([]uint32, error) {
	c := &uidCollector{}
	command, data := "FETCH "+set+" (UID)", c.fetchOf(set)
	if byUID {
		command, data = "UID SEARCH UID "+set, c.search
	}
	r, err := sel.up.run(s.ctx, []byte(command), data)
	if err != nil {
		return nil, err
	}
	if !r.ok() {
		return nil, storeAnswer(r)
	}
	slices.Sort(c.uids)
	return c.uids, nil
}

// uidCollector gathers UIDs from what a mail store answers. Only its reader touches it, until the answer it was made for.
type uidCollector struct {
	uids []uint32
	seqs []uint32 // their sequence numbers, where the command names messages by them; else none
}

func (c *uidCollector) search(in *wire.ResponseReader, resp *wire.Response) (bool, error) {
	extended := resp.Is("ESEARCH") // to a client of IMAP4rev2
	if !extended && !resp.Is("SEARCH") {
		return false, nil
	}
	line, err := in.Collect(maxLine * 8) // a folder of a million messages
	if err != nil {
		return true, err
	}
	if extended {
		c.uids, err = wire.AppendFound(c.uids, line)
	} else {
		c.uids = wire.AppendNumbers(c.uids, line)
	}
	return true, err
}

// fetchOf takes "* n FETCH (UID u)" of a set. A response that tells flags as well goes to the client, who may have no other news of
// them; its UID counts when its message is of the set, for a mail store may tell flags along with what it was asked.
func (c *uidCollector) fetchOf(set string) func(*wire.ResponseReader, *wire.Response) (bool, error) {
	asked, err := wire.ParseNumSet(set)
	// Which message "*" is, only the store knows.
	whole := err != nil || asked.Saved || slices.Contains(asked.Ranges, wire.NumRange{})
	return func(_ *wire.ResponseReader, resp *wire.Response) (bool, error) {
		if !resp.Is("FETCH") {
			return false, nil
		}
		uid, only := wire.FetchedUID(resp.Rest)
		if uid > 0 && (only || whole || asked.Contains(resp.Num, math.MaxUint32)) {
			c.uids, c.seqs = append(c.uids, uid), append(c.seqs, resp.Num)
		}
		return only, nil
	}
}

// spare takes the messages out that a conditional STORE left alone: the response code MODIFIED names them as the command did (RFC 7162,
// 3.1.3).
func (c *uidCollector) spare(code string) {
	name, text, _ := strings.Cut(code, " ")
	if !strings.EqualFold(name, "MODIFIED") {
		return
	}
	set, err := wire.ParseNumSet(text)
	if err != nil {
		return // none is known to be spared
	}
	numbers := c.uids
	if len(c.seqs) > 0 {
		numbers = c.seqs
	}
	spared := set.Resolve(math.MaxUint32)
	kept := c.uids[:0]
	for i, uid := range c.uids {
		n := numbers[i] // before kept grows over it
		at := sort.Search(len(spared), func(j int) bool { return spared[j].Last >= n })
		if at == len(spared) || spared[at].First > n {
			kept = append(kept, uid)
		}
	}
	c.uids = kept
}

func (c *uidCollector) String() string { return wire.FormatNumbers(c.uids) }

// take is for exchanges that drop one kind of untagged response.
func take(name string) func(*wire.ResponseReader, *wire.Response) (bool, error) {
	return func(_ *wire.ResponseReader, resp *wire.Response) (bool, error) { return resp.Is(name), nil }
}
