package imapproxy

import (
	"strings"
	"testing"

	"balorg/imapproxy/wire"
)

func TestSplitSet(t *testing.T) {
	var numbers []uint32
	for n := uint32(1); n < 100_000; n += 2 {
		numbers = append(numbers, n)
	}
	set := wire.FormatNumbers(numbers)
	parts := splitSet(set)
	for _, p := range parts {
		if len(p) > maxTracedSet {
			t.Errorf("a part of %d octets", len(p))
		}
		if _, err := wire.ParseNumSet(p); err != nil {
			t.Errorf("a part is no set: %v", err)
		}
	}
	if strings.Join(parts, ",") != set || len(parts) < 2 {
		t.Errorf("%d parts do not make the set", len(parts))
	}
	if got := splitSet(""); len(got) != 1 || got[0] != "" {
		t.Errorf("no set: %q", got)
	}
}

func TestParseTransferred(t *testing.T) {
	for _, line := range []string{
		`* 3 FETCH (UID 7 FLAGS (\Seen $Forwarded) INTERNALDATE "05-Nov-2026 10:11:12 +0100")`,
		`* 3 FETCH (INTERNALDATE "05-Nov-2026 10:11:12 +0100" FLAGS (\Seen $Forwarded) UID 7)`,
	} {
		m, err := parseTransferred([]byte(line))
		if err != nil || m.uid != 7 || strings.Join(m.flags, " ") != `\Seen $Forwarded` || m.date != "05-Nov-2026 10:11:12 +0100" {
			t.Errorf("%s: %+v, %v", line, m, err)
		}
	}
	for _, line := range []string{`* 3 FETCH (FLAGS ())`, `* 3 FETCH (UID 7 BODY[] {3}`, `* 3 FETCH`, `* 3 FETCH (UID x)`} {
		if m, err := parseTransferred([]byte(line)); err == nil {
			t.Errorf("%s: %+v", line, m)
		}
	}
}

func TestAppendUID(t *testing.T) {
	for code, want := range map[string]string{"APPENDUID 12 34": "34", "appenduid 12 3:4": "3:4", "COPYUID 1 2 3": "", "": "", "APPENDUID x 1": ""} {
		if _, uid := appendUID(code); uid != want {
			t.Errorf("%q: %q, want %q", code, uid, want)
		}
	}
}

func TestParseListed(t *testing.T) {
	f, err := parseFolder(wire.NewParser([]byte(`(\HasNoChildren \Sent) "/" "Envoy&AOk-s"`)))
	if err != nil || f.name != "Envoy&AOk-s" || strings.Join(f.attrs, " ") != `\Sent` {
		t.Errorf("%+v, %v", f, err)
	}
	for _, bad := range []string{``, `() "/"`, `() "/" {3}`, `x "/" INBOX`} {
		if f, err := parseFolder(wire.NewParser([]byte(bad))); err == nil {
			t.Errorf("%q: %+v", bad, f)
		}
	}
}

func TestCheckID(t *testing.T) {
	for _, ok := range []string{`NIL`, `nil`, `()`, `("name" "x")`, `("name" NIL "version" "1")`, "(\"name\" {3}\r\nabc)"} {
		if err := checkID([]byte(ok)); err != nil {
			t.Errorf("%s: %v", ok, err)
		}
	}
	for _, bad := range []string{``, `x`, `("name")`, `("name" "x"`, `("name" "x") y`, "(" + strings.Repeat(`"a" "b" `, 31) + ")"} {
		if err := checkID([]byte(bad)); err == nil {
			t.Errorf("%s passes", bad)
		}
	}
}

// TestUIDsWithFlags: a mail store may tell flags along with the UIDs that the trace asks for, and flags of other messages among them.
func TestUIDsWithFlags(t *testing.T) {
	c := &uidCollector{}
	take := c.fetchOf("2:4,9:*")
	r := wire.NewResponseReader(strings.NewReader("* 2 FETCH (UID 20)\r\n* 3 FETCH (UID 30 FLAGS (\\Seen))\r\n* 7 FETCH (UID 70 FLAGS ())\r\n* 12 FETCH (FLAGS () UID 120)\r\n* 4 EXPUNGE\r\n"))
	var passed int
	for {
		resp, err := r.Next()
		if err != nil {
			break
		}
		if took, err := take(r, resp); err != nil || !took {
			passed++
		}
	}
	if got := c.String(); got != "20,30,120" || passed != 4 {
		t.Errorf("UIDs %s, %d responses for the client", got, passed)
	}
}
