package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// TestOwnCopies: after sending, Thunderbird files a copy of its own in Sent. It is recognised, whatever its header has more, and answered with
// the one that is there.
func TestOwnCopies(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	for i, tt := range []struct {
		name, person, folder string
		own                  func(string) string // the program's copy of what it sent
		copies               int
		bcc                  bool
	}{
		{name: "the same", person: noemie, folder: sentFolder, own: func(m string) string { return m }, copies: 1},
		{name: "in a shared folder", person: claire, folder: shared(secretariat, sentFolder), own: func(m string) string { return m }, copies: 1},
		{name: "with Bcc", person: noemie, folder: sentFolder, own: func(m string) string { return "Bcc: " + mssante(lea) + "\r\n" + m }, copies: 1, bcc: true},
		{
			name: "with X-Mozilla fields", person: noemie, folder: sentFolder, copies: 1,
			own: func(m string) string {
				return "X-Mozilla-Status: 0001\r\nX-Mozilla-Status2: 00800000\r\nFCC: imap://x/Sent\r\nX-Identity-Key: id1\r\nX-Account-Key: account1\r\n" + m
			},
		},
		{name: "with another body", person: noemie, folder: sentFolder, own: func(m string) string { return m + "PS\r\n" }, copies: 2},
		{name: "with another Message-ID", person: noemie, folder: sentFolder, own: func(m string) string { return strings.Replace(m, "<copie-", "<autre-", 1) }, copies: 2},
		{name: "into another folder", person: noemie, folder: "INBOX", own: func(m string) string { return m }, copies: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			subject := fmt.Sprintf("copie-%d-@poste", i)
			sent := strings.Replace(composed(address(secretariat), subject), "Noémie", "Noemie", 1) // a header of ASCII, which any program may append
			queued(t, submitter(t, d, tt.person, "").submit(address(secretariat), []string{outside, mssante(lea)}, stuffed(sent)))
			c := login(t, d, tt.person)
			a := c.append(tt.folder, `(\Seen $Forwarded)`, tt.own(sent))
			if a.status != "OK" || !strings.HasPrefix(a.code(), "APPENDUID ") {
				t.Fatalf("APPEND: %s", a)
			}
			got := c.find(tt.folder, subject)
			if len(got) != tt.copies {
				t.Fatalf("%d copies, want %d", len(got), tt.copies)
			}
			last := got[len(got)-1]
			if words := strings.Fields(a.code()); words[2] != last.uid {
				t.Errorf("APPEND answers %s, and the copy has UID %s", a, last.uid)
			}
			if !strings.Contains(last.flags, `\Seen`) || !strings.Contains(last.flags, "$Forwarded") {
				t.Errorf("flags %q", last.flags)
			}
			if tt.copies == 1 && tt.folder != "INBOX" && !strings.Contains(last.octets, secretariatName) {
				t.Errorf("the copy is not ours:\n%s", last.octets)
			}
			if has := strings.Contains(last.octets, "Bcc: "+mssante(lea)+"\r\n"); has != tt.bcc {
				t.Errorf("the copy has Bcc: %t:\n%s", has, last.octets)
			}
			if gone := d.sunk(subject); strings.Contains(gone.octets, "Bcc") {
				t.Errorf("Bcc left:\n%s", gone.octets)
			}
		})
	}
}
