package mailbox

import (
	"testing"

	"pgregory.net/rapid"
)

// TestGathered: a set says of every piece of every text that it may be there, in whatever pieces the texts came and however small the set got.
func TestGathered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 40), 1, 5).Draw(t, "texts")
		g := newGathering()
		for _, text := range texts {
			g.Begin()
			for rest := text; ; {
				n := rapid.IntRange(0, len(rest)).Draw(t, "piece")
				g.Take(rest[:n])
				if rest = rest[n:]; len(rest) == 0 {
					break
				}
			}
		}
		s := g.set.folded(rapid.IntRange(0, maxSet).Draw(t, "limit"))
		row := (&Signature{headers: s, parts: s}).encode()
		sig, err := decodeSignature(row)
		if err != nil || !intact(row) {
			t.Fatal(err)
		}
		for _, text := range texts {
			for i := range text {
				for k := i; k <= len(text); k++ {
					if grams := GramsOf(text[i:k]); !sig.HeadersMay(grams) || !sig.PartsMay(grams) {
						t.Fatalf("%q of %q is denied", text[i:k], text)
					}
				}
			}
		}
	})
}
