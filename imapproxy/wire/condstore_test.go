package wire

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFetchedUID(t *testing.T) {
	for rest, want := range map[string]struct {
		uid  uint32
		only bool
	}{
		"(UID 7)": {7, true}, "(uid 7)": {7, true}, "(UID 7 MODSEQ (12))": {7, true}, "(MODSEQ (12) UID 7)": {7, true},
		"(UID 4294967295 MODSEQ (9223372036854775807))": {4294967295, true},
		`(UID 7 FLAGS (\Seen $Forwarded))`:              {7, false}, `(FLAGS (\Seen) MODSEQ (12) UID 7)`: {7, false},
		"(UID 0)": {}, "(FLAGS ())": {}, "(MODSEQ (12))": {}, "(UID 7": {}, "(UID 7) x": {}, "(UID 7 MODSEQ 12)": {}, "(UID x)": {}, "()": {}, "": {},
		"(UID 7 BODY[] {3}": {}, "(UID 4294967296)": {}, `(UID 7 ENVELOPE ())`: {},
	} {
		if uid, only := FetchedUID([]byte(rest)); uid != want.uid || only != want.only {
			t.Errorf("%s: %d, %v", rest, uid, only)
		}
	}
}

func TestUsesCondStore(t *testing.T) {
	for args, want := range map[string]bool{
		"1 FLAGS": false, "1 MODSEQ": true, "1 (UID MODSEQ)": true, "1 (FLAGS) (CHANGEDSINCE 5)": true, "1 FULL": false,
	} {
		if f, err := ParseFetch([]byte(args)); err != nil || f.UsesCondStore() != want {
			t.Errorf("FETCH %s: %v, %v", args, f.UsesCondStore(), err)
		}
	}
	for args, want := range map[string]bool{
		"ALL": false, "MODSEQ 5": true, `modseq "/flags/\\draft" all 620162338`: true, "OR NOT MODSEQ 720162338 LARGER 50000": true,
		"FROM modseq": false, `SUBJECT "MODSEQ 5"`: false, "SUBJECT {8}\r\nMODSEQ 5": false, "(1 (NOT (MODSEQ 0)))": true,
		// Not understood: a mail store may.
		"SAVEDSINCE 1-Feb-2026 MODSEQ 5": true, `FUZZY SUBJECT "MODSEQ 5"`: false, "FUZZY SUBJECT {8}\r\nMODSEQ 5": false, "CHARSET KOI8-R MODSEQ 5": true,
		"(REVERSE DATE) UTF-8 MODSEQ 5": true, "REFERENCES UTF-8 (ALL MODSEQ 5)": true, "(DATE) UTF-8 ALL": false, "(DATE) UTF-8 KEYWORD X-MODSEQ": false,
		`(DATE "`: false, "(DATE {9}": false, "(DATE \x00\x7f MODSEQ": true,
	} {
		if got := NamesModSeq([]byte(args)); got != want {
			t.Errorf("%q: %v", args, got)
		}
	}
}

// TestNewItems: what mail stores may have beside the items of RFC 3501 is passed to them, and taken for no section.
func TestNewItems(t *testing.T) {
	for _, tt := range []struct {
		in      string
		items   []FetchItem
		names   string
		content bool
	}{
		{"1 (SAVEDATE EMAILID ThreadID)", []FetchItem{{Kind: ItemSaveDate}, {Kind: ItemEmailID}, {Kind: ItemThreadID}}, "SAVEDATE EMAILID THREADID ", false},
		{"1 PREVIEW", []FetchItem{{Kind: ItemPreview}}, "PREVIEW ", true},
		{"1 preview (lazy)", []FetchItem{{Kind: ItemPreview, Lazy: true}}, "PREVIEW ", true},
		{"1 (UID PREVIEW (LAZY) FLAGS)", []FetchItem{{Kind: ItemUID}, {Kind: ItemPreview, Lazy: true}, {Kind: ItemFlags}}, "UID PREVIEW FLAGS ", true},
		{"1 (UID PREVIEW FLAGS)", []FetchItem{{Kind: ItemUID}, {Kind: ItemPreview}, {Kind: ItemFlags}}, "UID PREVIEW FLAGS ", true},
		{"1 PREVIEW (CHANGEDSINCE 5)", []FetchItem{{Kind: ItemPreview}}, "PREVIEW ", true},
		{"1 PREVIEW (LAZY) (CHANGEDSINCE 5)", []FetchItem{{Kind: ItemPreview, Lazy: true}}, "PREVIEW ", true},
	} {
		f, err := ParseFetch([]byte(tt.in))
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		var names []byte
		for _, item := range f.Items {
			names = append(item.AppendName(names), ' ')
		}
		if diff := cmp.Diff(tt.items, f.Items); diff != "" || string(names) != tt.names || f.ReadsContent() != tt.content || f.SetsSeen() || f.ReadsHeader() {
			t.Errorf("%s: names %q, content %v, seen %v\n%s", tt.in, names, f.ReadsContent(), f.SetsSeen(), diff)
		}
	}
	for _, in := range []string{"1 PREVIEW (X)", "1 (PREVIEW (LAZY)", "1 (PREVIEW (LAZY FLAGS))", "1 PREVIEW[]", "1 FLAGS (LAZY)", "1 (PREVIEW  (LAZY))", "1 EMAILID[1]", "1 SAVEDATE (LAZY)"} {
		if f, err := ParseFetch([]byte(in)); err == nil {
			t.Errorf("%s: %+v", in, f)
		}
	}
	if st, err := ParseStatus([]byte("INBOX (MAILBOXID HIGHESTMODSEQ)"), UTF7); err != nil || len(st.Items) != 2 {
		t.Errorf("STATUS: %+v, %v", st, err)
	}
	for _, in := range []string{`MODSEQ "/flags/x" 5`, `MODSEQ "/flags/x" some 5`, `MODSEQ "/flags/x" all`, "MODSEQ -1", "MODSEQ 9223372036854775808", "MODSEQ"} {
		if s, err := ParseSearch([]byte(in)); err == nil {
			t.Errorf("%s: %+v", in, s)
		}
	}
}
