package amend

import (
	"strings"
	"testing"

	"balorg/configs"
	"balorg/mail"
)

func draft(t *testing.T, accounts ...string) *Draft {
	t.Helper()
	var files []configs.File
	for i, text := range accounts {
		files = append(files, configs.File{Name: string(rune('a'+i)) + ".yaml", Data: []byte(text)})
	}
	d, err := NewDraft(files, []configs.File{{Name: "d.yaml", Data: []byte(delegations)}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const delegations = `delegations:
  - mailbox: sec@a.fr
    accounts:
      - {account: c@a.fr, rights: read} # c
  - mailbox: urg@a.fr
    accounts:
      - {account: c@a.fr, rights: read}
      - {account: d@a.fr, rights: read}
`

// TestFolder: with several files, an account is changed where it stands, and a new one goes to the last or the one named.
func TestFolder(t *testing.T) {
	d := draft(t, "accounts:\n- address: C@A.fr\n  mssante: c@m.fr\n", "accounts:\n- address: d@a.fr\n")
	if err := d.AddTo("c.yaml"); err == nil || err.Error() != "c.yaml is no file of accounts; they are a.yaml, b.yaml" {
		t.Error(err)
	}
	steps := []error{
		d.EditAccount("c@m.fr", Fields{"nom": "Durand", "finess": "1", "mssante": ""}),
		d.AddAccount("x@a.fr", Fields{"kind": "med"}),
		d.AddTo("a.yaml"),
		d.AddAccount("y@a.fr", Fields{"kind": "app", "siren": "12"}),
	}
	for _, err := range steps {
		if err != nil {
			t.Fatal(err)
		}
	}
	if id, err := d.Identifier("c@m.fr"); err != nil || id != "c@a.fr" {
		t.Errorf("identifier %s, %v", id, err)
	}
	files, err := d.Files()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"a.yaml": "accounts:\n- address: C@A.fr\n  nom: Durand\n  structure: {finess: \"1\"}\n- address: y@a.fr\n  kind: app\n  structure: {siren: \"12\"}\n",
		"b.yaml": "accounts:\n- address: d@a.fr\n- address: x@a.fr\n  kind: med\n",
	}
	if len(files) != len(want) {
		t.Errorf("%d files change", len(files))
	}
	for _, file := range files {
		if string(file.Data) != want[file.Name] {
			t.Errorf("%s:\n%s", file.Name, file.Data)
		}
	}
}

// TestRemove: an account takes its delegations along, as mailbox and as person; an entry nobody is left in goes, too.
func TestRemove(t *testing.T) {
	d := draft(t, "accounts:\n- address: c@a.fr\n- address: d@a.fr\n- address: sec@a.fr\n")
	if err := d.RemoveAccount("c@a.fr"); err != nil {
		t.Fatal(err)
	}
	files, err := d.Files()
	if err != nil || len(files) != 2 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	if got, want := string(files[1].Data), "delegations:\n  - mailbox: urg@a.fr\n    accounts:\n      - {account: d@a.fr, rights: read}\n"; got != want {
		t.Errorf("delegations:\n%s", got)
	}
	if strings.Contains(string(files[0].Data), " c@a.fr") {
		t.Errorf("accounts:\n%s", files[0].Data)
	}
}

// TestGrant: of a delegation that is there, what is given changes; new ones of one mailbox make one entry.
func TestGrant(t *testing.T) {
	d := draft(t, "accounts: []\n")
	for _, err := range []error{
		d.Delegate("sec@a.fr", Grant{Person: "c@a.fr", Send: "as"}),
		d.Delegate("sec@a.fr", Grant{Person: "e@a.fr", Rights: "manage"}),
		d.Delegate("new@a.fr", Grant{Person: "c@a.fr", Default: "true"}),
		d.Delegate("new@a.fr", Grant{Person: "d@a.fr"}),
		d.Revoke("urg@a.fr", mail.Address("d@a.fr")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Revoke("urg@a.fr", "e@a.fr"); err == nil {
		t.Error("withdrawn from somebody who has none")
	}
	files, err := d.Files()
	if err != nil || len(files) != 1 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	want := `delegations:
  - mailbox: sec@a.fr
    accounts:
      - {account: c@a.fr, rights: read, send: as} # c
      - {account: e@a.fr, rights: manage}
  - mailbox: urg@a.fr
    accounts:
      - {account: c@a.fr, rights: read}
  - mailbox: new@a.fr
    accounts:
      - {account: c@a.fr, rights: write, default: "true"}
      - {account: d@a.fr, rights: write}
`
	want = strings.ReplaceAll(want, `"true"`, "true")
	if got := string(files[0].Data); got != want {
		t.Errorf("delegations:\n%s", got)
	}
}
