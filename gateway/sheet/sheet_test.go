package sheet

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCSV(t *testing.T) {
	want := []Row{{1, []string{"Mail", "Nom"}}, {3, []string{"a@b.fr", "Noël; née, Dù\nx"}}}
	for name, text := range map[string]string{
		"semicolons": "Mail;Nom\n\na@b.fr;\"Noël; née, Dù\nx\"\n",
		"commas":     "Mail,Nom\r\n,\r\n a@b.fr ,\"Noël; née, Dù\nx\"",
		"tabs":       "Mail\tNom\n\t\na@b.fr\t\"Noël; née, Dù\nx\"",
		"mark":       "\ufeffMail;Nom\n;\na@b.fr;\"Noël; née, Dù\nx\"\n",
		"latin":      "Mail;Nom\n;\na@b.fr;\"No\xebl; n\xe9e, D\xf9\nx\"\n",
	} {
		got, err := Read(strings.NewReader(text), CSV)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		format     Format
		text, want string
	}{
		"quote":   {CSV, "a;b\nc;\"d", `line 2: extraneous or missing " in quoted-field`},
		"utf-16":  {CSV, "\xff\xfea\x00", "the file is no text in UTF-8 or Latin-1; save it as CSV UTF-8"},
		"zip":     {CSV, "PK\x03\x04", "the file is a ZIP, not CSV; an XLSX has a name that ends in .xlsx"},
		"cell":    {CSV, "a\n" + strings.Repeat("x", maxCell+1), "row 2: a cell holds more than 10000 octets"},
		"columns": {CSV, strings.Repeat(";", maxColumns) + "x", "row 1: it has more than 200 columns"},
		"rows":    {CSV, strings.Repeat("x\n", maxRows+1), "the file has more than 200000 rows"},
		"no xlsx": {XLSX, "Mail;Nom\n", "the file is no XLSX that can be read: zip: not a valid zip file"},
	} {
		if _, err := Read(strings.NewReader(tt.text), tt.format); err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
	if _, err := FormatOf("a.ods"); err == nil || err.Error() != "a.ods: the name ends in neither .csv nor .xlsx" {
		t.Error(err)
	}
}

// TestRoundTrip: what is written is read again, also what looks like a formula, and no cell of the CSV is one.
func TestRoundTrip(t *testing.T) {
	rows := [][]string{
		{"Mail", "Nom"},
		{"=cmd|'/c calc'!A1", "+33 1"},
		{"-1", "@SUM(A1)"},
		{"'=x", "''+y"},
		{"'x", "d'Or"},
		{"010000001", "10003456786"},
		{"<a>&", "é;\"\""},
	}
	for _, format := range []Format{CSV, XLSX} {
		var b bytes.Buffer
		if err := Write(&b, format, rows); err != nil {
			t.Fatal(err)
		}
		if format == CSV {
			for line := range strings.SplitSeq(b.String(), "\r\n") {
				for cell := range strings.SplitSeq(strings.TrimPrefix(line, "\ufeff"), ";") {
					if cell = strings.Trim(cell, `"`); cell != "" && strings.ContainsAny(cell[:1], "=+-@") {
						t.Errorf("a program may run %q", cell)
					}
				}
			}
		}
		read, err := Read(&b, format)
		if err != nil {
			t.Fatal(err)
		}
		var got [][]string
		for _, row := range read {
			got = append(got, row.Cells)
		}
		if diff := cmp.Diff(rows, got); diff != "" {
			t.Errorf("%s: %s", format, diff)
		}
	}
}

// workbook is an XLSX whose only sheet is the XML given.
func workbook(t *testing.T, sheet io.Reader) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	const ns = `xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"`
	for _, file := range []struct {
		name string
		in   io.Reader
	}{
		{"[Content_Types].xml", strings.NewReader(`<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>`)},
		{"_rels/.rels", strings.NewReader(`<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>`)},
		{"xl/_rels/workbook.xml.rels", strings.NewReader(`<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>`)},
		{"xl/workbook.xml", strings.NewReader(`<workbook ` + ns + `><sheets><sheet name="S" sheetId="1" r:id="rId1"/></sheets></workbook>`)},
		{"xl/worksheets/sheet1.xml", sheet},
	} {
		w, err := z.Create(file.name)
		if err == nil {
			_, err = io.Copy(w, file.in)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const sheetHead = `<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>`

func TestNumbers(t *testing.T) {
	sheet := sheetHead + `<row r="1"><c r="A1" t="n"><v>10003456786</v></c><c r="B1" t="n"><v>1.0003456786E10</v></c><c r="D1" t="b"><v>1</v></c></row></sheetData></worksheet>`
	rows, err := Read(bytes.NewReader(workbook(t, strings.NewReader(sheet))), XLSX)
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	if diff := cmp.Diff([]string{"10003456786", "10003456786", "", "1"}, rows[0].Cells); diff != "" {
		t.Error(diff)
	}
}

// TestEntities: no file is read and nothing expands.
func TestEntities(t *testing.T) {
	for _, doctype := range []string{
		`<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>`,
		`<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY e "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>`,
	} {
		sheet := doctype + sheetHead + `<row r="1"><c r="A1" t="inlineStr"><is><t>&e;</t></is></c></row></sheetData></worksheet>`
		rows, err := Read(bytes.NewReader(workbook(t, strings.NewReader(sheet))), XLSX)
		if s := fmt.Sprint(rows); strings.Contains(s, "root:") || strings.Contains(s, "aaa") {
			t.Errorf("the entity was expanded: %.80s, %v", s, err)
		}
	}
}

// zeros is as many blanks as are asked for.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// TestBomb: a small file that unpacks to more than is allowed is refused before it is unpacked.
func TestBomb(t *testing.T) {
	const limit = 4 << 20
	data := workbook(t, io.MultiReader(strings.NewReader(sheetHead), io.LimitReader(zeros{}, limit), strings.NewReader("</sheetData></worksheet>")))
	if len(data) > limit/100 {
		t.Fatalf("the bomb has %d octets", len(data))
	}
	if _, err := readXLSX(data, 2*limit); err != nil {
		t.Errorf("within the limit: %v", err)
	}
	if rows, err := readXLSX(data, limit); err == nil {
		t.Errorf("read %d rows", len(rows))
	}
}

// TestFarRow: a row number far below does not make a million rows.
func TestFarRow(t *testing.T) {
	sheet := sheetHead + `<row r="1048576"><c r="XFD1048576" t="n"><v>1</v></c></row></sheetData></worksheet>`
	if rows, err := Read(bytes.NewReader(workbook(t, strings.NewReader(sheet))), XLSX); err == nil {
		t.Errorf("read %d rows", len(rows))
	}
}
