package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/term"

	"balorg/configs"
	"balorg/gateway"
	"balorg/policy"
	"balorg/policy/amend"
)

func accountImportCommand() command {
	var opt gateway.ImportOptions
	return command{
		name: "account import", args: "F.csv|F.xlsx [--dry-run] [--skip-bad]", short: "take accounts from a table into the accounts file", json: true,
		long: `The first row names the columns: Mail, Statut, Type de bal, Nom, Prénom, Profession, RPPS, ADELI and those an export has besides. CSV may be UTF-8 or
Latin-1, with semicolons, commas or tabs. An address that is there gets what the row says; another is added, a person without Statut as preregistered. An
empty cell takes the value away, but for Statut, Type de bal and Délégations. Accounts that are in no row stay as they are.
One line tells what becomes of each row. When one is bad nothing is written, unless --skip-bad leaves the bad ones out (exit code 3).`,
		flags: func(f *flags) {
			f.BoolVar(&opt.DryRun, "dry-run", false, "tell what would be done, and write nothing")
			f.BoolVar(&opt.SkipBad, "skip-bad", false, "leave bad rows out and take the others")
		},
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			name, err := soleTable(args)
			if err != nil {
				return err
			}
			format, err := gateway.TableFormat(name)
			if err != nil {
				return usagef("%v", err)
			}
			file, err := os.Open(name)
			if err != nil {
				return fmt.Errorf("reading the table: %w", err)
			}
			defer file.Close() //nolint:errcheck // only read from
			opt.Report = func(r amend.Row) error { return printRow(e.out, f, r) }
			var clear func()
			opt.Progress, clear = progress(e.err)
			done, err := gateway.Import(configPath(f), file, format, opt)
			clear()
			if err != nil {
				return printProblems(e, f, named(name, err))
			}
			return importEnd(ctx, e, f, opt, done)
		},
	}
}

// named says which table an error is about; problems name their files themselves.
func named(name string, err error) error {
	if _, ok := errors.AsType[configs.Problems](err); ok {
		return err
	}
	return fmt.Errorf("%s: %w", name, err)
}

func soleTable(args []string) (string, error) {
	if len(args) != 1 {
		return "", usagef("takes a file whose name ends in .csv or .xlsx")
	}
	return args[0], nil
}

// progress shows on a terminal what is being done; clear takes it away.
func progress(w io.Writer) (show func(string), clear func()) {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil, func() {}
	}
	return func(what string) { say(w, "\r\x1b[K%s …", what) }, func() { say(w, "\r\x1b[K") }
}

func printRow(w io.Writer, f *flags, r amend.Row) error {
	if f.json {
		return printJSON(w, r)
	}
	line := fmt.Sprintf("row %d: %s: %s", r.Number, dash(string(r.Address)), r.Outcome)
	if r.Outcome == amend.Changed {
		line += " (" + strings.Join(r.Keys, ", ") + ")"
	}
	if r.Outcome == amend.Bad {
		line += ": " + strings.Join(r.Faults, "; ")
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

func importEnd(ctx context.Context, e env, f *flags, opt gateway.ImportOptions, done gateway.Imported) error {
	for _, p := range done.Warnings {
		say(e.err, "%s\n", p)
	}
	say(e.err, "%d added, %d changed, %d unchanged, %d bad", done.Added, done.Changed, done.Unchanged, done.Bad)
	var failed error
	switch {
	case len(done.Files) > 0:
		say(e.err, "; written to %s\n", strings.Join(done.Files, " and "))
		failed = errPart
		if err := reloadAfter(ctx, env{e.in, e.err, e.err}, f, configPath(f)); err != nil {
			return err
		}
	case opt.DryRun:
		say(e.err, "; nothing is written, since this is a dry run\n")
		failed = errNo
	default:
		say(e.err, "; nothing is written\n")
		failed = errNo
		if opt.SkipBad {
			failed = errPart
		}
	}
	if done.Bad > 0 {
		return failed
	}
	return nil
}

func accountExportCommand() command {
	var state, kind, search string
	return command{
		name: "account export", args: "F.csv|F.xlsx [--state S] [--kind K] [--search TEXT]", short: "write the accounts to a table",
		long: `Writes what the files say of the accounts, in the columns that import reads: CSV with semicolons in UTF-8, or XLSX. In CSV a text that a spreadsheet program might take for
a formula gets an apostrophe in front, which import takes away. A file that is there is replaced; only its owner can read it.`,
		flags: func(f *flags) {
			f.StringVar(&state, "state", "", "only active, preregistered or suspended ones")
			f.StringVar(&kind, "kind", "", "only per, med, org or app")
			f.StringVar(&search, "search", "", "only those with this `text`, as in account list")
		},
		run: func(_ context.Context, e env, f *flags, args []string) error {
			name, err := soleTable(args)
			if err != nil {
				return err
			}
			format, err := gateway.TableFormat(name)
			if err != nil {
				return usagef("%v", err)
			}
			temp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*.part") // for the owner alone
			if err != nil {
				return fmt.Errorf("writing the table: %w", err)
			}
			n, err := gateway.Export(configPath(f), temp, format, policy.Filter{State: policy.State(state), Kind: policy.Kind(kind), Text: search})
			if err = errors.Join(err, temp.Close()); err == nil {
				err = os.Rename(temp.Name(), name)
			}
			if err != nil {
				os.Remove(temp.Name()) //nolint:errcheck // what went wrong is told
				return printProblems(e, f, err)
			}
			say(e.out, "%d accounts written to %s\n", n, name)
			return nil
		},
	}
}
