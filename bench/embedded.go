package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"
	"time"
)

// syncedConfig is a Dovecot that has synced whatever it has answered, as balorg has. Its log-in processes serve many connections each and
// it remembers who has logged in, which is as fast as it gets.
const syncedConfig = directConfig + `
mail_fsync = always
auth_cache_size = 10M
auth_cache_verify_password_with_worker = no
mail_max_userip_connections = 0
service imap-login {
  service_count = 0
  process_min_avail = 2
}
`

// There are many rows in this part: each has so many rounds at most, of so long.
const (
	embeddedRounds = 3
	embeddedLeast  = 200 * time.Millisecond
)

// unsynced is put behind another configuration while folders are filled.
const unsynced = "\nmail_fsync = never\n"

// embedded compares the whole way through balorg to its own store with Dovecot.
func (b *bench) embedded() (err error) {
	b.sizes.rounds, b.sizes.least = min(b.sizes.rounds, embeddedRounds), min(b.sizes.least, embeddedLeast)
	trials := b.trials(headerRow(), bodiesRow(), bodyEachRow())
	trials = append(trials, b.plain(
		appendRow("APPEND 4 KB", shortOctets, 50), appendRow("APPEND 122 KB", longOctets, 10),
		mixedRow(), storeEachRow(), storeAllRow(),
		searchRow("SEARCH flags", smallFolder, "UNSEEN UNDELETED KEYWORD $Forwarded"), searchRow("SEARCH header", smallFolder, "SUBJECT dossier_77"),
		searchRow("SEARCH text", smallFolder, "TEXT compte-rendu"), loginRow(),
	)...)
	big := b.plain(b.bigRows()...)
	if len(trials)+len(big) == 0 {
		return nil
	}
	ours, err := b.startBalorg(filepath.Join(b.dir, "embedded"), "")
	if err != nil {
		return fmt.Errorf("starting balorg: %w", err)
	}
	defer func() { err = errors.Join(err, ours.stop()) }()
	peer, err := b.startDovecot("dovecot", syncedConfig+unsynced, "")
	if err != nil {
		return fmt.Errorf("starting dovecot: %w", err)
	}
	defer func() { err = errors.Join(err, peer.stop()) }()
	servers := []*server{ours, peer}
	for _, s := range servers {
		if err := b.fill(s); err != nil {
			return fmt.Errorf("filling %s: %w", s.name, err)
		}
		if len(big) == 0 {
			continue
		}
		start := time.Now()
		if err := b.fillBig(s); err != nil {
			return fmt.Errorf("filling %s: %w", s.name, err)
		}
		fmt.Fprintf(b.out, "%s: %d messages filed in %v\n", s.name, b.sizes.big, ms(time.Since(start))) //nolint:errcheck // the terminal is gone
	}
	if err := b.configureDovecot(peer, syncedConfig); err != nil {
		return err
	}
	if err := b.compareStores(servers, trials); err != nil {
		return err
	}
	if big, err = offered(b, servers, big); err != nil {
		return err
	}
	if len(big) == 0 {
		return nil
	}
	if err := b.memoryOfFolders(servers); err != nil { // before anything has it in memory
		return err
	}
	return b.compareStores(servers, big)
}

// compareStores prints one table about two servers.
func (b *bench) compareStores(servers []*server, trials []trial) error {
	if len(trials) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(b.out, 0, 4, 2, ' ', tabwriter.AlignRight)
	ours, peer := servers[0], servers[1]
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

// memoryOfFolders prints what sessions that have the big folder open take.
func (b *bench) memoryOfFolders(servers []*server) error {
	for _, s := range servers {
		before, err := s.usage()
		if err != nil {
			return err
		}
		var open []io.Closer
		var figures [2]int
		for i := range figures {
			for len(open) < 1+9*i {
				c, err := b.login(s, false)
				if err != nil {
					return err
				}
				open = append(open, c)
				if _, err := c.do("SELECT " + bigFolder); err != nil {
					return err
				}
			}
			after, err := s.usage()
			if err != nil {
				return err
			}
			figures[i] = after.resident - before.resident
		}
		for _, c := range open {
			c.Close() //nolint:errcheck // everything was answered
		}
		fmt.Fprintf(b.out, "%s: a session with the folder of %d open takes %.1f MB resident, each of nine more %.1f MB\n", //nolint:errcheck // the terminal is gone
			s.name, b.sizes.big, float64(figures[0])/1e6, float64(figures[1]-figures[0])/9e6)
	}
	return nil
}
