package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	imap "github.com/emersion/go-imap/v2"
)

// TestLockOutlivesACrash: who guessed until they were locked out is locked out after a crash, too; all that it may lose is a second of counting, in which
// others here go on logging in.
func TestLockOutlivesACrash(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	const claires = "claire.durand@clinique-des-sapins.fr"
	locked := func() bool {
		t.Helper()
		err := d.logInAs(claires, "demo-claire.durand")
		var refusal *imap.Error
		if err != nil && (!errors.As(err, &refusal) || refusal.Code != "UNAVAILABLE") {
			t.Fatalf("logging in: %v", err)
		}
		return err != nil
	}
	for i := range 20 {
		if err := d.logInAs(claires, fmt.Sprintf("guess %d", i)); err == nil {
			t.Fatal("a guess was right")
		}
	}
	since := time.Now()
	if !locked() {
		t.Fatal("twenty guesses lock nobody out")
	}
	for time.Since(since) < 2*time.Second {
		if err := d.logInAs("paul.bernard@clinique-des-sapins.fr", "demo-paul.bernard"); err != nil {
			t.Fatal(err)
		}
	}
	d.kill()
	d.serve()
	if !locked() {
		t.Error("the crash has let in who guessed")
	}
	out, err := d.balorg("lock list")
	if err != nil || !strings.HasPrefix(out, "locked  "+claires+"  from 127.0.0.0/24  20 of 20 failures  until ") {
		t.Errorf("listed %q, %v", out, err)
	}
	if out, err := d.balorg("lock clear", claires); err != nil || !strings.HasPrefix(out, "2 counts") {
		t.Errorf("cleared %q, %v", out, err)
	}
	if locked() {
		t.Error("cleared, and locked all the same")
	}
	d.kill()
	d.serve()
	if locked() {
		t.Error("what was cleared comes back with a crash")
	}
}
