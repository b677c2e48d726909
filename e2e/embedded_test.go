package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// parts are what is asked of each message of the corpus.
var parts = []string{
	"ENVELOPE", "BODY", "BODYSTRUCTURE", "RFC822.SIZE", "INTERNALDATE", "BODY.PEEK[HEADER]", "BODY.PEEK[TEXT]", "BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT)]", "BODY.PEEK[HEADER.FIELDS.NOT (RECEIVED X-LONG X-LINE)]",
	"BODY.PEEK[1]", "BODY.PEEK[2]", "BODY.PEEK[3]", "BODY.PEEK[1.1]", "BODY.PEEK[1.2]", "BODY.PEEK[2.1]", "BODY.PEEK[2.2]", "BODY.PEEK[1.1.1]", "BODY.PEEK[2.1.1]", "BODY.PEEK[1.1.1.1.1]", "BODY.PEEK[999]",
	"BODY.PEEK[1.MIME]", "BODY.PEEK[2.MIME]", "BODY.PEEK[1.1.MIME]", "BODY.PEEK[2.1.MIME]", "BODY.PEEK[1.HEADER]", "BODY.PEEK[1.TEXT]", "BODY.PEEK[2.HEADER]", "BODY.PEEK[2.TEXT]", "BODY.PEEK[1.1.TEXT]",
	"BODY.PEEK[1.HEADER.FIELDS (SUBJECT)]", "BODY.PEEK[]<0.100>", "BODY.PEEK[]<7.1>", "BODY.PEEK[HEADER]<5.33>", "BODY.PEEK[TEXT]<2.4096>", "BODY.PEEK[1]<3.10>",
}

// absent is what the list calls a part that a message has not, or an empty one.
const absent = "absent part"

var nothing = regexp.MustCompile(`([]>]) ""\)$`)

// TestSameAsDovecot: the embedded store gives every octet of a message back as it was appended, and tells of it what Debian's Dovecot tells, but for what
// testdata/embedded-differences.txt lists with the reason.
func TestSameAsDovecot(t *testing.T) {
	o := startDovecot(t, dovecotNamespace, map[string]string{address(near): "near-password"})
	d := startDemo(t)
	theirs, ours := o.direct("", address(near), "near-password"), login(t, d, lea)
	ours.ok("ENABLE UTF8=ACCEPT") // else no header beyond ASCII is taken
	messages := corpus()
	for _, c := range []*client{theirs, ours} { // INBOX of the demo has messages
		c.ok("CREATE Corpus")
	}
	for i, m := range messages {
		for _, c := range []*client{theirs, ours} {
			if a := c.append("Corpus", fmt.Sprintf(`"%2d-Feb-2025 04:05:06 +0200"`, i%28+1), m.octets); a.status != "OK" {
				t.Fatalf("%s: %s", m.name, a)
			}
		}
	}
	ours = login(t, d, lea)
	theirs.ok("EXAMINE Corpus")
	ours.ok("EXAMINE Corpus")
	listed := embeddedDifferences(t)
	for i, m := range messages {
		// RFC 3501 knows no NUL in a literal: what a client gets has another octet in its place (RFC 9051 as well).
		appended := strings.ReplaceAll(m.octets, "\x00", "\x80")
		if got, want := ours.ok("FETCH %d BODY.PEEK[]", i+1).untagged[0], fmt.Sprintf("* %d FETCH (BODY[] {%d}\r\n%s)", i+1, len(appended), appended); got != want {
			t.Errorf("%s: is not what was appended:\n%.200q\n%.200q", m.name, got, want)
		}
		for _, part := range parts {
			want, got := theirs.do("FETCH %d (%s)", i+1, part), ours.do("FETCH %d (%s)", i+1, part)
			a, b := canonicals(want.untagged), canonicals(got.untagged)
			switch {
			case want.status == got.status && slices.Equal(a, b):
				continue
			case want.status == got.status && nothing.ReplaceAllString(strings.Join(a, "\n"), "$1 NIL)") == strings.Join(b, "\n"):
				if listed.has(absent, "*") {
					continue
				}
			case listed.has(part, m.name):
				continue
			}
			t.Errorf("%s: %s\nDovecot: %s %.400q\nbalorg:  %s %.400q", part, m.name, want.status, want.untagged, got.status, got.untagged)
		}
	}
	for _, line := range listed.unused() {
		t.Errorf("%q is listed as a difference, and is none", line)
	}
}

// canonicals are responses with every string in one form: servers may choose between quoted strings and literals.
func canonicals(lines []string) (all []string) {
	for _, line := range lines {
		all = append(all, canonical(line))
	}
	return all
}

func canonical(line string) string {
	var b strings.Builder
	for len(line) > 0 {
		switch open := line[0]; open {
		case '"':
			i := 1
			var content strings.Builder
			for ; i < len(line) && line[i] != '"'; i++ {
				if line[i] == '\\' && i+1 < len(line) {
					i++
				}
				content.WriteByte(line[i])
			}
			fmt.Fprintf(&b, "%q", content.String())
			line = line[min(i+1, len(line)):]
		case '{':
			head, rest, ok := strings.Cut(line[1:], "}\r\n")
			n, err := strconv.Atoi(head)
			if !ok || err != nil || n > len(rest) {
				b.WriteByte(open)
				line = line[1:]
				continue
			}
			fmt.Fprintf(&b, "%q", rest[:n])
			line = rest[n:]
		default:
			b.WriteByte(open)
			line = line[1:]
		}
	}
	return b.String()
}

// differences are listed ones: of a part of a message, or ("*") of some part of it.
type differences map[string]bool // used

func (d differences) has(part, name string) bool {
	for _, key := range []string{part + ": " + name, "*: " + name, part + ": *"} {
		if _, ok := d[key]; ok {
			d[key] = true
			return true
		}
	}
	return false
}

func (d differences) unused() (all []string) {
	for key, used := range d {
		if !used {
			all = append(all, key)
		}
	}
	slices.Sort(all)
	return all
}

// embeddedDifferences reads the list: lines "part: message", where either may be *, each group followed by indented lines that say why.
func embeddedDifferences(t *testing.T) differences {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "embedded-differences.txt"))
	if err != nil {
		t.Fatal(err)
	}
	all := differences{}
	explained := true
	for line := range strings.Lines(string(content)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "  "):
			explained = true
		case !strings.Contains(line, ": "):
			t.Fatalf("%q is no difference", line)
		default:
			all[line], explained = false, false
		}
	}
	if !explained {
		t.Fatal("the last differences have no reason")
	}
	return all
}
