package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"balorg/gateway"
)

func directoryImportCommand() command {
	var force bool
	var report string
	return command{
		name: "directory import", args: "[FILE | URL] [--force] [--report F]", short: "take a national extraction in", json: true,
		long: `Takes the national extraction, as text or ZIP, from a file or an HTTPS address whose server directory.national.ca vouches for. It is
served as soon as it is read whole; until then, and when it is refused, the one before is. Without an argument the source that directory.national
names is looked at now. A file that is cut short or is something else is refused, and one with far fewer mailboxes than before unless --force is
given. Rows that are not right are left out and listed; exit code 3 then. The daemon, where one runs, opens the file as its own user.`,
		flags: func(f *flags) {
			f.BoolVar(&force, "force", false, "take a file that has far fewer mailboxes, or is the one that was taken last")
			f.StringVar(&report, "report", "", "`file` to write all that is known of bad rows to; the first ten are printed")
		},
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			if len(args) > 1 {
				return usagef("takes one file or URL, or neither")
			}
			a := gateway.ImportArgs{Force: force}
			switch source := argument(args, 0); {
			case strings.Contains(source, "://"):
				a.URL = source
			case source != "":
				path, err := filepath.Abs(source)
				if err != nil {
					return err
				}
				a.File = path
			}
			return runImport(ctx, e, f, a, report)
		},
	}
}

// runImport shows how far an import is, and what came of it.
func runImport(ctx context.Context, e env, f *flags, a gateway.ImportArgs, report string) error {
	b := newBar(e.err)
	asJSON := f.json
	f.json = false
	var result *gateway.ImportResult
	err := call(ctx, e, f, gateway.OpDirectoryImport, a, func(w io.Writer, news gateway.ImportNews) error {
		if news.Stage != nil {
			b.show(news.Stage.Name, news.Stage.Done, news.Stage.Of)
		}
		if news.Result == nil {
			return nil
		}
		b.clear()
		result = news.Result
		if asJSON {
			return printJSON(w, result)
		}
		return printImport(w, result)
	})
	b.clear()
	if result != nil && report != "" {
		if rerr := writeReport(report, result); rerr != nil {
			err = errors.Join(err, rerr)
		}
	}
	if err == nil && result != nil && result.Import.Bad > 0 {
		return errPart
	}
	return err
}

// shownFaults is how many bad rows are printed.
const shownFaults = 10

func printImport(w io.Writer, r *gateway.ImportResult) error {
	i := r.Import
	var b strings.Builder
	switch {
	case r.Taken:
		fmt.Fprintf(&b, "%s of %s: %d mailboxes from %d rows are served; before there were %d\n", i.File, day(i.Date), i.Entries, i.Rows, r.Before)
	case i.File == "":
		fmt.Fprintf(&b, "the source has nothing new; %d mailboxes are served\n", r.Before)
	default:
		fmt.Fprintf(&b, "%s of %s was not taken; the %d mailboxes of before are served\n", i.File, day(i.Date), r.Before)
	}
	if i.Bad > 0 {
		fmt.Fprintf(&b, "%d rows were left out:\n", i.Bad)
	}
	for n, fault := range r.Faults {
		if n == shownFaults {
			fmt.Fprintf(&b, "  and %d more\n", i.Bad-n)
			break
		}
		fmt.Fprintf(&b, "  %s\n", faultText(fault))
	}
	if i.Warned > 0 {
		fmt.Fprintf(&b, "%d warnings about rows that were taken, the first: %s\n", i.Warned, faultText(r.Warnings[0]))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func day(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }

func faultText(f gateway.RowFault) string {
	if f.Column == "" {
		return fmt.Sprintf("line %d: %s", f.Line, f.Reason)
	}
	return fmt.Sprintf("line %d: %s: %s", f.Line, f.Column, f.Reason)
}

// writeReport writes every fault that is known, one a line.
func writeReport(path string, r *gateway.ImportResult) error {
	var b strings.Builder
	for _, list := range []struct {
		what   string
		total  int
		faults []gateway.RowFault
	}{{"left out", r.Import.Bad, r.Faults}, {"warning", r.Import.Warned, r.Warnings}} {
		for _, f := range list.faults {
			fmt.Fprintf(&b, "%s: %s\n", list.what, faultText(f))
		}
		if more := list.total - len(list.faults); more > 0 {
			fmt.Fprintf(&b, "%s: %d more\n", list.what, more)
		}
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// bar is a line on a terminal that says how far something is. Elsewhere it shows nothing.
type bar struct {
	w     io.Writer // nil: no terminal
	shown bool
}

func newBar(w io.Writer) *bar {
	if file, ok := w.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return &bar{w: w}
	}
	return &bar{}
}

const barWidth = 40

func (b *bar) show(what string, done, of int64) {
	if b.w == nil {
		return
	}
	b.shown = true
	if of <= 0 {
		say(b.w, "\r\x1b[K%-8s …", what)
		return
	}
	full := int(min(done, of) * barWidth / of)
	say(b.w, "\r\x1b[K%-8s [%s%s] %3d %%", what, strings.Repeat("#", full), strings.Repeat(" ", barWidth-full), min(done, of)*100/of)
}

func (b *bar) clear() {
	if b.shown {
		say(b.w, "\r\x1b[K")
		b.shown = false
	}
}

func directoryStatusCommand() command {
	return command{
		name: "directory status", short: "what the directory serves, how old it is, and whether it is kept up to date", json: true,
		long: `Shows the national directory that is served: its file, date and age, how many mailboxes and rows it has, when it was imported and from where;
whether the source that directory.national names could be had when it was looked at last; what hides entries; memory. Exit code 1 when there should be a national
directory and it cannot be served.`,
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			if len(args) > 0 {
				return usagef("takes no arguments")
			}
			broken := false
			asJSON := f.json
			f.json = false
			err := call(ctx, e, f, gateway.OpDirectoryStatus, nil, func(w io.Writer, s gateway.DirectoryStatus) error {
				broken = s.National != nil && !s.Served
				if asJSON {
					return printJSON(w, s)
				}
				return printDirectoryStatus(w, s, time.Now())
			})
			if err == nil && broken {
				return errNo
			}
			return err
		},
	}
}

func printDirectoryStatus(w io.Writer, s gateway.DirectoryStatus, now time.Time) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	if i := s.National; i == nil {
		line("national", "none was imported")
	} else {
		line("national", "%s", i.File)
		line("made", "%s, %s ago", day(i.Date), age(now.Sub(i.Date)))
		line("imported", "%s, %s ago, from %s", day(i.Imported), age(now.Sub(i.Imported)), cmp.Or(i.Source, "a file"))
		line("entries", "%d mailboxes from %d rows; %d bad rows were left out; %d warnings", i.Entries, i.Rows, i.Bad, i.Warned)
		line("hidden", "%d, whose addresses are of accounts of this platform", s.Size.EntriesHidden)
		if s.Served {
			line("memory", "%.1f MB", float64(s.Size.NationalMemory)/1e6)
		} else {
			line("served", "no: what the state has cannot be read; import it anew")
		}
	}
	line("local", "%d accounts, %d of them on the red list", s.Size.LocalEntries, s.Size.LocalHidden)
	if s.Source == "" {
		line("schedule", "none: directory.national names no source")
	} else {
		line("schedule", "%s, every %s", s.Source, shortDuration(s.Every))
		if !s.Looked.IsZero() {
			line("looked", "%s, %s ago", day(s.Looked), age(now.Sub(s.Looked)))
		}
	}
	if s.Reason != "" {
		line("failing", "since %s: %s", day(s.Failed), s.Reason)
	}
	if u := s.UnderWay; u != nil {
		line("under way", "an import: %s", u.Name)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// shortDuration is a duration as files write it: 24h, not 24h0m0s.
func shortDuration(text string) string {
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// age is a duration in words, of the largest unit that there are two of.
func age(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "days"}, {time.Hour, "hours"}, {time.Minute, "minutes"}} {
		if d >= 2*unit.length {
			return fmt.Sprintf("%d %s", d/unit.length, unit.name)
		}
	}
	return fmt.Sprintf("%d seconds", max(d, 0)/time.Second)
}

func directorySearchCommand() command {
	var as string
	var limit int
	return command{
		name: "directory search", args: "FILTER [ATTRIBUTE…] [--as PERSON[/MAILBOX]] [--limit N]", short: "look entries up, as an administrator or as somebody sees them", json: true,
		long: `Searches the accounts of this platform and the national directory with a filter of LDAP, such as '(cn=*durand*)' or
'(&(profession=10)(l=toulouse))', and prints the entries by unit and name. It shows everything, and says of an entry what hides it from others. With --as
it shows what that person sees who opened the mailbox, or the one that opens first, but for the limits on searches. Attributes are those named, "*" for all of
users, "+" for all of the server; the first when none is named. Exit code 3 when there are more entries than the limit.`,
		flags: func(f *flags) {
			f.StringVar(&as, "as", "", "whose view it is: a `login` such as claire.durand@… or claire.durand@…/secretariat@…")
			f.IntVar(&limit, "limit", 100, "`number` of entries to print at most; 0: all")
		},
		run: func(ctx context.Context, e env, f *flags, args []string) error {
			if len(args) == 0 {
				return usagef("takes a filter, such as '(cn=*durand*)'")
			}
			if limit < 0 {
				return usagef("--limit takes a number")
			}
			more := false
			asJSON := f.json
			f.json = false
			err := call(ctx, e, f, gateway.OpDirectorySearch, gateway.SearchArgs{Filter: args[0], Attributes: args[1:], As: as, Limit: limit},
				func(w io.Writer, a gateway.SearchAnswer) error {
					switch {
					case a.More:
						more = true
						return nil
					case asJSON:
						return printJSON(w, a)
					}
					return printEntry(w, a.DirectoryEntry)
				})
			if err == nil && more {
				say(e.err, "balorg: there are more entries; --limit takes another number\n")
				return errPart
			}
			return err
		},
	}
}

// printEntry prints an entry as LDIF does, but for letters with accents, which stay as they are.
func printEntry(w io.Writer, entry *gateway.DirectoryEntry) error {
	var b strings.Builder
	if entry.Hidden != "" {
		fmt.Fprintf(&b, "# hidden: %s\n", entry.Hidden)
	}
	fmt.Fprintf(&b, "dn: %s\n", entry.DN)
	for _, name := range slices.SortedFunc(maps.Keys(entry.Attributes), func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }) {
		for _, value := range entry.Attributes[name] {
			if plain(value) {
				fmt.Fprintf(&b, "%s: %s\n", name, value)
			} else {
				fmt.Fprintf(&b, "%s:: %s\n", name, base64.StdEncoding.EncodeToString([]byte(value)))
			}
		}
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// plain tells whether a value may stand as it is (RFC 2849).
func plain(value string) bool {
	return !strings.HasPrefix(value, " ") && !strings.HasPrefix(value, ":") && !strings.HasPrefix(value, "<") && !strings.HasSuffix(value, " ") &&
		!strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f })
}
