package imapproxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// BenchmarkBody fetches bodies of 100 KB over loopback, through client, proxy, trace and embedded store.
func BenchmarkBody(b *testing.B) {
	f := newFixture(b, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go f.proxy.Serve(b.Context(), conn, false)
		}
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 64<<10)
	do := func(tag, command string) {
		fmt.Fprintf(conn, "%s %s\r\n", tag, command)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				b.Fatal(err)
			}
			if strings.HasPrefix(line, tag+" ") {
				if !strings.HasPrefix(line, tag+" OK") {
					b.Fatal(line)
				}
				return
			}
		}
	}
	do("a", "LOGIN "+claire+" ok")
	m := message("large") + strings.Repeat("Les octets d'un message de taille moyenne, ligne par ligne.\r\n", 1600)
	do("b", fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(m), m))
	do("c", "SELECT INBOX")
	b.SetBytes(int64(len(m)))
	b.ReportAllocs()
	line := make([]byte, 0, 64)
	for b.Loop() {
		if _, err := conn.Write(append(line, "d UID FETCH 1 (BODY.PEEK[])\r\n"...)); err != nil {
			b.Fatal(err)
		}
		if _, err := r.ReadString('\n'); err != nil {
			b.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, r, int64(len(m))); err != nil {
			b.Fatal(err)
		}
		for range 2 { // the end of FETCH, the answer
			if _, err := r.ReadString('\n'); err != nil {
				b.Fatal(err)
			}
		}
	}
}
