package text

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

// byLibrary is what folding means.
func byLibrary(t interface{ Fatal(args ...any) }, s string) string {
	out, _, err := transform.String(transform.Chain(norm.NFC, cases.Fold(), norm.NFC), s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestFoldLetters: every letter is folded as the library does, alone, behind another and with an accent.
func TestFoldLetters(t *testing.T) {
	for r := range rune(0x3000) {
		for _, s := range []string{string(r), "e" + string(r) + "E", string(r) + "\u0301", "É" + string(r)} {
			if got, want := Fold(s), byLibrary(t, s); got != want {
				t.Fatalf("%U: %q is folded to %q, want %q", r, s, got, want)
			}
		}
	}
}

// TestFoldPieces: text in whatever pieces is folded as it is as a whole.
func TestFoldPieces(t *testing.T) {
	letters := rapid.SampledFrom([]rune("aEéÉœŒß'’ 1\n\u0301\u0327\u0300αΣώ\u0345漢字가ᄀ\u1161İıŉſ🩺\ufeff"))
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOfN(letters, 0, 60).Draw(t, "text"))
		want := byLibrary(t, s)
		var f folder
		var got, kept []byte
		for rest := s; ; {
			n := rapid.IntRange(0, len(rest)).Draw(t, "piece")
			kept, rest = append(kept, rest[:n]...), rest[n:]
			var used int
			got, used = f.append(got, kept, rest == "")
			kept = kept[used:]
			if rest == "" {
				break
			}
		}
		if string(got) != want || len(kept) > 0 {
			t.Fatalf("%q is folded to %q, want %q; %d octets left", s, got, want, len(kept))
		}
	})
}

// TestFoldGarbage: whatever comes is folded to UTF-8, without end the library gets it in bounded pieces.
func TestFoldGarbage(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	garbage := make([]byte, 100_000)
	for i := range garbage {
		garbage[i] = byte(rnd.Uint32())
	}
	for name, s := range map[string]string{"garbage": string(garbage), "accents": strings.Repeat("\u0301", 50_000), "Greek": strings.Repeat("Σ", 50_000)} {
		var f folder
		var got, kept []byte
		for i := range 10 {
			kept = append(kept, s[i*len(s)/10:(i+1)*len(s)/10]...)
			var used int
			got, used = f.append(got, kept, i == 9)
			if kept = kept[used:]; len(kept) > longest {
				t.Fatalf("%s: %d octets wait", name, len(kept))
			}
		}
		if len(kept) > 0 || !utf8.Valid(got) || len(got) == 0 {
			t.Errorf("%s: %d octets left, UTF-8: %v", name, len(kept), utf8.Valid(got))
		}
		if name == "Greek" && string(got) != strings.Repeat("σ", 50_000) {
			t.Error("Greek is not folded")
		}
	}
}

func BenchmarkFold(b *testing.B) {
	for name, s := range map[string]string{
		"ASCII":  strings.Repeat("The results are attached; please confirm that you have them. ", 200),
		"French": strings.Repeat("Les résultats sont joints ; merci de confirmer leur bonne réception au cabinet. L’œdème a disparu. ", 150),
		"Greek":  strings.Repeat("Τα αποτελέσματα επισυνάπτονται. ", 200),
	} {
		b.Run(name, func(b *testing.B) {
			var f folder
			var out []byte
			src := []byte(s)
			b.SetBytes(int64(len(src)))
			for b.Loop() {
				out, _ = f.append(out[:0], src, true)
			}
		})
	}
}
