package message_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"balorg/mail"
	"balorg/smtp/message"
)

const (
	secretariat = "secretariat@sapins.mssante.fr"
	label       = "Secrétariat - Clinique des Sapins"
	fromLine    = "From: =?utf-8?q?Secr=C3=A9tariat_-_Clinique_des_Sapins?=\r\n <secretariat@sapins.mssante.fr>"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.FixedZone("", 3600))

// as is a message that Noémie Martin sends as the secretariat, which hides her.
func as() message.Rewrite {
	return message.Rewrite{
		From: secretariat, Name: label, Date: noon, MessageID: func() string { return "<new@sapins.mssante.fr>" },
		Person: &message.Person{
			Addresses: []mail.Address{"noemie.martin@clinique-des-sapins.fr", "n.martin@sapins.mssante.fr"}, Nom: "Martin", Prenom: "Noémie",
		},
	}
}

// always are the fields that every message of these tests has, which pass as they are.
var always = []string{"Message-ID: <1@client>", "Date: Tue, 24 Nov 2026 12:00:00 +0100"}

func rewritten(t *testing.T, r message.Rewrite, lines ...string) string {
	t.Helper()
	return string(r.Apply(read(t, lines...)).Header.Bytes())
}

// TestRewriteField tells what becomes of one field of a message sent as the mailbox; an empty want: it is removed.
func TestRewriteField(t *testing.T) {
	const box = "=?utf-8?q?Secr=C3=A9tariat_-_Clinique_des_Sapins?=\r\n <secretariat@sapins.mssante.fr>"
	same := "same"
	for _, tt := range []struct{ field, want string }{
		// content of the author's
		{"Subject: Noémie Martin, noemie.martin@clinique-des-sapins.fr", same},
		{"Subject: =?utf-8?q?a?=\r\n =?utf-8?q?b?=", same},
		{"Content-Type: application/pdf;\r\n name=\"Noemie Martin.pdf\"", same},
		{"MIME-Version: 1.0", same},
		// to pass, unless they name the person
		{"Reply-To: Accueil <accueil@sapins.mssante.fr>", same},
		{"Disposition-Notification-To: secretariat@sapins.mssante.fr", same},
		{"X-MSS-NIL: VSM", same},
		{"X-MSS-CODECDA: 11502-2", same},
		{"X-MSS-INS: 1.2.3^^^&1.2.250.1.213.1.4.8&ISO^NH", same},
		{"X-MSS-MES:   FIN", same},
		{"X-MSS-INS: n.martin@sapins.mssante.fr", ""},
		{"In-Reply-To: <a@b>", same},
		{"References: <a@b>\r\n <c@d>", same},
		{"References: <a@b>\r\n <x.noemie.martin@clinique-des-sapins.fr> <c@d>", "References: <a@b>\r\n <c@d>"},
		{"In-Reply-To: <x.noemie.martin@clinique-des-sapins.fr>", ""},
		{"Importance: high", same},
		{"X-Priority: 1 (Highest)", same},
		{"User-Agent: Mozilla Thunderbird", same},
		{"Organization: Clinique des Sapins", same},
		{"List-Unsubscribe: <mailto:x@y.fr>", same},
		// where an answer goes
		{"Reply-To: noemie.martin@clinique-des-sapins.fr", "Reply-To: " + box},
		{"Reply-To: N.Martin@SAPINS.mssante.fr", "Reply-To: " + box},
		{"reply-to: Noémie Martin <noemie.martin@clinique-des-sapins.fr>, Accueil <a@b.fr>", "reply-to: " + box + ",\r\n Accueil <a@b.fr>"},
		{"Reply-To: n.martin@sapins.mssante.fr, noemie.martin@clinique-des-sapins.fr", "Reply-To: " + box},
		{"Reply-To: noemie.martin@example.net", "Reply-To: " + box},
		{"Reply-To: Noémie Martin <a@b.fr>", "Reply-To: a@b.fr"},
		{"Reply-To: g: Noémie Martin <n.martin@sapins.mssante.fr>;", "Reply-To: " + box},
		{"Reply-To: noemie.martin@clinique-des-sapins.fr <broken", ""},
		{"Disposition-Notification-To: <noemie.martin@clinique-des-sapins.fr>", "Disposition-Notification-To: " + box},
		{"Return-Receipt-To: noemie.martin@clinique-des-sapins.fr", "Return-Receipt-To: " + box},
		{"X-Confirm-Reading-To: noemie.martin@clinique-des-sapins.fr", "X-Confirm-Reading-To: " + box},
		{"Errors-To: noemie.martin@clinique-des-sapins.fr", "Errors-To: " + box},
		{"Mail-Followup-To: noemie.martin@clinique-des-sapins.fr, a@b.fr", "Mail-Followup-To: " + box + ",\r\n a@b.fr"},
		{"Generate-Delivery-Report: noemie.martin@clinique-des-sapins.fr", "Generate-Delivery-Report: " + box},
		{"Return-Path: <noemie.martin@clinique-des-sapins.fr>", ""},
		{"Return-Path: <a@b.fr>", ""},
		// recipients
		{"To: a@b.fr, \"B, C\" <b@c.fr>", same},
		{"To: undisclosed-recipients:;", same},
		{"To: Noémie <a@b.fr>", same}, // another of that name
		{"Cc: Noémie Martin <noemie.martin@clinique-des-sapins.fr>,\r\n \"B, C\" <b@c.fr>", "Cc: " + box + ",\r\n \"B, C\" <b@c.fr>"},
		{"Cc: Noémie Martin <noemie.martin@example.net>", "Cc: noemie.martin@example.net"},
		{"Cc: a@b.fr (for Noémie Martin)", "Cc: a@b.fr"},
		{"Cc: =?iso-8859-1?q?No=E9mie_MARTIN?= <a@b.fr>", "Cc: a@b.fr"},
		{"Cc: a@b.fr, noemie.martin@sapins, x@y.fr", "Cc: a@b.fr,\r\n x@y.fr"},
		{"Bcc: a@b.fr", ""},
		{"Sender: noemie.martin@clinique-des-sapins.fr", ""},
		{"Sender: secretariat@sapins.mssante.fr", ""},
		// what a client adds
		{"X-Sender: noemie.martin@clinique-des-sapins.fr", ""},
		{"X-Sender: NOEMIE.Martin@CLINIQUE-des-sapins.fr", ""},
		{"X-Sender: noemie.martin", ""},
		{"X-Sender: noemiemartin", ""},
		{"X-Author: Martin, Noémie", ""},
		{"X-Author: Noe\u0301mie MARTIN", ""},
		{"X-Author: No\xe9mie Martin", ""},
		{"X-Author: Noémie Martin, m\xe9decin", ""},
		{"X-Author: =?utf-8?b?Tm/DqW1pZQ==?= =?windows-1252?q?Martin?=", ""},
		{"X-Author: =?utf-8?q?No=C3=A9?=\r\n =?utf-8?q?mie_Martin?=", ""},
		{"X-Author: =?unknown?q?Noemie_Martin?=", ""},
		{"X-Author: \"No\\emie\" \"Mar\\tin\"", ""},
		{"X-Author: x; name*=utf-8''No%C3%A9mie%20Martin", ""},
		{"X-Author: x; name*0=\"Noemie Ma\"; name*1=\"rtin\"", ""},
		{"X-Author: Noémie", same},
		{"X-Author: Martin Noël", same},
		{"X-Noemie-Martin: 1", ""},
		{"Organization: Cabinet Noemie Martin", ""},
		{"Comments: written by\r\n\tnoemie\r\n\tmartin", ""},
		{"Keywords: noemie, martin", ""},
		{"User-Agent: Mail of noemie.martin@clinique-des-sapins.fr", ""},
		{"Received: from pc (noemie.martin@clinique-des-sapins.fr)", ""},
		{"Received: from pc by server; Tue, 24 Nov 2026 12:00:00 +0100", same},
		{"Authentication-Results: x; auth=pass smtp.auth=noemie.martin@clinique-des-sapins.fr", ""},
		{"X-Originating-Client: noemie.martin%40clinique-des-sapins.fr", ""},
		{"X-Mozilla-Draft: imap://noemie%2Emartin%40clinique-des-sapins.fr@host/Sent 100%", ""},
		{"Autocrypt: addr=a@b.fr; keydata=\r\n AAAATm9lbWllIE1h\r\n cnRpbiA8eEB5LmZyPg==", ""},
		{"List-Unsubscribe: <mailto:noemie.martin@clinique-des-sapins.fr>", ""},
		{"Content-ID: <x.noemie.martin@clinique-des-sapins.fr>", ""},
		{"X-Broken: =?utf-8?b?!!!?= %zz %", same},
	} {
		want := fromLine + "\r\n" + strings.Join(always, "\r\n") + "\r\n"
		switch tt.want {
		case "":
		case same:
			want += tt.field + "\r\n"
		default:
			want += tt.want + "\r\n"
		}
		got := rewritten(t, as(), append(append([]string{"From: noemie.martin@clinique-des-sapins.fr"}, always...), tt.field)...)
		if diff := cmp.Diff(want+"\r\n", got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.field, diff)
		}
	}
}

func TestRewriteMessageID(t *testing.T) {
	for _, tt := range []struct {
		lines              []string
		id, former, fields string
	}{
		{[]string{"Message-ID: <a@b>"}, "<a@b>", "<a@b>", "Message-ID: <a@b>\r\n"},
		{[]string{"Message-id:\r\n <a@b>"}, "<a@b>", "<a@b>", "Message-id:\r\n <a@b>\r\n"},
		{[]string{"X: 1"}, "<new@sapins.mssante.fr>", "", "X: 1\r\nMessage-ID: <new@sapins.mssante.fr>\r\n"},
		{[]string{"Message-ID:", "X: 1"}, "<new@sapins.mssante.fr>", "", "Message-ID: <new@sapins.mssante.fr>\r\nX: 1\r\n"},
		{
			[]string{"Message-ID: <1.Noemie.Martin@clinique-des-sapins.fr>", "X: 1"},
			"<new@sapins.mssante.fr>", "<1.Noemie.Martin@clinique-des-sapins.fr>", "Message-ID: <new@sapins.mssante.fr>\r\nX: 1\r\n",
		},
	} {
		r := as()
		got := r.Apply(read(t, append([]string{"From: x@y.fr", "Date: now"}, tt.lines...)...))
		want := fromLine + "\r\nDate: now\r\n" + tt.fields + "\r\n"
		if got.MessageID != tt.id || got.Former != tt.former || string(got.Header.Bytes()) != want {
			t.Errorf("%q: %q, before %q, %q", tt.lines, got.MessageID, got.Former, got.Header.Bytes())
		}
	}
	r := as()
	r.MessageID = nil
	one, two := r.Apply(read(t, "From: x@y.fr")), r.Apply(read(t, "From: x@y.fr"))
	if one.MessageID == two.MessageID || !strings.HasSuffix(one.MessageID, "@sapins.mssante.fr>") {
		t.Errorf("random ids %q and %q", one.MessageID, two.MessageID)
	}
	if got := string(one.Header.Bytes()); !strings.Contains(got, "\r\nDate: Tue, 24 Nov 2026 12:00:00 +0100\r\n") {
		t.Errorf("no date in %q", got)
	}
}

// TestOwn: what people send as themselves keeps all that they wrote.
func TestOwn(t *testing.T) {
	r := as()
	r.From, r.Name, r.Person = "n.martin@sapins.mssante.fr", "Mme Noémie Martin", nil
	lines := []string{
		"Reply-To: noemie.martin@clinique-des-sapins.fr", "X-Sender: Noémie Martin", "To: noemie.martin@clinique-des-sapins.fr", "Message-ID: <x.noemie.martin@clinique-des-sapins.fr>", "Date: x",
	}
	got := rewritten(t, r, append([]string{"From: noemie.martin@clinique-des-sapins.fr", "Sender: x@y.fr"}, lines...)...)
	want := "From: =?utf-8?q?Mme_No=C3=A9mie_Martin?= <n.martin@sapins.mssante.fr>\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestOnBehalf: the person is named as Sender, and answers go to the mailbox.
func TestOnBehalf(t *testing.T) {
	r := as()
	r.Sender = "n.martin@sapins.mssante.fr"
	keep := []string{
		"X-Sender: Noémie Martin", "To: noemie.martin@clinique-des-sapins.fr", "Message-ID: <x.noemie.martin@clinique-des-sapins.fr>", "Date: x",
		"Mail-Followup-To: Noémie Martin <a@b.fr> (x)", "Errors-To: noemie.martin@clinique-des-sapins.fr <broken",
	}
	got := rewritten(t, r, append([]string{"From: x@y.fr", "Reply-To: noemie.martin@clinique-des-sapins.fr, Noémie Martin <a@b.fr>"}, keep...)...)
	want := fromLine + "\r\nSender: n.martin@sapins.mssante.fr\r\n" +
		"Reply-To: =?utf-8?q?Secr=C3=A9tariat_-_Clinique_des_Sapins?=\r\n <secretariat@sapins.mssante.fr>,\r\n Noémie Martin <a@b.fr>\r\n" + strings.Join(keep, "\r\n") + "\r\n\r\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got = rewritten(t, r, "From: x@y.fr", "Date: x", "Message-ID: <a@b>", "sender: evil@out.fr")
	if want := fromLine + "\r\nDate: x\r\nMessage-ID: <a@b>\r\nsender: n.martin@sapins.mssante.fr\r\n\r\n"; got != want {
		t.Errorf("%q", got)
	}
}

// TestPublic: local accounts named by identifier leave under their MSSanté addresses; around them no octet changes.
func TestPublic(t *testing.T) {
	r := as()
	r.Public = func(a mail.Address) (mail.Address, bool) {
		if a.Domain() != "clinique-des-sapins.fr" {
			return "", false
		}
		return mail.Address(a.Local() + "@sapins.mssante.fr"), true
	}
	for _, tt := range []struct{ field, want string }{
		{"To: \"D, C\" <Claire.Durand@Clinique-des-Sapins.fr> (x),\r\n\ta@b.fr , x@clinique-des-sapins.fr", "To: \"D, C\" <claire.durand@sapins.mssante.fr> (x),\r\n\ta@b.fr , x@sapins.mssante.fr"},
		{"Cc:x@clinique-des-sapins.fr", "Cc:x@sapins.mssante.fr"},
		{"Cc: a@b.fr", "Cc: a@b.fr"},
		{"To: broken <x@clinique-des-sapins.fr", "To: broken <x@clinique-des-sapins.fr"},
		{"Reply-To: x@clinique-des-sapins.fr", "Reply-To: x@clinique-des-sapins.fr"},
		{"To: n.martin@sapins.mssante.fr, X <x@clinique-des-sapins.fr>", "To: =?utf-8?q?Secr=C3=A9tariat_-_Clinique_des_Sapins?=\r\n <secretariat@sapins.mssante.fr>,\r\n X <x@sapins.mssante.fr>"},
	} {
		got := rewritten(t, r, append(always, tt.field, "From: x@y.fr")...)
		if want := strings.Join(always, "\r\n") + "\r\n" + tt.want + "\r\n" + fromLine + "\r\n\r\n"; got != want {
			t.Errorf("%q: %q", tt.field, got)
		}
	}
}

// TestFromName: names of all kinds are written so that they are read as they are, on lines that are short enough.
func TestFromName(t *testing.T) {
	for _, tt := range []struct{ name, want string }{
		{"", "From: a@b.fr"},
		{"Dr Claire Durand", "From: Dr Claire Durand <a@b.fr>"},
		{"Dr. Claire Durand", `From: "Dr. Claire Durand" <a@b.fr>`},
		{`A "B" \ (C)`, `From: "A \"B\" \\ (C)" <a@b.fr>`},
		{"=?utf-8?q?x?=", `From: "=?utf-8?q?x?=" <a@b.fr>`},
		{"a\r\nTo: b", `From: "a To: b" <a@b.fr>`},
		{"É, è (à)", "From: =?utf-8?q?=C3=89=2C_=C3=A8_=28=C3=A0=29?= <a@b.fr>"},
		{strings.Repeat("a ", 35) + "b", "From: " + strings.Repeat("a ", 35) + "b\r\n <a@b.fr>"},
		{strings.Repeat("é", 10), "From: =?utf-8?q?" + strings.Repeat("=C3=A9", 8) + "?=\r\n =?utf-8?q?=C3=A9=C3=A9?= <a@b.fr>"},
	} {
		r := message.Rewrite{From: "a@b.fr", Name: tt.name}
		got := rewritten(t, r, append([]string{"From: x@y.fr"}, always...)...)
		if want := tt.want + "\r\n" + strings.Join(always, "\r\n") + "\r\n\r\n"; got != want {
			t.Errorf("%q: %q, want %q", tt.name, got, want)
		}
	}
}
