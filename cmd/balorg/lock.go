package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"balorg/gateway"
	"balorg/policy/auth"
)

func lockListCommand() command {
	var all bool
	return command{
		name: "lock list", args: "[--all]", short: "log-ins that are refused after too many failures", json: true,
		long: `Lists which accounts and networks are locked after too many refused log-ins, and until when: a network against one account, a network against
all, an account from wherever it is not known. Nothing is locked for longer than a minute after the last attempts that count.`,
		flags: func(f *flags) {
			f.BoolVar(&all, "all", false, "those with failures below their limit, too")
		},
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			if len(args) > 0 {
				return usagef("takes no arguments")
			}
			return call(ctx, e, f, gateway.OpLockList, gateway.LockListArgs{All: all}, printLock)
		},
	}
}

func printLock(w io.Writer, l gateway.LockEntry) error {
	state := "counted"
	if l.Locked {
		state = "locked"
	}
	who, from := dash(string(l.Account)), dash(l.Network)
	switch l.Kind {
	case auth.LockAccount:
		from = "anywhere"
	case auth.LockNetwork:
		who = "all accounts"
	case auth.LockPair:
	}
	_, err := fmt.Fprintf(w, "%s  %s  from %s  %d of %d failures  until %s\n", state, who, from, l.Failures, l.Limit, l.Until.Format(time.DateTime))
	return err
}

func lockClearCommand() command {
	var all bool
	return command{
		name: "lock clear", args: "ADDR|NETWORK | --all", short: "let somebody try again at once",
		long: `Forgets the refused log-ins of an account, or of a network (192.0.2.0/24, 192.0.2.7, 2001:db8::/64), so that the next attempt is looked at.
Where a whole network is locked against all accounts, clear the network.`,
		flags: func(f *flags) {
			f.BoolVar(&all, "all", false, "every account and network")
		},
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			what := ""
			switch {
			case len(args) == 1 && !all && args[0] != "":
				what = args[0]
			case len(args) > 0 || !all:
				return usagef("takes an address or a network, or --all")
			}
			return call(ctx, e, f, gateway.OpLockClear, gateway.LockClearArgs{What: what}, printLine)
		},
	}
}
