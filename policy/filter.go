package policy

import "strings"

// Filter selects accounts for an administrator. What is empty selects all.
type Filter struct {
	State State
	Kind  Kind
	Text  string // a part of an address, nom, prénom (or both), label or national number, without regard to case and accents
}

// Matches tells whether the filter selects an account.
func (f Filter) Matches(a *Account) bool {
	if (f.State != "" && f.State != a.State) || (f.Kind != "" && f.Kind != a.Kind) {
		return false
	}
	if strings.TrimSpace(f.Text) == "" {
		return true
	}
	text := strings.ToLower(strings.TrimSpace(f.Text))
	if strings.Contains(string(a.Address), text) || strings.Contains(string(a.MSSante), text) {
		return true
	}
	folded := foldName(f.Text)
	if folded == "" || strings.Contains(folded, "@") {
		return false
	}
	for _, s := range []string{a.Prenom + a.Nom, a.Nom + a.Prenom, a.Label, a.RPPS, a.ADELI} {
		if strings.Contains(foldName(s), folded) {
			return true
		}
	}
	return false
}
