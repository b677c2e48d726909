package mailbox

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"balorg/store"
	"balorg/store/body"
	"balorg/store/mailbox/structure"
)

// Message is a message on its way in: write it, then Deliver it or Discard it. It is never in memory as a whole: its octets go
// to the body store while they are parsed.
type Message struct {
	pending  *body.Pending
	parser   *structure.Parser
	limit    int64
	size     int64
	err      error
	finished bool
	detail   [][]byte // the stored form of its structure, in pieces
	header   [][]byte
}

// NewMessage begins a message. The error may be store.ErrFull.
func (s *Store) NewMessage(ctx context.Context) (*Message, error) {
	p, err := s.bodies.Create(ctx)
	if err != nil {
		return nil, fmt.Errorf("begin a message: %w", err)
	}
	return &Message{pending: p, parser: structure.NewParser(structure.Limits{}), limit: s.opt.MaxMessage}, nil
}

// Write takes the next octets; ErrTooLarge once the message exceeds the store's limit. An error stays.
func (m *Message) Write(b []byte) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	if m.limit > 0 && m.size+int64(len(b)) > m.limit {
		m.err = ErrTooLarge
		return 0, m.err
	}
	n, err := m.pending.Write(b)
	m.size += int64(n)
	if err != nil {
		m.err = fmt.Errorf("write message: %w", err)
		return n, m.err
	}
	return m.parser.Write(b)
}

// Size is the number of octets written.
func (m *Message) Size() int64 { return m.size }

// Finish makes the message's octets durable, so that DeliverTx can refer to them. Deliver calls it.
func (m *Message) Finish() error {
	if m.err != nil || m.finished {
		return m.err
	}
	m.finished = true
	res := m.parser.Finish()
	m.parser = nil
	m.detail = pieces(encodeStructure(&res))
	if res.Header != nil {
		m.header = pieces(res.Header)
	}
	if err := m.pending.Finish(); err != nil {
		m.err = fmt.Errorf("write message: %w", err)
	}
	return m.err
}

// useFile keeps the message's octets out of the transaction that stores it.
func (m *Message) useFile() error {
	if m.err != nil || m.finished {
		return m.err
	}
	if err := m.pending.UseFile(); err != nil {
		m.err = fmt.Errorf("write message: %w", err)
	}
	return m.err
}

// Discard gives the message up. It may be called at any time, also after delivery: then it does nothing.
func (m *Message) Discard() {
	m.err = io.ErrClosedPipe
	m.parser = nil
	m.pending.Discard()
}

// put writes the body and what was found in it.
func (m *Message) put(tx store.Writer) (body.ID, error) {
	id, err := m.pending.Put(tx)
	if err != nil {
		return 0, fmt.Errorf("store body: %w", err)
	}
	if err := setPieces(tx, tableStructure, id, m.detail); err != nil {
		return 0, err
	}
	return id, setPieces(tx, tableHeader, id, m.header)
}

// StoreTx stores the message's octets, with one reference, which the caller is to give to a table that keeps it or to take away again. Finish
// must have been called, and Discard is to be called after it. DeliverBodyTx puts what was stored into folders.
func (m *Message) StoreTx(tx store.Writer) (body.ID, error) {
	if m.err != nil {
		return 0, m.err
	}
	return m.put(tx)
}

// Deliver puts a message into a folder and answers once it is durable. The message is used up when it answers nil.
func (a *Account) Deliver(ctx context.Context, name string, m *Message, flags FlagSet, date time.Time) (Placed, error) {
	var t Together
	if err := t.Add(Incoming{m, flags, date}); err != nil {
		return Placed{}, err
	}
	placed, err := a.DeliverAll(ctx, name, &t)
	if err != nil {
		return Placed{}, err
	}
	return placed[0], nil
}

// Incoming is a message with what it is to have in its folder.
type Incoming struct {
	Message *Message
	Flags   FlagSet
	Date    time.Time
}

// Together are messages that are to be in a folder all or none. The zero value has none.
type Together struct {
	messages     []Incoming
	inline, rows int64 // octets in the transaction: of messages, and of what is stored beside them
}

// What one transaction has of messages that come together: of their octets the rest is in files, and what is stored beside them must
// leave room for rows and references.
const (
	inlineTogether = 1 << 20
	rowsTogether   = 2 << 20
)

// Add adds a message that has come in whole, and lets go of what is not needed any more to store it. store.ErrTooBig when the messages are more than one
// transaction holds, which is some hundred. The message stays the caller's to discard.
func (t *Together) Add(in Incoming) error {
	if t.inline += in.Message.size; len(t.messages) > 0 && t.inline > inlineTogether {
		t.inline -= in.Message.size
		if err := in.Message.useFile(); err != nil {
			return err
		}
	}
	if err := in.Message.Finish(); err != nil {
		return err
	}
	for _, piece := range slices.Concat(in.Message.detail, in.Message.header) {
		t.rows += int64(len(piece))
	}
	if len(t.messages) > 0 && t.rows > rowsTogether {
		return fmt.Errorf("%w: messages that come together", store.ErrTooBig)
	}
	t.messages = append(t.messages, in)
	return nil
}

// Len is how many messages there are.
func (t *Together) Len() int { return len(t.messages) }

// Discard gives up messages that have not been delivered.
func (t *Together) Discard() {
	for _, in := range t.messages {
		in.Message.Discard()
	}
}

// DeliverAll is Deliver for messages that are to be there all or none; they get UIDs in their order.
func (a *Account) DeliverAll(ctx context.Context, name string, t *Together) ([]Placed, error) {
	placed := make([]Placed, len(t.messages))
	err := a.s.update(ctx, func(tx store.Writer) (err error) {
		for i, in := range t.messages {
			if placed[i], err = a.DeliverTx(tx, name, in.Message, in.Flags, in.Date); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("deliver message: %w", err)
	}
	t.Discard()
	last := placed[len(placed)-1]
	// What fails here is to show it, and is tried again when a session looks. The message is kept: told otherwise, the sender would
	// send it again.
	_ = a.s.open.await(ctx, folderKey{a.id, last.Folder}, last.ModSeq)
	return placed, nil
}

// DeliverTx is Deliver as part of the caller's transaction: Finish must have been called, and Discard is to be called after it.
// Another table that wants the same octets refers to Placed.Body.
func (a *Account) DeliverTx(tx store.Writer, name string, m *Message, flags FlagSet, date time.Time) (Placed, error) {
	if m.err != nil {
		return Placed{}, m.err
	}
	return a.place(tx, name, m.size, flags, date, func() (body.ID, error) { return m.put(tx) })
}

// DeliverBodyTx puts a message that is stored already (Message.StoreTx, or in any folder of the same state) into a folder as well, as part of
// the caller's transaction. Size is that of its octets.
func (a *Account) DeliverBodyTx(tx store.Writer, name string, id body.ID, size int64, flags FlagSet, date time.Time) (Placed, error) {
	return a.place(tx, name, size, flags, date, func() (body.ID, error) {
		if err := a.s.bodies.Ref(tx, id); err != nil {
			return 0, fmt.Errorf("refer to body %d: %w", id, err)
		}
		return id, nil
	})
}

// place adds a message to a folder, whose body it asks for once it is sure that there is room. Where it errs for want of room or of the
// folder, nothing has been written.
func (a *Account) place(tx store.Writer, name string, size int64, flags FlagSet, date time.Time, put func() (body.ID, error)) (Placed, error) {
	name, err := canonical(name)
	if err != nil {
		return Placed{}, ErrNoFolder
	}
	e := a.s.edit(tx)
	f, err := e.named(a.id, name)
	if err != nil {
		return Placed{}, err
	}
	p, err := a.placeIn(f, size, flags, date, put)
	if err != nil {
		return Placed{}, err
	}
	return p, e.save()
}

// placeIn is place in a folder that is being worked on.
func (a *Account) placeIn(f *folderEdit, size int64, flags FlagSet, date time.Time, put func() (body.ID, error)) (Placed, error) {
	if err := a.fits(f.account, size); err != nil {
		return Placed{}, err
	}
	keywords, err := f.keywords(flags.Keywords, true)
	if err != nil {
		return Placed{}, err
	}
	id, err := put()
	if err != nil {
		return Placed{}, err
	}
	_, offset := date.Zone()
	msg, err := f.add(message{
		Flags: Flags{flags.System & allSystem, keywords}, Size: size, Date: date.Unix(), Zone: int16(offset / 60), Body: id,
	})
	if err != nil {
		return Placed{}, err
	}
	return Placed{Folder: f.key.folder, UIDValidity: f.row.UIDValidity, UID: msg.UID, ModSeq: msg.ModSeq, Body: id}, nil
}

// Append reads a message from r to its end and delivers it.
func (a *Account) Append(ctx context.Context, name string, r io.Reader, flags FlagSet, date time.Time) (Placed, error) {
	m, err := a.s.NewMessage(ctx)
	if err != nil {
		return Placed{}, err
	}
	defer m.Discard()
	if _, err := io.Copy(m, r); err != nil {
		return Placed{}, fmt.Errorf("read message: %w", err)
	}
	return a.Deliver(ctx, name, m, flags, date)
}
