package index

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"balorg/ldapserver/entry"
	"balorg/ldapserver/schema"
)

// TestMostMemory: what is reserved is enough for texts that grow when they are folded, and for values so short that what finds them is most of them.
func TestMostMemory(t *testing.T) {
	for why, value := range map[string]func(i int) string{
		"texts that grow": func(i int) string { return strings.Repeat("ﷺ", 1+i%7) + fmt.Sprint(i) },
		"short values":    func(i int) string { return fmt.Sprint(i % 700) },
	} {
		var b Builder
		size := 0
		for i := range 3000 {
			e := new(entry.Entry)
			for _, a := range []schema.Attribute{schema.CN, schema.DisplayName, schema.SN, schema.GivenName, schema.O, schema.OU, schema.Description, schema.L} {
				e.Set(a, value(i), value(i+1))
			}
			e.Set(schema.Mail, fmt.Sprintf("%d@x.fr", i))
			size += len(b.Record(b.Add(e.Attributes)))
		}
		x, err := b.Build(Info{}, nil)
		if err != nil {
			t.Fatalf("%s: %v", why, err)
		}
		if most := mostMemory(size, 3000); x.Size() > most/2 {
			t.Errorf("%s: %d octets of %d that were reserved", why, x.Size(), most)
		}
	}
}

// TestRecordsStay: the records of a builder are those of the index, in its order, from the moment they are sorted.
func TestRecordsStay(t *testing.T) {
	var b Builder
	for i := range 1000 {
		e := new(entry.Entry)
		e.Set(schema.CN, fmt.Sprint("name ", (i*7919)%1000))
		e.Set(schema.Mail, fmt.Sprintf("%d@x.fr", i))
		b.Add(e.Attributes)
	}
	if err := b.Sort(); err != nil {
		t.Fatal(err)
	}
	record := b.Record(500)
	x, err := b.Build(Info{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := range b.Len() {
		if !bytes.Equal(b.Record(n), x.Record(uint32(n))) {
			t.Fatalf("record %d of the builder is not that of the index", n)
		}
	}
	if &record[0] != &x.Record(500)[0] {
		t.Error("the records are there twice")
	}
}

// TestNoRoom: a block that is full says so, and what was written stays.
func TestNoRoom(t *testing.T) {
	m, err := newMemory(page)
	if err != nil {
		t.Fatal(err)
	}
	w := &writer{m: m}
	w.octets([]byte("kept"))
	if w.room(page - 4); w.err != nil {
		t.Errorf("a page has no room for a page: %v", w.err)
	}
	if w.room(1); !errors.Is(w.err, ErrTooMany) {
		t.Errorf("beyond: %v", w.err)
	}
	if string(m.b[:4]) != "kept" {
		t.Errorf("there is %q", m.b[:4])
	}
}
