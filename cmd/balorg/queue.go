package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"balorg/gateway"
)

func queueListCommand() command {
	var all bool
	return command{
		name: "queue list", args: "[--all]", short: "messages on their way", json: true,
		long: `Lists the messages that wait for a recipient, the oldest first: id, when it was accepted, size, as whom it goes out, and below it each
recipient with what is to be done, when it is tried next, and the last answer. --all lists those too that went out lately.`,
		flags: func(f *flags) {
			f.BoolVar(&all, "all", false, "also messages of which nothing waits any more, kept for a week")
		},
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			if len(args) > 0 {
				return usagef("takes no arguments")
			}
			return call(ctx, e, f, gateway.OpQueueList, gateway.QueueArgs{All: all}, printQueued)
		},
	}
}

func queueShowCommand() command {
	return command{
		name: "queue show", args: "ID", short: "one message of the queue", json: true,
		long: "Shows a message that waits, or went out lately: who submitted it, as whom, and what became of each recipient.",
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			if len(args) != 1 {
				return usagef("takes the id of a message")
			}
			return call(ctx, e, f, gateway.OpQueueShow, gateway.QueueArgs{ID: gateway.QueueID(args[0])}, showQueued)
		},
	}
}

func queueRetryCommand() command {
	var all bool
	return command{
		name: "queue retry", args: "ID | --all", short: "try to deliver now",
		long:  "Has what waits of a message, or of all messages, tried now, whenever it would have been. A message that is held is released.",
		flags: func(f *flags) { f.BoolVar(&all, "all", false, "all messages") },
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			if (len(args) == 1) == all || len(args) > 1 {
				return usagef("takes the id of a message, or --all")
			}
			q := gateway.QueueArgs{All: all}
			if !all {
				q.ID = gateway.QueueID(args[0])
			}
			return call(ctx, e, f, gateway.OpQueueRetry, q, printLine)
		},
	}
}

func queueRemoveCommand() command {
	return command{
		name: "queue remove", args: "ID", short: "give a message up",
		long: "Gives up what waits of a message. Its sender is told nothing, and the copy in the Sent folder stays.",
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			if len(args) != 1 {
				return usagef("takes the id of a message")
			}
			return call(ctx, e, f, gateway.OpQueueRemove, gateway.QueueArgs{ID: gateway.QueueID(args[0])}, printLine)
		},
	}
}

func printQueued(w io.Writer, q gateway.QueueEntry) error {
	held := ""
	if q.Held {
		held = "  held"
	}
	from := string(q.From.Address)
	if from == "" {
		from = "<>"
	}
	_, err := fmt.Fprintf(w, "%s  %s  %d octets  from %s%s\n", q.ID, q.Accepted.Format(time.DateTime), q.Size, from, held)
	for i := 0; err == nil && i < len(q.Items); i++ {
		it := q.Items[i]
		to := string(it.Recipient.Address)
		if to == "" {
			to = "-"
		}
		_, err = fmt.Fprintf(w, "    %s %s  %s", it.Route, to, it.State)
		if err == nil && it.State == "waiting" {
			_, err = fmt.Fprintf(w, ", next %s", it.Next.Format(time.DateTime))
		}
		if err == nil && it.Reply != "" {
			_, err = fmt.Fprintf(w, "  %s", it.Reply)
		}
		if err == nil {
			_, err = fmt.Fprintln(w)
		}
	}
	return err
}

func showQueued(w io.Writer, q gateway.QueueEntry) error {
	if err := printQueued(w, q); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "    submitted by %s as %s\n", dash(string(q.Person.Address)), dash(string(q.Mailbox.Address)))
	for i := 0; err == nil && i < len(q.Items); i++ {
		if it := q.Items[i]; it.Attempts > 0 {
			_, err = fmt.Fprintf(w, "    %s %s: %d attempts, last %s, at %s %s\n", it.Route, dash(string(it.Recipient.Address)), it.Attempts,
				it.Tried.Format(time.DateTime), dash(it.Peer), it.TLS)
		}
	}
	return err
}
