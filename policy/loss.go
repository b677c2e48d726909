package policy

import (
	"cmp"
	"slices"
	"strings"

	"balorg/mail"
)

// Loss is a mailbox that a person may no longer open, or no longer as fully as before: sessions that use it must end.
type Loss struct {
	Person  mail.AccountID
	Mailbox mail.AccountID
	Gone    bool   // may not be opened at all any more
	Reason  Reason // of the new snapshot
}

// Lost answers, in order of person and mailbox, what people could open with the old snapshot and cannot, or only with fewer
// rights, with the new one. Whoever may no longer log in has lost all, their own mailbox included.
func Lost(old, new *Snapshot) []Loss {
	var lost []Loss
	for person := range old.byID {
		for _, before := range old.Mailboxes(person) {
			after, ok := new.Open(person, before.Mailbox.ID)
			if ok && after.Rights.Has(before.Rights) {
				continue
			}
			lost = append(lost, Loss{Person: person, Mailbox: before.Mailbox.ID, Gone: !ok, Reason: after.Reason})
		}
	}
	slices.SortFunc(lost, func(a, b Loss) int {
		return cmp.Or(strings.Compare(string(a.Person), string(b.Person)), strings.Compare(string(a.Mailbox), string(b.Mailbox)))
	})
	return lost
}
