// Package sheet reads and writes tables as spreadsheets have them: CSV as the various programs write it, and XLSX. What a table means is not
// known here. Files come from outside, so everything read is bounded, and what is written to CSV is never taken for a formula.
package sheet

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/xuri/excelize/v2"
	"golang.org/x/text/encoding/charmap"
)

// Bounds of what is read. A platform of a hundred thousand accounts fits.
const (
	maxFile     = 64 << 20
	maxUnpacked = 256 << 20 // of an XLSX, which is a ZIP: some kilobytes may unpack to gigabytes
	maxRows     = 200_000
	maxColumns  = 200
	maxCell     = 10_000
)

// Row is a row that holds something, with its number as spreadsheet programs show it (in CSV: its line).
type Row struct {
	Number int
	Cells  []string // without blanks around them
}

// Format is a kind of file.
type Format string

// The formats.
const (
	CSV  Format = "csv"
	XLSX Format = "xlsx"
)

// FormatOf is the format a file's name tells.
func FormatOf(name string) (Format, error) {
	switch Format(strings.ToLower(strings.TrimPrefix(filepath.Ext(name), "."))) {
	case CSV:
		return CSV, nil
	case XLSX:
		return XLSX, nil
	}
	return "", fmt.Errorf("%s: the name ends in neither .csv nor .xlsx", name)
}

// Read reads all rows: of an XLSX, those of its first sheet.
func Read(r io.Reader, format Format) ([]Row, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxFile:
		return nil, fmt.Errorf("the file is larger than %d MiB", maxFile>>20)
	case format == XLSX:
		return readXLSX(data, maxUnpacked)
	}
	return readCSV(data)
}

func readCSV(data []byte) ([]Row, error) {
	text, err := decode(data)
	if err != nil {
		return nil, err
	}
	in := csv.NewReader(strings.NewReader(text))
	in.Comma = separator(text)
	in.FieldsPerRecord = -1
	var c collector
	for {
		cells, err := in.Read()
		if errors.Is(err, io.EOF) {
			return c.rows, nil
		}
		if parse, ok := errors.AsType[*csv.ParseError](err); ok {
			return nil, fmt.Errorf("line %d: %w", parse.Line, parse.Err)
		}
		if err != nil {
			return nil, err
		}
		line, _ := in.FieldPos(0)
		for i := range cells {
			cells[i] = disarmed(cells[i])
		}
		if err := c.add(line, cells); err != nil {
			return nil, err
		}
	}
}

// decode answers text as UTF-8: what is none is taken for the Latin alphabet of Windows, which Excel writes.
func decode(data []byte) (string, error) {
	switch {
	case bytes.HasPrefix(data, []byte("PK\x03\x04")):
		return "", errors.New("the file is a ZIP, not CSV; an XLSX has a name that ends in .xlsx")
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")), bytes.IndexByte(data, 0) >= 0:
		return "", errors.New("the file is no text in UTF-8 or Latin-1; save it as CSV UTF-8")
	case utf8.Valid(data):
		return strings.TrimPrefix(string(data), "\ufeff"), nil
	}
	text, err := charmap.Windows1252.NewDecoder().Bytes(data)
	return string(text), err
}

// separator is the one of ; , and tab that the first line has most of, outside quotes.
func separator(text string) rune {
	counts, quoted := map[rune]int{}, false
	for _, r := range text {
		if r == '"' {
			quoted = !quoted
		}
		if r == '\n' && !quoted {
			break
		}
		if !quoted {
			counts[r]++
		}
	}
	best := ';'
	for _, r := range []rune{',', '\t'} {
		if counts[r] > counts[best] {
			best = r
		}
	}
	return best
}

func readXLSX(data []byte, unpacked int64) ([]Row, error) {
	// The XML is read by Go's decoder, which knows no entities but the five of XML and fetches nothing.
	f, err := excelize.OpenReader(bytes.NewReader(data), excelize.Options{
		RawCellValue: true, UnzipSizeLimit: unpacked, UnzipXMLSizeLimit: unpacked,
	})
	if err != nil {
		return nil, fmt.Errorf("the file is no XLSX that can be read: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read from
	sheets := f.GetSheetList()
	if len(sheets) == 0 {
		return nil, errors.New("the file has no sheet")
	}
	rows, err := f.Rows(sheets[0])
	if err != nil {
		return nil, fmt.Errorf("reading the sheet %s: %w", sheets[0], err)
	}
	defer rows.Close() //nolint:errcheck // only read from
	var c collector
	for number := 1; rows.Next(); number++ {
		cells, err := rows.Columns()
		if err != nil {
			return nil, fmt.Errorf("row %d: %w", number, err)
		}
		for i := range cells {
			cells[i] = plainNumber(cells[i])
		}
		if err := c.add(number, cells); err != nil {
			return nil, err
		}
	}
	if err := rows.Error(); err != nil {
		return nil, fmt.Errorf("reading the sheet %s: %w", sheets[0], err)
	}
	return c.rows, nil
}

var scientific = regexp.MustCompile(`^[0-9](\.[0-9]+)?E\+?[0-9]{1,2}$`)

// plainNumber writes out a long number that the file holds as 1.0003456786E+10.
func plainNumber(s string) string {
	if !scientific.MatchString(s) {
		return s
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return s
	}
	return strconv.FormatFloat(n, 'f', -1, 64)
}

type collector struct {
	rows []Row
	seen int
}

func (c *collector) add(number int, cells []string) error {
	if c.seen++; c.seen > maxRows {
		return fmt.Errorf("the file has more than %d rows", maxRows)
	}
	filled := false
	for i, cell := range cells {
		if len(cell) > maxCell {
			return fmt.Errorf("row %d: a cell holds more than %d octets", number, maxCell)
		}
		if cells[i] = strings.TrimSpace(cell); cells[i] != "" {
			filled = true
			if i >= maxColumns {
				return fmt.Errorf("row %d: it has more than %d columns", number, maxColumns)
			}
		}
	}
	if filled {
		c.rows = append(c.rows, Row{number, cells[:min(len(cells), maxColumns)]})
	}
	return nil
}

// formula tells whether a spreadsheet program may take a text for a formula, with any number of apostrophes before it.
func formula(s string) bool {
	rest := strings.TrimLeft(s, "'")
	return rest != "" && strings.ContainsRune("=+-@\t\r", rune(rest[0]))
}

// armed puts an apostrophe before what could be taken for a formula; disarmed takes it away again.
func armed(s string) string {
	if formula(s) {
		return "'" + s
	}
	return s
}

func disarmed(s string) string {
	if strings.HasPrefix(s, "'") && formula(s) {
		return s[1:]
	}
	return s
}

// Write writes rows. CSV is what a French Excel opens with a double click: UTF-8 with its mark, semicolons.
func Write(w io.Writer, format Format, rows [][]string) error {
	if format == XLSX {
		return writeXLSX(w, rows)
	}
	if _, err := io.WriteString(w, "\ufeff"); err != nil {
		return err
	}
	out := csv.NewWriter(w)
	out.Comma, out.UseCRLF = ';', true
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = armed(cell)
		}
		if err := out.Write(cells); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func writeXLSX(w io.Writer, rows [][]string) (err error) {
	f := excelize.NewFile()
	defer func() { err = errors.Join(err, f.Close()) }()
	out, err := f.NewStreamWriter(f.GetSheetName(0))
	if err != nil {
		return err
	}
	for i, row := range rows {
		cells := make([]any, len(row))
		for n, cell := range row {
			cells[n] = cell // a text, whatever it looks like
		}
		cell, err := excelize.CoordinatesToCellName(1, i+1)
		if err != nil {
			return err
		}
		if err := out.SetRow(cell, cells); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return f.Write(w)
}
