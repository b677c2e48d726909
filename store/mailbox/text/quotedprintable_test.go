package text

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/text/transform"
)

func TestQuotedPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"":                                "",
		"a=20b=C3=a9":                     "a bé",
		"soft=\r\nbreak= \t\r\nand=\nend": "softbreakandend",
		"lone = sign, =G1 =2":             "lone = sign, =G1 =2",
		"at the end=":                     "at the end",
		"at the end=  ":                   "at the end",
		"at the end=4":                    "at the end=4",
		"ctrl \x0c and é stay":            "ctrl \x0c and é stay",
		"=" + strings.Repeat(" ", 100):    "=" + strings.Repeat(" ", 100),
	} {
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(in), "octets": iotest.OneByteReader(strings.NewReader(in))} {
			got, err := io.ReadAll(transform.NewReader(r, quotedPrintable{}))
			if err != nil || string(got) != want {
				t.Errorf("%q, %s: %q, %v", in, name, got, err)
			}
		}
	}
}

func FuzzQuotedPrintable(f *testing.F) {
	f.Add("a=20b=\r\nc= \t\n==3")
	f.Fuzz(func(t *testing.T, in string) {
		whole, err := io.ReadAll(transform.NewReader(strings.NewReader(in), quotedPrintable{}))
		if err != nil || len(whole) > len(in) {
			t.Fatalf("%q, %v", whole, err)
		}
		octets, err := io.ReadAll(transform.NewReader(iotest.OneByteReader(strings.NewReader(in)), quotedPrintable{}))
		if err != nil || string(octets) != string(whole) {
			t.Errorf("octet by octet: %q, %v; whole: %q", octets, err, whole)
		}
	})
}
