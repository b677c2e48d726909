package exchange

import (
	"bufio"
	"io"
	"net"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Delivery is a message that a sink has answered 250 to.
type Delivery struct {
	MessageID string
	QueueID   string    // of the daemon, as its Received field tells it
	At        time.Time // when the sink began to answer
	Octets    int       // lines counted with one octet for their end
}

// Sink is a next hop that takes everything and remembers when it said so.
type Sink struct {
	listener net.Listener
	serving  sync.WaitGroup

	mu    sync.Mutex
	taken []Delivery
	bad   []string
	conns map[net.Conn]bool
}

// Listen starts a sink.
func Listen() (*Sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Sink{listener: l, conns: make(map[net.Conn]bool)}
	s.serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[conn] = true
			s.mu.Unlock()
			s.serving.Go(func() { s.serve(conn) })
		}
	})
	return s, nil
}

// Address is where it listens.
func (s *Sink) Address() string { return s.listener.Addr().String() }

// Close cuts all connections and waits until they are served.
func (s *Sink) Close() error {
	err := s.listener.Close()
	s.mu.Lock()
	for conn := range s.conns {
		conn.Close() //nolint:errcheck // it is cut off
	}
	s.mu.Unlock()
	s.serving.Wait()
	return err
}

// Taken answers what was delivered, in order.
func (s *Sink) Taken() []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.taken)
}

// Bad answers the beginnings of what was delivered and is no message of a daemon.
func (s *Sink) Bad() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.bad)
}

func (s *Sink) serve(conn net.Conn) {
	defer func() {
		conn.Close() //nolint:errcheck // the dialogue is over
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
	}()
	r := textproto.NewReader(bufio.NewReader(conn))
	reply := "220 sink.example ESMTP"
	for {
		if _, err := io.WriteString(conn, reply+"\r\n"); err != nil {
			return
		}
		line, err := r.ReadLine()
		if err != nil {
			return
		}
		switch verb, _, _ := strings.Cut(strings.ToUpper(line), " "); verb {
		case "EHLO":
			reply = "250-sink.example\r\n250-PIPELINING\r\n250 8BITMIME"
		case "DATA":
			if _, err := io.WriteString(conn, "354 Go ahead\r\n"); err != nil {
				return
			}
			content, err := r.ReadDotBytes() // without what was cut off on the way
			if err != nil {
				return
			}
			s.take(string(content))
			reply = "250 2.0.0 Ok"
		case "QUIT":
			return
		default:
			reply = "250 2.0.0 Ok"
		}
	}
}

var (
	messageIDField = regexp.MustCompile(`(?m)^Message-ID: <(.*)>$`)
	queueIDField   = regexp.MustCompile(`(?m)^Received: by \S+ \(balorg\) with \S+ id ([a-z0-9]+);$`)
)

// maxExcerpt is how much is kept of what is no message.
const maxExcerpt = 1000

func (s *Sink) take(content string) {
	id, queued := messageIDField.FindStringSubmatch(content), queueIDField.FindStringSubmatch(content)
	s.mu.Lock()
	defer s.mu.Unlock()
	if id == nil || queued == nil {
		s.bad = append(s.bad, content[:min(len(content), maxExcerpt)])
		return
	}
	s.taken = append(s.taken, Delivery{ // with copies: else each kept the whole message in memory
		MessageID: strings.Clone(id[1]), QueueID: strings.Clone(queued[1]), At: time.Now(), Octets: len(content),
	})
}
