package mailbox_test

import (
	"strings"
	"testing"

	"balorg/store/body"
	"balorg/store/mailbox"
)

// TestObjectIDs: each object has an id of its own, through restarts too, and another state has others.
func TestObjectIDs(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	ids, err := f.ObjectIDs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again, err := mailbox.New(f.st, f.bodies, mailbox.Options{}).ObjectIDs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other, err := newFixture(t, mailbox.Options{}).ObjectIDs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for n := range uint32(100) {
		for _, id := range []string{ids.Mailbox(claire, n), ids.Mailbox(noemie, n), ids.Email(body.ID(n))} {
			if seen[id] || len(id) != 33 || strings.Trim(id, "FM0123456789abcdef") != "" {
				t.Fatalf("%s is given again, or is no id", id)
			}
			seen[id] = true
		}
		if again.Mailbox(claire, n) != ids.Mailbox(claire, n) || again.Email(body.ID(n)) != ids.Email(body.ID(n)) || other.Email(body.ID(n)) == ids.Email(body.ID(n)) {
			t.Error("ids do not hang on the state")
		}
		if id, ok := ids.Content(ids.Email(body.ID(n))); !ok || id != body.ID(n) {
			t.Errorf("%d is read as %d, %v", n, id, ok)
		}
	}
	for _, email := range []string{"", "M", ids.Mailbox(claire, 1), other.Email(1), strings.ToUpper(ids.Email(1)), ids.Email(1)[:32] + "x", "M" + strings.Repeat("0", 32)} {
		if id, ok := ids.Content(email); ok {
			t.Errorf("%q is read as %d", email, id)
		}
	}
}
