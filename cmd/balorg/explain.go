package main

import (
	"context"
	"io"

	"balorg/gateway"
	"balorg/mail"
	"balorg/policy"
)

func explainCommand() command {
	var from, see string
	return command{
		name: "explain", args: "PERSON [MAILBOX] [--send-from ADDR] [--see ENTRY]", json: true,
		short: "what a person may open, send as and see, and why",
		long: `Answers with the reason of each decision and the file and line it follows from. Exit code 1 when an answer is no. Works with and without
a running daemon.`,
		flags: func(f *flags) {
			f.StringVar(&from, "send-from", "", "may they send with this `address`, from the mailbox")
			f.StringVar(&see, "see", "", "may they see this directory `entry`")
		},
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usagef("takes a person, and a mailbox if you like")
			}
			var q policy.Question
			for _, a := range []struct {
				text string
				into *mail.Address
			}{{args[0], &q.Person}, {argument(args, 1), &q.Mailbox}, {from, &q.SendFrom}, {see, &q.See}} {
				if a.text == "" {
					continue
				}
				address, err := mail.ParseAddress(a.text)
				if err != nil {
					return usagef("%q: %v", a.text, err)
				}
				*a.into = address
			}
			allowed := true
			asJSON := f.json
			f.json = false
			err := call(ctx, e, f, gateway.OpExplain, q, func(w io.Writer, x policy.Explanation) error {
				allowed = x.Allowed()
				if asJSON {
					return printJSON(w, x)
				}
				return x.WriteText(w)
			})
			if err == nil && !allowed {
				return errNo
			}
			return err
		},
	}
}

func argument(args []string, i int) string {
	if i < len(args) {
		return args[i]
	}
	return ""
}
