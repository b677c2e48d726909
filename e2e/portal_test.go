package e2e

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/emersion/go-imap/v2/imapclient"
)

// screenshots is where what the pages look like is kept for readers.
const screenshots = "../docs/screenshots"

// chromium is a browser of a real kind, with a profile of its own.
type chromium struct {
	d   *daemon
	ctx context.Context
	axe string
}

// pageTime is how long anything in the browser may take, on a busy machine.
const pageTime = time.Minute

func (d *daemon) chromium() *chromium {
	d.t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		d.t.Fatalf("%v: see peers.sh", err)
	}
	axe, err := os.ReadFile("testdata/axe/axe.min.js")
	if err != nil {
		d.t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(d.t.TempDir()),
		chromedp.Flag("ignore-certificate-errors", true), // the demo's authority; that clients may trust it is tested with others
		chromedp.Flag("lang", "fr"), chromedp.Flag("accept-lang", "fr"), chromedp.Flag("disable-dev-shm-usage", true))
	alloc, stop := chromedp.NewExecAllocator(context.Background(), options...)
	d.t.Cleanup(stop)
	ctx, closeTab := chromedp.NewContext(alloc)
	d.t.Cleanup(closeTab)
	c := &chromium{d, ctx, string(axe)}
	if err := chromedp.Run(ctx); err != nil { // starts it: its life is that of this context, and no step's
		d.t.Fatalf("starting chromium: %v", err)
	}
	return c
}

func (c *chromium) do(what string, actions ...chromedp.Action) {
	c.d.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, pageTime)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		var at string
		chromedp.Run(c.ctx, chromedp.OuterHTML("main", &at, chromedp.ByQuery))
		c.d.t.Fatalf("%s: %v\n%s", what, err, at)
	}
}

func (c *chromium) open(path string) {
	c.d.t.Helper()
	c.do("opening "+path, chromedp.Navigate("https://"+c.d.listeners.HTTPS[0]+path), chromedp.WaitVisible("main h1", chromedp.ByQuery))
}

func (c *chromium) logIn(local string) {
	c.d.t.Helper()
	c.open("/login")
	c.do("logging in as "+local,
		chromedp.SendKeys("#user", local+"@clinique-des-sapins.fr", chromedp.ByQuery),
		chromedp.SendKeys("#password", "demo-"+local+"\r", chromedp.ByQuery), // the keyboard is enough
		chromedp.WaitVisible("form.who", chromedp.ByQuery))
}

func (c *chromium) logOut() {
	c.d.t.Helper()
	c.do("logging out", chromedp.Click("form.who button", chromedp.ByQuery), chromedp.WaitVisible("#user", chromedp.ByQuery))
}

// text is what the page shows.
func (c *chromium) text() (shown string) {
	c.d.t.Helper()
	c.do("reading the page", chromedp.Text("main", &shown, chromedp.ByQuery))
	return shown
}

// look judges a page as axe does at two widths, that it need not be moved sideways, and keeps what it looks like where it has a name.
func (c *chromium) look(path, name string) {
	c.d.t.Helper()
	for _, width := range []int64{1280, 390} {
		c.do("resizing", chromedp.EmulateViewport(width, 800))
		if path != "" {
			c.open(path)
		}
		var report string
		var tooWide bool
		c.do("judging "+path, chromedp.Evaluate(c.axe+";true", nil),
			chromedp.Evaluate(`axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then(r => JSON.stringify(r.violations.map(v => ({
				rule: v.id, impact: v.impact, where: v.nodes.map(n => n.html)}))))`, &report, awaited),
			chromedp.Evaluate(`document.documentElement.scrollWidth > document.documentElement.clientWidth`, &tooWide))
		var faults []struct {
			Rule, Impact string
			Where        []string
		}
		if err := json.Unmarshal([]byte(report), &faults); err != nil {
			c.d.t.Fatalf("axe: %v", err)
		}
		for _, f := range faults {
			c.d.t.Errorf("%s at %d: %s (%s): %v", path+name, width, f.Rule, f.Impact, f.Where)
		}
		if tooWide {
			c.d.t.Errorf("%s is wider than %d", path+name, width)
		}
		if name == "" {
			continue
		}
		var picture []byte
		c.do("taking a picture", chromedp.FullScreenshot(&picture, 100))
		if err := os.WriteFile(filepath.Join(screenshots, fmt.Sprintf("%s-%d.png", name, width)), picture, 0o644); err != nil {
			c.d.t.Fatal(err)
		}
	}
}

// shared are the folders of other mailboxes that an IMAP client is shown.
func (d *daemon) shared(local string) string {
	d.t.Helper()
	conn, err := tls.Dial("tcp", d.listeners.IMAPS[0], &tls.Config{RootCAs: d.roots})
	if err != nil {
		d.t.Fatal(err)
	}
	client := imapclient.New(conn, nil)
	defer client.Close()
	if err := client.Login(local+"@clinique-des-sapins.fr", "demo-"+local).Wait(); err != nil {
		d.t.Fatal(err)
	}
	folders, err := client.List("", "Comptes/*", nil).Collect()
	if err != nil {
		d.t.Fatal(err)
	}
	var names []string
	for _, f := range folders {
		names = append(names, f.Mailbox)
	}
	return strings.Join(names, " ")
}

// send submits a message with a password or token.
func (d *daemon) send(user, secret string) error {
	d.t.Helper()
	conn, err := tls.Dial("tcp", d.listeners.Submissions[0], &tls.Config{RootCAs: d.roots})
	if err != nil {
		d.t.Fatal(err)
	}
	host, _, err := net.SplitHostPort(d.listeners.Submissions[0])
	if err != nil {
		d.t.Fatal(err)
	}
	client, err := smtp.NewClient(conn, host)
	if err != nil {
		d.t.Fatal(err)
	}
	defer client.Close()
	if err := client.Auth(smtp.PlainAuth("", user, secret, host)); err != nil {
		return err
	}
	from := "secretariat@clinique-des-sapins.fr"
	if err := client.Mail(from); err != nil {
		return err
	}
	if err := client.Rcpt("claire.durand@clinique-des-sapins.fr"); err != nil {
		return err
	}
	w, err := client.Data()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "From: %s\r\nTo: claire.durand@clinique-des-sapins.fr\r\nSubject: scan\r\n\r\nscan\r\n", from)
	return w.Close()
}

// TestPortalInChromium: what a person does on the pages is what mail programs then meet.
func TestPortalInChromium(t *testing.T) {
	d := startDemo(t)
	c := d.chromium()
	c.look("/login", "portal-login")
	c.logIn("noemie.martin")

	if got := d.shared("noemie.martin"); !strings.Contains(got, "Comptes/noemie.martin@") {
		t.Fatalf("before, her own mailbox is not among the others: %s", got)
	}
	c.look("/", "portal-accounts")
	c.open("/")
	c.do("choosing the default", chromedp.Click(`input[name=default][value^="noemie.martin@"]`, chromedp.ByQuery),
		chromedp.Click(`form[action="/choices"] button`, chromedp.ByQuery), chromedp.WaitVisible(".done", chromedp.ByQuery))
	if got := d.shared("noemie.martin"); !strings.Contains(got, "Comptes/secretariat@clinique-des-sapins.fr/INBOX") || strings.Contains(got, "noemie") {
		t.Errorf("the next log-in shows %s", got)
	}

	c.open("/devices")
	var secret string
	c.do("making a token", chromedp.SendKeys("#name", "scanner de l’accueil", chromedp.ByQuery),
		chromedp.Click(`input[name=scope][value=imap]`, chromedp.ByQuery),
		chromedp.SetValue("#mailbox", "secretariat@clinique-des-sapins.fr", chromedp.ByQuery),
		chromedp.Click(`form[action="/devices"] button`, chromedp.ByQuery), chromedp.WaitVisible(".secret code", chromedp.ByQuery),
		chromedp.Text(".secret code", &secret, chromedp.ByQuery))
	c.look("", "")
	const user = "noemie.martin@clinique-des-sapins.fr"
	if err := d.send(user, secret); err != nil {
		t.Errorf("sending with the token: %v", err)
	}
	c.look("/devices", "portal-devices")
	c.do("revoking it", chromedp.Click(`form[action="/devices/revoke"] button`, chromedp.ByQuery), chromedp.WaitVisible(".done", chromedp.ByQuery))
	if err := d.send(user, secret); err == nil || !strings.Contains(err.Error(), "535") {
		t.Errorf("sending with the revoked token: %v", err)
	}

	for _, path := range []string{"/password", "/setup", "/nothing"} {
		c.look(path, "")
	}
	c.logOut()
	c.logIn("claire.durand")
	c.look("/history?mailbox=secretariat@clinique-des-sapins.fr", "portal-history")
	if got := c.text(); !strings.Contains(got, "Noémie Martin") {
		t.Errorf("who manages the mailbox does not see who sent from it:\n%s", got)
	}
	c.logOut()
	c.logIn("sophie.moreau")
	c.look("/admin", "portal-admin")
	for _, path := range []string{"/admin/delegations", "/admin/sessions", "/admin/queue", "/admin/files"} {
		c.look(path, "")
	}
}

// awaited waits for what a promise comes to.
func awaited(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }
