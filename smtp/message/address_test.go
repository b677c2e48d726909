package message_test

import (
	"strings"
	"testing"

	"balorg/smtp/message"
)

// show tells what a list says: each address, or what stands in its place in quotes, then what of the value is the whole mailbox.
func show(value string, list message.AddressList) string {
	var parts []string
	for _, m := range list.Mailboxes {
		address := string(m.Address)
		if address == "" {
			address = `"` + value[m.Spec:m.SpecEnd] + `"`
		}
		parts = append(parts, address+" in "+value[m.Start:m.End])
	}
	return strings.Join(parts, "; ")
}

func TestParseAddressList(t *testing.T) {
	for _, tt := range []struct{ value, want string }{
		{"a@b.fr", "a@b.fr in a@b.fr"},
		{" A@B.fr ", "a@b.fr in A@B.fr"},
		{"Claire Durand <a@b.fr>", "a@b.fr in Claire Durand <a@b.fr>"},
		{"Dr. C. Durand <a@b.fr>", "a@b.fr in Dr. C. Durand <a@b.fr>"},
		{`"Durand, Claire" <a@b.fr>, c@d.fr`, `a@b.fr in "Durand, Claire" <a@b.fr>; c@d.fr in c@d.fr`},
		{`"x@trusted.fr" <evil@out.fr>`, `evil@out.fr in "x@trusted.fr" <evil@out.fr>`},
		{`"x@trusted.fr>, " <evil@out.fr>`, `evil@out.fr in "x@trusted.fr>, " <evil@out.fr>`},
		{`"a\"<x@y.fr>" <a@b.fr>`, `a@b.fr in "a\"<x@y.fr>" <a@b.fr>`},
		{"(x@trusted.fr) a@b.fr (Claire (Dr\\)))", "a@b.fr in a@b.fr"},
		{"=?utf-8?q?x=40trusted.fr?= <a@b.fr>", "a@b.fr in =?utf-8?q?x=40trusted.fr?= <a@b.fr>"},
		{"=?utf-8?q?x=40trusted.fr?=\r\n <a@b.fr>", "a@b.fr in =?utf-8?q?x=40trusted.fr?=\r\n <a@b.fr>"},
		{"No\xe9mie <a@b.fr>", "a@b.fr in No\xe9mie <a@b.fr>"},
		{"<a@b.fr>", "a@b.fr in <a@b.fr>"},
		{"< a@b.fr >", "a@b.fr in < a@b.fr >"},
		{"a@b.fr,\r\n\tc@d.fr", "a@b.fr in a@b.fr; c@d.fr in c@d.fr"},
		{"a@b.fr, , c@d.fr,", "a@b.fr in a@b.fr; c@d.fr in c@d.fr"},
		{"team: a@b.fr, X <c@d.fr>; , e@f.fr", "a@b.fr in a@b.fr; c@d.fr in X <c@d.fr>; e@f.fr in e@f.fr"},
		{"undisclosed-recipients:;", ""},
		{"", ""},
		{`"a b"@b.fr, <"a@x.fr"@b.fr>`, `""a b"@b.fr" in "a b"@b.fr; ""a@x.fr"@b.fr" in <"a@x.fr"@b.fr>`},
		{"a@[127.0.0.1]", `"a@[127.0.0.1]" in a@[127.0.0.1]`},
		{"a..b@c.fr, a%b@c.fr, a!b@c.fr, a@localhost", `"a..b@c.fr" in a..b@c.fr; "a%b@c.fr" in a%b@c.fr; "a!b@c.fr" in a!b@c.fr; "a@localhost" in a@localhost`},
		{"=?utf-8?q?a=40b.fr?=@c.fr", "=?utf-8?q?a=40b.fr?=@c.fr in =?utf-8?q?a=40b.fr?=@c.fr"},
		{"élan@hôpital.fr", "élan@xn--hpital-ixa.fr in élan@hôpital.fr"},
	} {
		list, err := message.ParseAddressList([]byte(tt.value))
		if got := show(tt.value, list); got != tt.want || err != nil {
			t.Errorf("%q: %s, %v; want %s", tt.value, got, err, tt.want)
		}
	}
}

func TestParseAddressListRefuses(t *testing.T) {
	for _, tt := range []struct{ value, want string }{
		{"<@route.fr:a@b.fr>", "a route before an address"},
		{"<@route.fr,@other.fr:a@b.fr>", "a route before an address"},
		{"<a@b.fr> <c@d.fr>", "no comma between two addresses"},
		{"a@b.fr <c@d.fr>", "no comma between two addresses"},
		{"a@b.fr c@d.fr", "no comma between two addresses"},
		{"<a@b.fr>c@d.fr", "no comma between two addresses"},
		{"<a@b.fr,c@d.fr>", "something else than an address between < and >"},
		{"<a@b.fr@c.fr>", "something else than an address between < and >"},
		{"a@b.fr@c.fr", "no comma between two addresses"},
		{"<a@b.fr (x)>", "something else than an address between < and >"},
		{"<(x) a@b.fr>", "no address between < and >"},
		{"a (x) @b.fr", "more than a local part before an @"},
		{"a @b.fr", "more than a local part before an @"},
		{"a@ b.fr", "an address without a domain"},
		{"a@(x)b.fr", "an address without a domain"},
		{"a b@c.fr", "more than a local part before an @"},
		{"a\r\n b@c.fr", "more than a local part before an @"},
		{"<>", "no address between < and >"},
		{"<a>", "an address without @"},
		{"Claire", "a name without an address"},
		{"Claire, a@b.fr", "a name without an address"},
		{"Claire <a@b.fr", "something else than an address between < and >"},
		{"Claire a@b.fr>", "more than a local part before an @"},
		{`"Claire <a@b.fr>`, "a quote is not closed"},
		{`"Claire\" <a@b.fr>`, "a quote is not closed"},
		{`"Claire` + "\x01" + `" <a@b.fr>`, "a control character in quotes"},
		{"(x a@b.fr", "a comment is not closed"},
		{`(x\) a@b.fr`, "a comment is not closed"},
		{"a@b.fr; c@d.fr", "no comma between two addresses"},
		{"g: a@b.fr", "a group is not closed"},
		{"g: h: a@b.fr;;", "a colon where none belongs"},
		{"g: a@b.fr; c@d.fr", "no comma behind a group"},
		{": a@b.fr;", "a colon where none belongs"},
		{"a@[127.0.0.1", "an address literal is not closed"},
		{"Claire [x] <a@b.fr>", "a name without an address"},
		{"=?utf-8?q?Durand,_C?= <a@b.fr>", "a name without an address"},
		{"a@b.fr\x01", "no comma between two addresses"},
		{"\x01", "no comma between two addresses"},
	} {
		list, err := message.ParseAddressList([]byte(tt.value))
		if err == nil || err.Error() != tt.want {
			t.Errorf("%q: %s, %v; want %s", tt.value, show(tt.value, list), err, tt.want)
		}
	}
}

// FuzzParseAddressList: spans lie in the value one behind the other, and what an address is printed as is read as itself.
func FuzzParseAddressList(f *testing.F) {
	for _, s := range []string{
		"a@b.fr", `"Durand, Claire" <a@b.fr>, c@d.fr`, "team: a@b.fr, X <c@d.fr>; , e@f.fr", "(x (y)) <a@b.fr>", "<@r.fr:a@b.fr>", "a@[127.0.0.1]", "=?utf-8?q?a?= <a@b.fr>", "0@\xc5.0",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		list, err := message.ParseAddressList(value)
		if err != nil {
			return
		}
		last := 0
		for _, m := range list.Mailboxes {
			if m.Start < last || m.Spec < m.Start || m.SpecEnd <= m.Spec || m.End < m.SpecEnd || m.End > len(value) {
				t.Fatalf("%q: spans %+v", value, m)
			}
			last = m.End
			again, err := message.ParseAddressList(value[m.Start:m.End])
			if err != nil || len(again.Mailboxes) != 1 || again.Mailboxes[0].Address != m.Address {
				t.Fatalf("%q alone: %+v, %v", value[m.Start:m.End], again, err)
			}
			if m.Address == "" {
				continue
			}
			printed, err := message.ParseAddressList([]byte(m.Address))
			if err != nil || len(printed.Mailboxes) != 1 || printed.Mailboxes[0].Address != m.Address {
				t.Fatalf("%q printed: %+v, %v", m.Address, printed, err)
			}
		}
	})
}
