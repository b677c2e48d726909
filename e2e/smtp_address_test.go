package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestHostileAddresses tries to get mail out of the trust space by the way an address is written. Each is refused, or normalised to one that
// may be written to; nothing else ever stands in an envelope that leaves.
func TestHostileAddresses(t *testing.T) {
	t.Parallel()
	hop := tap(t)
	d := startDemo(t)
	d.setRelay(fmt.Sprintf("relay:\n  smarthost: %q\n  insecure_no_tls: true\n", hop.address))
	const trusted = "chu-exemple.mssante.fr"
	long := strings.Repeat("a", 65)
	for _, tt := range []struct {
		rcpt string // behind RCPT TO:
		want string // the reply begins so
		left string // what the next hop is told then
		ours bool   // another operator may write to it: the mailbox is here
	}{
		// Written otherwise, the same.
		{rcpt: "<ACCUEIL@CHU-Exemple.MSSANTE.fr>", want: "250", left: "<accueil@chu-exemple.mssante.fr>"},
		{rcpt: " <accueil@chu-exemple.mssante.fr>", want: "250", left: "<accueil@chu-exemple.mssante.fr>"},
		{rcpt: "<a+b=c_d'e@chu-exemple.mssante.fr>", want: "250", left: "<a+b=c_d'e@chu-exemple.mssante.fr>"},
		{rcpt: "<accueil@chu-exemple.mssante.fr> ORCPT=rfc822;x@example.net", want: "250", left: "<accueil@chu-exemple.mssante.fr>"},
		{rcpt: "<accueil@chu-exemple.mssante.fr> ORCPT=rfc822;x+0D+0ARCPT+20TO:<x@example.net>", want: "501"},
		{rcpt: "<accueil@chu-exemple.mssante.fr> ORCPT=rfc822;x+3E+20NOTIFY=NEVER", want: "501"}, // a = that is not encoded
		// Quoted local parts.
		{rcpt: `<"accueil"@chu-exemple.mssante.fr>`, want: "501 5.1.3"},
		{rcpt: `<"x@example.net"@chu-exemple.mssante.fr>`, want: "501 5.1.3"},
		{rcpt: `<"x@example.net> ORCPT=rfc822;z"@chu-exemple.mssante.fr>`, want: "501"},
		{rcpt: `<"x@example.net>"@chu-exemple.mssante.fr>`, want: "501"},
		{rcpt: `<"x\"@example.net"@chu-exemple.mssante.fr>`, want: "501"},
		{rcpt: `<"a b"@chu-exemple.mssante.fr>`, want: "501"},
		{rcpt: `<x\@example.net@chu-exemple.mssante.fr>`, want: "501"},
		// Routes of old.
		{rcpt: "<x%example.net@chu-exemple.mssante.fr>", want: "501 5.1.3"},
		{rcpt: "<example.net!x@chu-exemple.mssante.fr>", want: "501 5.1.3"},
		{rcpt: "<x@example.net@chu-exemple.mssante.fr>", want: "501"},
		{rcpt: "<x@chu-exemple.mssante.fr@example.net>", want: "501"},
		{rcpt: "<@chu-exemple.mssante.fr:x@example.net>", want: "501"},
		{rcpt: "<@example.net:accueil@chu-exemple.mssante.fr>", want: "501"},
		{rcpt: "<@example.net,@chu-exemple.mssante.fr:x@example.net>", want: "501"},
		// Several addresses, or none.
		{rcpt: "<accueil@chu-exemple.mssante.fr,x@example.net>", want: "501"},
		{rcpt: "<accueil@chu-exemple.mssante.fr>,<x@example.net>", want: "501"},
		{rcpt: "<accueil@chu-exemple.mssante.fr> <x@example.net>", want: "5"},
		{rcpt: "<accueil@chu-exemple.mssante.fr>x@example.net", want: "501"},
		{rcpt: "<x@example.net<accueil@chu-exemple.mssante.fr>", want: "501"},
		{rcpt: "x@example.net <accueil@chu-exemple.mssante.fr>", want: "501"},
		{rcpt: "accueil@chu-exemple.mssante.fr", want: "501"},
		{rcpt: "<>", want: "501"},
		{rcpt: "<accueil>", want: "501"},
		{rcpt: "<@chu-exemple.mssante.fr>", want: "501"},
		{rcpt: "<accueil@>", want: "501"},
		{rcpt: "<postmaster>", want: "5", ours: true}, // RFC 5321, 4.5.1
		// Local parts that are none.
		{rcpt: "<.accueil@chu-exemple.mssante.fr>", want: "501"},
		{rcpt: "<accueil.@chu-exemple.mssante.fr>", want: "501"},
		{rcpt: "<acc..ueil@chu-exemple.mssante.fr>", want: "501"},
		{rcpt: "<acc ueil@chu-exemple.mssante.fr>", want: "501"},
		{rcpt: "<acc\tueil@chu-exemple.mssante.fr>", want: "5"},
		{rcpt: "<acc\x00ueil@chu-exemple.mssante.fr>", want: "5"},
		{rcpt: "<acc(x@example.net)ueil@chu-exemple.mssante.fr>", want: "501"},
		{rcpt: "<" + long + "@chu-exemple.mssante.fr>", want: "501"},
		{rcpt: "<-oQ/tmp@chu-exemple.mssante.fr>", want: "250", left: "<-oq/tmp@chu-exemple.mssante.fr>"}, // a local part like others; we run no program with it
		// Domains that look like one of the trust space.
		{rcpt: "<accueil@chu-exemple.mssante.fr.>", want: "501"},
		{rcpt: "<accueil@.chu-exemple.mssante.fr>", want: "501"},
		{rcpt: "<accueil@chu-exemple..mssante.fr>", want: "501"},
		{rcpt: "<accueil@[127.0.0.1]>", want: "501"},
		{rcpt: "<accueil@[IPv6:::1]>", want: "501"},
		{rcpt: "<accueil@127.0.0.1>", want: "5"},
		{rcpt: "<accueil@x.chu-exemple.mssante.fr>", want: "550 5.7.1"},
		{rcpt: "<accueil@mssante.fr>", want: "550 5.7.1"},
		{rcpt: "<accueil@xchu-exemple.mssante.fr>", want: "550 5.7.1"},
		{rcpt: "<accueil@chu-exemple.mssante.fr.example.net>", want: "550 5.7.1"},
		{rcpt: "<accueil@chu_exemple.mssante.fr>", want: "501"},
		{rcpt: "<accueil@chu-exemple.mssante.fr#.example.net>", want: "501"},
		{rcpt: "<accueil@example.net#chu-exemple.mssante.fr>", want: "501"},
		{rcpt: "<accueil@example.net\\.chu-exemple.mssante.fr>", want: "501"},
		{rcpt: "<accueil@example.net/chu-exemple.mssante.fr>", want: "501"},
		{rcpt: "<accueil@localhost>", want: "5"},
		{rcpt: "<x@example.net>", want: "550 5.7.1 x@example.net: le domaine example.net"},
		// Domains of other scripts, with SMTPUTF8.
		{rcpt: "<accueil@chu-ехеmple.mssante.fr>", want: "5"},                                                       // Cyrillic е, х
		{rcpt: "<accueil@ｃｈｕ-ｅｘｅｍｐｌｅ.mssante.fr>", want: "250", left: "<accueil@chu-exemple.mssante.fr>"},           // full width: IDNA maps it (UTS 46), and the mapped form leaves
		{rcpt: "<accueil@chu-exemple\u3002mssante\u3002fr>", want: "250", left: "<accueil@chu-exemple.mssante.fr>"}, //nolint:misspell // ideographic full stops, likewise; it is French
		{rcpt: "<accueil@chu\u00adexemple.mssante.fr>", want: "5"},                                                  // a soft hyphen vanishes, and leaves chuexemple
		{rcpt: "<accueil@chu\u2010exemple.mssante.fr>", want: "5"},                                                  // a hyphen that is not ours
		{rcpt: "<accueil@xn--chu-exemple.mssante.fr>", want: "5"},                                                   // no Punycode
		{rcpt: "<accueil@xn--chu-mple-bjjf.mssante.fr>", want: "5"},                                                 // the first one's own form, or none
		{rcpt: "<accueil\u202e@chu-exemple.mssante.fr>", want: "501"},                                               // turns around what follows
		{rcpt: "<accueil\u200b@chu-exemple.mssante.fr>", want: "501"},                                               // has no width
		{rcpt: "<x＠example.net@chu-exemple.mssante.fr>", want: "501"},                                               // a full-width @
		{rcpt: "<accueil@chu-exemple.mssante.fr＞>", want: "501"},                                                    // a full-width >
		{rcpt: "<\xff@chu-exemple.mssante.fr>", want: "500"},                                                        // no UTF-8
		{rcpt: "<café@chu-exemple.mssante.fr>", want: "250", left: "<café@chu-exemple.mssante.fr>"},                 // a local part of its own
		{rcpt: "<cafe\u0301@chu-exemple.mssante.fr>", want: "250", left: "<caf\u00e9@chu-exemple.mssante.fr>"},      // the same, composed
		{rcpt: "<\u212aaren@chu-exemple.mssante.fr>", want: "501"},                                                  // the Kelvin sign, which is a K for some
	} {
		t.Run(tt.rcpt, func(t *testing.T) {
			from := operator(t, d) // for whom nothing goes on
			from.do("MAIL FROM:<"+outside+"> SMTPUTF8", "250")
			if reply := from.ask("RCPT TO:" + tt.rcpt); strings.HasPrefix(reply, "250") != tt.ours {
				t.Errorf("to another operator: %q", reply)
			}
			m := submitter(t, d, noemie, "")
			m.do("MAIL FROM:<"+address(secretariat)+"> SMTPUTF8", "250")
			_, before := hop.heard("")
			reply := m.ask("RCPT TO:" + tt.rcpt)
			if !strings.HasPrefix(reply, tt.want) {
				t.Fatalf("%q, want %q", reply, tt.want)
			}
			if tt.left == "" {
				m.do("DATA", "503") // nobody is left
				return
			}
			m.do("DATA", "354")
			m.send("From: <" + address(secretariat) + ">\r\n\r\nx\r\n.\r\n")
			e := d.settled(queued(t, m.reply()))
			if e.Items[1].State != "delivered" {
				t.Errorf("%q", states(e))
			}
			_, after := hop.heard("")
			said := slices.DeleteFunc(after[len(before):], func(c string) bool { return !strings.HasPrefix(c, "RCPT ") })
			if len(said) != 1 || said[0] != "RCPT TO:"+tt.left+"\r\n" {
				t.Errorf("the next hop was told %q, want %s", said, tt.left)
			}
		})
	}
	_, all := hop.heard("")
	for _, c := range all {
		if strings.HasPrefix(c, "RCPT ") && !strings.HasSuffix(c, "@"+trusted+">\r\n") {
			t.Errorf("%q left", c)
		}
	}
}

// TestHostileSenders: the same of MAIL, from people and from other operators.
func TestHostileSenders(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	for _, tt := range []struct {
		mail            string // behind MAIL FROM:
		person, foreign string // replies to noemie, and to another operator, begin so
	}{
		{"<" + address(secretariat) + ">", "250", "550 5.7.1"},
		{"<SECRETARIAT@Sapins.MSSante.FR>", "250", "550 5.7.1"},
		{"<" + outside + ">", "553 5.7.1", "250"},
		{"<" + strings.ToUpper(outside) + ">", "553 5.7.1", "250"},
		{"<>", "250", "250"},
		{`<"secretariat"@sapins.mssante.fr>`, "501", "501"},
		{`<"x@example.net"@chu-exemple.mssante.fr>`, "501", "501"},
		{"<x%example.net@chu-exemple.mssante.fr>", "501", "501"},
		{"<@chu-exemple.mssante.fr:x@example.net>", "501", "501"},
		{"<accueil@chu-exemple.mssante.fr.>", "501", "501"},
		{"<accueil@x.chu-exemple.mssante.fr>", "553", "550 5.7.1"},
		{"<secretariat+x@sapins.mssante.fr>", "553", "550 5.7.1"},
		{"<x@sapins.mssante.fr>", "553", "550 5.7.1"},
		{"<accueil@[127.0.0.1]>", "501", "501"},
		{"<" + address(claire) + ">", "553", "550 5.7.1"},
		{"<accueil@chu-exemple.mssante.fr> AUTH=<" + address(claire) + ">", "553", "250"}, // and what it says counts for nothing
		{"<" + address(secretariat) + "> AUTH=" + strings.ReplaceAll(address(claire), "@", "+40"), "250", "550"},
		{"<" + outside + "> SIZE=99999999999", "552", "552"},
		{"<" + outside + "> SIZE=-1", "501", "501"},
		{"<" + outside + "> BODY=BINARYMIME", "555", "555"},
		{"<" + outside + "> X=1", "555", "555"},
	} {
		t.Run(tt.mail, func(t *testing.T) {
			if got := submitter(t, d, noemie, "").ask("MAIL FROM:" + tt.mail); !strings.HasPrefix(got, tt.person) {
				t.Errorf("to a person: %q, want %q", got, tt.person)
			}
			if got := operator(t, d).ask("MAIL FROM:" + tt.mail); !strings.HasPrefix(got, tt.foreign) {
				t.Errorf("to another operator: %q, want %q", got, tt.foreign)
			}
		})
	}
}
