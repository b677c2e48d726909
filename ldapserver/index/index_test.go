package index

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"balorg/ldapserver/entry"
	"balorg/ldapserver/filter"
	"balorg/ldapserver/schema"
)

// words are what the entries of tests are made of: few, so that filters meet many of them.
var words = []string{
	"Durand", "Dupont", "dùrand", "Martin", "Noémie", "Léa", "Œuvré", "L’Hôpital", "l'hopital", "Saint-Étienne", "Pays  Basque", "a", "ab", "b a",
	"CHU de Lyon", "Straße", "cabinet (nord)", "80%", "été", "x*y", `back\slash`, "日本",
}

func constants() []entry.Attribute {
	return []entry.Attribute{
		{Type: schema.ObjectClass, Values: schema.MailboxClasses()},
		{Type: schema.ModifyTimestamp, Values: []string{"20261102120000Z"}},
		{Type: schema.HasSubordinates, Values: []string{"FALSE"}},
	}
}

func pick(r *rand.Rand) string {
	text := words[r.IntN(len(words))]
	for range r.IntN(3) { // enough different ones that they have grams
		text += " " + words[r.IntN(len(words))]
	}
	return text
}

// randomEntries makes a directory, some of its entries with several values.
func randomEntries(r *rand.Rand, n int) []*entry.Entry {
	all := make([]*entry.Entry, n)
	for i := range all {
		e := new(entry.Entry)
		e.Set(schema.CN, pick(r))
		e.Set(schema.DisplayName, pick(r))
		e.Set(schema.Mail, fmt.Sprintf("%s.%d@h%d.mssante.fr", strings.ToLower(words[r.IntN(2)]), i, r.IntN(4)))
		e.Set(schema.TypeBAL, []string{"PER", "ORG"}[r.IntN(2)])
		for _, a := range []schema.Attribute{schema.SN, schema.GivenName, schema.O, schema.L, schema.Description, schema.Profession} {
			var values []string
			for range r.IntN(3) + r.IntN(2) - 1 {
				values = append(values, pick(r))
			}
			e.Set(a, values...)
		}
		if r.IntN(2) == 0 {
			e.Set(schema.IdentifiantPP, fmt.Sprintf("1000%07d", i))
		}
		if r.IntN(4) == 0 {
			e.Set(schema.TelephoneNumber, fmt.Sprintf("05 61 %02d-%02d", r.IntN(3), r.IntN(3)))
		}
		all[i] = e
	}
	return all
}

func build(tb testing.TB, entries []*entry.Entry) *Index {
	tb.Helper()
	var b Builder
	for _, e := range entries {
		b.Add(e.Attributes)
	}
	x, err := b.Build(Info{Generation: 7, Date: time.Date(2026, 11, 2, 4, 0, 0, 0, time.UTC)}, constants())
	if err != nil {
		tb.Fatal(err)
	}
	return x
}

// escape writes a value into a filter.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\5c`, "*", `\2a`, "(", `\28`, ")", `\29`).Replace(s)
}

var asked = []string{
	"cn", "displayName", "surname", "givenName", "mail", "o", "l", "description", "TypeBAL", "profession", "IdentifiantPP", "telephoneNumber",
	"objectClass", "entryUUID", "modifyTimestamp", "nosuch", "mozillaNickname", "hasSubordinates", "title",
}

func randomLeaf(r *rand.Rand, entries []*entry.Entry) string {
	name := asked[r.IntN(len(asked))]
	value := pick(r)
	e := entries[r.IntN(len(entries))]
	if a := schema.Lookup([]byte(name)); a != schema.None && r.IntN(4) > 0 {
		switch values := e.Values(a); {
		case len(values) > 0:
			value = values[r.IntN(len(values))]
		case a == schema.ObjectClass:
			value = []string{"person", "INETORGPERSON", "2.5.6.6", "nosuch", "organizationalUnit"}[r.IntN(5)]
		case a == schema.EntryUUID:
			value = UUIDText([]byte(e.Values(schema.Mail)[0]))
		case a == schema.ModifyTimestamp:
			value = []string{"20261102120000Z", "20261102130000+0100", "20250101000000Z", "20270101000000Z", "yesterday"}[r.IntN(5)]
		case a == schema.HasSubordinates:
			value = []string{"TRUE", "FALSE", "false"}[r.IntN(3)]
		}
		if a == schema.IdentifiantPP && r.IntN(2) == 0 {
			value = "8" + value
		}
	}
	switch r.IntN(10) {
	case 0:
		return "(" + name + "=*)"
	case 1:
		return "(" + name + ">=" + escape(value) + ")"
	case 2:
		return "(" + name + "<=" + escape(value) + ")"
	case 3, 4, 5, 6:
		return "(" + name + "=" + randomParts(r, []rune(value)) + ")"
	case 7:
		rule := []string{"caseIgnoreMatch", "caseExactMatch", "2.5.13.2", "nosuchMatch", "dn:caseIgnoreMatch"}[r.IntN(5)]
		return "(" + name + ":" + rule + ":=" + escape(value) + ")"
	}
	return "(" + name + "=" + escape(value) + ")"
}

// randomParts makes a pattern that a value has as a rule.
func randomParts(r *rand.Rand, value []rune) string {
	from := r.IntN(len(value))
	to := from + r.IntN(len(value)-from) + 1
	part := escape(string(value[from:to]))
	switch r.IntN(4) {
	case 0:
		return escape(string(value[:to])) + "*"
	case 1:
		return "*" + escape(string(value[from:]))
	case 2:
		return escape(string(value[:1])) + "*" + part + "*"
	}
	return "*" + part + "*"
}

func randomFilter(r *rand.Rand, entries []*entry.Entry, depth int) string {
	if depth == 0 || r.IntN(3) == 0 {
		return randomLeaf(r, entries)
	}
	switch op := r.IntN(5); op {
	case 0:
		return "(!" + randomFilter(r, entries, depth-1) + ")"
	default:
		text := "(" + []string{"&", "|"}[op%2]
		for range r.IntN(4) {
			text += randomFilter(r, entries, depth-1)
		}
		return text + ")"
	}
}

// withConstants is an entry as a client sees it.
func withConstants(e *entry.Entry) *entry.Entry {
	whole := &entry.Entry{DN: "mail=" + e.Values(schema.Mail)[0] + ",ou=national,dc=mssante,dc=fr", Attributes: slices.Clone(e.Attributes)}
	for _, c := range constants() {
		whole.Set(c.Type, c.Values...)
	}
	whole.Set(schema.EntryUUID, UUIDText([]byte(e.Values(schema.Mail)[0])))
	return whole
}

var nameValues = []entry.Attribute{{Type: schema.OU, Values: []string{"national"}}, {Type: schema.DC, Values: []string{"mssante", "fr"}}}

// TestSearchesAgree: for thousands of filters, the index finds what the plain evaluator says of each entry, each entry once, in every way of searching.
func TestSearchesAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, run := range []struct{ size, filters int }{{1, 500}, {30, 3000}, {1500, 400}} {
		size, filters := run.size, run.filters
		entries := randomEntries(r, size)
		x := build(t, entries)
		whole := make(map[string]*entry.Entry)
		for _, e := range entries {
			whole[e.Values(schema.Mail)[0]] = withConstants(e)
		}
		matched := 0
		var again lookup
		for range filters {
			text := randomFilter(r, entries, 3)
			f, err := filter.Parse(text)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			want := map[uint32]bool{}
			for n := range x.Len() {
				if f.Match(whole[string(x.Mail(n))]) == filter.True {
					want[n] = true
				}
			}
			matched += len(want)
			again.check(t, x, f, text, want)
			if t.Failed() {
				return
			}
		}
		if matched < 100 {
			t.Errorf("the filters match %d entries in all: they prove nothing", matched)
		}
	}
}

// lookup is memory that is used for one search after another.
type lookup struct {
	query Query
	plan  Plan
}

func (l *lookup) check(t *testing.T, x *Index, f *filter.Filter, text string, want map[uint32]bool) {
	t.Helper()
	q, p := &l.query, &l.plan
	q.Set(f)
	p.Set(x, q, nameValues)
	got := map[uint32]bool{}
	p.Each(func(n uint32) bool {
		if got[n] {
			t.Errorf("%s: entry %d comes twice", text, n)
		}
		got[n] = true
		return true
	})
	for n := range x.Len() {
		if got[n] != want[n] || p.Matches(n) != want[n] {
			t.Errorf("%s: %s: found %v, matched %v, want %v", text, x.Mail(n), got[n], p.Matches(n), want[n])
			return
		}
	}
	start := x.Len() / 3
	last, count := int64(-1), 0
	x.Plan(q, nameValues).From(start, func(n uint32) bool {
		if int64(n) <= last || n < start || !want[n] {
			t.Errorf("%s: From answers %d behind %d", text, n, last)
		}
		last = int64(n)
		count++
		return true
	})
	for n := range want {
		if n < start {
			count++
		}
	}
	if count != len(want) {
		t.Errorf("%s: From misses some of %d", text, len(want))
	}
}

// TestOrder: entries are numbered by name, then address, and can be found by either.
func TestOrder(t *testing.T) {
	x := build(t, randomEntries(rand.New(rand.NewPCG(3, 4)), 500))
	var last string
	for n := range x.Len() {
		key, _ := x.SortKey(schema.CN, n)
		here := string(key) + "\x00" + string(x.Mail(n))
		if here <= last {
			t.Fatalf("%q stands behind %q", here, last)
		}
		last = here
		if at := x.Seek(key, x.Mail(n)); at != n {
			t.Errorf("Seek(%q) = %d, want %d", here, at, n)
		}
		if at, ok := x.Find(x.Mail(n)); !ok || at != n {
			t.Errorf("Find(%s) = %d %v, want %d", x.Mail(n), at, ok, n)
		}
	}
	if at := x.Seek([]byte("~~~"), nil); at != 500 && x.Len() == 500 {
		key, _ := x.SortKey(schema.CN, at)
		if string(key) < "~~~" {
			t.Errorf("Seek past the end answers %d", at)
		}
	}
	if _, ok := x.Find([]byte("nobody@h1.mssante.fr")); ok {
		t.Error("an address that is not there is found")
	}
}

// TestFile: an index that is saved and loaded is the same; one that is damaged anywhere is refused.
func TestFile(t *testing.T) {
	entries := randomEntries(rand.New(rand.NewPCG(5, 6)), 700)
	x := build(t, entries)
	path := filepath.Join(t.TempDir(), "national.idx")
	if err := x.Save(path); err != nil {
		t.Fatal(err)
	}
	y, err := Load(path, constants())
	if err != nil {
		t.Fatal(err)
	}
	if y.Info() != x.Info() || y.Len() != x.Len() {
		t.Errorf("loaded %v with %d entries, want %v with %d", y.Info(), y.Len(), x.Info(), x.Len())
	}
	for n := range x.Len() {
		if string(x.Record(n)) != string(y.Record(n)) {
			t.Fatalf("entry %d is another", n)
		}
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(whole); i += 1 + i/40 {
		broken := slices.Clone(whole)
		broken[i] ^= 0x40
		if err := os.WriteFile(path, broken, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path, constants()); err == nil {
			t.Fatalf("a file with octet %d changed is loaded", i)
		}
	}
	if err := os.WriteFile(path, whole[:len(whole)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path, constants()); err == nil {
		t.Error("a file cut short is loaded")
	}
}

func TestRefusedEntries(t *testing.T) {
	named := new(entry.Entry)
	named.Set(schema.CN, "Durand")
	var b Builder
	b.Add(named.Attributes)
	if _, err := b.Build(Info{}, nil); err == nil {
		t.Error("an entry without address is taken")
	}
	named.Set(schema.Mail, "a@b.fr")
	var twice Builder
	twice.Add(named.Attributes)
	twice.Add(named.Attributes)
	if _, err := twice.Build(Info{}, nil); err == nil {
		t.Error("an address that stands twice is taken")
	}
	var none Builder
	x, err := none.Build(Info{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := filter.Parse("(|(cn=*)(!(mail=x))(entryUUID=" + UUIDText([]byte("a@b.fr")) + "))")
	if err != nil {
		t.Fatal(err)
	}
	x.Plan(Compile(f), nil).Each(func(uint32) bool {
		t.Error("an empty directory has an entry")
		return false
	})
}
