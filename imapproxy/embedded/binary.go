package embedded

import (
	"bytes"
	"io"
	"math"

	"balorg/imapproxy/wire"
	"balorg/store/mailbox/structure"
	"balorg/store/mailbox/text"
)

// decoded is a section without its transfer encoding (RFC 3516).
type decoded struct {
	missing bool // there is no such part
	part    structure.Part
	size    int64
	nul     bool // it holds NUL, so that it is sent as a literal8
}

// decode finds out what the items of BINARY are, before anything of the response is written: a part whose encoding nobody knows fails the
// command (RFC 3516, 4.3).
func (s *source) decode(size int64) error {
	s.decoded = make([]decoded, len(s.f.items))
	for i, item := range s.f.items {
		if item.Kind != wire.ItemBinary && item.Kind != wire.ItemBinarySize {
			continue
		}
		d, err := s.binaryPart(item.Path, size)
		if err != nil {
			return err
		}
		if !d.missing {
			if err := s.measure(&d, item); err != nil {
				return err
			}
		}
		s.decoded[i] = d
	}
	return nil
}

// binaryPart finds a part. The message itself, and a part that holds others, have no encoding to be undone.
func (s *source) binaryPart(path []int, size int64) (d decoded, err error) {
	if len(path) == 0 {
		d.part = structure.Part{End: size}
		return d, nil
	}
	off, n, ok := s.detail.Section(path, structure.All)
	if !ok {
		return decoded{missing: true}, nil
	}
	parts, err := s.detail.Parts()
	if err != nil {
		return d, err
	}
	for _, p := range parts {
		if p.Body == off && p.End == off+n {
			d.part = p
			break
		}
	}
	d.part.Body, d.part.End = off, off+n
	if d.part.Kind != structure.Leaf {
		d.part.Encoding = ""
	}
	if _, known := s.reading(d.part); !known {
		return d, no("UNKNOWN-CTE", "The encoding of a part is not known")
	}
	return d, nil
}

// reading answers the octets of a part without its transfer encoding; false when that is not known.
func (s *source) reading(p structure.Part) (io.Reader, bool) {
	return text.Undo(io.NewSectionReader(s.reader, p.Body, p.End-p.Body), p.Encoding)
}

// measure finds out how long a part is and whether it holds NUL, as far as a piece that is asked for reaches.
func (s *source) measure(d *decoded, item wire.FetchItem) error {
	end := int64(math.MaxInt64)
	if item.Partial && item.Count < end-item.Offset {
		end = item.Offset + item.Count
	}
	r, _ := s.reading(d.part)
	buf := s.f.buffer()
	defer s.f.srv.buffers.Put(buf)
	for {
		n, err := r.Read(*buf)
		d.size += int64(n)
		d.nul = d.nul || bytes.IndexByte((*buf)[:n], 0) >= 0
		if err != nil {
			return s.f.ctx.Err() // of the reader: what cannot be decoded ends the part, as with SEARCH
		}
		if err := s.f.ctx.Err(); err != nil || d.size >= end {
			return err
		}
	}
}

// binary writes a decoded part, or a piece of it.
func (s *source) binary(b []byte, d *decoded, item wire.FetchItem) ([]byte, error) {
	if d.missing {
		return append(b, "NIL"...), nil
	}
	from, n := partial(item, d.size)
	if d.nul {
		b = append(b, '~')
	}
	b = s.begin(wire.AppendLiteralHead(b, n))
	r, _ := s.reading(d.part)
	if _, err := io.CopyN(io.Discard, r, from); err != nil {
		return nil, errBroken
	}
	return b, s.f.copyExactly(r, n)
}

// copyExactly writes n octets of what is read. Fewer leave an announced literal unfinished.
func (s *session) copyExactly(r io.Reader, n int64) error {
	buf := s.buffer()
	defer s.srv.buffers.Put(buf)
	for n > 0 && s.lost == nil {
		m, err := r.Read((*buf)[:min(n, bufferSize)])
		s.write((*buf)[:m])
		if n -= int64(m); err != nil && n > 0 || s.ctx.Err() != nil {
			return errBroken
		}
	}
	return s.lost
}
