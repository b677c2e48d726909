package policy

import "testing"

func TestFilter(t *testing.T) {
	a := &Account{
		Address: "lea.petit@a.fr", MSSante: "lp@m.fr", Kind: Per, State: Suspended, Nom: "Petit", Prenom: "Léa", Label: "Mme Léa Petit", ADELI: "319100015",
	}
	for _, tt := range []struct {
		f    Filter
		want bool
	}{
		{Filter{}, true},
		{Filter{State: Suspended, Kind: Per, Text: "LEA p"}, true},
		{Filter{State: Active}, false},
		{Filter{Kind: Med}, false},
		{Filter{Text: "petit léa"}, true},
		{Filter{Text: "Mme lea"}, true},
		{Filter{Text: "3191"}, true},
		{Filter{Text: "LP@M"}, true},
		{Filter{Text: " "}, true},
		{Filter{Text: "--"}, false},
		{Filter{Text: "petitx"}, false},
		{Filter{Text: "x@m.fr"}, false},
	} {
		if got := tt.f.Matches(a); got != tt.want {
			t.Errorf("%+v: %v", tt.f, got)
		}
	}
}
