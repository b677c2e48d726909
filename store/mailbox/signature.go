package mailbox

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"

	"balorg/mail"
	"balorg/store/mailbox/text"
)

// A Signature says which three octets in a row are nowhere in the texts of a stretch of messages: what holds none of a word's is not read to
// look for the word. It is two sets, of the headers and of the parts, each kept as one bit for each hash that occurs. A set may say too
// much, for two that share a hash or for words of two messages; it never says too little.
//
// The row: version, flags, the set of the headers and that of the parts, each with its length, and a CRC-32C.
type Signature struct {
	headers, parts set
	all            bool // a message could not be read: anything may be in it
}

// maxSet is how many octets a set has at most. One is gathered at this size and halved, by putting one half over the other, until it is full enough.
const maxSet = 16 << 10

// set has one bit for each hash; its length is a power of two.
type set []byte

// gram answers the hash of three octets.
func gram(octets uint32) uint32 {
	return uint32(uint64(octets)*0x9e3779b97f4a7c15>>40) & (maxSet*8 - 1)
}

func (s set) has(hash uint32) bool {
	hash &= uint32(len(s))*8 - 1
	return s[hash/8]&(1<<(hash%8)) != 0
}

func (s set) density() float64 {
	n := 0
	for i := 0; i < len(s); i += 8 {
		n += bits.OnesCount64(binary.LittleEndian.Uint64(s[i:]))
	}
	return float64(n) / float64(len(s)*8)
}

// Where a set is halved: to what of its bits may be set before, and how small it gets.
const (
	fullEnough = 0.2
	minSet     = 64
)

// folded answers the set as small as it tells enough, and as limit allows.
func (s set) folded(limit int) set {
	for len(s) > minSet && (len(s) > limit || s.density() <= fullEnough) {
		half := len(s) / 2
		for i := range half {
			s[i] |= s[half+i]
		}
		s = s[:half]
	}
	return s
}

// Grams are the hashes of a word. A word of less than three octets has none.
type Grams []uint32

// GramsOf answers those of a folded word.
func GramsOf(word []byte) Grams {
	var all Grams
	for i := 2; i < len(word); i++ {
		all = append(all, gram(uint32(word[i-2])<<16|uint32(word[i-1])<<8|uint32(word[i])))
	}
	return all
}

// HeadersMay tells whether a header of the messages may hold the word.
func (s *Signature) HeadersMay(word Grams) bool { return s.all || s.headers.mayHold(word) }

// PartsMay tells whether a part of the messages may hold the word, the header of a part included.
func (s *Signature) PartsMay(word Grams) bool { return s.all || s.parts.mayHold(word) }

func (s set) mayHold(word Grams) bool {
	for _, hash := range word {
		if !s.has(hash) {
			return false
		}
	}
	return true
}

// gathering is a set that grows: the sink of what a message says.
type gathering struct {
	set  set
	last uint32 // three octets
	seen int    // of the text
}

func newGathering() *gathering { return &gathering{set: make(set, maxSet)} }

// Begin implements text.Sink.
func (g *gathering) Begin() { g.seen = 0 }

// Take implements text.Sink.
func (g *gathering) Take(folded []byte) (enough bool) {
	last, seen := g.last, g.seen
	for _, c := range folded {
		last = (last<<8 | uint32(c)) & 0xffffff
		if seen++; seen >= 3 {
			hash := gram(last)
			g.set[hash/8] |= 1 << (hash % 8)
		}
	}
	g.last, g.seen = last, min(seen, 3)
	return false
}

// signatureVersion leads the row; what the texts are is in its key.
const signatureVersion = 1

const cannotRead = 1 // flag

func (s *Signature) encode() []byte {
	b := make([]byte, 0, len(s.headers)+len(s.parts)+16)
	flags := byte(0)
	if s.all {
		flags |= cannotRead
	}
	b = append(b, signatureVersion, flags)
	for _, set := range []set{s.headers, s.parts} {
		b = append(b, byte(bits.Len(uint(len(set)))))
		b = append(b, set...)
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

// decodeSignature answers what a row says; its sets are the row's own octets.
func decodeSignature(b []byte) (s Signature, err error) {
	d := newDecoder(b)
	flags := d.byte()
	s.all = flags&cannotRead != 0
	for _, set := range []*set{&s.headers, &s.parts} {
		size := d.byte()
		n := 0
		if size > 0 && size < 32 {
			n = 1 << (size - 1)
		}
		if n < minSet || n > maxSet || n > len(d.b) {
			return s, errRow
		}
		*set, d.b = d.b[:n:n], d.b[n:]
	}
	if d.bad || len(d.b) != 4 {
		return s, errRow
	}
	return s, nil
}

// intact tells whether a row is as it was written.
func intact(row []byte) bool {
	if len(row) < 4 {
		return false
	}
	n := len(row) - 4
	return crc32.Checksum(row[:n], crc32.MakeTable(crc32.Castagnoli)) == binary.BigEndian.Uint32(row[n:])
}

// stretch is a row of signatures by its key: every message that the folder has between two UIDs is in it, since UIDs are given in order.
type stretch struct {
	first, last uint32
	version     uint16 // of the texts
}

func (k folderKey) signature(s stretch) []byte {
	b := binary.BigEndian.AppendUint32(k.in(tableSignature), s.first)
	b = binary.BigEndian.AppendUint32(b, s.last)
	return binary.BigEndian.AppendUint16(b, s.version)
}

// stretchOf reads what follows the folder in a key.
func stretchOf(rest []byte) (s stretch, ok bool) {
	if len(rest) != 10 {
		return s, false
	}
	s = stretch{binary.BigEndian.Uint32(rest), binary.BigEndian.Uint32(rest[4:]), binary.BigEndian.Uint16(rest[8:])}
	return s, s.first <= s.last && s.first > 0
}

// usable tells whether the texts are those of today.
func (s stretch) usable() bool { return s.version == text.Version() }

// folderOf reads the folder of a key of a table by folder.
func folderOf(table string, key []byte) (of folderKey, rest []byte, ok bool) {
	id, rest, ok := split(table, key)
	if !ok || len(rest) < 4 {
		return of, nil, false
	}
	return folderKey{mail.AccountID(string(id)), lastUint32(rest[:4])}, rest[4:], true
}
