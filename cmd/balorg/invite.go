package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"balorg/gateway"
)

func accountInviteCommand() command {
	var printed bool
	return command{
		name: "account invite", args: "ADDR [--print]", short: "send a person the link by which to choose a password", json: true,
		long: `Makes an activation link, which works once and for seven days, and mails it to the ordinary address of the account (notify) by the way of the notifications.
Where that cannot be, or with --print, the link is printed: hand it over safely, since whoever has it chooses the password. A former link of the same person
works no more.`,
		flags: func(f *flags) { f.BoolVar(&printed, "print", false, "print the link, and mail nothing") },
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			address, err := soleAddress(args)
			if err != nil {
				return err
			}
			return call(ctx, e, f, gateway.OpInvite, gateway.InviteArgs{Address: address, Print: printed}, func(w io.Writer, i gateway.Invited) error {
				if i.SentTo != "" {
					_, err := fmt.Fprintf(w, "activation link of %s sent to %s\n", i.Address, i.SentTo)
					return err
				}
				if i.Why != "" {
					say(e.err, "not mailed: %s; hand this link over:\n", i.Why)
				}
				_, err := fmt.Fprintln(w, i.Link)
				return err
			})
		},
	}
}

func accountRemindCommand() command {
	var look bool
	return command{
		name: "account remind", args: "[--look]", short: "send all preregistered persons a new link, and tell when they had the last", json: true,
		long: `Writes to everybody who is preregistered, as account invite does, and prints a line for each: address, label, when the last link was made before this one, and
where the new one went. Exit code 3 when somebody could not be written to.`,
		flags: func(f *flags) { f.BoolVar(&look, "look", false, "write to nobody; show when they had their last link") },
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			if len(args) > 0 {
				return usagef("takes no arguments; account invite is for one person")
			}
			part := false
			asJSON := f.json
			f.json = false
			err := call(ctx, e, f, gateway.OpRemind, gateway.RemindArgs{Look: look}, func(w io.Writer, r gateway.Reminded) error {
				part = part || (!look && r.SentTo == "")
				if asJSON {
					return printJSON(w, r)
				}
				what := "not sent: " + r.Why
				switch {
				case r.SentTo != "":
					what = "sent to " + string(r.SentTo)
				case look && r.Why == "":
					what = "can be sent"
				}
				_, err := fmt.Fprintf(w, "%s  %s  last %s  %s\n", r.Address, r.Label, whenOr(r.Last, "never"), what)
				return err
			})
			if err == nil && part {
				return errPart
			}
			return err
		},
	}
}

func whenOr(t time.Time, otherwise string) string {
	if t.IsZero() {
		return otherwise
	}
	return t.Local().Format(time.DateTime)
}

func accountInactiveCommand() command {
	var warn bool
	return command{
		name: "account inactive", args: "[--warn]", short: "accounts nobody has used for eleven months", json: true,
		long: `A mailbox nobody logged in to for a year has to be deleted, after its user was warned (CNIL, 2014-239). Lists those of eleven months, and proposes those of
twelve for deletion with the command that does it. The mailbox of a service is used by all its people. --warn writes to the persons of the
former, at their ordinary address.`,
		flags: func(f *flags) { f.BoolVar(&warn, "warn", false, "write to those who have been away for eleven months") },
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			if len(args) > 0 {
				return usagef("takes no arguments")
			}
			var remove []string
			err := call(ctx, e, f, gateway.OpInactive, gateway.InactiveArgs{Warn: warn}, func(w io.Writer, i gateway.InactiveEntry) error {
				used := "never used, here since " + i.Known.Local().Format(time.DateOnly)
				if !i.Used.IsZero() {
					used = "last used " + i.Used.Local().Format(time.DateOnly)
				}
				what := "warn"
				switch {
				case i.Delete:
					what = "delete"
					remove = append(remove, string(i.Address))
				case i.Warned != "":
					what = "warned at " + string(i.Warned)
				case i.Why != "":
					what = "not warned: " + i.Why
				}
				_, err := fmt.Fprintf(w, "%s  %s  %s  %s\n", i.Address, i.Kind, used, what)
				return err
			})
			if err == nil && len(remove) > 0 {
				say(e.out, "\nto delete those of a year:\n  balorg account remove %s\n", strings.Join(remove, " "))
			}
			return err
		},
	}
}
