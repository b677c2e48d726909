package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"balorg/gateway"
	"balorg/policy"
	"balorg/policy/amend"
)

func accountListCommand() command {
	var state, kind, search string
	return command{
		name: "account list", args: "[--state S] [--kind K] [--search TEXT]", short: "accounts, and when they last logged in", json: true,
		long: `Lists address, kind, state, label and last login, in order of address. --search looks for a part of an address, of nom and prénom, of the label or of an RPPS or ADELI
number, without regard to case and accents.`,
		flags: func(f *flags) {
			f.StringVar(&state, "state", "", "active, preregistered, suspended or closed")
			f.StringVar(&kind, "kind", "", "per, med, org or app")
			f.StringVar(&search, "search", "", "a `text` to look for")
		},
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			if len(args) > 0 {
				return usagef("takes no arguments; --search TEXT looks for one")
			}
			q := gateway.AccountsArgs{State: state, Kind: kind, Text: search}
			if state != "" && state != string(policy.Closed) {
				if err := new(policy.State).UnmarshalText([]byte(state)); err != nil {
					return usagef("--state: %v", err)
				}
			}
			if kind != "" {
				if err := new(policy.Kind).UnmarshalText([]byte(kind)); err != nil {
					return usagef("--kind: %v", err)
				}
			}
			table := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
			err := call(ctx, env{e.in, outOr(f, e.out, table), e.err}, f, gateway.OpAccountList, q, func(w io.Writer, a gateway.AccountEntry) error {
				_, err := fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", a.Address, a.Kind, a.State, a.Label, loginText(a))
				return err
			})
			if err != nil {
				return err
			}
			return table.Flush()
		},
	}
}

// outOr is where a command prints: JSON at once, a table once its widths are known.
func outOr(f *flags, out io.Writer, table *tabwriter.Writer) io.Writer {
	if f.json {
		return out
	}
	return table
}

func loginText(a gateway.AccountEntry) string {
	switch {
	case a.Kind == policy.Org:
		return "-"
	case a.LastLogin.IsZero():
		return "never"
	}
	return a.LastLogin.Local().Format(time.DateTime)
}

func accountShowCommand() command {
	return command{
		name: "account show", args: "ADDR", short: "one account: what the files say, what it opens, who opens it", json: true,
		long: "Shows an account by either of its addresses: each key with its value, where the file says it, the last login, and its delegations.",
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			address, err := soleAddress(args)
			if err != nil {
				return err
			}
			return call(ctx, e, f, gateway.OpAccountList, gateway.AccountsArgs{Address: address}, showAccount)
		},
	}
}

func showAccount(w io.Writer, a gateway.AccountEntry) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  (%s)\n", a.Address, a.Pos)
	for _, key := range amend.Keys() {
		if text := a.Fields[key]; text != "" && key != "address" && key != "state" {
			fmt.Fprintf(&b, "    %s: %s\n", key, text)
		}
	}
	fmt.Fprintf(&b, "    state: %s\n    label: %s\n    last login: %s\n", a.State, a.Label, loginText(a))
	for _, d := range a.Opens {
		fmt.Fprintf(&b, "    opens %s  (%s)\n", d.Mailbox, delegationText(d))
	}
	for _, d := range a.Opened {
		fmt.Fprintf(&b, "    opened by %s  (%s)\n", d.Person, delegationText(d))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func delegationText(d gateway.DelegationEntry) string {
	text := d.Rights + ", send " + string(d.Send)
	if d.Default {
		text += ", default"
	}
	if d.Notify {
		text += ", notify"
	}
	return text
}
