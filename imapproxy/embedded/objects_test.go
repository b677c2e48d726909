package embedded_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"balorg/imapproxy/embedded"
)

// encoded is a message whose parts have each encoding.
var encoded = crlf(`Subject: encodings
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

caf=C3=A9 =
noir
--b
Content-Type: application/octet-stream
Content-Transfer-Encoding: BASE64

AAEC
AwQF
--b
Content-Type: text/plain

plain
--b
Content-Type: application/x-odd
Content-Transfer-Encoding: x-uuencode

begin
--b
Content-Type: message/rfc822

Subject: inner
Content-Transfer-Encoding: base64

aGk=
--b
Content-Type: image/png
Content-Transfer-Encoding: base64

aGVsbG8!!=====x
--b--
`)

// TestBinary: sections without their transfer encoding (RFC 3516).
func TestBinary(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	c.appendMessage("INBOX", "", encoded)
	c.appendMessage("INBOX", "", "Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=")
	c.ok("SELECT INBOX")
	inner := "Subject: inner\r\nContent-Transfer-Encoding: base64\r\n\r\naGk="
	c.expect(
		step{"FETCH 1 (BINARY.PEEK[1] BINARY.SIZE[1])", []string{"* 1 FETCH (BINARY[1] {10}\r\ncafé noir BINARY.SIZE[1] 10)", "OK…"}},
		step{"FETCH 1 (BINARY.SIZE[2] BINARY.PEEK[2])", []string{"* 1 FETCH (BINARY.SIZE[2] 6 BINARY[2] ~{6}\r\n\x00\x01\x02\x03\x04\x05)", "OK…"}},
		step{"FETCH 1 (BINARY.PEEK[2]<1.3> BINARY.PEEK[2]<4.9> BINARY.PEEK[1]<3.2> BINARY.PEEK[2]<9.1>)", []string{
			"* 1 FETCH (BINARY[2]<1> ~{3}\r\n\x01\x02\x03 BINARY[2]<4> ~{2}\r\n\x04\x05 BINARY[1]<3> {2}\r\né BINARY[2]<9> ~{0}\r\n)", "OK…",
		}},
		step{"FETCH 1 BINARY.PEEK[1]<9223372036854775807.9223372036854775807>", []string{"* 1 FETCH (BINARY[1]<9223372036854775807> {0}\r\n)", "OK…"}},
		step{"FETCH 1 BINARY.PEEK[3]", []string{"* 1 FETCH (BINARY[3] {5}\r\nplain)", "OK…"}},
		step{"FETCH 1 (BINARY.PEEK[5] BINARY.SIZE[5] BINARY.PEEK[5.1])", []string{fmt.Sprintf("* 1 FETCH (BINARY[5] {%d}\r\n%s BINARY.SIZE[5] %[1]d BINARY[5.1] {2}\r\nhi)", len(inner), inner), "OK…"}},
		step{"FETCH 1 BINARY.PEEK[6]", []string{"* 1 FETCH (BINARY[6] {5}\r\nhello)", "OK…"}}, // broken: what can be decoded
		step{"FETCH 1 (BINARY.PEEK[7] BINARY.SIZE[7])", []string{"* 1 FETCH (BINARY[7] NIL BINARY.SIZE[7] 0)", "OK…"}},
		step{"FETCH 1 BINARY.PEEK[4]", []string{"NO [UNKNOWN-CTE] …"}},
		step{"FETCH 1 (UID BINARY.SIZE[4])", []string{"NO [UNKNOWN-CTE] …"}},
		step{"FETCH 2 (BINARY.PEEK[1] BINARY.SIZE[])", []string{"* 2 FETCH (BINARY[1] {5}\r\nhello BINARY.SIZE[] 45)", "OK…"}},
		step{"FETCH 1:2 FLAGS", []string{`* 1 FETCH (FLAGS (\Recent))`, `* 2 FETCH (FLAGS (\Recent))`, "OK…"}},
		step{"FETCH 2 BINARY[1]", []string{"* 2 FETCH (BINARY[1] {5}\r\nhello FLAGS (\\Seen \\Recent))", "OK…"}},
		step{"FETCH 1 BINARY[1.MIME]", []string{"BAD …"}},
		step{"FETCH 1 BINARY[HEADER]", []string{"BAD …"}},
		step{"FETCH 1 BINARY.SIZE[1]<0.1>", []string{"BAD …"}},
	)
	if got := c.ok("FETCH 1 BINARY.PEEK[]"); got[0] != fmt.Sprintf("* 1 FETCH (BINARY[] {%d}\r\n%s)", len(encoded), encoded) {
		t.Errorf("the whole message: %q", got)
	}
	c.expect(step{"APPEND INBOX ~{3+}\r\na: ", []string{"* 3 EXISTS", "* 3 RECENT", "OK [APPENDUID …"}})
}

var objectID = regexp.MustCompile(`\(([FM][0-9a-f]{32})\)`)

// ids are the object ids in an answer.
func ids(lines []string) string {
	var all []string
	for _, m := range objectID.FindAllStringSubmatch(strings.Join(lines, "\n"), -1) {
		all = append(all, m[1])
	}
	return strings.Join(all, " ")
}

// TestObjectID: RFC 8474. A mailbox keeps its id whatever it is called, and gives it to no other; copies of a message share one.
func TestObjectID(t *testing.T) {
	srv := newServer(t)
	c, other := dial(t, srv, embedded.Who{}), dial(t, srv, embedded.Who{Account: noemie})
	made := ids(c.ok("CREATE Dossier/Sous"))
	if made == "" || ids(c.ok("STATUS Dossier/Sous (MAILBOXID)")) != made {
		t.Fatalf("the id of a new mailbox is %q", made)
	}
	c.ok("RENAME Dossier Rangement")
	if got := ids(c.ok("SELECT Rangement/Sous")); got != made {
		t.Errorf("renamed, it has %q", got)
	}
	c.ok("UNSELECT")
	c.ok("DELETE Rangement/Sous")
	if again := ids(c.ok("CREATE Rangement/Sous")); again == made || again == "" {
		t.Errorf("another mailbox of that name has %q", again)
	}
	if mine, theirs := ids(c.ok("STATUS INBOX (MAILBOXID)")), ids(other.ok("STATUS INBOX (MAILBOXID)")); mine == theirs || mine == "" {
		t.Errorf("two accounts' INBOX have %q and %q", mine, theirs)
	}
	c.appendMessage("INBOX", "", plain)
	c.appendMessage("INBOX", "", plain)
	other.appendMessage("INBOX", "", plain)
	c.ok("SELECT INBOX")
	all := strings.Fields(ids(c.ok("FETCH 1:2 (EMAILID THREADID)")))
	if len(all) != 2 || all[0] == all[1] {
		t.Fatalf("messages have %q", all)
	}
	c.ok("COPY 1 Archives")
	c.ok("MOVE 2 Archives")
	c.ok("XCOPYTO %s 0 1 Archives", noemie)
	c.expect(
		step{"SEARCH EMAILID " + all[0], []string{"* SEARCH 1", "OK…"}},
		step{"SEARCH EMAILID " + all[1], []string{"* SEARCH", "OK…"}},
		step{"SEARCH OR EMAILID Mabc THREADID T1", []string{"* SEARCH", "OK…"}},
		step{"FETCH 1 THREADID", []string{"* 1 FETCH (THREADID NIL)", "OK…"}},
		step{"SEARCH EMAILID", []string{"BAD …"}},
		step{"SEARCH EMAILID (x)", []string{"BAD …"}},
	)
	c.ok("SELECT Archives")
	if got := ids(c.ok("FETCH 1:2 EMAILID")); got != strings.Join(all, " ") {
		t.Errorf("copied and moved, they have %q, want %q", got, all)
	}
	other.ok("SELECT Archives")
	if got := ids(other.ok("FETCH 1 EMAILID")); got != all[0] {
		t.Errorf("copied to another account, it has %q, want %s", got, all[0])
	}
}

// TestSaveDate: RFC 8514. The clock of the mail store stands at 2027-01-15 08:00:00 UTC.
func TestSaveDate(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	c.appendMessage("INBOX", `"01-Nov-2001 00:00:00 +0000" `, plain)
	c.ok("SELECT INBOX")
	c.ok("COPY 1 INBOX")
	c.expect(
		step{"FETCH 1:2 SAVEDATE", []string{`* 1 FETCH (SAVEDATE "15-Jan-2027 08:00:00 +0000")`, `* 2 FETCH (SAVEDATE "15-Jan-2027 08:00:00 +0000")`, "OK…"}},
		step{"SEARCH SAVEDON 15-Jan-2027", []string{"* SEARCH 1 2", "OK…"}},
		step{"SEARCH SAVEDBEFORE 15-Jan-2027", []string{"* SEARCH", "OK…"}},
		step{"SEARCH SAVEDSINCE 16-Jan-2027", []string{"* SEARCH", "OK…"}},
		step{"SEARCH SAVEDSINCE 15-Jan-2027 BEFORE 1-Jan-2002", []string{"* SEARCH 1 2", "OK…"}},
		step{"SEARCH SAVEDATESUPPORTED", []string{"* SEARCH 1 2", "OK…"}},
		step{"SEARCH SAVEDON", []string{"BAD …"}},
		step{"SEARCH SAVEDON yesterday", []string{"BAD …"}},
	)
}

// TestPreview: RFC 8970.
func TestPreview(t *testing.T) {
	c := dial(t, newServer(t), embedded.Who{})
	long := strings.Repeat("é", 300)
	for _, tt := range []struct{ name, message, want string }{
		{"plain", "\r\nBonjour,\r\n\r\n  voici\tles nouvelles.\r\n", `"Bonjour, voici les nouvelles."`},
		{"quotes", "\r\nil dit \"a\\b\"", `"il dit \"a\\b\""`},
		{"charset", "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=E9lev=E9=\r\ne", "{8}\r\nélevée"},
		{"long", "Content-Type: text/plain; charset=utf-8\r\n\r\n" + long, "{400}\r\n" + long[:400]},
		{"long words", "\r\n" + strings.Repeat("x ", 300), `"` + strings.TrimSpace(strings.Repeat("x ", 100)) + `"`},
		{"no UTF-8", "Content-Type: text/plain; charset=utf-8\r\n\r\na\xff\x00b\x1bc", "{6}\r\na\ufffdbc"},
		{"html", "Content-Type: text/html\r\n\r\n<html><head><title>T</title><style>p{}</style></head><body><p>Bon<b>jour</b> &amp;<br>merci</p><script>x()</script><!-- c --><div>fin", `"Bonjour & merci fin"`},
		{"what nobody sees", "Content-Type: text/html; charset=utf-8\r\n\r\n<div>&zwnj;&nbsp;&shy;\u034f\u200b</div>a\u200bb", `"ab"`},
		{"style first", "Content-Type: text/html\r\n\r\n<style>" + strings.Repeat("p{}\r\n", 10_000) + "</style>text", `"text"`},
		{"style for ever", "Content-Type: text/html\r\n\r\n<style>" + strings.Repeat("p{}\r\n", 40_000) + "</style>text", `""`},
		{"open for ever", "Content-Type: text/html\r\n\r\n<a " + strings.Repeat("b=c ", 40_000), `""`},
		{"parts", mixed, "{32}\r\nÉlevé est le taux de potassium"},
		{"the second part", crlf("Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain\n\n \n--b\nContent-Type: text/html\n\n<p>Le texte</p>\n--b--\n"), `"Le texte"`},
		{"no text", crlf("Content-Type: image/png\nContent-Transfer-Encoding: base64\n\nAAAA\n"), `""`},
		{"empty", "Subject: x\r\n\r\n", `""`},
		{"unknown encoding", "Content-Transfer-Encoding: x-odd\r\n\r\nas it is", `""`},
	} {
		c.appendMessage("INBOX", "", tt.message)
		c.ok("SELECT INBOX")
		for _, item := range []string{"PREVIEW", "PREVIEW (LAZY)"} {
			want := tt.want
			if strings.HasPrefix(tt.name, "style for ever") || tt.name == "open for ever" {
				if item != "PREVIEW" {
					want = "NIL" // it is in a file
				}
			}
			got := c.ok("FETCH * (%s)", item)
			_, text, _ := strings.Cut(got[0], "PREVIEW ")
			if text = strings.TrimSuffix(text, ")"); text != want {
				t.Errorf("%s, %s: %q, want %q", tt.name, item, text, want)
			}
		}
	}
	if got := c.ok("SEARCH SEEN"); got[0] != "* SEARCH" {
		t.Errorf("a preview sets \\Seen: %q", got)
	}
	start := time.Now()
	c.ok("FETCH 1:* (UID PREVIEW)")
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}
