package extraction

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"balorg/mail"
	"balorg/policy"
)

// A Kind is what a mailbox is.
type Kind uint8

// The kinds. MED is no national one.
const (
	PER Kind = iota + 1
	ORG
	APP
	CAB
)

// String is the kind as the file writes it.
func (k Kind) String() string {
	switch k {
	case PER:
		return "PER"
	case ORG:
		return "ORG"
	case APP:
		return "APP"
	case CAB:
		return "CAB"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

func parseKind(text []byte) Kind {
	for k := PER; k <= CAB; k++ {
		if bytes.EqualFold(text, []byte(k.String())) {
			return k
		}
	}
	return 0
}

// A Row is one line of the file: a mailbox with one of its activities or structures. It is valid until the reader's next one, but for Address, which stays.
type Row struct {
	Line    int // the header is line 1
	Kind    Kind
	Address mail.Address
	fields  [Columns + 1][]byte
}

// Field answers the octets of a column without space around them. They are the reader's: copy what is to last, and change nothing.
func (r *Row) Field(c Column) []byte { return r.fields[c] }

// The types of a person's national identifier (domain: Type identifiant PP), and their lengths.
const (
	typeADELI = "0"
	typeRPPS  = "8"

	rppsDigits = 11
	adeliSigns = 9
)

// parse makes a line the current row, or answers why it is none.
func (x *Reader) parse(line []byte) Fault {
	row := &x.row
	*row = Row{Line: x.line}
	if fault := x.split(line); fault != (Fault{}) {
		return fault
	}
	if row.Kind = parseKind(row.fields[BALType]); row.Kind == 0 {
		return x.fault(BALType, "it is none of PER, ORG, APP and CAB")
	}
	if len(row.fields[BALAddress]) == 0 {
		return x.fault(BALAddress, "it is empty")
	}
	address, err := x.addresses.Address(string(row.fields[BALAddress]))
	if err != nil {
		return x.fault(BALAddress, err.Error())
	}
	row.Address = address
	if row.Kind == PER || row.Kind == CAB {
		if fault := x.checkPerson(); fault != (Fault{}) {
			return fault
		}
	}
	x.checkStructure()
	return Fault{}
}

func (x *Reader) fault(c Column, reason string) Fault {
	return Fault{Line: x.line, Column: c, Reason: reason}
}

// split cuts a line into the fields of the row.
func (x *Reader) split(line []byte) Fault {
	fields, n, start := &x.row.fields, 0, 0
	control, long, all := Column(0), Column(0), byte(0)
	take := func(end int) {
		if n < Columns {
			c := x.order[n]
			fields[c] = trimSpace(line[start:end])
			if len(fields[c]) > maxField && long == 0 {
				long = c
			}
		}
		n++
		start = end + 1
	}
	for i, c := range line {
		all |= c
		switch {
		case c == '|':
			take(i)
		case (c < ' ' || c == 0x7f) && control == 0 && n < Columns:
			control = x.order[n]
		}
	}
	take(len(line))
	if n == Columns+1 && x.trailing && line[len(line)-1] == '|' {
		n--
	}
	if n != Columns {
		return Fault{Line: x.line, Reason: fmt.Sprintf("it has %d fields in place of %d", n, Columns)}
	}
	if all >= utf8.RuneSelf {
		if !utf8.Valid(line) {
			return x.fault(x.firstField(func(f []byte) bool { return !utf8.Valid(f) }), "it is not UTF-8")
		}
		if hasC1(line) {
			control = x.firstField(hasC1)
		}
	}
	switch {
	case control != 0:
		return x.fault(control, "it holds a control character")
	case long != 0:
		return x.fault(long, fmt.Sprintf("it is longer than %d octets", maxField))
	}
	return Fault{}
}

// firstField answers the first column, in the order of the file, of which something holds.
func (x *Reader) firstField(holds func([]byte) bool) Column {
	for _, c := range x.order {
		if holds(x.row.fields[c]) {
			return c
		}
	}
	return 0
}

// hasC1 tells whether UTF-8 text holds one of the control characters U+0080 to U+009F.
func hasC1(text []byte) bool {
	for {
		i := bytes.IndexByte(text, 0xc2)
		if i < 0 || i+1 == len(text) {
			return false
		}
		if text[i+1] < 0xa0 {
			return true
		}
		text = text[i+1:]
	}
}

// trimSpace takes spaces and no-break spaces off both ends.
func trimSpace(f []byte) []byte {
	const noBreak = "\u00a0"
	perhaps := func(c byte) bool { return c == ' ' || c >= utf8.RuneSelf }
	for len(f) > 0 && (perhaps(f[0]) || perhaps(f[len(f)-1])) {
		switch {
		case f[0] == ' ':
			f = f[1:]
		case f[len(f)-1] == ' ':
			f = f[:len(f)-1]
		case bytes.HasPrefix(f, []byte(noBreak)):
			f = f[len(noBreak):]
		case bytes.HasSuffix(f, []byte(noBreak)):
			f = f[:len(f)-len(noBreak)]
		default:
			return f
		}
	}
	return f
}

// checkPerson asks for the national identifier without which a mailbox is nobody's. A key that is wrong is only told: the directory is not
// ours to correct, and mail to the address arrives.
func (x *Reader) checkPerson() Fault {
	idType, id := x.row.fields[PersonIDType], x.row.fields[PersonID]
	switch string(idType) {
	case typeRPPS:
		if len(id) != rppsDigits || !digits(id) {
			return x.fault(PersonID, fmt.Sprintf("an RPPS number has %d digits", rppsDigits))
		}
		if policy.LuhnKey(string(id[:rppsDigits-1])) != id[rppsDigits-1] {
			x.report.warn(x.fault(PersonID, "the key (last digit) of the RPPS number is wrong"))
		}
	case typeADELI:
		if len(id) != adeliSigns || !digitsOrCapitals(id) {
			return x.fault(PersonID, fmt.Sprintf("an ADELI number has %d digits or capital letters", adeliSigns))
		}
	case "":
		return x.fault(PersonIDType, "a mailbox of this kind has the national identifier of a person, and this one has none")
	default:
		return x.fault(PersonIDType, "it is neither 8 (RPPS) nor 0 (ADELI)")
	}
	if national := x.row.fields[NationalID]; len(national) > 0 && (national[0] != idType[0] || !bytes.Equal(national[1:], id)) {
		x.report.warn(x.fault(NationalID, "it is not the type and the identifier of the columns before it"))
	}
	return Fault{}
}

// checkStructure tells of a structure's number that cannot be one. The row is kept for the same reason.
func (x *Reader) checkStructure() {
	id := x.row.fields[StructureID]
	if len(id) == 0 {
		return
	}
	var err error
	switch string(x.row.fields[StructureIDType]) {
	case "FINESS":
		err = policy.CheckFINESS(string(id))
	case "SIRET":
		err = policy.CheckSIRET(string(id))
	case "SIREN":
		err = policy.CheckSIREN(string(id))
	}
	if err != nil {
		x.report.warn(x.fault(StructureID, "it is no number of its type, or its key (last digit) is wrong"))
	}
}

func digits(text []byte) bool {
	for _, c := range text {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

func digitsOrCapitals(text []byte) bool {
	for _, c := range text {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}
