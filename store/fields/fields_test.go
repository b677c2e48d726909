package fields_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"balorg/store/fields"
)

func TestFields(t *testing.T) {
	times := []time.Time{
		{},
		time.Unix(0, 0).UTC(), time.Date(2026, 11, 24, 9, 30, 0, 123456789, time.FixedZone("", 3600)), time.Now().Round(0),
		time.Date(1900, 1, 1, 0, 0, 0, 0, time.FixedZone("", -9*3600-1800)),
	}
	row := []byte{7}
	for _, at := range times {
		row = fields.AppendTime(row, at)
	}
	row = fields.AppendText(row, "Envoyés")
	row = fields.AppendText(row, "")
	row = fields.AppendUint(row, math.MaxUint64)
	row = fields.AppendBool(fields.AppendBool(row, true), false)
	read := func(row []byte) error {
		r := fields.NewReader(row)
		for _, at := range times {
			if got := r.Time(); r.Err() == nil && (!got.Equal(at) || got.Format(time.RFC3339Nano) != at.Format(time.RFC3339Nano)) {
				t.Errorf("time %v, want %v", got, at)
			}
		}
		text, none, n, yes, no := r.Text(), r.Text(), r.Uint(), r.Bool(), r.Bool()
		err := r.End()
		if err == nil && (text != "Envoyés" || none != "" || n != math.MaxUint64 || !yes || no) {
			t.Errorf("%q, %q, %d, %v, %v", text, none, n, yes, no)
		}
		return err
	}
	if err := read(row); err != nil {
		t.Error(err)
	}
	for n := range row { // whatever is missing
		if err := read(row[:n]); !errors.Is(err, fields.ErrDamaged) {
			t.Errorf("%d octets of %d: %v", n, len(row), err)
		}
	}
	if err := read(append(row, 0)); !errors.Is(err, fields.ErrDamaged) {
		t.Errorf("with an octet too many: %v", err)
	}
}
