package origin

import (
	"errors"
	"fmt"
	"strings"

	"balorg/imapproxy/wire"
)

// namespace asks for the name spaces (RFC 2342).
func (d *dialogue) namespace() (answer func() (Names, error), err error) {
	var names Names
	var bad error
	asked, err := d.ask("NAMESPACE", func(line string) {
		if name, rest, ok := strings.Cut(line, " "); ok && strings.EqualFold(name, "NAMESPACE") {
			names, bad = parseNamespace(rest)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("NAMESPACE: %w", err)
	}
	return func() (Names, error) {
		_, err := asked()
		if err = errors.Join(err, bad); err != nil {
			return names, fmt.Errorf("NAMESPACE: %w", err)
		}
		if names.Delimiter == 0 {
			return names, errors.New("NAMESPACE: the mailbox has no name space of its own")
		}
		return names, nil
	}, nil
}

// parseNamespace reads the three lists of RFC 2342: the mailbox's own name spaces, other people's and shared ones. The first of its
// own is the one that is shown.
func parseNamespace(text string) (names Names, err error) {
	p := wire.NewParser([]byte(text))
	for i := range 3 {
		if i > 0 {
			if err := p.SP(); err != nil {
				return names, err
			}
		}
		if p.Peek() != '(' {
			if _, _, err := p.NString(); err != nil { // NIL
				return names, err
			}
			continue
		}
		p.Take('(')
		for n := 0; p.Peek() == '('; n++ {
			prefix, delimiter, err := namespaceOf(p)
			switch {
			case err != nil:
				return names, err
			case i == 0 && n == 0:
				names.Prefix, names.Delimiter = prefix, delimiter
			case prefix != "":
				names.Foreign = append(names.Foreign, prefix)
			}
		}
		if err := p.Expect(')'); err != nil {
			return names, err
		}
	}
	return names, p.End()
}

// namespaceOf reads ("INBOX." "."), passing over extensions.
func namespaceOf(p *wire.Parser) (prefix string, delimiter byte, err error) {
	p.Take('(')
	if prefix, err = p.String(); err != nil {
		return "", 0, err
	}
	if err := p.SP(); err != nil {
		return "", 0, err
	}
	d, ok, err := p.NString()
	switch {
	case err != nil:
		return "", 0, err
	case !ok:
		delimiter = '/' // a flat name space: no name holds it
	case len(d) != 1:
		return "", 0, fmt.Errorf("delimiter %q", d)
	default:
		delimiter = d[0]
	}
	for p.Take(' ') {
		if _, err := p.String(); err != nil {
			return "", 0, err
		}
		if err := p.SP(); err != nil {
			return "", 0, err
		}
		if err := p.List(func() error { _, err := p.String(); return err }); err != nil {
			return "", 0, err
		}
	}
	return prefix, delimiter, p.Expect(')')
}
