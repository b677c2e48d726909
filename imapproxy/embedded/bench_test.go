package embedded_test

import (
	"bytes"
	"fmt"
	"testing"

	"balorg/imapproxy/embedded"
)

// BenchmarkFetch measures one FETCH of 10 000 messages, read to its tagged answer.
func BenchmarkFetch(b *testing.B) {
	const messages = 10_000
	c := dial(b, newServer(b), embedded.Who{})
	for range messages {
		c.say("a APPEND INBOX {%d+}\r\n%s\r\n", len(mixed), mixed)
		c.until("a")
	}
	c.ok("SELECT INBOX")
	for _, items := range []string{"FLAGS", "BODY.PEEK[HEADER]", "BODY.PEEK[HEADER.FIELDS (From Subject Date)]", "ENVELOPE", "BODYSTRUCTURE", "BODY.PEEK[]"} {
		b.Run(items, func(b *testing.B) {
			buf := make([]byte, 64<<10)
			for b.Loop() {
				fmt.Fprintf(c.conn, "z FETCH 1:* (%s)\r\n", items)
				octets, kept := 0, 0
				for !bytes.HasSuffix(buf[:kept], []byte("\r\nz OK FETCH completed\r\n")) {
					kept = copy(buf, buf[max(0, kept-64):kept])
					n, err := c.conn.Read(buf[kept:])
					if err != nil {
						b.Fatal(err)
					}
					octets, kept = octets+n, kept+n
				}
				b.SetBytes(int64(octets))
			}
		})
	}
}
