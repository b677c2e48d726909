package main

import (
	"context"
	"fmt"
	"io"

	"balorg/gateway"
)

func checkStoreCommand() command {
	return command{
		name: "check-store", short: "verify every invariant of the state", json: true,
		long: `Reads the whole state and prints what is wrong with it: counters, references between messages and bodies, the octets of every body,
the chain of the trace, identities and what hangs on them. That may take minutes on a large state.
Exit code 1 when something is. Works with and without a running daemon, on one moment of the state.`,
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			if len(args) > 0 {
				return usagef("takes no arguments")
			}
			n := 0
			asJSON := f.json
			f.json = false
			err := call(ctx, e, f, gateway.OpCheckStore, nil, func(w io.Writer, problem string) error {
				n++
				if asJSON {
					return printJSON(w, problem)
				}
				_, err := fmt.Fprintln(w, problem)
				return err
			})
			if err != nil {
				return err
			}
			if n > 0 {
				return errNo
			}
			if !asJSON {
				_, err = fmt.Fprintln(e.out, "ok")
			}
			return err
		},
	}
}
