package index

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // a name, not a secret: RFC 9562, 5.5
	"encoding/binary"
	"encoding/hex"
	"sort"
	"time"

	"balorg/ldapserver/entry"
	"balorg/ldapserver/schema"
)

// Info is what an index knows of itself.
type Info struct {
	Generation uint64    // which state of the directory it is, as its source counts
	Date       time.Time // when the source was made, to the second
}

// Index is a directory that can be searched. It never changes and may be used from many goroutines.
type Index struct {
	info      Info
	entries   uint32
	offsets   u32s
	records   []byte
	columns   [schema.Count]*column
	uuids     u32s
	constants []entry.Attribute
	block     []byte
	memory    *memory // that the block is in
}

// Info is what was said of the index when it was built.
func (x *Index) Info() Info { return x.info }

// Len is how many entries it has.
func (x *Index) Len() uint32 { return x.entries }

// Size is how many octets of memory it takes.
func (x *Index) Size() int { return len(x.block) }

// Record is the record of an entry. It is valid as long as somebody holds the index.
func (x *Index) Record(n uint32) []byte { return x.records[x.offsets.at(n):x.offsets.at(n+1)] }

// Constants are the attributes that every entry has alike.
func (x *Index) Constants() []entry.Attribute { return x.constants }

// Mail is the address of an entry.
func (x *Index) Mail(n uint32) []byte {
	c := x.columns[schema.Mail]
	return c.text(c.first(n))
}

// Find answers the entry with an address in lower case.
func (x *Index) Find(address []byte) (n uint32, ok bool) {
	c := x.columns[schema.Mail]
	if c == nil {
		return 0, false
	}
	id, ok := c.find(address)
	if !ok {
		return 0, false
	}
	return c.postings.at(c.starts.at(id)), true
}

// SortKey is the folded value by which an entry is put in order for an attribute, the lowest of several (RFC 2891, 1.1).
func (x *Index) SortKey(a schema.Attribute, n uint32) (key []byte, ok bool) {
	c := x.columns[a]
	if c == nil {
		return nil, false
	}
	id := c.first(n)
	if id == none {
		return nil, false
	}
	return c.text(id), true
}

// Rank is SortKey as a number that compares as the keys of this index do; those without come last.
func (x *Index) Rank(a schema.Attribute, n uint32) uint32 {
	c := x.columns[a]
	if c == nil {
		return none
	}
	return c.first(n)
}

// Seek answers the first entry that does not stand before one with this folded common name and address.
func (x *Index) Seek(name, mail []byte) uint32 {
	if x.entries == 0 {
		return 0
	}
	return uint32(sort.Search(int(x.entries), func(i int) bool {
		key, _ := x.SortKey(schema.CN, uint32(i))
		if order := bytes.Compare(key, name); order != 0 {
			return order > 0
		}
		return bytes.Compare(x.Mail(uint32(i)), mail) >= 0
	}))
}

// uuidSpace is the name space of entries' UUIDs (RFC 9562, 5.5): that of the schema's arc.
var uuidSpace = []byte{0x55, 0x58, 0xb6, 0xbe, 0xd9, 0xb6, 0x57, 0x53, 0x80, 0xf8, 0x5a, 0xca, 0xd3, 0x07, 0x06, 0x0e}

// UUID is the entryUUID of the entry with an address: the same for ever, since addresses never change (domain).
func UUID(address []byte) (u [16]byte) {
	var name [512]byte
	sum := sha1.Sum(append(append(name[:0], uuidSpace...), address...)) //nolint:gosec // as above
	copy(u[:], sum[:])
	u[6], u[8] = u[6]&0x0f|0x50, u[8]&0x3f|0x80
	return u
}

// UUIDText is the text of an entry's UUID.
func UUIDText(address []byte) string {
	u := UUID(address)
	var text [36]byte
	for i, group := range [][2]int{{0, 4}, {4, 6}, {6, 8}, {8, 10}, {10, 16}} {
		hex.Encode(text[2*group[0]+i:], u[group[0]:group[1]])
		if i > 0 {
			text[2*group[0]+i-1] = '-'
		}
	}
	return string(text[:])
}

// uuidTable finds entries by UUID: numbers plus one, placed by its first octets.
func (b *Builder) uuidTable() []uint32 {
	size := uint32(2)
	for size < 2*uint32(len(b.records)) {
		size *= 2
	}
	table := make([]uint32, size)
	for n, record := range b.records {
		eachValue(record, schema.Mail, func(mail []byte) error { //nolint:errcheck // the record was read before
			u := UUID(mail)
			slot := binary.BigEndian.Uint32(u[:]) & (size - 1)
			for table[slot] != 0 {
				slot = (slot + 1) & (size - 1)
			}
			table[slot] = uint32(n) + 1
			return nil
		})
	}
	return table
}

// findUUID answers the entry with a UUID, or none.
func (x *Index) findUUID(u []byte) uint32 {
	mask := x.uuids.len() - 1
	for slot := binary.BigEndian.Uint32(u) & mask; ; slot = (slot + 1) & mask {
		entry := x.uuids.at(slot)
		if entry == 0 {
			return none
		}
		if have := UUID(x.Mail(entry - 1)); bytes.Equal(have[:], u) {
			return entry - 1
		}
	}
}
