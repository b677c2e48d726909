package entry_test

import (
	"strings"
	"testing"

	"balorg/ldapserver/entry"
	"balorg/ldapserver/schema"
)

// TestSpan: going through a record is the same whether its values are short, long or very long, and ends at what is damaged.
func TestSpan(t *testing.T) {
	for _, length := range []int{0, 1, 100, 122, 123, 124, 125, 126, 127, 128, 250, 260, 70_000} {
		record := entry.AppendRecord(nil, []entry.Attribute{
			{Type: schema.CN, Values: []string{strings.Repeat("x", length), "second"}}, {Type: schema.Mail, Values: []string{"m", strings.Repeat("y", length)}}, {Type: schema.L, Values: []string{"l"}},
		})
		var found []schema.Attribute
		for rest := record; len(rest) > 0; {
			a, _, set, after, err := entry.NextAttribute(rest)
			if err != nil {
				t.Fatal(err)
			}
			if b, end := entry.Span(rest); b != a || string(rest[1:end]) != string(set) || string(rest[end:]) != string(after) {
				t.Errorf("of values of %d octets: %v ends at %d", length, b, end)
			}
			found, rest = append(found, a), after
		}
		if len(found) != 3 {
			t.Errorf("%d attributes are found", len(found))
		}
		if got := string(entry.First(record, schema.Mail)); got != "m" {
			t.Errorf("the address is %q", got)
		}
		if got := entry.First(record, schema.SN); got != nil {
			t.Errorf("the name is %q", got)
		}
		for cut := range min(len(record), 200) {
			for rest := record[:cut]; len(rest) > 0; {
				_, end := entry.Span(rest)
				if end == 0 {
					break
				}
				rest = rest[end:]
			}
		}
	}
}
