// Package index holds a directory's entries so that searches cost microseconds: an immutable structure in one block of memory outside
// the collector's sight, built at once and never changed. Whoever changes the directory builds another index and swaps a pointer.
//
// Entries are numbered in order of their folded common name, then their address. For each attribute there is a column:
//
//	dict      the distinct folded values in order; the place of one is its id, so that ids compare as values do
//	forward   the id of each entry's value; for an entry with several, where their ids stand in overflow
//	postings  the numbers of the entries with each value, in order
//	hash      finds the id of a value at once
//	grams     for each three octets the ids of the values that hold them, as differences
//
// An equality is one id and a prefix is a range of them, so that both know at once how many entries they are; a search begins with the
// rarest of what it asks for and tests the rest on its candidates (plan.go).
//
// The block can be written to a file as it is and read back (file.go). It holds no pointers and no native integers.
package index

import (
	"encoding/binary"
	"hash/crc32"
)

// u32s is a list of numbers, little-endian.
type u32s []byte

func (s u32s) at(i uint32) uint32 { return binary.LittleEndian.Uint32(s[4*uint64(i):]) }

func (s u32s) set(i, n uint32) { binary.LittleEndian.PutUint32(s[4*uint64(i):], n) }

func (s u32s) len() uint32 { return uint32(len(s) / 4) }

// none stands in forward for an entry without a value; several marks a place in overflow.
const (
	none    = ^uint32(0)
	several = uint32(1) << 31
)

// castagnoli is the polynomial that processors compute.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// hash spreads values over a table. It is part of the file's format.
func hash(b []byte) uint32 { return crc32.Update(0, castagnoli, b) }

// gramBits is how much of each octet counts in a gram.
const (
	gramBits = 6
	grams    = 1 << (3 * gramBits)
)

// gramCode maps the octets of folded text to the 64 signs that grams are made of: what directories hold keeps apart, what is rare shares.
var gramCode = func() (code [256]uint32) {
	const plain = " abcdefghijklmnopqrstuvwxyz0123456789.-_@',/&()+:"
	for i := range code {
		code[i] = uint32(len(plain) + i%(1<<gramBits-len(plain)))
	}
	for i, c := range []byte(plain) {
		code[c] = uint32(i)
	}
	return code
}()

func gram(b []byte) uint32 {
	return gramCode[b[0]]<<(2*gramBits) | gramCode[b[1]]<<gramBits | gramCode[b[2]]
}
