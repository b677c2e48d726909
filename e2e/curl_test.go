package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// curl runs it as a person, over the listener that scheme names.
func curl(t *testing.T, d *daemon, scheme, person, path string, args ...string) string {
	t.Helper()
	base := []string{"-sS", "--cacert", d.ca(), "--ssl-reqd", "-u", address(person) + ":" + password(person)}
	at := "imaps://localhost:" + d.port(d.imaps())
	if scheme == "imap" {
		at = "imap://localhost:" + d.port(d.imap())
	}
	return run(t, "curl", append(append(base, args...), at+path)...)
}

// TestCurl lists, reads, files, searches and moves with curl, over TLS from the start and by STARTTLS.
func TestCurl(t *testing.T) {
	d := startDemo(t)
	for _, scheme := range []string{"imaps", "imap"} {
		t.Run(scheme, func(t *testing.T) {
			list := curl(t, d, scheme, claire, "/", "-X", `LIST "" "*"`)
			for _, folder := range []string{`"INBOX"`, `"` + shared(secretariat, "INBOX") + `"`, `"` + shared(urgences, "INBOX") + `"`} {
				if !strings.Contains(strings.ReplaceAll(list, " INBOX", ` "INBOX"`), strings.Trim(folder, `"`)) {
					t.Errorf("LIST lacks %s:\n%s", folder, list)
				}
			}
			id := scheme + "-curl@test"
			m := message(id, "Par curl", 30_000)
			file := filepath.Join(t.TempDir(), "message.eml")
			if err := os.WriteFile(file, []byte(m), 0o600); err != nil {
				t.Fatal(err)
			}
			box := "/Comptes%2F" + address(secretariat) + "%2FINBOX"
			curl(t, d, scheme, claire, box, "-T", file)
			uid := strings.TrimSpace(strings.TrimPrefix(curl(t, d, scheme, claire, box, "-X", `UID SEARCH HEADER Message-ID "`+id+`"`), "* SEARCH"))
			if uid == "" || strings.Contains(uid, " ") {
				t.Fatalf("the message was found as %q", uid)
			}
			if got := curl(t, d, scheme, claire, box+";UID="+uid); got != m {
				t.Errorf("the message read back has %d octets, want the %d sent", len(got), len(m))
			}
			if got := curl(t, d, scheme, claire, box+";UID="+uid+";SECTION=HEADER.FIELDS%20(SUBJECT)"); strings.TrimSpace(got) != "Subject: Par curl" {
				t.Errorf("the subject is %q", got)
			}
			curl(t, d, scheme, claire, box, "-X", "UID MOVE "+uid+" INBOX")
			if got := curl(t, d, scheme, claire, box, "-X", `UID SEARCH HEADER Message-ID "`+id+`"`); strings.TrimSpace(got) != "* SEARCH" {
				t.Errorf("after the move the source says %q", got)
			}
			found := strings.TrimSpace(strings.TrimPrefix(curl(t, d, scheme, claire, "/INBOX", "-X", `UID SEARCH HEADER Message-ID "`+id+`"`), "* SEARCH"))
			if got := curl(t, d, scheme, claire, "/INBOX;UID="+found); got != m {
				t.Errorf("the message moved has %d octets, want %d", len(got), len(m))
			}
		})
	}
	if out, err := tryRun(t, "curl", "-sS", "--cacert", d.ca(), "-u", address(claire)+":no", "imaps://localhost:"+d.port(d.imaps())+"/"); err == nil {
		t.Errorf("a wrong password lists: %s", out)
	}
}
