package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"balorg/gateway"
	"balorg/mail"
	"balorg/policy/amend"
)

func delegationListCommand() command {
	var box, person string
	return command{
		name: "delegation list", args: "[--mailbox M] [--person P]", short: "who opens which mailbox", json: true,
		long: "Lists mailbox, person, rights, how they send, and whether it is the person's default account and notifies them; the person's own choices count.",
		flags: func(f *flags) {
			f.StringVar(&box, "mailbox", "", "only this `address`")
			f.StringVar(&person, "person", "", "only this `address`")
		},
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			if len(args) > 0 {
				return usagef("takes no arguments; --mailbox and --person choose")
			}
			var q gateway.DelegationsArgs
			for _, a := range []struct {
				text string
				into *mail.Address
			}{{box, &q.Mailbox}, {person, &q.Person}} {
				if a.text == "" {
					continue
				}
				address, err := mail.ParseAddress(a.text)
				if err != nil {
					return usagef("%q: %v", a.text, err)
				}
				*a.into = address
			}
			table := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
			err := call(ctx, env{e.in, outOr(f, e.out, table), e.err}, f, gateway.OpDelegationList, q, func(w io.Writer, d gateway.DelegationEntry) error {
				_, err := fmt.Fprintf(w, "%s\t%s\t%s\n", d.Mailbox, d.Person, delegationText(d))
				return err
			})
			if err != nil {
				return err
			}
			return table.Flush()
		},
	}
}

func delegationAddCommand() command {
	var g amend.Grant
	var asDefault, notify bool
	return command{
		name: "delegation add", args: "MAILBOX PERSON [--rights R] [--send S] …", short: "delegate a mailbox to a person, or change how",
		long: `Writes the delegation to the delegations file, or changes what is given of the one that is there. All files are checked as the daemon would before anything is
written, and a running daemon is reloaded. A new delegation has the rights write and does not send unless told.`,
		flags: func(f *flags) {
			f.StringVar(&g.Rights, "rights", "", "read, write or manage")
			f.StringVar(&g.Send, "send", "", "no, as or on-behalf")
			f.BoolVar(&asDefault, "default", false, "the person opens it first")
			f.BoolVar(&notify, "notify", false, "the person's ordinary address is told of what arrives")
		},
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			box, person, err := twoAddresses(args)
			if err != nil {
				return err
			}
			if given(f, "default") {
				g.Default = fmt.Sprint(asDefault)
			}
			if given(f, "notify") {
				g.Notify = fmt.Sprint(notify)
			}
			said := fmt.Sprintf("%s delegated to %s", box, person)
			return amendFiles(ctx, e, f, said, func(d *amend.Draft) error {
				box, err := d.Identifier(box)
				if err != nil {
					return err
				}
				if g.Person, err = d.Identifier(person); err != nil {
					return err
				}
				return d.Delegate(box, g)
			})
		},
	}
}

func delegationRemoveCommand() command {
	return command{
		name: "delegation remove", args: "MAILBOX PERSON", short: "withdraw a delegation",
		long: "Takes the delegation out of the delegations file and reloads a running daemon, which ends the sessions that use it. The last one of a mailbox stays.",
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			box, person, err := twoAddresses(args)
			if err != nil {
				return err
			}
			said := fmt.Sprintf("%s withdrawn from %s", box, person)
			return amendFiles(ctx, e, f, said, func(d *amend.Draft) error {
				box, err := d.Identifier(box)
				if err != nil {
					return err
				}
				person, err := d.Identifier(person)
				if err != nil {
					return err
				}
				return d.Revoke(box, person)
			})
		},
	}
}

func twoAddresses(args []string) (box, person mail.Address, err error) {
	if len(args) != 2 {
		return "", "", usagef("takes a mailbox and a person")
	}
	if box, err = mail.ParseAddress(args[0]); err != nil {
		return "", "", usagef("%q: %v", args[0], err)
	}
	if person, err = mail.ParseAddress(args[1]); err != nil {
		return "", "", usagef("%q: %v", args[1], err)
	}
	return box, person, nil
}
