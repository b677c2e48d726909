package notice

import (
	"bytes"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"balorg/configs"
	"balorg/policy"
	"balorg/store/storetest"
)

func writer(t *testing.T, templates *Templates) *Service {
	t.Helper()
	return New(Options{
		From: From{"Messagerie MSSanté de la clinique", "notifications@clinique.example"}, Link: "https://mail.clinique.example/", Language: "fr",
		Templates: templates, Store: storetest.New(t),
	})
}

func (s *Service) mustWrite(t *testing.T, language, label string, count int) string {
	t.Helper()
	octets, err := s.write(letter{
		to: "noemie.martin@example.net", box: &policy.Account{Label: label}, language: language, count: count, id: "06h0q1saighsphq6",
		at: time.Date(2026, 11, 24, 9, 0, 0, 0, time.FixedZone("", 3600)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(octets)
}

// TestGolden holds notices of both languages octet for octet.
func TestGolden(t *testing.T) {
	s := writer(t, DefaultTemplates())
	noLink := writer(t, DefaultTemplates())
	noLink.opt.Link = ""
	for name, got := range map[string]string{
		"fr-one":  s.mustWrite(t, "", "Secrétariat - Clinique des Sapins", 1),
		"fr-many": noLink.mustWrite(t, "fr", "Urgences", 12),
		"en-one":  noLink.mustWrite(t, "en", "Urgences", 1),
		"en-many": s.mustWrite(t, "en", "Secrétariat - Clinique des Sapins", 2),
	} {
		golden, err := os.ReadFile(filepath.Join("testdata", name+".eml"))
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(string(golden), strings.ReplaceAll(got, "\r\n", "\n")); diff != "" || strings.Count(got, "\n") != strings.Count(got, "\r\n") {
			t.Errorf("%s (-golden +got):\n%s", name, diff)
		}
	}
}

// TestLabels: whatever a mailbox is called, the header is read as one header by others, in short ASCII lines.
func TestLabels(t *testing.T) {
	s := writer(t, DefaultTemplates())
	for _, label := range []string{
		"a\r\nBcc: x@example.org", "\"", strings.Repeat("très long ", 40), strings.Repeat("x", 300), "=?utf-8?q?=0D=0ABcc:_x?=", "日本 <a@b>", "{{.Link}}", "a\u2028b",
	} {
		octets := s.mustWrite(t, "fr", label, 2)
		m, err := mail.ReadMessage(strings.NewReader(octets))
		if err != nil {
			t.Fatalf("%q: %v", label, err)
		}
		if len(m.Header) != 9 {
			t.Errorf("%q: header %v", label, m.Header)
		}
		head, _, _ := strings.Cut(octets, "\r\n\r\n")
		for line := range strings.Lines(head) {
			if len(strings.Fields(line)) > 2 && len(line) > lineLength+2 || strings.ContainsFunc(line, func(r rune) bool { return r >= 0x80 }) {
				t.Errorf("%q: line %q", label, line)
			}
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		if err != nil || strings.ContainsAny(subject, "\r\n") && !strings.HasPrefix(label, "=?") {
			t.Errorf("%q: subject %q, %v", label, subject, err)
		}
		body, err := io.ReadAll(m.Body)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(body))); err != nil || !strings.Contains(string(text), "« "+oneLine(label)+" »") {
			t.Errorf("%q: body %q, %v", label, text, err)
		}
	}
}

// TestOwnTemplates: an administrator's text stands in for ours, and the other language stays.
func TestOwnTemplates(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("en.txt", "Subject: {{.Count}} for {{.Label}}\r\n\r\nRead them.\r\n")
	templates, problems := LoadTemplates(folder)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	s := writer(t, templates)
	if got := s.mustWrite(t, "en", "Urgences", 3); !strings.Contains(got, "\r\nSubject: 3 for Urgences\r\n") || !strings.HasSuffix(got, "7bit\r\n\r\nRead them.\r\n") {
		t.Errorf("own text: %q", got)
	}
	if got := s.mustWrite(t, "fr", "Urgences", 3); !strings.Contains(got, "Subject: 3 nouveaux messages : Urgences\r\n") {
		t.Errorf("ours: %q", got)
	}
	for _, tt := range []struct{ name, file, text, want string }{
		{"not a template", "fr.txt", "Subject: {{if}}\n\nx\n", "1:10: missing value for if"},
		{"not a template, behind others", "fr.txt", "Subject: x\r\n\r\né {{.Label}} {{nope .Count}} {{.Count}}\r\n", `3:14: function "nope" not defined`},
		{"an action that does not end", "fr.txt", "Subject: x\n\n{{if .Link}}x\n", "4:1: unexpected EOF"},
		{"an action that ends nowhere", "fr.txt", "Subject: x\n\n{{.Label}} {{.Count\n", "3:12: unclosed action"},
		{"field of no notice", "fr.txt", "Subject: x\n\né {{.From}}\n", "3:5: <.From>: can't evaluate field From (hint"},
		{"no subject", "fr.txt", "Bonjour\n", "1:1: the text does not begin with a line Subject"},
		{"subject that is empty for some", "fr.txt", "Subject: {{if eq .Count 1}}x{{end}}\n\nx\n", "1:1: the text does not begin with a line Subject"},
		{"no body", "fr.txt", "Subject: x\n\n\n", "3:1: the text says nothing after its subject"},
		{"no empty line", "fr.txt", "Subject: x\nFrom: y\n\nx\n", "2:1: the second line is not empty"},
		{"too long", "fr.txt", "Subject: x\n\n{{printf \"%70000d\" 1}}\n", "longer than 65536 octets"},
		{"not UTF-8", "fr.txt", "Subject: x\n\nx\xe9\n", "3:2: this is not UTF-8"},
		{"a control character", "fr.txt", "Subject: x\n\nxy\x07\n", "3:3: the control character U+0007"},
		{"another language", "de.txt", "Subject: x\n\nx\n", ": no text has this name (hint: fr.txt, en.txt, invitation.fr.txt, "},
		{"another letter", "farewell.fr.txt", "Subject: x\n\nx\n", ": no text has this name"},
		{"an invitation without its link", "invitation.fr.txt", "Subject: x\n\nBonjour {{.Name}}\n", "3:1: the text does not hold the link"},
		{"a reminder without its link", "reminder.en.txt", "Subject: x\n\n{{if not .Link}}x{{end}}y\n", "3:1: the text does not hold the link"},
		{"a field of notices in a letter", "invitation.en.txt", "Subject: x\n\n{{.Link}} {{.Label}}\n", "3:13: <.Label>: can't evaluate field Label (hint: the first line is Subject: …, the second empty; fields are .Name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			write(tt.file, tt.text)
			_, problems := LoadTemplates(folder)
			if err := problems.Err(); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), filepath.Join(folder, tt.file)+":") {
				t.Errorf("problems %v", problems)
			}
			if err := os.Remove(filepath.Join(folder, tt.file)); err != nil {
				t.Fatal(err)
			}
		})
	}
	if _, problems := LoadTemplates(t.TempDir()); problems.Err() == nil {
		t.Error("an empty folder is no problem")
	}
}

func TestConfig(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"{from: a@example.org}", ""},
		{"{from: Clinique <a@example.org>, link: 'https://x.example/', every: 5m}", ""},
		{"{}", "b:1:4: notifications are from nobody (hint: from: Messagerie de la clinique <notifications@example.org>)"},
		{"{from: a}", `b:1:11: "a" is no address: mail: missing '@' or angle-addr (hint: Messagerie de la clinique <notifications@example.org>)`},
		{"{from: a@example.org, link: mail.example.org}", `b:1:32: "mail.example.org" is no link (hint: https://mail.example.org/)`},
		{"{from: a@example.org, every: 0s}", "b:1:33: every is 0; it must be more (hint: leave the key out for the default)"},
		{"{from: a@example.org, templates: none}", "none: the folder none holds none of fr.txt, en.txt, invitation.fr.txt, invitation.en.txt, reminder.fr.txt, reminder.en.txt, inactive.fr.txt, inactive.en.txt"},
	} {
		var c struct {
			N Config `yaml:"n"`
		}
		problems := configs.Decode("b", []byte("n: "+tt.in), &c)
		templates, found := c.N.Check(func(p string) string { return p })
		if problems = append(problems, found...); problems.Error() != tt.want || templates == nil || !c.N.On() {
			t.Errorf("%s: %v", tt.in, problems)
		}
	}
	if templates, problems := (Config{}).Check(nil); templates != nil || problems != nil || (Config{}).On() {
		t.Error("no section")
	}
	for from, want := range map[string]From{
		"a@example.org": {"mail.example.fr", "a@example.org"}, "Clinique <a@example.org>": {"Clinique", "a@example.org"},
	} {
		if got, err := (Config{From: configs.Value[string]{V: from}}).Sender("mail.example.fr"); err != nil || got != want {
			t.Errorf("%s: %v, %v", from, got, err)
		}
	}
}
