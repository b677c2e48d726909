package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"balorg/gateway"
	"balorg/mail"
)

func accountPasswdCommand() command {
	return command{
		name: "account passwd", args: "ADDR", short: "set a person's password",
		long: `Asks for the new password twice on a terminal, else reads it from the first line of standard input. The sessions
that were opened with the old one end; it opens nothing any more.`,
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			address, err := soleAddress(args)
			if err != nil {
				return err
			}
			password, err := readPassword(e)
			if err != nil {
				return err
			}
			return call(ctx, e, f, gateway.OpPassword, gateway.PasswordArgs{Address: address, Password: password}, printLine)
		},
	}
}

func accountRestoreCommand() command {
	return command{
		name: "account restore", args: "ADDR", short: "give an address that came back its former mail",
		long: `An address that was removed from the accounts file and came back stays closed, since it may be somebody else's now. restore opens it with
its former mail, password and settings.`,
		run: addressOperation(gateway.OpRestore),
	}
}

func accountNewCommand() command {
	return command{
		name: "account new", args: "ADDR", short: "start an address that came back anew, without its former mail",
		long: `An address that was removed from the accounts file and came back stays closed, since it may be somebody else's now. new opens it empty; the
former mail stays parked and is deleted in time.`,
		run: addressOperation(gateway.OpRenew),
	}
}

func delegationDefaultCommand() command {
	return command{
		name: "delegation default", args: "PERSON MAILBOX", short: "set which mailbox a person opens first",
		long: `The person's own choice: it holds until the file's value changes or the delegation goes. Their own address chooses their
own mailbox.`,
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			if len(args) != 2 {
				return usagef("takes a person and a mailbox")
			}
			person, err := mail.ParseAddress(args[0])
			if err != nil {
				return usagef("%q: %v", args[0], err)
			}
			mailbox, err := mail.ParseAddress(args[1])
			if err != nil {
				return usagef("%q: %v", args[1], err)
			}
			return call(ctx, e, f, gateway.OpDefault, gateway.DefaultArgs{Person: person, Mailbox: mailbox}, printLine)
		},
	}
}

func addressOperation(op string) func(context.Context, env, *flags, []string) error {
	return func(ctx context.Context, e env, f *flags, args []string) error {
		address, err := soleAddress(args)
		if err != nil {
			return err
		}
		return call(ctx, e, f, op, gateway.AddressArgs{Address: address}, printLine)
	}
}

func printLine(w io.Writer, line string) error {
	_, err := fmt.Fprintln(w, line)
	return err
}

func soleAddress(args []string) (mail.Address, error) {
	if len(args) != 1 {
		return "", usagef("takes an address")
	}
	address, err := mail.ParseAddress(args[0])
	if err != nil {
		return "", usagef("%q: %v", args[0], err)
	}
	return address, nil
}

// maxPassword bounds what is read as one. It is more than any password may have, lest one that is too long be set without its end.
const maxPassword = 4 << 10

func readPassword(e env) (string, error) {
	file, ok := e.in.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		line, err := bufio.NewReader(io.LimitReader(e.in, maxPassword)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("reading the password: %w", err)
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	ask := func(prompt string) (string, error) {
		fmt.Fprint(e.err, prompt) //nolint:errcheck // it is a terminal
		b, err := term.ReadPassword(int(file.Fd()))
		fmt.Fprintln(e.err) //nolint:errcheck // as above
		return string(b), err
	}
	first, err := ask("New password: ")
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	second, err := ask("Again: ")
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	if first != second {
		return "", errors.New("the two passwords differ")
	}
	return first, nil
}
