// Package wire is the grammar of SMTP and LMTP: commands, addresses, parameters, replies, and the transparent data of a message. It
// knows no session and no policy.
//
// What an address means is decided here once, strictly (ParsePath), and every address that leaves is printed anew from what was parsed:
// no octet of a client's line ever reaches another server as it came.
package wire

import (
	"slices"

	"balorg/mail"
)

// Body says what a message's octets are (RFC 6152, RFC 3030).
type Body string

// The kinds of body. The zero value is Body7Bit.
const (
	Body7Bit   Body = "7BIT"
	Body8Bit   Body = "8BITMIME"
	BodyBinary Body = "BINARYMIME"
)

// Return says what of a message a report of its failure holds (RFC 3461, 4.3).
type Return string

// The forms. The zero value leaves it to whoever reports.
const (
	ReturnFull    Return = "FULL"
	ReturnHeaders Return = "HDRS"
)

// Notify says of what the sender wants to be told (RFC 3461, 4.1). The zero value is the default: failures, and delays if we please.
type Notify uint8

// The conditions. NotifyNever stands alone.
const (
	NotifyNever Notify = 1 << iota
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// Sender is what MAIL says.
type Sender struct {
	Address mail.Address // empty: the null path
	Size    int64        // as announced, 0 when it was not
	Body    Body
	UTF8    bool // SMTPUTF8: addresses and header may hold UTF-8
	Return  Return
	EnvID   string // decoded from xtext; empty: none
}

// Recipient is what RCPT says.
type Recipient struct {
	Address mail.Address
	Notify  Notify
	// Original is ORCPT, type and decoded address as "rfc822;a@b"; empty: none. It is told back to the sender in reports, and decides nothing.
	Original string
}

// Envelope is one transaction's addresses.
type Envelope struct {
	From Sender
	To   []Recipient
}

// Clone answers a copy that shares nothing with e.
func (e *Envelope) Clone() *Envelope { return &Envelope{From: e.From, To: slices.Clone(e.To)} }
