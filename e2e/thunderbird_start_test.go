package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"balorg/e2e/marionette"
)

const (
	// thunderbirdTime is how long anything in Thunderbird may take, on a machine that is busy with other tests.
	thunderbirdTime = 90 * time.Second
	// maxPicture keeps the pictures in docs small enough for a repository.
	maxPicture = 200 << 10
)

// thunderbird is Debian's, without a screen, with a profile and a home of its own.
type thunderbird struct {
	d       *daemon
	session *marionette.Session
	library string
	log     lockedBuffer
}

// certified makes, where the demo looks for its certificates, some that also name what the domain would have in DNS.
func certified(t *testing.T, dir string, names ...string) {
	t.Helper()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA of a test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 0, 7),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: append([]string{"localhost"}, names...), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	keys := make([]*ecdsa.PrivateKey, 2)
	for i := range keys {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = key
	}
	private, err := x509.MarshalPKCS8PrivateKey(keys[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "tls"), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte, err error) {
		t.Helper()
		if err = errors.Join(err, os.WriteFile(filepath.Join(dir, "tls", name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, authority, authority, keys[0].Public(), keys[0])
	write("ca.pem", "CERTIFICATE", der, err)
	der, err = x509.CreateCertificate(rand.Reader, server, authority, keys[1].Public(), keys[0])
	write("cert.pem", "CERTIFICATE", der, err)
	write("key.pem", "PRIVATE KEY", private, nil)
}

// startThunderbird starts it on a profile that trusts the daemon's authority, and waits until it takes commands. names are looked up as
// this machine, and what it asks port 443 of goes to the daemon's HTTPS listener: that is all it is told in place of DNS.
func (d *daemon) startThunderbird(names ...string) *thunderbird {
	d.t.Helper()
	for _, name := range []string{"thunderbird", "certutil"} {
		if _, err := exec.LookPath(name); err != nil {
			d.t.Fatalf("%v: see peers.sh", err)
		}
	}
	profile, home := d.t.TempDir(), d.t.TempDir()
	preferences, err := os.ReadFile("testdata/thunderbird/user.js")
	if err != nil {
		d.t.Fatal(err)
	}
	preferences = fmt.Appendf(preferences, "user_pref(\"network.dns.localDomains\", %q);\nuser_pref(\"network.socket.forcePort\", \"443=%s\");\n",
		strings.Join(names, ","), d.port(d.listeners.HTTPS[0]))
	if err := os.WriteFile(filepath.Join(profile, "user.js"), preferences, 0o600); err != nil {
		d.t.Fatal(err)
	}
	run(d.t, "certutil", "-N", "-d", "sql:"+profile, "--empty-password")
	run(d.t, "certutil", "-A", "-d", "sql:"+profile, "-n", "demo", "-t", "C,,", "-i", d.ca())
	library, err := os.ReadFile("testdata/thunderbird/library.js")
	if err != nil {
		d.t.Fatal(err)
	}
	tb := &thunderbird{d: d, library: string(library)}
	tb.start(profile, home)
	return tb
}

func (tb *thunderbird) start(profile, home string) {
	t := tb.d.t
	t.Helper()
	cmd := exec.Command("thunderbird", "--headless", "--no-remote", "--profile", profile, "--marionette", "--remote-allow-system-access")
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "TZ=Europe/Paris", "HOME=" + home, "XDG_RUNTIME_DIR=" + home, "TMPDIR=" + home,
		"MOZ_CRASHREPORTER_DISABLE=1", "MOZ_HEADLESS_WIDTH=1280", "MOZ_HEADLESS_HEIGHT=800", "LIBGL_ALWAYS_SOFTWARE=1", "NO_AT_BRIDGE=1",
	}
	cmd.Stdout, cmd.Stderr = &tb.log, &tb.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL} // it has children, and ends with a test that is killed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait() // killed, or the test finds it gone
		close(ended)
	}()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
		if t.Failed() {
			t.Logf("Thunderbird's output:\n%s", tail(tb.output()))
		}
	})
	tb.d.eventually(thunderbirdTime, "Thunderbird's port", func() error {
		select {
		case <-ended:
			t.Fatalf("Thunderbird ended at its start: %v\n%s", cmd.ProcessState, tail(tb.log.String()))
		default:
		}
		port, err := os.ReadFile(filepath.Join(profile, "MarionetteActivePort"))
		if err == nil {
			tb.session, err = tb.dial(net.JoinHostPort("127.0.0.1", string(port)))
		}
		return err
	})
	t.Cleanup(func() { tb.session.Close() })
	tb.run("waiting for the window", `await until(() => Services.wm.getMostRecentWindow("mail:3pane")?.document.getElementById("tabmail")?.currentAbout3Pane?.threadTree)`, nil)
}

// output is what it printed, but that it misses the icons of a desktop.
func (tb *thunderbird) output() string {
	lines := slices.DeleteFunc(strings.Split(tb.log.String(), "\n"), func(line string) bool {
		return strings.TrimSpace(line) == "" || strings.Contains(line, "gtk_icon_theme")
	})
	return strings.Join(lines, "\n")
}

func (tb *thunderbird) dial(address string) (*marionette.Session, error) {
	ctx, cancel := context.WithTimeout(context.Background(), thunderbirdTime)
	defer cancel()
	return marionette.Dial(ctx, address)
}

// run runs a script behind the library, and fails the test where it throws or takes too long.
func (tb *thunderbird) run(what, body string, result any, args ...any) {
	tb.d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), thunderbirdTime)
	defer cancel()
	if err := tb.session.Run(ctx, tb.library+body, result, args...); err != nil {
		tb.d.t.Fatalf("%s: %v\n%s", what, err, tb.console())
	}
}

// script is run of a file of testdata.
func (tb *thunderbird) script(name string, result any, args ...any) {
	tb.d.t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata/thunderbird", name))
	if err != nil {
		tb.d.t.Fatal(err)
	}
	tb.run(name, string(body), result, args...)
}

// console is what Thunderbird complains of.
func (tb *thunderbird) console() string {
	ctx, cancel := context.WithTimeout(context.Background(), replyTimeout)
	defer cancel()
	var all []string
	err := tb.session.Run(ctx, `return Services.console.getMessageArray().map(m => String(m.message ?? m)).slice(-20)`, &all)
	if err != nil {
		return err.Error()
	}
	return tail(strings.Join(all, "\n"))
}

// picture keeps what a window of Thunderbird looks like for readers.
func (tb *thunderbird) picture(document, name string) {
	t := tb.d.t
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), thunderbirdTime)
	defer cancel()
	if err := tb.session.Enter(ctx, document); err != nil {
		t.Fatal(err)
	}
	picture, err := tb.session.Picture(ctx)
	if err != nil {
		t.Fatalf("taking a picture of %s: %v", document, err)
	}
	if err := tb.session.Enter(ctx, mainWindow); err != nil {
		t.Fatal(err)
	}
	small, err := smaller(picture)
	if err != nil || len(small) > maxPicture {
		t.Errorf("%s: %d octets: %v", name, len(small), err)
	}
	if err := os.WriteFile(filepath.Join(screenshots, "thunderbird-"+name+".png"), small, 0o644); err != nil {
		t.Fatal(err)
	}
}

// resizeCompose gives the window in which a message is written the size of its pictures.
func (tb *thunderbird) resizeCompose() {
	tb.d.t.Helper()
	tb.run("resizing", `
		writing().resizeTo(1000, 560);
		await until(() => writing().outerWidth == 1000 && writing().outerHeight == 560, () => [writing().outerWidth, writing().outerHeight])`, nil)
}

// smaller rounds the colours of a picture, which nobody sees and which halves it where colours run into one another.
func smaller(picture []byte) ([]byte, error) {
	shown, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		return nil, err
	}
	rounded := image.NewNRGBA(shown.Bounds())
	draw.Draw(rounded, rounded.Bounds(), shown, shown.Bounds().Min, draw.Src)
	for i, c := range rounded.Pix {
		rounded.Pix[i] = c&^3 | c>>6
	}
	var b bytes.Buffer
	e := png.Encoder{CompressionLevel: png.BestCompression}
	if err := e.Encode(&b, rounded); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
