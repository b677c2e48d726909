package directory

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"balorg/ldapserver/extraction"
	"balorg/ldapserver/extraction/sample"
	"balorg/ldapserver/ldaptest"
	"balorg/ldapserver/schema"
	"balorg/policy"
	"balorg/store"
	"balorg/store/storetest"
)

// fixture is a directory with the demo's accounts and a place for the national one.
type fixture struct {
	*Importer
	directory *Directory
	table     *Table
	folder    string
}

var now = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

func newFixture(tb testing.TB) *fixture {
	tb.Helper()
	st := storetest.New(tb)
	f := &fixture{table: NewTable(st), folder: tb.TempDir()}
	storetest.CheckAtEnd(tb, st, f.table)
	f.restart(tb)
	return f
}

// restart is what a start of the daemon does.
func (f *fixture) restart(tb testing.TB) {
	tb.Helper()
	f.directory = New(func() time.Time { return now })
	if err := f.directory.SetAccounts(ldaptest.Snapshot(tb)); err != nil {
		tb.Fatal(err)
	}
	f.Importer = NewImporter(f.directory, f.table, f.folder, slog.New(slog.DiscardHandler))
	if err := f.Load(tb.Context()); err != nil {
		tb.Fatal(err)
	}
}

// write makes an extraction.
func (f *fixture) write(tb testing.TB, rows int, extra ...map[extraction.Column]string) string {
	tb.Helper()
	path := filepath.Join(f.folder, extraction.FileName(now))
	file, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	if err := errors.Join(sample.Write(file, sample.Options{Rows: rows, Seed: 1, Date: now, Extra: extra}), file.Close()); err != nil {
		tb.Fatal(err)
	}
	return path
}

func (f *fixture) take(tb testing.TB, path string, opt Options) Import {
	tb.Helper()
	i, report, err := f.Import(tb.Context(), path, opt)
	if err != nil {
		tb.Fatalf("%v: %+v", err, report)
	}
	return i
}

// served is how many entries the national directory has.
func (f *fixture) served() int {
	if n := f.directory.View().National; n != nil {
		return int(n.Index.Len())
	}
	return 0
}

// TestImport: what is imported is served, also after a restart, with the file of the index and without.
func TestImport(t *testing.T) {
	f := newFixture(t)
	if f.served() != 0 {
		t.Fatal("a directory nobody imported is served")
	}
	var stages []string
	i := f.take(t, f.write(t, 3000), Options{Progress: func(s Stage) {
		if len(stages) == 0 || stages[len(stages)-1] != s.Name {
			stages = append(stages, s.Name)
		}
	}})
	if i.Rows != 3000 || i.Bad != 0 || i.Entries != f.served() || i.Entries < 2900 || !i.Date.Equal(now.Truncate(time.Minute)) {
		t.Errorf("imported %+v, served %d", i, f.served())
	}
	if got := strings.Join(stages, " "); got != "reading sorting writing" {
		t.Errorf("stages %s", got)
	}
	file := filepath.Join(f.folder, "national.idx")
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	f.restart(t)
	if f.served() != i.Entries {
		t.Errorf("%d entries after a restart, want %d", f.served(), i.Entries)
	}
	if err := os.WriteFile(file, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.restart(t)
	if f.served() != i.Entries {
		t.Errorf("%d entries without the index's file, want %d", f.served(), i.Entries)
	}
	if again, err := os.Stat(file); err != nil || again.Size() != info.Size() {
		t.Errorf("the index's file is not made anew: %v", err)
	}
}

// TestRefusedFiles: a file that has shrunk, is cut short or of another kind leaves the directory as it is.
func TestRefusedFiles(t *testing.T) {
	f := newFixture(t)
	f.take(t, f.write(t, 2000), Options{})
	before := f.served()
	path := f.write(t, 1500)
	if _, _, err := f.Import(t.Context(), path, Options{}); !errors.Is(err, ErrShrunk) {
		t.Errorf("a file that has shrunk: %v", err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, whole[:len(whole)-7], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Import(t.Context(), path, Options{Force: true}); !errors.Is(err, extraction.ErrTruncated) {
		t.Errorf("a file that is cut short: %v", err)
	}
	if f.served() != before {
		t.Errorf("%d entries are served, want %d", f.served(), before)
	}
	f.take(t, f.write(t, 1500), Options{Force: true})
	if f.served() >= before {
		t.Error("a file that has shrunk is not taken with force")
	}
	f.take(t, f.write(t, 1400), Options{})
	f.take(t, f.write(t, 700), Options{Shrink: 60})
}

// TestOlderFiles: what the schedule finds is not taken when it is older than what is served; an administrator may take it.
func TestOlderFiles(t *testing.T) {
	f := newFixture(t)
	f.take(t, f.write(t, 100), Options{Source: "/srv/new"})
	plain := filepath.Join(f.folder, "plain.txt")
	if err := os.Rename(f.write(t, 100), plain); err != nil {
		t.Fatal(err)
	}
	before := now.Add(-24 * time.Hour)
	if _, _, err := f.Import(t.Context(), plain, Options{Newer: true, Made: before}); !errors.Is(err, ErrOlder) {
		t.Errorf("an older file: %v", err)
	}
	if i, err := f.Current(t.Context()); err != nil || i.Source != "/srv/new" {
		t.Errorf("served: %+v, %v", i, err)
	}
	if i := f.take(t, plain, Options{Made: before}); !i.Date.Equal(before) {
		t.Errorf("dated %v", i.Date)
	}
	if i := f.take(t, plain, Options{Newer: true}); !i.Date.Equal(now) {
		t.Errorf("dated %v", i.Date)
	}
}

// TestTurn: what the schedule remembers is kept, and what cannot be read is as if it had never looked.
func TestTurn(t *testing.T) {
	f := newFixture(t)
	if turn, err := f.table.Turn(t.Context()); err != nil || turn != (Turn{}) {
		t.Errorf("at first: %+v, %v", turn, err)
	}
	want := Turn{Source: "/srv/x", Version: Version{ETag: "e", Size: 7}, Looked: now, Failed: now.Add(time.Hour), Reason: "it is cut"}
	if err := f.table.SetTurn(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if turn, err := f.table.Turn(t.Context()); err != nil || turn != want {
		t.Errorf("%+v, %v", turn, err)
	}
	if err := f.table.st.Update(t.Context(), func(tx store.Writer) error { return tx.Set([]byte(keyTurn), []byte("{")) }); err != nil {
		t.Fatal(err)
	}
	if turn, err := f.table.Turn(t.Context()); err != nil || turn != (Turn{}) {
		t.Errorf("damaged: %+v, %v", turn, err)
	}
}

// TestOneMailboxOnSeveralRows: they are one entry with all the values, wherever they stand.
func TestOneMailboxOnSeveralRows(t *testing.T) {
	f := newFixture(t)
	row := func(profession, legal string) map[extraction.Column]string {
		return map[extraction.Column]string{
			extraction.BALType: "PER", extraction.BALAddress: "Jeanne.Le-Goff@Ouest.exemple.fr", extraction.PersonIDType: "8", extraction.PersonID: "10003456786",
			extraction.LastName: "LE GOFF", extraction.FirstName: "Jeanne", extraction.ProfessionCode: profession, extraction.LegalName: legal,
			extraction.PostalLine: "29200 BREST CEDEX 2", extraction.PostalCode: "29200",
		}
	}
	f.take(t, f.write(t, 50, row("10", "CHU de Brest"), row("50", "Maternité"), row("10", "CHU de Brest")), Options{})
	national := f.directory.View().National
	n, ok := national.Index.Find([]byte("jeanne.le-goff@ouest.exemple.fr"))
	if !ok {
		t.Fatal("the entry is not there")
	}
	e, err := national.Entry(n, "")
	if err != nil {
		t.Fatal(err)
	}
	for a, want := range map[schema.Attribute]string{
		schema.O: "CHU de Brest|Maternité", schema.Profession: "10|50", schema.L: "BREST", schema.CN: "Jeanne LE GOFF", schema.DisplayName: "Jeanne LE GOFF",
		schema.IdentifiantPP: "10003456786",
	} {
		if got := strings.Join(e.Values(a), "|"); got != want {
			t.Errorf("%s: %q, want %q", a.Name(), got, want)
		}
	}
}

// TestInterruptedImport: blocks of an import that was cut off are none of what is served, and are gone after the next.
func TestInterruptedImport(t *testing.T) {
	f := newFixture(t)
	f.take(t, f.write(t, 500), Options{})
	before := f.served()
	err := f.table.st.Update(t.Context(), func(tx store.Writer) error { return tx.Set(blockKey(2, 0), []byte("half a block")) })
	if err != nil {
		t.Fatal(err)
	}
	f.restart(t)
	if f.served() != before {
		t.Errorf("%d entries are served, want %d", f.served(), before)
	}
	f.take(t, f.write(t, 600), Options{})
	err = f.table.st.View(t.Context(), func(r store.Reader) error {
		for key := range r.Scan([]byte(prefixBlock), store.PrefixEnd([]byte(prefixBlock))) {
			if generation, _, _ := parseBlockKey(key); generation != 2 {
				t.Errorf("a block of generation %d is left", generation)
			}
		}
		return r.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	f.restart(t)
	if f.served() < 590 {
		t.Errorf("%d entries after the import that was run again", f.served())
	}
}

// TestShadow: a national row of an address that is one of ours is hidden, whatever the local account's listing, and comes back with its removal.
func TestShadow(t *testing.T) {
	f := newFixture(t)
	var rows []map[extraction.Column]string
	addresses := []string{"claire.durand@sapins.mssante.fr", "lea.petit@sapins.mssante.fr", "marc.roux@sapins.mssante.fr", "other@sapins.mssante.fr"}
	for _, address := range addresses {
		rows = append(rows, map[extraction.Column]string{extraction.BALType: "ORG", extraction.BALAddress: address, extraction.LegalName: "X"})
	}
	f.take(t, f.write(t, 20, rows...), Options{})
	check := func(when string, want ...bool) {
		t.Helper()
		national := f.directory.View().National
		eye, _ := national.Eye(policy.Sight{Local: true, National: true, RedListed: true})
		for i, address := range addresses {
			n, ok := national.Index.Find([]byte(address))
			if !ok || eye.Sees(n) != want[i] {
				t.Errorf("%s: %s: there %v, seen %v, want %v", when, address, ok, eye.Sees(n), want[i])
			}
		}
	}
	check("at first", false, false, false, true)
	if err := f.directory.SetAccounts(ldaptest.Snapshot(t, "mssante: marc.roux@sapins.mssante.fr", "mssante: other@sapins.mssante.fr")); err != nil {
		t.Fatal(err)
	}
	check("after a reload", false, false, true, false)
}

func BenchmarkImport(b *testing.B) {
	f := newFixture(b)
	path := f.write(b, 100_000)
	for b.Loop() {
		f.take(b, path, Options{})
	}
	b.ReportMetric(100_000*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
