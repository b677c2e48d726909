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
