package directory

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"balorg/ldapserver/entry"
	"balorg/ldapserver/schema"
)

// TestReadEntries: what is read of a file is what an import of it serves, rows of one address as one entry.
func TestReadEntries(t *testing.T) {
	f := newFixture(t)
	path := f.write(t, 5000)
	f.take(t, path, Options{})
	x := f.directory.View().National.Index
	read, several := 0, false
	err := ReadEntries(path, func(attributes []entry.Attribute) error {
		read++
		e := entry.Entry{Attributes: attributes}
		several = several || len(e.Values(schema.IdentifiantPM)) > 1 || len(e.Values(schema.Street)) > 1
		n, ok := x.Find([]byte(e.Values(schema.Mail)[0]))
		if !ok {
			return errors.New(e.Values(schema.Mail)[0] + " is not served")
		}
		served, err := entry.ParseRecord(x.Record(n))
		if diff := cmp.Diff(served, attributes); diff != "" {
			t.Errorf("-served +read\n%s", diff)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if read != f.served() || !several {
		t.Errorf("%d entries are read and %d served; one with several rows: %v", read, f.served(), several)
	}
	stop := errors.New("stop")
	if err := ReadEntries(path, func([]entry.Attribute) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("an error of the caller's comes back as %v", err)
	}
}
