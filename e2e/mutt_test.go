package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// neomutt runs it in a terminal as a person, in a folder, and types keys: lines of what to wait for, a tab, and what to type.
func neomutt(t *testing.T, d *daemon, person, folder string, keys ...string) string {
	t.Helper()
	home := t.TempDir()
	config := filepath.Join(home, "neomuttrc")
	text := fmt.Sprintf(`set imap_user = %q
set imap_pass = %q
set folder = "imaps://localhost:%[3]s/"
set spoolfile = "imaps://localhost:%[3]s/%[4]s"
set ssl_ca_certificates_file = %[5]q
set certificate_file = %[5]q
set ssl_verify_host = yes
set imap_check_subscribed = no
set header_cache = ""
set confirmappend = no
set confirmcreate = no
set move = no
set delete = yes
set quit = yes
set wait_key = no
set sleep_time = 0
set mail_check = 0
set tmpdir = %[6]q
set status_format = "%%r %%f %%m messages"
unset mark_old
`, address(person), password(person), d.port(d.imaps()), folder, d.ca(), home)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KEYS", strings.Join(keys, "\n"))
	return run(t, "python3", "testdata/terminal.py", "neomutt", "-n", "-F", config)
}

// TestNeomutt reads in a shared folder with the read preset, and deletes in one with manage.
func TestNeomutt(t *testing.T) {
	d := startDemo(t)
	box := shared(secretariat, "INBOX")

	saved := filepath.Join(t.TempDir(), "saved")
	screen := neomutt(t, d, paul, box,
		`6 messages`+"\t"+`1\n`,
		`.`+"\t"+`C`,
		`Copy to|Decode-copy|Save`+"\t"+`\x15`+saved+`\n`,
		`.`+"\t"+`x`)
	content, err := os.ReadFile(saved)
	if err != nil {
		t.Fatalf("%v\n%s", err, tail(screen))
	}
	if !strings.Contains(string(content), "s1@medecin.mssante.fr") {
		t.Errorf("the saved message is another:\n%s", tail(string(content)))
	}
	c := login(t, d, claire)
	c.ok("SELECT %q", box)
	before := c.uids("ALL")
	neomutt(t, d, claire, box,
		`6 messages`+"\t"+`2\n`,
		`.`+"\t"+`d`,
		`.`+"\t"+`$`,
		`.`+"\t"+`q`)
	c.ok("NOOP")
	after := c.uids("ALL")
	if len(after) != len(before)-1 || after[0] != before[0] || after[1] != before[2] {
		t.Errorf("after the deletion of the second of %q there are %q", before, after)
	}
}
