package policy

import (
	"slices"
	"strings"
	"unicode"

	"balorg/configs"
	"balorg/mail"

	"golang.org/x/text/unicode/norm"
)

// checkNames: who an account stands for must be said, and only what its kind has.
func (l *loader) checkNames(e *entry) {
	f := e.file
	if e.Kind.Nominative() {
		if !f.Nom.Set {
			l.problems.Add(f.Pos, "", "%s has no nom", e.Address)
		}
		if !f.Prenom.Set {
			l.problems.Add(f.Pos, "", "%s has no prenom", e.Address)
		}
		if f.Description.Set {
			l.problems.Add(f.Description.Pos, "a person's name is made of titre, prenom and nom", "description is for kinds org and app")
		}
		if f.Responsible.Set {
			l.problems.Add(f.Responsible.Pos, "", "responsible is for kinds org and app")
		}
		if !f.Structure.Pos.IsZero() {
			l.problems.Add(f.Structure.Pos, "", "structure is for kinds org and app")
		}
		if f.Service.Set {
			l.problems.Add(f.Service.Pos, "", "service is for kinds org and app")
		}
		return
	}
	if f.Titre.Set {
		l.problems.Add(f.Titre.Pos, "", "titre is for kinds per and med")
	}
	if f.Profession.Set {
		l.problems.Add(f.Profession.Pos, "", "profession is for kinds per and med")
	}
	if e.Kind == Org && !f.Nom.Set {
		l.problems.Add(f.Pos, "a generic one, as in nom: Secrétariat", "%s has no nom", e.Address)
	}
	if e.Kind == Org && !f.Description.Set {
		l.problems.Add(f.Pos, "the label recipients see as the sender's name, as in Secrétariat - Clinique des Sapins", "%s has no description", e.Address)
	}
}

// checkNumbers: national numbers belong to the kinds that have one, and carry a right key.
func (l *loader) checkNumbers(e *entry) {
	f := e.file
	switch {
	case e.Kind == Per && !f.RPPS.Set && !f.ADELI.Set:
		l.problems.Add(f.Pos, "a person without a national number is of kind med", "%s is of kind per and has neither rpps nor adeli", e.Address)
	case e.Kind == Per && f.RPPS.Set && f.ADELI.Set:
		l.problems.Add(f.ADELI.Pos, "keep the rpps", "%s has both rpps and adeli", e.Address)
	case e.Kind != Per && (f.RPPS.Set || f.ADELI.Set):
		at := f.RPPS.Pos
		if !f.RPPS.Set {
			at = f.ADELI.Pos
		}
		l.problems.Add(at, "a person with a national number is of kind per", "%s is of kind %s and has a national number", e.Address, e.Kind)
	}
	structures := 0
	for _, number := range []struct {
		value configs.Value[string]
		check func(string) error
		where bool // it names a structure
	}{
		{f.RPPS, CheckRPPS, false},
		{f.ADELI, checkADELI, false},
		{f.Structure.FINESS, CheckFINESS, true},
		{f.Structure.SIRET, CheckSIRET, true},
		{f.Structure.SIREN, CheckSIREN, true},
	} {
		if !number.value.Set {
			continue
		}
		if err := number.check(number.value.V); err != nil {
			l.problems.Add(number.value.Pos, "", "%v", err)
		}
		if number.where {
			structures++
		} else if e.Kind == Per {
			l.checkOnePerson(number.value)
		}
	}
	if !f.Structure.Pos.IsZero() && structures != 1 {
		l.problems.Add(f.Structure.Pos, "", "a structure has exactly one of finess, siret and siren")
	}
	if f.Profession.Set && e.Kind.Nominative() && !knownProfession(f.Profession.V) {
		l.problems.Warn(f.Profession.Pos, `a code of two digits, as in "10" for Médecin`, "profession %q is not a known code", f.Profession.V)
	}
}

// checkOnePerson warns of a person who has two accounts: whoever logs in by a national number would be one of them by chance.
func (l *loader) checkOnePerson(number configs.Value[string]) {
	if first, twice := l.numbers[number.V]; twice {
		l.problems.Warn(number.Pos, "give a person one account", "the number %s stands twice; first at %s", number.V, first)
		return
	}
	l.numbers[number.V] = number.Pos
}

// checkSettings: what the platform does for the account.
func (l *loader) checkSettings(e *entry) {
	f := e.file
	switch {
	case f.Mailstore.Set && !slices.Contains(l.mailstores, e.Mailstore):
		hint := "known mail stores: " + strings.Join(l.mailstores, ", ")
		l.problems.Add(f.Mailstore.Pos, hint, "no mail store is called %q", e.Mailstore)
	case !f.Mailstore.Set && len(l.mailstores) == 1:
		e.Mailstore = l.mailstores[0]
	case !f.Mailstore.Set:
		l.problems.Add(f.Pos, "mailstore: one of "+strings.Join(l.mailstores, ", "), "%s names no mail store, and there are several", e.Address)
	}
	if f.Quota.Set && e.Quota == 0 && !l.reported(f.Quota.Pos) {
		l.problems.Add(f.Quota.Pos, "leave the key out for the platform's default", "a quota of nothing leaves room for no message")
	}
	if e.Kind.Nominative() {
		return
	}
	if f.Notify.Set {
		l.problems.Add(f.Notify.Pos, "set notify: true in the delegations of the persons to notify", "notify is for kinds per and med")
	}
	if f.Admin.V {
		l.problems.Add(f.Admin.Pos, "", "only a person can be an administrator")
	}
	if e.Sender == SenderDefault {
		l.problems.Add(f.Sender.Pos, "", "sender is for kinds per and med")
	}
	if e.Kind == Org && e.State == Preregistered {
		l.problems.Add(f.State.Pos, "write active or suspended", "an org has no password, so it cannot await one")
	}
}

// reported tells whether there is a problem at a place already.
func (l *loader) reported(at configs.Pos) bool {
	return slices.ContainsFunc(l.problems, func(p configs.Problem) bool { return p.Pos == at })
}

// checkResponsible: somebody habilitated answers for an org.
func (l *loader) checkResponsible(e *entry) {
	if e.Kind.Nominative() {
		return
	}
	f := e.file
	if e.Responsible == "" {
		if e.Kind == Org && !f.Responsible.Set {
			l.problems.Add(f.Pos, "the address of a person with an RPPS or ADELI number", "%s has no responsible", e.Address)
		}
		return
	}
	responsible := l.byAddress[e.Responsible]
	switch {
	case responsible == nil:
		l.dangling(f.Responsible)
	case responsible.unreadable:
	case responsible.RPPS == "" && responsible.ADELI == "":
		l.problems.Add(f.Responsible.Pos, "", "%s is responsible and has neither an RPPS nor an ADELI number", e.Responsible)
	default:
		e.Responsible = responsible.Address
		if responsible.State == Suspended {
			l.problems.Warn(f.Responsible.Pos, "", "%s is responsible for %s and suspended", responsible.Address, e.Address)
		}
	}
}

// checkGrant: one default account a person, and warnings for what will not work as written.
func (l *loader) checkGrant(mailbox, person *entry, f *delegateEntry) {
	if f.Default.V {
		if first, twice := l.homes[person.Address]; twice {
			l.problems.Add(f.Default.Pos, "", "%s has two default accounts; the first is set at %s", person.Address, first)
		} else {
			l.homes[person.Address] = f.Default.Pos
		}
	}
	if f.Notify.V && person.Notify == "" {
		l.problems.Warn(f.Notify.Pos, "set notify in the person's account", "%s has no ordinary address to notify", person.Address)
	}
	if f.Send.V != SendOnBehalf {
		return
	}
	switch {
	case person.RedList:
		l.problems.Warn(f.Send.Pos, "write as, or take the person off the red list",
			"%s is on the red list and will be refused when sending on behalf of %s, which names the sender", person.Address, mailbox.Address)
	case person.MSSante == "":
		l.problems.Warn(f.Send.Pos, "write as, or give the person an MSSanté address",
			"%s has no MSSanté address and reaches only this platform when sending on behalf of %s", person.Address, mailbox.Address)
	}
}

// checkOrgs: somebody must be attached to each, and its names should be nobody's.
func (l *loader) checkOrgs() {
	people := map[string]*entry{}
	for _, e := range l.entries {
		if e.Kind.Nominative() {
			for _, name := range personNames(e) {
				people[name] = e
			}
		}
	}
	for _, e := range l.entries {
		if e.Kind != Org {
			continue
		}
		if e.attached == 0 && !l.noDelegations && !l.noAccounts {
			l.problems.Add(e.file.Pos, "delegate it to at least one person", "nobody is attached to %s", e.Address)
		}
		l.checkGeneric(e, people)
	}
}

// checkGeneric warns where a shared mailbox carries a person's name.
func (l *loader) checkGeneric(org *entry, people map[string]*entry) {
	f := org.file
	for _, name := range []struct {
		what, text string
		at         configs.Pos
	}{
		{"nom and prenom", org.Prenom + " " + org.Nom, f.Nom.Pos},
		{"nom", org.Nom, f.Nom.Pos},
		{"description", org.Description, f.Description.Pos},
		{"MSSanté address", localPart(org.MSSante), f.MSSante.Pos},
		{"address", localPart(org.Address), f.Address.Pos},
	} {
		if person, same := people[foldName(name.text)]; same && name.text != "" {
			l.problems.Warn(name.at, "name the service, not a person", "the %s of %s is that of the person %s", name.what, org.Address, person.Address)
		}
	}
}

func personNames(e *entry) []string {
	var names []string
	for _, name := range []string{
		e.Prenom + " " + e.Nom, e.Nom + " " + e.Prenom, e.Label, localPart(e.Address), localPart(e.MSSante),
	} {
		if folded := foldName(name); strings.Contains(name, "@") || len(folded) > 2 {
			names = append(names, folded)
		}
	}
	return names
}

// localPart is the part before the @ with an @ kept behind it, so that it is compared with local parts only.
func localPart(a mail.Address) string {
	if a == "" {
		return ""
	}
	return a.Local() + "@"
}

// foldName leaves letters and digits without accents and case (and the @ of localPart).
func foldName(s string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(s) {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '@' {
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}
