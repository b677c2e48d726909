package embedded_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"mime/quotedprintable"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"balorg/imapproxy/embedded"
	"balorg/store/body"
	"balorg/store/mailbox"
	"balorg/store/storetest"
)

// signedServer is a server with the store that it serves, whose folders can be signed.
func signedServer(tb testing.TB) (*embedded.Server, *mailbox.Store) {
	tb.Helper()
	st := storetest.New(tb)
	bodies, err := body.New(st, tb.TempDir(), body.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	boxes := mailbox.New(st, bodies, mailbox.Options{})
	storetest.CheckAtEnd(tb, st, boxes, body.Checker{Bodies: bodies, Referrers: []body.Referrer{boxes}})
	return embedded.New(boxes, embedded.Options{}), boxes
}

// sentences are what the messages of a search are made of, in several scripts and forms.
var sentences = []string{
	"Les résultats du patient sont joints", "Élévation de la créatinine à 120 µmol/l", "Œdème des deux chevilles, ﬁèvre", "re\u0301e\u0301ducation prévue",
	"ΑΝΑΛΥΣΕΙΣ ΑΙΜΑΤΟΣ", "Результаты анализов", "検査結果を添付します", "STRASSE und Straße", "l’hôpital – urgences", "İstanbul ı", "🩺 contrôle", "x", "",
	"amoxicilline 500 mg, matin et soir", "Compte-rendu d'hospitalisation n° 4711", "\xff\xfe rien de lisible \x80",
}

// coded is a message that says something in one of many ways.
func coded(rnd *rand.Rand, text string) string {
	latin, err := charmap.ISO8859_1.NewEncoder().String(text)
	if err != nil {
		latin = "na\xefvet\xe9"
	}
	var qp strings.Builder
	w := quotedprintable.NewWriter(&qp)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	subject := "Subject: " + text
	if utf8.ValidString(text) && rnd.IntN(2) == 0 {
		subject = "Subject: =?utf-8?B?" + base64.StdEncoding.EncodeToString([]byte(text)) + "?=\r\n =?utf-8?Q?suite?="
	}
	head := fmt.Sprintf("From: Dr Person %d <person%d@Medecin.mssante.fr>\r\n%s\r\nTo:=?iso-8859-1?q?Secr=E9tariat?= <a@b>\r\n", rnd.IntN(50), rnd.IntN(50), subject)
	switch rnd.IntN(7) {
	case 0:
		return head + "Content-Type: text/plain; charset=iso-8859-1\r\n\r\n" + latin
	case 1:
		return head + "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + qp.String()
	case 2:
		return head + "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString([]byte("<p>"+text+"</p>")) + "\r\n!"
	case 3:
		return head + "Content-Type: application/pdf; name=\"" + text + ".pdf\"\r\n\r\n" + text
	case 4:
		return head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + text + "\r\n--b\r\nContent-Disposition: attachment; filename=ordonnance.txt\r\nContent-Type: text/plain\r\n\r\n" + text +
			"\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: within " + text + "\r\n\r\ninner " + text + "\r\n--b--\r\n"
	case 5:
		return head + "Content-Type: text/plain; charset=unknown-8bit\r\n\r\n" + latin
	}
	return head + "\r\n" + strings.Repeat(text+"\r\n", 1+rnd.IntN(40))
}

// searches are for pieces of what the messages say, as a person or a program might ask.
func searches(rnd *rand.Rand, n int) (all []string) {
	keys := []string{"TEXT", "BODY", "SUBJECT", "FROM", "HEADER X-None", "HEADER To", "NOT TEXT", "UNSEEN BODY", "SENTSINCE 1-Jan-2020 TEXT"}
	piece := func() string {
		runes := []rune(strings.ToValidUTF8(sentences[rnd.IntN(len(sentences))], "?"))
		from := rnd.IntN(len(runes) + 1)
		s := string(runes[from:min(from+rnd.IntN(12), len(runes))])
		switch rnd.IntN(5) {
		case 0:
			s = strings.ToUpper(s)
		case 1:
			s += "é"
		}
		return fmt.Sprintf("{%d+}\r\n%s", len(s), s)
	}
	for range n {
		s := keys[rnd.IntN(len(keys))] + " " + piece()
		switch rnd.IntN(6) {
		case 0:
			s = "OR (" + s + ") BODY " + piece()
		case 1:
			s = "NOT (" + s + " TEXT " + piece() + ")"
		case 2:
			s += " " + keys[rnd.IntN(len(keys))] + " " + piece()
		}
		all = append(all, "SEARCH CHARSET UTF-8 "+s)
	}
	return append(all, `SEARCH FROM "person7@"`, `SEARCH TO "SECRÉTARIAT"`, `SEARCH HEADER To ""`, "SEARCH TEXT ordonnance.txt", "SEARCH BODY ordonnance.txt", "SEARCH BODY within", "SEARCH BODY absent-word", "SEARCH NOT BODY absent-word")
}

// compareSearches does searches and compares what they find with what they are to find.
func compareSearches(t *testing.T, c *client, when string, all []string, want [][]string) (got [][]string) {
	t.Helper()
	found := 0
	for i, s := range all {
		a := c.ok("%s", s)
		got = append(got, a)
		found += len(strings.Fields(a[0])) - 2
		if want != nil && !slices.Equal(a, want[i]) {
			t.Errorf("%s: %q finds %q, want %q", when, s, a, want[i])
		}
	}
	if found == 0 {
		t.Errorf("%s: nothing is found", when)
	}
	return got
}

// TestNarrowedOneByOne is TestNarrowed with messages so large that each has a signature of its own.
func TestNarrowedOneByOne(t *testing.T) {
	srv, boxes := signedServer(t)
	c := dial(t, srv, embedded.Who{})
	rnd := rand.New(rand.NewPCG(13, 17))
	for range 24 {
		text := sentences[rnd.IntN(len(sentences))]
		c.appendMessage("INBOX", "", "Content-Type: multipart/mixed; boundary=whole\r\n\r\n--whole\r\nContent-Type: message/rfc822\r\n\r\n"+coded(rnd, text)+
			"\r\n--whole\r\nContent-Type: text/plain\r\n\r\n"+text+"\r\n--whole\r\nContent-Type: application/octet-stream\r\n\r\n"+strings.Repeat("QUJD", 70_000)+"\r\n--whole--\r\n")
	}
	c.ok("SELECT INBOX")
	all := searches(rnd, 100)
	for _, s := range sentences { // the very beginning of a text
		if runes := []rune(s); len(runes) > 5 && utf8.ValidString(s) {
			all = append(all, fmt.Sprintf("SEARCH CHARSET UTF-8 BODY {%d+}\r\n%s", len(string(runes[:3])), string(runes[:3])))
		}
	}
	plain := compareSearches(t, c, "without", all, nil)
	a, err := boxes.Account(t.Context(), claire, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Sign(t.Context(), "INBOX"); err != nil {
		t.Fatal(err)
	}
	compareSearches(t, c, "with signatures", all, plain)
}

// TestNarrowed: a search that signatures narrow finds what it finds without them, whatever the messages and the words.
func TestNarrowed(t *testing.T) {
	srv, boxes := signedServer(t)
	c := dial(t, srv, embedded.Who{})
	rnd := rand.New(rand.NewPCG(7, 11))
	for range 280 {
		text := sentences[rnd.IntN(len(sentences))]
		if rnd.IntN(3) == 0 {
			text += " " + sentences[rnd.IntN(len(sentences))]
		}
		c.appendMessage("INBOX", "", coded(rnd, text))
	}
	c.ok("SELECT INBOX")
	all := searches(rnd, 90)
	plain := compareSearches(t, c, "without", all, nil)
	a, err := boxes.Account(t.Context(), claire, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Sign(t.Context(), "INBOX"); err != nil {
		t.Fatal(err)
	}
	compareSearches(t, c, "with signatures", all, plain)

	// Some go, some come, and those that come have no signature yet; then they have one, and those of whole stretches that went are gone.
	c.ok(`STORE 3:9,120:200,250 +FLAGS.SILENT (\Deleted)`)
	c.ok("EXPUNGE")
	for range 90 {
		c.appendMessage("INBOX", "", coded(rnd, sentences[rnd.IntN(len(sentences))]))
	}
	c.ok("NOOP")
	mixed := compareSearches(t, c, "some without", all, nil)
	c.ok("CREATE plain")
	c.ok("COPY 1:* plain")
	c.ok("SELECT plain")
	compareSearches(t, c, "in another folder", all, mixed)
	for _, name := range []string{"INBOX", "plain"} {
		if err := a.Sign(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	compareSearches(t, c, "in another folder, with signatures", all, mixed)
	c.ok("SELECT INBOX")
	compareSearches(t, c, "signed again", all, mixed)
	c.ok("DELETE plain")
}
