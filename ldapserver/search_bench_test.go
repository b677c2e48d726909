package ldapserver_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"balorg/ldapserver"
	"balorg/ldapserver/ber"
	"balorg/ldapserver/directory"
	"balorg/ldapserver/entry"
	"balorg/ldapserver/extraction"
	"balorg/ldapserver/extraction/sample"
	"balorg/ldapserver/index"
	"balorg/ldapserver/schema"
	"balorg/ldapserver/wire"
)

// loop is a connection whose client has no network: each read is the next packet.
type loop struct {
	net.Conn
	packets [][]byte // the first once, the others in turn
	at      int
	rest    []byte        // of the one that is being read
	left    int           // of packets
	heard   *bytes.Buffer // gets what is written; nil: nobody listens
	before  func()        // called before each packet; nil: nothing is
}

func (l *loop) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		if l.left == 0 {
			return 0, io.EOF
		}
		if l.before != nil {
			l.before()
		}
		l.rest = l.packets[l.at]
		l.left--
		if l.at++; l.at == len(l.packets) {
			l.at = 1
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

func (l *loop) Write(p []byte) (int, error) {
	if l.heard != nil {
		return l.heard.Write(p)
	}
	return len(p), nil
}

func (*loop) Close() error                     { return nil }
func (*loop) SetReadDeadline(time.Time) error  { return nil }
func (*loop) SetWriteDeadline(time.Time) error { return nil }
func (*loop) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// searchText asks with the text of a filter.
func searchText(tb testing.TB, id int32, text string, limit int32, attributes ...string) []byte {
	tb.Helper()
	filter, err := ldap.CompileFilter(text)
	if err != nil {
		tb.Fatal(err)
	}
	b := ber.Append(nil, ber.Octets, suffix)
	b = ber.AppendInt(ber.AppendInt(b, ber.Enumerated, int32(wire.Sub)), ber.Enumerated, 0)
	b = ber.AppendBool(ber.AppendInt(ber.AppendInt(b, ber.Integer, limit), ber.Integer, 0), false)
	b = append(b, filter.Bytes()...)
	b, list := ber.Begin(b, ber.Sequence)
	for _, name := range attributes {
		b = ber.Append(b, ber.Octets, name)
	}
	return message(id, wire.SearchRequest, true, ber.End(b, list))
}

// generated is the index of a generated extraction.
func generated(tb testing.TB, rows int) *index.Index {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), extraction.FileName(time.Now()))
	file, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	var b index.Builder
	err = errors.Join(sample.Write(file, sample.Options{Rows: rows, Seed: 1}), file.Close(), directory.ReadEntries(path, func(attributes []entry.Attribute) error {
		b.Add(attributes)
		return nil
	}))
	if err != nil {
		tb.Fatal(err)
	}
	x, err := b.Build(index.Info{}, directory.Constants(time.Now()))
	if err != nil {
		tb.Fatal(err)
	}
	return x
}

// BenchmarkSearch is what a search costs without the system's calls, sixteen in a packet. BALORG_ROWS are the rows of the extraction.
func BenchmarkSearch(b *testing.B) {
	rows, err := strconv.Atoi(os.Getenv("BALORG_ROWS"))
	if err != nil {
		rows = 50_000
	}
	server, d := offline(b, rows, ldapserver.Limits{PerPerson: 1 << 60, PerAddress: 1 << 60}, nil)
	x := d.View().National.Index
	r := rand.New(rand.NewPCG(1, 2))
	name := func(n int) string {
		for {
			key, _ := x.SortKey(schema.CN, r.Uint32N(x.Len()))
			if len(key) > n {
				at := r.IntN(len(key) - n)
				return ldap.EscapeFilter(string(key[at : at+n]))
			}
		}
	}
	for _, kind := range []struct {
		name       string
		limit      int32
		attributes []string
		filter     func() string
	}{
		{"mail", 0, hospitalAsks, func() string { return "(mail=" + ldap.EscapeFilter(string(x.Mail(r.Uint32N(x.Len())))) + ")" }},
		{"five", 100, outlookAsks, func() string { return "(cn=*" + name(5) + "*)" }},
		{"none", 100, outlookAsks, func() string { return "(cn=*" + name(3) + name(3) + "*)" }},
	} {
		b.Run(kind.name, func(b *testing.B) {
			client := &loop{packets: [][]byte{bind(1, claire, "demo-claire.durand")}, left: 1 + b.N/16}
			for n := range 512 {
				var packet []byte
				for i := range 16 {
					packet = append(packet, searchText(b, int32(n*16+i+2), kind.filter(), kind.limit, kind.attributes...)...)
				}
				client.packets = append(client.packets, packet)
			}
			b.ReportAllocs()
			b.ResetTimer()
			before := processorTime(b)
			server.Serve(b.Context(), client)
			b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// processorTime is what the process has taken so far: the clock on the wall tells of other processes, too.
func processorTime(tb testing.TB) time.Duration {
	tb.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// What a hospital's client and Outlook ask for.
var (
	hospitalAsks = []string{"givenName", "sn", "mail", "IdentifiantPP", "TypeIdentifiantPP", "profession", "l"}
	outlookAsks  = []string{
		"cn", "commonName", "mail", "roleOccupant", "display-name", "displayname", "sn", "surname", "co", "organizationName", "o", "givenName", "legacyExchangeDN", "objectClass", "uid",
		"mailNickname", "title", "company", "physicalDeliveryOfficeName", "telephoneNumber",
	}
)
