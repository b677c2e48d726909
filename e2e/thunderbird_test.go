package e2e

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The documents of Thunderbird's windows.
const (
	mainWindow    = "chrome://messenger/content/messenger.xhtml"
	composeWindow = "chrome://messenger/content/messengercompose/messengercompose.xhtml"
)

// TestThunderbird is what a secretary does all day, in the program as Debian has it. Real are the dialog that adds an account and all that
// it fetches, reads and makes; connections, folders, messages, windows and the dialogs that refuse. Not real: names are looked up by a
// preference instead of DNS, keys are pressed and buttons clicked by scripts, and there is no screen.
func TestThunderbird(t *testing.T) {
	dir := t.TempDir()
	names := []string{"autoconfig." + domain, "autodiscover." + domain, domain}
	certified(t, dir, names...)
	d := startDemoIn(t, dir)
	const before = "      - {account: paul.bernard@clinique-des-sapins.fr, rights: write, send: on-behalf}\n"
	const given = "      - {account: noemie.martin@clinique-des-sapins.fr, rights: write, send: no}\n"
	d.edit("delegations.yaml", before, before+given)
	d.eventually(newsTimeout, "the delegation", func() error {
		if got := d.shared(noemie); !strings.Contains(got, shared(urgences, "INBOX")) {
			return fmt.Errorf("noemie has %s", got)
		}
		return nil
	})
	tb := d.startThunderbird(names...)
	for _, step := range []struct {
		name string
		does func(*thunderbird)
	}{
		{"autoconfig", tbAutoconfig},
		{"folders", tbFolders},
		{"reading", tbReading},
		{"flags", tbFlags},
		{"moving", tbMoving},
		{"searching", tbSearching},
		{"completion", tbCompletion},
		{"idle", tbIdle},
		{"replying", tbReplying},
		{"refusals", tbRefusals},
		{"withdrawal", func(tb *thunderbird) { tbWithdrawal(tb, given) }},
	} {
		ok := t.Run(step.name, func(t *testing.T) {
			outer := d.t
			defer func() { d.t = outer }()
			d.t = t
			step.does(tb)
		})
		if !ok {
			return // the next one begins where this one was to end
		}
	}
}

// tbAutoconfig: an address is enough, and the person's password.
func tbAutoconfig(tb *thunderbird) {
	d, t := tb.d, tb.d.t
	var found string
	tb.script("account.js", &found, "Noémie Martin", address(noemie))
	for _, want := range []string{"IMAP", "SMTP", "localhost", address(noemie), "SSL/TLS"} {
		if !strings.Contains(found, want) {
			t.Errorf("what is found lacks %s:\n%s", want, found)
		}
	}
	tb.picture(mainWindow, "settings")
	var made struct{ Incoming, Outgoing, Identity []any }
	tb.script("password.js", &made, password(noemie))
	port := func(address string) float64 {
		n, err := strconv.Atoi(d.port(address))
		if err != nil {
			t.Fatal(err)
		}
		return float64(n)
	}
	const overTLS, normalPassword = 3.0, 3.0 // nsMsgSocketType.SSL, nsMsgAuthMethod.passwordCleartext
	for _, tt := range []struct{ got, want []any }{
		{made.Incoming, []any{"imap", "localhost", port(d.imaps()), overTLS, normalPassword, address(noemie)}},
		{made.Outgoing, []any{"smtp", "localhost", port(d.listeners.Submissions[0]), overTLS, normalPassword, address(noemie)}},
		{made.Identity, []any{"Noémie Martin", address(noemie)}},
	} {
		if !slices.Equal(tt.got, tt.want) {
			t.Errorf("the account has %v, want %v", tt.got, tt.want)
		}
	}
}

// folders are the names that a LIST answers.
func (c *client) folders(pattern string) (all []string) {
	c.t.Helper()
	for _, line := range c.ok("LIST \"\" %q", pattern).untagged {
		_, name, ok := strings.Cut(line, ` "/" `)
		if ok && strings.HasPrefix(line, "* LIST ") {
			all = append(all, strings.Trim(name, `"`))
		}
	}
	return all
}

// thunderbirdSent is sentFolder as Thunderbird knows it.
const thunderbirdSent = "Envoyés"

// listed are the folders of the account as the server lists them to who enables UTF8=ACCEPT, which Thunderbird does.
func (tb *thunderbird) listed() []string {
	c := login(tb.d.t, tb.d, noemie)
	c.ok("ENABLE UTF8=ACCEPT")
	names := c.folders("*")
	slices.Sort(names)
	return names
}

// tbFolders: the secretariat is the INBOX, the others stand below Comptes, and there is nothing else.
func tbFolders(tb *thunderbird) {
	t := tb.d.t
	want := tb.listed()
	for _, needed := range []string{"INBOX", shared(noemie, "INBOX"), shared(urgences, "INBOX")} {
		if !slices.Contains(want, needed) {
			t.Fatalf("the server does not list %s: %q", needed, want)
		}
	}
	var got []string
	tb.run("waiting for the folders", `
		const [count] = args;
		await until(() => mailFolders().length >= count && mailFolders().every(f => f.QueryInterface(Ci.nsIMsgImapMailFolder).verifiedAsOnlineFolder));
		return mailFolders().map(nameOf)`, &got, len(want))
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("Thunderbird has %q\nthe server %q", got, want)
	}
	var shown map[string][]string
	tb.run("looking at the INBOXes", `
		const shown = {};
		for (const [name, count] of Object.entries(args[0])) {
			const folder = folderNamed(name);
			await fresh(folder, () => subjects(folder).length >= count);
			shown[name] = subjects(folder);
		}
		return shown`, &shown, map[string]int{"INBOX": 6, shared(urgences, "INBOX"): 3, shared(noemie, "INBOX"): 0})
	if in := shown["INBOX"]; len(in) != 6 || !strings.Contains(strings.Join(in, "\n"), "Ordonnance à préciser : posologie illisible") {
		t.Errorf("the INBOX is not the secretariat's: %q", in)
	}
	if in := shown[shared(urgences, "INBOX")]; len(in) != 3 || !strings.Contains(strings.Join(in, "\n"), "Résultat urgent : troponine") {
		t.Errorf("the emergency's INBOX holds %q", in)
	}
	if in := shown[shared(noemie, "INBOX")]; len(in) != 0 {
		t.Errorf("her own INBOX holds %q", in)
	}
	var special map[string]string
	tb.run("looking at special folders", `
		const is = { Sent: Ci.nsMsgFolderFlags.SentMail, Drafts: Ci.nsMsgFolderFlags.Drafts, Trash: Ci.nsMsgFolderFlags.Trash, Junk: Ci.nsMsgFolderFlags.Junk };
		return Object.fromEntries(Object.entries(is).map(([kind, flag]) => [kind, mailFolders().filter(f => f.getFlag(flag)).map(nameOf).join()]))`, &special)
	for kind, want := range map[string]string{"Sent": thunderbirdSent, "Drafts": "Brouillons", "Trash": "Corbeille", "Junk": "Indésirables"} {
		if special[kind] != want {
			t.Errorf("%s is %q, want %q", kind, special[kind], want)
		}
	}
}

// tbReading: a message is shown, and read for the whole team; the trace tells who read it.
func tbReading(tb *thunderbird) {
	t := tb.d.t
	const subject = "Sortie d'hospitalisation"
	owner := open(t, tb.d, claire, secretariat)
	if m := owner.find("INBOX", subject); len(m) != 1 || strings.Contains(m[0].flags, `\Seen`) {
		t.Fatalf("before: %+v", m)
	}
	var text string
	tb.run("reading", `
		await show("INBOX", args[0]);
		return text(args[0])`, &text, subject)
	if !strings.Contains(text, "Nous confirmons la prise en charge à domicile dès demain matin") {
		t.Errorf("it shows %q", text)
	}
	tb.run("making room", `
		const { folderPaneSplitter, messagePaneSplitter } = pane();
		folderPaneSplitter.width = 390;
		messagePaneSplitter.width = 420;`, nil)
	tb.picture(mainWindow, "folders")
	var seen stored
	tb.d.eventually(newsTimeout, "that it is read", func() error {
		if seen = owner.find("INBOX", subject)[0]; !strings.Contains(seen.flags, `\Seen`) {
			return fmt.Errorf("its flags are %s", seen.flags)
		}
		return nil
	})
	read := tb.d.trace("--mailbox", address(secretariat), "--person", address(noemie), "--action", "read")
	if !slices.ContainsFunc(read, func(r record) bool { return r.Folder == "INBOX" && contains(r.UIDs, seen.uid) }) {
		t.Errorf("that she read %s is not in the trace: %+v", seen.uid, read)
	}
}

// contains tells whether a set of UIDs as the trace writes it has one.
func contains(set, uid string) bool {
	n, err := strconv.Atoi(uid)
	for part := range strings.SplitSeq(set, ",") {
		from, to, ok := strings.Cut(part, ":")
		if !ok {
			to = from
		}
		low, err1 := strconv.Atoi(from)
		high, err2 := strconv.Atoi(to)
		if err == nil && err1 == nil && err2 == nil && low <= n && n <= high {
			return true
		}
	}
	return false
}

// tbFlags: stars and tags go both ways.
func tbFlags(tb *thunderbird) {
	t := tb.d.t
	const subject = "Résultats d'analyses"
	const ascii = "analyses - dossier" // as SEARCH of this test's client takes it
	tb.run("flagging", `
		const folder = folderNamed("INBOX"), message = await messageIn(folder, args[0]);
		folder.markMessagesFlagged([message], true);
		folder.addKeywordsToMessages([message], "$label1");`, nil, subject)
	owner := open(t, tb.d, claire, secretariat)
	var m stored
	tb.d.eventually(newsTimeout, "the flags", func() error {
		if m = owner.find("INBOX", ascii)[0]; !strings.Contains(m.flags, `\Flagged`) || !strings.Contains(m.flags, "$label1") {
			return fmt.Errorf("they are %s", m.flags)
		}
		return nil
	})
	owner.ok("SELECT INBOX")
	owner.ok(`UID STORE %s -FLAGS.SILENT (\Flagged $label1)`, m.uid)
	owner.ok(`UID STORE %s +FLAGS.SILENT ($label2)`, m.uid)
	tb.run("waiting for a colleague's flags", `
		const message = find(folderNamed("INBOX"), args[0]);
		await until(() => !message.isFlagged && message.getStringProperty("keywords").split(" ").includes("$label2") && !message.getStringProperty("keywords").includes("$label1"));`, nil, subject)
}

// tbMoving: a message goes from the secretariat to her own mailbox, whole and once, and a copy comes back.
func tbMoving(tb *thunderbird) {
	t := tb.d.t
	const subject, ascii = "Ordonnance à préciser", "posologie illisible"
	own := shared(noemie, "INBOX")
	c := login(t, tb.d, noemie)
	was := c.find("INBOX", ascii)
	if len(was) != 1 {
		t.Fatalf("there are %d", len(was))
	}
	const copying = `
		const [from, to, subject, move] = args, source = folderNamed(from), target = folderNamed(to);
		MailServices.copy.copyMessages(source, [find(source, subject)], target, move, null, main.msgWindow, true);
		await messageIn(target, subject);
		await until(() => move == !find(source, subject));`
	tb.run("moving", copying, nil, "INBOX", own, subject, true)
	if left := c.find("INBOX", ascii); len(left) != 0 {
		t.Errorf("it is left in the secretariat's: %+v", left)
	}
	there := c.find(own, ascii)
	if len(there) != 1 || there[0].octets != was[0].octets {
		t.Fatalf("in her own there are %d, or it is another", len(there))
	}
	tb.run("copying back", copying, nil, own, "INBOX", subject, false)
	if back := c.find("INBOX", ascii); len(back) != 1 || back[0].octets != was[0].octets {
		t.Errorf("of the copy there are %d, or it is another", len(back))
	}
	for mailbox, action := range map[string]string{secretariat: "move", noemie: "append"} {
		if len(tb.d.trace("--mailbox", address(mailbox), "--person", address(noemie), "--action", action)) == 0 {
			t.Errorf("the trace of %s has no %s", mailbox, action)
		}
	}
}

// tbSearching: what is searched for on the server, accents included.
func tbSearching(tb *thunderbird) {
	t := tb.d.t
	for _, tt := range []struct {
		folder, attribute, text string
		want                    []string
	}{
		{"INBOX", "Subject", "Résultats d'analyses", []string{"Résultats d'analyses - dossier nº 2026-11-0482"}},
		{"INBOX", "Body", "posologie", []string{"Ordonnance à préciser : posologie illisible"}},
		{"INBOX", "Sender", "beatrice.lefevre", []string{"Demande de rendez-vous : consultation de cardiologie", "Demande de rendez-vous : consultation de cardiologie"}}, // it takes "Re:" off
		{shared(urgences, "INBOX"), "Body", "brancard", []string{"Relève de nuit"}},
		{"INBOX", "Body", "brancard", nil},
	} {
		var got []string
		tb.run("searching", `
			const [name, attribute, wanted] = args, folder = folderNamed(name), found = [];
			const search = Cc["@mozilla.org/messenger/searchSession;1"].createInstance(Ci.nsIMsgSearchSession);
			search.addScopeTerm(Ci.nsMsgSearchScope.onlineMail, folder);
			const term = search.createTerm();
			term.attrib = Ci.nsMsgSearchAttrib[attribute];
			term.op = Ci.nsMsgSearchOp.Contains;
			const value = term.value;
			value.attrib = term.attrib;
			value.str = wanted;
			term.value = value;
			search.appendTerm(term);
			let ended = false;
			search.registerListener({ onSearchHit: message => found.push(message.mime2DecodedSubject), onSearchDone: () => { ended = true; }, onNewSearch() {} });
			search.search(main.msgWindow);
			await until(() => ended);
			return found.sort();`, &got, tt.folder, tt.attribute, tt.text)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s of %s with %s: %q", tt.attribute, tt.folder, tt.text, got)
		}
	}
}
