package policy

import (
	"fmt"

	"balorg/mail"
)

// SendDecision says as whom a message goes out.
type SendDecision struct {
	Allowed bool
	Mailbox *Account     // the identity: its Sent folder gets the copy, its trace the entry; of a refusal it may be nil
	From    mail.Address // what the header From and the envelope sender become
	Name    string       // display name of From
	Sender  mail.Address // the header Sender, or empty: then nothing may name the person
	Own     bool         // the mailbox is the person's own
	Reason  Reason
	// OffPlatform tells whether recipients that are no accounts of this platform are allowed; OffReason says why not.
	OffPlatform bool
	OffReason   Reason
}

// SendAs decides on a message that person, having opened mailbox, writes with the address from in its header From. from alone
// decides the identity, so that somebody who opened one mailbox may write as another they may send from; an empty from
// means the mailbox opened.
func (s *Snapshot) SendAs(person, mailbox mail.AccountID, from mail.Address) SendDecision {
	who, ok := s.byID[person]
	if !ok {
		return SendDecision{Reason: Reason{Code: ReasonUnknown, Text: "the account that asks is not, or no longer, in the accounts file"}}
	}
	identity, ok := s.byID[mailbox]
	if from != "" {
		identity, ok = s.byAddress[from]
		if !ok {
			return SendDecision{Reason: s.unknown(from)}
		}
	}
	if !ok {
		return SendDecision{Reason: Reason{Code: ReasonUnknown, Text: "the mailbox is not, or no longer, in the accounts file"}}
	}
	if identity.State == Closed {
		return SendDecision{Mailbox: identity, Reason: closedReason(identity)}
	}
	if identity == who && who.Sender == SenderDefault {
		if home := s.Default(person); home.Mailbox != nil {
			return decideSend(who, home)
		}
	}
	access, ok := s.Open(person, identity.ID)
	if !ok {
		return SendDecision{Mailbox: identity, Reason: access.Reason}
	}
	return decideSend(who, access)
}

func decideSend(who *Account, access Access) SendDecision {
	box := access.Mailbox
	d := SendDecision{
		Mailbox: box, From: box.Published(), Name: box.Label, Own: access.Own,
		Allowed: true, Reason: access.Reason, OffPlatform: true,
	}
	switch {
	case access.Send == SendNo:
		return SendDecision{Mailbox: box, Reason: Reason{
			ReasonNoSend, fmt.Sprintf("the delegation of %s to %s gives no sending", box.Address, who.Address), access.Reason.Pos,
		}}
	case access.Send == SendOnBehalf && who.RedList:
		return SendDecision{Mailbox: box, Reason: Reason{
			ReasonRedList, fmt.Sprintf("%s sends on behalf of %s, which would name a person on the red list", who.Address, box.Address), access.Reason.Pos,
		}}
	case access.Send == SendOnBehalf:
		d.Sender = who.Published()
	}
	switch {
	case box.MSSante == "":
		d.OffPlatform = false
		d.OffReason = Reason{ReasonNoMSSante, fmt.Sprintf("%s has no MSSanté address", box.Address), box.Pos}
	case d.Sender != "" && who.MSSante == "":
		d.OffPlatform = false
		d.OffReason = Reason{ReasonNoMSSante, fmt.Sprintf("%s, who sends on behalf, has no MSSanté address", who.Address), who.Pos}
	}
	return d
}
