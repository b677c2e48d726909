package directory

import (
	"balorg/ldapserver/entry"
	"balorg/ldapserver/extraction"
)

// ReadEntries calls fn with the attributes of each entry that an import of a file comes to, in the order of the file, without what all entries have alike
// (Constants): another directory can so be given the very same. They are fn's to keep.
func ReadEntries(path string, fn func(attributes []entry.Attribute) error) error {
	f, err := extraction.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	g, err := gatherRows(f, func(int) error { return nil })
	if err != nil {
		return err
	}
	for n := range g.builder.Len() {
		attributes, err := entry.ParseRecord(g.builder.Record(n))
		if err == nil {
			err = fn(attributes)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
