package embedded

import (
	"errors"
	"strconv"
	"strings"

	"balorg/imapproxy/order"
	"balorg/imapproxy/wire"
	"balorg/store/body"
	"balorg/store/mailbox"
	"balorg/store/mailbox/text"
)

// thread answers THREAD and UID THREAD (RFC 5256).
func (s *session) thread(cmd *wire.Command) error {
	th, err := wire.ParseThread(cmd.Args)
	if fault := s.checkCharset(th.Charset, true); fault != nil {
		err = fault
	}
	if err != nil {
		return err
	}
	switch th.Algorithm {
	case "ORDEREDSUBJECT", "REFERENCES", "REFS":
	default:
		return bad("Unknown THREAD algorithm")
	}
	r, err := s.find(cmd, &th.Search)
	if err != nil {
		return err
	}
	messages, err := s.threadable(r.seqs, th.Algorithm != "ORDEREDSUBJECT")
	if err != nil {
		return err
	}
	var roots []*order.Node
	switch th.Algorithm {
	case "ORDEREDSUBJECT":
		roots = order.BySubject(messages)
	case "REFERENCES":
		roots, err = order.ByReferences(messages, s.ctx.Err)
	default:
		roots, err = order.ByLatest(messages, s.ctx.Err)
	}
	if errors.Is(err, order.ErrTooTangled) {
		return no("LIMIT", "The messages refer to one another in too many ways")
	}
	if err != nil {
		return err
	}
	numbers := make([]uint32, len(messages))
	for i := range messages {
		if numbers[i] = messages[i].Seq; isUID(cmd) {
			numbers[i] = s.view.UID(messages[i].Seq)
		}
	}
	s.tellThreads(roots, numbers)
	return nil
}

// maxReferences is how many of the messages before it one message is threaded by: the nearest.
const maxReferences = 100

// threadable reads what threads are made of, and remembers it for the next time. Ids stand in the References of every later message of a
// thread: each is kept once.
func (s *session) threadable(seqs []uint32, byReferences bool) ([]order.Threaded, error) {
	messages, ids := make([]order.Threaded, len(seqs)), make([]body.ID, len(seqs))
	for i, seq := range seqs {
		if m, ok := s.view.Message(seq); ok {
			ids[i] = m.Body
		}
	}
	known := make([]packedKeys, len(seqs))
	missing := s.srv.threads.find(ids, known)
	unknown := make([]uint32, len(missing))
	for n, i := range missing {
		unknown[n] = seqs[i]
	}
	for i, keys := range known {
		if keys != "" {
			messages[i] = keys.threaded(seqs[i])
		}
	}
	t := threadReader{session: s, ids: make(map[string]string)}
	n := 0
	err := s.view.Details(s.ctx, unknown, mailbox.WantStructure, func(seq uint32, d *mailbox.Detail) (err error) {
		i := missing[n]
		n++
		meta, ok := s.view.Message(seq)
		if !ok || d == nil { // expunged by another session: it is told of all the same, since the client still counts it
			messages[i] = order.Threaded{Seq: seq, Sent: meta.Date.Unix()}
			return s.ctx.Err()
		}
		var dated bool
		if messages[i], dated, err = t.message(seq, &meta, d, byReferences); err == nil && byReferences && dated {
			known[i] = packThread(&messages[i])
			s.srv.threads.keep(ids, known, missing[n-1:n])
		}
		return err
	})
	return messages, err
}

type threadReader struct {
	*session
	ids    map[string]string
	memory int
}

// message answers what threads are made of, and whether the message itself says when it was sent: else that is when it came into this folder.
func (t *threadReader) message(seq uint32, meta *mailbox.Meta, d *mailbox.Detail, byReferences bool) (m order.Threaded, dated bool, err error) {
	fields := fieldsOf(d.Envelope)
	m = order.Threaded{Seq: seq, Sent: meta.Date.Unix()}
	if sent, ok := order.SentDate(textOf(fields[envelopeDate])); ok {
		m.Sent, dated = sent.Unix(), true
	}
	base, reply := order.BaseSubject(text.Decode(textOf(fields[envelopeSubject])))
	m.Subject, m.Reply = t.once(order.Collate(base)), reply
	if !byReferences {
		return m, dated, t.enough()
	}
	m.ID = t.once(order.ID(textOf(fields[envelopeMessageID])))
	references, err := t.references(seq, d)
	if err != nil {
		return m, dated, err
	}
	m.References = order.IDs(nil, references, maxReferences)
	if len(m.References) == 0 { // RFC 5256, 3: then In-Reply-To may say it
		m.References = order.IDs(nil, textOf(fields[envelopeInReplyTo]), maxReferences)
		m.References = m.References[:min(len(m.References), 1)]
	}
	for i, id := range m.References {
		m.References[i] = t.once(id)
	}
	t.memory += 16 * len(m.References)
	return m, dated, t.enough()
}

// references answers the field References. Where it was not kept apart when the message came, the header says it.
func (t *threadReader) references(seq uint32, d *mailbox.Detail) (string, error) {
	if d.References != nil {
		return string(d.References), nil
	}
	headed, err := t.view.Detail(t.ctx, seq, mailbox.WantHeader)
	if errors.Is(err, mailbox.ErrExpunged) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var text string
	eachField(headed.Header, func(name, field []byte) {
		if text == "" && strings.EqualFold(string(name), "References") {
			text = string(field)
		}
	})
	return text, nil
}

// once answers a text that equal ones share.
func (t *threadReader) once(s string) string {
	if kept, ok := t.ids[s]; ok {
		return kept
	}
	s = strings.Clone(s)
	t.ids[s] = s
	t.memory += len(s)
	return s
}

func (t *threadReader) enough() error {
	if t.memory > maxSortMemory {
		return errSortMemory()
	}
	return t.ctx.Err()
}

// tellThreads writes the THREAD response. Threads may be as deep as there are messages: they are walked without recursion.
func (s *session) tellThreads(roots []*order.Node, numbers []uint32) {
	type open struct {
		nodes  []*order.Node // siblings still to be told
		only   bool          // they stand behind their parent, in its parentheses
		closes bool          // those of their parent end behind them
	}
	b := append(s.line[:0], "* THREAD"...)
	if len(roots) > 0 {
		b = append(b, ' ')
	}
	levels := []open{{nodes: roots}}
	for len(levels) > 0 {
		level := &levels[len(levels)-1]
		if len(level.nodes) == 0 {
			if level.closes {
				b = append(b, ')')
			}
			levels = levels[:len(levels)-1]
			continue
		}
		n := level.nodes[0]
		level.nodes = level.nodes[1:]
		if !level.only {
			b = append(b, '(')
		}
		if n.Message >= 0 {
			b = strconv.AppendUint(b, uint64(numbers[n.Message]), 10)
			if len(n.Children) > 0 {
				b = append(b, ' ')
			}
		}
		levels = append(levels, open{nodes: n.Children, only: len(n.Children) == 1, closes: !level.only})
		if len(b) > bufferSize/2 {
			s.write(b)
			b = b[:0]
		}
	}
	s.send(append(b, "\r\n"...))
}
