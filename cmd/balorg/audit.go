package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"balorg/configs"
	"balorg/gateway"
	"balorg/mail"
)

// record is a record of the trace as commands print it.
type record struct {
	Seq     uint64    `json:"seq"`
	Time    time.Time `json:"time"`
	Action  string    `json:"action"`
	Person  party     `json:"person"`
	Mailbox party     `json:"mailbox"`
	Folder  string    `json:"folder"`
	UIDs    string    `json:"uids"`
	Request string    `json:"request"`
	Answer  string    `json:"answer"`
	Reason  string    `json:"reason"`
	Means   string    `json:"means"`
	Client  string    `json:"client"`
}

type party struct {
	Address mail.Address `json:"address"`
}

func auditListCommand() command {
	var mailbox, person, since, action string
	return command{
		name: "audit list", args: "[--mailbox M] [--person P] [--since T] [--action A]", short: "the trace: who did what", json: true,
		long: `Prints the records of the trace, the oldest first: number, time, person, action, mailbox, folder, UIDs, request, answer, true
reason of a refusal. --since takes a day (2026-11-23), a time (2026-11-23T14:00:00Z) or a duration back from now (12h, 7d).`,
		flags: func(f *flags) {
			f.StringVar(&mailbox, "mailbox", "", "only records about this mailbox's `address`")
			f.StringVar(&person, "person", "", "only what this person's `address` did")
			f.StringVar(&since, "since", "", "only records from this `time` on")
			f.StringVar(&action, "action", "", "only this `action`, such as login, refusal, read, append, expunge")
		},
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			if len(args) > 0 {
				return usagef("takes no arguments")
			}
			a := gateway.AuditArgs{Action: action}
			var err error
			if a.Since, err = parseSince(since, time.Now()); err != nil {
				return usagef("%v", err)
			}
			for _, w := range []struct {
				text string
				into *mail.Address
			}{{mailbox, &a.Mailbox}, {person, &a.Person}} {
				if w.text == "" {
					continue
				}
				if *w.into, err = mail.ParseAddress(w.text); err != nil {
					return usagef("%q: %v", w.text, err)
				}
			}
			return call(ctx, e, f, gateway.OpAuditList, a, printRecord)
		},
	}
}

func parseSince(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.DateTime, time.RFC3339} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	d, err := configs.ParseDuration(s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is no time; write 2026-11-23, 2026-11-23T14:00:00Z or 12h", s)
	}
	return now.Add(-d), nil
}

func printRecord(w io.Writer, r record) error {
	fields := []string{
		fmt.Sprint(r.Seq), r.Time.Format("2006-01-02 15:04:05 -0700"), dash(string(r.Person.Address)), r.Action, dash(string(r.Mailbox.Address)),
	}
	if r.Folder != "" {
		fields = append(fields, fmt.Sprintf("folder=%q", r.Folder))
	}
	if r.UIDs != "" {
		fields = append(fields, "uids="+r.UIDs)
	}
	if r.Request != "" {
		fields = append(fields, fmt.Sprintf("request=%q", r.Request))
	}
	if r.Answer != "" {
		fields = append(fields, fmt.Sprintf("answer=%q", r.Answer))
	}
	if r.Means != "" {
		fields = append(fields, "with="+r.Means)
	}
	if r.Reason != "" {
		fields = append(fields, fmt.Sprintf("reason=%q", r.Reason))
	}
	_, err := fmt.Fprintln(w, strings.Join(fields, "  "))
	return err
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// verified is what audit verify prints.
type verified struct {
	Records, First, Last, Pruned, BrokenSeq uint64
	Head, Broken                            string
}

func auditVerifyCommand() command {
	return command{
		name: "audit verify", short: "check the trace's hash chain", json: true,
		long: `Follows the chain from its oldest record to its newest and names the first one that was changed, removed or slipped in.
Exit code 1 when there is one. The head's hash, noted elsewhere, proves later that the trace up to here was not written anew.`,
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			if len(args) > 0 {
				return usagef("takes no arguments")
			}
			whole := true
			asJSON := f.json
			f.json = false
			err := call(ctx, e, f, gateway.OpAuditVerify, nil, func(w io.Writer, v verified) error {
				whole = v.Broken == ""
				if asJSON {
					return printJSON(w, v)
				}
				if !whole {
					_, err := fmt.Fprintf(w, "broken at record %d: %s\n", v.BrokenSeq, v.Broken)
					return err
				}
				_, err := fmt.Fprintf(w, "ok: %d records, %d to %d, %d removed by age, head %s\n", v.Records, v.First, v.Last, v.Pruned, v.Head)
				return err
			})
			if err == nil && !whole {
				return errNo
			}
			return err
		},
	}
}

func auditExportCommand() command {
	return command{
		name: "audit export", short: "the trace with its hashes, as JSON lines", json: true,
		long: "Prints every record with its hash: the chain can be verified without balorg, by docs/security.md. --json changes nothing.",
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			if len(args) > 0 {
				return usagef("takes no arguments")
			}
			return call(ctx, e, f, gateway.OpAuditExport, nil, func(w io.Writer, line json.RawMessage) error {
				_, err := fmt.Fprintf(w, "%s\n", line)
				return err
			})
		},
	}
}
