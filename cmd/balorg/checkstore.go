package main

import (
	"context"
	"fmt"
	"io"

	"balorg/gateway"
)

func checkStoreCommand() command {
	var repair bool
	return command{
		name: "check-store", args: "[--repair]", short: "verify every invariant of the state", json: true,
		long: `Reads the whole state and prints what is wrong with it: counters, references between messages and bodies, the octets of every body,
the chain of the trace, identities and what hangs on them. That may take minutes on a large state.
Exit code 1 when something is. Works with and without a running daemon, on one moment of the state.

With --repair it first mends what it can of the mail, while sessions go on: counts, references, names, structures (parsed anew from the message), rows
that can be made again of what is left. It tells what it did, and then what is wrong still. It drops no message: one whose text is lost or
damaged stays in its folder, and whoever opens it is told so. Sessions in a folder that gets another UIDVALIDITY are ended.`,
		flags: func(f *flags) { f.BoolVar(&repair, "repair", false, "mend what can be mended") },
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			if len(args) > 0 {
				return usagef("takes no arguments")
			}
			if repair {
				return repairStore(ctx, e, f)
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

func repairStore(ctx context.Context, e env, f *flags) error {
	left := 0
	asJSON := f.json
	f.json = false
	err := call(ctx, e, f, gateway.OpRepairStore, nil, func(w io.Writer, line gateway.StoreLine) error {
		if line.Problem != "" {
			left++
		}
		if asJSON {
			return printJSON(w, line)
		}
		text := line.Problem
		if line.Done != "" {
			text = "repaired: " + line.Done
		}
		_, err := fmt.Fprintln(w, text)
		return err
	})
	switch {
	case err != nil:
		return err
	case left > 0:
		return errNo
	case asJSON:
		return nil
	}
	_, err = fmt.Fprintln(e.out, "ok")
	return err
}
