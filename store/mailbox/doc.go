// Package mailbox is the embedded mail store: accounts, their folders, and messages with UIDs, flags, modification sequences
// and quotas, as IMAP needs them.
//
// A Store is shared by all sessions. Account answers one mailbox; its folders are found by name. A session selects a
// folder and gets a View: the sequence numbers of that session, its \Recent messages, and a channel that wakes it when
// something changed. Sync brings the view up to date and says what changed.
//
// What holds at every commit, and Store.Check verifies: a UIDVALIDITY is never given twice in an account, nor a UID in a
// folder; each change of a folder's messages has a modification sequence of its own, one above the last; expunged UIDs are
// recorded with theirs, those of the last keptChanges sequences at least; the counters in the rows of folder and account are the sums
// of the message rows. A message's octets are in store/body, once however often it is copied, and what IMAP tells of them (structure)
// is stored beside under the same number.
//
// Each logical change is one transaction, or for thousands of messages several that are each whole. An open folder is one
// index in memory, shared by its views and fed by the transactions after their commit; flags, sizes, dates and sequence
// numbers are answered from it and never from disk.
package mailbox
