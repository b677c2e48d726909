package ldapserver_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"balorg/ldapserver"
	"balorg/ldapserver/ber"
	"balorg/ldapserver/directory"
	"balorg/ldapserver/ldaptest"
	"balorg/ldapserver/schema"
	"balorg/ldapserver/wire"
)

// offline is a server without a listener that serves the demo's accounts and some generated rows.
func offline(tb testing.TB, rows int, limits ldapserver.Limits, reg prometheus.Registerer) (*ldapserver.Server, *directory.Directory) {
	tb.Helper()
	f := &fixture{directory: directory.New(nil)}
	if err := f.directory.SetAccounts(ldaptest.Snapshot(tb)); err != nil {
		tb.Fatal(err)
	}
	f.directory.SetNational(generated(tb, rows))
	server, err := ldapserver.New(ldapserver.Options{
		Directory: f.directory, Auth: f, Trace: f, Sessions: &f.sessions, InsecureBind: true, Logger: slog.New(slog.DiscardHandler), Limits: limits, Metrics: reg,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return server, f.directory
}

// dialogue answers what a server says to packets that each come once the one before was answered.
func dialogue(tb testing.TB, server *ldapserver.Server, packets ...[]byte) []byte {
	tb.Helper()
	client := &loop{packets: packets, left: len(packets), heard: new(bytes.Buffer)}
	server.Serve(tb.Context(), client)
	return client.heard.Bytes()
}

// form is a search but for the value.
type form struct {
	base       string
	scope      wire.Scope
	limit      int32
	typesOnly  bool
	attribute  string
	attributes []string
}

func (f *form) ask(id int32, value string) []byte {
	b := ber.Append(nil, ber.Octets, f.base)
	b = ber.AppendInt(ber.AppendInt(b, ber.Enumerated, int32(f.scope)), ber.Enumerated, 0)
	b = ber.AppendBool(ber.AppendInt(ber.AppendInt(b, ber.Integer, f.limit), ber.Integer, 3), f.typesOnly)
	b = append(b, equal(f.attribute, value)...)
	b, list := ber.Begin(b, ber.Sequence)
	for _, name := range f.attributes {
		b = ber.Append(b, ber.Octets, name)
	}
	return message(id, wire.SearchRequest, true, ber.End(b, list))
}

var forms = []form{
	{base: suffix, scope: wire.Sub, attribute: "mail", attributes: hospitalAsks},
	{base: suffix, scope: wire.Sub, attribute: "rfc822Mailbox", attributes: []string{"*", "+"}},
	{base: suffix, scope: wire.Sub, attribute: "MAIL", attributes: []string{"entryUUID"}, typesOnly: true},
	{base: suffix, scope: wire.Sub, attribute: "sn", limit: 1},
	{base: suffix, scope: wire.Sub, attribute: "sn", attributes: []string{"1.1"}},
	{base: "OU=Local," + suffix, scope: wire.One, attribute: "sn"},
	{base: "ou=national," + suffix, scope: wire.Sub, attribute: "l", limit: 3},
	{base: "ou=national," + suffix, scope: wire.Base, attribute: "mail"},
	{base: suffix, scope: wire.One, attribute: "ou"},
	{base: suffix, scope: wire.Sub, attribute: "ou"},
	{base: suffix, scope: wire.Subordinates, attribute: "IdentifiantPP"},
	{base: suffix, scope: wire.Sub, attribute: "IdentifiantPM", attributes: []string{"cn"}},
	{base: suffix, scope: wire.Sub, attribute: "objectClass", limit: 7, attributes: []string{"cn"}},
	{base: suffix, scope: wire.Sub, attribute: "entryUUID"},
	{base: suffix, scope: wire.Sub, attribute: "modifyTimestamp", limit: 5},
	{base: suffix, scope: wire.Sub, attribute: "supportedControl"},
	{base: suffix, scope: wire.Sub, attribute: "nosuch"},
	{base: suffix, scope: wire.Sub, attribute: "cn;lang-fr"},
	{base: "mail=" + claire + ",ou=local," + suffix, scope: wire.Base, attribute: "mail"},
	{base: "dc=elsewhere", scope: wire.Sub, attribute: "mail"},
	{base: "no name", scope: wire.Sub, attribute: "mail"},
	{base: suffix, scope: 9, attribute: "mail"},
}

// values are some of an attribute, as they are and as people write them, and what is none.
func (f *form) values(d *directory.Directory) []string {
	a := schema.Lookup([]byte(f.attribute))
	values := []string{"", "nobody@nowhere.fr", "x\xff", "FALSE", "person", "local", strings.Repeat("long", 100), lea, strings.ToUpper(lea), claire, "Durand", "PETIT", "10003456786"}
	view := d.View()
	for _, source := range []*directory.Source{view.Local, view.National} {
		for n := range min(source.Index.Len(), 60) {
			e, err := source.Entry(n, "")
			if err != nil || a == schema.None {
				continue
			}
			for _, v := range e.Values(a) {
				values = append(values, v, strings.ToUpper(v), " "+v)
				if a == schema.IdentifiantPP {
					values = append(values, "8"+v, "0"+v)
				}
				if a == schema.IdentifiantPM {
					values = append(values, "1"+v, "3"+v)
				}
			}
		}
	}
	return values
}

// TestTogether: what is answered to searches that came together is, octet for octet, what each is answered by itself on a connection of its own, where it is the first and nothing
// is known of its form.
func TestTogether(t *testing.T) {
	server, d := offline(t, 2000, ldapserver.Limits{Entries: 40}, nil)
	for _, person := range []string{"claire.durand", "noemie.martin", "lea.petit", "noemie.martin@clinique-des-sapins.fr*noemie.martin", "sophie.moreau", ""} {
		in := bind(1, "", "")
		if person != "" {
			name := person[strings.LastIndex(person, "*")+1:]
			in = bind(1, person+"@clinique-des-sapins.fr", "demo-"+name)
		}
		greeting := dialogue(t, server, in)
		entries := 0
		for _, form := range forms {
			var packet, want []byte
			for i, value := range form.values(d) {
				question := form.ask(int32(i+2), value)
				packet = append(packet, question...)
				alone := dialogue(t, server, in, question)
				if !bytes.HasPrefix(alone, greeting) {
					t.Fatalf("%s is told % x", person, alone)
				}
				want = append(want, alone[len(greeting):]...)
			}
			entries += len(want)
			if got := dialogue(t, server, in, packet); !bytes.Equal(got[len(greeting):], want) {
				t.Errorf("%s asks for %+v: %d octets are answered, want %d", person, form, len(got)-len(greeting), len(want))
			}
		}
		if entries < 10_000 {
			t.Errorf("%s is told %d octets in all, which proves little", person, entries)
		}
	}
}

// numbers are those of the requests that results are of, in their order, with the codes.
func numbers(t *testing.T, heard []byte) (all []string) {
	t.Helper()
	for len(heard) > 0 {
		n, err := wire.Frame(heard, 1<<24)
		if err != nil {
			t.Fatal(err)
		}
		a, err := parseAnswer(heard[:n])
		if err != nil {
			t.Fatal(err)
		}
		if heard = heard[n:]; a.op != wire.SearchEntry {
			all = append(all, fmt.Sprintf("%d:%d", a.id, a.code))
		}
	}
	return all
}

// TestTogetherInOrder: other requests between those that are gathered are answered in their place, and a log-in counts from there on.
func TestTogetherInOrder(t *testing.T) {
	server, _ := offline(t, 50, ldapserver.Limits{}, nil)
	mail := &forms[0]
	heard := dialogue(t, server, slices.Concat(
		mail.ask(2, claire), bind(3, claire, "demo-claire.durand"), mail.ask(4, claire), mail.ask(5, noemie), mail.ask(6, claire), extended(7, wire.ExtensionWhoAmI, nil),
		mail.ask(8, paul), search(9, suffix, equal("sn", "durand")), mail.ask(10, paul), mail.ask(11, claire), bind(12, "", ""), mail.ask(13, claire), mail.ask(14, claire)),
		slices.Concat(message(15, wire.UnbindRequest, false, nil), mail.ask(16, claire)))
	want := []string{"2:50", "3:0", "4:0", "5:0", "6:0", "7:0", "8:0", "9:0", "10:0", "11:0", "12:0", "13:50", "14:50"}
	if got := numbers(t, heard); !slices.Equal(got, want) {
		t.Errorf("answered %v, want %v", got, want)
	}
	// What cannot be read ends it behind the answers to what could.
	broken := mail.ask(5, claire)
	broken[len(broken)-1] ^= 0x40 // in the list of attributes: still a message, of another form
	cut := append(mail.ask(6, claire), 0x31)
	heard = dialogue(t, server, slices.Concat(bind(1, claire, "demo-claire.durand"), mail.ask(2, claire), mail.ask(3, claire), mail.ask(4, claire), broken, cut))
	want = []string{"1:0", "2:0", "3:0", "4:0", "5:0", "6:0", "0:2"}
	if got := numbers(t, heard); !slices.Equal(got, want) {
		t.Errorf("answered %v, want %v", got, want)
	}
}

// TestTogetherBudget: who may have so many entries gets no more by asking for many at once, and is told as ever.
func TestTogetherBudget(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	server, _ := offline(t, 50, ldapserver.Limits{PerPerson: 5}, reg)
	in := bind(1, claire, "demo-claire.durand")
	var packet []byte
	var want []string
	for i := range 100 {
		packet = append(packet, forms[0].ask(int32(i+2), paul)...)
		code := wire.Success
		if i >= 5 {
			code = wire.AdminLimitExceeded
		}
		want = append(want, fmt.Sprintf("%d:%d", i+2, code))
	}
	if got := numbers(t, dialogue(t, server, in, packet)); !slices.Equal(got[1:], want) {
		t.Errorf("answered %v", got)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := 0
	for _, family := range families {
		want, ok := map[string]float64{"balorg_ldapserver_entries_total": 5, "balorg_ldapserver_harvests_total": 95}[family.GetName()]
		if got := family.GetMetric()[0].GetCounter().GetValue(); ok && got != want {
			t.Errorf("%s is %v, want %v", family.GetName(), got, want)
		}
		if ok {
			counted++
		}
	}
	if counted != 2 {
		t.Errorf("%d of 2 counters are there", counted)
	}
}

// TestTogetherReload: a reload takes effect for what is asked behind it on the same connection.
func TestTogetherReload(t *testing.T) {
	server, d := offline(t, 50, ldapserver.Limits{}, nil)
	in := bind(1, claire, "demo-claire.durand")
	packet := slices.Concat(forms[0].ask(2, paul), forms[0].ask(3, paul))
	client := &loop{packets: [][]byte{in, packet, packet}, left: 3, heard: new(bytes.Buffer)}
	lengths := []int{}
	client.before = func() {
		if lengths = append(lengths, client.heard.Len()); len(lengths) == 3 {
			if err := d.SetAccounts(ldaptest.Snapshot(t, "paul.bernard@sapins.mssante.fr", "other@sapins.mssante.fr")); err != nil {
				t.Error(err)
			}
		}
	}
	server.Serve(t.Context(), client)
	first, second := lengths[2]-lengths[1], client.heard.Len()-lengths[2]
	if first < 200 || second > 60 {
		t.Errorf("%d octets are answered before the reload, %d after", first, second)
	}
}
