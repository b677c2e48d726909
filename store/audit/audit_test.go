package audit_test

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"balorg/mail"
	"balorg/store"
	"balorg/store/audit"
	"balorg/store/storetest"
)

var start = time.Date(2026, 11, 23, 9, 30, 0, 0, time.FixedZone("", 3600))

func party(id string) audit.Party {
	return audit.Party{ID: mail.AccountID(id), Address: mail.Address(id + "@a.fr")}
}

// sample is the n-th record of a trace in which every field is set: one every 10 minutes.
func sample(n int) audit.Record {
	return audit.Record{
		Time:        start.Add(time.Duration(n) * 10 * time.Minute),
		Action:      audit.Actions()[n%len(audit.Actions())],
		Person:      party(fmt.Sprintf("person%d", n%3)),
		Mailbox:     party(fmt.Sprintf("mailbox%d", n%2)),
		Folder:      "INBOX/Résultats",
		UIDValidity: 7,
		UIDs:        "1:4,9",
		Count:       5,
		Request:     "UID FETCH 1:4,9 (BODY[])",
		Answer:      "OK",
		Reason:      "delegations.yaml:3",
		Protocol:    "imap",
		Session:     "s1",
		Client:      "192.0.2.1:4711",
	}
}

func filled(t *testing.T, st store.Store, n int) *audit.Log {
	t.Helper()
	log := audit.New(st)
	for i := range n {
		if err := log.Append(t.Context(), sample(i)); err != nil {
			t.Fatal(err)
		}
	}
	return log
}

func list(t *testing.T, log *audit.Log, f audit.Filter) (seqs []uint64) {
	t.Helper()
	err := log.List(t.Context(), f, func(r audit.Record) bool {
		seqs = append(seqs, r.Seq)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return seqs
}

func TestRecordComesBackWhole(t *testing.T) {
	st := storetest.New(t)
	log := filled(t, st, 1)
	storetest.CheckAtEnd(t, st, log.Checker())
	var got audit.Record
	if err := log.List(t.Context(), audit.Filter{}, func(r audit.Record) bool { got = r; return true }); err != nil {
		t.Fatal(err)
	}
	want := sample(0)
	want.Seq = 1
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	if _, offset := got.Time.Zone(); offset != 3600 {
		t.Errorf("offset of local time is %d", offset)
	}
}

func TestList(t *testing.T) {
	st := storetest.New(t)
	log := filled(t, st, 24)
	storetest.CheckAtEnd(t, st, log.Checker())
	at := func(n int) time.Time { return sample(n).Time }
	for name, f := range map[string]audit.Filter{
		"all":                 {},
		"since":               {Since: at(7)},
		"until":               {Until: at(7)},
		"between":             {Since: at(3), Until: at(11)},
		"between two records": {Since: at(3).Add(time.Minute), Until: at(4)},
		"before all":          {Until: at(0)},
		"after all":           {Since: at(30)},
		"mailbox":             {Mailbox: "mailbox1"},
		"person":              {Person: "person2"},
		"both":                {Mailbox: "mailbox1", Person: "person2"},
		"nobody":              {Person: "person"},
		"action":              {Action: audit.Read},
		"all of it":           {Mailbox: "mailbox0", Person: "person1", Since: at(2), Until: at(20), After: 6},
		"after":               {After: 20},
	} {
		t.Run(name, func(t *testing.T) {
			var want []uint64
			for i := range 24 {
				r, seq := sample(i), uint64(i+1)
				if (f.Mailbox == "" || r.Mailbox.ID == f.Mailbox) && (f.Person == "" || r.Person.ID == f.Person) &&
					(f.Action == "" || r.Action == f.Action) && (f.Since.IsZero() || !r.Time.Before(f.Since)) &&
					(f.Until.IsZero() || r.Time.Before(f.Until)) && seq > f.After {
					want = append(want, seq)
				}
			}
			if diff := cmp.Diff(want, list(t, log, f)); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
	var first []uint64
	if err := log.List(t.Context(), audit.Filter{}, func(r audit.Record) bool { first = append(first, r.Seq); return false }); err != nil {
		t.Fatal(err)
	}
	if len(first) != 1 {
		t.Errorf("yield was called on: %v", first)
	}
}

func TestListFindsRecordsOfAClockSetBack(t *testing.T) {
	st := storetest.New(t)
	log := audit.New(st)
	storetest.CheckAtEnd(t, st, log.Checker())
	for _, minutes := range []int{0, 300, 60, 90, 310} {
		r := sample(0)
		r.Time = start.Add(time.Duration(minutes) * time.Minute)
		if err := log.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	got := list(t, log, audit.Filter{Since: start.Add(80 * time.Minute)})
	if diff := cmp.Diff([]uint64{2, 4, 5}, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func TestAppendTogether(t *testing.T) {
	st := storetest.New(t)
	log := audit.New(st)
	storetest.CheckAtEnd(t, st, log.Checker())
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for i := range 10 {
				if err := log.Append(t.Context(), sample(i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	report, err := log.Verify(t.Context())
	if err != nil || report.Broken != "" || report.Records != 200 || report.Last != 200 {
		t.Errorf("verify: %+v, %v", report, err)
	}
}

func TestAppendTooLarge(t *testing.T) {
	log := audit.New(storetest.New(t))
	err := log.Append(t.Context(), audit.Record{Action: audit.Read, UIDs: strings.Repeat("1,", 200_000)})
	if err == nil {
		t.Error("a record of 400 KB was taken")
	}
}

func TestCheckFindsIndexes(t *testing.T) {
	for name, damage := range map[string]func(store.Writer) error{
		"row missing": func(tx store.Writer) error {
			return tx.Delete(binary.BigEndian.AppendUint64([]byte("a/m/mailbox0/"), 1))
		},
		"row too many": func(tx store.Writer) error {
			return tx.Set(binary.BigEndian.AppendUint64([]byte("a/p/person0/"), 2), nil)
		},
		"hour missing": func(tx store.Writer) error {
			return tx.Delete(binary.BigEndian.AppendUint64([]byte("a/t/"), uint64(start.Unix()/3600)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			st := storetest.New(t)
			log := filled(t, st, 3)
			update(t, st, damage)
			problems, err := store.Check(t.Context(), st, log.Checker())
			if err != nil || len(problems) == 0 {
				t.Errorf("check: %q, %v", problems, err)
			}
		})
	}
}

func TestPrune(t *testing.T) {
	st := storetest.New(t)
	const records = 2500 // more than leave in one transaction
	log := audit.New(st)
	storetest.CheckAtEnd(t, st, log.Checker())
	update(t, st, func(tx store.Writer) error {
		for i := range records {
			if err := log.AppendTx(tx, sample(i)); err != nil {
				return err
			}
		}
		return nil
	})
	for _, keep := range []int{records, 400, 400, 100, 0} { // how many are not older
		before := sample(records - keep).Time
		if _, err := log.Prune(t.Context(), before); err != nil {
			t.Fatal(err)
		}
		report, err := log.Verify(t.Context())
		if err != nil || report.Broken != "" || report.Records != uint64(keep) || report.Pruned != uint64(records-keep) {
			t.Errorf("verify after pruning all but %d: %+v, %v", keep, report, err)
		}
		if got := len(list(t, log, audit.Filter{})); got != keep {
			t.Errorf("%d records left of %d to keep", got, keep)
		}
	}
	if err := log.Append(t.Context(), sample(0)); err != nil {
		t.Fatal(err)
	}
	if got := list(t, log, audit.Filter{}); len(got) != 1 || got[0] != records+1 {
		t.Errorf("after pruning all: %v", got)
	}
}

// TestExport verifies an export with nothing but what its comment says.
func TestExport(t *testing.T) {
	st := storetest.New(t)
	log := filled(t, st, 6)
	storetest.CheckAtEnd(t, st, log.Checker())
	for _, pruned := range []int{0, 2} {
		if _, err := log.Prune(t.Context(), sample(pruned).Time); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := log.Export(t.Context(), &out); err != nil {
			t.Fatal(err)
		}
		prev, records := strings.Repeat("0", 64), 0
		for lines := bufio.NewScanner(&out); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), `{"checkpoint":`) {
				prev = checkpointHash(t, lines.Bytes())
				continue
			}
			var line struct {
				Prev, Hash string
				Record     json.RawMessage
			}
			if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
				t.Fatal(err)
			}
			before, err := hex.DecodeString(prev)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(append(before, line.Record...))
			if line.Prev != prev || line.Hash != hex.EncodeToString(sum[:]) {
				t.Errorf("line does not fit: %s", lines.Text())
			}
			prev = line.Hash
			records++
		}
		if records != 6-pruned {
			t.Errorf("%d records exported, want %d", records, 6-pruned)
		}
	}
}

func checkpointHash(t *testing.T, line []byte) string {
	t.Helper()
	var got struct {
		Checkpoint struct{ Hash, Key, Signature string }
	}
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatal(err)
	}
	text := bytes.TrimSuffix(bytes.TrimPrefix(line, []byte(`{"checkpoint":`)), []byte("}"))
	text = bytes.Replace(text, []byte(got.Checkpoint.Signature), nil, 1)
	key, err := hex.DecodeString(got.Checkpoint.Key)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := hex.DecodeString(got.Checkpoint.Signature)
	if err != nil {
		t.Fatal(err)
	}
	if !ed25519.Verify(key, text, signature) {
		t.Error("the checkpoint's signature is wrong")
	}
	return got.Checkpoint.Hash
}
