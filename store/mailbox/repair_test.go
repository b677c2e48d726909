package mailbox_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"balorg/store"
	"balorg/store/body"
	"balorg/store/mailbox"
	"balorg/store/storetest"
)

// ailing is a mail store that a test damages.
type ailing struct {
	*fixture
	dir string
	a   *mailbox.Account
}

func newAiling(t *testing.T) *ailing {
	t.Helper()
	st := storetest.New(t)
	dir := t.TempDir()
	bodies, err := body.New(st, dir, body.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t, st, bodies, mailbox.New(st, bodies, mailbox.Options{MarkFrom: 2})}
	s := &ailing{f, dir, f.account(claire, 0)}
	f.account(noemie, 0)
	for i := range 6 {
		f.append(s.a, "INBOX", fmt.Sprintf("Subject: %d\r\n\r\nmessage %d", i+1, i+1), `\Seen`, "work")
	}
	f.append(s.a, "INBOX", "Subject: 7\r\n\r\n"+strings.Repeat("large ", 40_000)) // a file
	f.append(f.account(noemie, 0), "INBOX", "Subject: hers\r\n\r\nhers")
	v := f.open(s.a, "INBOX", false)
	if _, err := v.Copy(t.Context(), []uint32{1, 2}, s.a, "Archives"); err != nil {
		t.Fatal(err)
	}
	if _, err := v.StoreFlags(t.Context(), []uint32{1, 2, 4}, mailbox.AddFlags, mailbox.FlagSet{System: mailbox.Flagged}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.StoreFlags(t.Context(), []uint32{5}, mailbox.AddFlags, mailbox.FlagSet{System: mailbox.Deleted}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Expunge(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *ailing) checker() body.Checker {
	return body.Checker{Bodies: s.bodies, Referrers: []body.Referrer{s}, Contents: true}
}

func (s *ailing) check() []string {
	s.t.Helper()
	problems, err := store.Check(s.t.Context(), s.st, s, s.checker())
	if err != nil {
		s.t.Fatal(err)
	}
	return problems
}

// repair mends as the daemon does and answers what was done.
func (s *ailing) repair() (done []string) {
	s.t.Helper()
	say := func(what string) { done = append(done, what) }
	ctx := s.t.Context()
	unclaimed, err := s.checker().Unclaimed(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	lost, err := s.Repair(ctx, unclaimed, say)
	if err == nil {
		err = s.checker().Repair(ctx, lost > 0, say)
	}
	if err == nil {
		err = s.RepairDetails(ctx, say)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return done
}

// dump is all mail that can be seen: for each message of each folder of both accounts what it says, its flags where they matter, and the
// folder's UIDVALIDITY.
func (s *ailing) dump() map[string]string {
	s.t.Helper()
	all := map[string]string{}
	for _, a := range []*mailbox.Account{s.a, s.account(noemie, 0)} {
		folders, err := a.Folders(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		for _, f := range folders {
			at := fmt.Sprintf("%s %s", a.ID(), f.Name)
			all[at] = fmt.Sprintf("validity %d, use %s, %d messages", f.UIDValidity, f.SpecialUse, f.Messages)
			v, err := a.Select(s.t.Context(), f.Name, true)
			if err != nil {
				s.t.Fatalf("%s: %v", at, err)
			}
			for seq := uint32(1); seq <= v.Len(); seq++ {
				m, _ := v.Message(seq)
				all[fmt.Sprintf("%s %d", at, m.UID)] = s.text(v, seq) + string(mailbox.AppendFlags(nil, m.Flags, v.Keywords()))
			}
			if err := v.Close(); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	return all
}

// text is what a message says, with its envelope.
func (s *ailing) text(v *mailbox.View, seq uint32) string {
	s.t.Helper()
	r, err := v.Open(s.t.Context(), seq)
	if err != nil {
		return err.Error()[:24]
	}
	defer r.Close()
	octets, err := io.ReadAll(r)
	if err != nil {
		return "read: " + err.Error()
	}
	d, err := v.Detail(s.t.Context(), seq, mailbox.WantStructure|mailbox.WantHeader)
	if err != nil {
		return "detail: " + err.Error()
	}
	return fmt.Sprintf("%d octets, %.30q, %s, %q ", len(octets), octets, d.Envelope, d.Header)
}

// first changes the first row below a prefix, or removes it where change answers nil.
func first(prefix string, change func(key, value []byte) (k, v []byte)) func(*ailing, store.Writer) error {
	return func(_ *ailing, tx store.Writer) error {
		for k, v := range tx.Scan([]byte(prefix), store.PrefixEnd([]byte(prefix))) {
			k = slices.Clone(k)
			key, value := change(slices.Clone(k), slices.Clone(v))
			if value == nil {
				return tx.Delete(k)
			}
			if !bytes.Equal(key, k) {
				if err := tx.Delete(k); err != nil {
					return err
				}
			}
			return tx.Set(key, value)
		}
		return fmt.Errorf("no row under %s", prefix)
	}
}

func gone(k, _ []byte) (key, value []byte)    { return k, nil }
func garbage(k, _ []byte) (key, value []byte) { return k, []byte{9, 9} }

// row is first of a table's rows of claire's.
func row(table string, change func(key, value []byte) (k, v []byte)) func(*ailing, store.Writer) error {
	return first(table+string(claire), change)
}

const inboxRow = "/\x00\x00\x00\x01" // the folder, behind an account

// TestRepair damages a store in one way at a time: check finds it, repair mends it, the second check is clean, and nothing else has changed.
func TestRepair(t *testing.T) {
	for _, tt := range []struct {
		what   string
		damage func(s *ailing, tx store.Writer) error
		finds  string
		// changes are what is different after the repair, by the key of dump; the value is part of what is to be seen.
		changes map[string]string
	}{
		{"folder's counters", row("m/f/", func(k, v []byte) ([]byte, []byte) { v[len(v)-14]++; return k, v }), "its row says", nil},
		{"account's row gone", row("m/a/", gone), "belongs to no account", nil},
		{"account's row damaged", row("m/a/", garbage), "stored row is damaged", nil},
		{"name gone", row("m/n/", gone), "cannot be found by its name", nil},
		{"name of nothing", row("m/n/", func(k, v []byte) ([]byte, []byte) { return append(k, 'x'), v }), "not called so", nil},
		{"folder's row damaged", row("m/f/", garbage), "folder 1: folder: stored row is damaged", map[string]string{
			string(claire) + " INBOX": "6 messages",
			// Its keywords have lost their names.
			string(claire) + " INBOX 1": "recovered-1", string(claire) + " INBOX 2": "recovered-1", string(claire) + " INBOX 3": "recovered-1",
			string(claire) + " INBOX 4": "recovered-1", string(claire) + " INBOX 6": "recovered-1",
		}},
		{"folder's row gone", row("m/f/", gone), "which is not there", map[string]string{
			string(claire) + " INBOX": "6 messages", string(claire) + " INBOX 1": "recovered-1", string(claire) + " INBOX 2": "recovered-1",
			string(claire) + " INBOX 3": "recovered-1", string(claire) + " INBOX 4": "recovered-1", string(claire) + " INBOX 6": "recovered-1",
		}},
		{"UIDVALIDITY given twice", func(_ *ailing, tx store.Writer) error {
			v, err := tx.Get([]byte("m/f/" + string(claire) + inboxRow))
			if err != nil {
				return err
			}
			key := []byte("m/f/" + string(claire) + "/\x00\x00\x00\x02")
			other, err := tx.Get(key)
			if err != nil {
				return err
			}
			behind := func(row []byte) []byte { // version, name, use and bits
				use := 2 + int(row[1])
				return row[use+1+int(row[use])+1:]
			}
			copy(behind(other)[:5], behind(v))
			return tx.Set(key, other)
		}, "is given twice", map[string]string{string(claire) + " Brouillons": "0 messages"}},
		{"highest UIDVALIDITY gone", first("m/v", gone), "above the highest given", nil},
		{"message's row gone", row("m/m/", func(k, _ []byte) ([]byte, []byte) { return k, nil }), "its row says", map[string]string{
			string(claire) + " INBOX 1": "message 1",
		}},
		{"message's row damaged", func(_ *ailing, tx store.Writer) error {
			return tx.Set([]byte("m/m/"+string(claire)+inboxRow+"\x00\x00\x00\x03"), []byte{9})
		}, "message 3: message: stored row is damaged", map[string]string{
			string(claire) + " INBOX 3": "message 3", // without its flags
		}},
		{"UID not given yet", first("m/m/"+string(claire)+inboxRow, func(k, v []byte) ([]byte, []byte) { k[len(k)-1] = 99; return k, v }), "not given yet", map[string]string{
			string(claire) + " INBOX 1": "", string(claire) + " INBOX 99": "message 1",
		}},
		{"keyword without name", first("m/m/"+string(claire)+inboxRow, func(k, v []byte) ([]byte, []byte) { v[2] |= 4; return k, v }), "keyword without name", map[string]string{
			string(claire) + " INBOX 1": "work recovered-3",
		}},
		{"expunged damaged", row("m/x/", garbage), "is damaged", nil},
		{"expunged and there", row("m/x/", func(k, _ []byte) ([]byte, []byte) { return k, []byte{1, 4, 1} }), "is there", nil},
		{"mark damaged", row("m/c/", garbage), "record of changed flags is damaged", map[string]string{
			string(claire) + " INBOX 1": `\Seen work`, string(claire) + " INBOX 2": `\Seen work`, string(claire) + " INBOX 4": `\Seen work`,
		}},
		{"mark of messages not given yet", row("m/c/", func(k, v []byte) ([]byte, []byte) { v[len(v)-1] = 50; return k, v }), "not given yet", map[string]string{
			string(claire) + " INBOX 1": `\Seen work`, string(claire) + " INBOX 2": `\Seen work`, string(claire) + " INBOX 4": `\Seen work`,
		}},
		{"mark gone", row("m/c/", gone), "its row says", map[string]string{
			string(claire) + " INBOX 1": `\Seen work`, string(claire) + " INBOX 2": `\Seen work`, string(claire) + " INBOX 4": `\Seen work`,
		}},
		{"marks counted wrong", row("m/f/", func(k, v []byte) ([]byte, []byte) { v[len(v)-1] = 0; return k, v }), "its row says", nil},
		{"mark of no folder's record", func(_ *ailing, tx store.Writer) error {
			return tx.Set([]byte("m/c/"+string(claire)+"/\x00\x00\x00\x63\x00\x00\x00\x00\x00\x00\x00\x01"), []byte{1, 0, 1, 0, 1, 1})
		}, "which is not there", nil},
		{"messages of no folder's record", func(_ *ailing, tx store.Writer) error {
			return tx.Set([]byte("m/x/"+string(claire)+"/\x00\x00\x00\x63\x00\x00\x00\x00\x00\x00\x00\x01"), []byte{1, 7})
		}, "which is not there", nil},
		{"no key", func(_ *ailing, tx store.Writer) error { return tx.Set([]byte("m/m/x"), []byte{1}) }, "is not valid", nil},
		{"structure gone", first("m/d/", gone), "no structure", nil},
		{"structure damaged", first("m/d/", garbage), "no structure", nil},
		{"header damaged", first("m/h/", func(k, v []byte) ([]byte, []byte) { return k, v[:3] }), "header of", nil},
		{"structure of nothing", first("m/h/", func(k, v []byte) ([]byte, []byte) { k[len(k)-2] = 99; return k, v }), "a body that is gone", nil},
		{"body's count", first("b/r/", func(k, v []byte) ([]byte, []byte) { v[3] = 9; return k, v }), "counts 9 references, has 2", nil},
		{"body's row gone", first("b/r/", gone), "is referred to and has no row", nil},
		{"body's row damaged", first("b/r/", garbage), "is too short", nil},
		{"row of a body in a file damaged", func(_ *ailing, tx store.Writer) error {
			return tx.Set([]byte("b/r/\x00\x00\x00\x00\x00\x00\x00\x07"), []byte{1})
		}, "is too short", nil},
		{"body that nobody has", func(_ *ailing, tx store.Writer) error {
			row := append(binary.BigEndian.AppendUint64([]byte{0, 0, 0, 1}, 1), 0, 0, 0, 0)
			return errors.Join(tx.Set([]byte("b/r/\x00\x00\x00\x00\x00\x00\x00\x63"), row), tx.Set([]byte("b/v/\x00\x00\x00\x00\x00\x00\x00\x63"), []byte("x")),
				tx.Set([]byte("b/n"), []byte("\x00\x00\x00\x00\x00\x00\x00\x64")))
		}, "counts 1 references, has 0", nil},
		{"value of nothing", func(_ *ailing, tx store.Writer) error {
			return tx.Set([]byte("b/v/\x00\x00\x00\x00\x00\x00\x00\x05"), []byte("x"))
		}, "value without a row", nil},
		{"next id", first("b/n", func(k, _ []byte) ([]byte, []byte) { return k, []byte("\x00\x00\x00\x00\x00\x00\x00\x03") }), "next id is not above the last", nil},
		{"file of nothing", func(s *ailing, _ store.Writer) error {
			name := strings.Repeat("ab", 16)
			if err := os.MkdirAll(filepath.Join(s.dir, name[:2]), 0o700); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(s.dir, name[:2], name), []byte("x"), 0o600)
		}, "no row names it", nil},
		{"text gone", first("b/v/", gone), "no value", map[string]string{
			string(claire) + " INBOX 1": "message is damaged in th", string(claire) + " Archives 1": "message is damaged in th",
		}},
		{"text changed", first("b/v/", func(k, v []byte) ([]byte, []byte) { v[len(v)-1] ^= 1; return k, v }), "its octets have changed", map[string]string{
			string(claire) + " INBOX 1": "message", string(claire) + " Archives 1": "message",
		}},
		{"row and text gone", func(s *ailing, tx store.Writer) error {
			return errors.Join(first("b/v/", gone)(s, tx), first("b/r/", gone)(s, tx))
		}, "has no row", map[string]string{
			string(claire) + " INBOX 1": "message is damaged in th", string(claire) + " Archives 1": "message is damaged in th",
		}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			s := newAiling(t)
			if problems := s.check(); len(problems) > 0 {
				t.Fatalf("before: %q", problems)
			}
			before := s.dump()
			if err := s.st.Update(t.Context(), func(tx store.Writer) error { return tt.damage(s, tx) }); err != nil {
				t.Fatal(err)
			}
			if problems := strings.Join(s.check(), "\n"); !strings.Contains(problems, tt.finds) {
				t.Errorf("check finds %q, want %q", problems, tt.finds)
			}
			done := s.repair()
			if len(done) == 0 && !strings.HasPrefix(tt.what, "text") {
				t.Error("nothing was done")
			}
			irreparable := strings.Contains(tt.what, "text")
			if problems := s.check(); (len(problems) > 0) != irreparable {
				t.Errorf("done %q; check still finds %q", done, problems)
			}
			after := mailbox.New(s.st, s.bodies, mailbox.Options{})
			s.Store = after // as after a start: nothing is remembered
			s.a = s.account(claire, 0)
			got := s.dump()
			for key, want := range tt.changes {
				if got[key] == before[key] || !strings.Contains(got[key], want) || want == "" && got[key] != "" {
					t.Errorf("%s: %q, want %q", key, got[key], want)
				}
				delete(before, key)
				delete(got, key)
			}
			if diff := cmp.Diff(before, got); diff != "" {
				t.Errorf("done %q; also changed (-before +after):\n%s", done, diff)
			}
			if again := s.repair(); len(again) > 0 && !irreparable {
				t.Errorf("a second repair does %q", again)
			}
		})
	}
}

// TestNotAnothersMail: a body is given to a message that has lost its own only where no other message can have lost it. The message stays, can be
// seen, asked for and removed, and what may be its text is kept.
func TestNotAnothersMail(t *testing.T) {
	s := newAiling(t)
	other := s.account(noemie, 0)
	s.append(other, "INBOX", "Subject: second\r\n\r\nsecond")
	s.append(s.a, "INBOX", "Subject: 8\r\n\r\nmessage 8")
	s.append(other, "INBOX", "Subject: third\r\n\r\nthird")
	s.append(s.a, "INBOX", "Subject: 9\r\n\r\nmessage 9")
	err := s.st.Update(t.Context(), func(tx store.Writer) error {
		// The bodies of both came between those of the neighbours of either.
		return errors.Join(tx.Set([]byte("m/m/"+string(noemie)+inboxRow+"\x00\x00\x00\x02"), []byte{9}), tx.Set([]byte("m/m/"+string(claire)+inboxRow+"\x00\x00\x00\x08"), []byte{9}))
	})
	if err != nil {
		t.Fatal(err)
	}
	s.repair()
	problems := strings.Join(s.check(), "\n")
	for _, want := range []string{"message 2 has lost what it said", "message 8 has lost what it said", "counts 1 references, has 0"} {
		if !strings.Contains(problems, want) {
			t.Errorf("check finds %q, want %q", problems, want)
		}
	}
	v := s.open(s.a, "INBOX", false)
	seq := v.Seq(8)
	if _, err := v.Open(t.Context(), seq); !errors.Is(err, mailbox.ErrUnreadable) {
		t.Errorf("opening it: %v", err)
	}
	if _, err := v.Detail(t.Context(), seq, mailbox.WantStructure); !errors.Is(err, mailbox.ErrUnreadable) {
		t.Errorf("its structure: %v", err)
	}
	if _, err := v.StoreFlags(t.Context(), []uint32{8}, mailbox.AddFlags, mailbox.FlagSet{System: mailbox.Deleted}); err != nil {
		t.Fatal(err)
	}
	if gone, err := v.Expunge(t.Context(), nil); err != nil || !slices.Equal(gone, []uint32{8}) {
		t.Errorf("removing it: %v, %v", gone, err)
	}
	// Noemie's is the only one left, and still nobody can say which of the two bodies is hers.
	if done := s.repair(); strings.Contains(strings.Join(done, "\n"), "was removed") {
		t.Errorf("a second repair does %q", done)
	}
}

// TestRepairOnline: sessions that are open see what was mended, and go on.
func TestRepairOnline(t *testing.T) {
	s := newAiling(t)
	v := s.open(s.a, "INBOX", false)
	w := s.open(s.a, "Archives", false)
	err := s.st.Update(t.Context(), func(tx store.Writer) error {
		return errors.Join(tx.Set([]byte("m/m/"+string(claire)+inboxRow+"\x00\x00\x00\x03"), []byte{9}), first("m/f/"+string(claire)+"/\x00\x00\x00\x06", garbage)(s, tx))
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := s.a.Append(t.Context(), "INBOX", strings.NewReader("Subject: meanwhile\r\n\r\n"), mailbox.FlagSet{}, time.Unix(1, 0))
		done <- err
	}()
	s.repair()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if problems := s.check(); len(problems) > 0 {
		t.Errorf("check finds %q", problems)
	}
	if _, err := v.Sync(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if m, ok := v.Message(v.Seq(3)); !ok || m.Flags.System != 0 || v.Len() != 7 {
		t.Errorf("the session has %d messages, the third %+v", v.Len(), m)
	}
	if _, err := v.StoreFlags(t.Context(), []uint32{3}, mailbox.AddFlags, mailbox.FlagSet{System: mailbox.Seen}); err != nil {
		t.Error(err)
	}
	if _, err := w.Sync(t.Context(), true); !errors.Is(err, mailbox.ErrNoFolder) {
		t.Errorf("a session whose folder has another UIDVALIDITY: %v", err)
	}
}
