package mailbox_test

import (
	"testing"

	"balorg/store/mailbox"
)

// TestUse: the folder with a special use is the right one after every change of folders, though not every look reads the store.
func TestUse(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	a := f.account(claire, 0)
	steps := []struct {
		change func() error
		want   string
	}{
		{func() error { return nil }, "Envoyés"},
		{func() error { return a.Rename(t.Context(), "Envoyés", "Partis") }, "Partis"},
		{func() error { return a.Delete(t.Context(), "Partis") }, ""},
		{func() error { return a.Create(t.Context(), "Sent", mailbox.Sent) }, "Sent"},
		{func() error { return f.account(noemie, 0).Delete(t.Context(), "Envoyés") }, "Sent"},
		{func() error { return f.Remove(t.Context(), claire) }, ""},
	}
	for _, step := range steps {
		if err := step.change(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got, err := a.Use(t.Context(), mailbox.Sent); got != step.want || err != nil {
				t.Errorf("Sent is %q, %v; want %q", got, err, step.want)
			}
		}
	}
	// A mailbox that was removed is made anew by the next use of it.
	if got, err := f.account(claire, 0).Use(t.Context(), mailbox.Sent); got != "Envoyés" || err != nil {
		t.Errorf("Sent of the new mailbox is %q, %v", got, err)
	}
}
