package main

import (
	"context"
	"fmt"

	"balorg/gateway"
)

func checkCommand() command {
	return command{
		name: "check", short: "check every configuration file, as the daemon would", json: true,
		long: `Reads balorg.yaml, the accounts and the delegations with the daemon's own code and prints every problem as
file:line:column. Exit code 1 when there is one; warnings alone leave it at 0.`,
		run: func(_ context.Context, e env, f *flags, args []string) error {
			if len(args) > 0 {
				return usagef("takes no arguments")
			}
			loaded, problems := gateway.Load(configPath(f))
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
