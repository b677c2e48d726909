package ldapserver_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-ldap/ldap/v3"

	"balorg/ldapserver"
	"balorg/ldapserver/ber"
	"balorg/ldapserver/directory"
	"balorg/ldapserver/entry"
	"balorg/ldapserver/filter"
	"balorg/ldapserver/ldaptest"
	"balorg/ldapserver/schema"
	"balorg/ldapserver/wire"
)

// raw is a client that sends octets.
type raw struct {
	t    *testing.T
	conn net.Conn
	buf  []byte
}

func (f *fixture) raw() *raw {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.address)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return &raw{t: f.t, conn: conn}
}

func (r *raw) send(messages ...[]byte) {
	r.t.Helper()
	if _, err := r.conn.Write(bytes.Join(messages, nil)); err != nil {
		r.t.Fatal(err)
	}
}

// answer is the next message: the number of its request, its operation, and of the end of one its result code and text.
type answer struct {
	id   int32
	op   byte
	code wire.Code
	text string
}

func (r *raw) next() (answer, error) {
	for {
		n, err := wire.Frame(r.buf, 1<<24)
		if err == nil {
			message := r.buf[:n]
			r.buf = r.buf[n:]
			return parseAnswer(message)
		}
		if !errors.Is(err, wire.ErrShort) {
			return answer{}, err
		}
		chunk := make([]byte, 4096)
		n, err = r.conn.Read(chunk)
		r.buf = append(r.buf, chunk[:n]...)
		if n == 0 && err != nil {
			return answer{}, err
		}
	}
}

func parseAnswer(message []byte) (a answer, err error) {
	outer := ber.NewReader(message)
	in := ber.NewReader(outer.Expect(ber.Sequence))
	a.id = in.Int(ber.Integer, 0, 1<<30)
	tag, body := in.Next()
	a.op = tag & 0x1f
	if a.op != wire.SearchEntry {
		result := ber.NewReader(body)
		a.code = wire.Code(result.Int(ber.Enumerated, 0, 200))
		result.Expect(ber.Octets)
		a.text = string(result.Expect(ber.Octets))
		err = result.Err()
	}
	return a, errors.Join(err, in.Err())
}

// want reads the next message, which must be this.
func (r *raw) want(id int32, op byte, code wire.Code) {
	r.t.Helper()
	got, err := r.next()
	if err != nil || got.id != id || got.op != op || got.code != code {
		r.t.Errorf("got %+v %v, want the answer %d to %d with %v", got, err, op, id, code)
	}
}

// wantEnd reads the notice of disconnection and the end.
func (r *raw) wantEnd(code wire.Code) {
	r.t.Helper()
	r.want(0, wire.ExtendedAnswer, code)
	if got, err := r.next(); !errors.Is(err, io.EOF) && !strings.Contains(fmt.Sprint(err), "reset") {
		r.t.Errorf("after the notice: %+v %v", got, err)
	}
}

// message wraps an operation.
func message(id int32, op byte, constructed bool, body []byte, controls ...[]byte) []byte {
	b, mark := ber.Begin(nil, ber.Sequence)
	b = ber.AppendInt(b, ber.Integer, id)
	b = ber.Append(b, ber.Application(op, constructed), body)
	if len(controls) > 0 {
		b = ber.Append(b, ber.Context(0, true), bytes.Join(controls, nil))
	}
	return ber.End(b, mark)
}

func bind(id int32, name, password string) []byte {
	b := ber.AppendInt(nil, ber.Integer, 3)
	b = ber.Append(b, ber.Octets, name)
	return message(id, wire.BindRequest, true, ber.Append(b, ber.Context(0, false), password))
}

// search asks with an encoded filter.
func search(id int32, base string, filter []byte, controls ...[]byte) []byte {
	b := ber.Append(nil, ber.Octets, base)
	b = ber.AppendInt(ber.AppendInt(b, ber.Enumerated, 2), ber.Enumerated, 0)
	b = ber.AppendBool(ber.AppendInt(ber.AppendInt(b, ber.Integer, 0), ber.Integer, 0), false)
	b = append(b, filter...)
	return message(id, wire.SearchRequest, true, ber.Append(b, ber.Sequence, ""), controls...)
}

func equal(attribute, value string) []byte {
	return ber.Append(nil, ber.Context(3, true), ber.Append(ber.Append(nil, ber.Octets, attribute), ber.Octets, value))
}

func extended(id int32, oid string, value []byte) []byte {
	b := ber.Append(nil, ber.Context(0, false), oid)
	if value != nil {
		b = ber.Append(b, ber.Context(1, false), value)
	}
	return message(id, wire.ExtendedRequest, true, b)
}

func nested(depth int) []byte {
	f := equal("cn", "x")
	for range depth {
		f = ber.Append(nil, ber.Context(2, true), f)
	}
	return f
}

func loggedIn(f *fixture) *raw {
	r := f.raw()
	r.send(bind(1, claire, "demo-claire.durand"))
	r.want(1, wire.BindResponse, wire.Success)
	return r
}

// TestBadMessages: what cannot be read ends the connection with a notice; what can be read and not be done is answered, and the connection goes on.
func TestBadMessages(t *testing.T) {
	f := start(t, nil)
	for name, octets := range map[string][]byte{
		"no BER": []byte("GET / HTTP/1.1\r\n\r\n"), "an indefinite length": {0x30, 0x80, 0, 0}, "an absurd length": {0x30, 0x85, 1, 1, 1, 1, 1},
		"a message of 100 MB": {0x30, 0x84, 0x06, 0, 0, 0}, "no operation": {0x30, 3, 2, 1, 1}, "an unknown operation": message(1, 29, true, nil),
		"an answer": message(1, wire.SearchDone, true, nil), "the number 0": message(0, wire.DeleteRequest, false, nil), "a negative number": {0x30, 5, 2, 1, 0xff, 0x42, 0},
		"something behind": {0x30, 7, 2, 1, 1, 0x42, 0, 5, 0}, "a bind cut short": message(1, wire.BindRequest, true, []byte{2, 1}), "a search without an end": message(1, wire.SearchRequest, true, []byte{4, 0, 0x0a, 1}),
	} {
		t.Run(name, func(t *testing.T) {
			r := f.raw()
			r.send(octets)
			r.t = t
			r.wantEnd(wire.ProtocolError)
		})
	}
	r := loggedIn(f)
	many := func(n int) []byte { return ber.Append(nil, ber.Context(1, true), bytes.Repeat(equal("cn", "x"), n)) }
	for id, test := range []struct {
		filter []byte
		want   wire.Code
	}{
		{nested(30), wire.Success},
		{nested(32), wire.AdminLimitExceeded},
		{nested(10_000), wire.AdminLimitExceeded},
		{many(255), wire.Success},
		{many(5000), wire.AdminLimitExceeded},
		{[]byte{0xa3, 2, 4, 0}, wire.ProtocolError},                      // half an assertion
		{ber.Append(nil, ber.Context(2, true), ""), wire.ProtocolError},  // NOT of nothing
		{ber.Append(nil, ber.Context(10, true), ""), wire.ProtocolError}, // no such operation
		{[]byte{0xa4, 6, 4, 2, 'c', 'n', 0x30, 0}, wire.Success},         // no part of a value, as Thunderbird sends
		{[]byte{0xa4, 8, 4, 2, 'c', 'n', 0x30, 2, 0x81, 0}, wire.Success},
		{equal("cn", "\xff\xfe"), wire.Success},
		{equal("cn", "a*b(c)"), wire.Success},
		{equal(strings.Repeat("x", 500), "y"), wire.Success},
	} {
		r.send(search(int32(id+2), suffix, test.filter))
		r.want(int32(id+2), wire.SearchDone, test.want)
	}
	r.send(search(90, suffix, equal("sn", "durand")))
	r.want(90, wire.SearchEntry, 0)
	r.want(90, wire.SearchDone, wire.Success)
}

// TestVersion: another version is refused, and the client may try again.
func TestVersion(t *testing.T) {
	r := start(t, nil).raw()
	b := ber.AppendInt(nil, ber.Integer, 2)
	r.send(message(1, wire.BindRequest, true, ber.Append(ber.Append(b, ber.Octets, ""), ber.Context(0, false), "")), bind(2, claire, "demo-claire.durand"))
	r.want(1, wire.BindResponse, wire.ProtocolError)
	r.want(2, wire.BindResponse, wire.Success)
}

// TestSegments: a message may come octet by octet, in lengths longer than needed, and many in one piece.
func TestSegments(t *testing.T) {
	r := loggedIn(start(t, nil))
	for _, c := range search(2, suffix, equal("sn", "durand")) {
		r.send([]byte{c})
	}
	r.want(2, wire.SearchEntry, 0)
	r.want(2, wire.SearchDone, wire.Success)
	var all []byte
	for id := range int32(500) {
		whole := search(id+3, suffix, equal("sn", "durand"))
		_, header, length, _ := ber.Header(whole)
		all = append(all, 0x30, 0x84, 0, 0, byte(length>>8), byte(length)) // as Microsoft's clients do
		all = append(all, whole[header:]...)
	}
	go r.conn.Write(all)
	for id := range int32(500) {
		r.want(id+3, wire.SearchEntry, 0)
		r.want(id+3, wire.SearchDone, wire.Success)
	}
}

func control(oid string, critical bool, value []byte) []byte {
	b, mark := ber.Begin(nil, ber.Sequence)
	b = ber.Append(b, ber.Octets, oid)
	if critical {
		b = ber.AppendBool(b, true)
	}
	if value != nil {
		b = ber.Append(b, ber.Octets, value)
	}
	return ber.End(b, mark)
}

// TestControls: critical ones that nobody knows are refused, others passed over.
func TestControls(t *testing.T) {
	r := loggedIn(start(t, nil))
	id := int32(2)
	for _, test := range []struct {
		controls [][]byte
		want     wire.Code
	}{
		{[][]byte{control("1.2.3.4", true, nil)}, wire.UnavailableCriticalExtension},
		{[][]byte{control("1.2.3.4", false, []byte("x"))}, wire.Success},
		{[][]byte{control(wire.ControlManageDsaIT, true, nil)}, wire.Success},
		{[][]byte{control(wire.ControlPaged, true, nil)}, wire.ProtocolError},
		{[][]byte{control(wire.ControlPaged, false, []byte("garbage"))}, wire.ProtocolError},
		{[][]byte{control(wire.ControlSort, false, []byte{0x30, 0})}, wire.ProtocolError},
		{[][]byte{control(wire.ControlManageDsaIT, false, nil), control(wire.ControlManageDsaIT, false, nil)}, wire.ProtocolError},
		{[][]byte{control(wire.ControlProxied, true, []byte("u:"+paul))}, wire.UnavailableCriticalExtension},
		{[][]byte{control(wire.ControlVLV, true, []byte{0x30, 0x0e, 2, 1, 0, 2, 1, 0, 0xa0, 6, 2, 1, 1, 2, 1, 0})}, wire.SortControlMissing},
	} {
		r.send(search(id, suffix, equal("sn", "nobody"), test.controls...))
		r.want(id, wire.SearchDone, test.want)
		id++
	}
	r.send(message(id, wire.DeleteRequest, false, []byte("x"), control("1.2.3.4", true, nil)))
	r.want(id, wire.DeleteResponse, wire.UnwillingToPerform)
	r.send(message(id+1, wire.UnbindRequest, false, nil))
	if _, err := r.next(); !errors.Is(err, io.EOF) {
		t.Errorf("after unbind: %v", err)
	}
}

// TestProxied: only accounts that are configured act for others, and see what these see.
func TestProxied(t *testing.T) {
	f := start(t, func(o *ldapserver.Options) { o.Proxies = []string{"Claire.Durand@clinique-des-sapins.fr"} })
	f.national(1, valjean())
	for _, test := range []struct {
		by, id string
		want   int
		code   uint16
	}{
		{"claire.durand", "u:" + lea, 2, 0},
		{"claire.durand", "dn:mail=" + lea + ",ou=local," + suffix, 2, 0},
		{"claire.durand", "u:urgences@clinique-des-sapins.fr*paul.bernard@clinique-des-sapins.fr", 0, 0},
		{"claire.durand", "u:urgences@clinique-des-sapins.fr*noemie.martin@clinique-des-sapins.fr", 0, uint16(wire.AuthorizationDenied)},
		{"claire.durand", "", 0, ldap.LDAPResultInsufficientAccessRights},
		{"paul.bernard", "u:" + lea, 0, uint16(wire.AuthorizationDenied)},
	} {
		r := request("(|(sn=petit)(sn=valjean))", "mail")
		r.Controls = []ldap.Control{ldap.NewControlString(wire.ControlProxied, true, test.id)}
		result, err := f.as(test.by).Search(r)
		if code := codeOf(t, err); code != test.code || (code == 0 && len(result.Entries) != test.want) {
			t.Errorf("%s for %q: %v %v", test.by, test.id, result, err)
		}
	}
}

// distant is another directory; it answers when it is let.
type distant struct {
	entries []*entry.Entry
	err     error
	asked   chan struct{}
	let     chan struct{}
}

// Search implements ldapserver.Remote.
func (d *distant) Search(ctx context.Context, _ *filter.Filter, _ int) ([]*entry.Entry, error) {
	if d.asked != nil {
		d.asked <- struct{}{}
		select {
		case <-d.let:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return d.entries, d.err
}

func person(mail, sn string) *entry.Entry {
	e := new(entry.Entry)
	e.Set(schema.CN, sn)
	e.Set(schema.SN, sn)
	e.Set(schema.Mail, mail)
	e.Set(schema.ObjectClass, "top", "person")
	return e
}

func withDistant(t *testing.T, d *distant) *fixture {
	t.Helper()
	return start(t, func(o *ldapserver.Options) { o.Remotes = map[string]ldapserver.Remote{"chu": d} })
}

// TestRemote: another directory's entries come along, but for ours; when it is down the rest comes with a result that says so.
func TestRemote(t *testing.T) {
	d := &distant{entries: []*entry.Entry{person("z@chu.exemple.fr", "Zola"), person("A@chu.exemple.fr", "Durand"), person(lea, "Durand"), person("other@chu.exemple.fr", "Other")}}
	f := withDistant(t, d)
	c := f.as("claire.durand")
	got, code := found(t, c, "(|(sn=durand)(sn=zola))")
	if want := []string{"A@chu.exemple.fr", claire, "z@chu.exemple.fr"}; !slices.Equal(got, want) || code != 0 {
		t.Errorf("found %v (%d), want %v", got, code, want)
	}
	if got, _ := found(t, f.as("urgences@clinique-des-sapins.fr*claire.durand@clinique-des-sapins.fr"), "(sn=zola)"); len(got) > 0 {
		t.Errorf("a mailbox without MSSanté address reaches %v", got)
	}
	sorted := request("(|(sn=durand)(sn=zola))", "mail")
	sorted.Controls = []ldap.Control{ldap.NewControlServerSideSortingWithSortKeys([]*ldap.SortKey{{AttributeType: "sn", Reverse: true}})}
	pages, err := c.SearchWithPaging(sorted, 1)
	if err != nil || len(pages.Entries) != 3 || pages.Entries[0].GetAttributeValue("mail") != "z@chu.exemple.fr" {
		t.Errorf("sorted in pages: %v %v", pages, err)
	}
	pages, err = c.SearchWithPaging(request("(|(sn=durand)(sn=zola))", "mail"), 1)
	if err != nil || len(pages.Entries) != 3 {
		t.Errorf("in pages: %v %v", pages, err)
	}
	d.entries, d.err = nil, errors.New("no route to host")
	result, err := c.Search(request("(sn=durand)", "mail"))
	if code := codeOf(t, err); code != ldap.LDAPResultUnavailable || len(result.Entries) != 1 || !strings.Contains(err.Error(), "chu cannot be asked") || strings.Contains(err.Error(), "route") {
		t.Errorf("down: %v %v", result, err)
	}
}

// TestAbandonAndCancel: what waits for another directory holds up nothing, and ends when it is told to.
func TestAbandonAndCancel(t *testing.T) {
	d := &distant{asked: make(chan struct{}), let: make(chan struct{}), entries: []*entry.Entry{person("z@chu.exemple.fr", "Zola")}}
	r := loggedIn(withDistant(t, d))
	for id := int32(10); id < 13; id++ {
		r.send(search(id, suffix, equal("sn", "zola")))
		<-d.asked
	}
	r.send(search(20, "ou=local,"+suffix, equal("sn", "durand")))
	r.want(20, wire.SearchEntry, 0)
	r.want(20, wire.SearchDone, wire.Success)
	r.send(message(21, wire.AbandonRequest, false, []byte{10}), extended(22, wire.ExtensionCancel, []byte{0x30, 3, 2, 1, 11}))
	r.want(11, wire.SearchDone, wire.Canceled)
	r.want(22, wire.ExtendedAnswer, wire.Success)
	r.send(extended(23, wire.ExtensionCancel, []byte{0x30, 3, 2, 1, 99}), message(24, wire.AbandonRequest, false, []byte{98}))
	r.want(23, wire.ExtendedAnswer, wire.NoSuchOperation)
	d.let <- struct{}{}
	r.want(12, wire.SearchEntry, 0)
	r.want(12, wire.SearchDone, wire.Success)
	// So many wait at once and no more; a bind abandons them. It waits for those that were abandoned before, too, which may hold a place still.
	r.send(bind(29, claire, "demo-claire.durand"))
	r.want(29, wire.BindResponse, wire.Success)
	for id := int32(30); id < 38; id++ {
		r.send(search(id, suffix, equal("sn", "zola")))
		<-d.asked
	}
	r.send(search(38, suffix, equal("sn", "zola")))
	r.want(38, wire.SearchDone, wire.Busy)
	r.send(bind(40, claire, "demo-claire.durand"))
	r.want(40, wire.BindResponse, wire.Success)
	r.send(search(41, suffix, equal("sn", "zola")))
	<-d.asked
	r.send(search(41, suffix, equal("sn", "zola"))) // the same number again
	r.wantEnd(wire.ProtocolError)
}

// TestAbandonStorm: requests to abandon what was never asked, or is done, cost next to nothing and are answered by nothing.
func TestAbandonStorm(t *testing.T) {
	r := loggedIn(start(t, nil))
	var storm []byte
	for id := range int32(20_000) {
		storm = append(storm, message(id+2, wire.AbandonRequest, false, ber.AppendInt(nil, ber.Integer, id)[2:])...)
	}
	r.send(storm, extended(30_000, wire.ExtensionWhoAmI, nil))
	r.want(30_000, wire.ExtendedAnswer, wire.Success)
}

// TestStartTLS: nobody logs in before TLS; what was sent behind the request in the clear ends the connection.
func TestStartTLS(t *testing.T) {
	web := httptest.NewTLSServer(nil)
	defer web.Close()
	f := start(t, func(o *ldapserver.Options) { o.InsecureBind, o.TLS = false, web.TLS })
	c := f.dial()
	if code := codeOf(t, c.Bind(claire, "demo-claire.durand")); code != ldap.LDAPResultConfidentialityRequired {
		t.Errorf("in the clear: %d", code)
	}
	if len(f.trace) > 0 {
		t.Error("a password in the clear was looked at")
	}
	if err := c.StartTLS(clientTLS(web)); err != nil {
		t.Fatal(err)
	}
	if err := c.Bind(claire, "demo-claire.durand"); err != nil {
		t.Error(err)
	}
	if got, _ := found(t, c, "(sn=durand)"); len(got) != 1 {
		t.Errorf("found %v", got)
	}
	r := f.raw()
	r.send(extended(1, wire.ExtensionStartTLS, nil), bind(2, claire, "demo-claire.durand"))
	if got, err := r.next(); !errors.Is(err, io.EOF) && !strings.Contains(fmt.Sprint(err), "reset") {
		t.Errorf("StartTLS with a bind behind it: %+v %v", got, err)
	}
}

// TestSASLPlain: the authorization identity opens a mailbox as in IMAP.
func TestSASLPlain(t *testing.T) {
	f := start(t, nil)
	f.national(1, valjean())
	sasl := func(id int32, mechanism, credentials string) []byte {
		b := ber.Append(ber.AppendInt(nil, ber.Integer, 3), ber.Octets, "")
		inner := ber.Append(nil, ber.Octets, mechanism)
		if credentials != "" {
			inner = ber.Append(inner, ber.Octets, credentials)
		}
		return message(id, wire.BindRequest, true, ber.Append(b, ber.Context(3, true), inner))
	}
	r := f.raw()
	r.send(sasl(1, "PLAIN", "urgences@clinique-des-sapins.fr\x00claire.durand@clinique-des-sapins.fr\x00demo-claire.durand"), search(2, suffix, equal("sn", "valjean")))
	r.want(1, wire.BindResponse, wire.Success)
	r.want(2, wire.SearchDone, wire.Success) // the mailbox has no MSSanté address
	r.send(sasl(3, "PLAIN", ""))
	r.want(3, wire.BindResponse, wire.SASLBindInProgress)
	r.send(sasl(4, "PLAIN", "\x00claire.durand@clinique-des-sapins.fr\x00demo-claire.durand"), search(5, suffix, equal("sn", "valjean")))
	r.want(4, wire.BindResponse, wire.Success)
	r.want(5, wire.SearchEntry, 0)
	r.want(5, wire.SearchDone, wire.Success)
	r.send(sasl(6, "LOGIN", ""), sasl(7, "DIGEST-MD5", ""), sasl(8, "PLAIN", "garbage"))
	r.want(6, wire.BindResponse, wire.AuthMethodNotSupported)
	r.want(7, wire.BindResponse, wire.AuthMethodNotSupported)
	r.want(8, wire.BindResponse, wire.InvalidCredentials)
}

// TestGreedyClient: one who asks and does not read is not served into memory.
func TestGreedyClient(t *testing.T) {
	f := start(t, nil)
	f.national(200)
	r := loggedIn(f)
	if tcp, ok := r.conn.(*net.TCPConn); ok {
		tcp.SetReadBuffer(4096)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r.conn.SetWriteDeadline(time.Now().Add(2 * time.Second))
	all := ber.Append(nil, ber.Context(7, false), "mail")
	sent := 0
	for ; sent < 2000; sent++ {
		if _, err := r.conn.Write(search(2, suffix, all)); err != nil {
			break // the server takes no more, as it should not
		}
	}
	runtime.ReadMemStats(&after)
	if after.HeapAlloc > before.HeapAlloc+64<<20 {
		t.Errorf("%d MB for %d answers that nobody reads", (after.HeapAlloc-before.HeapAlloc)>>20, sent)
	}
}

// TestStop: clients are told.
func TestStop(t *testing.T) {
	f := start(t, nil)
	r := loggedIn(f)
	list := f.sessions.List()
	if len(list) != 1 || !f.sessions.End(list[0].ID, "by an administrator") {
		t.Fatalf("sessions %v", list)
	}
	got, err := r.next()
	if err != nil || got.id != 0 || got.code != wire.Unavailable || got.text != "by an administrator" {
		t.Errorf("told %+v %v", got, err)
	}
}

// FuzzConnection: whatever is sent, before a bind and after, the server neither fails nor hangs.
func FuzzConnection(f *testing.F) {
	for _, seed := range [][]byte{
		bind(1, claire, "demo-claire.durand"), search(2, suffix, equal("sn", "durand")), search(2, "ou=local,"+suffix, nested(3), control(wire.ControlPaged, true, []byte{0x30, 5, 2, 1, 2, 4, 0})),
		extended(3, wire.ExtensionWhoAmI, nil), extended(3, wire.ExtensionCancel, []byte{0x30, 3, 2, 1, 11}), message(4, wire.AbandonRequest, false, []byte{1}), message(5, wire.UnbindRequest, false, nil),
		message(6, wire.CompareRequest, true, ber.Append(ber.Append(nil, ber.Octets, "mail="+claire+",ou=local,"+suffix), ber.Sequence, ber.Append(ber.Append(nil, ber.Octets, "sn"), ber.Octets, "x"))),
		search(7, suffix, equal("cn", "x"), control(wire.ControlSort, true, []byte{0x30, 6, 0x30, 4, 4, 2, 's', 'n'}), control(wire.ControlVLV, true, []byte{0x30, 0x0e, 2, 1, 0, 2, 1, 0, 0xa0, 6, 2, 1, 1, 2, 1, 0})),
		message(8, wire.ModifyRequest, true, nil),
		search(9, suffix, equal("sn", "durand"), control(wire.ControlValues, false, ber.Append(nil, ber.Sequence, equal("cn", "claire durand")))),
		bytes.Join([][]byte{search(10, suffix, equal("sn", "durand")), search(11, suffix, equal("sn", "martin")), search(12, suffix, equal("sn", "\xff"))}, nil),
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, octets []byte, login bool) {
		fence := &faults{t: t}
		fx := fuzzed(t, fence)
		client, server := net.Pipe()
		go func() {
			if login {
				client.Write(bind(1, claire, "demo-claire.durand"))
			}
			client.Write(octets)
			client.Write(message(99, wire.UnbindRequest, false, nil))
			client.Close()
		}()
		go io.Copy(io.Discard, client)
		fx.Serve(t.Context(), server)
	})
}

var errFence = errors.New("a request was not survived")

// faults fails the test when the fence against panics had to hold.
type faults struct{ t *testing.T }

// Write implements io.Writer, of a log.
func (f *faults) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("not survived")) {
		f.t.Errorf("%v: %s", errFence, p)
	}
	return len(p), nil
}

// fuzzed is a server without a listener, whose log goes to w.
func fuzzed(t *testing.T, w io.Writer) *ldapserver.Server {
	t.Helper()
	f := &fixture{t: t, directory: directory.New(nil)}
	if err := f.directory.SetAccounts(ldaptest.Snapshot(t)); err != nil {
		t.Fatal(err)
	}
	s, err := ldapserver.New(ldapserver.Options{
		Directory: f.directory, Auth: f, Trace: f, Sessions: &f.sessions, InsecureBind: true, Logger: slog.New(slog.NewTextHandler(w, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// clientTLS trusts a test server's certificate.
func clientTLS(web *httptest.Server) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	return &tls.Config{RootCAs: roots, ServerName: "example.com"}
}

// TestIdle: a connection on which nobody has logged in is closed after a minute, and one on which somebody has after the time configured; one that is used is not.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fuzzed(t, io.Discard)
		for _, test := range []struct {
			login bool
			after time.Duration
		}{{false, time.Minute}, {true, 15 * time.Minute}} {
			client, server := net.Pipe()
			ended := make(chan time.Time)
			go func() {
				s.Serve(t.Context(), server)
				ended <- time.Now()
			}()
			go io.Copy(io.Discard, client)
			if test.login {
				client.Write(bind(1, claire, "demo-claire.durand"))
			}
			for range 3 {
				time.Sleep(test.after / 2)
				client.Write(extended(2, wire.ExtensionWhoAmI, nil))
			}
			synctest.Wait()
			last := time.Now()
			if got := (<-ended).Sub(last); got < test.after-15*time.Second || got > test.after {
				t.Errorf("closed after %v, want %v", got, test.after)
			}
			client.Close()
		}
	})
}
