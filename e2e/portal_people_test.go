package e2e

import (
	"bytes"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"

	"balorg/gateway/sheet"
	"balorg/policy/auth/authtest"
)

var mailedLink = regexp.MustCompile(`https://\S+/activation/\S+`)

// letterTo is the link in the one letter at the sink whose subject begins so.
func (d *daemon) letterTo(address, subject string) *url.URL {
	d.t.Helper()
	letter := d.sunk(subject)
	if letter.to != "<"+address+">" || letter.from != "<>" {
		d.t.Errorf("the letter goes from %s to %s", letter.from, letter.to)
	}
	_, body, _ := strings.Cut(letter.octets, "\r\n\r\n")
	text, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(body)))
	if err != nil {
		d.t.Fatal(err)
	}
	link, err := url.Parse(mailedLink.FindString(string(text)))
	if err != nil || link.Path == "" {
		d.t.Fatalf("no link in the letter: %v\n%s", err, text)
	}
	return link
}

// TestActivationInChromium: from the mailed link to the first log-in over IMAP.
func TestActivationInChromium(t *testing.T) {
	d := startDemo(t)
	const marc, chosen = "marc.roux@clinique-des-sapins.fr", "une phrase de plusieurs mots"
	if out, err := d.balorg("account edit", marc, "--notify", "marc.roux@example.net"); err != nil {
		t.Fatal(out, err)
	}
	if err := d.logInAs(marc, chosen); err == nil {
		t.Fatal("he logs in before")
	}
	if out, err := d.balorg("account invite", marc); err != nil || !strings.Contains(out, "marc.roux@example.net") {
		t.Fatal(out, err)
	}
	link := d.letterTo("marc.roux@example.net", "Activez votre messagerie "+marc)
	c := d.chromium()
	c.look(link.Path, "portal-activation")
	c.open(link.Path)
	c.do("choosing passwords that differ", chromedp.SendKeys("#next", chosen, chromedp.ByQuery), chromedp.SendKeys("#again", "une autre phrase\r", chromedp.ByQuery),
		chromedp.WaitVisible(".fault", chromedp.ByQuery))
	c.look("", "")
	c.do("choosing a password", chromedp.SendKeys("#next", chosen, chromedp.ByQuery), chromedp.SendKeys("#again", chosen+"\r", chromedp.ByQuery),
		chromedp.WaitVisible(".done", chromedp.ByQuery), chromedp.WaitVisible("#user", chromedp.ByQuery))
	if got := c.text(); !strings.Contains(got, "Votre compte est actif") {
		t.Errorf("then he is told:\n%s", got)
	}
	c.do("logging in", chromedp.SendKeys("#user", marc, chromedp.ByQuery), chromedp.SendKeys("#password", chosen+"\r", chromedp.ByQuery), chromedp.WaitVisible("form.who", chromedp.ByQuery))
	if err := d.logInAs(marc, chosen); err != nil {
		t.Errorf("the first log-in over IMAP: %v", err)
	}
	c.logOut()
	c.open(link.Path)
	c.do("using the link again", chromedp.SendKeys("#next", "une seconde phrase", chromedp.ByQuery), chromedp.SendKeys("#again", "une seconde phrase\r", chromedp.ByQuery),
		chromedp.WaitVisible(".fault", chromedp.ByQuery))
	if got := c.text(); !strings.Contains(got, "Ce lien n’est plus valable") {
		t.Errorf("the link works twice:\n%s", got)
	}
	if err := d.logInAs(marc, chosen); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// rows are those of the users' table.
func (c *chromium) rows() (addresses []string) {
	c.d.t.Helper()
	c.do("reading the table", chromedp.Evaluate(`Array.from(document.querySelectorAll("tbody tr td:first-child")).map(td => td.firstChild.textContent.trim())`, &addresses))
	return addresses
}

// exported is the file behind a link of the page.
func (c *chromium) exported(folder, format string) []sheet.Row {
	c.d.t.Helper()
	c.do("exporting "+format, browser.SetDownloadBehavior(browser.SetDownloadBehaviorBehaviorAllow).WithDownloadPath(folder),
		chromedp.Click(fmt.Sprintf(`a[href^="/admin/comptes.%s"]`, format), chromedp.ByQuery))
	path := filepath.Join(folder, "comptes."+format)
	var rows []sheet.Row
	c.d.eventually(pageTime, path, func() error {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rows, err = sheet.Read(bytes.NewReader(content), sheet.Format(format))
		return err
	})
	return rows
}

// TestAdministrationInChromium: filters, what is exported of them, and a reminder.
func TestAdministrationInChromium(t *testing.T) {
	d := startDemo(t)
	const marc = "marc.roux@clinique-des-sapins.fr"
	if out, err := d.balorg("account edit", marc, "--notify", "marc.roux@example.net"); err != nil {
		t.Fatal(out, err)
	}
	c := d.chromium()
	c.logIn("sophie.moreau")
	c.open("/admin")
	if got := c.rows(); len(got) != 9 {
		t.Errorf("all: %q", got)
	}
	filter := func(want ...string) {
		t.Helper()
		c.do("filtering", chromedp.Click("form.filters button", chromedp.ByQuery), chromedp.WaitVisible("form.filters", chromedp.ByQuery))
		var got []string
		d.eventually(pageTime, "the list", func() error {
			if got = c.rows(); len(got) != len(want) {
				return fmt.Errorf("listed %q, want %q", got, want)
			}
			return nil
		})
		for i := range want {
			if got[i] != want[i]+"@clinique-des-sapins.fr" {
				t.Errorf("listed %q, want %q", got, want)
			}
		}
	}
	c.do("choosing organisations", chromedp.SetValue("#kind", "org", chromedp.ByQuery))
	filter("secretariat", "urgences")
	for _, format := range []string{"csv", "xlsx"} {
		rows := c.exported(t.TempDir(), format)
		var text []string
		for _, row := range rows {
			text = append(text, strings.Join(row.Cells, "|"))
		}
		if len(rows) != 3 || !strings.Contains(text[0], "Mail|") || !strings.Contains(text[1], "secretariat@") || !strings.Contains(text[2], "urgences@") {
			t.Errorf("exported as %s: %q", format, text)
		}
	}
	c.open("/admin")
	c.do("searching by number", chromedp.SendKeys("#q", "10003456786", chromedp.ByQuery))
	filter("claire.durand")
	c.open("/admin")
	c.do("choosing those who wait", chromedp.SetValue("#state", "preregistered", chromedp.ByQuery))
	filter("marc.roux")
	c.do("reminding him", chromedp.Click(`form[action="/admin/remind"] button`, chromedp.ByQuery), chromedp.WaitVisible(".done", chromedp.ByQuery))
	if link := d.letterTo("marc.roux@example.net", "Activez votre messagerie "+marc); !strings.HasPrefix(link.Path, "/activation/") {
		t.Errorf("the link: %s", link)
	}
	c.do("reminding him again", chromedp.Click(`form[action="/admin/remind"] button`, chromedp.ByQuery), chromedp.WaitVisible(".done", chromedp.ByQuery))
	d.letterTo("marc.roux@example.net", "Rappel : activez votre messagerie")
	c.look("/admin?state=preregistered", "")
	if got := c.text(); !strings.Contains(got, "lien du ") {
		t.Errorf("the page does not tell when:\n%s", got)
	}
}

// TestProviderInChromium: a person logs in to the portal at a provider of another site, and a browser's own rules for cookies let them in.
func TestProviderInChromium(t *testing.T) {
	d, p := withProvider(t, "    acr: [eidas2]\n    portal: {client: balorg, secret_file: portal-secret, name: Pro Santé Connect}\n")
	c := d.chromium()
	at := "https://localhost:" + d.port(d.listeners.HTTPS[0])
	p.Register("balorg", "s3cret", at+"/login/return")
	p.Person(authtest.Claims{More: map[string]any{"acr": "eidas2", "SubjectNameID": "810003456786"}})
	p.Ask()
	c.look("/login", "portal-login-provider")
	c.do("the page", chromedp.Navigate(at+"/login"), chromedp.WaitVisible(`a.button[href="/login/provider"]`, chromedp.ByQuery))
	c.do("going there and back", chromedp.Click(`a.button[href="/login/provider"]`, chromedp.ByQuery),
		chromedp.WaitVisible("#me", chromedp.ByQuery), chromedp.Click("#me", chromedp.ByQuery), chromedp.WaitVisible("form.who", chromedp.ByQuery))
	var where, who string
	c.d.eventually(pageTime, "the page of accounts", func() error {
		c.do("looking", chromedp.Location(&where), chromedp.Text("form.who span", &who, chromedp.ByQuery))
		if where != at+"/" || !strings.Contains(who, "Claire Durand") {
			return fmt.Errorf("%s at %s", who, where)
		}
		return nil
	})
	c.do("logging out", chromedp.Click("form.who button", chromedp.ByQuery), chromedp.WaitVisible("#user", chromedp.ByQuery))
	if got := c.text(); !strings.Contains(got, "Se déconnecter aussi de Pro Santé Connect") {
		t.Errorf("logged out:\n%s", got)
	}
	c.look("", "")
}
