package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// seat is somebody at work in a mailbox.
type seat struct {
	preset string
	person string
	folder func(name string) string // of the mailbox, as the person names it
	rights string                   // as MYRIGHTS answers them
}

func seats() []seat {
	own := func(name string) string { return name }
	return []seat{
		{"read", paul, func(name string) string { return shared(secretariat, name) }, "lr"},
		{"write", noemie, own, "lrswited"}, // the secretariat is her default mailbox
		{"manage", claire, func(name string) string { return shared(secretariat, name) }, "lrswitekxpcd"},
		{"own", claire, own, "lrswitekxpcd"},
	}
}

// Answers of the table: by preset, in the order of seats.
const (
	yes     = "OK"
	noRight = "NO NOPERM"
)

// rightsCase is one command for each preset. <folder> is a folder with two messages, which is selected when in is set; <new> is a
// name that is free, <inbox> the mailbox's INBOX.
type rightsCase struct {
	in      bool
	command string
	want    [4]string // read, write, manage, own
}

var (
	everybody = [4]string{yes, yes, yes, yes}
	writers   = [4]string{noRight, yes, yes, yes}
	managers  = [4]string{noRight, noRight, yes, yes}
	nobody    = [4]string{noRight, noRight, noRight, noRight}
)

// rightsCases is every command of the table in imapproxy that asks a right, and those that ask none.
func rightsCases() []rightsCase {
	return []rightsCase{
		{false, "CAPABILITY", everybody},
		{false, "NOOP", everybody},
		{false, `ID ("name" "test")`, everybody},
		{false, "ENABLE CONDSTORE", everybody},
		{false, "NAMESPACE", everybody},
		{false, "LIST \"\" <folder>", everybody},
		{false, "LSUB \"\" <folder>", everybody},
		{false, "SUBSCRIBE <folder>", everybody},
		{false, "UNSUBSCRIBE <folder>", everybody},
		{false, "STATUS <folder> (MESSAGES UNSEEN UIDNEXT UIDVALIDITY)", everybody},
		{false, "SELECT <folder>", everybody},
		{false, "EXAMINE <folder>", everybody},
		{false, "CREATE <new>", managers},
		{false, "RENAME <folder> <new>", managers},
		{false, "DELETE <folder>", managers},
		{false, "APPEND <folder> {12+}\r\nSubject: x\r\n", writers},
		{false, "MYRIGHTS <folder>", everybody},
		{false, "GETACL <folder>", everybody},
		{false, "LISTRIGHTS <folder> nobody@example.org", nobody},
		{false, "SETACL <folder> nobody@example.org lr", nobody},
		{false, "DELETEACL <folder> nobody@example.org", nobody},
		{false, "GETQUOTAROOT <folder>", everybody},
		{true, "CHECK", everybody},
		{true, "UNSELECT", everybody},
		{true, "CLOSE", everybody},
		{true, "SEARCH ALL", everybody},
		{true, "UID SEARCH SUBJECT essai", everybody},
		{true, "FETCH 1:* (UID FLAGS ENVELOPE BODYSTRUCTURE)", everybody},
		{true, "FETCH 1 BODY[]", everybody},
		{true, "UID FETCH 1:* BODY.PEEK[HEADER]", everybody},
		{true, `STORE 1 +FLAGS (\Seen)`, writers},
		{true, `STORE 1 -FLAGS.SILENT (\Seen)`, writers},
		{true, `STORE 1 FLAGS (\Seen \Answered)`, writers},
		{true, `STORE 1 +FLAGS (\Flagged)`, writers},
		{true, `UID STORE 1:* +FLAGS ($Label1)`, writers},
		{true, `UID STORE 1:* +FLAGS (\Deleted)`, writers},
		{true, "EXPUNGE", writers},
		{true, "UID EXPUNGE 1:*", writers},
		{true, "COPY 1 <inbox>", writers},
		{true, "UID COPY 1:* <inbox>", writers},
		{true, "MOVE 1 <inbox>", writers},
		{true, "UID MOVE 1:* <inbox>", writers},
	}
}

// TestRights runs every command with every preset through the protocol, each on a folder made for it.
func TestRights(t *testing.T) {
	d := startDemo(t)
	for i, s := range seats() {
		t.Run(s.preset, func(t *testing.T) {
			owner := open(t, d, claire, secretariat)
			if s.preset == "own" {
				owner = login(t, d, claire)
			}
			c := login(t, d, s.person)
			for n, tt := range rightsCases() {
				name := fmt.Sprintf("Essais-%s-%d", s.preset, n)
				owner.ok("CREATE %s", name)
				for range 2 {
					if a := owner.append(name, "", message("r@test", "essai", 500)); a.status != "OK" {
						t.Fatal(a)
					}
				}
				if tt.in {
					c.ok("SELECT %q", s.folder(name))
				}
				command := strings.NewReplacer("<folder>", quoted(s.folder(name)), "<new>", quoted(s.folder(name+"-neuf")),
					"<inbox>", quoted(s.folder("INBOX"))).Replace(tt.command)
				if got := c.do("%s", command); got.short() != tt.want[i] {
					t.Errorf("%s: %q, want %s", command, got, tt.want[i])
				}
				c.do("UNSELECT") // whatever was selected
				if tt.want[i] != yes {
					unchanged(t, owner, name, command)
				}
			}
			if got := c.ok("MYRIGHTS %q", s.folder("INBOX")); !strings.HasSuffix(got.untagged[0], " "+s.rights) {
				t.Errorf("MYRIGHTS: %s, want %s", got, s.rights)
			}
		})
	}
}

func quoted(name string) string { return `"` + name + `"` }

// unchanged looks, as the mailbox itself, whether a refused command has done anything.
func unchanged(t *testing.T, owner *client, name, command string) {
	t.Helper()
	if lines := owner.ok("LIST \"\" %q", name+"*").untagged; len(lines) != 1 {
		t.Errorf("%s was refused, and the folders are %q", command, lines)
	}
	owner.ok("EXAMINE %s", name)
	if n := len(owner.uids("ALL UNSEEN UNFLAGGED UNDELETED UNKEYWORD $Label1")); n != 2 {
		t.Errorf("%s was refused, and %d messages are as they were, want 2", command, n)
	}
	owner.ok("UNSELECT")
}

// TestReadOnly: reading with the read preset opens read-only, and leaves no mark on the team's mail.
func TestReadOnly(t *testing.T) {
	d := startDemo(t)
	owner := open(t, d, claire, secretariat)
	owner.ok("EXAMINE INBOX")
	before := owner.uids("UNSEEN")
	if len(before) == 0 {
		t.Fatal("the demo has no unread mail")
	}
	p := login(t, d, paul)
	if a := p.ok("SELECT %q", shared(secretariat, "INBOX")); a.code() != "READ-ONLY" {
		t.Errorf("SELECT: %s", a)
	}
	p.ok("FETCH 1:* BODY[]")
	p.ok("CLOSE")
	owner.ok("NOOP")
	if after := owner.uids("UNSEEN"); len(after) != len(before) {
		t.Errorf("%d messages unread, want %d", len(after), len(before))
	}
	if a := login(t, d, claire).ok("SELECT %q", shared(secretariat, "INBOX")); a.code() != "READ-WRITE" {
		t.Errorf("SELECT with manage: %s", a)
	}
}

// TestStates: every command is refused outside its state, and the refusal is BAD.
func TestStates(t *testing.T) {
	d := startDemo(t)
	before := dial(t, d)
	for _, command := range []string{
		`LIST "" "*"`, "SELECT INBOX", "STATUS INBOX (MESSAGES)", "NAMESPACE", "CREATE X", "DELETE X", "RENAME X Y", "SUBSCRIBE X",
		"IDLE", "GETQUOTAROOT INBOX", "MYRIGHTS INBOX", "ENABLE CONDSTORE", "COMPRESS DEFLATE", "FETCH 1 FLAGS", "SEARCH ALL", "EXPUNGE",
		"CLOSE", "UID FETCH 1 FLAGS",
	} {
		if a := before.do("%s", command); a.status != "BAD" {
			t.Errorf("%s before login: %s", command, a)
		}
	}
	after := login(t, d, claire)
	for _, command := range []string{
		"FETCH 1 FLAGS", "UID FETCH 1 FLAGS", "SEARCH ALL", "UID SEARCH ALL", `STORE 1 +FLAGS (\Seen)`, "COPY 1 INBOX", "MOVE 1 INBOX",
		"UID MOVE 1 INBOX", "EXPUNGE", "UID EXPUNGE 1", "CLOSE", "UNSELECT", "CHECK", "LOGIN a b", "AUTHENTICATE PLAIN", "STARTTLS",
	} {
		if a := after.do("%s", command); a.status != "BAD" {
			t.Errorf("%s without a selected folder: %s", command, a)
		}
	}
	after.ok("LOGOUT")
}
