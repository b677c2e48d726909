package policy_test

import (
	"testing"

	"balorg/policy"
)

func TestLuhnKey(t *testing.T) {
	for _, number := range []string{"79927398713", "732829320", "73282932000074", "10003456786", "00", "18"} {
		last := len(number) - 1
		if key := policy.LuhnKey(number[:last]); key != number[last] {
			t.Errorf("the key of %s is %c", number, key)
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		check func(string) error
		right []string
		wrong []string
	}{
		{"RPPS", policy.CheckRPPS, []string{"10003456786"}, []string{"", "10003456787", "1000345678", "810003456786", "1000345678a"}},
		{"FINESS", policy.CheckFINESS, []string{"310000005", "2A0000012"}, []string{"", "310000006", "31000000", "2C0000012"}},
		{"SIREN", policy.CheckSIREN, []string{"732829320"}, []string{"", "732829321", "73282932"}},
		{"SIRET", policy.CheckSIRET, []string{"73282932000074", "35600000000048"}, []string{"", "73282932000075", "35600000000041", "7328293200007"}},
	} {
		for _, s := range tt.right {
			if err := tt.check(s); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
		for _, s := range tt.wrong {
			if tt.check(s) == nil {
				t.Errorf("%s: %q passes", tt.name, s)
			}
		}
	}
}
