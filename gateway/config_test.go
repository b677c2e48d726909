package gateway

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"balorg/configs"
)

// folder writes files, by name, beside certificates under tls/, and answers the path of balorg.yaml in it.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "tls"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := demoCertificates(filepath.Join(dir, "tls"), "", time.Now()); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "balorg.yaml")
}

func example(t *testing.T, name string) string {
	t.Helper()
	content, err := configs.Examples.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// withDemo is files with the demo's accounts and delegations.
func withDemo(t *testing.T, balorg string) map[string]string {
	t.Helper()
	return map[string]string{
		"balorg.yaml": balorg, "accounts.yaml": example(t, "demo/accounts.yaml"), "delegations.yaml": example(t, "demo/delegations.yaml"),
	}
}

// problemsOf are those of the files, as they are printed, without their folder.
func problemsOf(path string) []string {
	_, problems := Load(path)
	var lines []string
	for _, p := range problems {
		lines = append(lines, strings.ReplaceAll(p.String(), filepath.Dir(path)+"/", ""))
	}
	return lines
}

// TestExampleHoldsTheDefaults: what the annotated example says of each key is what the daemon does without it.
func TestExampleHoldsTheDefaults(t *testing.T) {
	// The certificate of the test names localhost.
	text := strings.NewReplacer("/etc/balorg/", "", "mail.clinique-des-sapins.fr", "localhost").Replace(example(t, "balorg.yaml"))
	path := folder(t, map[string]string{
		"balorg.yaml": text, "accounts.yaml": example(t, "accounts.yaml"), "delegations.yaml": example(t, "delegations.yaml"),
	})
	loaded, problems := Load(path)
	if len(problems) > 0 {
		t.Fatalf("the example has problems:\n%v", problems)
	}
	got := loaded.Config
	var none Config
	none.applyDefaults()
	for _, tt := range []struct {
		key       string
		got, want any
	}{
		{"state", got.State, none.State},
		{"store", got.Store, none.Store},
		{"accounts", got.Accounts, none.Accounts},
		{"delegations", got.Delegations, none.Delegations},
		{"mailstores", got.mailstoreNames(), none.mailstoreNames()},
		{"imap.max_message", got.IMAP.MaxMessage, none.IMAP.MaxMessage},
		{"imap.max_connections", got.IMAP.MaxConnections, none.IMAP.MaxConnections},
		{"imap.max_connections_per_address", got.IMAP.MaxConnectionsPerAddress, none.IMAP.MaxConnectionsPerAddress},
		{"audit.retention", got.Audit.Retention, none.Audit.Retention},
		{"limits.quota", got.Limits.Quota, none.Limits.Quota},
		{"limits.keep_removed", got.Limits.KeepRemoved, none.Limits.Park()},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("%s: %s", tt.key, diff)
		}
	}
}

func TestDefaults(t *testing.T) {
	path := folder(t, withDemo(t, "state: .\n"))
	loaded, problems := Load(path)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	cfg := loaded.Config
	if cfg.StateDir() != filepath.Dir(path) {
		t.Errorf("state in %s", cfg.StateDir())
	}
	if cfg.Audit.Retention != 180*24*time.Hour || cfg.IMAP.MaxConnections != 10000 || cfg.Limits.Quota != 2e9 {
		t.Errorf("%+v", cfg)
	}
	if n := len(loaded.Roster.Accounts); n != 9 {
		t.Errorf("%d accounts", n)
	}
	var names []string
	for _, f := range loaded.Inputs {
		names = append(names, filepath.Base(f.Name))
	}
	if diff := cmp.Diff([]string{"balorg.yaml", "accounts.yaml", "delegations.yaml"}, names); diff != "" {
		t.Error(diff)
	}
}

const secured = "listen: {imaps: \"127.0.0.1:0\"}\ntls: {certificate: tls/cert.pem, key: tls/key.pem}\n"

func TestProblems(t *testing.T) {
	for _, tt := range []struct {
		name, balorg string
		want         []string
	}{
		{"good", secured, nil},
		{"a name that is none", secured + "hostname: mail\n", []string{`balorg.yaml:3:11: domain "mail" is not a full domain name (hint: a full name such as mail.example.org)`, `balorg.yaml:3:11: warning: the certificate does not name mail (hint: clients that connect to it will not trust it)`}},
		{"no TLS, nobody listens", "hostname: mail.x.fr\n", nil},
		{
			"unknown keys, at any depth, all at once", secured + "hostnam: x\nimap:\n  shared_prefi: Comptes\n  max_message: much\n",
			[]string{
				`balorg.yaml:3:1: unknown key "hostnam" in the file (hint: did you mean hostname?)`,
				`balorg.yaml:5:3: unknown key "shared_prefi" in imap (hint: did you mean shared_prefix?)`,
				`balorg.yaml:6:16: max_message: "much" is not a size; write 500MB or 2GB`,
			},
		},
		{
			"no TLS", "listen: {imap: \":0\"}\n",
			[]string{`balorg.yaml: a certificate and its key are needed: nobody logs in without TLS (hint: tls: {certificate: cert.pem, key: key.pem})`},
		},
		{
			"a certificate without its key", "listen: {imaps: \":0\"}\ntls: {certificate: tls/cert.pem}\n",
			[]string{`balorg.yaml: a certificate and its key are needed: nobody logs in without TLS (hint: tls: {certificate: cert.pem, key: key.pem})`},
		},
		{
			"a certificate that is not there", "listen: {imaps: \":0\"}\ntls: {certificate: tls/none.pem, key: tls/key.pem}\n",
			[]string{`balorg.yaml:2:20: reading the certificate: open tls/none.pem: no such file or directory`},
		},
		{
			"insecure, as it is spelled", "listen: {imap: \":0\"}\nimap: {insecure_login_without_tls: true}\n",
			[]string{`balorg.yaml: warning: passwords may be sent in the clear (hint: remove insecure_login_without_tls)`},
		},
		{
			"words that are not known", "imap: {folder_names: de, shared_prefix: \"a/b\"}\nlanguage: es\nlog: {format: xml}\nmailstores:\n  here: {type: maildir}\n",
			[]string{
				`balorg.yaml:1:22: "de" is not known (hint: fr or en)`,
				`balorg.yaml:1:41: "a/b" cannot be the folder of shared mailboxes (hint: a word of letters, digits and hyphens, such as Comptes)`,
				`balorg.yaml:2:11: "es" is not known (hint: fr or en)`,
				`balorg.yaml:3:15: "xml" is not known (hint: text or json)`,
				`balorg.yaml:5:16: mail store here is of the unknown type "maildir" (hint: type: embedded, or type: imap)`,
			},
		},
		{
			"mail stores that no login is for", "mailstores:\n  local: {type: embedded, addresses: \"mail:993\"}\n  a: {type: imap}\n" +
				"  b: {type: imap, addresses: mail, login: kerberos, user: balorg, password_file: open, ca: balorg.yaml, insecure_no_tls: true}\n" +
				"  c: {type: imap, addresses: \"mail:993\", login: secret}\n",
			[]string{
				`balorg.yaml:2:17: mail store local is embedded and has no server to log in to (hint: type: imap)`,
				`balorg.yaml:3:13: mail store a has no address (hint: addresses: mail.example.org:993)`,
				`balorg.yaml:3:13: mail store a needs a user that may open every mailbox, and the file with its password (hint: user and password_file)`,
				`balorg.yaml:4:13: "mail" is no address of mail store b (hint: host:port)`,
				`balorg.yaml:4:13: warning: credentials and mail go to mail store b in the clear (hint: remove insecure_no_tls)`,
				`balorg.yaml:4:43: "kerberos" is not known (hint: authzid or master or secret)`,
				`balorg.yaml:4:82: open may be read by everybody; run chmod 600 on it`,
				`balorg.yaml:4:92: balorg.yaml holds no certificate in PEM`,
				`balorg.yaml:5:13: mail store c logs in with a secret for each mailbox, and names no file of them (hint: secrets_file: secrets.txt, with a line address:secret for each mailbox)`,
			},
		},
		{
			"addresses nobody can listen on",
			"imap: {insecure_login_without_tls: true}\nlisten:\n  imap: [\":143\", 143, \"127.0.0.1:imap\", \":99999\"]\n  imaps: [\":143\", \"[::1]:993\", \"mail host:993\"]\n  metrics: 127.0.0.1\n",
			[]string{
				`balorg.yaml: warning: passwords may be sent in the clear (hint: remove insecure_login_without_tls)`,
				`balorg.yaml:3:18: an entry of imap: "143" is no address and port; write 127.0.0.1:993, [::1]:993 or :993`,
				`balorg.yaml:3:23: an entry of imap: "imap" is not a port; write a number up to 65535`,
				`balorg.yaml:3:41: an entry of imap: "99999" is not a port; write a number up to 65535`,
				`balorg.yaml:4:11: :143 is listened on twice; first at line 3`,
				`balorg.yaml:4:32: an entry of imaps: "mail host" is not an address; write 127.0.0.1, ::1 in brackets, a name, or nothing for all`,
				`balorg.yaml:5:12: metrics: "127.0.0.1" is no address and port; write 127.0.0.1:993, [::1]:993 or :993`,
			},
		},
		{
			"shares that are none", "limits:\n  guard_share: 20\n",
			[]string{`balorg.yaml:2:16: guard_share: "20" is not a share from 0 to 1; write 0.2 for a fifth`},
		},
		{
			"a national directory from nowhere",
			"directory:\n  national:\n    file: tls\n    url: http://annuaire.example.org/x\n    every: 5s\n    max_shrink: 100\n",
			[]string{
				`balorg.yaml:3:11: tls is not a regular file (hint: the path of an extraction, as text or ZIP)`,
				`balorg.yaml:4:10: the national directory comes from a file or from a URL, not from both (hint: keep file or url)`,
				`balorg.yaml:4:10: the national directory is fetched over HTTPS only (hint: https://host/path)`,
				`balorg.yaml:4:10: the authority of the URL's server must be named: the system's are not trusted for this (hint: ca: igc-sante.pem)`,
				`balorg.yaml:5:12: every: "5s" is too often; write 1m at least, such as 24h`,
				`balorg.yaml:6:17: max_shrink: "100" is no share in per cent; write a whole number from 1 to 99`,
			},
		},
		{
			"a national directory that is not there yet, and no authority",
			"directory: {national: {file: national.zip, ca: balorg.yaml, every: often, max_shrink: ten}}\n",
			[]string{
				`balorg.yaml:1:30: warning: the file of the national directory is not there`,
				`balorg.yaml:1:48: balorg.yaml holds no certificate in PEM`,
				`balorg.yaml:1:68: every: "often" is not a duration; write 30s, 5m, 12h or 30d`,
				`balorg.yaml:1:87: max_shrink: "ten" is no share in per cent; write a whole number from 1 to 99`,
			},
		},
		{
			"files that are not there", "accounts: people.yaml\ndelegations: .\n",
			[]string{`people.yaml: no such file or directory`},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := withDemo(t, tt.balorg)
			if strings.HasPrefix(tt.balorg, "accounts:") {
				files = map[string]string{"balorg.yaml": tt.balorg}
			}
			path := folder(t, files)
			if strings.HasPrefix(tt.balorg, "mailstores:") {
				open := filepath.Join(filepath.Dir(path), "open")
				if err := errors.Join(os.WriteFile(open, nil, 0o600), os.Chmod(open, 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			got := slices.DeleteFunc(problemsOf(path), func(p string) bool { return strings.HasPrefix(p, "accounts.yaml") })
			if strings.HasPrefix(tt.balorg, "accounts:") && len(got) > 0 {
				got = got[len(got)-1:] // balorg.yaml itself is no list of delegations, either
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLoadWithoutFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "balorg.yaml")
	loaded, problems := Load(path)
	if diff := cmp.Diff([]string{"balorg.yaml: no such file or directory"}, problemsOf(path)); diff != "" {
		t.Error(diff)
	}
	if loaded == nil || loaded.Roster == nil || problems.Err() == nil {
		t.Errorf("%+v, %v", loaded, problems.Err())
	}
	if _, err := New(Options{ConfigPath: path}); !errors.As(err, new(configs.Problems)) {
		t.Errorf("a gateway without configuration: %v", err)
	}
	if _, problems := Load(t.TempDir()); problems.Err() == nil {
		t.Error("a folder is taken for balorg.yaml")
	}
}

func TestFrozen(t *testing.T) {
	base := "state: s\nstore: {min_free: 64MB}\n" + secured + "imap: {max_message: 10MB}\n"
	for _, tt := range []struct{ name, from, to, want string }{
		{"nothing", "", "", ""},
		{"lines that move", base, "# a comment\n" + base, ""},
		{"state", "state: s", "state: t", "state"},
		{"hostname", base, base + "hostname: localhost\n", "hostname"},
		{"store", "64MB", "65MB", "store"},
		{"an address", "127.0.0.1:0", "127.0.0.1:1", "listen"},
		{"one address more", `"127.0.0.1:0"`, `["127.0.0.1:0", "127.0.0.1:1"]`, "listen"},
		{"another service", `imaps: "127.0.0.1:0"`, `imaps: "127.0.0.1:0", imap: "127.0.0.1:0"`, "listen"},
		{"metrics", `imaps: "127.0.0.1:0"`, `imaps: "127.0.0.1:0", metrics: "127.0.0.1:0"`, "listen"},
		{"imap", "10MB", "11MB", "imap"},
		{"the shared prefix", "imap: {", "imap: {shared_prefix: Autres, ", "imap"},
		{"authentication", base, base + "authentication: {min_password: 8}\n", "authentication"},
		{"log", base, base + "log: {level: debug}\n", "log"},
		{"mailstores", base, base + "mailstores: {here: {type: embedded}}\n", "mailstores"},
		{"retention", base, base + "audit: {retention: 90d}\n", ""},
		{"limits", base, base + "limits: {quota: 1GB}\n", ""},
		{"the directory", base, base + "directory: {max_entries: 100}\n", "directory"},
		{"the national directory", base, base + "directory: {national: {every: 12h}}\n", ""},
		{"files", base, base + "accounts: accounts.yaml\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := folder(t, withDemo(t, base))
			before, problems := Load(path)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			if err := os.WriteFile(path, []byte(strings.Replace(base, tt.from, tt.to, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			after, problems := Load(path)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			if got := before.Config.frozen(after.Config); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
