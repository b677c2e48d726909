// Package text is what a search sees of a message: header fields with their encoded words decoded (RFC 2047), text parts by their transfer
// encoding and charset, and all of it folded, so that case and composition do not matter.
//
// Whatever reads messages for a search, and the index that narrows searches, goes through this package: what one of them sees the other sees,
// octet for octet. A change of what is seen is a change of Version.
package text

import (
	"bytes"
	"encoding/base64"
	"hash/crc32"
	"io"
	"mime"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"

	"balorg/store/mailbox/structure"
)

// seen is to be raised with every change of what this package makes of a message.
const seen = 1

// Version names what this package makes of messages, which depends on the tables of its libraries, too.
func Version() uint16 {
	sum := crc32.ChecksumIEEE([]byte(norm.Version + "/" + cases.UnicodeVersion))
	return uint16(sum) + seen
}

// MaxHeader is how many octets of a header are looked at.
const MaxHeader = 1 << 20

// Sink takes folded text.
type Sink interface {
	// Begin begins a text: nothing is found across its border.
	Begin()
	// Take takes the next octets of it, and tells whether enough has been seen. It is called once at least for each text, and may not keep the slice.
	Take(folded []byte) (enough bool)
}

// Reader reads messages. It holds buffers, and is for one goroutine at a time. The zero value works.
type Reader struct {
	fold     folder
	raw, out []byte
	words    *mime.WordDecoder
}

// chunk is how many octets of a text are decoded at a time.
const chunk = 16 << 10

// Header hands the fields of that name in a header block to the sink, without the name and its colon; of an empty name all fields, with theirs.
func (r *Reader) Header(block []byte, name string, s Sink) (enough bool) {
	for len(block) > 0 {
		n := FieldLength(block)
		field := block[:n]
		block = block[n:]
		colon := bytes.IndexByte(field, ':')
		if colon <= 0 {
			continue
		}
		if name != "" {
			if called := bytes.TrimRight(field[:colon], " \t"); len(called) != len(name) || !strings.EqualFold(name, string(called)) {
				continue
			}
			field = field[colon+1:]
		}
		if r.field(field, s) {
			return true
		}
	}
	return false
}

// Values hands all fields to the sink as Header does that are asked for by name.
func (r *Reader) Values(block []byte, s Sink) {
	for len(block) > 0 {
		n := FieldLength(block)
		if colon := bytes.IndexByte(block[:n], ':'); colon > 0 {
			r.field(block[colon+1:n], s)
		}
		block = block[n:]
	}
}

// FieldLength is how long the field is that a header block begins with: its line and those that continue it.
func FieldLength(block []byte) int {
	n := 0
	for {
		eol := bytes.IndexByte(block[n:], '\n')
		if eol < 0 {
			return len(block)
		}
		n += eol + 1
		if n == len(block) || block[n] != ' ' && block[n] != '\t' {
			return n
		}
	}
}

func (r *Reader) field(field []byte, s Sink) (enough bool) {
	r.raw = appendUnfolded(r.raw[:0], field)
	text := r.raw
	if !utf8.Valid(text) || bytes.Contains(text, []byte("=?")) {
		text = []byte(r.decode(string(text)))
	}
	s.Begin()
	r.out, _ = r.fold.append(r.out[:0], text, true)
	return s.Take(r.out)
}

// appendUnfolded appends a field on one line. A fold is one space, whatever the sender's program indents with: nobody searches for a tab.
func appendUnfolded(dst, field []byte) []byte {
	folded := false
	for _, c := range field {
		switch {
		case c == '\r' || c == '\n':
			folded = true
			continue
		case folded && (c == ' ' || c == '\t'):
			continue
		case folded:
			dst = append(dst, ' ')
		}
		folded = false
		dst = append(dst, c)
	}
	return dst
}

// Field unfolds a field, or what follows its colon, and decodes its encoded words.
func Field(b []byte) string { return Decode(string(appendUnfolded(nil, b))) }

// Decode decodes the encoded words of an unfolded field.
func Decode(s string) string { return new(Reader).decode(s) }

func (r *Reader) decode(s string) string {
	if !utf8.ValidString(s) {
		if latin, err := charmap.Windows1252.NewDecoder().String(s); err == nil {
			s = latin
		}
	}
	if !strings.Contains(s, "=?") {
		return s
	}
	if r.words == nil {
		r.words = &mime.WordDecoder{CharsetReader: func(charset string, r io.Reader) (io.Reader, error) {
			return charsetOf(charset).NewDecoder().Reader(r), nil
		}}
	}
	if decoded, err := r.words.DecodeHeader(s); err == nil {
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

// Body hands the text parts of a message to the sink, and the headers of messages within the message; with headers also those of parts, where
// the names of attachments stand. A part that cannot be decoded to its end is one that ends there: mail is often broken.
func (r *Reader) Body(parts []structure.Part, m io.ReaderAt, headers bool, s Sink) (enough bool, err error) {
	for i, p := range parts {
		inner := i > 0 && parts[i-1].Kind == structure.Message && parts[i-1].Depth < p.Depth
		if inner || headers && p.Depth > 0 {
			block := make([]byte, min(p.Body-p.Header, MaxHeader))
			if len(block) > 0 { // reading nothing at the end would err
				if _, err := m.ReadAt(block, p.Header); err != nil {
					return false, err
				}
			}
			if r.Header(block, "", s) {
				return true, nil
			}
		}
		if p.Kind != structure.Leaf || !strings.HasPrefix(p.Type, "text/") {
			continue
		}
		if enough, err := r.part(p, m, s); enough || err != nil {
			return enough, err
		}
	}
	return false, nil
}

func (r *Reader) part(p structure.Part, m io.ReaderAt, s Sink) (enough bool, err error) {
	octets := &failing{r: io.NewSectionReader(m, p.Body, p.End-p.Body)}
	var src io.Reader = octets
	switch p.Encoding {
	case "base64":
		src = base64.NewDecoder(base64.StdEncoding, &base64Only{r: src})
	case "quoted-printable":
		src = transform.NewReader(src, quotedPrintable{})
	}
	if p.Charset != "" && p.Charset != "utf-8" && p.Charset != "us-ascii" {
		src = transform.NewReader(src, charsetOf(p.Charset).NewDecoder())
	}
	enough = r.stream(src, s)
	return enough, octets.err
}

// failing notes that a message cannot be read, which decoders take for the end of the text.
type failing struct {
	r   io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && err != io.EOF { // as it is
		f.err = err
	}
	return n, err
}

// stream hands a text to the sink.
func (r *Reader) stream(src io.Reader, s Sink) (enough bool) {
	s.Begin()
	if cap(r.raw) < chunk {
		r.raw = make([]byte, chunk)
	}
	buf, kept := r.raw[:cap(r.raw)], 0
	for idle := 0; ; {
		n, err := src.Read(buf[kept:])
		ends := err != nil
		if n == 0 && !ends {
			if idle++; idle > maxIdle {
				ends = true
			}
		}
		text := buf[:kept+n]
		var used int
		r.out, used = r.fold.append(r.out[:0], text, ends)
		if s.Take(r.out) {
			return true
		}
		if ends {
			return false
		}
		kept = copy(buf, text[used:])
	}
}

// maxIdle is how often a reader may answer nothing and no error (io.Reader allows it) until it counts as ended.
const maxIdle = 100

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
