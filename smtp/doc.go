// Package smtp takes mail: from people who submit it as one of their mailboxes, from other operators of the trust space, and from a mail
// server beside it over LMTP. A session is one loop over the grammar of smtp/wire, whatever its role; a Handler decides.
//
// What is answered 250 is on disk, once: in the queue, in the mailboxes of local recipients, in the sender's Sent folder and in the trace.
package smtp
