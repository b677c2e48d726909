package main

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
)

// looked is what a lookup came to at one server.
type looked struct {
	rate  []float64       // questions a second, by round
	cpu   []time.Duration // of all its processes for one question, by round
	times []time.Duration // from a question to its answer, of all rounds
}

const legend = `
asked/s: questions answered in a second; CPU: of all processes of the server, for one question; ÷: how many times balorg's;
as many: the share of different questions that all answer with as many entries; of the others balorg finds more, whose accents slapd tells apart

`

// compareLookups runs each lookup on each server in turn.
func (b *bench) compareLookups(rows []lookup, servers []*server) error {
	t := tabwriter.NewWriter(b.out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "\tasked/s balorg\tslapd\ttuned\tp99 balorg\tslapd\ttuned\tCPU balorg\tslapd\ttuned\tslapd ÷\ttuned ÷\tas many\t\n") //nolint:errcheck // Flush answers the error
	for i := range rows {
		r := &rows[i]
		same, err := b.agree(r, servers)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		figures := make([]looked, len(servers))
		for round := range b.sizes.rounds + 1 {
			for i := range servers {
				i = (i + round) % len(servers)
				into := &figures[i]
				if round == 0 {
					into = new(looked) // the first warms caches
				}
				if err := b.look(servers[i], r, round, into); err != nil {
					return fmt.Errorf("%s at %s: %w", r.name, servers[i].name, err)
				}
			}
		}
		r.print(t, figures, same)
	}
	fmt.Fprint(t, legend) //nolint:errcheck // as above
	return t.Flush()
}

func (r *lookup) print(t *tabwriter.Writer, f []looked, same float64) {
	fmt.Fprint(t, r.name) //nolint:errcheck // Flush answers the error
	for _, of := range f {
		slices.Sort(of.rate)
		fmt.Fprintf(t, "\t%.0f", of.rate[len(of.rate)/2]) //nolint:errcheck // as above
	}
	for _, of := range f {
		slices.Sort(of.times)
		fmt.Fprintf(t, "\t%v", ms(of.times[len(of.times)*99/100])) //nolint:errcheck // as above
	}
	for i := range f {
		slices.Sort(f[i].cpu)
		fmt.Fprintf(t, "\t%v", f[i].middle().Round(100*time.Nanosecond)) //nolint:errcheck // as above
	}
	fmt.Fprintf(t, "\t%.1f ×\t%.1f ×\t%.0f %%\t\n", ratio(f[1].middle(), f[0].middle()), ratio(f[2].middle(), f[0].middle()), 100*same) //nolint:errcheck // as above
}

// middle is the median of the processor time, once that is sorted.
func (l *looked) middle() time.Duration { return l.cpu[len(l.cpu)/2] }

// agree asks every question once at each server, and answers the share of those that get as many entries from all. balorg may find more, since it does not tell accents
// apart, never fewer; and the others must agree.
func (b *bench) agree(r *lookup, servers []*server) (share float64, err error) {
	var first []int
	same := len(r.asked)
	for _, s := range servers {
		c, err := b.bind(s)
		if err != nil {
			return 0, err
		}
		counts := make([]int, len(r.asked))
		for i := range r.asked {
			got, err := c.ask(r.asked[i].request, r.depth)
			if err != nil {
				return 0, errors.Join(fmt.Errorf("%s at %s: %w", r.asked[i].text, s.name, err), c.Close())
			}
			counts[i] = got.entries
		}
		if err := c.Close(); err != nil {
			return 0, err
		}
		switch {
		case first == nil:
			first = counts
		case s == servers[1]:
			for i := range counts {
				if counts[i] > first[i] {
					return 0, fmt.Errorf("%s: balorg answers %d entries, %s %d", r.asked[i].text, first[i], s.name, counts[i])
				}
				if counts[i] < first[i] {
					same--
				}
			}
			first = counts
		case !slices.Equal(counts, first):
			return 0, fmt.Errorf("%s answers other numbers of entries than %s", s.name, servers[1].name)
		}
	}
	return float64(same) / float64(len(r.asked)), nil
}

func (c *ldapConn) ask(request []byte, depth int) (answered, error) {
	if _, err := c.Write(request); err != nil {
		return answered{}, err
	}
	return c.await(depth)
}

// look has the clients of a lookup ask a server for a while.
func (b *bench) look(s *server, r *lookup, round int, into *looked) (err error) {
	clients := make([]*ldapConn, r.clients)
	defer func() {
		for _, c := range clients {
			if c != nil {
				err = errors.Join(err, c.Close())
			}
		}
	}()
	if !r.whole {
		for i := range clients {
			if clients[i], err = b.bind(s); err != nil {
				return err
			}
		}
	}
	bind := bindRequest(s)
	before, err := s.usage()
	if err != nil {
		return err
	}
	times, failures := make([][]time.Duration, r.clients), make([]error, r.clients)
	began := time.Now()
	var asking sync.WaitGroup
	for i, c := range clients {
		asking.Go(func() {
			k := &task{b: b, s: s, lookup: r, conn: c, bind: bind, until: began.Add(b.sizes.least)}
			// Each begins elsewhere, so that no two ask the same at the same time.
			k.at = (i*len(r.asked)/r.clients + round*7) % len(r.asked)
			failures[i] = k.run()
			times[i] = k.times
		})
	}
	asking.Wait()
	wall := time.Since(began)
	after, err := s.usage()
	if err := errors.Join(append(failures, err)...); err != nil {
		return err
	}
	all := slices.Concat(times...)
	done := r.depth * len(all)
	into.rate = append(into.rate, float64(done)/wall.Seconds())
	into.cpu = append(into.cpu, (after.cpu-before.cpu)/time.Duration(done))
	into.times = append(into.times, all...)
	return nil
}

// task is one client at work.
type task struct {
	b *bench
	s *server
	*lookup
	conn  *ldapConn // unless each question has its own
	bind  []byte
	until time.Time
	at    int // the question that comes next
	times []time.Duration
}

func (k *task) next() *question {
	q := &k.asked[k.at]
	k.at = (k.at + 1) % len(k.asked)
	return q
}

// run asks until it is time.
func (k *task) run() error {
	if k.flying > 0 {
		return k.fly()
	}
	for start := time.Now(); start.Before(k.until); {
		var err error
		if q := k.next(); k.whole {
			err = k.askWhole(q)
		} else {
			_, err = k.conn.ask(q.request, k.depth)
		}
		if err != nil {
			return err
		}
		now := time.Now()
		k.times = append(k.times, now.Sub(start))
		start = now
	}
	return nil
}

// fly keeps some questions on their way: when answers have come, as many others are sent together.
func (k *task) fly() error {
	var (
		out    []byte
		ignore answered
		flying int
		begun  = make([]time.Time, len(k.asked))
		now    = time.Now()
	)
	for {
		out = out[:0]
		for ; flying < k.flying && now.Before(k.until); flying++ {
			begun[k.at] = now
			out = append(out, k.next().request...)
		}
		if flying == 0 {
			return nil
		}
		if len(out) > 0 {
			if _, err := k.conn.Write(out); err != nil {
				return err
			}
		}
		for more := true; more; _, _, more = k.conn.whole() {
			id, done, err := k.conn.read(&ignore)
			if err != nil {
				return err
			}
			if done {
				now = time.Now()
				k.times = append(k.times, now.Sub(begun[id-firstID]))
				flying--
			}
		}
	}
}

// askWhole is one lookup as Thunderbird does it: on a connection of its own.
func (k *task) askWhole(q *question) error {
	c, err := k.b.dialLDAP(k.s)
	if err != nil {
		return err
	}
	if err = c.bind(k.bind); err == nil {
		_, err = c.ask(q.request, 1)
	}
	if err == nil {
		_, err = c.Write(unbind)
	}
	return errors.Join(err, c.Close())
}
