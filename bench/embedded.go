package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"text/tabwriter"
)

// embedded compares the whole way through balorg to its own store with Dovecot.
func (b *bench) embedded() (err error) {
	trials := b.trials(headerRow(), bodiesRow(), bodyEachRow())
	if len(trials) == 0 {
		return nil
	}
	ours, err := b.startBalorg(filepath.Join(b.dir, "embedded"), "")
	if err != nil {
		return fmt.Errorf("starting balorg: %w", err)
	}
	defer func() { err = errors.Join(err, ours.stop()) }()
	peer, err := b.startDovecot("dovecot", directConfig, "")
	if err != nil {
		return fmt.Errorf("starting dovecot: %w", err)
	}
	defer func() { err = errors.Join(err, peer.stop()) }()
	servers := []*server{ours, peer}
	for _, s := range servers {
		if err := b.fill(s); err != nil {
			return fmt.Errorf("filling %s: %w", s.name, err)
		}
	}
	t := tabwriter.NewWriter(b.out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\t%s\t%s\tspeed\t%[1]s CPU\t%s CPU\tCPU\t\n", ours.name, peer.name) //nolint:errcheck // Flush answers the error
	for _, r := range trials {
		m, err := b.compare(r, servers)
		if err != nil {
			return err
		}
		fmt.Fprintf(t, "%s\t%v\t%v\t%.2f ×\t%v\t%v\t%.2f ×\t\n", //nolint:errcheck // as above
			r.title, ms(m[0].wall), ms(m[1].wall), ratio(m[1].wall, m[0].wall), ms(m[0].cpu), ms(m[1].cpu), ratio(m[0].cpu, m[1].cpu))
	}
	fmt.Fprintf(t, "\nspeed: how many times as fast as %s; CPU: how many times its processor time\n\n", peer.name) //nolint:errcheck // as above
	return t.Flush()
}
