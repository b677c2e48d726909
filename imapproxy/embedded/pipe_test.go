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
