package policy

import (
	"fmt"

	"balorg/configs"
	"balorg/mail"
)

// accountsFile is the form of accounts.yaml.
type accountsFile struct {
	Accounts []accountEntry `yaml:"accounts"`
}

type accountEntry struct {
	Pos         configs.Pos
	Address     configs.Value[address]      `yaml:"address,required"`
	Kind        configs.Value[Kind]         `yaml:"kind,required"`
	Nom         configs.Value[text]         `yaml:"nom"`
	Prenom      configs.Value[text]         `yaml:"prenom"`
	Titre       configs.Value[text]         `yaml:"titre"`
	Description configs.Value[text]         `yaml:"description"`
	RPPS        configs.Value[string]       `yaml:"rpps"`
	ADELI       configs.Value[string]       `yaml:"adeli"`
	Profession  configs.Value[string]       `yaml:"profession"`
	Service     configs.Value[text]         `yaml:"service"`
	Structure   structureEntry              `yaml:"structure"`
	Responsible configs.Value[address]      `yaml:"responsible"`
	MSSante     configs.Value[address]      `yaml:"mssante"`
	RedList     configs.Value[bool]         `yaml:"red_list"`
	Notify      configs.Value[address]      `yaml:"notify"`
	Mailstore   configs.Value[string]       `yaml:"mailstore"`
	State       configs.Value[State]        `yaml:"state"`
	Sender      configs.Value[Sender]       `yaml:"sender"`
	Admin       configs.Value[bool]         `yaml:"admin"`
	Quota       configs.Value[configs.Size] `yaml:"quota"`
	Language    configs.Value[language]     `yaml:"language"`
}

type structureEntry struct {
	Pos    configs.Pos
	FINESS configs.Value[string] `yaml:"finess"`
	SIRET  configs.Value[string] `yaml:"siret"`
	SIREN  configs.Value[string] `yaml:"siren"`
}

// delegationsFile is the form of delegations.yaml.
type delegationsFile struct {
	Delegations []delegationEntry `yaml:"delegations"`
}

type delegationEntry struct {
	Pos      configs.Pos
	Mailbox  configs.Value[address] `yaml:"mailbox,required"`
	Accounts []delegateEntry        `yaml:"accounts,required"`
}

type delegateEntry struct {
	Pos     configs.Pos
	Account configs.Value[address]  `yaml:"account,required"`
	Rights  configs.Value[Right]    `yaml:"rights,required"`
	Send    configs.Value[SendMode] `yaml:"send"`
	Default configs.Value[bool]     `yaml:"default"`
	Notify  configs.Value[bool]     `yaml:"notify"`
}

// address is a mail.Address that a file holds.
type address mail.Address

func (a *address) UnmarshalText(text []byte) error {
	parsed, err := mail.ParseAddress(string(text))
	*a = address(parsed)
	return err
}

// maxText bounds a name or label: it ends in a header line of mail (RFC 5322, 2.1.1) and in a directory entry.
const maxText = 200

// text is a name or label: one line, no control characters, no blanks around it.
type text string

func (t *text) UnmarshalText(b []byte) error {
	for _, r := range string(b) {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == '\u2028' || r == '\u2029' {
			return fmt.Errorf("the text holds the control character %U", r)
		}
	}
	switch s := string(b); {
	case len(s) > maxText:
		return fmt.Errorf("the text is longer than %d octets", maxText)
	case s == "" || s[0] == ' ' || s[len(s)-1] == ' ':
		return fmt.Errorf("the text is empty or has a blank at its start or end")
	default:
		*t = text(s)
	}
	return nil
}

// language is one that notices and refusals are written in.
type language string

func (l *language) UnmarshalText(b []byte) error {
	switch string(b) {
	case "fr", "en":
		*l = language(b)
		return nil
	}
	return fmt.Errorf("%q is not a language; write fr or en", b)
}

// profession is the code list of the national directory (domain: Profession codes).
func knownProfession(code string) bool {
	switch code {
	case "10", "21", "26", "28", "40", "50", "60", "69", "70", "80", "81", "82", "83", "84", "85", "86",
		"91", "92", "94", "95", "96", "98":
		return true
	}
	return false
}
