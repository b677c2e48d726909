package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"balorg/gateway"
)

func demoCommand() command {
	var opt gateway.DemoOptions
	return command{
		name: "demo", args: "[--listen ADDR] [--port-offset N] [--any-port] [--state DIR] [--ready-file F]",
		short: "run a small clinic with sample mail, on loopback",
		long: `Starts the daemon on the embedded store with sample accounts, mailboxes and messages, a certificate of its own and known
passwords, and prints what to try. Nothing is left behind unless --state names a folder to keep. SIGHUP reloads, as it does for serve;
on a terminal, which sends it when its window closes, it stops the demo.`,
		flags: func(f *flags) {
			f.StringVar(&opt.Listen, "listen", "127.0.0.1", "`address` to listen on, without a port")
			f.IntVar(&opt.Offset, "port-offset", 0, "shift every port by this `number`")
			f.BoolVar(&opt.AnyPort, "any-port", false, "let the system choose every port; --ready-file tells them")
			f.StringVar(&opt.State, "state", "", "`folder` for the state, which is then kept")
			f.StringVar(&opt.ReadyFile, "ready-file", "", "`file` that gets the listeners as JSON once they answer")
		},
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			if len(args) > 0 {
				return usagef("takes no arguments")
			}
			if net.ParseIP(opt.Listen) == nil {
				return usagef("--listen takes an IP address without a port")
			}
			outlivePipes()
			hup := make(chan os.Signal, 1)
			signal.Notify(hup, syscall.SIGHUP)
			defer signal.Stop(hup)
			opt.Reloads = hup
			if file, ok := e.out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
				signal.Stop(hup)
				var stop context.CancelFunc
				ctx, stop = signal.NotifyContext(ctx, syscall.SIGHUP)
				defer stop()
			}
			opt.Output, opt.Program = e.out, os.Args[0]
			opt.Log = slog.New(slog.NewTextHandler(e.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
			return printProblems(e, f, gateway.RunDemo(ctx, opt))
		},
	}
}
