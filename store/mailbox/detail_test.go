package mailbox

import (
	"encoding/binary"
	"testing"

	"balorg/store/mailbox/structure"
)

// TestOldStructure: what was stored before References were kept is read, and does not pretend to know them.
func TestOldStructure(t *testing.T) {
	old := []byte{rowVersion}
	for _, text := range []string{"(envelope)", "(body)", "(structure)", string(structure.AppendParts(nil, nil))} {
		old = append(binary.AppendUvarint(old, uint64(len(text))), text...)
	}
	var d Detail
	if err := d.decode(old); err != nil || string(d.Envelope) != "(envelope)" || string(d.BodyStructure) != "(structure)" || d.References != nil {
		t.Errorf("%+v, %v", d, err)
	}
	for _, references := range []string{"", "<a@b>"} {
		res := structure.Result{Envelope: []byte("e"), References: []byte(references)}
		if err := d.decode(encodeStructure(&res)); err != nil || d.References == nil || string(d.References) != references {
			t.Errorf("%q: %+v, %v", references, d, err)
		}
	}
	for _, damaged := range [][]byte{nil, {0}, {3}, {structureVersion}, append(old, 0), old[:len(old)-1]} {
		if err := d.decode(damaged); err == nil {
			t.Errorf("%v is taken", damaged)
		}
	}
}

// TestOldMessage: what was stored before the time of saving was noted is read, and does not pretend to know it.
func TestOldMessage(t *testing.T) {
	m := message{UID: 7, Flags: Flags{Seen, 5}, ModSeq: 9, Size: 1000, Date: -5, Zone: -60, Body: 300, Saved: 1_800_000_000}
	row := m.encode()
	if got, err := decodeMessage(7, row); err != nil || got != m {
		t.Errorf("%+v, %v", got, err)
	}
	m.Saved = 0
	old := m.encode()
	old = old[:len(old)-1]
	old[0] = rowVersion
	if got, err := decodeMessage(7, old); err != nil || got != m {
		t.Errorf("%+v, %v", got, err)
	}
	for _, damaged := range [][]byte{nil, row[:len(row)-1], append(old, 0), append([]byte{3}, row[1:]...)} {
		if got, err := decodeMessage(7, damaged); err == nil {
			t.Errorf("%v is read as %+v", damaged, got)
		}
	}
}
