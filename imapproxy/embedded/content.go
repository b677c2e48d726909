package embedded

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	netmail "net/mail"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"

	"balorg/store/body"
	"balorg/store/mailbox"
	"balorg/store/mailbox/structure"
)

// content is a message whose text a search reads: headers decoded (RFC 2047), parts decoded by their transfer encoding and charset,
// compared without regard to case.
type content struct {
	session *session
	seq     uint32
	detail  *mailbox.Detail
	reader  *body.Reader
	err     error // reading failed: the search cannot tell
}

func (c *content) close() {
	if c.reader != nil {
		c.reader.Close() //nolint:errcheck // it was only read
	}
}

// folding makes text comparable: composed, and without regard to case.
func folding() transform.Transformer { return transform.Chain(norm.NFC, cases.Fold(), norm.NFC) }

func fold(s string) string {
	out, _, err := transform.String(folding(), s)
	if err != nil {
		return strings.ToLower(s)
	}
	return out
}

func (c *content) open() bool {
	if c.reader == nil && c.err == nil {
		r, err := c.session.view.Open(c.session.ctx, c.seq)
		switch {
		case errors.Is(err, mailbox.ErrExpunged):
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
	if _, err := c.reader.ReadAt(b, off); err != nil {
		c.err = err
		return nil
	}
	return b
}

// headerHolds tells whether a field of that name (empty: any field) holds the folded text.
func (c *content) headerHolds(field, needle string) bool {
	return headerHolds(c.header(), field, needle)
}

func headerHolds(header []byte, field, needle string) bool {
	found := false
	eachField(header, func(name, text []byte) {
		if found || field != "" && !strings.EqualFold(field, string(name)) {
			return
		}
		if field != "" {
			text = text[bytes.IndexByte(text, ':')+1:]
		}
		found = needle == "" || strings.Contains(fold(decodeField(text)), needle)
	})
	return found
}

// decodeField unfolds a field and decodes its encoded words. A fold is one space, whatever the sender's program indents with: nobody
// searches for a tab.
func decodeField(b []byte) string {
	unfolded := make([]byte, 0, len(b))
	folded := false
	for _, c := range b {
		switch {
		case c == '\r' || c == '\n':
			folded = true
			continue
		case folded && (c == ' ' || c == '\t'):
			continue
		case folded:
			unfolded = append(unfolded, ' ')
		}
		folded = false
		unfolded = append(unfolded, c)
	}
	s := string(unfolded)
	if !utf8.ValidString(s) {
		if latin, err := charmap.Windows1252.NewDecoder().String(s); err == nil {
			s = latin
		}
	}
	if !strings.Contains(s, "=?") {
		return s
	}
	decoder := mime.WordDecoder{CharsetReader: func(charset string, r io.Reader) (io.Reader, error) {
		return charsetOf(charset).NewDecoder().Reader(r), nil
	}}
	if decoded, err := decoder.DecodeHeader(s); err == nil {
		return decoded
	}
	return s
}

// charsetOf answers how a charset is decoded. An unknown one is taken for Windows-1252, in which every octet means something.
func charsetOf(name string) encoding.Encoding {
	if enc, err := htmlindex.Get(name); err == nil {
		return enc
	}
	return charmap.Windows1252
}

// bodyHolds tells whether the text of a part, or the header of a message within the message, holds the folded text; with headers
// also those of parts, where the names of attachments stand.
func (c *content) bodyHolds(needle string, headers bool) bool {
	parts, err := c.detail.Parts()
	if err != nil {
		c.err = err
		return false
	}
	if needle == "" {
		return true
	}
	if !c.open() {
		return false
	}
	for i, p := range parts {
		inner := i > 0 && parts[i-1].Kind == structure.Message && parts[i-1].Depth < p.Depth
		if (inner || headers && p.Depth > 0) && headerHolds(c.octets(p.Header, min(p.Body-p.Header, maxHeader)), "", needle) {
			return true
		}
		if p.Kind == structure.Leaf && strings.HasPrefix(p.Type, "text/") && c.partHolds(p, needle) {
			return true
		}
		if c.err != nil {
			return false
		}
	}
	return false
}

func (c *content) partHolds(p structure.Part, needle string) bool {
	var r io.Reader = io.NewSectionReader(c.reader, p.Body, p.End-p.Body)
	switch p.Encoding {
	case "base64":
		r = base64.NewDecoder(base64.StdEncoding, &base64Only{r: r})
	case "quoted-printable":
		r = transform.NewReader(r, quotedPrintable{})
	}
	decode := transform.Transformer(encoding.Replacement.NewEncoder()) // what is no UTF-8 is replaced
	if p.Charset != "" && p.Charset != "utf-8" && p.Charset != "us-ascii" {
		decode = charsetOf(p.Charset).NewDecoder()
	}
	buf := c.session.buffer()
	defer c.session.srv.buffers.Put(buf)
	return c.streamHolds(transform.NewReader(r, transform.Chain(decode, folding())), needle, *buf)
}

// streamHolds tells whether r holds needle. A decoding error ends the text: mail is often broken, and what stands before can be
// found.
func (c *content) streamHolds(r io.Reader, needle string, buf []byte) bool {
	kept := 0
	if len(needle) > len(buf)/2 {
		buf = make([]byte, 2*len(needle))
	}
	for !c.abandoned() {
		n, err := r.Read(buf[kept:])
		text := buf[:kept+n]
		if bytes.Contains(text, []byte(needle)) {
			return true
		}
		if err != nil {
			return false
		}
		kept = copy(buf, text[max(0, len(text)-len(needle)+1):])
	}
	return false
}

// abandoned tells whether nobody waits for the answer any more: a search may take long.
func (c *content) abandoned() bool {
	if err := c.session.ctx.Err(); err != nil {
		c.err = err
	}
	return c.err != nil
}

// base64Only drops what is no base64 alphabet, which decoders are to ignore (RFC 2045, 6.8).
type base64Only struct{ r io.Reader }

func (b *base64Only) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	kept := 0
	for _, c := range p[:n] {
		if 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '+' || c == '/' || c == '=' {
			p[kept] = c
			kept++
		}
	}
	return kept, err
}

// sent is the date of the message's Date field, as its sender wrote it.
func (c *content) sent() (t time.Time, ok bool) {
	eachField(c.header(), func(name, text []byte) {
		if ok || !strings.EqualFold(string(name), "Date") {
			return
		}
		value := strings.TrimSpace(decodeField(text[bytes.IndexByte(text, ':')+1:]))
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
