package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"balorg/configs"
	"balorg/gateway"
	"balorg/gateway/control"
)

func reloadCommand() command {
	var force bool
	return command{
		name: "reload", args: "[--force]", short: "have the running daemon read its files again", json: true,
		long: `Prints the problems of the files, if any; the running configuration then stays. A reload that removes more than a fifth of all
accounts or delegations waits for --force.`,
		flags: func(f *flags) {
			f.BoolVar(&force, "force", false, "accept the removal of many accounts or delegations")
		},
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			if len(args) > 0 {
				return usagef("takes no arguments")
			}
			return call(ctx, e, f, gateway.OpReload, gateway.ReloadArgs{Force: force}, func(w io.Writer, p configs.Problem) error {
				_, err := fmt.Fprintln(w, p)
				return err
			})
		},
	}
}

// printFailure prints what an operation answered: problems one a line, else one line.
func printFailure(e env, f *flags, err error) error {
	var failed *control.Failure
	if errors.As(err, &failed) && len(failed.Problems) > 0 {
		return printProblems(e, f, failed.Problems)
	}
	return printProblems(e, f, err)
}
