package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// validity is a folder's UIDVALIDITY.
func validity(c *client, folder string) string {
	c.t.Helper()
	a := c.ok("STATUS %q (UIDVALIDITY)", folder)
	_, value, ok := strings.Cut(strings.Join(a.untagged, ""), "UIDVALIDITY ")
	if !ok {
		c.t.Fatalf("no UIDVALIDITY: %s", a)
	}
	return strings.TrimSuffix(value, ")")
}

// TestBackup backs up a daemon that mail comes in to, and goes on with what was restored of it.
func TestBackup(t *testing.T) {
	d := startDemo(t)
	d.relayTo("127.0.0.1:1") // nobody listens there
	hers := login(t, d, claire)
	if a := hers.append("INBOX", `(\Flagged)`, message("large@backup", "Bilan", 300_000)); a.status != "OK" {
		t.Fatal(a)
	}
	s := submit(t, d, noemie, secretariat)
	id, err := s.Send(numbered("waits@backup", 4_000), remote)
	if err != nil {
		t.Fatal(err)
	}
	want := [2]map[string][]string{state(hers), state(login(t, d, noemie))}
	before := validity(hers, "INBOX")

	comes, stop := make(chan int), make(chan struct{})
	go func() {
		c := login(t, d, paul)
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				comes <- n
				return
			default:
				c.append("INBOX", "", message(fmt.Sprintf("%d@backup", n), "Bilan", 2_000))
			}
		}
	}()
	file := filepath.Join(t.TempDir(), "backup")
	out, err := d.balorg("backup", file)
	close(stop)
	n := <-comes
	if err != nil || !strings.Contains(out, "large messages") {
		t.Fatalf("backup: %v\n%s", err, out)
	}
	if out, err := d.balorg("backup", file); err == nil || !strings.Contains(out, "is there already") {
		t.Errorf("a second backup to the same file: %v\n%s", err, out)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup's mode: %v, %v", info.Mode(), err)
	}
	d.stop()

	d.edit("balorg.yaml", "state: .\n", "state: restored\n")
	d.restoresNoPart(file)
	out, err = d.balorg("restore", file)
	if err != nil || !strings.Contains(out, "1 messages of the queue are held") {
		t.Fatalf("restore: %v\n%s", err, out)
	}
	if out, err := d.balorg("restore", file); err == nil || !strings.Contains(out, "is not empty") {
		t.Errorf("onto what was restored: %v\n%s", err, out)
	}
	d.checkStore()
	d.serve()
	hers = login(t, d, claire)
	if diff := cmp.Diff(want, [2]map[string][]string{state(hers), state(login(t, d, noemie))}); diff != "" {
		t.Errorf("mailboxes differ (-want +got):\n%s", diff)
	}
	if after := validity(hers, "INBOX"); after == before {
		t.Error("the UIDVALIDITY is as before")
	}
	pauls := login(t, d, paul)
	pauls.ok("SELECT INBOX")
	if got := len(pauls.uids("ALL")); got > n+20 {
		t.Errorf("Paul has %d messages of %d", got, n)
	}
	d.heldUntilRetried(id)
	if out, err := d.balorg("audit verify"); err != nil {
		t.Errorf("audit verify: %v\n%s", err, out)
	}
}

// restoresNoPart gives restore what is not a whole backup.
func (d *daemon) restoresNoPart(file string) {
	d.t.Helper()
	whole, err := os.ReadFile(file)
	if err != nil {
		d.t.Fatal(err)
	}
	part := filepath.Join(d.t.TempDir(), "part")
	if err := os.WriteFile(part, whole[:len(whole)-1], 0o600); err != nil {
		d.t.Fatal(err)
	}
	if out, err := d.balorg("restore", part); err == nil || !strings.Contains(out, "not a whole backup") {
		d.t.Errorf("restore of a part: %v\n%s", err, out)
	}
	dir := filepath.Join(d.dir, "restored")
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		d.t.Errorf("it left %v, %v", left, err)
	}
	// As when the power goes in the middle.
	if err := os.WriteFile(filepath.Join(dir, "restoring"), nil, 0o600); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "bodies"), 0o700); err != nil {
		d.t.Fatal(err)
	}
	if out, err := d.balorg("serve"); err == nil || !strings.Contains(out, "did not come to its end") {
		d.t.Errorf("serve on half a state: %v\n%s", err, out)
	}
	if err := os.RemoveAll(dir); err != nil {
		d.t.Fatal(err)
	}
}

// heldUntilRetried: a message of the restored queue goes nowhere before somebody says so.
func (d *daemon) heldUntilRetried(id string) {
	d.t.Helper()
	e := d.entry(id)
	attempts := 0
	for _, it := range e.Items {
		attempts = max(attempts, it.Attempts)
	}
	if !e.Held {
		d.t.Errorf("not held: %+v", e)
	}
	if out, err := d.balorg("queue retry", "--all"); err != nil {
		d.t.Errorf("queue retry: %v\n%s", err, out)
	}
	d.eventually(newsTimeout, "an attempt after the restore", func() error {
		for _, it := range d.entry(id).Items {
			if it.State == "waiting" && it.Attempts > attempts {
				return nil
			}
		}
		return fmt.Errorf("%+v", d.entry(id))
	})
}
