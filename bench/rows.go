package main

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

func headerRow() row {
	// What Thunderbird asks of each message of a folder it has not seen.
	const wanted = "From To Cc Bcc Subject Date Message-ID Priority X-Priority References Newsgroups In-Reply-To Content-Type Reply-To"
	return fetchRow("header FETCH", "UID FETCH 1:* (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS ("+wanted+")])")
}

func envelopeRow() row { return fetchRow("ENVELOPE", "FETCH 1:* (ENVELOPE)") }

func flagsRow() row { return fetchRow("FLAGS", "FETCH 1:* (FLAGS)") }

// fetchRow asks for a little of each of many messages in one command.
func fetchRow(name, command string) row {
	return row{name, "messages", func(n sizes) float64 { return float64(n.headers) }, inFolder(smallFolder, func(c *conn, n sizes) error {
		got, err := c.do(command)
		if err == nil && got < n.headers {
			err = fmt.Errorf("%d responses for %d messages", got, n.headers)
		}
		return err
	})}
}

func megabytes(n sizes) float64 { return float64(n.bodies) * float64(n.octets) / 1e6 }

func bodiesRow() row {
	return row{"bodies, one command", "MB", megabytes, inFolder(largeFolder, func(c *conn, n sizes) error {
		_, err := c.do("UID FETCH 1:* (BODY.PEEK[])")
		return checkOctets(c, n, err)
	})}
}

func bodyEachRow() row {
	return row{"bodies, a command each", "MB", megabytes, inFolder(largeFolder, func(c *conn, n sizes) error {
		for i := range n.bodies {
			if _, err := c.do(fmt.Sprintf("FETCH %d (BODY.PEEK[])", i+1)); err != nil {
				return err
			}
		}
		return checkOctets(c, n, nil)
	})}
}

func checkOctets(c *conn, n sizes, err error) error {
	if want := int64(n.bodies) * int64(n.octets); err == nil && c.octets < want {
		err = fmt.Errorf("%d octets of %d", c.octets, want)
	}
	return err
}

func loginRow() row {
	return row{"login, select, logout", "sessions", func(n sizes) float64 { return float64(n.logins) }, func(b *bench, s *server, secure bool, times int) (measure, error) {
		return s.measure(times, func() error {
			for range b.sizes.logins {
				c, err := b.login(s, secure)
				if err != nil {
					return err
				}
				_, err = c.do("SELECT " + emptyFolder)
				if err == nil {
					_, err = c.do("LOGOUT")
				}
				if err = errors.Join(err, c.Close()); err != nil {
					return err
				}
			}
			return nil
		})
	}}
}

// inFolder is a workload on a connection that has logged in and opened a folder before the clock starts.
func inFolder(folder string, work func(*conn, sizes) error) func(*bench, *server, bool, int) (measure, error) {
	return func(b *bench, s *server, secure bool, times int) (measure, error) {
		c, err := b.login(s, secure)
		if err != nil {
			return measure{}, err
		}
		defer c.Close() //nolint:errcheck // everything was answered
		if _, err := c.do("EXAMINE " + folder); err != nil {
			return measure{}, err
		}
		return s.measure(times, func() error {
			c.octets = 0
			return work(c, b.sizes)
		})
	}
}

// measure tells what work costs the server: a share of what it costs to do it some times.
func (s *server) measure(times int, work func() error) (measure, error) {
	before, err := s.usage()
	if err != nil {
		return measure{}, err
	}
	start := time.Now()
	for range times {
		if err := work(); err != nil {
			return measure{}, err
		}
	}
	wall := time.Since(start)
	after, err := s.usage()
	n := time.Duration(times)
	return measure{wall / n, (after.cpu - before.cpu) / n}, err
}

// openers is how many sessions of a crowd are opened at a time.
const openers = 16

// crowd starts a server, opens sessions up to IDLE in an empty mailbox, and ends it.
func (b *bench) crowd(of contender, sessions int, secure bool) (c crowd, err error) {
	s, err := of.start()
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	warm, err := b.idler(s, secure) // what the first session alone costs belongs to none
	if err != nil {
		return c, err
	}
	defer warm.Close() //nolint:errcheck // nothing is asked of it any more
	before, err := s.usage()
	if err != nil {
		return c, err
	}
	start := time.Now()
	conns, why := b.openCrowd(s, sessions, secure)
	defer func() {
		for _, k := range conns {
			k.Close() //nolint:errcheck // as above
		}
	}()
	if len(conns) == 0 {
		return c, why
	}
	c.wall, c.held, c.err = time.Since(start), len(conns), why
	after, err := s.usage()
	c.cpu, c.bytes = after.cpu-before.cpu, (after.resident-before.resident)/len(conns)
	return c, err
}

func (b *bench) openCrowd(s *server, sessions int, secure bool) (conns []*conn, why error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	left := sessions
	for range openers {
		wg.Go(func() {
			for {
				mu.Lock()
				if left == 0 || why != nil {
					mu.Unlock()
					return
				}
				left--
				mu.Unlock()
				c, err := b.idler(s, secure)
				mu.Lock()
				if err == nil {
					conns = append(conns, c)
				} else if why == nil {
					why = err
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return conns, why
}

// idler is a session that waits in IDLE.
func (b *bench) idler(s *server, secure bool) (*conn, error) {
	c, err := b.login(s, secure)
	if err != nil {
		return nil, err
	}
	if _, err = c.do("SELECT " + emptyFolder); err == nil {
		err = c.idle()
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}
