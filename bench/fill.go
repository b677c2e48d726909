package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// The folders.
const (
	smallFolder = "small"
	largeFolder = "large"
	emptyFolder = "empty"
	arrivals    = "arrivals" // what sessions append to
)

// fill puts the messages into a server's folders.
func (b *bench) fill(s *server) error {
	c, err := b.login(s, false)
	if err != nil {
		return err
	}
	n := b.sizes
	defer c.Close() //nolint:errcheck // everything was answered
	for _, f := range []struct {
		name          string
		count, octets int
	}{{smallFolder, n.headers, 2_000}, {largeFolder, n.bodies, n.octets}, {emptyFolder, 0, 0}, {arrivals, 0, 0}} {
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
