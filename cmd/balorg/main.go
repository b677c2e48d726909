// Command balorg is the gateway and its administration: one binary, one command a file. It reads flags, signals, the
// environment and the terminal, which nothing else does, and leaves the work to gateway.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitPart   = 3
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// env is what a command has of the outside.
type env struct {
	in       io.Reader
	out, err io.Writer
}

// say prints to a terminal or pipe that may be gone: then there is nobody to tell.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

// command is one of balorg's commands; name may be of two words.
type command struct {
	name  string
	args  string // behind the name in a usage line
	short string
	long  string
	run   func(ctx context.Context, e env, f *flags, args []string) error
	flags func(*flags)
	json  bool // it prints data, and takes --json
}

// flags are those every command may have, and a command's own.
type flags struct {
	*flag.FlagSet
	config string
	json   bool
}

// commands are all, in the order of the overview.
func commands() []command {
	return []command{
		serveCommand(), demoCommand(), checkCommand(), reloadCommand(), explainCommand(),
		accountListCommand(), accountShowCommand(), accountAddCommand(), accountEditCommand(), accountRemoveCommand(),
		accountImportCommand(), accountExportCommand(),
		accountPasswdCommand(), accountRestoreCommand(), accountNewCommand(),
		accountInviteCommand(), accountRemindCommand(), accountInactiveCommand(),
		delegationListCommand(), delegationAddCommand(), delegationRemoveCommand(), delegationDefaultCommand(),
		tokenAddCommand(), tokenListCommand(), tokenRevokeCommand(),
		lockListCommand(), lockClearCommand(),
		sessionListCommand(), sessionEndCommand(),
		queueListCommand(), queueShowCommand(), queueRetryCommand(), queueRemoveCommand(),
		directoryImportCommand(), directoryStatusCommand(), directorySearchCommand(),
		auditListCommand(), auditVerifyCommand(), auditExportCommand(),
		doctorCommand(), dnsCommand(), checkStoreCommand(), backupCommand(), restoreCommand(),
	}
}

// usageError is a fault in how a command was called.
type usageError struct{ text string }

func (u *usageError) Error() string { return u.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// errPart ends a command that did a part of its work and has said which.
var errPart = errors.New("done in part")

// errNo ends a command whose answer is no and has been printed.
var errNo = errors.New("no")

func run(args []string, in io.Reader, out, errOut io.Writer) int {
	e := env{in, out, errOut}
	if len(args) == 0 {
		overview(errOut)
		return exitUsage
	}
	if args[0] == "help" || args[0] == "--help" || args[0] == "-h" {
		overview(out)
		return exitDone
	}
	cmd, rest, ok := find(args)
	if !ok && group(args[0]) && (len(args) == 1 || slices.Contains([]string{"help", "--help", "-help", "-h"}, args[1])) {
		if len(args) > 1 {
			list(out, args[0]+" ")
			return exitDone
		}
		list(errOut, args[0]+" ")
		return exitUsage
	}
	if !ok {
		say(errOut, "balorg: there is no command %q; `balorg help` lists them\n", strings.Join(args[:min(2, len(args))], " "))
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return exitCode(e, cmd, cmd.execute(ctx, e, rest))
}

func exitCode(e env, cmd command, err error) int {
	var usage *usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitDone
	case errors.As(err, &usage):
		say(e.err, "balorg %s: %s\nusage: balorg %s %s\n", cmd.name, usage.text, cmd.name, cmd.args)
		return exitUsage
	case errors.Is(err, errPart):
		return exitPart
	case errors.Is(err, errNo):
		return exitFailed
	}
	say(e.err, "balorg: %v\n", err)
	return exitFailed
}

// find takes the longest name that args begin with.
func find(args []string) (cmd command, rest []string, ok bool) {
	for _, c := range commands() {
		words := strings.Fields(c.name)
		if len(args) >= len(words) && strings.Join(args[:len(words)], " ") == c.name {
			return c, args[len(words):], true
		}
	}
	return command{}, nil, false
}

// group tells whether commands of two words begin with this one.
func group(word string) bool {
	return slices.ContainsFunc(commands(), func(c command) bool { return strings.HasPrefix(c.name, word+" ") })
}

// list prints the commands whose names begin with prefix.
func list(w io.Writer, prefix string) {
	say(w, "Commands:\n")
	for _, c := range commands() {
		if strings.HasPrefix(c.name, prefix) {
			say(w, "  %-20s %s\n", c.name, c.short)
		}
	}
}

func overview(w io.Writer) {
	say(w, "balorg lets ordinary mail clients open the organisational mailboxes of a health service.\n\n")
	list(w, "")
	say(w, "\n`balorg COMMAND --help` tells more. Exit codes: 0 done, 1 failed, 2 usage, 3 done in part.\n")
}

func (c command) execute(ctx context.Context, e env, args []string) error {
	f := &flags{FlagSet: flag.NewFlagSet(c.name, flag.ContinueOnError)}
	f.SetOutput(io.Discard)
	if c.name != "demo" {
		f.StringVar(&f.config, "config", "", "the daemon's configuration `file`; default ./balorg.yaml, then /etc/balorg/balorg.yaml")
	}
	if c.json {
		f.BoolVar(&f.json, "json", false, "print data as JSON, one value a line")
	}
	if c.flags != nil {
		c.flags(f)
	}
	positional, err := parseMixed(f.FlagSet, args)
	if errors.Is(err, flag.ErrHelp) {
		c.help(e.out, f)
		return err
	}
	if err != nil {
		return usagef("%v", err)
	}
	return c.run(ctx, e, f, positional)
}

// parseMixed reads flags before, between and behind the arguments.
func parseMixed(f *flag.FlagSet, args []string) (positional []string, err error) {
	for {
		if err := f.Parse(args); err != nil {
			return nil, err
		}
		if f.NArg() == 0 {
			return positional, nil
		}
		positional = append(positional, f.Arg(0))
		args = f.Args()[1:]
	}
}

func (c command) help(w io.Writer, f *flags) {
	say(w, "usage: balorg %s %s\n\n%s\n\nFlags:\n", c.name, c.args, strings.TrimSpace(c.long))
	f.SetOutput(w)
	f.PrintDefaults()
}
