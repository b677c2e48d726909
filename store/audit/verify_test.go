package audit_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"balorg/store"
	"balorg/store/storetest"
)

func recordKey(seq uint64) []byte { return binary.BigEndian.AppendUint64([]byte("a/r/"), seq) }

func update(t *testing.T, st store.Store, fn func(store.Writer) error) {
	t.Helper()
	if err := st.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// rewrite changes the JSON of a record in place, its hash left as it is.
func rewrite(seq uint64, change func(m map[string]any)) func(store.Writer) error {
	return func(tx store.Writer) error {
		b, err := tx.Get(recordKey(seq))
		if err != nil {
			return err
		}
		var m map[string]any
		if err := json.Unmarshal(b[sha256.Size:], &m); err != nil {
			return err
		}
		change(m)
		text, err := json.Marshal(m)
		if err != nil {
			return err
		}
		return tx.Set(recordKey(seq), append(b[:sha256.Size:sha256.Size], text...))
	}
}

func TestVerifyFindsEveryChangedField(t *testing.T) {
	whole, err := json.Marshal(sample(0))
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(whole, &fields); err != nil {
		t.Fatal(err)
	}
	if len(fields) < 15 {
		t.Fatalf("the sample sets %d fields only", len(fields))
	}
	for field, value := range fields {
		t.Run(field, func(t *testing.T) {
			st := storetest.New(t)
			log := filled(t, st, 5)
			update(t, st, rewrite(3, func(m map[string]any) {
				switch v := value.(type) {
				case string:
					m[field] = v + "0"
				case float64:
					m[field] = v + 1
				case map[string]any:
					m[field] = map[string]any{"id": "somebodyelse", "address": v["address"]}
				default:
					t.Errorf("field of type %T", v)
				}
			}))
			report, err := log.Verify(t.Context())
			if err != nil || report.Broken == "" || report.BrokenSeq != 3 || report.Records != 2 {
				t.Errorf("verify: %+v, %v", report, err)
			}
			if err := log.Export(t.Context(), &bytes.Buffer{}); err == nil {
				t.Error("a broken chain was exported without a word")
			}
		})
	}
}

func TestVerifyFinds(t *testing.T) {
	remove := func(seqs ...uint64) func(store.Writer) error {
		return func(tx store.Writer) error {
			for _, seq := range seqs {
				if err := tx.Delete(recordKey(seq)); err != nil {
					return err
				}
			}
			return nil
		}
	}
	for name, c := range map[string]struct {
		damage func(store.Writer) error
		at     uint64
	}{
		"first removed":     {remove(1), 1},
		"removed inside":    {remove(3), 3},
		"removed at end":    {remove(5), 5},
		"two off the end":   {remove(4, 5), 4},
		"all removed":       {remove(1, 2, 3, 4, 5), 1},
		"head removed":      {func(tx store.Writer) error { return tx.Delete([]byte("a/h")) }, 6},
		"head short":        {func(tx store.Writer) error { return tx.Set([]byte("a/h"), []byte("x")) }, 6},
		"record short":      {func(tx store.Writer) error { return tx.Set(recordKey(2), []byte("x")) }, 2},
		"record moved":      {func(tx store.Writer) error { return move(tx, 4, 6) }, 4},
		"records exchanged": {func(tx store.Writer) error { return exchange(tx, 2, 3) }, 2},
		"no JSON":           {func(tx store.Writer) error { return forge(tx, 2, []byte("{")) }, 2},
		"forged and rehashed": {func(tx store.Writer) error {
			return forge(tx, 3, []byte(`{"seq":3,"action":"login"}`))
		}, 4},
		"forged checkpoint": {func(tx store.Writer) error {
			return tx.Set([]byte("a/c"), []byte(`{"seq":2,"hash":"`+strings.Repeat("0", 64)+`"}`))
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			st := storetest.New(t)
			log := filled(t, st, 5)
			update(t, st, c.damage)
			report, err := log.Verify(t.Context())
			if err != nil || report.Broken == "" || report.BrokenSeq != c.at {
				t.Errorf("verify: %+v, %v", report, err)
			}
			problems, err := store.Check(t.Context(), st, log.Checker())
			if err != nil || len(problems) == 0 {
				t.Errorf("check: %q, %v", problems, err)
			}
		})
	}
}

func move(tx store.Writer, from, to uint64) error {
	b, err := tx.Get(recordKey(from))
	if err != nil {
		return err
	}
	if err := tx.Delete(recordKey(from)); err != nil {
		return err
	}
	return tx.Set(recordKey(to), b)
}

func exchange(tx store.Writer, a, b uint64) error {
	for _, step := range [][2]uint64{{a, 99}, {b, a}, {99, b}} {
		if err := move(tx, step[0], step[1]); err != nil {
			return err
		}
	}
	return nil
}

// forge replaces a record by text with the hash that fits it.
func forge(tx store.Writer, seq uint64, text []byte) error {
	before, err := tx.Get(recordKey(seq - 1))
	if err != nil {
		return err
	}
	sum := sha256.Sum256(append(before[:sha256.Size:sha256.Size], text...))
	return tx.Set(recordKey(seq), append(sum[:], text...))
}

func TestForgedCheckpoint(t *testing.T) {
	st := storetest.New(t)
	log := filled(t, st, 5)
	if _, err := log.Prune(t.Context(), sample(2).Time); err != nil {
		t.Fatal(err)
	}
	// Somebody removes one more record and has the checkpoint say so.
	update(t, st, func(tx store.Writer) error {
		record, err := tx.Get(recordKey(3))
		if err != nil {
			return err
		}
		b, err := tx.Get([]byte("a/c"))
		if err != nil {
			return err
		}
		var c map[string]any
		if err := json.Unmarshal(b, &c); err != nil {
			return err
		}
		c["seq"], c["hash"] = 3, hex.EncodeToString(record[:sha256.Size])
		forged, err := json.Marshal(c)
		if err != nil {
			return err
		}
		if err := tx.Delete(recordKey(3)); err != nil {
			return err
		}
		return tx.Set([]byte("a/c"), forged)
	})
	report, err := log.Verify(t.Context())
	if err != nil || !strings.Contains(report.Broken, "signature") {
		t.Errorf("verify: %+v, %v", report, err)
	}
	if _, err := log.Prune(t.Context(), sample(4).Time); err == nil {
		t.Error("a forged checkpoint was pruned on")
	}
}
