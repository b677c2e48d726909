package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// conn is a client that parses as little as it can: lines, literals, tags.
type conn struct {
	net.Conn
	r      *bufio.Reader
	tag    int
	octets int64 // of literals read
	forget func() bool
}

// Sizes and times of the client.
const (
	readBuffer = 16 << 10
	answerTime = 2 * time.Minute // for one command: a server that takes longer hangs
)

// connect connects; the end of the run cuts the connection, until that is forgotten.
func (b *bench) connect(address string) (conn net.Conn, forget func() bool, err error) {
	conn, err = (&net.Dialer{}).DialContext(b.ctx, "tcp", address)
	if err != nil {
		return nil, nil, err
	}
	return conn, context.AfterFunc(b.ctx, func() { conn.Close() }), nil //nolint:errcheck // it is lost anyway
}

// dial connects; the end of the run cuts the connection.
func (b *bench) dial(address string, secure bool) (*conn, error) {
	raw, forget, err := b.connect(address)
	if err != nil {
		return nil, err
	}
	c := raw
	if secure {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the server is our own child
	}
	k := &conn{Conn: c, r: bufio.NewReaderSize(c, readBuffer)}
	k.forget = forget
	if err := k.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return nil, errors.Join(err, k.Close())
	}
	greeting, err := k.r.ReadSlice('\n')
	if err == nil && !bytes.HasPrefix(greeting, []byte("* OK")) {
		err = fmt.Errorf("greeting %q", greeting)
	}
	if err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return k, nil
}

// Close ends the connection.
func (c *conn) Close() error {
	c.forget()
	return c.Conn.Close()
}

func (b *bench) login(s *server, secure bool) (*conn, error) {
	address := s.plain
	if secure {
		address = s.tls
	}
	c, err := b.dial(address, secure)
	if err != nil {
		return nil, err
	}
	if _, err := c.do(fmt.Sprintf("LOGIN %s %s", s.user, s.password)); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// do sends a command and reads up to its answer, which must be OK; it answers the number of responses.
func (c *conn) do(command string) (responses int, err error) {
	tag, err := c.send(command)
	if err != nil {
		return 0, err
	}
	return c.await(tag)
}

func (c *conn) send(command string) (tag string, err error) {
	if err := c.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return "", err
	}
	c.tag++
	tag = "b" + strconv.Itoa(c.tag)
	_, err = io.WriteString(c, tag+" "+command+"\r\n")
	return tag, err
}

// idle starts IDLE and does not end it.
func (c *conn) idle() error {
	if _, err := c.send("IDLE"); err != nil {
		return err
	}
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		switch line[0] {
		case '+':
			return c.SetDeadline(time.Time{})
		case '*':
		default:
			return fmt.Errorf("answer %q", line)
		}
	}
}

// line reads a line. Of one that is longer than the buffer, as the numbers of a SORT are, it answers the beginning and the end.
func (c *conn) line() ([]byte, error) {
	const beginning = 64
	line, err := c.r.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	head := bytes.Clone(line[:beginning])
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = c.r.ReadSlice('\n')
	}
	return append(head, line...), err
}

func (c *conn) await(tag string) (responses int, err error) {
	for {
		line, err := c.line()
		if err != nil {
			return responses, err
		}
		if bytes.HasPrefix(line, []byte(tag+" ")) {
			if !bytes.HasPrefix(line[len(tag)+1:], []byte("OK")) {
				return responses, fmt.Errorf("answer %q", line)
			}
			return responses, nil
		}
		if err := c.skipLiterals(line); err != nil {
			return responses, err
		}
		responses++
	}
}

func (c *conn) skipLiterals(line []byte) error {
	for {
		text := strings.TrimRight(string(line), "\r\n")
		open := strings.LastIndexByte(text, '{')
		if open < 0 || !strings.HasSuffix(text, "}") {
			return nil
		}
		n, err := strconv.Atoi(text[open+1 : len(text)-1])
		if err != nil {
			return nil //nolint:nilerr // braces in a quoted string
		}
		if _, err := c.r.Discard(n); err != nil {
			return err
		}
		c.octets += int64(n)
		if line, err = c.r.ReadSlice('\n'); err != nil {
			return err
		}
	}
}
