package policy

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"balorg/mail"
)

// Question is what `balorg explain` asks. Person is needed; the others may be empty.
type Question struct {
	Person   mail.Address
	Mailbox  mail.Address // may the person open it
	SendFrom mail.Address // may they write with this address, from Mailbox or the one that opens by default
	See      mail.Address // may they see this entry, from there
}

// Answer is one decision in words.
type Answer struct {
	Question string `json:"question"`
	Allowed  bool   `json:"allowed"`
	Reason   Reason `json:"reason"`
	// What the decision comes to, for those that say more than yes: rights in RFC 4314's letters, addresses in headers.
	Rights  string   `json:"rights,omitempty"`
	Send    SendMode `json:"send,omitempty"`
	Default bool     `json:"default,omitempty"`
	From    string   `json:"from,omitempty"`
	Sender  string   `json:"sender,omitempty"`
	Limit   *Reason  `json:"limit,omitempty"` // why only accounts of the platform are reached
	Note    string   `json:"note,omitempty"`  // what is known beside the decision
	see     bool     // it is about an entry of the directory
}

// Explanation is every decision a Question touches. Answers[0] is the login; without a mailbox in the question, one answer for each
// mailbox the person may open follows.
type Explanation struct {
	Person  mail.Address `json:"person"`
	Answers []Answer     `json:"answers"`
}

// Allowed tells whether every answer is yes.
func (e Explanation) Allowed() bool {
	for _, a := range e.Answers {
		if !a.Allowed {
			return false
		}
	}
	return true
}

// Explain answers a question with the reason of each decision.
func (s *Snapshot) Explain(q Question) Explanation {
	e := Explanation{Person: q.Person}
	person, reason, ok := s.Login(q.Person)
	e.Answers = append(e.Answers, Answer{Question: fmt.Sprintf("may %s log in?", q.Person), Allowed: ok, Reason: reason})
	if !ok {
		return e
	}
	opened := s.Default(person.ID)
	if q.Mailbox != "" {
		_, access, ok := s.Resolve(Login{Person: person.Address, Form: q.Mailbox})
		e.Answers = append(e.Answers, explainAccess(q.Mailbox, access, ok))
		if !ok {
			return e
		}
		opened = access
	} else {
		for _, access := range s.Mailboxes(person.ID) {
			e.Answers = append(e.Answers, explainAccess(access.Mailbox.Address, access, true))
		}
	}
	if q.SendFrom != "" {
		e.Answers = append(e.Answers, explainSend(q.SendFrom, s.SendAs(person.ID, opened.Mailbox.ID, q.SendFrom)))
	}
	if q.See != "" {
		decision := s.See(person.ID, opened.Mailbox.ID, q.See)
		e.Answers = append(e.Answers, Answer{
			Question: fmt.Sprintf("may they see %s, having opened %s?", q.See, opened.Mailbox.Address),
			Allowed:  decision.Allowed, Reason: decision.Reason, see: true,
		})
	}
	return e
}

// NoteSeen adds to the answer about an entry what the caller knows of it; without such an answer it does nothing.
func (e *Explanation) NoteSeen(note string) {
	for i := range e.Answers {
		if e.Answers[i].see {
			e.Answers[i].Note = note
		}
	}
}

func explainAccess(name mail.Address, access Access, ok bool) Answer {
	return Answer{
		Question: fmt.Sprintf("may they open %s?", name),
		Allowed:  ok, Reason: access.Reason,
		Rights: access.Rights.String(), Send: access.Send, Default: access.Default,
	}
}

func explainSend(from mail.Address, d SendDecision) Answer {
	a := Answer{
		Question: fmt.Sprintf("may they send from %s?", from),
		Allowed:  d.Allowed, Reason: d.Reason,
	}
	if !d.Allowed {
		return a
	}
	a.From = fmt.Sprintf("%s <%s>", d.Name, d.From)
	a.Sender = string(d.Sender)
	if !d.OffPlatform {
		a.Limit = &d.OffReason
	}
	return a
}

// WriteText writes the explanation for a terminal.
func (e Explanation) WriteText(w io.Writer) error {
	var errs []error
	for _, a := range e.Answers {
		_, err := io.WriteString(w, a.text())
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (a Answer) text() string {
	var b strings.Builder
	verdict := "no"
	if a.Allowed {
		verdict = "yes"
	}
	fmt.Fprintf(&b, "%s %s: %s\n", a.Question, verdict, a.Reason)
	if a.Rights != "" {
		fmt.Fprintf(&b, "    rights %s, send %s", a.Rights, a.Send)
		if a.Default {
			b.WriteString(", opened first")
		}
		b.WriteString("\n")
	}
	if a.From != "" {
		fmt.Fprintf(&b, "    From: %s\n", a.From)
	}
	if a.Sender != "" {
		fmt.Fprintf(&b, "    Sender: %s\n", a.Sender)
	}
	if a.Limit != nil {
		fmt.Fprintf(&b, "    to accounts of this platform only: %s\n", a.Limit)
	}
	if a.Note != "" {
		fmt.Fprintf(&b, "    %s\n", a.Note)
	}
	return b.String()
}
