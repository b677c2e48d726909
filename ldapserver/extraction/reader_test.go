package extraction

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"balorg/mail"
)

// header is the first line as it is published.
func header() string {
	names := columnNames()
	return strings.Join(names[1:], "|") + "\n"
}

// fields are those of a row; the zero map is a doctor's.
type fields map[Column]string

func (f fields) line() string {
	all := make([]string, Columns)
	base := fields{
		BALType: "PER", BALAddress: "claire.durand@sapins.mssante.fr", PersonIDType: "8", PersonID: "10003456786", NationalID: "810003456786",
		Civility: "DR", LastName: "DURAND", FirstName: "Claire", ProfessionCode: "10", Profession: "Médecin", Paperless: "O",
	}
	for i := range all {
		c := Column(i + 1)
		all[i] = base[c]
		if v, ok := f[c]; ok {
			all[i] = v
		}
	}
	return strings.Join(all, "|") + "\n"
}

// readAll answers the addresses of all rows.
func readAll(r io.Reader) (addresses []mail.Address, report Report, err error) {
	x, err := NewReader(r)
	if err != nil {
		return nil, Report{}, err
	}
	for {
		row, err := x.Next()
		if errors.Is(err, io.EOF) {
			return addresses, x.Report(), nil
		}
		if err != nil {
			return addresses, x.Report(), err
		}
		addresses = append(addresses, row.Address)
	}
}

func TestFields(t *testing.T) {
	want := make(fields)
	for c := BALType; c <= Country; c++ {
		want[c] = fmt.Sprintf("valeur n° %d", c)
	}
	want[BALType], want[BALAddress], want[PersonIDType], want[PersonID], want[NationalID] = "CAB", "Cabinet@A.mssante.fr", "0", "2A1234567", "02A1234567"
	padded := make(fields)
	for c, v := range want {
		padded[c] = "  \u00a0" + v + "\u00a0 "
	}
	for name, text := range map[string]string{
		"as published":        header() + want.line(),
		"spaces around":       header() + padded.line(),
		"CRLF":                strings.ReplaceAll(header()+want.line(), "\n", "\r\n"),
		"with a mark":         "\ufeff" + header() + want.line(),
		"trailing separators": strings.ReplaceAll(header()+want.line(), "\n", "|\n"),
		"one in the header":   strings.Replace(header(), "\n", "|\n", 1) + want.line(),
		"an empty line more":  header() + want.line() + "\n\r\n",
		"reversed":            reversed(header()) + reversed(want.line()),
	} {
		x, err := NewReader(strings.NewReader(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		row, err := x.Next()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if row.Kind != CAB || row.Address != "cabinet@a.mssante.fr" || row.Line != 2 {
			t.Errorf("%s: line %d is %s %s", name, row.Line, row.Kind, row.Address)
		}
		for c, v := range want {
			if got := string(row.Field(c)); got != v {
				t.Errorf("%s: %s is %q, not %q", name, c, got, v)
			}
		}
		for range 2 {
			if _, err := x.Next(); !errors.Is(err, io.EOF) {
				t.Errorf("%s: at the end: %v", name, err)
			}
		}
		if r := x.Report(); r.Rows != 1 || r.Bad+r.Warned != 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// reversed is a line with its fields in the opposite order.
func reversed(line string) string {
	all := strings.Split(strings.TrimSuffix(line, "\n"), "|")
	for i := range len(all) / 2 {
		all[i], all[len(all)-1-i] = all[len(all)-1-i], all[i]
	}
	return strings.Join(all, "|") + "\n"
}

func TestHeaderSpelling(t *testing.T) {
	for name, edit := range map[string]func(string) string{
		"capitals":          strings.ToUpper,
		"small":             strings.ToLower,
		"typographic":       func(s string) string { return strings.ReplaceAll(s, "'", "’") },
		"modifier":          func(s string) string { return strings.ReplaceAll(s, "'", "ʼ") },
		"a space":           func(s string) string { return strings.ReplaceAll(s, "'", " ") },
		"underscores":       func(s string) string { return strings.ReplaceAll(s, " ", "_") },
		"no spaces":         func(s string) string { return strings.ReplaceAll(s, " ", "") },
		"no-break spaces":   func(s string) string { return strings.ReplaceAll(s, " ", "\u00a0") },
		"without accents":   strings.NewReplacer("é", "e", "è", "e").Replace,
		"composing accents": strings.NewReplacer("é", "e\u0301", "è", "e\u0300").Replace,
		"de":                strings.NewReplacer("Catégorie profession|", "Catégorie de profession|", "Libellé de catégorie profession", "Libellé de catégorie de profession").Replace,
		"without de":        strings.NewReplacer(" de ", " ").Replace,
		"brackets":          strings.NewReplacer("Dématérialisation", "Dématérialisation (O/N)").Replace,
		"L4 as its fellows": strings.NewReplacer("NL4TYPE", "L4TYPE").Replace,
		"spaces around":     strings.NewReplacer("|", " | ").Replace,
	} {
		text := edit(header())
		if text == header() {
			t.Errorf("%s: changes nothing", name)
		}
		if got, _, err := readAll(strings.NewReader(text + fields{}.line())); err != nil || len(got) != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOtherFormats: who has fetched something else is told what.
func TestOtherFormats(t *testing.T) {
	line := fields{}.line()
	for name, test := range map[string]struct{ text, want string }{
		"empty":              {"", "it is empty"},
		"HTML":               {"<!DOCTYPE html>\n<html>", "HTML"},
		"HTML in one line":   {"\n <html><body>503", "holds no \"|\""},
		"HTML without end":   {"  <html><body>503 | 504", "HTML"},
		"JSON":               {`{"error":"not found"}`, "JSON"},
		"gzip":               {"\x1f\x8b\x08\x00", "gzip"},
		"UTF-16":             {"\xff\xfeT\x00y\x00|\x00\n\x00", "UTF-16"},
		"Latin-1":            {strings.ReplaceAll(header(), "é", "\xe9") + line, "not UTF-8"},
		"semicolons":         {strings.ReplaceAll(header()+line, "|", ";"), `separated by ";"`},
		"tabulators":         {strings.ReplaceAll(header()+line, "|", "\t"), `separated by "\t"`},
		"text":               {"bonjour\n", "holds no \"|\""},
		"one endless line":   {strings.Repeat("x", 3*bufferSize) + "\n", "longer than"},
		"no rows":            {header(), "no row"},
		"a column missing":   {strings.Replace(header(), "Adresse BAL|", "", 1), "missing: Adresse BAL"},
		"two missing":        {strings.NewReplacer("Adresse BAL|", "", "|Pays structure BAL", "").Replace(header()), "missing: Adresse BAL, Pays structure BAL"},
		"one unknown":        {"Couleur|" + header(), `unknown: "Couleur"`},
		"an empty name":      {"|" + header(), `unknown: ""`},
		"one renamed":        {strings.Replace(header(), "Adresse BAL", "Courriel", 1), `missing: Adresse BAL; unknown: "Courriel"`},
		"one twice":          {"adresse bal|" + header(), "there twice: Adresse BAL"},
		"another extraction": {strings.Repeat("Colonne|", 50) + "x\n", `none of the 31 columns is there; unknown: "Colonne"`},
		"without a header":   {line + line, "none of the 31 columns"},
		"only bad rows":      {header() + strings.Replace(line, "PER", "BAL", 1), "1 of 1 rows are bad, the first: line 2: Type de BAL"},
		"too many bad rows":  {header() + strings.Repeat(line, 95) + strings.Repeat("x\n", 11), "11 of 106 rows are bad"},
	} {
		_, _, err := readAll(strings.NewReader(test.text))
		if !errors.Is(err, ErrFormat) || errors.Is(err, ErrTruncated) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
		if err != nil && len(err.Error()) > 1000 {
			t.Errorf("%s: the error has %d octets", name, len(err.Error()))
		}
	}
	for name, text := range map[string]string{
		"ten bad rows":          header() + line + strings.Repeat("x\n", 10),
		"a tenth are bad":       header() + strings.Repeat(line, 900) + strings.Repeat("x\n", 100),
		"a long line among all": header() + line + strings.Repeat("x", 3*bufferSize) + "\n" + line,
	} {
		if _, r, err := readAll(strings.NewReader(text)); err != nil || r.Bad == 0 {
			t.Errorf("%s: %d bad, %v", name, r.Bad, err)
		}
	}
}

func TestTruncated(t *testing.T) {
	text := header() + fields{}.line() + fields{}.line()
	for cut := 1; cut < len(text); cut += 1 + cut/len(header())*3 {
		_, _, err := readAll(strings.NewReader(text[:cut]))
		switch {
		case cut == len(header()) && errors.Is(err, ErrFormat): // no row
		case text[cut-1] == '\n' && err == nil: // a shorter file
		case strings.IndexByte(text[:cut], '|') < 0 && errors.Is(err, ErrFormat):
		case errors.Is(err, ErrTruncated):
		default:
			t.Fatalf("cut at %d: %v", cut, err)
		}
	}
	_, _, err := readAll(strings.NewReader(text[:len(text)-1]))
	if err == nil || !strings.Contains(err.Error(), "line 3 ") {
		t.Errorf("the line is not told: %v", err)
	}
	broken := errors.New("the disk is broken")
	for _, source := range []error{broken, io.ErrUnexpectedEOF} {
		_, _, err = readAll(io.MultiReader(strings.NewReader(text), iotest.ErrReader(source)))
		if !errors.Is(err, source) || errors.Is(err, ErrTruncated) != errors.Is(source, io.ErrUnexpectedEOF) {
			t.Errorf("%v: %v", source, err)
		}
	}
}

// endless is a source of so many octets of one kind.
type endless struct {
	unit []byte
	left int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := 0
	for n+len(e.unit) <= len(p) && e.left > 0 {
		n += copy(p[n:], e.unit)
		e.left -= len(e.unit)
	}
	return n, nil
}

// TestMemory: what a file makes the reader allocate is bounded, whatever it holds.
func TestMemory(t *testing.T) {
	const size = 2 << 20
	long := fields{Service: strings.Repeat("x", maxField+1), PersonID: "1"}.line()
	wrong := fields{PersonID: "10003456787", StructureIDType: "SIRET", StructureID: "12345678901234"}.line()
	for name, unit := range map[string]string{
		"one line":          "x",
		"bad fields":        long,
		"bad lines":         "a line of something else\n",
		"warnings":          wrong,
		"endless addresses": fields{BALAddress: "x@" + strings.Repeat("é", 500) + ".fr"}.line(),
	} {
		source := io.MultiReader(strings.NewReader(header()), &endless{[]byte(unit), size})
		x, err := NewReader(source)
		if err != nil {
			t.Fatal(err)
		}
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for err == nil {
			_, err = x.Next()
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(x)
		if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > 1<<20 {
			t.Errorf("%s: %d octets are kept", name, kept)
		}
		if r := x.Report(); len(r.Faults) > maxFaults || len(r.Warnings) > maxFaults {
			t.Errorf("%s: %d faults and %d warnings are kept", name, len(r.Faults), len(r.Warnings))
		}
	}
}

func TestCounts(t *testing.T) {
	good, bad, warned := fields{}.line(), "x\n", fields{PersonID: "10003456787", NationalID: "8"}.line()
	_, r, err := readAll(strings.NewReader(header() + strings.Repeat(good, 20_000) + strings.Repeat(bad, 1100) + strings.Repeat(warned, 700)))
	if err != nil || r.Rows != 20_700 || r.Bad != 1100 || len(r.Faults) != maxFaults || r.Warned != 1400 || len(r.Warnings) != maxFaults {
		t.Errorf("%d rows, %d bad (%d told), %d warnings (%d told), %v", r.Rows, r.Bad, len(r.Faults), r.Warned, len(r.Warnings), err)
	}
	if r.Faults[999].Line != 21_001 {
		t.Errorf("the last told is of line %d", r.Faults[999].Line)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(header() + fields{}.line()))
	f.Add([]byte("\ufeff" + strings.ReplaceAll(header()+fields{BALType: "org", PersonID: ""}.line(), "\n", "\r\n")))
	f.Add([]byte(header() + fields{PersonIDType: "0", PersonID: "2A1234567", Service: "\x85\xc2\x85é"}.line() + "x|y\n"))
	f.Add([]byte(strings.ReplaceAll(header()+fields{}.line(), "\n", "|\n")))
	f.Add([]byte(reversed(header()) + reversed(fields{BALAddress: "A@É.fr"}.line())))
	f.Add([]byte("<html>"))
	f.Fuzz(func(t *testing.T, text []byte) {
		x, err := NewReader(bytes.NewReader(text))
		for err == nil {
			var row *Row
			if row, err = x.Next(); err == nil {
				checkPromises(t, row)
			}
		}
		again, _, e := readAll(iotest.OneByteReader(bytes.NewReader(text)))
		if x != nil && x.Report().Rows != len(again) || (e == nil) != errors.Is(err, io.EOF) {
			t.Errorf("in pieces: %d rows, %v; in one: %v", len(again), e, err)
		}
		if !utf8.ValidString(err.Error()) || strings.ContainsRune(err.Error(), '\n') || len(err.Error()) > 4<<10 {
			t.Errorf("an error unfit to be shown: %q", err)
		}
	})
}

func checkPromises(t *testing.T, row *Row) {
	t.Helper()
	if a, err := mail.ParseAddress(string(row.Field(BALAddress))); err != nil || a != row.Address {
		t.Errorf("the address is %q, %v, and the row says %q", a, err, row.Address)
	}
	if row.Kind < PER || row.Kind > CAB || row.Line < 2 {
		t.Errorf("line %d: %s", row.Line, row.Kind)
	}
	if (row.Kind == PER || row.Kind == CAB) && len(row.Field(PersonID)) != rppsDigits && len(row.Field(PersonID)) != adeliSigns {
		t.Errorf("a person without an identifier")
	}
	for c := BALType; c <= Country; c++ {
		f := row.Field(c)
		if !utf8.Valid(f) || len(f) > maxField || bytes.ContainsFunc(f, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == '|' }) {
			t.Errorf("%s: %q", c, f)
		}
	}
}

func BenchmarkReader(b *testing.B) {
	var text strings.Builder
	text.WriteString(header())
	const rows = 50_000
	for i := range rows {
		text.WriteString(fields{
			BALAddress: fmt.Sprintf("prenom.nom%d@domaine%d.mssante.fr", i, i%500), LegalName: "Hôpital de la Croix-Rousse", StructureIDType: "FINESS",
			StructureID: "310000005", PostalLine: "69004 LYON", PostalCode: "69004", Country: "FRANCE",
		}.line())
	}
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		x, err := NewReader(strings.NewReader(text.String()))
		n := 0
		for err == nil {
			if _, err = x.Next(); err == nil {
				n++
			}
		}
		if n != rows {
			b.Fatalf("%d rows, %v", n, err)
		}
	}
	b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
}
