// Package smtp takes mail: from people who submit it as one of their mailboxes, from other operators of the trust space, and from a mail
// server beside it over LMTP. A session is one loop over the grammar of smtp/wire, whatever its role; a Handler decides.
//
// What holds in every session:
//   - Nothing that was sent as the content of a message ever runs as commands: content that is refused is read to its end, and when the end
//     does not come the connection is closed.
//   - The end of a message is CRLF . CRLF alone. A CR or an LF that stands alone becomes CRLF in what people submit, and is refused
//     from others.
//   - An address is read in one way or refused; what stands in commands is never passed on as it came.
//   - One goroutine reads, asks the handler and answers, between the chunks of BDAT as well. A handler has its own copy of the envelope.
//   - Each read and write has a deadline, each line, message and session a limit.
//   - Who has not logged in, where that is asked for, can do nothing but that; nothing said before TLS counts after it.
//
// What is answered 250 is on disk, once: in the queue, in the mailboxes of local recipients, in the sender's Sent folder and in the trace.
package smtp
