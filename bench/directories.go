package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"balorg/ldapserver/extraction"
	"balorg/ldapserver/extraction/sample"
)

// directoryConfig lets the person read on as others would be told to stop.
const directoryConfig = `directory: {insecure_bind_without_tls: true, max_connections: 2000, max_connections_per_address: 2000, entries_per_person: 1000000000,
  entries_per_address: 1000000000}
`

// directories compares balorg with OpenLDAP on one national directory: taking it in, starting with it, and lookups.
func (b *bench) directories() (err error) {
	if _, err := raiseFiles(); err != nil {
		return err
	}
	made := time.Date(2026, time.August, 20, 6, 0, 0, 0, time.UTC)
	file, ldif := filepath.Join(b.dir, extraction.FileName(made)), filepath.Join(b.dir, "national.ldif")
	if err := b.writeSample(file, made); err != nil {
		return err
	}
	all, err := writeLDIF(ldif, file)
	if err != nil {
		return fmt.Errorf("writing the LDIF: %w", err)
	}
	rows, err := newAsker(all).lookups()
	if err != nil {
		return err
	}
	ours, taken, err := b.ownDirectory(file)
	if err != nil {
		return err
	}
	servers := []*server{ours}
	defer func() {
		for _, s := range servers {
			err = errors.Join(err, s.stop())
		}
	}()
	t := tabwriter.NewWriter(b.out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "loading %d entries\ttime\t÷ balorg\tCPU\t÷ balorg\t\n", len(all)) //nolint:errcheck // Flush answers the error
	fmt.Fprintf(t, "balorg\t%v\t\t%v\t\t\n", ms(taken.wall), ms(taken.cpu))           //nolint:errcheck // as above
	for _, other := range []struct{ name, globals, indexes string }{{"slapd", stockGlobals, stockIndexes}, {"tuned", tunedGlobals, tunedIndexes}} {
		config, m, err := b.loadSlapd(other.name, other.globals, other.indexes, ldif)
		if err != nil {
			return err
		}
		fmt.Fprintf(t, "%s\t%v\t%.1f ×\t%v\t%.1f ×\t\n", other.name, ms(m.wall), ratio(m.wall, taken.wall), ms(m.cpu), ratio(m.cpu, taken.cpu)) //nolint:errcheck // as above
		s, err := b.startSlapd(other.name, config)
		if err != nil {
			return fmt.Errorf("starting %s: %w", other.name, err)
		}
		servers = append(servers, s)
	}
	fmt.Fprintln(t) //nolint:errcheck // as above
	if err := t.Flush(); err != nil {
		return err
	}
	return b.compareLookups(b.wanted(rows), servers)
}

// writeSample writes the extraction.
func (b *bench) writeSample(path string, made time.Time) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return sample.Write(f, sample.Options{Rows: b.sizes.rows, Seed: 1, Date: made})
}
