package embedded

import (
	"encoding/binary"

	"balorg/imapproxy/order"
)

// maxPackedThread is how long the keys of one message may be to be remembered: in a thread of thousands the ids of those before it are long, and
// the same for all of them.
const maxPackedThread = 512

// packThread makes the keys that THREAD has of a message, "" when they are too long to be remembered.
func packThread(m *order.Threaded) packedKeys {
	b := binary.AppendVarint(make([]byte, 0, 192), m.Sent)
	reply := byte(0)
	if m.Reply {
		reply = 1
	}
	b = append(b, reply)
	for _, text := range append([]string{m.Subject, m.ID}, m.References...) {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
		if len(b) > maxPackedThread {
			return ""
		}
	}
	return packedKeys(b)
}

// threaded answers the message that keys are of, whose texts are parts of them.
func (k packedKeys) threaded(seq uint32) order.Threaded {
	var head [binary.MaxVarintLen64]byte
	sent, n := binary.Varint(head[:copy(head[:], k)])
	m := order.Threaded{Seq: seq, Sent: sent, Reply: k[n] == 1}
	k = k[n+1:]
	text := func() string {
		size, n := binary.Uvarint(head[:copy(head[:], k)])
		t := string(k[n : n+int(size)])
		k = k[n+int(size):]
		return t
	}
	m.Subject, m.ID = text(), text()
	for k != "" {
		m.References = append(m.References, text())
	}
	return m
}
