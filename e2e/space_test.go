package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"balorg/e2e/exchange"
)

// free answers what an unprivileged process can still write below a folder.
func free(t *testing.T, dir string) int64 {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	return int64(st.Bavail) * st.Bsize
}

// minFree is store.min_free of the demo.
const minFree = "min_free: 200MB"

// TestSpaceGuard asks for more free space than the disk has: nothing is accepted, mail is read and removed all the same.
func TestSpaceGuard(t *testing.T) {
	d := startDemo(t)
	d.stop()
	d.edit("balorg.yaml", minFree, fmt.Sprintf("min_free: %dMB", 2*free(t, d.dir)/1e6))
	d.serve()
	c := login(t, d, claire)
	fullDisk(t, c)
	if err := refusedFull(submit(t, d, noemie, secretariat)); err != nil {
		t.Error(err)
	}
	d.stop()
	d.edit("balorg.yaml", fmt.Sprintf("min_free: %dMB", minFreeNow(t, d)), minFree)
	d.serve()
	if a := login(t, d, claire).append("INBOX", "", message("again@test", "De nouveau", 900)); a.status != "OK" {
		t.Errorf("APPEND with space again: %s", a)
	}
}

// minFreeNow reads the value back that the test has written.
func minFreeNow(t *testing.T, d *daemon) (mb int64) {
	t.Helper()
	content, err := os.ReadFile(d.config())
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(content), "min_free: ")
	if _, err := fmt.Sscanf(after, "%dMB", &mb); err != nil {
		t.Fatal(err)
	}
	return mb
}

// fullDisk checks, in a session on a full disk, what is refused and what is not.
func fullDisk(t *testing.T, c *client) {
	t.Helper()
	for _, size := range []int{900, 300_000} {
		if a := c.append("INBOX", "", message("full@test", "Disque plein", size)); a.short() != "NO LIMIT" {
			t.Errorf("APPEND of %d octets on a full disk: %s", size, a)
		}
	}
	c.ok("SELECT %q", shared(secretariat, "INBOX"))
	all := c.uids("ALL")
	if len(c.body(all[0])) == 0 {
		t.Error("no body")
	}
	if a := c.do("UID COPY %s INBOX", all[0]); a.short() != "NO LIMIT" {
		t.Errorf("COPY on a full disk: %s", a)
	}
	last := all[len(all)-1]
	c.ok(`UID STORE %s +FLAGS (\Deleted)`, last)
	c.ok("UID EXPUNGE %s", last)
	if left := c.uids("ALL"); len(left) != len(all)-1 {
		t.Errorf("%d messages left of %d after the deletion", len(left), len(all))
	}
}

// tmpfs mounts a small file system. It answers "" where that may not be done.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Logf("no file system of our own, so the disk is not filled: %v", err)
		return ""
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestDiskFull fills a real disk: by mail, to the guard's bound, and by others, beyond it. Where mounting is not allowed,
// TestSpaceGuard has to do.
func TestDiskFull(t *testing.T) {
	dir := tmpfs(t, "700m")
	if dir == "" {
		return
	}
	d := startDemoIn(t, dir)
	c := login(t, d, claire)
	ballast := filepath.Join(dir, "ballast")
	fill(t, ballast, free(t, dir)-260<<20)

	// Mail alone, up to the bound, small messages where large ones do not fit any more: the last answer is NO, and nothing crashes on
	// the way.
	acknowledged := 0
	for _, size := range []int{1_000_000, 900} {
		for {
			a := c.append("INBOX", "", message(fmt.Sprintf("fill-%d@test", acknowledged), "Remplissage", size))
			if a.status != "OK" {
				if a.short() != "NO LIMIT" {
					t.Errorf("the first refusal: %s", a)
				}
				break
			}
			acknowledged++
			if acknowledged > 5000 {
				t.Fatal("the disk is never full")
			}
		}
	}
	t.Logf("%d messages until the disk was full, %d MB left", acknowledged, free(t, dir)>>20)
	fullDisk(t, c)
	fullDisk(t, login(t, d, claire))

	// Others leave nothing: what is there is still read.
	rest := filepath.Join(dir, "rest")
	fill(t, rest, free(t, dir)-1<<20)
	c.ok("SELECT INBOX")
	if n := len(c.uids(`SUBJECT "Remplissage"`)); n != acknowledged {
		t.Errorf("%d messages of %d", n, acknowledged)
	}
	if a := c.append("INBOX", "", message("none@test", "Plus rien", 900)); a.short() != "NO LIMIT" {
		t.Errorf("APPEND with 1 MB left: %s", a)
	}

	for _, file := range []string{rest, ballast} {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	d.eventually(newsTimeout, "an APPEND that is taken again", func() error {
		if a := c.append("INBOX", "", message("again@test", "De nouveau", 900)); a.status != "OK" {
			return fmt.Errorf("APPEND with space again: %s", a)
		}
		return nil
	})
}

// refusedFull tells unless a message is refused as by a full disk, and the session goes on.
func refusedFull(s *exchange.Submitter) error {
	for _, size := range []int{900, 300_000} {
		if err := s.Envelope(address(claire), remote); err != nil {
			return err
		}
		if text, err := s.Do(250, numbered("full@test", size)+".\r\n"); !exchange.Refused(err, 452, "4.3.1") {
			return fmt.Errorf("a message of %d octets on a full disk: %q, %w", size, text, err)
		}
	}
	_, err := s.Do(250, "NOOP\r\n")
	return err
}

// TestSubmissionDiskFull fills a real disk with what is submitted: what was answered 250 goes out all the same, the next message is
// refused with a temporary answer, and is taken when there is room again.
func TestSubmissionDiskFull(t *testing.T) {
	dir := tmpfs(t, "700m")
	if dir == "" {
		return
	}
	d := startDemoIn(t, dir)
	sink := startSink(t)
	d.relayTo(sink.Address())
	ballast := filepath.Join(dir, "ballast")
	fill(t, ballast, free(t, dir)-240<<20)
	c := submit(t, d, noemie, secretariat)
	answered := 0
	for _, size := range []int{1_000_000, 900} {
		for {
			_, err := c.Send(numbered(fmt.Sprintf("fill-%d@test", answered), size), address(claire), remote)
			if err != nil {
				if !exchange.Refused(err, 452, "4.3.1") {
					t.Fatalf("the first refusal of %d octets: %v", size, err)
				}
				break
			}
			if answered++; answered > 5000 {
				t.Fatal("the disk is never full")
			}
		}
	}
	if err := refusedFull(c); err != nil {
		t.Error(err)
	}
	d.drained()
	t.Logf("%d messages until the disk was full, %d MB left", answered, free(t, dir)>>20)
	if got := sink.Taken(); len(got) != answered {
		t.Errorf("%d messages left, of %d that were answered 250", len(got), answered)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	d.eventually(newsTimeout, "a message that is taken again", func() error {
		_, err := c.Send(numbered("again@test", 900), address(claire), remote)
		return err
	})
	d.drained()
}

// fill writes a file of a size; a sparse one would take no room.
func fill(t *testing.T, path string, size int64) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fallocate(int(f.Fd()), 0, 0, size); err != nil {
		t.Fatalf("filling the disk: %v", err)
	}
}
