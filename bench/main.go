// Command bench runs balorg and its peers side by side on the same messages with the same client, and prints ratios: machines
// are noisy, so that only what ran in the same minute compares. It is no test and fails only when something does not
// work. Every server has its configuration and its files in a folder of this run, listens on loopback, and ends with it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"syscall"
	"time"

	"balorg/ldapserver/extraction/sample"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) } //nolint:forbidigo // a program of its own

// sizes are how much a run does.
type sizes struct {
	headers  int // messages whose headers, envelopes and flags are fetched
	bodies   int // messages fetched whole
	octets   int // of each of those
	logins   int
	big      int           // messages of the big folder
	idle     int           // sessions
	messages int           // submitted in a round
	queued   int           // messages that wait for their next hop
	rows     int           // of the national extraction
	rounds   int           // the median of which counts
	least    time.Duration // that one round of a row takes the fastest server
}

// The parts of a run.
const (
	embeddedPart = "embedded" // balorg with its own store, and Dovecot
	proxyPart    = "proxy"    // balorg, Dovecot and nginx as proxies in front of one Dovecot
	smtpPart     = "smtp"     // balorg and Postfix, from a client to a next hop
	ldapPart     = "ldap"     // balorg and slapd, as it comes and tuned, on one national directory
)

// bench is what all parts of a run share.
type bench struct {
	ctx    context.Context //nolint:containedctx // of the whole run
	dir    string
	cert   certificate
	binary string // the daemon
	sizes  sizes
	only   *regexp.Regexp // nil: all rows
	out    io.Writer
}

func run(args []string, out, errOut io.Writer) int {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(errOut)
	b := bench{out: out}
	part := f.String("part", "", "embedded, proxy, smtp or ldap; all when left out")
	f.Func("only", "only rows whose title this `regexp` finds something in, such as 'FLAGS$'", func(text string) (err error) {
		b.only, err = regexp.Compile(text)
		return err
	})
	f.StringVar(&b.binary, "balorg", "", "measure this `binary` instead of building one")
	f.IntVar(&b.sizes.headers, "headers", 10_000, "messages whose headers, envelopes and flags are fetched")
	f.IntVar(&b.sizes.bodies, "bodies", 1_000, "messages fetched whole")
	f.IntVar(&b.sizes.octets, "octets", 100_000, "octets of each of those")
	f.IntVar(&b.sizes.logins, "logins", 200, "log-ins, one after the other")
	f.IntVar(&b.sizes.big, "big", 100_000, "messages of the big folder")
	f.IntVar(&b.sizes.idle, "idle", 5_000, "idle sessions")
	f.IntVar(&b.sizes.messages, "messages", 3_000, "messages of 4 KB that a round submits, and half as many of 100 KB")
	f.IntVar(&b.sizes.queued, "queued", 100_000, "messages that wait for their next hop")
	f.IntVar(&b.sizes.rows, "rows", sample.DefaultRows, "rows of the national extraction")
	f.IntVar(&b.sizes.rounds, "rounds", 5, "rounds, the median of which counts")
	f.DurationVar(&b.sizes.least, "least", 500*time.Millisecond, "how long a round of a row takes the fastest server: short ones are repeated")
	if err := f.Parse(args); err != nil {
		return 2
	}
	parts := []string{embeddedPart, proxyPart, smtpPart, ldapPart}
	if *part != "" {
		if !slices.Contains(parts, *part) {
			fmt.Fprintln(errOut, "bench: -part is embedded, proxy, smtp or ldap") //nolint:errcheck // the terminal is gone
			return 2
		}
		parts = []string{*part}
	}
	var stop context.CancelFunc
	b.ctx, stop = signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	signal.Ignore(syscall.SIGPIPE) // of "| head": the servers are to be ended all the same
	if err := b.run(parts); err != nil {
		fmt.Fprintln(errOut, "bench:", err) //nolint:errcheck // the terminal is gone
		return 1
	}
	return 0
}

func (b *bench) run(parts []string) (err error) {
	if b.dir, err = os.MkdirTemp("", "balorg-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if err := os.Chmod(b.dir, 0o755); err != nil { // the peers switch users
		return err
	}
	if b.cert, err = makeCertificate(b.dir); err != nil {
		return err
	}
	if b.binary == "" {
		if b.binary, err = buildBalorg(b.ctx, b.dir); err != nil {
			return err
		}
	}
	runs := map[string]func() error{embeddedPart: b.embedded, proxyPart: b.proxies, smtpPart: b.relaying, ldapPart: b.directories}
	for _, part := range parts {
		if err := runs[part](); err != nil {
			return fmt.Errorf("part %s: %w", part, err)
		}
	}
	return nil
}

// measure is one row's figures for one server, for doing it once.
type measure struct {
	wall time.Duration
	cpu  time.Duration // of the server's processes
}

// row is a workload.
type row struct {
	name   string
	unit   string
	amount func(sizes) float64 // of that unit
	run    func(b *bench, s *server, secure bool, times int) (measure, error)
}

// trial is a row with TLS to the client or without.
type trial struct {
	row
	title  string
	secure bool
}

// trials are those of the rows that -only leaves.
func (b *bench) trials(rows ...row) (all []trial) {
	for _, secure := range []bool{false, true} {
		for _, r := range rows {
			t := trial{r, r.name, secure}
			if secure {
				t.title += ", TLS"
			}
			if b.only == nil || b.only.MatchString(t.title) {
				all = append(all, t)
			}
		}
	}
	return all
}

// longRow is how long a row may take a server to be worth all rounds: noise is little of what takes longer.
const longRow = 3 * time.Second

// compare runs a row on each server in turn, round after round, and answers each one's medians. Rows that a server does in a moment are
// done as many times, by all, as keep the fastest busy for long enough to be measured.
func (b *bench) compare(t trial, servers []*server) ([]measure, error) {
	figures := make([][]measure, len(servers))
	times, fastest, slowest := 1, time.Duration(math.MaxInt64), time.Duration(0)
	rounds := b.sizes.rounds
	for round := 0; round <= rounds; round++ {
		for i := range servers {
			i = (i + round) % len(servers) // nobody always follows the same other
			m, err := t.run(b, servers[i], t.secure, times)
			if err != nil {
				return nil, fmt.Errorf("%s at %s: %w", t.title, servers[i].name, err)
			}
			if round > 0 { // the first warms caches
				figures[i] = append(figures[i], m)
			}
			fastest, slowest = min(fastest, m.wall), max(slowest, m.wall)
		}
		if slowest > longRow {
			rounds = min(rounds, 2)
		}
		if round == 0 {
			times = int(max(1, (b.sizes.least+fastest-1)/max(fastest, 1)))
		}
	}
	medians := make([]measure, len(servers))
	for i, f := range figures {
		medians[i] = median(f)
	}
	return medians, nil
}

func ms(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

func ratio[T int | time.Duration](a, b T) float64 { return float64(a) / float64(max(b, 1)) }

func median(all []measure) measure {
	walls, cpus := make([]time.Duration, len(all)), make([]time.Duration, len(all))
	for i, m := range all {
		walls[i], cpus[i] = m.wall, m.cpu
	}
	slices.Sort(walls)
	slices.Sort(cpus)
	return measure{walls[len(walls)/2], cpus[len(cpus)/2]}
}
