package e2e

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// run runs a client to its end and answers all it printed. A client that is not installed fails the test.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := tryRun(t, name, args...)
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, tail(out))
	}
	return out
}

// tryRun is run for a client that may be refused.
func tryRun(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Fatalf("%v: see peers.sh", err)
	}
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "LC_ALL=C.UTF-8")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// mirror is a person's tree as mbsync keeps it on disk.
type mirror struct {
	t      *testing.T
	d      *daemon
	person string
	dir    string
	config string
}

func newMirror(t *testing.T, d *daemon, person string) *mirror {
	t.Helper()
	m := &mirror{t: t, d: d, person: person, dir: filepath.Join(t.TempDir(), "mail")}
	m.config = filepath.Join(t.TempDir(), "mbsyncrc")
	if err := os.Mkdir(m.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`IMAPAccount balorg
Host localhost
Port %s
User %s
Pass %s
SSLType IMAPS
SystemCertificates no
CertificateFile %s

IMAPStore far
Account balorg

MaildirStore near
Path %[5]s/
Inbox %[5]s/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
CopyArrivalDate yes
SyncState *
`, d.port(d.imaps()), address(person), password(person), d.ca(), m.dir)
	if err := os.WriteFile(m.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return m
}

// counts are what mbsync says it did.
type counts struct {
	Boxes     int
	Far, Near [3]int // done at each side: added, flags changed, removed
}

var summary = regexp.MustCompile(`C: \d+/\d+ +B: (\d+)/(\d+) +F: \+(\d+)/(\d+) \*(\d+)/(\d+) #(\d+)/(\d+) +N: \+(\d+)/(\d+) \*(\d+)/(\d+) #(\d+)/(\d+)`)

// sync runs mbsync in a terminal, where it says what it counts.
func (m *mirror) sync() counts {
	m.t.Helper()
	out := run(m.t, "python3", "testdata/terminal.py", "mbsync", "-c", m.config, "all")
	all := summary.FindAllStringSubmatch(out, -1)
	if len(all) == 0 {
		m.t.Fatalf("mbsync counts nothing:\n%s", tail(out))
	}
	last := all[len(all)-1]
	n := make([]int, len(last)-1)
	for i, text := range last[1:] {
		if _, err := fmt.Sscanf(text, "%d", &n[i]); err != nil {
			m.t.Fatal(err)
		}
	}
	if n[0] != n[1] {
		m.t.Errorf("%d of %d folders done", n[0], n[1])
	}
	return counts{Boxes: n[1], Far: [3]int{n[2], n[4], n[6]}, Near: [3]int{n[8], n[10], n[12]}}
}

// tree lists the messages of each folder on disk, by folder.
func (m *mirror) tree() map[string][]string {
	m.t.Helper()
	all := make(map[string][]string)
	err := filepath.WalkDir(m.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		folder, kind := filepath.Split(path)
		if !e.IsDir() || kind != "cur" && kind != "new" {
			return nil
		}
		name, err := filepath.Rel(m.dir, folder)
		if err != nil {
			return err
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			return err
		}
		all[name] = append(all[name], nil...)
		for _, e := range entries {
			all[name] = append(all[name], e.Name())
		}
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return all
}

// TestMbsync mirrors whole trees, personal and shared, and syncs changes of both sides.
func TestMbsync(t *testing.T) {
	d := startDemo(t)
	for _, tt := range []struct {
		person string
		sees   map[string]int // messages by folder
		hidden []string
	}{
		{
			noemie,
			map[string]int{"INBOX": 6, "Envoyés": 1, shared(noemie, "INBOX"): 0, shared(noemie, "Brouillons"): 0},
			[]string{shared(secretariat, "INBOX"), shared(urgences, "INBOX"), shared(claire, "INBOX")},
		},
		{
			claire,
			map[string]int{"INBOX": 1, shared(secretariat, "INBOX"): 6, shared(secretariat, "Envoyés"): 1, shared(urgences, "INBOX"): 3, shared(urgences, "Corbeille"): 1},
			[]string{shared(noemie, "INBOX"), shared(claire, "INBOX")},
		},
	} {
		t.Run(tt.person, func(t *testing.T) {
			m := newMirror(t, d, tt.person)
			first := m.sync()
			tree := m.tree()
			total := 0
			for folder, want := range tt.sees {
				got, ok := tree[utf7(folder)]
				if !ok || len(got) != want {
					t.Errorf("%s: %d messages (there: %v), want %d", folder, len(got), ok, want)
				}
				total += want
			}
			for _, folder := range tt.hidden {
				if _, ok := tree[folder]; ok {
					t.Errorf("%s is there", folder)
				}
			}
			if first.Near[0] != total || first.Far != [3]int{} {
				t.Errorf("the first run counts %+v, want %d messages fetched", first, total)
			}
			if second := m.sync(); second.Near != [3]int{} || second.Far != [3]int{} || second.Boxes != first.Boxes {
				t.Errorf("the second run had something to do: %+v after %+v", second, first)
			}
			if diff := cmp.Diff(tree, m.tree()); diff != "" {
				t.Errorf("the second run changed the tree:\n%s", diff)
			}
		})
	}
	t.Run("changes of both sides", func(t *testing.T) { changesOfBothSides(t, d) })
}

// utf7 is a folder's name as mbsync 1.4 has it on disk: as on the wire (RFC 3501, 5.1.3), for the demo's accents.
func utf7(name string) string {
	return strings.ReplaceAll(name, "é", "&AOk-")
}

func changesOfBothSides(t *testing.T, d *daemon) {
	t.Helper()
	m := newMirror(t, d, claire)
	m.sync()
	box := shared(secretariat, "INBOX")
	c := login(t, d, claire)
	c.ok("SELECT %q", box)
	all := c.uids("ALL")

	// Here: a message is read and flagged, another is new. There: one has arrived, one is gone, one is flagged.
	local := filepath.Join(m.dir, box)
	first := m.file(local, "U="+all[0])
	rename(t, first, strings.SplitN(first, ":2,", 2)[0]+":2,FRS")
	mine := message("mbsync-1@test", "Écrit hors ligne", 5000)
	if err := os.WriteFile(filepath.Join(local, "new", "1763287200.e2e.host"), []byte(strings.ReplaceAll(mine, "\r\n", "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	theirs := message("mbsync-2@test", "Arrivé entre-temps", 5000)
	if a := c.append(box, "", theirs); a.status != "OK" {
		t.Fatal(a)
	}
	c.ok(`UID STORE %s +FLAGS.SILENT (\Flagged)`, all[1])
	c.ok(`UID STORE %s +FLAGS.SILENT (\Deleted)`, all[2])
	c.ok("UID EXPUNGE %s", all[2])

	got := m.sync()
	// A removal counts as a change of flags.
	if want := (counts{Boxes: got.Boxes, Far: [3]int{1, 1, 0}, Near: [3]int{1, 2, 0}}); got != want {
		t.Errorf("mbsync counts %+v, want %+v", got, want)
	}
	c.ok("NOOP")
	flags := strings.Join(c.ok("UID FETCH %s (FLAGS)", all[0]).untagged, "")
	if !strings.Contains(flags, `\Flagged`) || !strings.Contains(flags, `\Answered`) || !strings.Contains(flags, `\Seen`) {
		t.Errorf("flags set here are not there: %s", flags)
	}
	uploaded := c.uids(`HEADER Message-ID "mbsync-1@test"`)
	if len(uploaded) != 1 || !strings.HasSuffix(c.body(uploaded[0]), strings.SplitN(mine, "\r\n\r\n", 2)[1]) {
		t.Errorf("the message written here is there %d times, or differs", len(uploaded))
	}
	if name := m.file(local, "U="+all[1]); !strings.Contains(name, ":2,F") {
		t.Errorf("the flag set there is not here: %s", name)
	}
	if slices.ContainsFunc(m.tree()[box], func(name string) bool { return strings.Contains(name, "U="+all[2]+":") }) {
		t.Errorf("the message removed there is still here")
	}
	if again := m.sync(); again.Near != [3]int{} || again.Far != [3]int{} {
		t.Errorf("the next run had something to do: %+v", again)
	}
}

// file finds the one file of a folder whose name has a part.
func (m *mirror) file(folder, part string) string {
	m.t.Helper()
	for _, sub := range []string{"cur", "new"} {
		entries, err := os.ReadDir(filepath.Join(folder, sub))
		if err != nil {
			m.t.Fatal(err)
		}
		for _, e := range entries {
			if strings.Contains(e.Name(), part+":") || strings.HasSuffix(e.Name(), part) {
				return filepath.Join(folder, sub, e.Name())
			}
		}
	}
	m.t.Fatalf("no file %s in %s", part, folder)
	return ""
}

// rename moves a message of a maildir to another name, under cur as one that has been seen must be.
func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, filepath.Join(filepath.Dir(filepath.Dir(to)), "cur", filepath.Base(to))); err != nil {
		t.Fatal(err)
	}
}
