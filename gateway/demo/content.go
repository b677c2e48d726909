package demo

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
)

// pdf is a one-page document that says lines, in the least PDF that readers open.
func pdf(lines ...string) func(io.Writer) error {
	return func(w io.Writer) error {
		text := &bytes.Buffer{}
		text.WriteString("BT /F1 12 Tf 60 780 Td 16 TL\n")
		for _, l := range lines {
			fmt.Fprintf(text, "(%s) Tj T*\n", latin1(l))
		}
		text.WriteString("ET\n")
		objects := []string{
			"<< /Type /Catalog /Pages 2 0 R >>",
			"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
			"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
			fmt.Sprintf("<< /Length %d >>\nstream\n%sendstream", text.Len(), text),
			"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
		}
		out := &bytes.Buffer{}
		out.WriteString("%PDF-1.4\n")
		offsets := make([]int, len(objects))
		for i, o := range objects {
			offsets[i] = out.Len()
			fmt.Fprintf(out, "%d 0 obj\n%s\nendobj\n", i+1, o)
		}
		xref := out.Len()
		fmt.Fprintf(out, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
		for _, o := range offsets {
			fmt.Fprintf(out, "%010d 00000 n \n", o)
		}
		fmt.Fprintf(out, "trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, xref)
		_, err := w.Write(out.Bytes())
		return err
	}
}

// latin1 writes text as a PDF string of one octet a letter.
func latin1(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '(' || r == ')' || r == '\\':
			b.WriteByte('\\')
			b.WriteByte(byte(r))
		case r < 0x100:
			b.WriteByte(byte(r))
		default:
			b.WriteByte('?')
		}
	}
	return b.String()
}

// xdm is an IHE XDM archive with one document, as clinical software attaches it.
func xdm(document string) func(io.Writer) error {
	return func(w io.Writer) error {
		z := zip.NewWriter(w)
		for _, f := range []struct{ name, content string }{
			{"INDEX.HTM", "<!DOCTYPE html><html lang=\"fr\"><body><a href=\"IHE_XDM/SUBSET01/DOC0001.XML\">Document</a></body></html>\n"},
			{"README.TXT", "Archive IHE XDM de démonstration. Les données sont fictives.\n"},
			{"IHE_XDM/SUBSET01/METADATA.XML", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<rim:SubmitObjectsRequest xmlns:rim=\"urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0\"/>\n"},
			{"IHE_XDM/SUBSET01/DOC0001.XML", document},
		} {
			part, err := z.Create(f.name)
			if err != nil {
				return err
			}
			if _, err := io.WriteString(part, f.content); err != nil {
				return err
			}
		}
		return z.Close()
	}
}

// image is octets that no codec makes smaller, as a scanner's are: always the same.
func image(size int) func(io.Writer) error {
	return func(w io.Writer) error {
		seed := [32]byte{'b', 'a', 'l', 'o', 'r', 'g'}
		_, err := io.CopyN(w, rand.NewChaCha8(seed), int64(size))
		return err
	}
}
