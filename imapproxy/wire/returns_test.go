package wire

import (
	"slices"
	"testing"
)

func TestReturns(t *testing.T) {
	for _, tt := range []struct{ args, written, rest string }{
		{"RETURN (UPDATE min) ALL", "RETURN (MIN UPDATE)", "ALL"},
		{"return (CONTEXT PARTIAL 500:400 COUNT) (DATE) UTF-8 1", "RETURN (COUNT CONTEXT PARTIAL 500:400)", "(DATE) UTF-8 1"},
		{"RETURN () ALL", "RETURN (ALL)", "ALL"},
		{"RETURN (SAVE MAX ALL) $", "RETURN (MAX ALL SAVE)", "$"},
		{"RETURN (UPDATE CONTEXT) x", "RETURN (CONTEXT UPDATE)", "x"},
		{"NOT RETURN", "RETURN (COUNT)", "NOT RETURN"},
		{"", "RETURN (COUNT)", ""},
	} {
		s, rest, err := ParseReturns([]byte(tt.args))
		if got := string(s.AppendReturns(nil)); err != nil || got != tt.written || string(rest) != tt.rest {
			t.Errorf("%q: %s, %q, %v", tt.args, got, rest, err)
		}
	}
	s, _, _ := ParseReturns([]byte("RETURN (UPDATE CONTEXT) ALL"))
	s.Update = false
	if got := string(s.AppendReturns(nil)); got != "RETURN (CONTEXT COUNT)" {
		t.Errorf("without UPDATE: %s", got)
	}
	for _, args := range []string{
		"RETURN", "RETURN ALL", "RETURN  (ALL) ALL", " RETURN (ALL) ALL", "RETURN(ALL) ALL", "RETURN (UPDATE (BODY[])) ALL", "RETURN (RELEVANCY) ALL", "RETURN (ALL)", "RETURN (ALL ) ALL", "RETURN ({3+}\r\nALL) ALL",
		"RETURN (PARTIAL 1:2 ALL) ALL", "RETURN (PARTIAL 1:0) ALL", "RETURN (PARTIAL 1,2) ALL", "RETURN (PARTIAL 1:) ALL", "RETURN (PARTIAL 1:2 PARTIAL 3:4) ALL",
	} {
		if _, _, err := ParseReturns([]byte(args)); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}

func TestTags(t *testing.T) {
	for args, want := range map[string][]string{
		`"a"`: {"a"}, `"a" "b" "a"`: {"a", "b"}, "\"a]\" {1+}\r\nb c": {"a]", "b", "c"},
	} {
		if got, err := ParseTags([]byte(args)); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v", args, got, err)
		}
	}
	for _, args := range []string{"", `"a" `, `("a")`, `"a`, `"a""b"`} {
		if got, err := ParseTags([]byte(args)); err == nil {
			t.Errorf("%q: %q", args, got)
		}
	}
	for rest, want := range map[string][2]string{
		`(TAG "p5") UID ALL 1`: {"p5", " UID ALL 1"}, `(tag p5)`: {"p5", ""}, "(TAG \"p\\\"5\") COUNT 1": {`p"5`, " COUNT 1"},
		"UID ALL 1": {}, `(TAG "p5" UID`: {}, `(TAG "p5`: {}, "(TAG {2}": {}, "(MAILBOX x)": {}, "(": {}, "": {},
	} {
		tag, behind, found := SearchTag([]byte(rest))
		if found != (want[0] != "") || tag != want[0] || found && string(behind) != want[1] {
			t.Errorf("%q: %q, %q, %t", rest, tag, behind, found)
		}
	}
	for text, want := range map[string]string{`[NOUPDATE "p5"] Too many`: "p5", `[noupdate "p5"]`: "p5", "[NOUPDATE]": "", "[NOUPDATE ": "", "[LIMIT] x": "", "": ""} {
		if tag, found := RefusedTag([]byte(text)); tag != want || found != (want != "") {
			t.Errorf("%q: %q, %t", text, tag, found)
		}
	}
}
