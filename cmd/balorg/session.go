package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"balorg/gateway"
	"balorg/policy/session"
)

func sessionListCommand() command {
	return command{
		name: "session list", short: "live sessions", json: true,
		long: "Lists who is connected, the oldest first: id, protocol, person, opened mailbox, client, since when, mailboxes in use.",
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			if len(args) > 0 {
				return usagef("takes no arguments")
			}
			return call(ctx, e, f, gateway.OpSessions, nil, func(w io.Writer, s session.Info) error {
				using := make([]string, len(s.Using))
				for i, a := range s.Using {
					using[i] = string(a)
				}
				_, err := fmt.Fprintf(w, "%s  %s  %s  %s  %s  %s  %s\n", s.ID, s.Protocol, s.Person, s.Mailbox, s.Client,
					s.Since.Format(time.DateTime), strings.Join(using, ","))
				return err
			})
		},
	}
}

func sessionEndCommand() command {
	return command{
		name: "session end", args: "ID", short: "end a live session",
		long: "Ends the session with an id of `balorg session list`; its client is told.",
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			if len(args) != 1 {
				return usagef("takes a session's id")
			}
			return call(ctx, e, f, gateway.OpEndSession, gateway.EndSessionArgs{ID: args[0]}, printLine)
		},
	}
}
