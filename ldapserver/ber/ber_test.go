package ber_test

import (
	"bytes"
	"errors"
	"math"
	"testing"

	asn1 "github.com/go-asn1-ber/asn1-ber"

	"balorg/ldapserver/ber"
)

// TestLengths: an element of any length is read back, also when its header had to grow behind its content.
func TestLengths(t *testing.T) {
	for _, n := range []int{0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000, 1 << 24} {
		content := bytes.Repeat([]byte{'x'}, n)
		plain := ber.Append(nil, ber.Octets, content)
		begun, mark := ber.Begin([]byte("before"), ber.Octets)
		begun = ber.End(append(begun, content...), mark)
		if !bytes.Equal(begun, append([]byte("before"), plain...)) || len(plain) != ber.Size(n) {
			t.Errorf("%d octets are encoded in two ways", n)
		}
		r := ber.NewReader(plain)
		if got := r.Expect(ber.Octets); r.Done() != nil || !bytes.Equal(got, content) {
			t.Errorf("%d octets: %v", n, r.Err())
		}
	}
}

func TestIntegers(t *testing.T) {
	for _, n := range []int32{0, 1, -1, 127, 128, -128, -129, 255, 256, 32767, -32768, 65536, math.MaxInt32, math.MinInt32} {
		r := ber.NewReader(ber.AppendInt(nil, ber.Integer, n))
		if got := r.Int(ber.Integer, math.MinInt32, math.MaxInt32); got != n || r.Done() != nil {
			t.Errorf("%d is read as %d (%v)", n, got, r.Err())
		}
		want := asn1.NewInteger(asn1.ClassUniversal, asn1.TypePrimitive, asn1.TagInteger, int64(n), "").Bytes()
		if got := ber.AppendInt(nil, ber.Integer, n); !bytes.Equal(got, want) {
			t.Errorf("%d is written % x, want % x", n, got, want)
		}
	}
	for _, b := range [][]byte{{2, 0}, {2, 5, 1, 0, 0, 0, 0}, {2, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1}, {2, 2, 1}, {4, 1, 1}} {
		if r := ber.NewReader(b); r.Int(ber.Integer, math.MinInt32, math.MaxInt32) != 0 || !errors.Is(r.Done(), ber.ErrMalformed) {
			t.Errorf("% x is taken for an integer", b)
		}
	}
}

// FuzzReader: what another decoder reads, this one reads alike; whatever it is given it ends.
func FuzzReader(f *testing.F) {
	for _, seed := range [][]byte{
		{0x30, 3, 2, 1, 5}, {0x30, 0x84, 0, 0, 0, 3, 2, 1, 5}, {0x30, 0x80, 0, 0}, {4, 0x81, 1, 'x'}, {1, 1, 0xff}, {0x1f, 0x81, 0}, {0x30, 0x85, 0, 0, 0, 0, 0},
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := ber.NewReader(b)
		tag, value := r.Next()
		if r.Err() != nil {
			return
		}
		packet, err := asn1.DecodePacketErr(b)
		if err != nil {
			return // it looks inside as well
		}
		if packet.Tag != asn1.Tag(tag&0x1f) || packet.ClassType != asn1.Class(tag&0xc0) || (packet.TagType == asn1.TypeConstructed) != (tag&ber.Constructed != 0) {
			t.Errorf("tag %x, want %v %v %v", tag, packet.ClassType, packet.TagType, packet.Tag)
		}
		if packet.TagType == asn1.TypePrimitive && !bytes.Equal(packet.Data.Bytes(), value) {
			t.Errorf("value % x, want % x", value, packet.Data.Bytes())
		}
	})
}
