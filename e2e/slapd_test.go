package e2e

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"balorg/ldapserver/ber"
	"balorg/ldapserver/extraction/sample"
	"balorg/ldapserver/schema"
	"balorg/ldapserver/wire"
)

const directorySuffix = "dc=mssante,dc=fr"

// startDirectory is a demo whose national directory has generated rows, and no limits that a test would meet.
func startDirectory(t *testing.T, rows int) *daemon {
	t.Helper()
	d := startDemo(t)
	d.stop()
	d.edit("balorg.yaml", "language: fr", "language: fr\ndirectory: {max_entries: 100000, max_paged_entries: 100000, min_letters: 1, entries_per_person: 100000000, entries_per_address: 100000000}")
	path := filepath.Join(t.TempDir(), "Extraction_Correspondance_MSSante_202611020400.txt")
	var file bytes.Buffer
	if err := sample.Write(&file, sample.Options{Rows: rows, Seed: 11}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := d.balorg("directory import --force", path); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	d.serve()
	return d
}

// bound is a connection to the directory on which somebody has logged in.
func (d *daemon) bound(name, password string) *ldap.Conn {
	d.t.Helper()
	c, err := ldap.DialURL("ldaps://"+d.listeners.LDAPS[0], ldap.DialWithTLSConfig(d.tls()))
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { c.Close() })
	if err := c.Bind(name, password); err != nil {
		d.t.Fatal(err)
	}
	return c
}

// slapd is OpenLDAP's server with the entries of a daemon's directory.
type slapd struct {
	*origin
	entries []*ldap.Entry
	folded  map[string]bool // by name: entries with a letter that we fold and slapd keeps
}

// schemaFile is our part of the schema as slapd reads it.
func schemaFile() string {
	var b strings.Builder
	for _, attribute := range schema.DescribeAttributes() {
		if strings.Contains(attribute, "( "+ownArc) {
			b.WriteString("attributetype " + attribute + "\n")
		}
	}
	for _, class := range schema.DescribeClasses() {
		if strings.Contains(class, "( "+ownArc) {
			b.WriteString("objectclass " + class + "\n")
		}
	}
	return b.String()
}

// ownArc is the start of the numbers that are ours.
const ownArc = "2.25."

// startSlapd loads what an administrator sees of the directory into slapd. That slapadd takes it proves that the entries obey the schema.
func startSlapd(t *testing.T, d *daemon) *slapd {
	t.Helper()
	s := &slapd{origin: newOrigin(t)}
	c := d.bound("sophie.moreau@clinique-des-sapins.fr", "demo-sophie.moreau")
	result, err := c.Search(ldap.NewSearchRequest(directorySuffix, ldap.ScopeWholeSubtree, 0, 0, 0, false, "(objectClass=*)", []string{"*"}, nil))
	if err != nil {
		t.Fatal(err)
	}
	s.entries = result.Entries
	var ldif strings.Builder
	s.folded = make(map[string]bool)
	for _, e := range result.Entries {
		s.folded[strings.ToLower(e.DN)] = slices.ContainsFunc(e.Attributes, func(a *ldap.EntryAttribute) bool {
			return slices.ContainsFunc(a.Values, func(v string) bool { return strings.ContainsFunc(v, func(r rune) bool { return r > '~' }) })
		})
		fmt.Fprintf(&ldif, "dn: %s\n", e.DN)
		for _, a := range e.Attributes {
			for _, v := range a.Values {
				fmt.Fprintf(&ldif, "%s:: %s\n", a.Name, base64.StdEncoding.EncodeToString([]byte(v)))
			}
		}
		ldif.WriteString("\n")
	}
	s.load(ldif.String())
	return s
}

// load starts the server on these entries.
func (s *slapd) load(ldif string) {
	t := s.t
	t.Helper()
	port := freePort(t)
	s.address = fmt.Sprintf("127.0.0.1:%d", port)
	s.write("entries.ldif", ldif)
	s.write("mssante.schema", schemaFile())
	data := filepath.Join(s.dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	s.write("slapd.conf", fmt.Sprintf(`include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include %[1]s/mssante.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload sssvlv
pidfile %[1]s/pid
sizelimit unlimited
database mdb
suffix %[2]s
directory %[3]s
maxsize 1073741824
index mail,cn,sn,givenName eq,sub
overlay sssvlv
access to * by * read
`, s.dir, directorySuffix, data))
	if out, err := exec.Command("slapadd", "-q", "-f", filepath.Join(s.dir, "slapd.conf"), "-l", filepath.Join(s.dir, "entries.ldif")).CombinedOutput(); err != nil {
		t.Fatalf("slapadd: %v\n%s", err, tail(string(out)))
	}
	s.run("slapd", "-d", "0", "-f", filepath.Join(s.dir, "slapd.conf"), "-h", "ldap://"+s.address)
}

// question makes searches: seeded, of every kind, about values that entries have as a rule.
type question struct {
	*rand.Rand
	entries []*ldap.Entry
}

// askedAttributes are what the searches ask for.
var askedAttributes = []string{
	"cn", "sn", "givenName", "mail", "TypeBAL", "IdentifiantPP", "TypeIdentifiantPP", "profession", "l", "o", "ou", "description", "IdentifiantPM", "TypeIdentifiantPM", "title", "personalTitle", "postalCode", "street",
	"objectClass", "displayName", "st", "nosuch", "commonName", "telephoneNumber", "dc",
}

func (q *question) value(attribute string) string {
	for range 20 {
		values := q.entries[q.IntN(len(q.entries))].GetEqualFoldAttributeValues(attribute)
		if len(values) > 0 {
			return values[q.IntN(len(values))]
		}
	}
	return "Martin"
}

func (q *question) leaf() string {
	attribute := askedAttributes[q.IntN(len(askedAttributes))]
	value := []rune(q.value(attribute))
	if q.IntN(12) == 0 {
		value = []rune("nobody has this")
	}
	from := q.IntN(len(value))
	to := from + 1 + q.IntN(len(value)-from)
	escape := func(part []rune) string { return ldap.EscapeFilter(string(part)) }
	switch q.IntN(9) {
	case 0:
		return "(" + attribute + "=*)"
	case 1:
		return "(" + attribute + "=" + escape(value[:to]) + "*)"
	case 2, 3:
		return "(" + attribute + "=*" + escape(value[from:to]) + "*)"
	case 4:
		return "(" + attribute + "=*" + escape(value[from:]) + ")"
	case 5:
		return "(" + attribute + "=" + escape(value[:1]) + "*" + escape(value[from:to]) + "*)"
	case 6:
		return "(" + attribute + ":" + []string{"caseExactMatch", "caseIgnoreMatch", "dn", "nosuchMatch", "caseExactIA5Match"}[q.IntN(5)] + ":=" + escape(value) + ")"
	case 7:
		return "(" + attribute + strings.ToUpper("=") + escape([]rune(strings.ToUpper(string(value)))) + ")"
	}
	return "(" + attribute + "=" + escape(value) + ")"
}

func (q *question) filter(depth int) string {
	if depth == 0 || q.IntN(3) == 0 {
		return q.leaf()
	}
	op := q.IntN(5)
	if op == 0 {
		return "(!" + q.filter(depth-1) + ")"
	}
	text := "(" + []string{"&", "|"}[op%2]
	for range 1 + q.IntN(3) {
		text += q.filter(depth - 1)
	}
	return text + ")"
}

// values makes a control that asks for matched values alone (RFC 3876), and tells its items.
func (q *question) values(t *testing.T) (text string, control ldap.Control) {
	t.Helper()
	var list []byte
	for wanted := 1 + q.IntN(3); wanted > 0; wanted-- {
		item := q.leaf()
		for strings.Contains(item, ":dn:") { // items are not about names
			item = q.leaf()
		}
		packet, err := ldap.CompileFilter(item)
		if err != nil {
			t.Fatal(err)
		}
		text += " " + item
		list = append(list, packet.Bytes()...)
	}
	return text, ldap.NewControlString(wire.ControlValues, q.IntN(2) == 0, string(ber.Append(nil, ber.Sequence, list)))
}

func (q *question) base() (dn string, scope int) {
	scope = q.IntN(4)
	switch q.IntN(8) {
	case 0:
		dn = "ou=national," + directorySuffix
	case 1:
		dn = "OU=Local , " + strings.ToUpper(directorySuffix)
	case 2:
		dn = q.entries[q.IntN(len(q.entries))].DN
	case 3:
		dn = "mail=nobody@x.fr,ou=national," + directorySuffix
	default:
		dn, scope = directorySuffix, ldap.ScopeWholeSubtree
	}
	return dn, scope
}

// TestSameAsSlapd: the same entries are in both, and thousands of searches find the same in both, with the same codes. What differs is listed in
// testdata/slapd-differences.txt, with the reason.
func TestSameAsSlapd(t *testing.T) {
	d := startDirectory(t, 600)
	s := startSlapd(t, d)
	ours := d.bound("sophie.moreau@clinique-des-sapins.fr", "demo-sophie.moreau")
	theirs, err := ldap.DialURL("ldap://" + s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { theirs.Close() })
	listed := readDifferences(t)
	q := &question{rand.New(rand.NewPCG(2026, 11)), s.entries}
	found, differ := 0, map[string]int{}
	compare := func(r *ldap.SearchRequest, asked string, paged bool) {
		a, b := ask(ours, r, paged), ask(theirs, r, false)
		found += len(b.entries)
		if why := a.differs(b, s.folded, asked); why != "" {
			differ[why]++
			if !slices.Contains(listed, why) {
				t.Errorf("%s below %q (%d): %s\nours   %d entries, code %d, matched %q\ntheirs %d entries, code %d, matched %q\n%s", asked, r.BaseDN, r.Scope, why, len(a.entries), a.code, a.matched, len(b.entries), b.code, b.matched, a.first(b))
				if len(differ) > 10 {
					t.FailNow()
				}
			}
		}
	}
	for range 1500 {
		base, scope := q.base()
		r := ldap.NewSearchRequest(base, scope, 0, 0, 0, false, q.filter(2), []string{"mail"}, nil)
		if q.IntN(10) == 0 {
			r.TypesOnly = true
		}
		if q.IntN(6) == 0 {
			r.Attributes = []string{"*", "CommonName", "nosuch"}
		}
		compare(r, r.Filter, q.IntN(8) == 0)
	}
	for range 200 {
		items, control := q.values(t)
		r := ldap.NewSearchRequest(directorySuffix, ldap.ScopeWholeSubtree, 0, 0, 0, q.IntN(8) == 0, q.leaf(), []string{"*"}, []ldap.Control{control})
		compare(r, r.Filter+items, false)
	}
	for range 60 {
		compareOrder(t, q, ours, theirs, s.folded)
	}
	if found < 10_000 {
		t.Errorf("the searches found %d entries in all: they prove little", found)
	}
	for _, name := range listed {
		if differ[name] == 0 {
			t.Errorf("the difference %q is listed and was not met", name)
		}
	}
	t.Logf("%d entries found; differences met: %v", found, differ)
}

// compareOrder sorts what a search finds by an attribute, and holds the order of its values against slapd's: those of entries with equal values is nobody's to say.
func compareOrder(t *testing.T, q *question, ours, theirs *ldap.Conn, folded map[string]bool) {
	t.Helper()
	key := &ldap.SortKey{
		AttributeType: []string{"sn", "cn", "postalCode", "IdentifiantPP", "o"}[q.IntN(5)], MatchingRule: "caseIgnoreOrderingMatch", Reverse: q.IntN(2) == 0,
	}
	filter := "(|(TypeBAL=ORG)" + q.leaf() + ")"
	order := func(c *ldap.Conn) (values []string) {
		r := ldap.NewSearchRequest(directorySuffix, ldap.ScopeWholeSubtree, 0, 0, 0, false, filter, []string{key.AttributeType}, []ldap.Control{
			ldap.NewControlServerSideSortingWithSortKeys([]*ldap.SortKey{key}),
		})
		result, err := c.Search(r)
		if err != nil {
			t.Fatalf("%s sorted by %s: %v", filter, key.AttributeType, err)
		}
		for _, e := range result.Entries {
			if folded[strings.ToLower(e.DN)] {
				continue
			}
			all := e.GetAttributeValues(key.AttributeType)
			for i := range all {
				all[i] = strings.ToLower(all[i])
			}
			slices.Sort(all)
			values = append(values, strings.Join(all, "|"))
		}
		return values
	}
	if a, b := order(ours), order(theirs); !slices.Equal(a, b) {
		t.Errorf("%s sorted by %s, reverse %v:\nours   %q\ntheirs %q", filter, key.AttributeType, key.Reverse, a, b)
	}
}

// outcome is what a search came to.
type outcome struct {
	code    uint16
	matched string
	entries map[string]string // by folded name, the attributes written out
}

func ask(c *ldap.Conn, r *ldap.SearchRequest, paged bool) outcome {
	o := outcome{entries: map[string]string{}}
	var result *ldap.SearchResult
	var err error
	if paged {
		copied := *r
		result, err = c.SearchWithPaging(&copied, 37)
	} else {
		result, err = c.Search(r)
	}
	if failed, ok := errors.AsType[*ldap.Error](err); ok {
		o.code, o.matched = failed.ResultCode, strings.ToLower(failed.MatchedDN)
	}
	if result == nil {
		return o
	}
	for _, e := range result.Entries {
		var lines []string
		for _, a := range e.Attributes {
			values := slices.Sorted(slices.Values(a.Values))
			lines = append(lines, strings.ToLower(a.Name)+": "+strings.Join(values, " | "))
		}
		slices.Sort(lines)
		o.entries[strings.ToLower(e.DN)] = strings.Join(lines, "\n")
	}
	return o
}

// first is an entry that only one of both has.
func (o *outcome) first(other outcome) string {
	for dn := range o.entries {
		if _, ok := other.entries[dn]; !ok {
			return "only ours: " + dn + "\n" + o.entries[dn]
		}
	}
	for dn, text := range other.entries {
		if mine, ok := o.entries[dn]; !ok {
			return "only theirs: " + dn + "\n" + text
		} else if mine != text {
			return "ours " + mine + "\ntheirs " + text
		}
	}
	return ""
}

// blankPart finds a part of an address that begins or ends with a blank.
var blankPart = regexp.MustCompile(`\((mail|dc)=[^)]*(\* | \*)`)

// withValues are the lines of those attributes that have a value.
func withValues(entry string) string {
	lines := slices.DeleteFunc(strings.Split(entry, "\n"), func(line string) bool { return strings.HasSuffix(line, ": ") })
	return strings.Join(lines, "\n")
}

// withoutClasses is withValues but for the object classes.
func withoutClasses(entry string) string {
	return regexp.MustCompile(`(?m)^objectclass: .*$`).ReplaceAllString(withValues(entry), "objectclass")
}

// differs says in which way two outcomes differ; empty when they do not.
func (o *outcome) differs(other outcome, folded map[string]bool, filter string) string {
	explained := true // by an entry that has a letter we fold
	same, empty, classes := true, false, false
	for dn, text := range o.entries {
		theirs, ok := other.entries[dn]
		switch {
		case ok && theirs != text && withValues(text) == theirs:
			empty = true
		case ok && theirs != text && strings.Contains(filter, " (objectClass") && withoutClasses(text) == withoutClasses(theirs):
			classes = true
		case ok && theirs != text && folded[dn] && withValues(text) != text: // another value of its attributes matches here
			same = false
		case !ok:
			same = false
			explained = explained && folded[dn]
		case theirs != text:
			return "attributes"
		}
	}
	for dn := range other.entries {
		if _, ok := o.entries[dn]; !ok {
			same = false
			explained = explained && folded[dn]
		}
	}
	accented := strings.ContainsFunc(filter, func(r rune) bool { return r > '~' }) || strings.Contains(filter, `\c3`) || strings.Contains(filter, `\c5`) || strings.Contains(filter, `\e2`)
	switch {
	case o.code != other.code:
		return fmt.Sprintf("code %d for %d", o.code, other.code)
	case o.matched != other.matched:
		return "matched name"
	case same && classes:
		return "superior object classes"
	case same && empty:
		return "attributes without matched values"
	case same:
		return ""
	case explained || accented:
		return "folding"
	case blankPart.MatchString(filter):
		return "blanks within mail"
	}
	return "entries"
}

// readDifferences answers the names of the differences that are listed: the lines that begin with none of # and a blank.
func readDifferences(t *testing.T) []string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "slapd-differences.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimRight(line, "\n"); line != "" && line[0] != '#' && line[0] != ' ' {
			names = append(names, line)
		}
	}
	return names
}
