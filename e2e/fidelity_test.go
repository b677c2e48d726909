package e2e

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// items are what is asked of every message: each data item of RFC 3501, sections and parts of several depths, and the extensions' that
// pass through.
var items = []string{
	"ENVELOPE", "BODY", "BODYSTRUCTURE", "RFC822", "RFC822.HEADER", "RFC822.TEXT", "RFC822.SIZE", "INTERNALDATE", "FLAGS", "UID",
	"ALL", "FAST", "FULL",
	"BODY[]", "BODY.PEEK[]", "BODY[HEADER]", "BODY.PEEK[TEXT]",
	"BODY[1]", "BODY[2]", "BODY[1.1]", "BODY[2.1]", "BODY[1.1.1.1.1]", "BODY[999]",
	"BODY[1.MIME]", "BODY[2.MIME]", "BODY[1.2.MIME]", "BODY[1.HEADER]", "BODY[1.TEXT]", "BODY[2.HEADER]", "BODY[1.1.TEXT]",
	"BODY[HEADER.FIELDS (FROM TO SUBJECT)]", "BODY.PEEK[HEADER.FIELDS (X-LONG RECEIVED X-ABSENT)]", `BODY[HEADER.FIELDS ("subject" "Date")]`,
	"BODY[HEADER.FIELDS.NOT (RECEIVED X-LONG X-LINE)]", "BODY[1.HEADER.FIELDS (SUBJECT)]", "BODY[1.HEADER.FIELDS.NOT (SUBJECT)]",
	"BODY[]<0.100>", "BODY[]<7.1>", "BODY[]<1000000.100000>", "BODY[HEADER]<5.33>", "BODY[TEXT]<2.4096>", "BODY[1]<0.10>", "BODY[HEADER.FIELDS (SUBJECT)]<3.5>",
	"(ENVELOPE BODYSTRUCTURE BODY.PEEK[HEADER])", "(UID RFC822.SIZE BODY[TEXT]<0.1> BODY[1.MIME] FLAGS INTERNALDATE)",
	"BINARY[1]", "BINARY.PEEK[2]", "BINARY.SIZE[1]", "MODSEQ", "PREVIEW", "SAVEDATE",
}

// TestFidelity: whatever is fetched of awkward messages comes through octet for octet as the mail store says it.
func TestFidelity(t *testing.T) {
	dovecot, cyrus := startDovecot(t, dovecotNamespace, map[string]string{address(urgences): "direct"}), startCyrus(t, cyrusSlashes, secretariat)
	d := withStores(t, map[string]string{urgences: "dovecot", secretariat: "cyrus"}, func(d *daemon) string {
		return dovecot.mailstore("dovecot", d.withCredentials("authzid")) + cyrus.mailstore("cyrus", d.withCredentials("authzid"))
	})
	t.Run("Dovecot", func(t *testing.T) {
		direct, c := dovecot.direct("", address(urgences), "direct"), login(t, d, claire)
		filed := fileCorpus(t, direct)
		if len(filed) != len(corpus()) {
			t.Errorf("it takes %d messages only", len(filed))
		}
		c.ok("EXAMINE %s", shared(urgences, "INBOX"))
		for _, item := range items {
			for i, m := range filed {
				for _, command := range []string{"UID FETCH", "FETCH"} {
					compareAnswers(t, m.name, fmt.Sprintf("%s %d %s", command, i+1, item), direct, c)
				}
			}
		}
		compareSets(t, direct, c)
	})
	t.Run("Cyrus", func(t *testing.T) {
		direct, c := cyrus.as(secretariat), login(t, d, claire)
		// It takes no bare CR or LF, no NUL, and no header that is none.
		if filed := fileCorpus(t, direct); len(filed) < 60 {
			t.Errorf("it takes %d messages only", len(filed))
		}
		c.ok("EXAMINE %s", shared(secretariat, "INBOX"))
		compareSets(t, direct, c)
	})
}

// fileCorpus files the awkward messages that a mail store takes, and opens their folder.
func fileCorpus(t *testing.T, direct *client) (filed []awkward) {
	t.Helper()
	for i, m := range corpus() {
		switch a := direct.append("INBOX", fmt.Sprintf(`(\Flagged) "%2d-Feb-2025 04:05:06 +0200"`, i%28+1), m.octets); a.status {
		case "OK":
			filed = append(filed, m)
		case "NO":
			t.Logf("%s: %s", m.name, a)
		default:
			t.Fatalf("%s: %s", m.name, a)
		}
	}
	direct.ok("EXAMINE INBOX")
	return filed
}

// compareSets fetches every item of many messages at once, and searches, sorts and threads them.
func compareSets(t *testing.T, direct, gateway *client) {
	t.Helper()
	compared := 0
	for _, item := range items {
		for _, command := range []string{"FETCH 1:* ", "UID FETCH 20:30,3,* "} {
			compared += compareAnswers(t, "several", command+item, direct, gateway)
		}
	}
	t.Logf("%d responses are the same", compared)
	for _, command := range []string{
		"SEARCH ALL", "UID SEARCH SUBJECT a", "SEARCH RETURN (MIN MAX COUNT) TEXT b", "SORT (SUBJECT SIZE) UTF-8 ALL", "UID SORT (REVERSE FROM) UTF-8 ALL",
		"THREAD REFERENCES UTF-8 ALL", "FETCH 1:* (FLAGS) (CHANGEDSINCE 1)",
	} {
		if compareAnswers(t, "all", command, direct, gateway) == 0 {
			t.Errorf("%s answers nothing", command)
		}
	}
}

// compareAnswers sends a command to the mail store and to the gateway and answers how many responses were the same.
func compareAnswers(t *testing.T, name, command string, direct, gateway *client) int {
	t.Helper()
	want, got := direct.do(command), gateway.do(command)
	want.untagged, got.untagged = ownWords(want, direct.tags), ownWords(got, gateway.tags)
	if want.status != got.status {
		t.Errorf("%s: %s: the mail store says %s %s, the gateway %s %s", name, command, want.status, want.text, got.status, got.text)
	}
	if len(want.untagged) != len(got.untagged) {
		t.Errorf("%s: %s: %d responses, want %d\n%.300q", name, command, len(got.untagged), len(want.untagged), want.untagged)
		return 0
	}
	for i := range want.untagged {
		if want.untagged[i] != got.untagged[i] {
			t.Errorf("%s: %s: they differ:\n%.300q\n%.300q", name, command, want.untagged[i], got.untagged[i])
			return i
		}
	}
	return len(want.untagged)
}

var (
	code    = regexp.MustCompile(`^(\* OK \[[^]]*\]).*`)
	onlyUID = regexp.MustCompile(`^\* \d+ FETCH \(UID \d+\)$`)
)

// ownWords leaves out what is each connection's own: its tag, the text behind a code (which is ours, for a mail store's may name it),
// and the head of a response that Dovecot writes, or does not, before it refuses.
func ownWords(a answer, tags int) []string {
	var lines []string
	for _, line := range a.untagged {
		if a.status == "OK" || !onlyUID.MatchString(line) {
			line = strings.Replace(line, fmt.Sprintf(`(TAG "t%d")`, tags), "(TAG)", 1)
			lines = append(lines, code.ReplaceAllString(line, "$1"))
		}
	}
	return lines
}

// TestNothingOfTheStoreShows: not its product, host, port, paths, users, name spaces or capabilities, whatever is asked or goes wrong.
func TestNothingOfTheStoreShows(t *testing.T) {
	dovecot := startDovecot(t, dovecotNamespaces, nil)
	cyrus := startCyrus(t, cyrusDots, secretariat)
	d := withStores(t, map[string]string{urgences: "dovecot", secretariat: "cyrus", paul: "dovecot"}, func(d *daemon) string {
		return dovecot.mailstore("dovecot", d.withCredentials("master")) + cyrus.mailstore("cyrus", d.withCredentials("authzid"))
	})
	cyrus.direct("", "admin", adminPassword).ok("SETQUOTA %q (STORAGE 100000)", "user."+address(secretariat))
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{
		"dovecot", "cyrus", "inbox.", "user.", "public", "maildir", "sessionid", "debian", gatewayUser + "*", "*" + gatewayUser, gatewayPassword,
		dovecot.address, cyrus.address, dovecot.dir, cyrus.dir, "x-", "xlist", "xmove", "urlauth", "catenate", "notify", "referral",
		"annotat", "replication", "digest=", "snippet", "no_atomic", "internal error occurred", "finished in", "secs", "(0.0", "refer to server log",
	}
	hostname := regexp.MustCompile(`(?i)\b` + regexp.QuoteMeta(host) + `\b`) // it may be as short as to stand in any random id
	var said []string
	see := func(command string, lines ...string) {
		said = append(said, lines...)
		for _, line := range lines {
			if hostname.MatchString(line) || strings.Contains(line, "MAILBOXID") {
				t.Errorf("%s: %q shows the host or an id of the store's", command, line)
			}
			for _, s := range secrets {
				if strings.Contains(strings.ToLower(line), s) {
					t.Errorf("%s: %q shows %q", command, line, s)
				}
			}
		}
	}
	for _, person := range []string{claire, paul} {
		c := dial(t, d)
		for _, command := range leaking(person) {
			a := c.do(command)
			see(command, append(a.untagged, a.text)...)
		}
		capabilities(t, c)
	}
	if len(said) < 200 {
		t.Errorf("only %d lines were said", len(said))
	}
}

// leaking are commands whose answers, as a mail store gives them, tell of it.
func leaking(person string) []string {
	commands := []string{
		"CAPABILITY", `ID ("name" "x")`, "LOGIN " + address(person) + " wrong", "LOGIN " + address(person) + " " + password(person),
		"CAPABILITY", "ID NIL", "NAMESPACE", `LIST "" "*"`, `LIST "" "%"`, `LSUB "" "*"`, `LIST (SUBSCRIBED) "" "*" RETURN (CHILDREN SPECIAL-USE STATUS (MESSAGES UIDNEXT))`,
		"ENABLE CONDSTORE QRESYNC", "NOOP", "FROB",
	}
	for _, box := range []string{"INBOX", shared(urgences, "INBOX"), shared(secretariat, "INBOX")} {
		root := strings.TrimSuffix(box, "INBOX")
		for _, c := range []string{
			"STATUS %sINBOX (MESSAGES UIDNEXT UIDVALIDITY UNSEEN RECENT SIZE)", "STATUS %sAbsent (MESSAGES)", "STATUS %sINBOX (FROB)",
			"CREATE %sNouveau/Sous", "CREATE %sNouveau/Sous", "CREATE %sINBOX", `CREATE "%sa.b"`, `CREATE "%sa*b"`, `CREATE "%s/x//y"`, "DELETE %sAbsent", "DELETE %sINBOX",
			"RENAME %sAbsent %[1]sAutre", "RENAME %sNouveau %[1]sINBOX", "RENAME %sNouveau/Sous %[1]sNouveau/Deux", "SUBSCRIBE %sAbsent", "UNSUBSCRIBE %sNouveau/Deux",
			"GETQUOTAROOT %sINBOX", "GETQUOTAROOT %sAbsent", "GETACL %sINBOX", "MYRIGHTS %sNouveau/Deux", "LISTRIGHTS %sINBOX " + address(person), "SETACL %sINBOX x lr",
			"APPEND %sAbsent {3+}\r\nabc", "APPEND %sINBOX (\\Frob) {3+}\r\nabc", "APPEND %sINBOX \"99-Foo-2026\" {3+}\r\nabc", "APPEND %sINBOX {8+}\r\nA: b\r\n\r\n",
			"SELECT %sAbsent", "SELECT %sINBOX (FROB)", "SELECT %sINBOX", "FETCH 99 FLAGS", "FETCH 1 (FROB)", "FETCH 1 BODY[1.FROB]", "UID FETCH 1:* (UID BINARY.SIZE[7])", "UID STORE 1 FLAGS (\\Frob)",
			"SEARCH CHARSET FROB TEXT x", "SEARCH FROB", "SORT (FROB) UTF-8 ALL", "THREAD FROB UTF-8 ALL", "COPY 1 %sAbsent", "MOVE 1 %sAbsent", "COPY 99 %sNouveau",
			"STORE 1 +FLAGS (\\Deleted)", "EXPUNGE", "CHECK", "CLOSE", "GETMETADATA %sINBOX /private/comment", "DELETE %sNouveau/Deux", "DELETE %sNouveau",
		} {
			if strings.Contains(c, "%") {
				c = fmt.Sprintf(c, root)
			}
			commands = append(commands, c)
		}
	}
	return commands
}

// capabilities checks that all that is offered is one of ours.
func capabilities(t *testing.T, c *client) {
	t.Helper()
	ours := regexp.MustCompile(`^(IMAP4rev1|IMAP4rev2|SASL-IR|LITERAL\+|ID|IDLE|NAMESPACE|CHILDREN|UNSELECT|UIDPLUS|MOVE|ENABLE|LIST-EXTENDED|LIST-STATUS|SPECIAL-USE|STATUS=SIZE|ESEARCH|` +
		`SEARCHRES|SORT|SORT=DISPLAY|ESORT|CONTEXT=SEARCH|THREAD=\w+|CONDSTORE|QRESYNC|WITHIN|BINARY|QUOTA|ACL|RIGHTS=\w+|APPENDLIMIT=\d+|MULTIAPPEND|REPLACE|CREATE-SPECIAL-USE|METADATA|SAVEDATE|PREVIEW|OBJECTID|UTF8=ACCEPT|COMPRESS=DEFLATE)$`)
	list := strings.Fields(strings.TrimPrefix(c.ok("CAPABILITY").untagged[0], "* CAPABILITY "))
	if i := slices.IndexFunc(list, func(name string) bool { return !ours.MatchString(name) }); i >= 0 {
		t.Errorf("%s is offered", list[i])
	}
}
