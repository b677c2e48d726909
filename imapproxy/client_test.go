package imapproxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// tcpPair is both ends of a connection over loopback.
func tcpPair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

// TestSplice: a literal passes from one connection to another whole and in order among what is buffered, and its end is noticed.
func TestSplice(t *testing.T) {
	literal := bytes.Repeat([]byte("0123456789abcdef"), (3*spliced+100)/16)
	for name, plain := range map[string]bool{"in the kernel": true, "through us": false} {
		t.Run(name, func(t *testing.T) {
			toStore, store := tcpPair(t)
			client, toClient := tcpPair(t)
			conn := toClient
			if !plain {
				conn = struct{ net.Conn }{toClient}
			}
			o := newOutput(&clientConn{Conn: conn, idle: time.Minute})
			go store.Write(literal)
			got := make(chan []byte)
			go func() {
				all, err := io.ReadAll(client)
				if err != nil {
					t.Error(err)
				}
				got <- all
			}()
			o.printf("before")
			n, err := io.CopyN(clientWriter{o.bw}, toStore, int64(len(literal)))
			if n != int64(len(literal)) || err != nil {
				t.Errorf("copied %d, %v", n, err)
			}
			o.printf("behind")
			go func() {
				store.Write([]byte("half"))
				store.Close()
			}()
			if n, err := io.CopyN(clientWriter{o.bw}, toStore, outBuffer); n != 4 || !errors.Is(err, io.EOF) {
				t.Errorf("copied %d of a literal that is cut off, %v", n, err)
			}
			if err := o.flush(); err != nil {
				t.Error(err)
			}
			toClient.Close()
			want := append(append([]byte("before"), literal...), "behindhalf"...)
			if all := <-got; !bytes.Equal(all, want) {
				t.Errorf("%d octets of %d arrived", len(all), len(want))
			}
		})
	}
}
