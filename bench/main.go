// Command bench runs balorg and its peers side by side on the same messages with the same client, and prints ratios: machines
// are noisy, so that only what ran in the same minute compares. It is no test and fails only when something does not
// work.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) } //nolint:forbidigo // a program of its own

// sizes are how much a run does.
type sizes struct {
	headers int // messages whose headers are fetched
	bodies  int // messages fetched whole
	octets  int // of each of those
	rounds  int // the median of which counts
}

func run(args []string, out, errOut io.Writer) int {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(errOut)
	var n sizes
	f.IntVar(&n.headers, "headers", 10_000, "messages whose headers are fetched")
	f.IntVar(&n.bodies, "bodies", 1_000, "messages fetched whole")
	f.IntVar(&n.octets, "octets", 100_000, "octets of each of those")
	f.IntVar(&n.rounds, "rounds", 5, "rounds, the median of which counts")
	if err := f.Parse(args); err != nil {
		return 2
	}
	if err := bench(n, out); err != nil {
		fmt.Fprintln(errOut, "bench:", err) //nolint:errcheck // the terminal is gone
		return 1
	}
	return 0
}

// measure is one row's figures for one server.
type measure struct {
	wall time.Duration
	cpu  time.Duration // of the server
}

// row is a workload on one connection.
type row struct {
	name string
	run  func(*conn, sizes) error
}

func bench(n sizes, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "balorg-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	tls, err := makeCertificate(dir)
	if err != nil {
		return err
	}
	ours, err := startBalorg(dir, tls)
	if err != nil {
		return fmt.Errorf("starting balorg: %w", err)
	}
	defer func() { err = errors.Join(err, ours.stop()) }()
	peer, err := startDovecot(dir, tls)
	if err != nil {
		return fmt.Errorf("starting dovecot: %w", err)
	}
	defer func() { err = errors.Join(err, peer.stop()) }()
	for _, s := range []*server{ours, peer} {
		if err := s.fill(n); err != nil {
			return fmt.Errorf("filling %s: %w", s.name, err)
		}
	}
	return compare(ours, peer, n, out)
}

func compare(ours, peer *server, n sizes, out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\t%s\t%s\tspeed\t%s CPU\t%s CPU\tCPU\t\n", ours.name, peer.name, ours.name, peer.name) //nolint:errcheck // Flush answers the error
	for _, secure := range []bool{false, true} {
		for _, r := range rows() {
			var figures [2][]measure
			for round := range n.rounds + 1 {
				for i, s := range []*server{ours, peer} {
					m, err := s.measure(r, n, secure)
					if err != nil {
						return fmt.Errorf("%s at %s: %w", r.name, s.name, err)
					}
					if round > 0 { // the first warms caches
						figures[i] = append(figures[i], m)
					}
				}
			}
			a, b := median(figures[0]), median(figures[1])
			name := r.name
			if secure {
				name += ", TLS"
			}
			fmt.Fprintf(t, "%s\t%v\t%v\t%.2f ×\t%v\t%v\t%.2f ×\t\n", name, ms(a.wall), ms(b.wall), ratio(b.wall, a.wall), ms(a.cpu), ms(b.cpu), ratio(a.cpu, b.cpu)) //nolint:errcheck // as above
		}
	}
	fmt.Fprintf(t, "\nspeed: how many times as fast as %s; CPU: how many times its processor time\n", peer.name) //nolint:errcheck // as above
	return t.Flush()
}

func ms(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

func ratio(a, b time.Duration) float64 { return float64(a) / float64(max(b, time.Microsecond)) }

func median(all []measure) measure {
	walls, cpus := make([]time.Duration, len(all)), make([]time.Duration, len(all))
	for i, m := range all {
		walls[i], cpus[i] = m.wall, m.cpu
	}
	slices.Sort(walls)
	slices.Sort(cpus)
	return measure{walls[len(walls)/2], cpus[len(cpus)/2]}
}
