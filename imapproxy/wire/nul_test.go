package wire

import "testing"

func TestReplaceNUL(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "abc": "abc", "\x00": "\x80", "\x00\x00a\x00": "\x80\x80a\x80", "a\x00b\x00\x00": "a\x80b\x80\x80",
	} {
		b := []byte(in)
		if ReplaceNUL(b); string(b) != want {
			t.Errorf("%q: %q, want %q", in, b, want)
		}
	}
}
