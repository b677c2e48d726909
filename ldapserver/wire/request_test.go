package wire_test

import (
	"testing"

	"balorg/ldapserver/ber"
	"balorg/ldapserver/schema"
	"balorg/ldapserver/wire"
)

// search encodes one for all entries.
func search(typesOnly bool, attributes ...string) []byte {
	b, message := ber.Begin(nil, ber.Sequence)
	b = ber.AppendInt(b, ber.Integer, 2)
	b, body := ber.Begin(b, ber.Application(wire.SearchRequest, true))
	b = ber.Append(b, ber.Octets, "")
	b = ber.AppendInt(ber.AppendInt(b, ber.Enumerated, 2), ber.Enumerated, 0)
	b = ber.AppendInt(ber.AppendInt(b, ber.Integer, 0), ber.Integer, 0)
	b = ber.AppendBool(b, typesOnly)
	b = ber.Append(b, ber.Context(0, true), "")
	b, list := ber.Begin(b, ber.Sequence)
	for _, a := range attributes {
		b = ber.Append(b, ber.Octets, a)
	}
	return ber.End(ber.End(ber.End(b, list), body), message)
}

// TestSelection: a request that is used again knows what each search asks for, whatever the one before did.
func TestSelection(t *testing.T) {
	record := []byte{byte(schema.CN), ber.Set, 3, ber.Octets, 1, 'c', byte(schema.Mail), ber.Set, 3, ber.Octets, 1, 'm', byte(schema.HasSubordinates), ber.Set, 3, ber.Octets, 1, 'h'}
	value := func(name, value string) string {
		set := ber.Append(nil, ber.Set, "")
		if value != "" {
			set = ber.Append(nil, ber.Set, ber.Append(nil, ber.Octets, value))
		}
		return string(ber.Append(nil, ber.Sequence, append(ber.Append(nil, ber.Octets, name), set...)))
	}
	cn, mail, below := value("cn", "c"), value("mail", "m"), value("hasSubordinates", "h")
	var r wire.Request
	for i, of := range []struct {
		message []byte
		want    string
	}{
		{search(false, "CN"), cn},
		{search(false, "CN"), cn},
		{search(true, "CN"), value("cn", "")},
		{search(false, "mail", "nosuch"), mail},
		{search(false), cn + mail},
		{search(false), cn + mail},
		{search(false, "1.1"), ""},
		{search(false, "*"), cn + mail},
		{search(false, "+"), below},
		{search(false, "*", "+"), cn + mail + below},
		{search(false, "hasSubordinates"), below},
		{search(false, "1.1"), ""},
	} {
		if err := r.Parse(of.message); err != nil {
			t.Fatal(err)
		}
		got := wire.AppendEntry([]byte("before"), 7, []byte("mail=m"), &r.Search.Selection, record)
		body := ber.Append(ber.Append(nil, ber.Octets, "mail=m"), ber.Sequence, of.want)
		want := ber.Append(nil, ber.Sequence, append(ber.AppendInt(nil, ber.Integer, 7), ber.Append(nil, ber.Application(wire.SearchEntry, true), body)...))
		if string(got) != "before"+string(want) {
			t.Errorf("search %d is answered %q, want %q", i, got, want)
		}
	}
}
