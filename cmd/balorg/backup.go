package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/term"

	"balorg/gateway"
)

func backupCommand() command {
	return command{
		name: "backup", args: "FILE | -", short: "write the whole state to a file, of a running daemon too",
		long: `Writes the state of one moment: mail, queue, trace, passwords, tokens, choices, directory. The daemon goes on meanwhile. FILE must not be there yet; it
comes into being when all is in it. - is the standard output, for a program that compresses, encrypts or carries it away. It holds health data and whatever
logs people in: keep it as you keep the state. The configuration's files are not in it.`,
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			if len(args) != 1 {
				return usagef("takes the name of a file, or -")
			}
			if args[0] == "-" {
				if file, ok := e.out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
					return usagef("does not write a backup to a terminal")
				}
				out := bufio.NewWriter(e.out)
				done, err := gateway.Backup(ctx, configPath(f), out)
				if err = errors.Join(err, out.Flush()); err != nil {
					return printFailure(e, f, err)
				}
				say(e.err, "%d rows and %d large messages, %d MB\n", done.Rows, done.Files, done.Octets>>20)
				return nil
			}
			return backupTo(ctx, e, f, args[0])
		},
	}
}

// backupTo writes beside the file first, so that one with its name is a whole one.
func backupTo(ctx context.Context, e env, f *flags, name string) error {
	if _, err := os.Lstat(name); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s is there already", name)
	}
	file, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-") // of mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) //nolint:errcheck // gone already when all went well
	out := bufio.NewWriterSize(file, 1<<20)
	done, err := gateway.Backup(ctx, configPath(f), out)
	if err == nil {
		err = errors.Join(out.Flush(), file.Sync())
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return printFailure(e, f, err)
	}
	if err := os.Link(file.Name(), name); err != nil { // which replaces none, as a rename would
		return err
	}
	say(e.out, "%d rows and %d large messages, %d MB\n", done.Rows, done.Files, done.Octets>>20)
	return nil
}

func restoreCommand() command {
	return command{
		name: "restore", args: "FILE | -", short: "make the state from a backup",
		long: `Makes the state from what balorg backup wrote. No daemon runs, and the state's folder is not there, or empty. Nothing is there until the backup has been
read to its end and found whole. Every mailbox has a new UIDVALIDITY, so that clients read it anew; what waits in the queue is held until balorg queue retry,
since it may have gone out after the backup was written. Run it as the user that the daemon runs as.`,
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			if len(args) != 1 {
				return usagef("takes the name of a file, or -")
			}
			in := e.in
			if args[0] != "-" {
				file, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer file.Close() //nolint:errcheck // read only
				in = file
			}
			done, err := gateway.Restore(ctx, configPath(f), in)
			if err != nil {
				return printFailure(e, f, err)
			}
			say(e.out, "%d rows and %d large messages, %d MB\n", done.Rows, done.Files, done.Octets>>20)
			if done.Held > 0 {
				say(e.out, "%d messages of the queue are held: look at them with balorg queue list, and release them with balorg queue retry\n", done.Held)
			}
			return nil
		},
	}
}
