package main

import (
	"errors"
	"fmt"
	"sync"
)

// How much the rows about changes do.
const (
	appenders   = 10 // sessions that append at a time
	shortOctets = 4_000
	longOctets  = 122_000
	storeEach   = 200 // STORE commands
	listed      = 50  // messages that a client shows at a time
)

// plain are trials without TLS only.
func (b *bench) plain(rows ...row) (all []trial) {
	for _, r := range rows {
		if b.only == nil || b.only.MatchString(r.name) {
			all = append(all, trial{row: r, title: r.name})
		}
	}
	return all
}

// appendRow has sessions append messages, each waiting for the answer to one before it sends the next.
func appendRow(name string, octets, each int) row {
	name = fmt.Sprintf("%s, %d clients", name, appenders)
	return row{name, "messages", func(sizes) float64 { return float64(appenders * each) }, func(b *bench, s *server, secure bool, times int) (measure, error) {
		var conns []*conn
		defer func() {
			for _, c := range conns {
				c.Close() //nolint:errcheck // everything was answered
			}
		}()
		for range appenders {
			c, err := b.login(s, secure)
			if err != nil {
				return measure{}, err
			}
			conns = append(conns, c)
		}
		text := message(appenders, octets)
		return s.measure(times, func() error {
			return together(conns, func(c *conn) error {
				for range each {
					if _, err := c.do(fmt.Sprintf("APPEND %s {%d+}\r\n%s", arrivals, len(text), text)); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}}
}

// together does work on all connections at a time.
func together(conns []*conn, work func(*conn) error) error {
	errs := make([]error, len(conns))
	var wg sync.WaitGroup
	for i, c := range conns {
		wg.Go(func() { errs[i] = work(c) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// mixedRow is a client that shows a folder page by page.
func mixedRow() row {
	const wanted = "UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (References Priority X-Priority List-Id)]"
	return row{"mixed FETCH", "messages", func(n sizes) float64 { return float64(n.headers) }, inFolder(smallFolder, func(c *conn, n sizes) error {
		for first := 1; first <= n.headers; first += listed {
			last := min(first+listed-1, n.headers)
			got, err := c.do(fmt.Sprintf("FETCH %d:%d (%s)", first, last, wanted))
			if err != nil {
				return err
			}
			if got < last-first+1 {
				return fmt.Errorf("%d responses for messages %d to %d", got, first, last)
			}
		}
		return nil
	})}
}

// storeEachRow marks single messages, as somebody who reads does.
func storeEachRow() row {
	return row{"STORE, a command each", "commands", func(sizes) float64 { return storeEach }, changing(smallFolder, func(c *conn, n sizes, op string) error {
		for i := range min(storeEach, n.headers) {
			if _, err := c.do(fmt.Sprintf(`STORE %d %sFLAGS (\Flagged)`, i+1, op)); err != nil {
				return err
			}
		}
		return nil
	})}
}

// storeAllRow marks a whole folder.
func storeAllRow() row {
	return row{"STORE 1:*", "messages", func(n sizes) float64 { return float64(n.headers) }, changing(smallFolder, func(c *conn, _ sizes, op string) error {
		_, err := c.do(`STORE 1:* ` + op + `FLAGS (\Answered)`)
		return err
	})}
}

// changing is a workload that changes messages of a folder back and forth: op is + and - in turn.
func changing(folder string, work func(c *conn, n sizes, op string) error) func(*bench, *server, bool, int) (measure, error) {
	return func(b *bench, s *server, secure bool, times int) (measure, error) {
		c, err := b.login(s, secure)
		if err != nil {
			return measure{}, err
		}
		defer c.Close() //nolint:errcheck // everything was answered
		if _, err := c.do("SELECT " + folder); err != nil {
			return measure{}, err
		}
		done := 0
		m, err := s.measure(2*((times+1)/2), func() error {
			done++
			return work(c, b.sizes, [2]string{"-", "+"}[done%2])
		})
		return m, err
	}
}

// searchRow is one search, by criteria.
func searchRow(name, folder, criteria string) row {
	return row{name, "searches", func(sizes) float64 { return 1 }, inFolder(folder, func(c *conn, _ sizes) error {
		_, err := c.do("SEARCH " + criteria)
		return err
	})}
}
