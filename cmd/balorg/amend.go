package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"

	"balorg/configs"
	"balorg/gateway"
	"balorg/mail"
	"balorg/policy"
	"balorg/policy/amend"
)

// amendFiles changes the files of accounts and delegations and has a running daemon take them. said is printed once they are written.
func amendFiles(ctx context.Context, e env, f *flags, said string, change func(*amend.Draft) error) error {
	path := configPath(f)
	done, err := gateway.Amend(path, true, func(d *amend.Draft, _ *policy.Roster) error { return change(d) })
	if err != nil {
		return refused(e, f, err)
	}
	for _, p := range done.Warnings {
		say(e.err, "%s\n", p)
	}
	if len(done.Files) == 0 {
		say(e.out, "%s; the files say so already\n", said)
		return nil
	}
	say(e.out, "%s in %s\n", said, strings.Join(done.Files, " and "))
	return reloadAfter(ctx, e, f, path)
}

// refused prints why a change was not made. Problems speak of files that do not exist as such.
func refused(e env, f *flags, err error) error {
	if _, ok := errors.AsType[configs.Problems](err); ok {
		say(e.err, "nothing is written; the files would have these problems, at the lines they would have then:\n")
	}
	return printProblems(e, f, err)
}

// reloadAfter has a running daemon take files that have been written.
func reloadAfter(ctx context.Context, e env, f *flags, path string) error {
	running, err := gateway.ReloadRunning(ctx, path)
	switch {
	case !running && err == nil:
		say(e.out, "no daemon is running; the next start takes it\n")
		return nil
	case err != nil:
		say(e.err, "the files are written, and the daemon does not take them:\n")
		if err := printFailure(e, f, err); err != nil && !errors.Is(err, errNo) {
			say(e.err, "balorg: %v\n", err)
		}
		return errPart
	}
	say(e.out, "reloaded\n")
	return nil
}

// fieldFlags are a flag for each key of an account but its address.
func fieldFlags(f *flags) {
	help := map[string]string{
		"kind": "per, med, org or app", "nom": "last name, or the service's name", "prenom": "first name", "titre": "title, such as Dr",
		"description": "label of an org or app: the sender's name that recipients see", "service": "service of an org or app",
		"rpps": "RPPS number", "adeli": "ADELI number", "profession": "code of the profession, such as 10", "mssante": "MSSanté `address`",
		"red_list": "true: in no directory", "responsible": "`address` of the professional who answers for an org or app",
		"finess": "FINESS number of the structure", "siret": "SIRET number of the structure", "siren": "SIREN number of the structure",
		"notify": "ordinary `address` for notifications", "mailstore": "`name` of a mail store", "state": "active, preregistered or suspended",
		"sender": "nominative or default", "admin": "true: an administrator", "quota": "`size`, such as 2GB", "language": "fr or en",
	}
	for _, key := range amend.Keys() {
		if key != "address" {
			f.String(flagName(key), "", help[key])
		}
	}
}

func flagName(key string) string { return strings.ReplaceAll(key, "_", "-") }

// givenFields are the keys whose flags are given.
func givenFields(f *flags) amend.Fields {
	fields := amend.Fields{}
	f.Visit(func(given *flag.Flag) {
		for _, key := range amend.Keys() {
			if flagName(key) == given.Name {
				fields[key] = given.Value.String()
			}
		}
	})
	return fields
}

// given tells whether a flag is given.
func given(f *flags, name string) bool {
	found := false
	f.Visit(func(given *flag.Flag) { found = found || given.Name == name })
	return found
}

func accountAddCommand() command {
	var delegates addressList
	var file string
	return command{
		name: "account add", args: "ADDR --kind K --nom N …", short: "add an account to the accounts file",
		long: `Writes the account to the accounts file, checks all files as the daemon would, and reloads the daemon when one runs. Nothing is written when anything is
wrong. A person without --state is preregistered: receives, and logs in once a password was chosen by the link of ` + "`balorg account invite`" + `.
An org needs somebody who opens it: --delegate, which may stand several times, gives them the rights write and send as.`,
		flags: func(f *flags) {
			fieldFlags(f)
			f.Var(&delegates, "delegate", "`address` of a person who opens the org; may stand several times")
			f.StringVar(&file, "file", "", "the `file` to write to, where the accounts are a folder; default the last")
		},
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			address, err := soleAddress(args)
			if err != nil {
				return err
			}
			fields := givenFields(f)
			if kind := fields["kind"]; fields["state"] == "" && (kind == "per" || kind == "med") {
				fields["state"] = "preregistered"
			}
			return amendFiles(ctx, e, f, string(address)+" added", func(d *amend.Draft) error {
				if file != "" {
					if err := d.AddTo(file); err != nil {
						return err
					}
				}
				if err := d.AddAccount(address, fields); err != nil {
					return err
				}
				for _, person := range delegates {
					person, err := d.Identifier(person)
					if err != nil {
						return err
					}
					if err := d.Grant(address, amend.Grant{Person: person, Rights: "write", Send: "as"}); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func accountEditCommand() command {
	return command{
		name: "account edit", args: "ADDR --KEY VALUE …", short: "change an account in the accounts file",
		long: `Changes the keys whose flags are given; an empty value takes the key out. Comments, order and layout of the file stay. All files are checked as the
daemon would before anything is written, and a running daemon is reloaded. The address of an account never changes: remove it and add another.`,
		flags: fieldFlags,
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			address, err := soleAddress(args)
			if err != nil {
				return err
			}
			fields := givenFields(f)
			if len(fields) == 0 {
				return usagef("takes at least one key to change, as in --nom Durand")
			}
			return amendFiles(ctx, e, f, string(address)+" changed", func(d *amend.Draft) error {
				return d.EditAccount(address, fields)
			})
		},
	}
}

func accountRemoveCommand() command {
	return command{
		name: "account remove", args: "ADDR …", short: "take accounts out of the accounts file",
		long: `Takes the accounts out of the files, each with its delegations and their comments. Its sessions end at once; its mail is parked and deleted in time
(limits.keep_removed). Until then ` + "`balorg account add`" + ` and ` + "`balorg account restore`" + ` bring it back.`,
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			if len(args) == 0 {
				return usagef("takes an address, or several")
			}
			var addresses addressList
			for _, arg := range args {
				if err := addresses.Set(arg); err != nil {
					return usagef("%v", err)
				}
			}
			said := fmt.Sprintf("%s removed", strings.Join(args, " and "))
			return amendFiles(ctx, e, f, said, func(d *amend.Draft) error {
				for _, address := range addresses {
					if err := d.RemoveAccount(address); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

// addressList is a flag that may stand several times.
type addressList []mail.Address

func (l *addressList) String() string { return "" }

func (l *addressList) Set(text string) error {
	address, err := mail.ParseAddress(text)
	if err != nil {
		return fmt.Errorf("%q: %w", text, err)
	}
	*l = append(*l, address)
	return nil
}
