package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"balorg/configs"
	"balorg/gateway"
)

func serveCommand() command {
	var ready string
	return command{
		name: "serve", args: "[--ready-file F]", short: "run the daemon",
		flags: func(f *flags) {
			f.StringVar(&ready, "ready-file", "", "`file` that gets the listeners as JSON once they are open")
		},
		long: `Runs the daemon until SIGTERM or SIGINT, which let sessions end and then stop it. SIGHUP reloads the configuration, as does
saving one of its files.`,
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			if len(args) > 0 {
				return usagef("takes no arguments")
			}
			g, err := gateway.New(gateway.Options{ConfigPath: configPath(f), Output: e.err})
			if err != nil {
				return printProblems(e, f, err)
			}
			if err := g.WriteReady(ready); err != nil {
				return err
			}
			hup := make(chan os.Signal, 1)
			signal.Notify(hup, syscall.SIGHUP)
			defer signal.Stop(hup)
			return g.Run(reloadOn(ctx, g, hup))
		},
	}
}

// reloadOn reloads the gateway at each signal, until ctx ends.
func reloadOn(ctx context.Context, g *gateway.Gateway, hup <-chan os.Signal) context.Context {
	go func() {
		for {
			select {
			case <-hup:
				g.Reload(ctx, false) //nolint:errcheck // logged by the gateway; a bad file never stops the daemon
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx
}

func configPath(f *flags) string {
	if f.config != "" {
		return f.config
	}
	return gateway.FindConfig()
}

// printProblems prints the problems of a configuration one a line, and answers other errors as they are. With --json they are data,
// on standard output.
func printProblems(e env, f *flags, err error) error {
	if err == nil {
		return nil
	}
	var problems configs.Problems
	if !errors.As(err, &problems) {
		return err
	}
	for _, p := range problems {
		if f.json {
			if werr := printJSON(e.out, p); werr != nil {
				return werr
			}
			continue
		}
		if _, werr := e.err.Write([]byte(p.String() + "\n")); werr != nil {
			return werr
		}
	}
	return errNo
}
