package main

import (
	"context"
	"fmt"

	"balorg/gateway"
)

func checkCommand() command {
	live := false
	return command{
		name: "check", args: "[--live]", short: "check every configuration file, as the daemon would", json: true,
		long: `Reads balorg.yaml, the accounts and the delegations with the daemon's own code and prints every problem as
file:line:column. Exit code 1 when there is one; warnings alone leave it at 0. With --live it also logs in to each mail store
that is an IMAP server, as one of the mailboxes that live there, and says what is wrong.`,
		flags: func(f *flags) { f.BoolVar(&live, "live", false, "log in to the mail stores, too") },
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			if len(args) > 0 {
				return usagef("takes no arguments")
			}
			loaded, problems := gateway.Load(configPath(f))
			if live && problems.Err() == nil {
				problems = append(problems, loaded.CheckLive(ctx)...)
			}
			for _, p := range problems {
				if f.json {
					if err := printJSON(e.out, p); err != nil {
						return err
					}
					continue
				}
				fmt.Fprintln(e.out, p) //nolint:errcheck // the terminal is gone
			}
			if problems.Err() != nil {
				return errNo
			}
			if !f.json {
				fmt.Fprintf(e.out, "ok: %d accounts, %d delegations\n", len(loaded.Roster.Accounts), len(loaded.Roster.Delegations)) //nolint:errcheck // as above
			}
			return nil
		},
	}
}
