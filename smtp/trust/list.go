package trust

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"balorg/mail"
)

// namespace of the whitelist.
const namespace = "https://listeblanche.mssante.fr/schema"

// Limits on the list: it had 8 655 entries in 2026, of some 700 octets each.
const (
	maxList    = 64 << 20
	maxEntries = 100_000
	maxDepth   = 16      // of elements that are of no interest
	maxField   = 4 << 10 // octets of an element's text
	maxFaults  = 20      // told; there may be more
)

// Entry is a row of the list: a domain, and one certificate that speaks for it.
type Entry struct {
	Domain   string
	Operator DN // zero when it cannot be read
}

// List is a whitelist as it was read.
type List struct {
	Generated time.Time // zero when it does not say
	Entries   []Entry
	// Faults are what is wrong with single rows, the first of them; Skipped is how many rows are left out for it.
	Faults  []string
	Skipped int
}

var (
	// ErrEmpty is a list that names nobody.
	ErrEmpty = errors.New("the list names no domain")
	errRoot  = errors.New("this is no whitelist: its root is not ListeBlancheMSSante of " + namespace)
)

// Parse reads a whitelist. Rows that name no domain are left out and told; a list as a whole is good or it is not.
func Parse(r io.Reader) (*List, error) { return parse(r, maxList) }

func parse(r io.Reader, limit int64) (*List, error) {
	limited := &io.LimitedReader{R: r, N: limit + 1}
	p := &listParser{dec: xml.NewDecoder(limited), list: &List{}}
	err := p.document()
	switch {
	case limited.N <= 0:
		return nil, fmt.Errorf("the list is larger than %d octets", limit)
	case err != nil:
		return nil, err
	case len(p.list.Entries) == 0:
		return nil, ErrEmpty
	}
	return p.list, nil
}

type listParser struct {
	dec  *xml.Decoder
	list *List
	rows int
}

// document reads the whole of it: a list that is cut short is none.
func (p *listParser) document() error {
	root := false
	for {
		token, err := p.dec.Token()
		switch {
		case errors.Is(err, io.EOF) && root:
			return nil
		case errors.Is(err, io.EOF):
			return errRoot
		case err != nil:
			return err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if root || t.Name.Space != namespace || t.Name.Local != "ListeBlancheMSSante" {
				return errRoot
			}
			root = true
			if err := p.children(p.top); err != nil {
				return err
			}
		case xml.Directive:
			return errors.New("the list has a document type, which it has no use for")
		}
	}
}

// children gives take each element below the one that has begun, which take reads to its end.
func (p *listParser) children(take func(xml.StartElement) error) error {
	for {
		token, err := p.dec.Token()
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.EndElement:
			return nil
		case xml.StartElement:
			if t.Name.Space != namespace { // an extension
				err = p.pass()
			} else {
				err = take(t)
			}
			if err != nil {
				return err
			}
		}
	}
}

func (p *listParser) top(e xml.StartElement) error {
	switch e.Name.Local {
	case "DateDeGeneration":
		text, err := p.text()
		if err != nil {
			return err
		}
		var ok bool
		if p.list.Generated, ok = parseTime(text); !ok {
			p.fault("the list's date cannot be read")
		}
		return nil
	case "ListeDomaines":
		return p.children(p.row)
	}
	return p.pass()
}

// row reads a Domaine.
func (p *listParser) row(e xml.StartElement) error {
	if e.Name.Local != "Domaine" {
		return p.pass()
	}
	if p.rows++; p.rows > maxEntries {
		return fmt.Errorf("the list has more than %d entries", maxEntries)
	}
	var name, operator string
	var seen int
	err := p.children(func(e xml.StartElement) (err error) {
		switch e.Name.Local {
		case "Nom":
			seen++
			name, err = p.text()
		case "DNCertificatOperateur":
			operator, err = p.text()
		default:
			err = p.pass()
		}
		return err
	})
	if err != nil {
		return err
	}
	if seen != 1 {
		p.skip("entry %d has %d names", p.rows, seen)
		return nil
	}
	domain, err := mail.ParseDomain(name)
	if err != nil {
		p.skip("entry %d: %v", p.rows, err)
		return nil
	}
	entry := Entry{Domain: domain}
	if entry.Operator, err = ParseDN(operator); err != nil {
		// Mail to the domain goes on; who must prove to be its operator cannot.
		p.fault("entry %d, %s: the operator: %v", p.rows, domain, err)
	}
	p.list.Entries = append(p.list.Entries, entry)
	return nil
}

// pass reads over the rest of an element.
func (p *listParser) pass() error {
	for depth := 1; depth > 0; {
		token, err := p.dec.Token()
		if err != nil {
			return err
		}
		switch token.(type) {
		case xml.StartElement:
			if depth++; depth > maxDepth {
				return fmt.Errorf("the list is nested deeper than %d", maxDepth)
			}
		case xml.EndElement:
			depth--
		}
	}
	return nil
}

// text reads an element that holds nothing but text.
func (p *listParser) text() (string, error) {
	var b strings.Builder
	for {
		token, err := p.dec.Token()
		if err != nil {
			return "", err
		}
		switch t := token.(type) {
		case xml.CharData:
			if b.Len()+len(t) > maxField {
				return "", fmt.Errorf("an element of the list holds more than %d octets", maxField)
			}
			b.Write(t)
		case xml.EndElement:
			return strings.TrimSpace(b.String()), nil
		case xml.StartElement:
			return "", fmt.Errorf("element %s stands where text is expected", t.Name.Local)
		}
	}
}

func (p *listParser) fault(format string, args ...any) {
	if len(p.list.Faults) < maxFaults {
		p.list.Faults = append(p.list.Faults, fmt.Sprintf(format, args...))
	}
}

func (p *listParser) skip(format string, args ...any) {
	p.list.Skipped++
	p.fault(format, args...)
}

// parseTime reads a date of XML Schema, with or without time and zone.
func parseTime(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02Z07:00", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
