package embedded_test

import (
	"fmt"
	"strings"
	"testing"

	"balorg/imapproxy/embedded"
	"balorg/store"
	"balorg/store/body"
	"balorg/store/mailbox"
	"balorg/store/storetest"
)

// TestDamagedMessages: the others of a FETCH are told, then that something is damaged; a search passes over it, and it can be removed.
func TestDamagedMessages(t *testing.T) {
	st := storetest.New(t)
	bodies, err := body.New(st, t.TempDir(), body.Options{})
	if err != nil {
		t.Fatal(err)
	}
	boxes := mailbox.New(st, bodies, mailbox.Options{})
	c := dial(t, embedded.New(boxes, embedded.Options{}), embedded.Who{})
	for i := range 6 {
		c.appendMessage("INBOX", "", fmt.Sprintf("Subject: %d\r\n\r\ntext %d", i+1, i+1))
	}
	err = st.Update(t.Context(), func(tx store.Writer) error {
		for _, key := range []string{"b/v/\x00\x00\x00\x00\x00\x00\x00\x02", "b/r/\x00\x00\x00\x00\x00\x00\x00\x05", "m/d/\x00\x00\x00\x00\x00\x00\x00\x04\x00"} {
			if err := tx.Delete([]byte(key)); err != nil {
				return err
			}
		}
		return tx.Set([]byte("m/d/\x00\x00\x00\x00\x00\x00\x00\x03\x00"), []byte{9})
	})
	if err != nil {
		t.Fatal(err)
	}
	c.ok("SELECT INBOX")
	const damaged = "NO [CORRUPTION] Some of the messages are damaged in the store"
	for _, tt := range []struct {
		command string
		told    string
		want    string
	}{
		{"FETCH 1:* (BODY.PEEK[])", "1 3 4 6", damaged},
		{"FETCH 1:* (ENVELOPE)", "1 2 5 6", damaged},
		{"FETCH 1:* (BODY.PEEK[TEXT])", "1 6", damaged},
		{"FETCH 2 (BODY.PEEK[])", "", damaged},
		{"FETCH 1:* (FLAGS)", "1 2 3 4 5 6", "OK"},
		{"FETCH 6 (BODY.PEEK[] ENVELOPE)", "6", "OK"},
	} {
		got := c.do("%s", tt.command)
		var told []string
		for _, line := range got[:len(got)-1] {
			told = append(told, strings.Fields(line)[1])
		}
		if strings.Join(told, " ") != tt.told || !strings.HasPrefix(got[len(got)-1], tt.want) {
			t.Errorf("%s: %q, want those of %s and %s", tt.command, got, tt.told, tt.want)
		}
	}
	c.ok(`STORE 2:5 +FLAGS.SILENT (\Deleted)`)
	c.ok("EXPUNGE")
	c.expect(step{"SEARCH BODY text", []string{"* SEARCH 1 2", "OK…"}})
}
