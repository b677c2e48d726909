package extraction

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const datedName = "Extraction_Correspondance_MSSante_202608261013.txt"

type packed struct{ name, text string }

func zipOf(t *testing.T, members ...packed) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, m := range members {
		method := zip.Deflate
		if m.text == "" {
			method = zip.Store
		}
		w, err := z.CreateHeader(&zip.FileHeader{Name: m.name, Method: method})
		if err == nil {
			_, err = io.WriteString(w, m.text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// opened opens content under a name and reads it to its end.
func opened(t *testing.T, name string, content []byte) (f *File, rows int, err error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err = Open(path); err != nil {
		if !strings.Contains(err.Error(), path) {
			t.Errorf("the error does not name the file: %v", err)
		}
		return nil, 0, err
	}
	defer func() {
		if err := f.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	}()
	for {
		_, err := f.Next()
		if errors.Is(err, io.EOF) {
			return f, rows, nil
		}
		if err != nil {
			return f, rows, err
		}
		rows++
	}
}

func TestOpen(t *testing.T) {
	text := header() + strings.Repeat(fields{}.line(), 3)
	made := time.Date(2026, 8, 26, 8, 13, 0, 0, time.UTC) // summer time in France
	for name, test := range map[string]struct {
		file    string
		content []byte
		name    string
		made    time.Time
	}{
		"text":                        {datedName, []byte(text), datedName, made},
		"text of another name":        {"mssante.csv", []byte(text), "mssante.csv", time.Time{}},
		"ZIP":                         {"x.zip", zipOf(t, packed{datedName, text}), datedName, made},
		"ZIP of another name":         {"download", zipOf(t, packed{"dossier/" + strings.ToUpper(datedName), text}), strings.ToUpper(datedName), made},
		"ZIP with a date of its own":  {strings.Replace(datedName, ".txt", ".zip", 1), zipOf(t, packed{"mssante.txt", text}), "mssante.txt", made},
		"among others":                {"x.zip", zipOf(t, packed{"lisez-moi.txt", "bonjour"}, packed{"dossier/", ""}, packed{datedName, text}), datedName, made},
		"the only text":               {"x.zip", zipOf(t, packed{"a.pdf", "%PDF"}, packed{"annuaire.TXT", text}), "annuaire.TXT", time.Time{}},
		"no date":                     {"x.zip", zipOf(t, packed{"Extraction_Correspondance_MSSante_209913991013.txt", text}), "Extraction_Correspondance_MSSante_209913991013.txt", time.Time{}},
		"no line end, but ZIP's word": {"x.zip", zipOf(t, packed{datedName, strings.TrimSuffix(text, "\n")}), datedName, made},
	} {
		f, rows, err := opened(t, test.file, test.content)
		if err != nil || rows != 3 {
			t.Errorf("%s: %d rows, %v", name, rows, err)
			continue
		}
		if f.Name != test.name || !f.Date.Equal(test.made) {
			t.Errorf("%s: %q of %v", name, f.Name, f.Date)
		}
		if read, total := f.Progress(); read != total || read < int64(len(text))-1 {
			t.Errorf("%s: %d of %d octets read", name, read, total)
		}
	}
	if FileName(made) != datedName {
		t.Errorf("the name is %q", FileName(made))
	}
}

func TestOpenRefuses(t *testing.T) {
	text := header() + strings.Repeat(fields{}.line(), 1000)
	whole := zipOf(t, packed{datedName, text})
	damaged := bytes.Clone(whole)
	damaged[len(damaged)/2] ^= 0x10
	many := make([]packed, 20_000)
	for i := range many {
		many[i].name = fmt.Sprintf("a-member-with-a-long-name-%d.txt", i)
	}
	encrypted := bytes.Clone(whole)
	encrypted[bytes.Index(encrypted, []byte("PK\x01\x02"))+8] |= 1
	for name, test := range map[string]struct {
		content []byte
		is      error
		want    string
	}{
		"empty":              {nil, ErrFormat, "empty"},
		"cut text":           {[]byte(text[:len(text)/2]), ErrTruncated, "has no end"},
		"cut ZIP":            {whole[:len(whole)/2], ErrTruncated, "table of contents"},
		"ZIP without tail":   {whole[:len(whole)-10], ErrTruncated, "table of contents"},
		"start of a ZIP":     {whole[:4], ErrTruncated, "table of contents"},
		"damaged":            {damaged, ErrTruncated, ""},
		"wrong sum":          {zipLying(t, text, uint64(len(text)), crc32.ChecksumIEEE([]byte(text))^1), ErrTruncated, "checksum"},
		"longer than said":   {zipLying(t, text, uint64(len(text))-10, 0), ErrTruncated, ""},
		"shorter than said":  {zipLying(t, text, uint64(len(text))+10, 0), ErrTruncated, ""},
		"bomb":               {zipLying(t, text, maxUnpacked+1, 0), ErrFormat, "not unpacked"},
		"empty ZIP":          {zipOf(t), ErrFormat, "no text"},
		"no text":            {zipOf(t, packed{"a.pdf", ""}), ErrFormat, "no text"},
		"two texts":          {zipOf(t, packed{"a.txt", text}, packed{"b.txt", text}), ErrFormat, "2 texts"},
		"two extractions":    {zipOf(t, packed{datedName, text}, packed{"x/" + datedName, text}), ErrFormat, "2 texts"},
		"many members":       {zipOf(t, many...), ErrFormat, "too many members"},
		"a ZIP in a ZIP":     {zipOf(t, packed{datedName, string(whole)}), ErrFormat, "ZIP archive in"},
		"a page in a ZIP":    {zipOf(t, packed{datedName, "<html>"}), ErrFormat, "HTML"},
		"encrypted":          {encrypted, ErrFormat, "encrypted"},
		"an unknown packing": {zipMethod(t, text), ErrFormat, "not known"},
	} {
		_, _, err := opened(t, "x", test.content)
		if !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %v, %s", name, err, test.is, test.want)
		}
	}
	dir := t.TempDir()
	for name, path := range map[string]string{"a folder": dir, "nothing": filepath.Join(dir, "absent"), "a device": os.DevNull} {
		if f, err := Open(path); err == nil {
			f.Close()
			t.Errorf("%s can be opened", name)
		}
	}
	big := filepath.Join(dir, "big")
	for magic, want := range map[string]string{"Type": "are not read", "PK\x03\x04": "the ZIP has"} {
		if err := os.WriteFile(big, []byte(magic), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(big, maxUnpacked+1); err != nil { // takes no space
			t.Fatal(err)
		}
		if _, err := Open(big); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), want) {
			t.Errorf("a large file: %v", err)
		}
	}
}

// zipLying packs a text as one of another size or sum.
func zipLying(t *testing.T, text string, size uint64, sum uint32) []byte {
	t.Helper()
	if sum == 0 {
		sum = crc32.ChecksumIEEE([]byte(text))
	}
	return raw(t, text, &zip.FileHeader{
		Name: datedName, Method: zip.Store, CRC32: sum, CompressedSize64: uint64(len(text)), UncompressedSize64: size,
	})
}

func zipMethod(t *testing.T, text string) []byte {
	t.Helper()
	return raw(t, text, &zip.FileHeader{
		Name: datedName, Method: 14, CompressedSize64: uint64(len(text)), UncompressedSize64: uint64(len(text)),
	})
}

func raw(t *testing.T, text string, header *zip.FileHeader) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	w, err := z.CreateRaw(header)
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestProgress: what is read grows with the rows.
func TestProgress(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.zip")
	text := header() + strings.Repeat(fields{}.line(), 10_000)
	if err := os.WriteFile(path, zipOf(t, packed{datedName, text}), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 5000 {
		if _, err := f.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if read, total := f.Progress(); total != int64(len(text)) || read < total/2-bufferSize || read > total/2+2*bufferSize {
		t.Errorf("half of the rows are %d of %d octets", read, total)
	}
}
