package wire

import (
	"bytes"
	"io"
)

// CopyRun copies the current response as Copy does, and with it, in one write, those behind it that are here whole already and
// are FETCH responses. The answer to a FETCH of thousands of messages passes at little more than the cost of its octets.
//
// None of those is offered to anybody: the caller must want all FETCH responses that have been read copied.
func (r *ResponseReader) CopyRun(w io.Writer) error {
	own := len(r.resp.line)
	if r.resp.partial || r.resp.isText() {
		return r.Copy(w)
	}
	here := r.br.behind(own)
	end := whole(here)
	if end == 0 {
		return r.Copy(w)
	}
	for isFetch(here[end:]) {
		n := whole(here[end:])
		if n == 0 {
			break
		}
		end += n
	}
	r.open = false
	r.br.skip(end - own)
	_, err := w.Write(here[:end])
	return err
}

// whole answers the length of the response, one that is no text for people, that b begins with; 0: b does not hold all of it.
func whole(b []byte) int {
	for at := 0; ; {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return 0
		}
		line := b[at : at+i+1]
		at += len(line)
		n, ok := announcedLiteral(line)
		if !ok {
			return at
		}
		if n > int64(len(b)-at) {
			return 0
		}
		at += int(n)
	}
}

// isFetch tells whether b begins with "* 12 FETCH ", as servers write it.
func isFetch(b []byte) bool {
	const shortest, longest = len("* 1"), len("* 123456789") // any such number is one
	if len(b) < shortest || b[0] != '*' || b[1] != ' ' || b[2] < '1' || b[2] > '9' {
		return false
	}
	i := shortest
	for i < len(b) && i < longest && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	return bytes.HasPrefix(b[i:], []byte(" FETCH "))
}
