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

// professions is the code list of the national directory (domain: Profession codes).
var professions = map[string]string{
	"10": "Médecin", "21": "Pharmacien", "26": "Audioprothésiste", "28": "Opticien-Lunetier", "40": "Chirurgien-Dentiste", "50": "Sage-Femme",
	"60": "Infirmier", "69": "Infirmier psychiatrique", "70": "Masseur-Kinésithérapeute", "80": "Pédicure-Podologue", "81": "Orthoprothésiste",
	"82": "Podo-Orthésiste", "83": "Orthopédiste-Orthésiste", "84": "Oculariste", "85": "Epithésiste", "86": "Technicien de laboratoire médical", //nolint:misspell // French
	"91": "Orthophoniste", "92": "Orthoptiste", "94": "Ergothérapeute", "95": "Diététicien", "96": "Psychomotricien", "98": "Manipulateur ERM",
}

func knownProfession(code string) bool { return professions[code] != "" }

// ProfessionCode is the code of a profession by its name, without regard to case and accents.
func ProfessionCode(label string) (string, bool) {
	for code, known := range professions {
		if foldName(known) == foldName(label) {
			return code, true
		}
	}
	return "", false
}

// ProfessionLabel is the name of a profession by its code; empty for one that is not known.
func ProfessionLabel(code string) string { return professions[code] }
