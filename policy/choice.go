package policy

import "balorg/mail"

// ChoiceKind says what a person chose.
type ChoiceKind string

// What a person may choose.
const (
	ChoiceDefault ChoiceKind = "default" // which account is opened first
	ChoiceNotify  ChoiceKind = "notify"  // whether a mailbox notifies them
	ChoiceRedList ChoiceKind = "redlist" // whether the directory hides them
	// That a preregistered person has chosen a password by the link they were sent: the account is active until the file says something else.
	ChoiceActivated ChoiceKind = "activated"
)

// Choice is a person's own setting, laid over the files' value. It records the file's value it was made against and lapses
// when that changes or the delegation goes: an administrator who edits the file has the last word.
type Choice struct {
	Kind    ChoiceKind     `json:"kind"`
	Person  mail.AccountID `json:"person"`
	Mailbox mail.AccountID `json:"mailbox"` // the new default account (the person: their own mailbox), or the one that notifies; of the red list, the person
	On      bool           `json:"on,omitempty"`
	// The file's value when the choice was made: FileDefault for the default account (the person: none), FileNotify.
	FileDefault mail.AccountID `json:"file_default,omitempty"`
	FileNotify  bool           `json:"file_notify,omitempty"`
}

// ChooseDefault is the choice of mailbox as the person's default account, against the files of this snapshot. It is false when
// the person may not open the mailbox.
func (s *Snapshot) ChooseDefault(person, mailbox mail.AccountID) (Choice, bool) {
	if _, ok := s.Open(person, mailbox); !ok {
		return Choice{}, false
	}
	return Choice{Kind: ChoiceDefault, Person: person, Mailbox: mailbox, FileDefault: s.fileDefault(person)}, true
}

// ChooseNotify is the choice to be notified, or not, of what a delegated mailbox receives. It is false when the person has
// no such delegation.
func (s *Snapshot) ChooseNotify(person, mailbox mail.AccountID, on bool) (Choice, bool) {
	g := s.grant(person, mailbox)
	if g == nil {
		return Choice{}, false
	}
	return Choice{Kind: ChoiceNotify, Person: person, Mailbox: mailbox, On: on, FileNotify: g.Notify}, true
}

// ChooseRedList is the wish to be on the red list, or no longer. It stands beside what the files say: they put people on the list whatever these
// wish, and alone take off whom they put on. It is false for accounts that are no person's.
func (s *Snapshot) ChooseRedList(person mail.AccountID, on bool) (Choice, bool) {
	account, ok := s.byID[person]
	if !ok || !account.Kind.Nominative() {
		return Choice{}, false
	}
	return Choice{Kind: ChoiceRedList, Person: person, Mailbox: person, On: on}, true
}

// ChooseActivated is that a person whom the files call preregistered has a password now. It is false when they do not call them so.
func (s *Snapshot) ChooseActivated(person mail.AccountID) (Choice, bool) {
	account, ok := s.byID[person]
	if !ok || account.State != Preregistered {
		return Choice{}, false
	}
	return Choice{Kind: ChoiceActivated, Person: person, Mailbox: person, On: true}, true
}

// Lapsed answers the choices that no longer hold in this snapshot and are to be deleted, lest they hold again once the files say again
// what they said before. Those of a removed person stay: they come back with the account.
func (s *Snapshot) Lapsed() []Choice { return append([]Choice(nil), s.lapsed...) }

func (s *Snapshot) applyChoices(choices []Choice) {
	for _, c := range choices {
		if _, here := s.byID[c.Person]; here && !s.applyChoice(c) {
			s.lapsed = append(s.lapsed, c)
		}
	}
}

func (s *Snapshot) applyChoice(c Choice) bool {
	g := s.grant(c.Person, c.Mailbox)
	switch c.Kind {
	case ChoiceDefault:
		if (g == nil && c.Mailbox != c.Person) || s.fileDefault(c.Person) != c.FileDefault {
			return false
		}
		for _, other := range s.grants[c.Person] {
			other.isHome = other == g
		}
		return true
	case ChoiceNotify:
		if g == nil || g.Notify != c.FileNotify {
			return false
		}
		g.notify = c.On
		return true
	case ChoiceActivated:
		account := s.byID[c.Person]
		if !c.On || account.State != Preregistered {
			return false
		}
		account.State = Active
		return true
	case ChoiceRedList:
		account := s.byID[c.Person]
		if !c.On || !account.Kind.Nominative() {
			return false // a wish that was taken back
		}
		account.RedListWish = !account.RedList
		account.RedList = true
		return true
	}
	return false
}

// fileDefault is the default account the files give the person: their own mailbox when they say nothing.
func (s *Snapshot) fileDefault(person mail.AccountID) mail.AccountID {
	for _, g := range s.grants[person] {
		if g.Default {
			return g.mailbox.ID
		}
	}
	return person
}

func (s *Snapshot) grant(person, mailbox mail.AccountID) *grant {
	for _, g := range s.grants[person] {
		if g.mailbox.ID == mailbox {
			return g
		}
	}
	return nil
}
