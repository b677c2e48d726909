package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync/atomic"

	"balorg/imapproxy/wire"
	"balorg/store/body"
	"balorg/store/mailbox"
	"balorg/store/mailbox/structure"
	"balorg/store/mailbox/text"
)

// fetcher is one FETCH.
type fetcher struct {
	*session
	items    []wire.FetchItem
	names    [][]byte // of the items, as responses tell them
	want     mailbox.Want
	setsSeen bool
	keywords []string
	ids      *mailbox.ObjectIDs
	missing  bool // content of a message was asked for that another session has expunged
	damaged  bool // of one that cannot be read
}

// seenBatch is how many messages get \Seen in one transaction of a FETCH that reads them: a client that leaves in the middle
// has not "read" ten thousand.
const seenBatch = 200

// fetch answers FETCH and UID FETCH.
func (s *session) fetch(cmd *wire.Command) error {
	f, err := wire.ParseFetch(cmd.Args)
	if err != nil {
		return err
	}
	if f.Vanished && (!s.qresync || !isUID(cmd) || f.ChangedSince == 0) { // RFC 7162, 3.2.6
		return bad("VANISHED is for UID FETCH with CHANGEDSINCE, once QRESYNC is enabled")
	}
	if f.UsesCondStore() {
		s.useCondStore()
	}
	seqs, err := s.resolve(f.Set, isUID(cmd))
	if err != nil {
		return err
	}
	if f.Vanished {
		highest := s.view.Folder().UIDNext - 1
		if err := s.tellEarlier(f.Set.Resolve(highest), f.ChangedSince, 0); err != nil {
			return err
		}
	}
	if f.ChangedSince > 0 {
		seqs = s.changedSince(seqs, f.ChangedSince)
	}
	fetcher, err := s.newFetcher(f.Items, isUID(cmd))
	if err != nil {
		return err
	}
	if err := fetcher.run(seqs); err != nil {
		return err
	}
	switch {
	case fetcher.damaged:
		return mailbox.ErrUnreadable
	case fetcher.missing:
		return mailbox.ErrExpunged
	}
	return nil
}

func (s *session) newFetcher(items []wire.FetchItem, byUID bool) (*fetcher, error) {
	f := &fetcher{session: s, keywords: s.view.Keywords()}
	f.setsSeen = !s.view.ReadOnly() && slices.ContainsFunc(items, wire.FetchItem.SetsSeen)
	lacks := func(kind wire.ItemKind) bool {
		return !slices.ContainsFunc(items, func(i wire.FetchItem) bool { return i.Kind == kind })
	}
	if (byUID || s.condStore && f.setsSeen) && lacks(wire.ItemUID) {
		f.add(wire.FetchItem{Kind: wire.ItemUID}) // RFC 3501, 6.4.8; RFC 7162, 3.2.4
	}
	if s.condStore && lacks(wire.ItemModSeq) {
		f.add(wire.FetchItem{Kind: wire.ItemModSeq}) // RFC 7162, 3.1
	}
	for _, item := range items {
		switch item.Kind {
		case wire.ItemUID, wire.ItemFlags, wire.ItemInternalDate, wire.ItemSize, wire.ItemModSeq, wire.ItemSaveDate, wire.ItemThreadID:
		case wire.ItemEmailID:
			var err error
			if f.ids, err = s.srv.boxes.ObjectIDs(s.ctx); err != nil {
				return nil, err
			}
		case wire.ItemEnvelope, wire.ItemBody, wire.ItemBodyStructure, wire.ItemBinary, wire.ItemBinarySize, wire.ItemPreview:
			f.want |= mailbox.WantStructure
		case wire.ItemSection, wire.ItemRFC822, wire.ItemRFC822Text, wire.ItemRFC822Header:
			f.want |= wanted(item)
		default: // of an extension that is not offered
			return nil, bad("Unknown item")
		}
		f.add(item)
	}
	return f, nil
}

func (f *fetcher) add(item wire.FetchItem) {
	f.items = append(f.items, item)
	f.names = append(f.names, item.AppendName(nil))
}

// wanted is what must be known of a message to answer a section. A header may be too long to be kept apart; the structure then
// says where it ends.
func wanted(item wire.FetchItem) mailbox.Want {
	switch {
	case len(item.Path) == 0 && isHeader(item.Part):
		return mailbox.WantHeader
	case len(item.Path) == 0 && item.Part == wire.SectionAll:
		return 0
	}
	return mailbox.WantStructure
}

func isHeader(part wire.SectionPart) bool {
	return part == wire.SectionHeader || part == wire.SectionHeaderFields || part == wire.SectionHeaderFieldsNot
}

func (f *fetcher) run(seqs []uint32) error {
	if !f.setsSeen {
		return f.batch(seqs, nil)
	}
	for part := range slices.Chunk(seqs, seenBatch) {
		if err := f.batch(part, f.markSeen(part)); err != nil {
			return err
		}
	}
	return nil
}

// markSeen sets \Seen and answers the UIDs of the messages that did not have it. Where it cannot be set, as on a full disk, mail can
// still be read.
func (f *fetcher) markSeen(seqs []uint32) []uint32 {
	var uids []uint32
	for _, seq := range seqs {
		if m, ok := f.view.Message(seq); ok && m.Flags.System&mailbox.Seen == 0 {
			uids = append(uids, m.UID)
		}
	}
	if len(uids) == 0 {
		return nil
	}
	changed, err := f.view.StoreFlags(f.ctx, uids, mailbox.AddFlags, mailbox.FlagSet{System: mailbox.Seen})
	if err != nil {
		f.log.WarnContext(f.ctx, "messages read but not marked so", slog.Any("error", err))
	}
	return changed
}

// batch writes the responses for messages, telling the flags of those in changed besides.
func (f *fetcher) batch(seqs, changed []uint32) error {
	one := func(seq uint32, d *mailbox.Detail) error {
		m, ok := f.view.Message(seq)
		if !ok || d == nil && f.want != 0 {
			f.missing = true
			return nil
		}
		_, isNew := slices.BinarySearch(changed, m.UID)
		return f.message(seq, &m, d, isNew)
	}
	if f.want != 0 {
		return f.details(seqs, one)
	}
	for _, seq := range seqs {
		if err := one(seq, nil); err != nil {
			return err
		}
	}
	return nil
}

// details calls one for messages with what is stored of them. Those that cannot be read are left out.
func (f *fetcher) details(seqs []uint32, one func(uint32, *mailbox.Detail) error) error {
	done := 0
	count := func(seq uint32, d *mailbox.Detail) error {
		done++
		return one(seq, d)
	}
	for len(seqs) > 0 {
		done = 0
		err := f.view.Details(f.ctx, seqs, f.want, count)
		if !errors.Is(err, mailbox.ErrUnreadable) {
			return err
		}
		// Of a batch that holds a damaged one nothing was told: they are read one by one up to it.
		for seqs = seqs[done:]; len(seqs) > 0; seqs = seqs[1:] {
			err := f.view.Details(f.ctx, seqs[:1], f.want, one)
			if errors.Is(err, mailbox.ErrUnreadable) {
				f.damaged, seqs = true, seqs[1:]
				break
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// message writes one FETCH response.
func (f *fetcher) message(seq uint32, m *mailbox.Meta, d *mailbox.Detail, tellFlags bool) error {
	src := source{f: f, seq: seq, detail: d}
	defer src.close()
	if err := src.prepare(m.Size); err != nil {
		switch {
		case errors.Is(err, mailbox.ErrExpunged):
			f.missing = true
			return nil
		case errors.Is(err, mailbox.ErrUnreadable):
			f.log.ErrorContext(f.ctx, "message cannot be read: run `balorg check-store`", slog.Uint64("uid", uint64(m.UID)), slog.Any("error", err))
			f.damaged = true
			return nil
		}
		return err
	}
	b := appendCount(f.line[:0], seq, " FETCH (")
	for i, item := range f.items {
		if i > 0 {
			b = append(b, ' ')
		}
		var err error
		if b, err = f.item(b, i, item, m, &src); err != nil {
			return src.unfinished(err)
		}
		if len(b) > bufferSize { // a client may ask for the same long header two hundred times
			b = src.begin(b)
		}
		tellFlags = tellFlags && item.Kind != wire.ItemFlags
	}
	if tellFlags {
		b = f.appendFlags(append(b, ' '), m, f.keywords)
	}
	f.send(append(b, ")\r\n"...))
	return f.lost
}

// item appends one item; where it is long, what is in b is written first and the rest of the item streamed.
func (f *fetcher) item(b []byte, i int, item wire.FetchItem, m *mailbox.Meta, src *source) ([]byte, error) {
	if item.Kind == wire.ItemFlags {
		return f.appendFlags(b, m, f.keywords), nil
	}
	b = append(append(b, f.names[i]...), ' ')
	switch item.Kind {
	case wire.ItemUID:
		return strconv.AppendUint(b, uint64(m.UID), 10), nil
	case wire.ItemInternalDate:
		return wire.AppendDateTime(b, m.Date), nil
	case wire.ItemSize:
		return strconv.AppendInt(b, m.Size, 10), nil
	case wire.ItemModSeq:
		return appendModSeq(b, m), nil
	case wire.ItemSaveDate:
		if m.Saved.IsZero() {
			return append(b, "NIL"...), nil
		}
		return wire.AppendDateTime(b, m.Saved), nil
	case wire.ItemEmailID:
		return append(append(append(b, '('), f.ids.Email(m.Body)...), ')'), nil
	case wire.ItemThreadID: // RFC 8474, 5.2: a server may have none
		return append(b, "NIL"...), nil
	case wire.ItemBinarySize:
		return strconv.AppendInt(b, src.decoded[i].size, 10), nil
	case wire.ItemBinary:
		return src.binary(b, &src.decoded[i], item)
	case wire.ItemPreview:
		return src.preview(b, item, m.Size), nil
	case wire.ItemEnvelope:
		return append(b, src.detail.Envelope...), nil
	case wire.ItemBody:
		return append(b, src.detail.Body...), nil
	case wire.ItemBodyStructure:
		return append(b, src.detail.BodyStructure...), nil
	case wire.ItemSection, wire.ItemRFC822, wire.ItemRFC822Text, wire.ItemRFC822Header:
		return src.section(b, item, m.Size)
	default:
		return nil, fmt.Errorf("item %s: %w", f.names[i], errUnknownItem)
	}
}

// errUnknownItem is a fault of the program: newFetcher refuses what item does not know.
var errUnknownItem = errors.New("not known to this server")

// source is where the octets of one message come from.
type source struct {
	f       *fetcher
	seq     uint32
	detail  *mailbox.Detail
	located bool         // detail has been read again, see locate
	reader  *body.Reader // opened when an item needs it
	users   *atomic.Int32
	decoded []decoded // what the items are of BINARY, by item
	begun   bool      // a part of the response has been written
}

// begin writes a part of the response and answers its emptied buffer.
func (s *source) begin(b []byte) []byte {
	s.begun = true
	s.f.write(b)
	return b[:0]
}

// unfinished is what an error means to the response: once a part is written, nothing can be told but by the end of the connection.
func (s *source) unfinished(err error) error {
	if !s.begun || errors.Is(err, errBroken) || s.f.lost != nil { // a client that is gone is no fault of the message
		return err
	}
	s.f.log.ErrorContext(s.f.ctx, "reading a message", slog.Any("error", err))
	return errBroken
}

// prepare opens the message when an item needs its octets, before anything of the response is written.
func (s *source) prepare(size int64) error {
	if err := s.lookIntoGlobal(size); err != nil {
		return err
	}
	reads, decodes := false, false
	for _, item := range s.f.items {
		switch item.Kind {
		case wire.ItemSection, wire.ItemRFC822, wire.ItemRFC822Text, wire.ItemRFC822Header:
		case wire.ItemBinary, wire.ItemBinarySize:
			reads, decodes = true, true
			continue
		case wire.ItemPreview:
			reads = reads || previews(item, size)
			continue
		default:
			continue
		}
		if len(item.Path) == 0 && isHeader(item.Part) && s.detail.Header != nil {
			continue
		}
		if err := s.locate(item); err != nil {
			return err
		}
		reads = true
	}
	if !reads {
		return nil
	}
	err := s.open()
	if err == nil && decodes {
		err = s.decode(size)
	}
	return err
}

func (s *source) open() (err error) {
	if s.reader != nil {
		return nil
	}
	if s.reader, err = s.f.view.Open(s.f.ctx, s.seq); err == nil {
		s.users = &atomic.Int32{}
		s.users.Store(1)
	}
	return err
}

// locate reads the structure where only the header was read, which turned out not to be kept.
func (s *source) locate(item wire.FetchItem) error {
	if len(item.Path) > 0 || !isHeader(item.Part) || s.f.want&mailbox.WantStructure != 0 || s.located {
		return nil
	}
	d, err := s.f.view.Detail(s.f.ctx, s.seq, mailbox.WantStructure)
	if err == nil {
		s.detail, s.located = d, true
	}
	return err
}

func (s *source) close() {
	if s.reader != nil {
		leave(s.users, s.reader)
	}
}

// leave closes a message when its last user leaves it.
func leave(users *atomic.Int32, r *body.Reader) {
	if users.Add(-1) == 0 {
		r.Close() //nolint:errcheck // it was only read
	}
}

var sections = map[wire.SectionPart]structure.Section{
	wire.SectionAll: structure.All, wire.SectionHeader: structure.Header, wire.SectionHeaderFields: structure.Header,
	wire.SectionHeaderFieldsNot: structure.Header, wire.SectionText: structure.Text, wire.SectionMIME: structure.MIME,
}

// section appends the octets of a section.
func (s *source) section(b []byte, item wire.FetchItem, size int64) ([]byte, error) {
	if len(item.Path) == 0 && isHeader(item.Part) && s.detail.Header != nil {
		return appendOctets(b, item, headerPart(s.detail.Header, item)), nil
	}
	off, n, found := int64(0), size, true
	if len(item.Path) > 0 || item.Part != wire.SectionAll {
		off, n, found = s.detail.Section(item.Path, sections[item.Part])
	}
	if !found {
		return append(b, "NIL"...), nil
	}
	if len(item.Fields) > 0 {
		header, err := s.header(off, n)
		if err != nil {
			return nil, err
		}
		return appendOctets(b, item, headerPart(header, item)), nil
	}
	from, n := partial(item, n)
	b = s.begin(wire.AppendLiteralHead(b, n))
	return b, s.stream(off+from, n)
}

// maxHeader bounds the header of which single fields are picked; fields behind are not found.
const maxHeader = text.MaxHeader

func (s *source) header(off, n int64) ([]byte, error) {
	header := make([]byte, min(n, maxHeader))
	if n == 0 { // of a message at the end of another: reading nothing there would err
		return header, nil
	}
	if _, err := s.reader.ReadAt(header, off); err != nil {
		return nil, err
	}
	return header, nil
}

// partial answers where in a section of n octets the asked part begins, and its length.
func partial(item wire.FetchItem, n int64) (from, length int64) {
	if !item.Partial {
		return 0, n
	}
	from = min(item.Offset, n)
	return from, min(item.Count, n-from)
}

// appendOctets appends octets that are in memory as a literal.
func appendOctets(b []byte, item wire.FetchItem, octets []byte) []byte {
	from, n := partial(item, int64(len(octets)))
	b = wire.AppendLiteralHead(b, n)
	start := len(b)
	b = append(b, octets[from:from+n]...)
	wire.ReplaceNUL(b[start:])
	return b
}
