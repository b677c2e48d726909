package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"balorg/gateway"
	"balorg/mail"
)

func tokenAddCommand() command {
	var name, scope, mailbox string
	return command{
		name: "token add", args: "ADDR --name NAME [--scope imap,smtp,ldap] [--mailbox M]", short: "make a device token", json: true,
		long: `Makes a token with which a device logs in as ADDR in place of a password, and prints it alone on the last line: it is shown this once. With
--mailbox the device opens that mailbox and no other; a scanner that sends as a service has a token of one of its delegates, with --scope smtp.
A token opens no web page and changes no password. It expires when it is not used for a while (authentication.token_unused).`,
		flags: func(f *flags) {
			f.StringVar(&name, "name", "", "`name` of the device, by which it is listed and traced")
			f.StringVar(&scope, "scope", "", "`protocols` it may log in to, with commas between; default all")
			f.StringVar(&mailbox, "mailbox", "", "`address` of the one mailbox it opens; default what the account itself opens")
		},
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			address, err := soleAddress(args)
			if err != nil {
				return err
			}
			if name == "" {
				return usagef("needs the name of the device: --name")
			}
			a := gateway.TokenArgs{Person: address, Name: name}
			if scope != "" {
				a.Scopes = strings.Split(scope, ",")
			}
			if mailbox != "" {
				if a.Mailbox, err = mail.ParseAddress(mailbox); err != nil {
					return usagef("%q: %v", mailbox, err)
				}
			}
			return call(ctx, e, f, gateway.OpTokenAdd, a, func(w io.Writer, t gateway.TokenAdded) error {
				opens := "what the account opens"
				if t.Mailbox != "" {
					opens = string(t.Mailbox)
				}
				_, err := fmt.Fprintf(w, "device token %q (%s) of %s for %s, opens %s; it is shown this once:\n%s\n",
					t.Name, t.ID, t.Person, strings.Join(t.Scopes, ","), opens, t.Secret)
				return err
			})
		},
	}
}

func tokenListCommand() command {
	return command{
		name: "token list", args: "[ADDR]", short: "device tokens", json: true,
		long: "Lists device tokens, of one account or of all, the oldest first: id, account, name, protocols, mailbox, when it was made, when it was last used.",
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			var a gateway.TokenListArgs
			if len(args) > 0 {
				var err error
				if a.Person, err = soleAddress(args); err != nil {
					return err
				}
			}
			return call(ctx, e, f, gateway.OpTokenList, a, func(w io.Writer, t gateway.TokenEntry) error {
				used := "never used"
				if !t.LastUsed.IsZero() {
					used = "used " + t.LastUsed.Format(time.DateTime)
				}
				if t.Expired {
					used += ", expired"
				}
				_, err := fmt.Fprintf(w, "%s  %s  %q  %s  %s  made %s  %s\n", t.ID, dash(string(t.Person)), t.Name, strings.Join(t.Scopes, ","),
					dash(string(t.Mailbox)), t.Created.Format(time.DateTime), used)
				return err
			})
		},
	}
}

func tokenRevokeCommand() command {
	return command{
		name: "token revoke", args: "[ADDR] TOKEN", short: "end a device token and its sessions",
		long: "Ends a device token, named by its id of `balorg token list` or, after the account's address, by its device's name. Sessions that use it end at once.",
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			var a gateway.TokenRevokeArgs
			switch len(args) {
			case 1:
				a.Token = args[0]
			case 2:
				var err error
				if a.Person, err = soleAddress(args[:1]); err != nil {
					return err
				}
				a.Token = args[1]
			default:
				return usagef("takes a token's id, or an address and a device's name")
			}
			return call(ctx, e, f, gateway.OpTokenRevoke, a, printLine)
		},
	}
}
