package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"text/tabwriter"
	"time"
)

// contender is a server that can be started anew.
type contender struct {
	name  string
	start func() (*server, error)
}

// proxies compares balorg with other proxies in front of one Dovecot, which all of them log in to as its master user, without
// TLS.
func (b *bench) proxies() (err error) {
	files, err := raiseFiles()
	if err != nil {
		return err
	}
	trials, idle := b.trials(headerRow(), envelopeRow(), flagsRow(), bodiesRow(), loginRow()), b.trials(b.idleRow(files))
	if len(trials)+len(idle) == 0 {
		return nil
	}
	store, err := b.startDovecot("store", storeConfig, "")
	if err != nil {
		return fmt.Errorf("starting the mail store: %w", err)
	}
	defer func() { err = errors.Join(err, store.stop()) }()
	if err := b.fill(store); err != nil {
		return fmt.Errorf("filling the mail store: %w", err)
	}
	judge, err := startAuthHTTP(store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, judge.stop()) }()
	all := []contender{
		{"balorg", func() (*server, error) {
			return b.startBalorg(filepath.Join(b.dir, "proxy-balorg"), mailstoreOf(store))
		}},
		{"dovecot", func() (*server, error) { return b.startDovecot("proxy-dovecot", proxyConfig, proxyUsers(store)) }},
		{"nginx", func() (*server, error) { return b.startNginx(judge) }},
	}
	if len(trials) > 0 {
		if err := b.compareProxies(trials, all); err != nil {
			return err
		}
	}
	if len(idle) > 0 {
		return b.compareIdle(idle, all)
	}
	return nil
}

func (b *bench) compareProxies(trials []trial, all []contender) (err error) {
	var servers []*server
	for _, c := range all {
		s, err := c.start()
		if err != nil {
			return fmt.Errorf("starting %s: %w", c.name, err)
		}
		servers = append(servers, s)
		defer func() { err = errors.Join(err, s.stop()) }()
	}
	t := tabwriter.NewWriter(b.out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "\tbalorg\tdovecot\tnginx\t÷ dovecot\t÷ nginx\tCPU balorg\tdovecot\tnginx\t÷ dovecot\t÷ nginx\t\n") //nolint:errcheck // Flush answers the error
	for _, r := range trials {
		m, err := b.compare(r, servers)
		if err != nil {
			return err
		}
		r.print(t, b.sizes, m)
	}
	fmt.Fprint(t, "\nin front of one Dovecot; CPU: of the proxy's own processes, for doing the row once\n\n") //nolint:errcheck // as above
	return t.Flush()
}

// print prints throughput and processor time of three servers.
func (r trial) print(t *tabwriter.Writer, n sizes, m []measure) {
	fmt.Fprintf(t, "%s, %s/s", r.title, r.unit) //nolint:errcheck // Flush answers the error
	for _, of := range m {
		fmt.Fprintf(t, "\t%.0f", r.amount(n)/max(of.wall, 1).Seconds()) //nolint:errcheck // as above
	}
	fmt.Fprintf(t, "\t%.2f ×\t%.2f ×", ratio(m[1].wall, m[0].wall), ratio(m[2].wall, m[0].wall)) //nolint:errcheck // as above
	for _, of := range m {
		fmt.Fprintf(t, "\t%v", ms(of.cpu)) //nolint:errcheck // as above
	}
	fmt.Fprintf(t, "\t%.2f ×\t%.2f ×\t\n", ratio(m[0].cpu, m[1].cpu), ratio(m[0].cpu, m[2].cpu)) //nolint:errcheck // as above
}

// idleRow has no run: compareIdle opens its sessions.
func (b *bench) idleRow(files int) row {
	const spare = 500 // files that a proxy needs besides two for each session
	if room := (files - spare) / 2; b.sizes.idle > room {
		fmt.Fprintf(b.out, "only %d files may be open here: %d idle sessions instead of %d\n", files, room, b.sizes.idle) //nolint:errcheck // the terminal is gone
		b.sizes.idle = room
	}
	return row{name: fmt.Sprintf("%d idle sessions", b.sizes.idle), unit: "opened", amount: func(n sizes) float64 { return float64(n.idle) }}
}

// crowd is what many idle sessions cost a server.
type crowd struct {
	measure
	held  int
	bytes int   // of memory, for one session
	err   error // why it did not hold more
}

// compareIdle starts each server anew for each crowd, so that memory of an earlier one is in no figure.
func (b *bench) compareIdle(trials []trial, all []contender) error {
	t := tabwriter.NewWriter(b.out, 0, 4, 2, ' ', tabwriter.AlignRight)
	memory := tabwriter.NewWriter(b.out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "\tbalorg\tdovecot\tnginx\t÷ dovecot\t÷ nginx\tCPU balorg\tdovecot\tnginx\t÷ dovecot\t÷ nginx\t\n") //nolint:errcheck // Flush answers the error
	fmt.Fprint(memory, "\tbalorg\tdovecot\tnginx\t÷ dovecot\t÷ nginx\t\n")                                            //nolint:errcheck // as above
	for _, r := range trials {
		var crowds []crowd
		var figures []measure
		for _, c := range all {
			got, err := b.crowd(c, b.sizes.idle, r.secure)
			if err != nil {
				return fmt.Errorf("%s at %s: %w", r.title, c.name, err)
			}
			if got.err != nil {
				fmt.Fprintf(b.out, "%s: %s held %d: %v\n", r.title, c.name, got.held, got.err) //nolint:errcheck // the terminal is gone
				got.wall = time.Duration(float64(got.wall) * ratio(b.sizes.idle, got.held))
				got.cpu = time.Duration(float64(got.cpu) * ratio(b.sizes.idle, got.held))
			}
			crowds, figures = append(crowds, got), append(figures, got.measure)
		}
		r.print(t, b.sizes, figures)
		fmt.Fprintf(memory, "%s, KB each", r.title) //nolint:errcheck // as above
		for _, c := range crowds {
			fmt.Fprintf(memory, "\t%.1f", float64(c.bytes)/1000) //nolint:errcheck // as above
		}
		fmt.Fprintf(memory, "\t%.2f ×\t%.2f ×\t\n", ratio(crowds[0].bytes, crowds[1].bytes), ratio(crowds[0].bytes, crowds[2].bytes)) //nolint:errcheck // as above
	}
	err := errors.Join(t.Flush(), memory.Flush())
	fmt.Fprint(b.out, "\nKB each: resident memory that a session adds to all processes of the proxy, right after the last one went idle\n\n") //nolint:errcheck // as above
	return err
}
