package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// conn is a client that parses as little as it can: lines, literals, tags.
type conn struct {
	net.Conn
	r      *bufio.Reader
	tag    int
	octets int64 // of literals read
}

func dial(address string, secure bool) (*conn, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	if secure {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the server is our own child
	}
	k := &conn{Conn: c, r: bufio.NewReaderSize(c, 64<<10)}
	if _, err := k.r.ReadSlice('\n'); err != nil {
		return nil, err
	}
	return k, nil
}

// do sends a command and reads up to its answer, which must be OK; it answers the number of responses.
func (c *conn) do(command string) (responses int, err error) {
	c.tag++
	tag := "b" + strconv.Itoa(c.tag)
	if _, err := io.WriteString(c, tag+" "+command+"\r\n"); err != nil {
		return 0, err
	}
	return c.await(tag)
}

func (c *conn) await(tag string) (responses int, err error) {
	for {
		line, err := c.r.ReadSlice('\n')
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

const (
	smallFolder = "small"
	largeFolder = "large"
)

func rows() []row {
	// What Thunderbird asks of each message of a folder it has not seen.
	const wanted = "From To Cc Bcc Subject Date Message-ID Priority X-Priority References Newsgroups In-Reply-To Content-Type Reply-To"
	return []row{
		{"header FETCH", func(c *conn, n sizes) error {
			if _, err := c.do("EXAMINE " + smallFolder); err != nil {
				return err
			}
			got, err := c.do("UID FETCH 1:* (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (" + wanted + ")])")
			if err == nil && got < n.headers {
				err = fmt.Errorf("%d responses for %d messages", got, n.headers)
			}
			return err
		}},
		{"bodies, one command", func(c *conn, n sizes) error {
			if _, err := c.do("EXAMINE " + largeFolder); err != nil {
				return err
			}
			c.octets = 0
			_, err := c.do("UID FETCH 1:* (BODY.PEEK[])")
			return checkOctets(c, n, err)
		}},
		{"bodies, a command each", func(c *conn, n sizes) error {
			if _, err := c.do("EXAMINE " + largeFolder); err != nil {
				return err
			}
			c.octets = 0
			for i := range n.bodies {
				if _, err := c.do(fmt.Sprintf("FETCH %d (BODY.PEEK[])", i+1)); err != nil {
					return err
				}
			}
			return checkOctets(c, n, nil)
		}},
	}
}

func checkOctets(c *conn, n sizes, err error) error {
	if want := int64(n.bodies) * int64(n.octets); err == nil && c.octets < want {
		err = fmt.Errorf("%d octets of %d", c.octets, want)
	}
	return err
}

// fill puts the messages into a server's two folders.
func (s *server) fill(n sizes) error {
	c, err := s.login(false)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // everything was answered
	for _, f := range []struct {
		name          string
		count, octets int
	}{{smallFolder, n.headers, 2_000}, {largeFolder, n.bodies, n.octets}} {
		if _, err := c.do("CREATE " + f.name); err != nil {
			return err
		}
		for first := 0; first < f.count; first += window {
			if err := c.appendSome(f.name, first, min(window, f.count-first), f.octets); err != nil {
				return err
			}
		}
	}
	return nil
}

// window is how many APPENDs are in flight.
const window = 50

func (c *conn) appendSome(folder string, first, count, octets int) error {
	var b bytes.Buffer
	for i := first; i < first+count; i++ {
		m := message(i, octets)
		fmt.Fprintf(&b, "a%d APPEND %s {%d+}\r\n%s\r\n", i, folder, len(m), m)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(b.Bytes())
		sent <- err
	}()
	for i := first; i < first+count; i++ {
		if _, err := c.await("a" + strconv.Itoa(i)); err != nil {
			return err
		}
	}
	return <-sent
}

// message is the i-th, of so many octets, with the header fields a message of our days has.
func message(i, octets int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Return-Path: <person%d@medecin.mssante.fr>\r\nReceived: from relay.example.net by mail.example.net with ESMTPS id %[1]d\r\n\tfor <secretariat@sapins.mssante.fr>; Mon, 23 Nov 2026 10:00:00 +0100\r\n"+
		"Date: Mon, 23 Nov 2026 10:00:00 +0100\r\nFrom: Dr Person %[1]d <person%[1]d@medecin.mssante.fr>\r\nTo: =?utf-8?q?Secr=C3=A9tariat?= <secretariat@sapins.mssante.fr>\r\n"+
		"Subject: =?utf-8?q?R=C3=A9sultats_du_dossier_%[1]d?=\r\nMessage-ID: <%[1]d.bench@medecin.mssante.fr>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n", i)
	const line = "Les résultats sont joints ; merci de confirmer leur bonne réception au cabinet.\r\n"
	for b.Len() < octets {
		b.WriteString(line)
	}
	return b.String()
}
