package sample

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"balorg/ldapserver/extraction"
	"balorg/mail"
)

var made = time.Date(2026, 8, 26, 8, 13, 0, 0, time.UTC)

func written(t *testing.T, opt Options) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, opt); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// counts are what a file holds.
type counts struct {
	rows, per, org, withID, withAddress, withSkill int
	rowsOf                                         map[mail.Address]int
	professions                                    map[string]int
	owners                                         map[string]map[string]bool // the names that an identifier goes with
}

// counted reads a file, which must be right to the last key.
func counted(t *testing.T, text []byte) counts {
	t.Helper()
	c := counts{rowsOf: make(map[mail.Address]int), professions: make(map[string]int), owners: make(map[string]map[string]bool)}
	x, err := extraction.NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for {
		r, err := x.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		c.add(t, r)
	}
	if r := x.Report(); r.Bad+r.Warned > 0 {
		t.Errorf("%d bad rows, %d warnings: %v %v", r.Bad, r.Warned, r.Faults[:min(3, r.Bad)], r.Warnings[:min(3, r.Warned)])
	}
	return c
}

func (c *counts) add(t *testing.T, r *extraction.Row) {
	t.Helper()
	has := func(column extraction.Column) bool { return len(r.Field(column)) > 0 }
	if string(r.Field(extraction.BALAddress)) != string(r.Address) {
		t.Errorf("line %d: the address %q is not as it is written", r.Line, r.Address)
	}
	c.rows++
	c.rowsOf[r.Address]++
	switch r.Kind {
	case extraction.PER:
		c.per++
		c.professions[string(r.Field(extraction.ProfessionCode))]++
		if has(extraction.StructureID) {
			c.withID++
		}
		if has(extraction.PostalCode) {
			c.withAddress++
		}
		if has(extraction.SkillCode) {
			c.withSkill++
		}
		if !has(extraction.LastName) || !has(extraction.FirstName) || !has(extraction.Profession) || has(extraction.Service) {
			t.Errorf("line %d: a person without a name or a profession, or with a service", r.Line)
		}
		id := string(r.Field(extraction.NationalID))
		if c.owners[id] == nil {
			c.owners[id] = make(map[string]bool)
		}
		c.owners[id][string(r.Field(extraction.FirstName))+" "+string(r.Field(extraction.LastName))] = true
	case extraction.ORG:
		c.org++
		for column := extraction.PersonIDType; column <= extraction.Country; column++ {
			person := column <= extraction.NationalID || column >= extraction.Civility && column <= extraction.Skill
			if person && has(column) {
				t.Errorf("line %d: a service has %s", r.Line, column)
			}
		}
		if !has(extraction.Service) || !has(extraction.StructureID) || !has(extraction.LegalName) || !has(extraction.PostalLine) {
			t.Errorf("line %d: a service lacks its name or structure", r.Line)
		}
	default:
		t.Errorf("line %d: %s", r.Line, r.Kind)
	}
}

// near tells whether a share is what it should be, give or take a tenth.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 0.1*want {
		t.Errorf("%s: %.4g, not %.4g", what, got, want)
	}
}

func TestShares(t *testing.T) {
	const rows = 60_000
	text := written(t, Options{Rows: rows, Seed: 1})
	c := counted(t, text)
	if c.rows != rows || bytes.Count(text, []byte("\n")) != rows+1 {
		t.Errorf("%d rows", c.rows)
	}
	several := 0
	for a, n := range c.rowsOf {
		if n > 1 {
			several++
		}
		if n > 2 || !strings.HasSuffix(a.Domain(), parent) {
			t.Errorf("%s has %d rows", a, n)
		}
	}
	if want := int(math.Round(float64(rows) * realRepeats / DefaultRows)); several != want {
		t.Errorf("%d addresses have several rows, not %d", several, want)
	}
	near(t, "services", float64(c.org)/rows, 0.149)
	near(t, "octets a line", float64(len(text))/rows, 166)
	for code, share := range map[string]float64{"10": 0.378, "60": 0.210, "70": 0.110, "21": 0.105, "40": 0.065} {
		// Those of large domains of one profession are on top of the others.
		if got := float64(c.professions[code]) / float64(c.per); got < 0.7*share || got > 1.6*share {
			t.Errorf("profession %s: %.3f, not %.3f", code, got, share)
		}
	}
	if len(c.professions) < 18 {
		t.Errorf("there are %d professions", len(c.professions))
	}
	if c.withSkill != c.professions[physician] {
		t.Errorf("%d have a skill, of %d physicians", c.withSkill, c.professions[physician])
	}
	if share := float64(c.withAddress) / float64(c.per); share < 0.05 || share > 0.3 || c.withID <= c.withAddress {
		t.Errorf("%d and %d of %d people have a structure and its address", c.withID, c.withAddress, c.per)
	}
	for id, names := range c.owners {
		if len(names) > 1 {
			t.Errorf("%s is %d people", id, len(names))
		}
	}
	near(t, "mailboxes a person", float64(c.per)/float64(len(c.owners)), 1/(1-secondMailbox))
	for _, sign := range []string{"é", "ï", "Œ", "-", "'", "DE LA TOUR"} {
		if !bytes.Contains(text, []byte(sign)) {
			t.Errorf("no name holds %s", sign)
		}
	}
}

// TestDomains compares the sizes of domains with what is known of the real file.
func TestDomains(t *testing.T) {
	const all = DefaultRows - realRepeats
	sizes := domainSizes(1, all)
	if len(sizes) != realDomains || sizes[len(sizes)/2] != median {
		t.Errorf("%d domains, the middle one has %d", len(sizes), sizes[len(sizes)/2])
	}
	near(t, "at 99 %", float64(sizes[len(sizes)*99/100]), p99)
	near(t, "the largest", float64(sizes[len(sizes)-1])/100, float64(largest)/100)
	sum := 0
	for _, n := range sizes {
		sum += n
	}
	if sum != all {
		t.Errorf("%d mailboxes, not %d", sum, all)
	}
	for _, n := range []int{1, 20, 20_000} {
		sizes := domainSizes(7, n)
		sum := 0
		for _, s := range sizes {
			sum += s
		}
		if share := float64(sizes[len(sizes)-1]) / float64(n); sum != n || n > 100 && math.Abs(share-0.116) > 0.01 {
			t.Errorf("of %d mailboxes %d are there, and the largest domain has %.3f of them", n, sum, share)
		}
	}
}

// domainSizes answers how many mailboxes each domain has that has any.
func domainSizes(seed uint64, n int) []int {
	g := newGenerator(seed, nil)
	count := make([]int, realDomains)
	for _, s := range g.slots(n) {
		count[s.domain]++
	}
	count = slices.DeleteFunc(count, func(n int) bool { return n == 0 })
	slices.Sort(count)
	return count
}

func TestSame(t *testing.T) {
	first, again, other := written(t, Options{Rows: 3000, Seed: 5}), written(t, Options{Rows: 3000, Seed: 5}), written(t, Options{Rows: 3000, Seed: 6})
	if !bytes.Equal(first, again) || bytes.Equal(first, other) {
		t.Error("a seed does not decide what is written")
	}
	var one, two bytes.Buffer
	for _, out := range []*bytes.Buffer{&one, &two} {
		if err := WriteZIP(out, Options{Rows: 300, Seed: 5, Date: made}); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("a seed does not decide what is packed")
	}
}

func TestSmall(t *testing.T) {
	for _, rows := range []int{1, 2, 3, 10, 39} {
		if c := counted(t, written(t, Options{Rows: rows, Seed: uint64(rows)})); c.rows != rows {
			t.Errorf("%d rows in place of %d", c.rows, rows)
		}
	}
	if err := Write(io.Discard, Options{Rows: -1}); err == nil {
		t.Error("fewer rows than none are written")
	}
}

func TestExtra(t *testing.T) {
	given := map[extraction.Column]string{
		extraction.BALType: "ORG", extraction.BALAddress: "secretariat@sapins.mssante.fr", extraction.Service: "Secrétariat - Clinique des Sapins",
	}
	text := written(t, Options{Rows: 10, Extra: []map[extraction.Column]string{given}})
	first := firstAddress(t, text)
	if first != "secretariat@sapins.mssante.fr" {
		t.Errorf("the first row is %s", first)
	}
	if n := bytes.Count(text, []byte("\n")); n != 12 {
		t.Errorf("%d lines", n)
	}
	for column, value := range map[extraction.Column]string{0: "x", extraction.Country + 1: "x", extraction.Service: "a|b", extraction.LegalName: "a\nb"} {
		if err := Write(io.Discard, Options{Rows: 1, Extra: []map[extraction.Column]string{{column: value}}}); err == nil {
			t.Errorf("%q stands in %s", value, column)
		}
	}
}

// firstAddress answers the address of the first row.
func firstAddress(t *testing.T, text []byte) mail.Address {
	t.Helper()
	x, err := extraction.NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	r, err := x.Next()
	if err != nil {
		t.Fatal(err)
	}
	return r.Address
}

func TestZIP(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	var out bytes.Buffer
	if err := WriteZIP(&out, Options{Rows: 500, Date: made}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := extraction.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Next()
	}
	if !errors.Is(err, io.EOF) || f.Report().Rows != 500 || !f.Date.Equal(made) {
		t.Errorf("%d rows of %v, %v", f.Report().Rows, f.Date, err)
	}
}

// failing takes so many octets.
type failing struct{ left int }

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

func TestWriteFails(t *testing.T) {
	for _, left := range []int{0, 70_000, 1 << 20} {
		if err := Write(&failing{left}, Options{Rows: 10_000}); !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("after %d octets: %v", left, err)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	for b.Loop() {
		if err := Write(io.Discard, Options{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(DefaultRows*b.N)/b.Elapsed().Seconds(), "rows/s")
}

// TestWithout: nobody has a last name that was left out, in any part of theirs.
func TestWithout(t *testing.T) {
	count := func(without ...string) (found int) {
		t.Helper()
		var b bytes.Buffer
		if err := Write(&b, Options{Rows: 5000, Seed: 7, Without: without}); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if slices.Contains(strings.Split(strings.Split(line, "|")[extraction.LastName-1], "-"), "MARTIN") {
				found++
			}
		}
		return found
	}
	if before, after := count(), count("Martin", "Lefèvre"); before == 0 || after != 0 {
		t.Errorf("%d before, %d after", before, after)
	}
}
