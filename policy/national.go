package policy

import (
	"fmt"
	"strings"

	"balorg/mail"
)

// ByNational finds the one person with a national identity number, with or without its type digit (8 and RPPS, 0 and ADELI). The
// account is nil, with the reason, where there is none or more than one: a number that names two says not who logs in.
func (s *Snapshot) ByNational(number string) (*Account, Reason) {
	rpps, adeli := number, number
	switch {
	case len(number) == rppsDigits+1 && number[0] == '8':
		rpps = number[1:]
	case len(number) == len("0")+9 && number[0] == '0':
		adeli = number[1:]
	}
	return s.only("the national identity number", func(a *Account) bool {
		return (a.RPPS != "" && a.RPPS == rpps) || (a.ADELI != "" && strings.EqualFold(a.ADELI, adeli))
	})
}

// ByCertificate finds the person or the software with an address.
func (s *Snapshot) ByCertificate(text string) (*Account, Reason) {
	address, err := mail.ParseAddress(text)
	if account, ok := s.byAddress[address]; err == nil && ok && account.Kind != Org && account.State != Closed {
		return account, Reason{}
	}
	return nil, Reason{Code: ReasonUnknown, Text: "no account that logs in has the address of the certificate"}
}

// ByMail finds the person with an address: the identifier or the MSSanté address.
func (s *Snapshot) ByMail(text string) (*Account, Reason) {
	address, err := mail.ParseAddress(text)
	if err != nil {
		return nil, Reason{Code: ReasonUnknown, Text: "the access token's address is none"}
	}
	return s.only("the address", func(a *Account) bool { return a.Is(address) })
}

// only answers the one account of a person for which is answers true.
func (s *Snapshot) only(what string, is func(*Account) bool) (*Account, Reason) {
	var found *Account
	for _, a := range s.accounts {
		if !a.Kind.Nominative() || a.State == Closed || !is(a) {
			continue
		}
		if found != nil {
			return nil, Reason{ReasonAmbiguous, fmt.Sprintf("%s is that of %s and of %s", what, found.Address, a.Address), a.Pos}
		}
		found = a
	}
	if found == nil {
		return nil, Reason{Code: ReasonUnknown, Text: fmt.Sprintf("no person has %s of the access token", what)}
	}
	return found, Reason{}
}
