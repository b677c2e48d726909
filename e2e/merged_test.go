package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The three mailboxes that claire has in one session, each on a mail store of its own kind.
var threeStores = []string{"INBOX", shared(urgences, "INBOX"), shared(secretariat, "INBOX")}

// startMerged runs a daemon whose organisational mailboxes live on a Dovecot and on a Cyrus, and all others on the embedded store.
func startMerged(t *testing.T) *daemon {
	t.Helper()
	dovecot := startDovecot(t, dovecotNamespaces, nil)
	cyrus := startCyrus(t, cyrusDots, secretariat)
	d := withStores(t, map[string]string{urgences: "dovecot", secretariat: "cyrus"}, func(d *daemon) string {
		return dovecot.mailstore("dovecot", d.withCredentials("master")) + cyrus.mailstore("cyrus", d.withCredentials("authzid"))
	})
	admin := cyrus.direct("", "admin", adminPassword)
	admin.ok("SETQUOTA %q (STORAGE 100000)", "user."+address(secretariat))
	return d
}

// fileInAll files messages of several sizes, with flags, in new folders of all three mailboxes, and answers how many stand in each folder.
func fileInAll(t *testing.T, d *daemon) map[string]int {
	t.Helper()
	c := login(t, d, claire)
	filed := make(map[string]int)
	for i, box := range threeStores {
		root := strings.TrimSuffix(box, "INBOX")
		for j, folder := range []string{"Dossiers", "Dossiers/R&AOk-gions", "Dossiers/vide", "Suivi 2026"} {
			c.ok("CREATE %q", root+folder)
			filed[root+folder] = 0
			if folder == "Dossiers/vide" {
				continue
			}
			for n := range 4 {
				flags := []string{"()", `(\Seen)`, `(\Flagged \Answered)`, `(\Draft)`}[n]
				a := c.append(root+folder, flags+` "03-Feb-2025 04:05:06 +0200"`, message(fmt.Sprintf("f%d-%d-%d@test", i, j, n), "Compte rendu", 500+n*30_000))
				if a.status != "OK" {
					t.Fatalf("filing in %s: %v", root+folder, a)
				}
				filed[root+folder]++
			}
		}
	}
	return filed
}

// TestMergedSession: mailboxes of Dovecot, Cyrus and the embedded store in one session, with clients that walk all of it.
func TestMergedSession(t *testing.T) {
	d := startMerged(t)
	filed := fileInAll(t, d)
	t.Run("imaplib", func(t *testing.T) { mergedImaplib(t, d, filed) })
	t.Run("mbsync", func(t *testing.T) { mergedMbsync(t, d, filed) })
	t.Run("offlineimap", func(t *testing.T) { mergedOfflineimap(t, d, filed) })
	t.Run("every imaplib command", func(t *testing.T) {
		for _, mailbox := range []string{urgences, secretariat} {
			t.Log(run(t, "python3", "testdata/client.py", d.port(d.imaps()), d.port(d.imap()), d.ca(), address(claire), password(claire), address(mailbox)))
		}
	})
	for _, from := range threeStores {
		for _, to := range threeStores {
			if from == to {
				continue
			}
			for _, command := range []string{"UID COPY", "UID MOVE", "COPY", "MOVE"} {
				t.Run(command+" "+from+" to "+to, func(t *testing.T) { transferOne(t, d, command, from, to) })
			}
		}
	}
}

// mergedImaplib reads the whole tree twice; the second time from what the first has kept, and nothing is new.
func mergedImaplib(t *testing.T, d *daemon, filed map[string]int) {
	t.Helper()
	kept := filepath.Join(t.TempDir(), "kept.json")
	walk := func() (fetched int) {
		t.Helper()
		out := run(t, "python3", "testdata/tree.py", d.port(d.imaps()), d.ca(), address(claire), password(claire), kept)
		if _, err := fmt.Sscanf(out, "fetched %d", &fetched); err != nil {
			t.Fatalf("tree.py says %q", out)
		}
		return fetched
	}
	first := walk()
	content, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]struct {
		Messages map[string]json.RawMessage
	}
	if err := json.Unmarshal(content, &tree); err != nil {
		t.Fatal(err)
	}
	for folder, want := range filed {
		if got, ok := tree[folder]; !ok || len(got.Messages) != want {
			t.Errorf("%s: %d messages (there: %v), want %d", folder, len(got.Messages), ok, want)
		}
	}
	if first < 36 {
		t.Errorf("the first run fetched %d messages", first)
	}
	if second := walk(); second != 0 {
		t.Errorf("the second run fetched %d messages", second)
	}
	again, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(content), string(again)); diff != "" {
		t.Errorf("the second run found a difference:\n%s", tail(diff))
	}
}

func mergedMbsync(t *testing.T, d *daemon, filed map[string]int) {
	t.Helper()
	m := newMirror(t, d, claire)
	first := m.sync()
	tree := m.tree()
	for folder, want := range filed {
		if got, ok := tree[folder]; !ok || len(got) != want {
			t.Errorf("%s: %d messages (there: %v), want %d", folder, len(got), ok, want)
		}
	}
	if first.Near[0] < 36 || first.Far != [3]int{} {
		t.Errorf("the first run counts %+v", first)
	}
	if second := m.sync(); second.Near != [3]int{} || second.Far != [3]int{} || second.Boxes != first.Boxes {
		t.Errorf("the second run had something to do: %+v after %+v", second, first)
	}
	if diff := cmp.Diff(tree, m.tree()); diff != "" {
		t.Errorf("the second run changed the tree:\n%s", diff)
	}
}

// offlineimapConfig mirrors all folders; a slash in a name of the far side becomes a dot at this one, where there are none.
const offlineimapConfig = `
[general]
accounts = balorg
metadata = %[1]s/meta
ui = basic

[Account balorg]
localrepository = near
remoterepository = far

[Repository near]
type = Maildir
localfolders = %[1]s/mail
sep = /

[Repository far]
type = IMAP
remotehost = localhost
remoteport = %[2]s
remoteuser = %[3]s
remotepass = %[4]s
ssl = yes
sslcacertfile = %[5]s
auth_mechanisms = PLAIN
`

func mergedOfflineimap(t *testing.T, d *daemon, filed map[string]int) {
	t.Helper()
	m := &mirror{t: t, d: d, person: claire, dir: filepath.Join(t.TempDir(), "offline")}
	if err := os.Mkdir(m.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	m.config = filepath.Join(m.dir, "offlineimaprc")
	text := fmt.Sprintf(offlineimapConfig, m.dir, d.port(d.imaps()), address(claire), password(claire), d.ca())
	if err := os.WriteFile(m.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	first := run(t, "offlineimap", "-o", "-c", m.config)
	m.dir = filepath.Join(m.dir, "mail")
	tree := m.tree()
	for folder, want := range filed {
		if got, ok := tree[folder]; !ok || len(got) != want {
			t.Errorf("%s: %d messages (there: %v), want %d", folder, len(got), ok, want)
		}
	}
	if !strings.Contains(first, "Copy message") {
		t.Errorf("the first run says:\n%s", tail(first))
	}
	second := run(t, "offlineimap", "-o", "-c", m.config)
	for line := range strings.Lines(second) {
		if slices.ContainsFunc([]string{"Copy message", "Adding flags", "Deleting", "Creating", "ERROR"}, func(what string) bool { return strings.Contains(line, what) }) {
			t.Errorf("the second run had something to do: %s", line)
		}
	}
	if diff := cmp.Diff(tree, m.tree()); diff != "" {
		t.Errorf("the second run changed the tree:\n%s", diff)
	}
}
