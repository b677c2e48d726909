package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// recipient is at another operator, to whom everything is relayed.
const recipient = "dr.martin@chu-exemple.mssante.fr"

// submitter is a client that sends one message after the other: envelope and DATA in one write, the message in another.
type submitter struct {
	net.Conn
	r      *bufio.Reader
	forget func() bool
}

// submit connects and logs in where the server has people who do.
func (b *bench) submit(s *server) (*submitter, error) {
	conn, forget, err := b.connect(s.submission)
	if err != nil {
		return nil, err
	}
	c := &submitter{Conn: conn, r: bufio.NewReader(conn), forget: forget}
	err = c.await("220")
	if err == nil {
		err = c.do("EHLO client.example\r\n", "250")
	}
	if err == nil && s.user != "" {
		err = c.do("AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00"+s.user+"\x00"+s.password))+"\r\n", "235")
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Close ends the connection.
func (c *submitter) Close() error {
	c.forget()
	return c.Conn.Close()
}

func (c *submitter) do(command string, codes ...string) error {
	if err := c.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	if _, err := c.Write([]byte(command)); err != nil {
		return err
	}
	return c.await(codes...)
}

// await reads replies, whose last lines must have these codes.
func (c *submitter) await(codes ...string) error {
	for _, code := range codes {
		for {
			line, err := c.r.ReadSlice('\n')
			if err != nil {
				return err
			}
			if len(line) > 3 && line[3] == '-' {
				continue
			}
			if !bytes.HasPrefix(line, []byte(code)) {
				return fmt.Errorf("answer %q", line)
			}
			break
		}
	}
	return nil
}

// send sends one message.
func (c *submitter) send(content []byte) error {
	if err := c.do("MAIL FROM:<"+person+">\r\nRCPT TO:<"+recipient+">\r\nDATA\r\n", "250", "250", "354"); err != nil {
		return err
	}
	if err := c.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	if _, err := c.Write(content); err != nil {
		return err
	}
	return c.await("250")
}

// letters make messages of one size, each with an id of its own.
type letters struct{ head, tail string }

func newLetters(octets int) letters {
	l := letters{
		head: "From: Dr Claire Durand <" + person + ">\r\nTo: <" + recipient + ">\r\nSubject: Compte rendu\r\n" +
			"Date: Mon, 23 Nov 2026 10:00:00 +0100\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\nMessage-ID: <",
		tail: ".bench@client.example>\r\n\r\n",
	}
	const line = "Les resultats sont joints ; merci de confirmer leur bonne reception au cabinet.\r\n"
	var b strings.Builder
	b.WriteString(l.tail)
	for b.Len()+len(l.head) < octets {
		b.WriteString(line)
	}
	b.WriteString(".\r\n")
	l.tail = b.String()
	return l
}

func (l letters) make(to []byte, n int64) []byte {
	return append(strconv.AppendInt(append(to[:0], l.head...), n, 10), l.tail...)
}

// submitted is what sending some messages came to.
type submitted struct {
	wall time.Duration // until the last was accepted
	p99  time.Duration // of the time from MAIL until a message was accepted
}

// serial numbers all messages of a run: none is like another.
type serial struct{ atomic.Int64 }

// perConnection is how many messages one connection carries: servers count them.
const perConnection = 500

// submitAll sends messages over some sessions at a time, all of which have connected before.
func (b *bench) submitAll(s *server, sessions, messages, octets int, ids *serial) (r submitted, began time.Time, err error) {
	var clients []*submitter
	defer func() {
		for _, c := range clients {
			err = errors.Join(err, c.Close())
		}
	}()
	for range sessions {
		c, err := b.submit(s)
		if err != nil {
			return r, began, err
		}
		clients = append(clients, c)
	}
	l := newLetters(octets)
	var left atomic.Int64
	left.Store(int64(messages))
	times, failures := make([][]time.Duration, sessions), make([]error, sessions)
	began = time.Now()
	var sending sync.WaitGroup
	for i := range clients {
		sending.Go(func() {
			var content []byte
			for left.Add(-1) >= 0 && failures[i] == nil {
				content = l.make(content, ids.Add(1))
				start := time.Now()
				failures[i] = clients[i].send(content)
				times[i] = append(times[i], time.Since(start))
				if failures[i] == nil && len(times[i])%perConnection == 0 {
					failures[i] = b.renew(&clients[i], s)
				}
			}
		})
	}
	sending.Wait()
	r.wall = time.Since(began)
	all := slices.Concat(times...)
	slices.Sort(all)
	r.p99 = all[len(all)*99/100]
	return r, began, errors.Join(failures...)
}

// renew puts another connection in the place of one.
func (b *bench) renew(c **submitter, s *server) error {
	next, err := b.submit(s)
	if err != nil {
		return err
	}
	former := *c
	*c = next
	return former.Close()
}
