package e2e

import (
	"fmt"
	"strings"
	"time"

	"balorg/gateway"
)

// tbCompletion: addresses come from the directory as they are typed, and never those of the red list.
func tbCompletion(tb *thunderbird) {
	t := tb.d.t
	tb.run("adding the directory", `
		const [port, user, secret] = args;
		const id = MailServices.ab.newAddressBook("Annuaire", `+"`ldaps://localhost:${port}/dc=mssante,dc=fr??sub?(objectclass=*)`"+`, Ci.nsIAbManager.LDAP_DIRECTORY_TYPE);
		const directory = MailServices.ab.getDirectoryFromId(id).QueryInterface(Ci.nsIAbLDAPDirectory);
		directory.authDn = user;
		const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
		login.init(directory.lDAPURL.prePath, null, directory.lDAPURL.spec, "", secret, "", "");
		await Services.logins.addLoginAsync(login);
		Services.prefs.setBoolPref("ldap_2.autoComplete.useDirectory", true);
		Services.prefs.setCharPref("ldap_2.autoComplete.directoryServer", directory.dirPrefId);
		await compose({}, user);`, nil, tb.d.port(tb.d.listeners.LDAPS[0]), address(noemie), password(noemie))
	const typing = `
		const input = writing().document.getElementById("toAddrInput"), { controller } = input;
		input.value = "";
		controller.resetInternalState(); // what was found before is not what is waited for
		input.focus();
		type(args[0]);
		await until(() => controller.searchString == args[0] && controller.searchStatus > Ci.nsIAutoCompleteController.STATUS_SEARCHING);
		return Array.from({ length: controller.matchCount }, (_, i) => controller.getValueAt(i));`
	for _, tt := range []struct{ typed, want string }{
		{"léa.petit", ""},
		{"lea.petit", ""},
		{"petit léa", ""},
		{"secrétariat clinique des sap", mssante(secretariat)},
		{"paul bern", mssante(paul)},
		{"durand", mssante(claire)},
	} {
		var got []string
		tb.run("typing "+tt.typed, typing, &got, tt.typed)
		all := strings.Join(got, "\n")
		if strings.Contains(all, "lea.petit@") || tt.want == "" && len(got) != 0 || tt.want != "" && !strings.Contains(all, tt.want) {
			t.Errorf("%q is completed by %q", tt.typed, got)
		}
	}
	tb.resizeCompose()
	tb.picture(composeWindow, "directory")
	tb.run("closing", `await discard()`, nil)
}

// tbIdle: a message comes while the INBOX is open and Thunderbird asks for nothing: the server's word alone brings it.
func tbIdle(tb *thunderbird) {
	t := tb.d.t
	tb.run("opening the INBOX", `
		account().incomingServer.doBiff = false; // it does not look now and then
		Cc["@mozilla.org/imap/autosyncmgr;1"].getService(Ci.nsIAutoSyncManager).pause(); // nor fetches for later
		await show("INBOX");
		main.arrived = [];
		MailServices.mfn.addListener({ msgAdded: message => main.arrived.push(message.mime2DecodedSubject) }, Ci.nsIMsgFolderNotificationService.msgAdded);`, nil)
	tb.quiet()
	reply := operator(t, tb.d).submit("dr.martin@chu-exemple.mssante.fr", []string{mssante(secretariat)}, crlf(letter))
	if !strings.HasPrefix(reply, "250 ") {
		t.Fatalf("reply %q", reply)
	}
	tb.run("waiting for the message", `
		await until(() => main.arrived.includes(args[0]), () => main.arrived);
		Cc["@mozilla.org/imap/autosyncmgr;1"].getService(Ci.nsIAutoSyncManager).resume();`, nil, consultation)
}

// quiet waits until Thunderbird has asked nothing for longer than it takes to begin an IDLE, two seconds after its last command.
func (tb *thunderbird) quiet() {
	tb.d.t.Helper()
	const enough = 4 * time.Second
	var asked float64
	since := time.Now()
	tb.d.eventually(thunderbirdTime, "that Thunderbird asks nothing", func() error {
		if now := tb.d.sum("balorg_imapproxy_commands_total"); now != asked {
			asked, since = now, time.Now()
		}
		if still := time.Since(since); still < enough {
			return fmt.Errorf("quiet for %v after %v commands", still, asked)
		}
		return nil
	})
}

// consultation is the subject of a message that comes and is answered.
const consultation = "Compte rendu de consultation"

// letter is that message.
const letter = `From: Dr Alain MARTIN <dr.martin@chu-exemple.mssante.fr>
To: =?utf-8?q?Secr=C3=A9tariat_-_Clinique_des_Sapins?= <secretariat@sapins.mssante.fr>
Subject: ` + consultation + `
Date: Mon, 23 Nov 2026 10:00:00 +0100
Message-ID: <consultation-1@chu-exemple.mssante.fr>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Bonjour,

Le compte rendu de votre patiente est prêt. Souhaitez-vous un rendez-vous de contrôle ?

Dr Martin
`

// tbReplying: an answer goes out as the organisation, with one copy in its Sent folder.
func tbReplying(tb *thunderbird) {
	d, t := tb.d, tb.d.t
	const subject = consultation
	var from, to string
	tb.run("adding the identity and replying", `
		const [name, email, subject] = args, identity = MailServices.accounts.createIdentity();
		identity.copy(account().defaultIdentity);
		identity.fullName = name;
		identity.email = email;
		account().addIdentity(identity);
		await show("INBOX", subject);
		await text(subject);
		pane().messageBrowser.contentWindow.commandController.doCommand("cmd_reply");
		await written();`, nil, "Secrétariat - Clinique des Sapins", mssante(secretariat), subject)
	tb.run("writing", `
		const w = writing();
		w.GetCurrentEditor().insertText("Bonjour Docteur,\n\nMardi à 14 h 30 convient.\n\nLe secrétariat\n");
		return w.document.getElementById("msgIdentity").value`, &from)
	tb.run("whom to", `return writing().document.querySelector("mail-address-pill").fullAddress`, &to)
	if want := "Secrétariat - Clinique des Sapins <" + mssante(secretariat) + ">"; from != want {
		t.Errorf("it is from %s, want %s", from, want)
	}
	if !strings.Contains(to, "dr.martin@chu-exemple.mssante.fr") {
		t.Errorf("it is to %s", to)
	}
	tb.resizeCompose()
	tb.picture(composeWindow, "reply")
	var said []string
	tb.run("sending", `return send()`, &said)
	if len(said) > 0 {
		t.Fatalf("Thunderbird says %q", said)
	}
	left := d.sunk("Re: " + subject)
	if !strings.Contains(left.octets, secretariatName) || left.from != "<"+mssante(secretariat)+">" || !strings.Contains(left.octets, "In-Reply-To: <consultation-1@chu-exemple.mssante.fr>") {
		t.Errorf("what left is from %s:\n%s", left.from, left.octets)
	}
	if text := strings.ToLower(left.octets); strings.Contains(text, "noemie") || strings.Contains(text, "noémie") {
		t.Errorf("what left names the person:\n%s", left.octets)
	}
	var copies []string
	tb.run("looking at Sent", `
		const sent = folderNamed(args[1]);
		await messageIn(sent, args[0]);
		return subjects(sent).filter(s => s.includes(args[0]))`, &copies, subject, thunderbirdSent)
	if len(copies) != 1 {
		t.Errorf("Thunderbird shows %d copies", len(copies))
	}
	c := login(t, d, noemie)
	c.one(d, sentFolder, "Re: "+subject)
	for _, folder := range c.folders("%") {
		if folder != "INBOX" && folder != sentFolder && folder != "Comptes" && len(c.find(folder, subject)) > 0 {
			t.Errorf("it also stands in %s", folder)
		}
	}
	d.eventually(newsTimeout, `\Answered`, func() error {
		if m := c.find("INBOX", subject)[0]; !strings.Contains(m.flags, `\Answered`) {
			return fmt.Errorf("its flags are %s", m.flags)
		}
		return nil
	})
	tb.run("waiting for its mark", `await until(() => find(folderNamed("INBOX"), args[0]).isReplied ?? (find(folderNamed("INBOX"), args[0]).flags & Ci.nsMsgMessageFlags.Replied))`, nil, subject)
	if sends := d.trace("--mailbox", address(secretariat), "--person", address(noemie), "--action", "send"); len(sends) != 1 {
		t.Errorf("the trace has %+v", sends)
	}
}

// tbRefusals: what the server refuses is told in its own words, and nothing is sent or kept.
func tbRefusals(tb *thunderbird) {
	d, t := tb.d, tb.d.t
	for _, tt := range []struct{ from, to, want string }{
		{address(urgences), address(claire), "Vous ne pouvez pas envoyer de message en tant que " + address(urgences)},
		{mssante(secretariat), "quelquun@example.org", "example.org"},
	} {
		var said []string
		tb.run("sending from "+tt.from, `
			const [email, to] = args;
			if (!account().identities.some(i => i.email == email)) {
				const identity = MailServices.accounts.createIdentity();
				identity.copy(account().defaultIdentity);
				identity.email = email;
				account().addIdentity(identity);
			}
			await compose({ to, subject: "Refus", body: "<p>Bonjour</p>" }, email);
			const said = await send();
			await discard();
			return said`, &said, tt.from, tt.to)
		if len(said) != 1 || !strings.Contains(said[0], tt.want) {
			t.Errorf("from %s to %s Thunderbird says %q", tt.from, tt.to, said)
		}
	}
	c := login(t, d, noemie)
	for _, folder := range []string{sentFolder, shared(urgences, sentFolder), "Brouillons"} {
		if kept := c.find(folder, "Refus"); len(kept) > 0 {
			t.Errorf("%s has %d of them", folder, len(kept))
		}
	}
	for _, e := range jsonLines[gateway.QueueEntry](d, "queue list", "--all") {
		if string(e.Mailbox.Address) == address(urgences) {
			t.Errorf("the queue has %+v", e)
		}
	}
}

// tbWithdrawal: when a delegation is taken away its folders go, the open one included, and no other.
func tbWithdrawal(tb *thunderbird, given string) {
	d, t := tb.d, tb.d.t
	tb.run("opening what will go", `
		main.said = [];
		MailServices.mailSession.addUserFeedbackListener({
			onAlert(message) {
				main.said.push(message);
				return true; // instead of a dialog
			},
		});
		await show(args[0], "Relève");
		await text("Relève");`, nil, shared(urgences, "INBOX"))
	d.edit("delegations.yaml", given, "")
	d.eventually(newsTimeout, "the end of the delegation", func() error {
		if got := d.shared(noemie); strings.Contains(got, address(urgences)) {
			return fmt.Errorf("noemie has %s", got)
		}
		return nil
	})
	want := tb.listed()
	var said []string
	tb.run("looking for folders", `
		let looks = 0;
		await until(() => {
			if (looks++ % 40 == 0) {
				discover();
			}
			return mailFolders().map(nameOf).sort().join() == args[0].join();
		}, () => [mailFolders().map(nameOf), main.said]);
		const folder = await show("INBOX");
		await fresh(folder, () => subjects(folder).length == 7);
		return main.said`, &said, want)
	for _, s := range said {
		if !strings.Contains(s, "No such mailbox") { // which it says of a folder that it has open
			t.Errorf("Thunderbird says %q", s)
		}
	}
}
