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
			f.StringVar(&ready, "ready-file", "", "`file` that gets the listeners as JSON once all answer")
		},
		long: `Runs the daemon until SIGTERM or SIGINT, which let sessions end and then stop it. SIGHUP reloads the configuration, as does
saving one of its files.`,
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			if len(args) > 0 {
				return usagef("takes no arguments")
			}
			outlivePipes()
			tuneCollector(ctx)
			hup := make(chan os.Signal, 1)
			signal.Notify(hup, syscall.SIGHUP)
			defer signal.Stop(hup)
			g, err := gateway.New(gateway.Options{ConfigPath: configPath(f), Output: e.err, ReadyFile: ready, Reloads: hup})
			if err != nil {
				return printProblems(e, f, err)
			}
			return g.Run(ctx)
		},
	}
}

// outlivePipes keeps a daemon from being killed by its next line of log when whoever read that is gone: it would leave clients without a
// word, and the demo its folder.
func outlivePipes() { signal.Ignore(syscall.SIGPIPE) }

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
