package amend

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"balorg/configs"
	"balorg/mail"
	"balorg/policy"

	"golang.org/x/text/unicode/norm"
)

// delegationsColumn holds who opens an org: address=rights/send, with /default and /notify, several with blanks between.
const delegationsColumn = "delegations"

// column is one of a table of accounts: key is that of the files, name stands in the first row.
type column struct{ key, name string }

// columns are those of an export, in their order. The first eight are those operators exchange.
func columns() []column {
	return []column{
		{"address", "Mail"},
		{"state", "Statut"},
		{"kind", "Type de bal"},
		{"nom", "Nom"},
		{"prenom", "Prénom"},
		{"profession", "Profession"},
		{"rpps", "RPPS"},
		{"adeli", "ADELI"},
		{"titre", "Titre"},
		{"description", "Description"},
		{"service", "Service"},
		{"mssante", "Adresse MSSanté"},
		{"red_list", "Liste rouge"},
		{"responsible", "Responsable"}, //nolint:misspell // French
		{"finess", "FINESS"},
		{"siret", "SIRET"},
		{"siren", "SIREN"},
		{"notify", "Notification"},
		{"mailstore", "Stockage"},
		{"sender", "Expéditeur"},
		{"admin", "Administrateur"},
		{"quota", "Quota"},
		{"language", "Langue"},
		{delegationsColumn, "Délégations"},
	}
}

// words are what tables say for what files say, folded; the first of each is written.
func words(key string) map[string][]string {
	yes := map[string][]string{"true": {"Oui", "true", "vrai", "1", "x"}, "false": {"Non", "false", "faux", "0"}}
	switch key {
	case "state":
		return map[string][]string{"active": {"Actif", "active"}, "preregistered": {"Pré-inscrit", "preregistered", "préinscrite"}, "suspended": {"Suspendu", "suspended"}}
	case "kind":
		return map[string][]string{"per": {"PER"}, "med": {"MED"}, "org": {"ORG"}, "app": {"APP"}}
	case "sender":
		return map[string][]string{"nominative": {"Nominatif", "nominative"}, "default": {"Défaut", "default", "compte par défaut"}}
	case "red_list", "admin":
		return yes
	}
	return nil
}

func fold(s string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(s) {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

// toFile is what a file says for a cell. What is not known is left to the check of the files, which tells what may stand there.
func toFile(key, cell string) string {
	for value, spellings := range words(key) {
		for _, s := range spellings {
			if fold(s) == fold(cell) && fold(cell) != "" {
				return value
			}
		}
	}
	switch key {
	case "kind":
		return strings.ToLower(cell)
	case "profession":
		if code, ok := policy.ProfessionCode(cell); ok {
			return code
		}
	case "mssante", "responsible", "notify":
		if address, err := mail.ParseAddress(cell); err == nil {
			return string(address)
		}
	}
	return cell
}

func toCell(key, value string) string {
	if spellings := words(key)[value]; spellings != nil {
		return spellings[0]
	}
	return value
}

// Cells are the table of a roster, its first row the names of the columns.
func Cells(r *policy.Roster, selects func(*policy.Account) bool) [][]string {
	grants := map[mail.Address][]string{}
	for _, d := range r.Delegations {
		grants[d.Mailbox] = append(grants[d.Mailbox], GrantOf(d).cell())
	}
	var head []string
	for _, c := range columns() {
		head = append(head, c.name)
	}
	rows := [][]string{head}
	for _, account := range r.Accounts {
		if !selects(account) {
			continue
		}
		fields := FieldsOf(account)
		if fields["state"] == "" {
			fields["state"] = string(policy.Active)
		}
		fields[delegationsColumn] = strings.Join(grants[account.Address], " ")
		var cells []string
		for _, c := range columns() {
			cells = append(cells, toCell(c.key, fields[c.key]))
		}
		rows = append(rows, cells)
	}
	return rows
}

func (g Grant) cell() string {
	text := fmt.Sprintf("%s=%s/%s", g.Person, g.Rights, g.Send)
	if g.Default != "" {
		text += "/default"
	}
	if g.Notify != "" {
		text += "/notify"
	}
	return text
}

func parseGrants(cell string) ([]Grant, error) {
	var all []Grant
	for text := range strings.FieldsSeq(cell) {
		person, rest, ok := strings.Cut(text, "=")
		words := strings.Split(rest, "/")
		address, err := mail.ParseAddress(person)
		if !ok || err != nil || len(words) < 2 {
			return nil, fmt.Errorf("column Délégations: %q is no delegation; write address=write/as, or address=read/no/default/notify", text)
		}
		g := Grant{Person: address, Rights: words[0], Send: words[1], Default: "false", Notify: "false"}
		for _, word := range words[2:] {
			switch word {
			case "default":
				g.Default = "true"
			case "notify":
				g.Notify = "true"
			default:
				return nil, fmt.Errorf("column Délégations: %q is neither default nor notify", word)
			}
		}
		all = append(all, g)
	}
	return all, nil
}

// Header is the meaning of a table's columns: keys by place, empty for a column without a name.
type Header []string

// ParseHeader reads the first row of a table. Case, accents and blanks do not count; the keys of the files are names, too.
func ParseHeader(cells []string) (Header, error) {
	var h Header
	var names []string
	for _, c := range columns() {
		names = append(names, c.name)
	}
	for _, cell := range cells {
		key := ""
		for _, c := range columns() {
			if fold(cell) != "" && (fold(c.name) == fold(cell) || fold(c.key) == fold(cell)) {
				key = c.key
			}
		}
		switch {
		case key == "" && cell != "":
			hint := "known columns: " + strings.Join(names, ", ")
			if near, ok := configs.Nearest(cell, names); ok {
				hint = "did you mean " + near + "?"
			}
			return nil, fmt.Errorf("there is no column %q (hint: %s)", cell, hint)
		case key != "" && slices.Contains(h, key):
			return nil, fmt.Errorf("the column %q stands twice", cell)
		}
		h = append(h, key)
	}
	if !slices.Contains(h, "address") {
		return nil, fmt.Errorf("the first row names no column Mail (hint: known columns: %s)", strings.Join(names, ", "))
	}
	return h, nil
}
