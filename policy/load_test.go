package policy_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"balorg/configs"
	"balorg/mail"
	"balorg/policy"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what the loader says into the want sections of testdata/bad")

// TestBadFiles reads testdata/bad: one mistake a file, with the exact problems expected.
func TestBadFiles(t *testing.T) {
	names, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			src := policy.Source{Mailstores: []string{"local"}}
			var want string
			for _, file := range sections(t, name) {
				switch {
				case file.Name == "want":
					want = string(file.Data)
				case file.Name == "mailstores":
					src.Mailstores = strings.Fields(string(file.Data))
				case strings.HasPrefix(file.Name, "delegations"):
					src.Delegations = append(src.Delegations, file)
				default:
					src.Accounts = append(src.Accounts, file)
				}
			}
			_, problems := policy.Load(src)
			got := problems.Error() + "\n"
			if *update {
				rewriteWant(t, name, got)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// sections reads a txtar file: after a comment, each file's content follows a line `-- name --`.
func sections(t *testing.T, name string) []configs.File {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var files []configs.File
	for line := range strings.Lines(string(data)) {
		title, ok := strings.CutSuffix(strings.TrimPrefix(line, "-- "), " --\n")
		switch {
		case ok && strings.HasPrefix(line, "-- "):
			files = append(files, configs.File{Name: title})
		case len(files) > 0:
			last := &files[len(files)-1]
			last.Data = append(last.Data, line...)
		}
	}
	return files
}

func rewriteWant(t *testing.T, name, want string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(data), "-- want --\n")
	if err := os.WriteFile(name, []byte(head+"-- want --\n"+want), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLoadExamples(t *testing.T) {
	if r := loadFrom(t, "accounts.yaml", "delegations.yaml"); len(r.Accounts) != 4 || len(r.Delegations) != 2 {
		t.Errorf("the annotated examples hold %d accounts, %d delegations", len(r.Accounts), len(r.Delegations))
	}
	got := *account(t, demoRoster(t), sec)
	want := policy.Account{
		Address: sec, MSSante: "secretariat@sapins.mssante.fr", Kind: policy.Org, State: policy.Active,
		Label: "Secrétariat - Clinique des Sapins", Description: "Secrétariat - Clinique des Sapins",
		Nom: "Secrétariat", Prenom: "Clinique des Sapins",
		Structure: policy.Structure{FINESS: "310000005"}, Responsible: claire,
		Sender: policy.SenderNominative, Mailstore: "local",
		Pos: configs.Pos{File: "demo/accounts.yaml", Line: 50, Column: 5},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("secretariat (-want +got):\n%s", diff)
	}
	if got := account(t, demoRoster(t), claire).Label; got != "Dr Claire Durand" {
		t.Errorf("claire's label is %q", got)
	}
}

// TestLoadEveryKey reads an account with each key of the contract, and addresses in any case and either form.
func TestLoadEveryKey(t *testing.T) {
	r, problems := policy.Load(policy.Source{
		Mailstores: []string{"local", "far"},
		Accounts: []configs.File{{Name: "a", Data: []byte(`
accounts:
  - address: Claire@A.fr
    kind: per
    nom: Durand
    prenom: Claire
    titre: Dr
    rpps: 10003456786
    profession: 10
    mssante: claire@a.mssante.fr
    red_list: true
    notify: claire@example.net
    mailstore: far
    state: suspended
    sender: default
    admin: true
    quota: 2GB
    language: en
`)}, {Name: "b", Data: []byte(`
accounts:
  - {address: s@a.fr, kind: org, nom: S, description: Secret, service: Sec, mailstore: local, responsible: lea@a.fr, structure: {siret: "35600000000048"}}
  - {address: lea@a.fr, kind: per, nom: P, prenom: L, adeli: 2A9100015, mailstore: local, mssante: lea@a.fr}
`)}},
		Delegations: []configs.File{{Name: "d", Data: []byte(`
delegations:
  - {mailbox: S@A.FR, accounts: [{account: CLAIRE@a.mssante.fr, rights: read, send: as, notify: true}]}
  - {mailbox: s@a.fr, accounts: [{account: lea@a.fr, rights: manage}]}
`)}},
	})
	if len(problems) > 0 {
		t.Fatalf("problems:\n%v", problems)
	}
	want := &policy.Account{
		Address: "claire@a.fr", MSSante: "claire@a.mssante.fr", Kind: policy.Per, State: policy.Suspended, Label: "Dr Claire Durand",
		Nom: "Durand", Prenom: "Claire", Titre: "Dr", RPPS: "10003456786", Profession: "10", RedList: true, Admin: true,
		Sender: policy.SenderDefault, Notify: "claire@example.net", Mailstore: "far", Quota: 2e9, Language: "en",
		Pos: configs.Pos{File: "a", Line: 3, Column: 5},
	}
	if diff := cmp.Diff(want, account(t, r, "claire@a.fr")); diff != "" {
		t.Errorf("account (-want +got):\n%s", diff)
	}
	grants := []policy.Delegation{
		{Mailbox: "s@a.fr", Account: "claire@a.fr", Rights: policy.PresetRead, Send: policy.SendAs, Notify: true, Pos: configs.Pos{File: "d", Line: 3, Column: 34}},
		{Mailbox: "s@a.fr", Account: "lea@a.fr", Rights: policy.PresetManage, Send: policy.SendNo, Pos: configs.Pos{File: "d", Line: 4, Column: 34}},
	}
	if diff := cmp.Diff(grants, r.Delegations); diff != "" {
		t.Errorf("delegations (-want +got):\n%s", diff)
	}
}

func TestGuard(t *testing.T) {
	roster := func(accounts, delegations int) *policy.Roster {
		r := &policy.Roster{}
		for i := range accounts {
			r.Accounts = append(r.Accounts, &policy.Account{Address: mail.Address(rune('a' + i))})
		}
		for i := range delegations {
			r.Delegations = append(r.Delegations, policy.Delegation{Mailbox: "m", Account: mail.Address(rune('a' + i))})
		}
		return r
	}
	for _, test := range []struct {
		name     string
		old, new *policy.Roster
		want     string
	}{
		{"nothing goes", roster(20, 20), roster(20, 20), ""},
		{"all new", roster(0, 0), roster(20, 20), ""},
		{"four of four: below five", roster(4, 4), roster(0, 0), ""},
		{"five of 25: not above a fifth", roster(25, 25), roster(20, 20), ""},
		{"six of 25", roster(25, 0), roster(19, 0), "the files remove 6 of 25 accounts; reload by force if this is meant"},
		{"delegations", roster(25, 25), roster(25, 0), "the files remove 25 of 25 delegations; reload by force if this is meant"},
	} {
		got := ""
		if err := (policy.Config{}).Guard(test.old, test.new); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	if err := policy.Guard(roster(4, 0), roster(2, 0), 0.4, 2); err == nil {
		t.Error("the configured shares are not used")
	}
}

// TestLoadLarge: a large platform loads in moments, also when half of its accounts file is missing: what each dangling address is likely
// to mean is searched for a few of them only. (A limit of time would tell how busy the machine is.)
func TestLoadLarge(t *testing.T) {
	const size = 10_000
	var accounts, delegations strings.Builder
	accounts.WriteString("accounts:\n  - {address: org@a.fr, kind: org, nom: S, description: S, responsible: p0@a.fr}\n" +
		"  - {address: p0@a.fr, kind: per, nom: N, prenom: P, adeli: \"319100015\"}\n")
	delegations.WriteString("delegations:\n  - mailbox: org@a.fr\n    accounts:\n")
	for i := range size {
		if i > 0 && i < size/2 {
			fmt.Fprintf(&accounts, "  - {address: p%d@a.fr, kind: med, nom: N%[1]d, prenom: P}\n", i)
		}
		fmt.Fprintf(&delegations, "      - {account: p%d@a.fr, rights: read}\n", i)
	}
	r, problems := policy.Load(policy.Source{
		Accounts:    []configs.File{{Name: "a", Data: []byte(accounts.String())}},
		Delegations: []configs.File{{Name: "d", Data: []byte(delegations.String())}},
		Mailstores:  []string{"local"},
	})
	if len(r.Accounts) != size/2+1 || len(r.Delegations) != size/2 || len(problems) != size/2 {
		t.Errorf("%d accounts, %d delegations, %d problems", len(r.Accounts), len(r.Delegations), len(problems))
	}
	searched := 0
	for _, p := range problems {
		if strings.HasPrefix(p.Hint, "did you mean p") {
			searched++
		}
	}
	if searched != 20 {
		t.Errorf("%d dangling addresses were searched for", searched)
	}
}
