package wire

import (
	"bytes"
	"errors"
	"io"
)

// DotWriter writes the content of a message as DATA carries it: a dot is put before each line that begins with one, and Close writes
// the line that ends the message. A CR or an LF that stands alone becomes CRLF, so that no server sees an end of the
// message, or commands behind it, that we have not written.
//
// It writes in the pieces it is given: w should be buffered.
type DotWriter struct {
	w     io.Writer
	start bool // at the start of a line
	cr    bool // a CR has been held back until what follows is known
	err   error
}

// NewDotWriter writes to w.
func NewDotWriter(w io.Writer) *DotWriter { return &DotWriter{w: w, start: true} }

// Write writes content. After an error nothing more is written, the end least of all.
func (d *DotWriter) Write(p []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	if d.cr && len(p) > 0 {
		d.cr = false
		d.put("\r\n")
		d.start = true
		if p[0] == '\n' {
			p = p[1:]
			return d.write(p, 1)
		}
	}
	return d.write(p, 0)
}

// write writes p, before which already octets of the caller's are done with.
func (d *DotWriter) write(p []byte, already int) (int, error) {
	done := 0 // of p
	for done < len(p) && d.err == nil {
		rest := p[done:]
		if d.start && rest[0] == '.' {
			d.put(".")
		}
		n := d.run(rest)
		if n > 0 {
			d.raw(rest[:n])
			done += n
			continue
		}
		done++
		switch { // a CR or an LF that stands alone, or a CR at the end
		case rest[0] == '\r' && len(rest) == 1:
			d.cr = true
		default:
			d.put("\r\n")
			d.start = true
		}
	}
	if d.err != nil {
		return already, d.err
	}
	return already + done, nil
}

// run answers how many octets can be written as they are. The first has its dot already.
func (d *DotWriter) run(p []byte) int {
	n := 0
	for n < len(p) {
		rest := p[n:]
		if n > 0 && d.start && rest[0] == '.' {
			return n
		}
		at := bytes.IndexByte(rest, '\n')
		line := rest
		if at >= 0 {
			line = rest[:at]
		}
		cr := bytes.IndexByte(line, '\r')
		if at > 0 && cr == at-1 {
			d.start = true
			n += at + 1
			continue
		}
		if cr >= 0 {
			line = line[:cr]
		}
		if len(line) > 0 {
			d.start = false
		}
		return n + len(line)
	}
	return n
}

// errEnd is what writes behind the end of a message answer.
var errEnd = errors.New("the end of the message has been written")

// Close writes the end of the message, once. It closes nothing.
func (d *DotWriter) Close() error {
	if d.cr || !d.start {
		d.put("\r\n")
	}
	d.put(".\r\n")
	err := d.err
	if err == nil {
		d.err = errEnd
	}
	return err
}

func (d *DotWriter) put(s string) {
	if d.err == nil {
		_, d.err = io.WriteString(d.w, s)
	}
}

func (d *DotWriter) raw(p []byte) {
	if d.err == nil {
		_, d.err = d.w.Write(p)
	}
}
