package imapproxy

import (
	"fmt"
	"io"
	"sync"

	"balorg/imapproxy/wire"
)

const clientBuffer = 4 << 10

// output is the way to the client. Its lock is held for a whole response, so that what several mail stores and the session
// itself say never mixes.
type output struct {
	mu sync.Mutex
	bw *buffer
	// compressor, once COMPRESS is on, sits between bw and the connection and is flushed after it.
	compressor *compressor
	// torn says that a response was cut off. Nothing may follow: the client would take it for the rest of a message.
	torn bool
}

func newOutput(w io.Writer) *output { return &output{bw: newBuffer(w)} }

// printf writes one or more whole lines.
func (o *output) printf(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.torn {
		return
	}
	fmt.Fprintf(o.bw, format, args...) //nolint:errcheck // the buffer keeps the error for flush
}

// write writes whole lines made elsewhere.
func (o *output) write(b []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.torn {
		return
	}
	o.bw.Write(b) //nolint:errcheck // the buffer keeps the error for flush
}

// relay copies the mail store's current response.
func (o *output) relay(r *wire.ResponseReader) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.whole(r.Copy(clientWriter{o.bw}))
}

// whole notes that a response did not come to its end.
func (o *output) whole(err error) error {
	o.torn = o.torn || err != nil
	return err
}

// relayRun copies the mail store's current response and the FETCH responses that have been read behind it.
func (o *output) relayRun(r *wire.ResponseReader) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.whole(r.CopyRun(clientWriter{o.bw}))
}

// flush sends what is buffered. Its error means that the client is gone; reading from it will tell the session.
func (o *output) flush() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.bw.Flush(); err != nil {
		return err
	}
	if o.compressor != nil {
		return o.compressor.Flush()
	}
	return nil
}

// clientError tells a failure of the client's side from one of the mail store's in a copy between both.
type clientError struct{ err error }

func (e *clientError) Error() string { return "writing to the client: " + e.err.Error() }
func (e *clientError) Unwrap() error { return e.err }

type clientWriter struct{ w *buffer }

// ReadFrom has the system move octets from one connection to the other where it can; it is how a mail store's connection sends a
// literal on.
func (c clientWriter) ReadFrom(r io.Reader) (int64, error) {
	n, err := c.w.ReadFrom(r)
	if err != nil {
		return n, &clientError{err}
	}
	return n, nil
}

func (c clientWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if err != nil {
		return n, &clientError{err}
	}
	return n, nil
}
