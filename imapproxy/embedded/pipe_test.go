package embedded

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func testPool() *sync.Pool {
	return &sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }}
}

// TestRing: octets come out as they went in, whatever the sizes of writes and reads, though the ring holds few.
func TestRing(t *testing.T) {
	for _, size := range []int{1, 7, 1000, bufferSize - 1, bufferSize, bufferSize + 1, 3 * bufferSize} {
		r := newRing(testPool())
		want := bytes.Repeat([]byte("0123456789"), 20_000)
		go func() {
			for rest := want; len(rest) > 0; {
				n := min(size, len(rest))
				if _, err := r.write(rest[:n], nil); err != nil {
					t.Errorf("write: %v", err)
				}
				rest = rest[n:]
			}
			r.end()
		}()
		got, err := io.ReadAll(ringReader{r})
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("writes of %d: %d octets, %v", size, len(got), err)
		}
		if r.buf != nil {
			t.Errorf("writes of %d: an empty ring keeps its memory", size)
		}
	}
}

// TestRingCoalesces: the reader is not woken before the writer has finished, or has written much.
func TestRingCoalesces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRing(testPool())
		got := make(chan int)
		go func() {
			buf := make([]byte, bufferSize)
			for {
				n, err := r.read(buf, nil)
				if err != nil {
					close(got)
					return
				}
				got <- n
			}
		}()
		for range 10 {
			if _, err := r.write([]byte("12345"), nil); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		select {
		case n := <-got:
			t.Errorf("%d octets were read before flush", n)
		default:
		}
		r.flush()
		if n := <-got; n != 50 {
			t.Errorf("%d octets at once, want 50", n)
		}
		if _, err := r.write(make([]byte, bufferSize/2), nil); err != nil {
			t.Fatal(err)
		}
		if n := <-got; n != bufferSize/2 {
			t.Errorf("%d octets of half a ring", n)
		}
		r.cut()
		<-got
	})
}

// TestRingWaits: a writer waits for a slow reader, and no longer than its deadline.
func TestRingWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConn(testPool(), func() {})
		if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		n, err := c.Write(make([]byte, bufferSize+5))
		if n != bufferSize || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("wrote %d in %v: %v", n, time.Since(start), err)
		}
		if _, err := c.Read(make([]byte, 5)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %v", err)
		}
		if err := c.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		go func() {
			if _, err := c.out.write([]byte("later"), nil); err != nil {
				t.Error(err)
			}
			c.out.flush()
		}()
		if n, err := c.Read(make([]byte, 9)); n != 5 || err != nil {
			t.Errorf("read after the deadline was lifted: %d, %v", n, err)
		}
		// A deadline reaches a Read that waits already, also one that comes earlier than the last.
		if err := c.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		go func() {
			if err := c.SetReadDeadline(time.Now()); err != nil {
				t.Error(err)
			}
		}()
		start = time.Now()
		if _, err := c.Read(make([]byte, 9)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 0 {
			t.Errorf("read after %v: %v", time.Since(start), err)
		}
		close(c.ended)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if _, err := c.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("write after close: %v", err)
		}
		if _, err := c.Read([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("read after close: %v", err)
		}
	})
}

// run is a piece for tests.
type run struct {
	t        *testing.T
	text     []byte
	failAt   int64
	released int
}

var errPiece = errors.New("cannot be read")

func (r *run) octets(left, max int64) ([]byte, error) {
	if r.released > 0 {
		r.t.Error("asked after its release")
	}
	if r.failAt > 0 && left <= r.failAt {
		return nil, errPiece
	}
	at := int64(len(r.text)) - left
	return r.text[at : at+min(left, max, 1000)], nil
}

func (r *run) release() { r.released++ }

// TestRingPasses: what is passed comes between what was written before and after, whether it is read or copied, and is released then.
func TestRingPasses(t *testing.T) {
	for _, size := range []int{1, 500, bufferSize + 10} {
		for _, copies := range []bool{false, true} {
			r := newRing(testPool())
			want := make([]byte, 0, 200_000)
			var pieces []*run
			for i := range 5 {
				text := bytes.Repeat([]byte{'a' + byte(i)}, size)
				pieces = append(pieces, &run{t: t, text: bytes.Repeat([]byte{'A' + byte(i)}, 2500)})
				want = append(append(want, text...), pieces[i].text...)
			}
			go func() {
				for i, p := range pieces {
					if _, err := r.write(bytes.Repeat([]byte{'a' + byte(i)}, size), nil); err != nil {
						t.Error(err)
					}
					if err := r.pass(p, int64(len(p.text))); err != nil {
						t.Error(err)
					}
				}
				r.end()
			}()
			var got []byte
			var err error
			if copies {
				var b bytes.Buffer
				_, err = r.copyTo(&b, int64(len(want)), nil)
				got = b.Bytes()
			} else {
				got, err = io.ReadAll(ringReader{r})
			}
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d octets between, copied %v: %d octets, %v", size, copies, len(got), err)
			}
			for i, p := range pieces {
				if p.released != 1 {
					t.Errorf("piece %d was released %d times", i, p.released)
				}
			}
			if r.buf != nil || r.flushed {
				t.Error("an empty ring keeps its memory")
			}
		}
	}
}

// TestRingPassesNoMore: a piece that fails, or that nobody waits for any more, ends the ring and is released once, whoever is at it.
func TestRingPassesNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRing(testPool())
		p := &run{t: t, text: make([]byte, 3000), failAt: 1000}
		if err := r.pass(p, 3000); err != nil {
			t.Fatal(err)
		}
		blocked := make(chan error)
		second := &run{t: t, text: make([]byte, 10)}
		go func() { blocked <- r.pass(second, 10) }()
		var b bytes.Buffer
		if n, err := r.copyTo(&b, 3000, nil); n != 2000 || !errors.Is(err, errPiece) {
			t.Errorf("copied %d, %v", n, err)
		}
		if err := <-blocked; !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the next: %v", err)
		}
		if p.released != 1 || second.released != 1 {
			t.Errorf("released %d and %d times", p.released, second.released)
		}
		if _, err := r.write([]byte("x"), nil); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("write: %v", err)
		}
	})
	for _, lent := range []bool{false, true} {
		r := newRing(testPool())
		p := &run{t: t, text: make([]byte, 3000)}
		if err := r.pass(p, 3000); err != nil {
			t.Fatal(err)
		}
		r.flush()
		if lent {
			if part, ok, err := r.lend(10); len(part) != 10 || !ok || err != nil {
				t.Fatal(len(part), ok, err)
			}
		}
		r.cut()
		if lent && p.released != 0 {
			t.Error("released while somebody works on it")
		}
		if lent {
			r.giveBack(10)
		}
		if p.released != 1 {
			t.Errorf("lent %v: released %d times", lent, p.released)
		}
	}
}

// TestRingPassesQuietly: whoever waits is not woken before flush, and a writer that has to wait flushes.
func TestRingPassesQuietly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRing(testPool())
		got := make(chan int, 9)
		go func() {
			buf := make([]byte, 100)
			for {
				n, err := r.read(buf, nil)
				if err != nil {
					close(got)
					return
				}
				got <- n
			}
		}()
		synctest.Wait()
		if err := r.pass(&run{t: t, text: make([]byte, 40)}, 40); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(got) > 0 {
			t.Error("it was woken")
		}
		if err := r.pass(&run{t: t, text: make([]byte, 30)}, 30); err != nil { // waits for the one before
			t.Fatal(err)
		}
		if n := <-got; n != 40 {
			t.Errorf("%d octets", n)
		}
		r.end()
		if n := <-got; n != 30 {
			t.Errorf("then %d octets", n)
		}
		<-got
	})
}
