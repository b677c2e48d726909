package store

// Prefixes of the tables in the key space. A table writes no key outside its own; the layout below a prefix is told in the
// package comment of the folder named in Tables.
const (
	PrefixAudit        = "a/"
	PrefixBody         = "b/"
	PrefixChoice       = "c/"
	PrefixDirectory    = "d/"
	PrefixSent         = "e/"
	PrefixIdentity     = "i/"
	PrefixToken        = "k/"
	PrefixLock         = "l/"
	PrefixMailbox      = "m/"
	PrefixNotice       = "n/"
	PrefixPassword     = "p/"
	PrefixQueue        = "q/"
	PrefixSubscription = "s/"
	PrefixTransfer     = "t/"
	PrefixLastLogin    = "u/"
	PrefixActivation   = "v/"
)

// PrefixLarge is the part of the key space whose values may be large: an engine keeps them where size costs less than beside their keys. A
// value there is written once, and not changed.
const PrefixLarge = PrefixBody + "v/"

// Table is one table of the key space.
type Table struct {
	Prefix string
	Folder string // whose package owns the prefix; under store, but for those of smtp
	Holds  string
}

// Tables lists the tables in order of their prefixes. No prefix is the start of another.
func Tables() []Table {
	return []Table{
		{PrefixAudit, "audit", "the trace: records chained by hash, head, checkpoint, key, indexes"},
		{PrefixBody, "body", "message bodies once each: rows with reference counts, values up to the inline limit"},
		{PrefixChoice, "setting", "personal choices: default account, notifications"},
		{PrefixDirectory, "../ldapserver/directory", "the national directory: what is served, blocks of records"},
		{PrefixSent, "sent", "messages sent lately, to recognise the client's own copy"},
		{PrefixIdentity, "identity", "addresses and the account ids given to them"},
		{PrefixToken, "token", "device tokens, by the hash of their secret and by account"},
		{PrefixLock, "lock", "refused log-ins by network and account, and where accounts were successful"},
		{PrefixMailbox, "mailbox", "folders, messages, flags, counters"},
		{PrefixNotice, "../smtp/notice", "who is to be told of what mailboxes received, and how far those on servers were looked at"},
		{PrefixPassword, "setting", "password hashes"},
		{PrefixQueue, "../smtp/queue", "messages on their way, their recipients, what was accepted a moment ago"},
		{PrefixSubscription, "subscription", "folders a person subscribed to or unsubscribed from"},
		{PrefixTransfer, "transfer", "copies and moves between mail stores that are under way"},
		{PrefixLastLogin, "lastlogin", "when each person last logged in, longer than the trace knows"},
		{PrefixActivation, "activation", "links by which people choose their first password, hashed, and when they were made"},
	}
}
