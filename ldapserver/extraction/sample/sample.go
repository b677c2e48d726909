// Package sample writes national extraction files of people and services that do not exist, with the proportions of the real one, for tests, benchmarks
// and the demo.
//
// Invariants: the same options give the same octets. Every row is right in the eyes of package extraction, keys of numbers included. Every address is in
// a domain below exemple.mssante.fr, so that it is nobody's and never one of the demo's, but for the rows that the caller puts in.
package sample

import (
	"archive/zip"
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"balorg/ldapserver/extraction"
)

// DefaultRows is how many the real file had in August 2026.
const DefaultRows = 535_928

// realRepeats is how many of these were a further row of an address that had one.
const realRepeats = 169

// Options say what is written.
type Options struct {
	Rows  int // zero is DefaultRows; those of Extra come on top
	Seed  uint64
	Date  time.Time // of the ZIP's member
	Extra []map[extraction.Column]string
	// Without are last names that nobody has, in whatever case: so that who looks for one person is not shown namesakes.
	Without []string
}

// Write writes a file as text.
func Write(w io.Writer, opt Options) error {
	if opt.Rows == 0 {
		opt.Rows = DefaultRows
	}
	if opt.Rows < 0 {
		return fmt.Errorf("a sample of %d rows cannot be written", opt.Rows)
	}
	out := bufio.NewWriterSize(w, 64<<10)
	var names row
	for c := extraction.BALType; c <= extraction.Country; c++ {
		names[c] = c.String()
	}
	if err := names.write(out); err != nil {
		return err
	}
	for _, given := range opt.Extra {
		var r row
		for c, v := range given {
			if c == 0 || c > extraction.Country || strings.ContainsAny(v, "|\r\n") {
				return fmt.Errorf("%q cannot stand in %s", v, c)
			}
			r[c] = v
		}
		if err := r.write(out); err != nil {
			return err
		}
	}
	if err := newGenerator(opt.Seed, opt.Without).rows(out, opt.Rows); err != nil {
		return err
	}
	return out.Flush()
}

// WriteZIP writes the file packed, as it is published.
func WriteZIP(w io.Writer, opt Options) error {
	archive := zip.NewWriter(w)
	member, err := archive.CreateHeader(&zip.FileHeader{Name: extraction.FileName(opt.Date), Method: zip.Deflate, Modified: opt.Date})
	if err == nil {
		err = Write(member, opt)
	}
	if err != nil {
		return err
	}
	return archive.Close()
}

// row is a line, by column.
type row [extraction.Columns + 1]string

func (r *row) write(out *bufio.Writer) error {
	for c := extraction.BALType; c <= extraction.Country; c++ {
		out.WriteString(r[c]) //nolint:errcheck // kept by the writer, and answered below
		end := byte('|')
		if c == extraction.Country {
			end = '\n'
		}
		if err := out.WriteByte(end); err != nil {
			return err
		}
	}
	return nil
}

// rows writes so many.
func (g *generator) rows(out *bufio.Writer, n int) error {
	repeats := (n*realRepeats + DefaultRows/2) / DefaultRows
	slots := g.slots(n - repeats)
	// Addresses that get a further row are met in the first half of the file, and again in the second.
	var again []row
	half := len(slots) / 2
	for i, s := range slots {
		r := g.mailbox(s)
		if err := r.write(out); err != nil {
			return err
		}
		if i < half && len(again)*half < repeats*i {
			again = append(again, r)
		}
		if i >= half && len(again) > 0 && (repeats-len(again))*half <= repeats*(i-half) {
			r := g.elsewhere(&again[0])
			again = again[1:]
			if err := r.write(out); err != nil {
				return err
			}
		}
	}
	return nil
}
