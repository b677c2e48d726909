package embedded

import (
	"bytes"
	"errors"
	netmail "net/mail"
	"strings"
	"time"

	"balorg/store/body"
	"balorg/store/mailbox"
	"balorg/store/mailbox/structure"
	"balorg/store/mailbox/text"
)

// content is a message whose text a search reads, as store/mailbox/text makes it comparable.
type content struct {
	session *session
	seq     uint32
	detail  *mailbox.Detail
	reads   *text.Reader // of the search
	reader  *body.Reader
	err     error // reading failed: the search cannot tell
}

func (c *content) close() {
	if c.reader != nil {
		c.reader.Close() //nolint:errcheck // it was only read
	}
}

func (c *content) open() bool {
	if c.reader == nil && c.err == nil {
		r, err := c.session.view.Open(c.session.ctx, c.seq)
		switch {
		case errors.Is(err, mailbox.ErrExpunged), errors.Is(err, mailbox.ErrUnreadable):
			return false // it matches nothing any more
		case err != nil:
			c.err = err
		default:
			c.reader = r
		}
	}
	return c.err == nil && c.reader != nil
}

// header answers the message's header, of which no more than maxHeader octets are searched.
func (c *content) header() []byte {
	if c.detail.Header != nil {
		return c.detail.Header
	}
	if !c.open() {
		return nil
	}
	d, err := c.session.view.Detail(c.session.ctx, c.seq, mailbox.WantStructure)
	if err != nil {
		return nil // expunged meanwhile
	}
	off, n, _ := d.Section(nil, structure.Header)
	c.detail.Header = c.octets(off, min(n, maxHeader))
	return c.detail.Header
}

func (c *content) octets(off, n int64) []byte {
	b := make([]byte, n)
	if n == 0 {
		return b
	}
	if _, err := c.reader.ReadAt(b, off); err != nil {
		c.err = err
		return nil
	}
	return b
}

// needle is text that is looked for: the sink of a search.
type needle struct {
	*content
	text  []byte // folded
	tail  []byte // the end of what came before, where the text may begin
	found bool
}

// Begin implements text.Sink.
func (n *needle) Begin() { n.tail = n.tail[:0] }

// Take implements text.Sink.
func (n *needle) Take(folded []byte) (enough bool) {
	keep := max(len(n.text)-1, 0)
	n.tail = append(n.tail, folded[:min(keep, len(folded))]...)
	if bytes.Contains(folded, n.text) || bytes.Contains(n.tail, n.text) {
		n.found = true
		return true
	}
	if len(folded) > keep {
		n.tail = append(n.tail[:0], folded[len(folded)-keep:]...)
	}
	n.tail = append(n.tail[:0], n.tail[max(0, len(n.tail)-keep):]...)
	return n.abandoned()
}

// headerHolds tells whether a field of that name (empty: any field) holds the folded text.
func (c *content) headerHolds(field string, wanted []byte) bool {
	n := needle{content: c, text: wanted}
	c.reads.Header(c.header(), field, &n)
	return n.found
}

// bodyHolds tells whether the text of a part, or the header of a message within the message, holds the folded text; with headers
// also those of parts, where the names of attachments stand.
func (c *content) bodyHolds(wanted []byte, headers bool) bool {
	parts, err := c.detail.Parts()
	if err != nil {
		c.err = err
		return false
	}
	if len(wanted) == 0 {
		return true
	}
	if !c.open() {
		return false
	}
	n := needle{content: c, text: wanted}
	if _, err := c.reads.Body(parts, c.reader, headers, &n); err != nil {
		c.err = err
	}
	return n.found
}

// abandoned tells whether nobody waits for the answer any more: a search may take long.
func (c *content) abandoned() bool {
	if err := c.session.ctx.Err(); err != nil {
		c.err = err
	}
	return c.err != nil
}

// sent is the date of the message's Date field, as its sender wrote it.
func (c *content) sent() (t time.Time, ok bool) {
	eachField(c.header(), func(name, field []byte) {
		if ok || !strings.EqualFold(string(name), "Date") {
			return
		}
		value := strings.TrimSpace(text.Field(field[bytes.IndexByte(field, ':')+1:]))
		var err error
		if t, err = netmail.ParseDate(value); err != nil {
			t, err = parseDay(value)
		}
		ok = err == nil
	})
	return t, ok
}

// parseDay reads the day of a date whose time or zone nobody understands: searches ask for no more.
func parseDay(s string) (time.Time, error) {
	words := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' })
	if len(words) > 0 && (words[0][0] < '0' || words[0][0] > '9') { // the day of the week, in whatever language
		words = words[1:]
	}
	return time.Parse("2 Jan 2006", strings.Join(words[:min(len(words), 3)], " "))
}
