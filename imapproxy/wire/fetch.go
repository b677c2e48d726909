package wire

import (
	"slices"
	"strconv"
	"strings"
)

// Fetch is the arguments of FETCH and UID FETCH.
type Fetch struct {
	Set          NumSet
	Items        []FetchItem // macros expanded
	ChangedSince uint64      // RFC 7162; 0 when not given
	Vanished     bool        // RFC 7162

	fields int // in all Items
}

// ItemKind says what a FetchItem asks for.
type ItemKind uint8

// The kinds of items. The last ones read a message's octets.
const (
	ItemUID ItemKind = iota
	ItemFlags
	ItemInternalDate
	ItemSize // RFC822.SIZE
	ItemModSeq
	ItemSaveDate // RFC 8514
	ItemEmailID  // RFC 8474
	ItemThreadID
	ItemEnvelope
	ItemBody          // BODY without a section
	ItemBodyStructure // BODYSTRUCTURE
	ItemBinarySize    // BINARY.SIZE[…]
	ItemSection       // BODY[…], BODY.PEEK[…]
	ItemBinary        // BINARY[…], BINARY.PEEK[…]
	ItemRFC822
	ItemRFC822Header
	ItemRFC822Text
	ItemPreview // RFC 8970
)

// SectionPart is the word that ends a section.
type SectionPart uint8

// The words of sections.
const (
	SectionAll SectionPart = iota
	SectionHeader
	SectionHeaderFields
	SectionHeaderFieldsNot
	SectionText
	SectionMIME
)

var sectionNames = [...]string{"", "HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT", "TEXT", "MIME"}

// FetchItem is one item of a FETCH.
type FetchItem struct {
	Kind   ItemKind
	Path   []int // of a section: [1 2] for "1.2"
	Part   SectionPart
	Fields []string // of HEADER.FIELDS and HEADER.FIELDS.NOT
	Peek   bool     // \Seen stays as it is
	Lazy   bool     // of PREVIEW: only what the mail store has at hand
	// Partial asks for at most Count octets from Offset on.
	Partial       bool
	Offset, Count int64
}

var simpleItems = map[string]FetchItem{
	"UID": {Kind: ItemUID}, "FLAGS": {Kind: ItemFlags}, "INTERNALDATE": {Kind: ItemInternalDate}, "RFC822.SIZE": {Kind: ItemSize},
	"MODSEQ": {Kind: ItemModSeq}, "ENVELOPE": {Kind: ItemEnvelope}, "BODY": {Kind: ItemBody}, "BODYSTRUCTURE": {Kind: ItemBodyStructure},
	"RFC822": {Kind: ItemRFC822}, "RFC822.HEADER": {Kind: ItemRFC822Header, Part: SectionHeader, Peek: true},
	"RFC822.TEXT": {Kind: ItemRFC822Text, Part: SectionText}, "SAVEDATE": {Kind: ItemSaveDate}, "PREVIEW": {Kind: ItemPreview},
	"EMAILID": {Kind: ItemEmailID}, "THREADID": {Kind: ItemThreadID},
}

var sectionItems = map[string]FetchItem{
	"BODY": {Kind: ItemSection}, "BODY.PEEK": {Kind: ItemSection, Peek: true}, "BINARY": {Kind: ItemBinary},
	"BINARY.PEEK": {Kind: ItemBinary, Peek: true}, "BINARY.SIZE": {Kind: ItemBinarySize, Peek: true},
}

var fetchMacros = map[string][]string{
	"FAST": {"FLAGS", "INTERNALDATE", "RFC822.SIZE"},
	"ALL":  {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"},
	"FULL": {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"},
}

// ParseFetch reads the arguments of FETCH.
func ParseFetch(args []byte) (f Fetch, err error) {
	p := NewParser(args)
	if f.Set, err = p.NumSet(); err != nil {
		return f, err
	}
	if err := p.SP(); err != nil {
		return f, err
	}
	if p.Peek() == '(' {
		err = p.List(func() error { return p.fetchItem(&f, false) })
		if err == nil && len(f.Items) == 0 {
			err = syntax("Nothing to fetch")
		}
	} else {
		err = p.fetchItem(&f, true)
	}
	if err != nil {
		return f, err
	}
	if p.Take(' ') {
		if err := p.fetchModifiers(&f); err != nil {
			return f, err
		}
	}
	return f, p.End()
}

// Bounds of the work of one command: a header of many short lines is compared with each field, for each message.
const (
	maxFetchItems  = 200
	maxFetchFields = 500
)

func (p *Parser) fetchItem(f *Fetch, alone bool) error {
	if len(f.Items) == maxFetchItems {
		return syntax("Too many items")
	}
	name, err := p.while(func(c byte) bool { return c != '[' && isAtomChar(c) }, "an item")
	if err != nil {
		return err
	}
	name = strings.ToUpper(name)
	if p.Peek() == '[' {
		item, ok := sectionItems[name]
		if !ok {
			return syntax("Unknown item")
		}
		err := p.section(&item)
		f.Items = append(f.Items, item)
		if f.fields += len(item.Fields); err == nil && f.fields > maxFetchFields {
			err = syntax("Too many header fields")
		}
		return err
	}
	if macro := fetchMacros[name]; alone && macro != nil {
		for _, name := range macro {
			f.Items = append(f.Items, simpleItems[name])
		}
		return nil
	}
	item, ok := simpleItems[name]
	if !ok {
		return syntax("Unknown item")
	}
	item.Lazy = item.Kind == ItemPreview && p.takeFold(" (LAZY)")
	f.Items = append(f.Items, item)
	return nil
}

// takeFold reads text if it comes next, in any case. The parentheses of a PREVIEW are told by it from those of a command's modifiers.
func (p *Parser) takeFold(text string) bool {
	if len(p.b) < len(text) || !strings.EqualFold(string(p.b[:len(text)]), text) {
		return false
	}
	p.b = p.b[len(text):]
	return true
}

// section reads "[1.2.HEADER]<0.100>".
func (p *Parser) section(item *FetchItem) error {
	p.Take('[')
	if err := p.sectionPath(item); err != nil {
		return err
	}
	if err := p.Expect(']'); err != nil {
		return err
	}
	if item.Kind == ItemBinarySize || !p.Take('<') {
		return nil
	}
	item.Partial = true
	var err error
	if item.Offset, err = p.Number64(); err != nil {
		return err
	}
	if err := p.Expect('.'); err != nil {
		return err
	}
	if item.Count, err = p.Number64(); err != nil {
		return err
	}
	if item.Count == 0 {
		return syntax("A part of a section has octets")
	}
	return p.Expect('>')
}

func (p *Parser) sectionPath(item *FetchItem) error {
	for '0' <= p.Peek() && p.Peek() <= '9' {
		n, err := p.Number()
		if err != nil {
			return err
		}
		if n == 0 || len(item.Path) == maxNesting {
			return syntax("Section is not valid")
		}
		item.Path = append(item.Path, int(n))
		if !p.Take('.') {
			return nil
		}
		if p.Peek() == ']' {
			return syntax("Section is not valid")
		}
	}
	if p.Peek() == ']' {
		return nil
	}
	if item.Kind != ItemSection {
		return syntax("Section is not valid")
	}
	word, err := p.Word()
	if err != nil {
		return err
	}
	for part, name := range sectionNames {
		if name == word && part != int(SectionAll) {
			item.Part = SectionPart(part)
		}
	}
	switch item.Part {
	case SectionAll:
		return syntax("Section is not valid")
	case SectionMIME:
		if len(item.Path) == 0 {
			return syntax("MIME needs a part number")
		}
	case SectionHeaderFields, SectionHeaderFieldsNot:
		return p.headerFields(item)
	}
	return nil
}

func (p *Parser) headerFields(item *FetchItem) error {
	if err := p.SP(); err != nil {
		return err
	}
	err := p.List(func() error {
		name, err := p.AString()
		item.Fields = append(item.Fields, name)
		return err
	})
	if err == nil && len(item.Fields) == 0 {
		return syntax("No header field is named")
	}
	return err
}

func (p *Parser) fetchModifiers(f *Fetch) error {
	return p.List(func() error {
		name, err := p.Word()
		if err != nil {
			return err
		}
		switch name {
		case "CHANGEDSINCE":
			if err := p.SP(); err != nil {
				return err
			}
			n, err := p.Number64()
			f.ChangedSince = uint64(n)
			if err == nil && n == 0 {
				return syntax("Modification sequences begin at 1")
			}
			return err
		case "VANISHED":
			f.Vanished = true
			return nil
		}
		return syntax("Unknown modifier")
	})
}

// ReadsContent tells whether the command reads what people wrote: a message, its text or one of its parts. Headers, ENVELOPE and
// BODYSTRUCTURE are what lists of messages are made of: see ReadsHeader.
func (f Fetch) ReadsContent() bool {
	for _, item := range f.Items {
		if item.readsBody() {
			return true
		}
	}
	return false
}

func (i FetchItem) readsBody() bool {
	switch i.Kind {
	case ItemRFC822, ItemRFC822Text, ItemBinary, ItemPreview:
		return true
	case ItemSection:
		return i.Part == SectionAll || i.Part == SectionText
	}
	return false
}

// ReadsHeader tells whether the command reads a header or fields of one, and no content.
func (f Fetch) ReadsHeader() bool {
	for _, item := range f.Items {
		if (item.Kind == ItemSection || item.Kind == ItemRFC822Header) && !item.readsBody() {
			return !f.ReadsContent()
		}
	}
	return false
}

// UsesCondStore tells whether the command makes its client one that is told modification sequences (RFC 7162, 3.1).
func (f Fetch) UsesCondStore() bool {
	return f.ChangedSince != 0 || slices.ContainsFunc(f.Items, func(i FetchItem) bool { return i.Kind == ItemModSeq })
}

// SetsSeen tells whether the command sets \Seen.
func (f Fetch) SetsSeen() bool {
	for _, item := range f.Items {
		if item.SetsSeen() {
			return true
		}
	}
	return false
}

// SetsSeen tells whether the item sets \Seen (RFC 3501, 6.4.5).
func (i FetchItem) SetsSeen() bool {
	switch i.Kind {
	case ItemSection, ItemBinary:
		return !i.Peek
	case ItemRFC822, ItemRFC822Text:
		return true
	}
	return false
}

// AppendName appends the item's name as the response tells it.
func (i FetchItem) AppendName(dst []byte) []byte {
	switch i.Kind {
	case ItemSection:
		dst = append(dst, "BODY["...)
	case ItemBinary:
		dst = append(dst, "BINARY["...)
	case ItemBinarySize:
		dst = append(dst, "BINARY.SIZE["...)
	default:
		for name, item := range simpleItems {
			if item.Kind == i.Kind {
				return append(dst, name...)
			}
		}
		return dst
	}
	for n, number := range i.Path {
		if n > 0 {
			dst = append(dst, '.')
		}
		dst = strconv.AppendInt(dst, int64(number), 10)
	}
	if len(i.Path) > 0 && i.Part != SectionAll {
		dst = append(dst, '.')
	}
	dst = append(dst, sectionNames[i.Part]...)
	if len(i.Fields) > 0 {
		dst = append(dst, " ("...)
		for n, field := range i.Fields {
			if n > 0 {
				dst = append(dst, ' ')
			}
			dst = AppendAString(dst, field)
		}
		dst = append(dst, ')')
	}
	dst = append(dst, ']')
	if i.Partial {
		dst = strconv.AppendInt(append(dst, '<'), i.Offset, 10)
		dst = append(dst, '>')
	}
	return dst
}
