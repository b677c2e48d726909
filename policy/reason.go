package policy

import "balorg/configs"

// ReasonCode names a cause, for traces and tests; the words are stable.
type ReasonCode string

// The causes of decisions.
const (
	ReasonOwn          ReasonCode = "own_mailbox"       // yes: it is the person's own
	ReasonDelegated    ReasonCode = "delegated"         // yes: a delegation gives it
	ReasonLogin        ReasonCode = "may_log_in"        // yes
	ReasonVisible      ReasonCode = "visible"           // yes: the entry may be seen
	ReasonAdmin        ReasonCode = "administrator"     // yes: an administrator sees it
	ReasonLocal        ReasonCode = "local_account"     // yes: an account of this platform
	ReasonTrusted      ReasonCode = "trusted_domain"    // yes: the domain is in the trust space
	ReasonUnknown      ReasonCode = "unknown_account"   // no account has the address
	ReasonRemoved      ReasonCode = "removed_account"   // the files no longer have it
	ReasonClosed       ReasonCode = "closed_account"    // came back after removal, awaits account restore or new
	ReasonSuspended    ReasonCode = "suspended"         // the account is suspended
	ReasonNotActive    ReasonCode = "not_activated"     // pre-registered
	ReasonOrgLogin     ReasonCode = "org_login"         // organisational mailboxes have no login of their own
	ReasonNotDelegated ReasonCode = "not_delegated"     // no delegation
	ReasonNoSend       ReasonCode = "no_sending"        // the delegation gives no sending
	ReasonRedList      ReasonCode = "red_list"          // the person or entry is on the red list
	ReasonNoMSSante    ReasonCode = "no_mssante"        // the mailbox has no MSSanté address
	ReasonUntrusted    ReasonCode = "untrusted_domain"  // the domain is not in the trust space
	ReasonLocalSender  ReasonCode = "local_sender"      // comes from outside and says that it is from here
	ReasonHidden       ReasonCode = "not_published"     // suspended and pre-registered accounts are not shown
	ReasonBadLogin     ReasonCode = "bad_login"         // the user name is of no known form
	ReasonDisagree     ReasonCode = "names_disagree"    // authorization identity and user name disagree
	ReasonWrongSecret  ReasonCode = "wrong_password"    // the password is not the account's
	ReasonNoSecret     ReasonCode = "no_password"       // the account has no password set
	ReasonTokenScope   ReasonCode = "token_scope"       // the device token is for other protocols
	ReasonTokenMailbox ReasonCode = "token_mailbox"     // the device token is for another mailbox
	ReasonTokenExpired ReasonCode = "token_expired"     // the device token was not used for too long
	ReasonMethod       ReasonCode = "method_closed"     // this kind of account does not log in this way
	ReasonAmbiguous    ReasonCode = "ambiguous"         // what names the person names two
	ReasonNotForApps   ReasonCode = "password_for_app"  // software logs in with tokens or certificates only
	ReasonThrottled    ReasonCode = "too_many_failures" // not even tried
	ReasonUnavailable  ReasonCode = "cannot_tell"       // what is needed to decide is not there now
)

// Reason is why a decision fell as it did, in plain English for an administrator; never show Text to the user who was
// refused, whom it may tell what exists. Pos is the line of a file that decided, when there is one.
type Reason struct {
	Code ReasonCode  `json:"code"`
	Text string      `json:"text"`
	Pos  configs.Pos `json:"pos,omitzero"`
}

func (r Reason) String() string {
	if r.Pos.IsZero() {
		return r.Text
	}
	return r.Text + " (" + r.Pos.String() + ")"
}
