package imapproxy

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"balorg/imapproxy/wire"
	"balorg/mail/header"
	"balorg/store"
	"balorg/store/audit"
	"balorg/store/sent"
)

// What a person submits is in the mailbox's Sent at once, and then their client appends its own copy there. That one is recognised by
// its Message-ID and the hash of its body; headers differ, since ours does not name the person and holds no Bcc. It is answered
// with the UID of the copy that is there.

// knownReason stands in the trace of an APPEND that added nothing.
const knownReason = "the message was submitted here, and its copy is in the folder already"

// held is the first message of an APPEND, read from the client before the mail store is asked for anything.
type held struct {
	*spool
	more   bool           // another message follows it
	header *header.Header // nil: it cannot be read
	body   int64          // where the body begins
	hash   header.Hash
}

// sentLately tells whether the message that an APPEND announces may be one that the person has just submitted. It is asked of every
// APPEND, so it looks at no more than whether there is any.
func (s *session) sentLately(at place, m announced) bool {
	if m.binary && !m.utf8 || m.size > spoolMemory && s.p.opt.SpoolDir == "" {
		return false
	}
	found, err := s.p.opt.Sent.Any(s.ctx, at.account.ID, s.person.ID, time.Now().Add(-sent.Keep))
	if err != nil {
		s.log().Warn("looking for sent messages", slog.Any("error", err))
	}
	return found
}

// hold reads the message of an APPEND. Where it errs, what is left of the command has been answered for.
func (s *session) hold(cmd *wire.Command) (*held, error) {
	literal, err := s.in.AcceptLiteral(s.proceed)
	if err != nil {
		return nil, s.clientLost(err)
	}
	h := &held{spool: newSpool(s.p.opt.SpoolDir, cmd.Message.Size)}
	err = h.read(literal)
	if err != nil && h.err == nil {
		h.close()
		return nil, s.clientLost(err)
	}
	more, ended := s.in.EndAppend()
	if err := cmp.Or(ended, h.err); err != nil {
		h.close()
		s.refuseMessage(cmd)
		return nil, err
	}
	h.more = more
	return h, nil
}

// clientLost ends a session whose client left in the middle of a message.
func (s *session) clientLost(err error) error {
	if s.readError(err) {
		return errLost
	}
	s.done = true
	return errAnswered
}

// read takes all octets of the message.
func (h *held) read(literal io.Reader) error {
	all := io.TeeReader(literal, h.spool)
	head, body, err := header.Read(all)
	if err != nil { // of the header or of the reader, which then says so again
		_, err = io.Copy(io.Discard, all)
		return err
	}
	hashing := header.NewHashing(body)
	n, err := io.Copy(io.Discard, hashing)
	if err != nil {
		return err
	}
	h.header, h.body, h.hash = head, h.size-n, hashing.Sum()
	return nil
}

// bcc answers the fields Bcc of the message.
func (h *held) bcc() (fields []byte) {
	for _, f := range h.header.Fields {
		if f.Is("Bcc") {
			fields = append(fields, f.Raw...)
		}
	}
	return fields
}

// recognise answers an APPEND to Sent of a message whose copy is there; done is false when it is to be appended as any other.
func (s *session) recognise(at place, m announced, h *held, request string) (done bool, err error) {
	if h.header == nil || h.more {
		return false, nil
	}
	id := sent.ID{Mailbox: at.account.ID, Person: s.person.ID, MessageID: h.header.MessageID(), Body: h.hash}
	c, err := s.p.opt.Sent.Find(s.ctx, id, time.Now().Add(-sent.Keep))
	if err == nil {
		var same bool
		if same, err = s.isSent(at, c.Folder); err != nil || !same {
			return false, err
		}
		c, err = s.placed(c, h.bcc())
	}
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if c.UID == 0 { // it will be there, and the queue sees to it
		record := audit.Record{Action: audit.Append, Mailbox: party(at.account), Folder: at.folder, Request: request, Answer: "OK", Reason: knownReason}
		return true, s.trace(s.ctx, record)
	}
	if same, err := s.isSent(at, c.Folder); err != nil || !same {
		return false, err
	}
	return s.useCopy(at, m, h, c, request)
}

// placed waits a little for a copy that is still to be put where it belongs. What it has to hold of the client's is noted first.
func (s *session) placed(c sent.Copy, bcc []byte) (sent.Copy, error) {
	if c.UID > 0 {
		return c, nil
	}
	if len(bcc) > 0 {
		if err := s.p.opt.Sent.SetBcc(s.ctx, c.ID, bcc); err != nil {
			return c, err
		}
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.p.opt.SentWait)
	defer cancel()
	return s.p.opt.Sent.Await(ctx, c.ID)
}

// isSent tells whether a place is the folder that a copy is in: its name as its owner or its mail store says it. While that is
// not known, it is the mailbox's Sent.
func (s *session) isSent(at place, folder string) (bool, error) {
	name, err := wire.DecodeMailbox(at.folder)
	if err != nil {
		return false, nil //nolint:nilerr // no folder has such a name
	}
	if folder == "" {
		return s.isSentFolder(at, name)
	}
	if folder == name {
		return true, nil
	}
	up, err := s.upstream(at.account)
	if err != nil {
		return false, err
	}
	stored, ok := up.names.toStore(at.folder)
	if ok {
		stored, err = wire.DecodeMailbox(stored)
	}
	return ok && err == nil && stored == folder, nil
}

// isSentFolder tells whether a place is its mailbox's Sent: what the mail store says is that (RFC 6154), else by its name.
func (s *session) isSentFolder(at place, name string) (bool, error) {
	folders, err := s.foldersOf(at.account)
	if err != nil {
		return false, err
	}
	for _, f := range folders {
		if slices.ContainsFunc(f.attrs, func(a string) bool { return strings.EqualFold(a, `\Sent`) }) {
			return f.name == at.folder, nil
		}
	}
	switch strings.ToLower(name) {
	case "sent", "sent items", "sent messages", "envoyés", "éléments envoyés", "messages envoyés":
		return true, nil
	}
	return false, nil
}

// useCopy answers an APPEND with the copy that is in the folder, after giving that the flags and the Bcc of the client's. done is
// false when somebody has removed it since.
func (s *session) useCopy(at place, m announced, h *held, c sent.Copy, request string) (done bool, err error) {
	ctx, stop := s.settling()
	defer stop()
	up, err := s.openFolder(ctx, at.account, at.folder, c.UIDValidity)
	if gone(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer up.close()
	there, err := up.sentCopy(ctx, c.UID)
	if err != nil || there == nil {
		return false, err
	}
	use := copyInUse{s: s, ctx: ctx, at: at, up: up, known: c, there: there, flags: m.flags}
	if bcc := h.bcc(); len(bcc) > 0 && there.header.Count("Bcc") == 0 {
		err = use.addBcc(h, bcc)
	} else {
		err = use.addFlags()
	}
	if err != nil {
		return false, err
	}
	uid := strconv.FormatUint(uint64(use.known.UID), 10)
	err = s.trace(ctx, audit.Record{
		Action: audit.Append, Mailbox: party(at.account), Folder: at.folder, UIDValidity: c.UIDValidity, UIDs: uid, Request: request, Answer: "OK", Reason: knownReason,
	})
	if err != nil {
		return false, err
	}
	return true, okay(fmt.Sprintf("APPENDUID %d %s", c.UIDValidity, uid), "completed")
}

// sentCopy is a copy as it is in its folder.
type sentCopy struct {
	transferred
	header *header.Header
}

// sentCopy asks for a message of the selected folder; nil: it is not there any more.
func (u *upstream) sentCopy(ctx context.Context, uid uint32) (found *sentCopy, err error) {
	command := fmt.Appendf(nil, "UID FETCH %d (UID FLAGS INTERNALDATE BODY.PEEK[HEADER])", uid)
	r, err := u.run(ctx, command, func(in *wire.ResponseReader, resp *wire.Response) (bool, error) {
		if !resp.Is("FETCH") || !bytes.Contains(resp.Rest, []byte("BODY[HEADER]")) {
			return false, nil
		}
		line, err := in.Collect(maxLine)
		if err != nil {
			return true, err
		}
		found, err = parseSentCopy(line)
		return true, err
	})
	if err != nil {
		return nil, err
	}
	if !r.ok() {
		return nil, storeAnswer(r)
	}
	if found != nil && found.uid != uid {
		return nil, fmt.Errorf("%w: another message than the one asked for", wire.ErrResponse)
	}
	return found, nil
}

// parseSentCopy reads a FETCH response with the header of a message.
func parseSentCopy(line []byte) (*sentCopy, error) {
	before, after, _ := bytes.Cut(line, []byte("BODY[HEADER]"))
	p := wire.NewParser(after)
	if err := p.SP(); err != nil {
		return nil, err
	}
	text, _, err := p.NString()
	if err != nil {
		return nil, err
	}
	// What is left is a response without the header, wherever that stood.
	rest := append(bytes.TrimSuffix(slices.Clone(before), []byte(" ")), p.Rest()...)
	found := &sentCopy{}
	if found.transferred, err = parseTransferred(bytes.Replace(rest, []byte("( "), []byte("("), 1)); err != nil {
		return nil, err
	}
	found.header, _, err = header.Read(strings.NewReader(text))
	return found, err
}

// copyInUse is a copy that an APPEND is answered with.
type copyInUse struct {
	s     *session
	ctx   context.Context //nolint:containedctx // of steps that must not be left half done
	at    place
	up    *upstream // has the folder selected
	known sent.Copy
	there *sentCopy
	flags []string // of the client's
}

// missing answers the client's flags that the copy has not.
func (c *copyInUse) missing() []string {
	return slices.DeleteFunc(slices.Clone(c.flags), func(f string) bool {
		return slices.ContainsFunc(c.there.flags, func(has string) bool { return strings.EqualFold(f, has) })
	})
}

// addFlags gives the copy the flags it misses. A mail store that does not take one, such as a keyword too many, is no reason to
// append the message again.
func (c *copyInUse) addFlags() error {
	missing := c.missing()
	if len(missing) == 0 {
		return nil
	}
	command := fmt.Appendf(nil, "UID STORE %d +FLAGS.SILENT (%s)", c.known.UID, strings.Join(missing, " "))
	r, err := c.up.run(c.ctx, command, nil)
	if err == nil && !r.ok() {
		c.s.log().Warn("flags of a sent message are not taken", slog.Any("mailbox", c.at.account.Address), slog.String("code", r.code))
	}
	return err
}

// addBcc puts a message in the place of the copy that has the client's Bcc as well: what has been sent tells its author to whom. Cut
// off in between, both stay.
func (c *copyInUse) addBcc(h *held, bcc []byte) error {
	head := *c.there.header
	head.Alone = false
	head.Fields = append(slices.Clone(head.Fields), header.Field{Name: "Bcc", Raw: bcc})
	octets := head.Bytes()
	flags := slices.DeleteFunc(slices.Concat(c.there.flags, c.missing()), func(f string) bool { return strings.EqualFold(f, `\Recent`) })
	a, err := c.s.startAppend(c.up, c.at.folder, announced{flags: flags, date: c.there.date, size: int64(len(octets)) + h.size - h.body})
	if err != nil {
		return err
	}
	if a.refused != nil {
		return storeAnswer(a.refused)
	}
	if _, err := io.Copy(c.up.out, io.MultiReader(bytes.NewReader(octets), h.from(h.body))); err != nil {
		return fmt.Errorf("%w: %w", errLost, err) // half a message is undone by the end of the connection, which the caller closes
	}
	r, err := a.finish(c.ctx)
	if err != nil {
		return err
	}
	if !r.ok() {
		return storeAnswer(r)
	}
	validity, text := appendUID(r.code)
	uid, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return fmt.Errorf("%w: APPEND without APPENDUID", wire.ErrResponse) // every store we work with has UIDPLUS
	}
	return c.replaced(validity, uint32(uid))
}

// replaced notes that another message is the copy now, and removes the former one.
func (c *copyInUse) replaced(validity, uid uint32) error {
	former := strconv.FormatUint(uint64(c.known.UID), 10)
	c.known.UIDValidity, c.known.UID = validity, uid
	if err := c.s.p.opt.Sent.Place(c.ctx, c.known.ID, c.known.Folder, validity, uid, true); err != nil {
		return err
	}
	err := c.s.trace(c.ctx, audit.Record{
		Action: audit.Expunge, Mailbox: party(c.at.account), Folder: c.at.folder, UIDValidity: validity, UIDs: former, Request: "APPEND", Answer: "OK",
		Reason: "another copy of the message, with its Bcc, is in its place",
	})
	if err != nil {
		return err
	}
	return c.up.expunge(c.ctx, former)
}
