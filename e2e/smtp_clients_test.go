package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// sending is what a mail program is told to do.
type sending struct {
	user, password string
	authzid        string // of programs that have a word for it
	from           string // of the envelope
	header         string // the address in the field From; "" means from
	to             []string
	subject        string
	starttls       bool
	mechanism      string // PLAIN or LOGIN
}

func (s sending) message() string {
	header := s.header
	if header == "" {
		header = s.from
	}
	return fmt.Sprintf("From: Noémie Martin <%s>\nTo: %s\nSubject: %s\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n"+
		"Le rendez-vous est confirmé.\n.\nFin\n", header, strings.Join(s.to, ", "), s.subject)
}

// port is that of the listener that has the wanted TLS.
func (s sending) port(d *daemon) string {
	if s.starttls {
		return d.port(d.listeners.Submission[0])
	}
	return d.port(d.listeners.Submissions[0])
}

// program runs a mail program and answers what it printed and with which code it ended.
type program struct {
	name string
	send func(*testing.T, *daemon, sending) (string, error)
	// The codes it ends with when logging in, MAIL, RCPT and the end of DATA are refused.
	login, mail, rcpt, data int
	silent                  bool // it tells nobody why
	oneFrom                 bool // the envelope's sender is always that of the header
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	exit, ok := err.(*exec.ExitError) //nolint:errorlint // exec wraps nothing
	if !ok {
		t.Fatal(err)
	}
	return exit.ExitCode()
}

func swaks(t *testing.T, d *daemon, s sending) (string, error) {
	t.Helper()
	tls := "--tls-on-connect"
	if s.starttls {
		tls = "--tls"
	}
	file := filepath.Join(t.TempDir(), "message")
	if err := os.WriteFile(file, []byte(s.message()), 0o600); err != nil {
		t.Fatal(err)
	}
	return tryRun(t, "swaks", "--server", "localhost:"+s.port(d), tls, "--tls-verify", "--tls-ca-path", d.ca(), "--auth", s.mechanism, "--auth-user", s.user,
		"--auth-password", s.password, "--from", s.from, "--to", strings.Join(s.to, ","), "--data", "@"+file)
}

func msmtp(t *testing.T, d *daemon, s sending) (string, error) {
	t.Helper()
	dir := t.TempDir()
	message, starttls := filepath.Join(dir, "message"), "off"
	if s.starttls {
		starttls = "on"
	}
	for name, content := range map[string]string{
		message: s.message(), filepath.Join(dir, "password"): s.password + "\n",
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return tryRun(t, "sh", append([]string{
		"-c", `exec msmtp --host=localhost --port="$1" --tls=on --tls-starttls="$2" --tls-trust-file="$3" --auth="$4" --user="$5" --passwordeval="cat $6/password" --from="$7" -- "$8" ${9:+"$9"} <"$6/message"`, "msmtp",
		s.port(d), starttls, d.ca(), strings.ToLower(s.mechanism), s.user, dir, s.from,
	}, s.to...)...)
}

func snail(t *testing.T, d *daemon, s sending) (string, error) {
	t.Helper()
	dir := t.TempDir()
	scheme := "smtps"
	options := []string{}
	if s.starttls {
		scheme, options = "smtp", append(options, "-S", "smtp-use-starttls")
	}
	if err := os.WriteFile(filepath.Join(dir, "netrc"), []byte(fmt.Sprintf("machine localhost login %q password %q\n", s.user, s.password)), 0o600); err != nil {
		t.Fatal(err)
	}
	from := s.header
	if from == "" {
		from = s.from
	}
	args := []string{
		"-c", `printf 'Le rendez-vous est confirmé.\n.\nFin\n' | s-nail "$@"`, "s-nail", "-:/", "-S", "v15-compat", "-S", "sendwait", "-S", "tls-ca-no-defaults", "-S", "tls-ca-file=" + d.ca(),
		"-S", "tls-verify=strict", "-S", "netrc-lookup", "-S", "netrc-pipe=cat " + filepath.Join(dir, "netrc"), "-S", "smtp-auth=" + strings.ToLower(s.mechanism), "-S", "DEAD=/dev/null",
		"-S", "user=" + s.user, "-S", "mta=" + scheme + "://localhost:" + s.port(d), "-S", "from=Noémie Martin <" + from + ">", "-S", "sendcharsets=utf-8", "-S", "ttycharset=utf-8",
	}
	args = append(append(args, options...), "-r", s.from, "-s", s.subject)
	return tryRun(t, "sh", append(args, s.to...)...)
}

// curlMail is the program that has a word for the authorization identity.
func curlMail(t *testing.T, d *daemon, s sending) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "message")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(s.message(), "\n", "\r\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-sS", "--cacert", d.ca(), "--login-options", "AUTH=" + s.mechanism, "-u", s.user + ":" + s.password, "--mail-from", s.from, "-T", file}
	if s.authzid != "" {
		args = append(args, "--sasl-authzid", s.authzid)
	}
	for _, to := range s.to {
		args = append(args, "--mail-rcpt", to)
	}
	at := "smtps://localhost:" + s.port(d)
	if s.starttls {
		args, at = append(args, "--ssl-reqd"), "smtp://localhost:"+s.port(d)
	}
	return tryRun(t, "curl", append(args, at)...)
}

var programs = []program{
	{name: "swaks", send: swaks, login: 28, mail: 23, rcpt: 24, data: 26},
	{name: "msmtp", send: msmtp, login: 77, mail: 65, rcpt: 65, data: 69},
	{name: "s-nail", send: snail, login: 4, mail: 4, rcpt: 4, oneFrom: true},
	{name: "curl", send: curlMail, login: 67, mail: 55, rcpt: 55, data: 8, silent: true},
}

// habits are how a person's mail program is set up to send as a mailbox.
var habits = []struct {
	name, person string
	user         func(person, mailbox string) string
	authzid      bool
	only         string // program
}{
	{name: "login is the person", person: noemie, user: func(p, _ string) string { return p }},
	{name: "login is the person who opens her own by default", person: claire, user: func(p, _ string) string { return p }},
	{name: "login is mailbox*person", person: noemie, user: func(p, m string) string { return m + "*" + p }},
	{name: "authorization identity", person: claire, user: func(p, _ string) string { return p }, authzid: true, only: "curl"},
}

// TestMailPrograms sends as the secretariat with every program, both kinds of TLS, both mechanisms and all habits, and looks at where the
// message went.
func TestMailPrograms(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	n := 0
	for _, p := range programs {
		for _, starttls := range []bool{true, false} {
			for _, mechanism := range []string{"PLAIN", "LOGIN"} {
				for _, h := range habits {
					if h.only != "" && h.only != p.name || h.authzid && mechanism != "PLAIN" { // LOGIN has no place for it
						continue
					}
					n++
					s := sending{
						user: h.user(address(h.person), address(secretariat)), password: password(h.person), from: address(secretariat), mechanism: mechanism,
						to: []string{mssante(paul), outside}, subject: fmt.Sprintf("programme-%d-", n), starttls: starttls,
					}
					if h.authzid {
						s.authzid = address(secretariat)
					}
					t.Run(fmt.Sprintf("%s starttls=%t %s %s", p.name, starttls, mechanism, h.name), func(t *testing.T) {
						if out, err := p.send(t, d, s); err != nil {
							t.Fatalf("%v\n%s", err, tail(out))
						}
						checkSent(t, d, s, h.person)
					})
				}
			}
		}
	}
}

// checkSent looks at what a program sent as the secretariat to paul and outside: in Sent, in paul's INBOX, at the sink and in the trace.
func checkSent(t *testing.T, d *daemon, s sending, person string) {
	t.Helper()
	gone := d.sunk(s.subject)
	if gone.from != "<"+mssante(secretariat)+">" || gone.to != "<"+outside+">" {
		t.Errorf("the envelope: from %s to %s", gone.from, gone.to)
	}
	copied := login(t, d, claire).one(d, shared(secretariat, sentFolder), s.subject)
	if copied.flags != `\Seen` {
		t.Errorf("flags in Sent: %q", copied.flags)
	}
	inbox := login(t, d, paul).one(d, "INBOX", s.subject)
	for where, octets := range map[string]string{"the sink": gone.octets, "Sent": copied.octets, "the INBOX": inbox.octets} {
		if octets != gone.octets {
			t.Errorf("%s has another message than the sink:\n%s\n%s", where, octets, gone.octets)
		}
		if !strings.Contains(octets, secretariatName) || strings.Count(octets, "From:") != 1 {
			t.Errorf("%s: another From:\n%s", where, octets)
		}
		tells := strings.ToLower(octets)
		for _, secret := range []string{"noemie", "noémie", "no=c3=a9mie", "martin", "claire", "127.0.0.1", "durand"} {
			if strings.Contains(tells, secret) {
				t.Errorf("%s tells %q:\n%s", where, secret, octets)
			}
		}
		if !strings.Contains(strings.NewReplacer("=C3=A9", "é", "=2E", ".").Replace(octets), "Le rendez-vous est confirmé.\r\n.\r\nFin\r\n") {
			t.Errorf("%s: another body:\n%s", where, octets)
		}
	}
	sent := d.trace("--action", "send", "--mailbox", address(secretariat))
	last := sent[len(sent)-1]
	if last.Person.Address != address(person) || last.Folder != "Envoyés" || last.UIDs != copied.uid ||
		last.Request != fmt.Sprintf("MAIL FROM:<%s> RCPT TO:<%s>,<%s>", mssante(secretariat), mssante(paul), outside) {
		t.Errorf("the trace: %+v", last)
	}
	if strings.Contains(d.log.String(), s.subject) {
		t.Error("the log tells subjects")
	}
}

// TestMailProgramsRefused: what a program tells the person who pressed Send, and with which code it ends.
func TestMailProgramsRefused(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	for _, p := range programs {
		for _, tt := range []struct {
			name   string
			change func(*sending)
			code   int
			want   string
		}{
			{"wrong password", func(s *sending) { s.password = "wrong" }, p.login, "535 5.7.8 Authentication failed"},
			{"foreign sender", func(s *sending) { s.from = address(claire) }, p.mail, "553 5.7.1 Vous ne pouvez pas envoyer de message en tant que " + address(claire)},
			{"foreign From", func(s *sending) { s.header = address(claire) }, p.data, "550 5.7.1 header From: vous ne pouvez pas envoyer de message en tant que " + address(claire)},
			{
				"outside the trust space", func(s *sending) { s.to = []string{"dr@example.net"} }, p.rcpt,
				"550 5.7.1 dr@example.net: le domaine example.net n'est pas dans l'espace de confiance MSSante",
			},
			{"nobody here", func(s *sending) { s.to = []string{mssante("personne")} }, p.rcpt, "550 5.1.1 " + mssante("personne")},
		} {
			if tt.name == "foreign From" && p.oneFrom {
				continue
			}
			for _, starttls := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s %s starttls=%t", p.name, tt.name, starttls), func(t *testing.T) {
					s := sending{
						user: address(noemie), password: password(noemie), from: address(secretariat), to: []string{mssante(paul)}, subject: "refusé", mechanism: "PLAIN", starttls: starttls,
					}
					tt.change(&s)
					out, err := p.send(t, d, s)
					if code := exitCode(t, err); code != tt.code {
						t.Errorf("it ends with %d, want %d", code, tt.code)
					}
					if !p.silent && !strings.Contains(out, tt.want) {
						t.Errorf("it does not tell %q:\n%s", tt.want, tail(out))
					}
				})
			}
		}
	}
	if got := login(t, d, paul).find("INBOX", "refus"); len(got) > 0 {
		t.Errorf("%d messages arrived", len(got))
	}
	if got := d.trace("--action", "send"); len(got) > 0 {
		t.Errorf("the trace: %+v", got)
	}
}
