package main

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
)

// sink is the next hop of the servers compared: it answers at once, keeps nothing and counts. It reads messages in blocks, since its
// processor time is taken from those it serves.
type sink struct {
	listener net.Listener
	serving  sync.WaitGroup
	taken    atomic.Int64
	mu       sync.Mutex
	conns    map[net.Conn]bool
	wanted   atomic.Int64
	reached  chan struct{} // closed with the message that was wanted
}

func startSink() (*sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{listener: l, conns: make(map[net.Conn]bool)}
	s.serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[conn] = true
			s.mu.Unlock()
			s.serving.Go(func() {
				s.serve(conn)
				conn.Close() //nolint:errcheck // the dialogue is over
				s.mu.Lock()
				delete(s.conns, conn)
				s.mu.Unlock()
			})
		}
	})
	return s, nil
}

func (s *sink) address() string { return s.listener.Addr().String() }

func (s *sink) stop() error {
	err := s.listener.Close()
	s.mu.Lock()
	for conn := range s.conns {
		conn.Close() //nolint:errcheck // it is cut off
	}
	s.mu.Unlock()
	s.serving.Wait()
	return err
}

// after answers a channel that is closed when so many more messages have come.
func (s *sink) after(n int) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reached = make(chan struct{})
	s.wanted.Store(s.taken.Load() + int64(n))
	return s.reached
}

func (s *sink) take() {
	if n := s.taken.Add(1); n == s.wanted.Load() {
		s.mu.Lock()
		close(s.reached)
		s.mu.Unlock()
	}
}

const ehloReply = "250-sink.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n"

// dialogue is what has been read of a connection and not been used, and what is to be answered.
type dialogue struct {
	buffer, out    []byte
	content, ended bool
}

// serve answers all that has been read in one write.
func (s *sink) serve(conn net.Conn) {
	const block = 64 << 10
	d := dialogue{buffer: make([]byte, 0, block), out: []byte("220 sink.example ESMTP\r\n")}
	for {
		if _, err := conn.Write(d.out); err != nil || d.ended {
			return
		}
		d.out = d.out[:0]
		for len(d.out) == 0 {
			n, err := conn.Read(d.buffer[len(d.buffer):block])
			if err != nil {
				return
			}
			d.buffer = d.buffer[:len(d.buffer)+n]
			s.answer(&d)
		}
	}
}

// answer takes what is whole out of the buffer and adds the answers.
func (s *sink) answer(d *dialogue) {
	rest := d.buffer
	end := []byte("\r\n.\r\n")
	for !d.ended {
		if d.content {
			at := bytes.Index(rest, end)
			if at < 0 {
				rest = rest[max(0, len(rest)-len(end)+1):]
				break
			}
			rest, d.content = rest[at+len(end):], false
			d.out = append(d.out, "250 2.0.0 Ok\r\n"...)
			s.take()
			continue
		}
		line, after, whole := bytes.Cut(rest, []byte("\r\n"))
		if !whole {
			break
		}
		rest = after
		switch verb := string(bytes.ToUpper(line[:min(len(line), 4)])); verb {
		case "EHLO":
			d.out = append(d.out, ehloReply...)
		case "DATA":
			d.out, d.content = append(d.out, "354 Go ahead\r\n"...), true
		case "QUIT":
			d.out, d.ended = append(d.out, "221 2.0.0 Bye\r\n"...), true
		default:
			d.out = append(d.out, "250 2.0.0 Ok\r\n"...)
		}
	}
	d.buffer = d.buffer[:copy(d.buffer, rest)]
}
