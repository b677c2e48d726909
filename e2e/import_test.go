package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"balorg/gateway"
	"balorg/gateway/control"
	"balorg/ldapserver/extraction"
	"balorg/ldapserver/extraction/sample"
)

// importRows is how many rows the import has that is cut off: it takes a second or two.
const importRows = 120_000

// TestKillImport: a daemon that is killed in the middle of an import, while it reads, sorts or writes, serves the old directory after its start, and the import can be run again.
func TestKillImport(t *testing.T) {
	d := startDemo(t)
	path := filepath.Join(t.TempDir(), "extraction.txt")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	claires := map[extraction.Column]string{extraction.BALType: "ORG", extraction.BALAddress: "claire.durand@sapins.mssante.fr", extraction.LegalName: "X"}
	if err := sample.Write(file, sample.Options{Rows: importRows, Seed: 5, Extra: []map[extraction.Column]string{claires}}); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	const entries = "balorg_ldapserver_national_entries_count"
	before := d.metric(entries)
	for _, at := range []struct {
		stage string
		share int64 // in per cent, of the stage
	}{{"reading", 0}, {"reading", 40}, {"sorting", 0}, {"writing", 0}, {"writing", 50}} {
		if !d.killImport(path, at.stage, at.share) {
			t.Fatalf("the import did not come to %s, %d %%", at.stage, at.share)
		}
		d.serve()
		if got := d.metric(entries); got != before {
			t.Fatalf("killed while %s: %v entries are served after the start, want %v", at.stage, got, before)
		}
		if out, err := d.balorg("directory search", "(mail=claire.durand@*)", "mail"); err != nil || strings.Count(out, "dn: ") != 1 {
			t.Errorf("killed while %s: %v\n%s", at.stage, err, out)
		}
		d.checkStore()
	}
	if out, err := d.balorg("directory import", path); err != nil || !strings.Contains(out, "are served") {
		t.Errorf("the import that was run again: %v\n%s", err, out)
	}
	after := d.metric(entries)
	if after < importRows*0.99 {
		t.Errorf("%v entries are served", after)
	}
	d.kill()
	d.serve()
	if got := d.metric(entries); got != after {
		t.Errorf("%v entries after a restart, want %v", got, after)
	}
}

// killImport begins an import and kills the daemon when it has come so far.
func (d *daemon) killImport(path, stage string, share int64) (killed bool) {
	d.t.Helper()
	caller, err := control.Dial(d.t.Context(), d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	defer caller.Close()
	err = caller.Call(d.t.Context(), gateway.OpDirectoryImport, gateway.ImportArgs{File: path}, func(v json.RawMessage) error {
		var news gateway.ImportNews
		if err := json.Unmarshal(v, &news); err != nil {
			return err
		}
		if s := news.Stage; !killed && s != nil && s.Name == stage && s.Done*100 >= share*s.Of {
			killed = true
			d.kill()
		}
		return nil
	})
	if killed && err == nil {
		d.t.Errorf("the import was answered as done although the daemon was killed while %s", stage)
	}
	return killed
}
