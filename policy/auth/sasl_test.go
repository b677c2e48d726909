package auth

import (
	"errors"
	"strings"
	"testing"
)

func TestParsePlain(t *testing.T) {
	for in, want := range map[string][3]string{
		"\x00user\x00pass":          {"", "user", "pass"},
		"authz\x00user\x00pa ss":    {"authz", "user", "pa ss"},
		"\x00us*er\x00\u00e9\u00e8": {"", "us*er", "éè"},
	} {
		r, err := ParsePlain([]byte(in))
		if got := [3]string{r.Authzid, r.User, r.Password.Reveal()}; err != nil || got != want || r.Mechanism != MechanismPlain {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, bad := range []string{
		"", "\x00", "\x00\x00", "user\x00pass", "\x00user\x00", "\x00\x00pass", "\x00a\x00b\x00c", "\x00a\x00\xff",
		"\x00a\x00" + strings.Repeat("x", maxMessage),
	} {
		if r, err := ParsePlain([]byte(bad)); !errors.Is(err, ErrSASL) {
			t.Errorf("%.30q: %+v, %v", bad, r, err)
		}
	}
}

func TestExchange(t *testing.T) {
	none := []byte(nil)
	tests := []struct {
		name, mechanism string
		responses       [][]byte
		challenges      string
		want            string // user and password, or empty for an error
	}{
		{"plain, initial", "PLAIN", [][]byte{[]byte("\x00u\x00p")}, "", "u p"},
		{"plain, asked", "PLAIN", [][]byte{none, []byte("\x00u\x00p")}, "[]", "u p"},
		{"plain, silent", "PLAIN", [][]byte{none, none}, "[]", ""},
		{"plain, empty initial", "PLAIN", [][]byte{{}}, "", ""},
		{"login", "LOGIN", [][]byte{none, []byte("u"), []byte("p")}, "[Username:][Password:]", "u p"},
		{"login, initial", "LOGIN", [][]byte{[]byte("u"), []byte("p")}, "[Password:]", "u p"},
		{"login, no user", "LOGIN", [][]byte{none, {}}, "[Username:]", ""},
		{"login, no answer twice", "LOGIN", [][]byte{none, none}, "[Username:]", ""},
		{"login, no password", "LOGIN", [][]byte{none, []byte("u"), {}}, "[Username:][Password:]", ""},
		{"login, NUL", "LOGIN", [][]byte{none, []byte("u\x00")}, "[Username:]", ""},
		{"login, too long", "LOGIN", [][]byte{make([]byte, maxMessage+1)}, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e, err := NewExchange(test.mechanism)
			if err != nil {
				t.Fatal(err)
			}
			var challenges, got string
			for _, response := range test.responses {
				challenge, done, err := e.Next(response)
				if err != nil {
					break
				}
				if done != nil {
					got = done.User + " " + done.Password.Reveal()
					if done.Mechanism != test.mechanism {
						t.Errorf("mechanism %s", done.Mechanism)
					}
					break
				}
				challenges += "[" + string(challenge) + "]"
			}
			if challenges != test.challenges || got != test.want {
				t.Errorf("challenges %s, result %q; want %s, %q", challenges, got, test.challenges, test.want)
			}
		})
	}
	if _, err := NewExchange("SCRAM-SHA-256"); !errors.Is(err, ErrNoMechanism) {
		t.Errorf("an unknown mechanism: %v", err)
	}
}

func FuzzExchange(f *testing.F) {
	f.Add("PLAIN", []byte("\x00u\x00p"), []byte(nil))
	f.Add("LOGIN", []byte("u"), []byte("p"))
	f.Fuzz(func(t *testing.T, mechanism string, first, second []byte) {
		e, err := NewExchange(mechanism)
		if err != nil {
			return
		}
		for _, response := range [][]byte{first, second, nil} {
			challenge, done, err := e.Next(response)
			if err != nil {
				return
			}
			if done != nil {
				if done.User == "" || done.Password.IsEmpty() || challenge != nil {
					t.Errorf("finished with %+v", done)
				}
				return
			}
			if challenge == nil {
				t.Error("neither challenge nor request nor error")
			}
		}
	})
}
