package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"
)

// relayConfig has balorg send on to a next hop in the clear, as it takes mail here.
const relayConfig = `relay: {smarthost: %q, insecure_no_tls: true}
trust_space: {extra_domains: [chu-exemple.mssante.fr]}
`

// load is a row of the part smtp.
type load struct {
	sessions, octets int
}

func (l load) String() string {
	return fmt.Sprintf("%d sessions × %d KB", l.sessions, l.octets/1000)
}

// relayed is what a load came to at one server.
type relayed struct {
	accepted time.Duration // all of the messages
	relayed  time.Duration
	cpu      time.Duration // of all its processes, for one message
	p99      time.Duration // of acceptance
}

// relaying compares balorg with Postfix: messages are accepted, made durable and sent on to the same next hop.
func (b *bench) relaying() (err error) {
	hop, err := startSink()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hop.stop()) }()
	var loads []load
	for _, octets := range []int{4_000, 100_000} {
		for _, sessions := range []int{1, 10, 50} {
			l := load{sessions, octets}
			if b.only == nil || b.only.MatchString(l.String()) {
				loads = append(loads, l)
			}
		}
	}
	all := []contender{
		{"balorg", func() (*server, error) {
			return b.startBalorg(filepath.Join(b.dir, "relay-balorg"), fmt.Sprintf(relayConfig, hop.address()))
		}},
		{"postfix", func() (*server, error) { return b.startPostfix(hop.address()) }},
	}
	ids := &serial{}
	if len(loads) == 0 {
		return b.waiting(ids)
	}
	t := tabwriter.NewWriter(b.out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "\taccepted/s balorg\tpostfix\tratio\trelayed/s balorg\tpostfix\tratio\tCPU balorg\tpostfix\tratio\tp99 balorg\tpostfix\t\n") //nolint:errcheck // Flush answers the error
	for _, l := range loads {
		figures, err := b.compareLoad(l, all, hop, ids)
		if err != nil {
			return err
		}
		l.print(t, b.messagesOf(l), figures)
	}
	fmt.Fprint(t, "\naccepted/s until the last was accepted, relayed/s until the last had reached the next hop; CPU: of all processes, for a message\n\n") //nolint:errcheck // as above
	if err := t.Flush(); err != nil {
		return err
	}
	return b.waiting(ids)
}

// messagesOf is how many messages a round of a load sends: fewer of large ones, which take as long.
func (b *bench) messagesOf(l load) int {
	if l.octets > 10_000 {
		return b.sizes.messages / 2
	}
	return b.sizes.messages
}

// compareLoad runs a load on each server in turn, with nothing kept from other loads, and answers each one's medians.
func (b *bench) compareLoad(l load, all []contender, hop *sink, ids *serial) (medians []relayed, err error) {
	var servers []*server
	for _, c := range all {
		s, err := c.start()
		if err != nil {
			return nil, fmt.Errorf("starting %s: %w", c.name, err)
		}
		servers = append(servers, s)
		defer func() { err = errors.Join(err, s.stop()) }()
	}
	figures := make([][]relayed, len(servers))
	for round := range b.sizes.rounds + 1 {
		for i := range servers {
			i = (i + round) % len(servers)
			r, err := b.relay(servers[i], l, hop, ids)
			if err != nil {
				return nil, fmt.Errorf("%v at %s: %w", l, servers[i].name, err)
			}
			if round > 0 {
				figures[i] = append(figures[i], r)
			}
		}
	}
	for _, f := range figures {
		medians = append(medians, relayed{
			medianOf(f, func(r relayed) time.Duration { return r.accepted }), medianOf(f, func(r relayed) time.Duration { return r.relayed }),
			medianOf(f, func(r relayed) time.Duration { return r.cpu }), medianOf(f, func(r relayed) time.Duration { return r.p99 }),
		})
	}
	return medians, nil
}

func medianOf(all []relayed, of func(relayed) time.Duration) time.Duration {
	var d []time.Duration
	for _, r := range all {
		d = append(d, of(r))
	}
	slices.Sort(d)
	return d[len(d)/2]
}

// relay runs a load once.
func (b *bench) relay(s *server, l load, hop *sink, ids *serial) (r relayed, err error) {
	messages := b.messagesOf(l)
	arrived := hop.after(messages)
	before, err := s.usage()
	if err != nil {
		return r, err
	}
	got, began, err := b.submitAll(s, l.sessions, messages, l.octets, ids)
	if err != nil {
		return r, err
	}
	select {
	case <-arrived:
	case <-time.After(answerTime):
		return r, errors.New("not all messages reach the next hop")
	case <-b.ctx.Done():
		return r, b.ctx.Err()
	}
	r = relayed{accepted: got.wall, relayed: time.Since(began), p99: got.p99}
	after, err := s.usage()
	r.cpu = (after.cpu - before.cpu) / time.Duration(messages)
	return r, err
}

func (l load) print(t *tabwriter.Writer, messages int, f []relayed) {
	ours, peer := f[0], f[1]
	rate := func(d time.Duration) float64 { return float64(messages) / d.Seconds() }
	micros := func(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
	fmt.Fprintf(t, "%v\t%.0f\t%.0f\t%.2f ×\t%.0f\t%.0f\t%.2f ×\t%v\t%v\t%.2f ×\t%v\t%v\t\n", l, //nolint:errcheck // Flush answers the error
		rate(ours.accepted), rate(peer.accepted), ratio(peer.accepted, ours.accepted),
		rate(ours.relayed), rate(peer.relayed), ratio(peer.relayed, ours.relayed),
		micros(ours.cpu), micros(peer.cpu), ratio(ours.cpu, peer.cpu), ms(ours.p99), ms(peer.p99))
}

// waiting measures what a long queue costs balorg: its next hop is down, and messages wait. The memory is looked at while they come in, and
// of a daemon that was started again with all of them in its queue.
func (b *bench) waiting(ids *serial) (err error) {
	title := fmt.Sprintf("%d messages that wait", b.sizes.queued)
	if b.only != nil && !b.only.MatchString(title) {
		return nil
	}
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	dir := filepath.Join(b.dir, "relay-waiting")
	s, err := b.startBalorg(dir, fmt.Sprintf(relayConfig, fmt.Sprintf("127.0.0.1:%d", ports[0])))
	if err != nil {
		return err
	}
	peak, rate, err := b.flood(s, ids)
	if err = errors.Join(err, s.stop()); err != nil {
		return err
	}
	began := time.Now()
	if s, err = b.launchBalorg(dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	took := time.Since(began)
	u, err := s.usage()
	if err != nil {
		return err
	}
	for _, of := range []struct {
		when string
		usage
	}{{"the most while they come in", peak}, {"started again", u}} {
		fmt.Fprintf(b.out, "%s, %s: balorg has %d MB of memory resident, %d MB of it pages of its files\n", //nolint:errcheck // the terminal is gone
			title, of.when, of.resident/1e6, of.mapped/1e6)
	}
	fmt.Fprintf(b.out, "they are accepted at %.0f/s, and it starts with them in %v\n\n", rate, ms(took)) //nolint:errcheck // as above
	return nil
}

// flood submits the messages that are to wait, and answers the most memory that took.
func (b *bench) flood(s *server, ids *serial) (peak usage, rate float64, err error) {
	const sessions, octets, part = 50, 4_000, 5_000
	began := time.Now()
	for sent := 0; sent < b.sizes.queued; sent += part {
		if _, _, err := b.submitAll(s, sessions, min(part, b.sizes.queued-sent), octets, ids); err != nil {
			return peak, 0, err
		}
		u, err := s.usage()
		if err != nil {
			return peak, 0, err
		}
		if u.resident > peak.resident {
			peak = u
		}
	}
	return peak, float64(b.sizes.queued) / time.Since(began).Seconds(), nil
}
