package schema_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"balorg/ldapserver/schema"
)

func TestFoldText(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "  ": "", "Durand": "durand", "  A   B ": "a b", "\tA\n\tB": "a b", "É": "e", "E\u0301": "e", "ÀÉÎÕÜÇ": "aeiouc", "Œuvre": "oeuvre", "Æ": "ae", "ß": "ss", "Strasse": "strasse", "L’Haÿ": "l'hay", "Saint–Cloud": "saint-cloud",
		"a\u00a0b": "a b", "a\u00adb": "ab", "a\u200bb": "ab", "ﬁn": "fin", "ＡＢ": "ab", "\x00a\x7f": "a", "Ŀ": "l·", "Øre": "ore", "ΣΑΣ": "σασ", "日本": "日本", "İ": "i", "a\u0301\u0323": "a",
	} {
		if got := string(schema.FoldText(nil, []byte(text), schema.Whole)); got != want {
			t.Errorf("%q is folded to %q, want %q", text, got, want)
		}
	}
	for _, test := range []struct {
		text string
		part schema.Part
		want string
	}{
		{" a  b ", schema.Initial, "a b "}, {" a  b ", schema.Any, " a b "}, {" a  b ", schema.Final, " a b"}, {" É ", schema.Initial, "e "}, {" É ", schema.Any, " e "}, {" É ", schema.Final, " e"},
	} {
		if got := string(schema.FoldText(nil, []byte(test.text), test.part)); got != test.want {
			t.Errorf("%q as part %d: %q, want %q", test.text, test.part, got, test.want)
		}
	}
}

func TestFold(t *testing.T) {
	for _, test := range []struct {
		a           schema.Attribute
		value, want string
		ok          bool
	}{
		{schema.TelephoneNumber, "+33 5.61-00 (0)", "+33561000", true},
		{schema.IdentifiantPP, " 1 000 ", "1000", true},
		{schema.HasSubordinates, "TRUE", "TRUE", true},
		{schema.HasSubordinates, "true", "", false},
		{schema.ObjectClass, "inetorgPERSON", "inetorgperson", true},
		{schema.ObjectClass, "2.5.6.7", "organizationalperson", true},
		{schema.ObjectClass, "x", "", false},
		{schema.ModifyTimestamp, "2026110213Z", "20261102130000Z", true},
		{schema.ModifyTimestamp, "20261102130000.5-0230", "20261102153000Z", true},
		{schema.ModifyTimestamp, "2026", "", false},
		{schema.EntryUUID, "00000000-0000-0000-0000-00000000000a", strings.Repeat("\x00", 15) + "\n", true},
		{schema.EntryUUID, "00000000-0000-0000-0000-00000000000", "", false},
		{schema.EntryUUID, "0000000000000-0000-0000-00000000000a0", "", false},
		{schema.CN, "\xff", "", false},
		{schema.NamingContexts, "dc=x", "", false},
	} {
		got, ok := test.a.Fold(nil, []byte(test.value))
		if ok != test.ok || (ok && string(got) != test.want) {
			t.Errorf("%s %q: %q %v, want %q %v", test.a.Name(), test.value, got, ok, test.want, test.ok)
		}
	}
}

func TestLookup(t *testing.T) {
	for name, want := range map[string]schema.Attribute{
		"CN": schema.CN, "commonname": schema.CN, "2.5.4.3": schema.CN, "rfc822mailbox": schema.Mail, "typebal": schema.TypeBAL, "zip": schema.PostalCode, "cn;lang-fr": schema.None, "": schema.None, "xmozillanickname": schema.None,
		strings.Repeat("x", 100): schema.None,
	} {
		if got := schema.Lookup([]byte(name)); got != want {
			t.Errorf("%q is attribute %d, want %d", name, got, want)
		}
	}
}

// TestDescriptions: every attribute of a class is described, names and numbers stand once, and what is described can be looked up.
func TestDescriptions(t *testing.T) {
	seen := make(map[string]bool)
	all := strings.Join(schema.DescribeAttributes(), "\n")
	for a := range schema.Count {
		if name := strings.ToLower(a.Name()); seen[name] || schema.Lookup([]byte(name)) != a {
			t.Errorf("attribute %s stands twice or cannot be looked up", name)
		} else {
			seen[name] = true
		}
		if !strings.Contains(all, "'"+a.Name()+"'") {
			t.Errorf("%s is not described", a.Name())
		}
	}
	for _, class := range schema.DescribeClasses() {
		for _, list := range []string{"MUST ", "MAY "} {
			_, rest, ok := strings.Cut(class, list)
			if !ok {
				continue
			}
			names, _, _ := strings.Cut(strings.TrimPrefix(rest, "( "), " )")
			for name := range strings.SplitSeq(names, " $ ") {
				name, _, _ = strings.Cut(name, " ")
				if schema.Lookup([]byte(name)) == schema.None {
					t.Errorf("%q of a class is no attribute: %s", name, class)
				}
			}
		}
	}
}

// FuzzFold: folding twice is folding once, and the quick way for ASCII is the other one.
func FuzzFold(f *testing.F) {
	for _, seed := range []string{"Durand", "  É  ", "Œ’–", "a\u0301", "\u1e9e"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return
		}
		once := schema.FoldText(nil, []byte(text), schema.Whole)
		if twice := schema.FoldText(nil, once, schema.Whole); !bytes.Equal(once, twice) {
			t.Errorf("%q is folded to %q and that to %q", text, once, twice)
		}
		// A letter that must be taken the long way changes nothing about the others.
		long := schema.FoldText(nil, []byte(text+"é"), schema.Whole)
		odd := strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r >= 0x7f }) // what is dropped makes the end another
		if !odd && !strings.HasSuffix(text, " ") && !bytes.Equal(long, append(bytes.Clone(once), 'e')) {
			t.Errorf("%q is folded to %q, with a letter more to %q", text, once, long)
		}
	})
}
