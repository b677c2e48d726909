package smtp

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"balorg/mail"
	"balorg/policy"
)

// everyAddress is every address of the demo: both of each account.
func (o *office) everyAddress() []string {
	var all []string
	for _, a := range o.snapshot().Accounts() {
		all = append(all, string(a.Address))
		if a.MSSante != "" {
			all = append(all, string(a.MSSante))
		}
	}
	return append(all, "nobody"+domain, "a@chu-exemple.mssante.fr", "a@example.net")
}

// TestSendAs holds every account of the demo × every address in From × both habits of clients: the mailbox as authorization identity, or
// the person's own login with the mailbox in MAIL FROM.
func TestSendAs(t *testing.T) {
	o := newOffice(t, nil)
	own := func(local string) []string { return []string{local + domain, local + mssante} }
	sec := own("secretariat")
	may := map[string][]string{ // as which addresses somebody may write; nobody else logs in
		claire:                   slices.Concat(own("claire.durand"), sec, []string{urgences}),
		noemie:                   slices.Concat([]string{noemie}, sec),
		paul:                     slices.Concat(own("paul.bernard"), []string{urgences}),
		lea:                      own("lea.petit"),
		"sophie.moreau" + domain: own("sophie.moreau"),
		"imagerie-auto" + domain: own("imagerie-auto"),
		"marc.roux" + domain:     nil,
		secretariat:              nil,
		urgences:                 nil,
	}
	reads := map[string][]string{paul: sec} // may be opened, and not be written from
	n := 0
	for person, allowed := range may {
		for _, from := range o.everyAddress() {
			for _, habit := range []string{"authzid", "MAIL FROM"} {
				n++
				name := fmt.Sprintf("%s as %s by %s", person, from, habit)
				authzid := ""
				if habit == "authzid" {
					authzid = from
				}
				c := o.dial(t.Context(), Submission)
				c.do("EHLO client", "250-")
				c.send("AUTH PLAIN " + plain(authzid, person, "ok") + "\r\n")
				entered := allowed != nil && (authzid == "" || slices.Contains(allowed, from) || slices.Contains(reads[person], from))
				if got := strings.HasPrefix(c.next(), "235"); got != entered {
					t.Errorf("%s: logged in %t, want %t", name, got, entered)
				}
				if !entered {
					continue
				}
				message := fmt.Sprintf("From: x <%s>\nMessage-ID: <%d@poste>\n\nx\n", from, n)
				got := c.submit(from, []string{claire}, message)
				want := "250"
				if !slices.Contains(allowed, from) {
					want = "MAIL 553 5.7.1"
				}
				if !strings.HasPrefix(got, want) {
					t.Errorf("%s: %q, want %s", name, got, want)
				}
			}
		}
	}
	// What was let through says who it is from, and no other thing.
	labels := map[string]string{
		"claire.durand" + mssante: "Dr Claire Durand", noemie: "=?utf-8?q?Mme_No=C3=A9mie_Martin?=", "secretariat" + mssante: "=?utf-8?q?Secr=C3=A9tariat_-_Clinique_des_Sapins?=",
		urgences: "Urgences - Clinique des Sapins",
	}
	senders := make(map[string]int)
	for _, m := range o.content(claire, "INBOX") {
		head, _, _ := strings.Cut(m, "\r\n\r\n")
		from := field(head, "From")
		address := strings.Trim(from[strings.LastIndex(from, "<")+1:], "<>")
		if want, ok := labels[address]; ok && !strings.EqualFold(from, want+" <"+address+">") {
			t.Errorf("From: %s", from)
		}
		senders[address+" by "+field(head, "Sender")]++
	}
	want := map[string]int{
		"claire.durand" + mssante + " by ": 4, "secretariat" + mssante + " by ": 8, urgences + " by ": 2, noemie + " by ": 2,
		"paul.bernard" + mssante + " by ": 4, urgences + " by paul.bernard" + mssante: 2, "lea.petit" + mssante + " by ": 4,
		"sophie.moreau" + mssante + " by ": 4, "imagerie-auto" + mssante + " by ": 4,
	}
	if fmt.Sprint(senders) != fmt.Sprint(want) {
		t.Errorf("senders %v\nwant %v", senders, want)
	}
}

// field is the value of a header field, unfolded; empty when it is not there.
func field(head, name string) string {
	for line := range strings.SplitSeq(strings.ReplaceAll(head, "\r\n ", " "), "\r\n") {
		if got, value, ok := strings.Cut(line, ": "); ok && strings.EqualFold(got, name) {
			return value
		}
	}
	return ""
}

// TestFromTricks writes as somebody else, in every way in which a header can seem to say so.
func TestFromTricks(t *testing.T) {
	o := newOffice(t, nil)
	const evil, good = "evil@example.net", secretariat
	for i, tt := range []struct {
		name, header string
		taken        bool
	}{
		{"plain", "From: " + good, true},
		{"two fields", "From: " + good + "\nFrom: " + evil, false},
		{"two fields, the other first", "From: " + evil + "\nFrom: " + good, false},
		{"two addresses", "From: " + good + ", " + evil, false},
		{"a trusted name before the address", `From: "` + good + `" <` + evil + ">", false},
		{"an untrusted name before the address", `From: "` + evil + `" <` + good + ">", true},
		{"two in angle brackets", "From: <" + good + "> <" + evil + ">", false},
		{"group", "From: Equipe: " + good + ";", false},
		{"empty group", "From: Equipe:;", false},
		{"encoded word as address", "From: =?utf-8?q?" + strings.ReplaceAll(good, "@", "=40") + "?= <" + evil + ">", false},
		{"encoded word that hides angle brackets", "From: =?utf-8?q?=3C" + strings.ReplaceAll(good, "@", "=40") + "=3E?= <" + evil + ">", false},
		{"comment", "From: " + evil + " (" + good + ")", false},
		{"comment inside", "From: (" + evil + ") " + good, true},
		{"source route", "From: <@example.net:" + good + ">", false},
		{"quoted local part", `From: "secretariat"@clinique-des-sapins.fr`, false},
		{"space before the colon", "From : " + good + "\nFrom: " + evil, false},
		{"bare CR", "From: " + good + "\rFrom: " + evil, false},
		{"NUL", "From: " + good + "\x00" + evil, false},
		{"folded name", "Fr\n om: " + evil + "\nFrom: " + good, false},
		{"folded value", "From:\n " + good, true},
		{"in capitals", "FROM: SECRETARIAT@Clinique-Des-Sapins.FR", true},
		{"dot behind the domain", "From: " + good + ".", false},
		{"homograph", "From: secret\u0430riat" + domain, false},
		{"Sender of somebody else", "From: " + good + "\nSender: " + evil, true},
		{"two Senders", "From: " + good + "\nSender: " + good + "\nSender: " + evil, false},
		{"Resent-From", "Resent-From: " + good + "\nFrom: " + good, false},
		{"Resent-Sender", "Resent-Sender: " + evil + "\nFrom: " + good, false},
		{"no field", "X: y", false},
		{"no address", "From: Secretariat", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := len(o.content(claire, "INBOX"))
			message := tt.header + fmt.Sprintf("\nMessage-ID: <%d@poste>\n\nx\n", i)
			got := o.login(noemie, "").submit(good, []string{claire}, message)
			if taken := strings.HasPrefix(got, "250"); taken != tt.taken {
				t.Fatalf("%q, want it taken: %t", got, tt.taken)
			}
			all := o.content(claire, "INBOX")
			if !tt.taken {
				if len(all) != before {
					t.Error("delivered all the same")
				}
				return
			}
			head, _, _ := strings.Cut(all[before], "\r\n\r\n")
			if strings.Contains(head, evil) || !strings.HasSuffix(field(head, "From"), "<secretariat"+mssante+">") {
				t.Errorf("delivered as %s", head)
			}
		})
	}
}

// TestRedListLeaks sends with every header in which a program may name the person who wrote, as the mailbox and by way of sender: default,
// and looks for the person in all octets that leave.
func TestRedListLeaks(t *testing.T) {
	for _, way := range []string{"as", "sender: default"} {
		t.Run(way, func(t *testing.T) {
			o := newOffice(t, nil)
			from := secretariat
			if way != "as" {
				from = noemie
				a, _ := o.snapshot().Account(noemie)
				a.Sender = policy.SenderDefault
			}
			message := "From: \"MARTIN Noemie\" <" + from + ">\n" +
				"Sender: Noemie Martin <" + noemie + ">\n" +
				"To: " + outside + ", \"Noémie Martin\" <" + noemie + ">\n" +
				"Cc: " + noemie + "\n" +
				"Bcc: " + noemie + "\n" +
				"Reply-To: =?utf-8?q?No=C3=A9mie?= Martin <" + noemie + ">\n" +
				"Disposition-Notification-To: " + strings.ToUpper(noemie) + "\n" +
				"Return-Receipt-To: <" + noemie + ">\n" +
				"X-Confirm-Reading-To: " + noemie + "\n" +
				"Errors-To: " + noemie + "\n" +
				"Return-Path: <" + noemie + ">\n" +
				"Received: from poste-noemie.martin (" + noemie + ") by relais\n" +
				"X-Sender: " + noemie + "\n" +
				"X-Authenticated-User: noemie.martin@clinique-des-sapins.fr\n" +
				"X-Originating-User: =?iso-8859-1?q?No=E9mie_Martin?=\n" +
				"Organization: Cabinet de Noémie Martin\n" +
				"Comments: =?utf-8?b?" + "Tm/DqW1pZSBNYXJ0aW4=" + "?=\n" +
				"X-Folded: Noemie\n\tMartin\n" +
				"Message-ID: <1." + noemie + ">\n" +
				"References: <0@chu>\n" +
				"Subject: rendez-vous\n\nBonjour\n"
			got := o.login(noemie, "").submit(from, []string{outside}, message)
			if !strings.HasPrefix(got, "250") {
				t.Fatal(got)
			}
			o.until("the relay", func() bool { return len(o.hop.left()) == 1 })
			m := o.hop.left()[0]
			if m.from != mail.Address("secretariat"+mssante) {
				t.Errorf("envelope from %s", m.from)
			}
			lower := strings.ToLower(m.octets)
			for _, secret := range []string{"noemie", "noémie", "martin,", "martin <", "no=c3=a9mie", "no=e9mie", "tm/dqw1pzsbnyxj0aw4", "poste-"} {
				if strings.Contains(lower, secret) {
					t.Errorf("%q leaves:\n%s", secret, m.octets)
				}
			}
			if got := field(m.octets, "Subject"); got != "rendez-vous" {
				t.Errorf("subject %q", got)
			}
		})
	}
}

// TestEnvelopeNamesNobody has a client name the person who writes in what else the envelope carries.
func TestEnvelopeNamesNobody(t *testing.T) {
	o := newOffice(t, nil)
	for i, tt := range []struct{ person, from, envid, orcpt, want string }{
		{noemie, secretariat, "noemie.martin+2B42", "rfc822;Noemie+20Martin", " "},
		{noemie, secretariat, "abc", "rfc822;" + outside, "abc rfc822;" + outside},
		{claire, "claire.durand" + mssante, "claire.durand-1", "rfc822;" + claire, "claire.durand-1 rfc822;" + claire},
	} {
		c := o.login(tt.person, "")
		c.do("MAIL FROM:<"+tt.from+"> ENVID="+tt.envid, "250")
		c.do("RCPT TO:<"+outside+"> ORCPT="+tt.orcpt, "250")
		c.do("DATA", "354")
		c.send(fmt.Sprintf("From: <%s>\r\nMessage-ID: <%d@poste>\r\n\r\nx\r\n.\r\n", tt.from, i))
		c.expect("250")
		o.until("the relay", func() bool { return len(o.hop.left()) == i+1 })
		if got := o.hop.left()[i].params; got != tt.want {
			t.Errorf("%s as %s: %q, want %q", tt.person, tt.from, got, tt.want)
		}
	}
}
