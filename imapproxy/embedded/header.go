package embedded

import (
	"bytes"
	"slices"
	"strings"

	"balorg/imapproxy/wire"
	"balorg/store/mailbox/text"
)

// eachField calls fn for each field of a header block: its name, and all its lines with their ends. Lines that are no fields are
// passed over.
func eachField(header []byte, fn func(name, field []byte)) {
	for len(header) > 0 {
		n := text.FieldLength(header)
		field := header[:n]
		header = header[n:]
		if colon := bytes.IndexByte(field, ':'); colon > 0 {
			fn(bytes.TrimRight(field[:colon], " \t"), field)
		}
	}
}

// headerPart answers the header, or the fields of it that an item names or does not, with the empty line that ends them (RFC 3501,
// 6.4.5).
func headerPart(header []byte, item wire.FetchItem) []byte {
	if len(item.Fields) == 0 {
		return header
	}
	without := item.Part == wire.SectionHeaderFieldsNot
	var out []byte
	eachField(header, func(name, field []byte) {
		named := slices.ContainsFunc(item.Fields, func(f string) bool {
			return len(f) == len(name) && strings.EqualFold(f, string(name))
		})
		if named != without {
			out = append(out, field...)
			if field[len(field)-1] != '\n' {
				out = append(out, "\r\n"...)
			}
		}
	})
	return append(out, "\r\n"...)
}
