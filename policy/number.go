package policy

import (
	"errors"
	"fmt"
	"regexp"
)

// Lengths of the national numbers.
const (
	rppsDigits   = 11
	finessDigits = 9
	sirenDigits  = 9
	siretDigits  = 14
)

// laPoste is the one company whose establishments' SIRET carry no Luhn key: the sum of their digits is a multiple of five.
const laPoste = "356000000"

// adeliForm: the département (two digits, 2A or 2B, 9A to 9F overseas), then seven digits. ADELI numbers have no key.
var adeliForm = regexp.MustCompile(`^([0-9]{2}|2[AB]|9[A-F])[0-9]{7}$`)

// corsicanFINESS: numbers of Corsica have a letter, to which the key does not extend.
var corsicanFINESS = regexp.MustCompile(`^2[AB][0-9]{7}$`)

// CheckRPPS answers what is wrong with a national number of a professional: 11 digits, the last of which is a key.
func CheckRPPS(s string) error {
	if len(s) == rppsDigits+1 && s[0] == '8' {
		return errors.New("leave out the leading 8, the type digit of the national identity number")
	}
	return checkKeyed(s, rppsDigits, "an RPPS number")
}

func checkADELI(s string) error {
	if !adeliForm.MatchString(s) {
		return fmt.Errorf("%q is not an ADELI number: two characters of the département and 7 digits", s)
	}
	return nil
}

// CheckFINESS answers what is wrong with a number of a health establishment: 9 digits, the last of which is a key, but in Corsica.
func CheckFINESS(s string) error {
	if corsicanFINESS.MatchString(s) {
		return nil
	}
	return checkKeyed(s, finessDigits, "a FINESS number")
}

// CheckSIREN answers what is wrong with a number of a company: 9 digits, the last of which is a key.
func CheckSIREN(s string) error { return checkKeyed(s, sirenDigits, "a SIREN number") }

// CheckSIRET answers what is wrong with a number of a company's establishment: 14 digits, the last of which is a key, but at La Poste.
func CheckSIRET(s string) error {
	if len(s) == siretDigits && s[:sirenDigits] == laPoste {
		sum := 0
		for _, c := range []byte(s) {
			sum += int(c - '0')
		}
		if onlyDigits(s) && sum%5 == 0 {
			return nil
		}
	}
	return checkKeyed(s, siretDigits, "a SIRET number")
}

func checkKeyed(s string, digits int, what string) error {
	if len(s) != digits || !onlyDigits(s) {
		return fmt.Errorf("%q is not %s: %d digits", s, what, digits)
	}
	if !luhn(s) {
		return fmt.Errorf("%q is not %s: its key (last digit) is wrong, so a digit is mistyped", s, what)
	}
	return nil
}

func onlyDigits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}

// luhn checks a number whose last digit is its key.
func luhn(s string) bool { return LuhnKey(s[:len(s)-1]) == s[len(s)-1] }

// LuhnKey answers the digit that, put behind digits, makes them a number with a key: ISO/IEC 7812-1, annex B.
func LuhnKey(digits string) byte {
	sum := 0
	for i := range len(digits) {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 0 {
			d *= 2
			if d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return '0' + byte((10-sum%10)%10)
}
