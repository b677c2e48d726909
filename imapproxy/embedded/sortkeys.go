package embedded

import (
	"encoding/binary"
	"math"
	"sync"

	"balorg/imapproxy/order"
	"balorg/store/body"
	"balorg/store/mailbox/text"
)

// packedKeys are all that SORT compares of a message and that is not in memory anyhow: its sent date, and its texts one behind another, each
// with its length before it. Empty: nothing is known.
type packedKeys string

// packedTexts are the texts, in their order.
var packedTexts = [...]order.By{order.Subject, order.From, order.To, order.Cc, order.DisplayFrom, order.DisplayTo}

// undated stands for a message whose Date says nothing.
const undated = math.MinInt64

// packKeys makes the keys of the message with that ENVELOPE.
func packKeys(stored []byte) packedKeys {
	fields := fieldsOf(stored)
	sent := int64(undated)
	if t, ok := order.SentDate(textOf(fields[envelopeDate])); ok {
		sent = t.Unix()
	}
	b := binary.AppendVarint(make([]byte, 0, 128), sent)
	from, to, cc := firstAddress(fields[envelopeFrom]), firstAddress(fields[envelopeTo]), firstAddress(fields[envelopeCc])
	base, _ := order.BaseSubject(text.Decode(textOf(fields[envelopeSubject])))
	for _, key := range [len(packedTexts)]string{base, string(from.mailbox), string(to.mailbox), string(cc.mailbox), from.display(), to.display()} {
		key = order.Collate(key)
		b = binary.AppendUvarint(b, uint64(len(key)))
		b = append(b, key...)
	}
	return packedKeys(b)
}

// into puts those keys that criteria name into a message.
func (k packedKeys) into(m *order.Message, by []order.Criterion) {
	if k == "" {
		return
	}
	var head [binary.MaxVarintLen64]byte
	sent, n := binary.Varint(head[:copy(head[:], k)])
	if sent != undated {
		m.Sent = sent
	}
	k = k[n:]
	var texts [len(packedTexts)]string
	for i := range texts {
		size, n := binary.Uvarint(head[:copy(head[:], k)])
		texts[i] = string(k[n : n+int(size)])
		k = k[n+int(size):]
	}
	for _, c := range by {
		for i, of := range packedTexts {
			if of == c.By {
				m.Text[c.By] = texts[i]
			}
		}
	}
}

// maxKeyMemory is what the keys of messages that were sorted lately may take, in octets: those of three hundred thousand. A webmail sorts the
// folder anew for each page that it shows, each time on another connection.
const maxKeyMemory = 48 << 20

// keyCost is what an entry takes beside its octets.
const keyCost = 48

// sortKeys remembers packed keys of SORT, or of THREAD. A body never changes, so that they hold for as long as it is there, for every folder that has it. When the
// newer half is full, the older one goes.
type sortKeys struct {
	mu           sync.Mutex
	newer, older map[body.ID]packedKeys
	octets       int // of newer
}

// find puts what is known of bodies into found, and answers which are missing.
func (s *sortKeys) find(ids []body.ID, found []packedKeys) (missing []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, id := range ids {
		keys, ok := s.newer[id]
		if !ok {
			if keys, ok = s.older[id]; ok {
				s.put(id, keys)
			}
		}
		if found[i] = keys; !ok {
			missing = append(missing, i)
		}
	}
	return missing
}

// keep remembers the keys of those that were missing.
func (s *sortKeys) keep(ids []body.ID, keys []packedKeys, missing []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range missing {
		if keys[i] != "" {
			s.put(ids[i], keys[i])
		}
	}
}

func (s *sortKeys) put(id body.ID, keys packedKeys) {
	if s.octets > maxKeyMemory/2 || s.newer == nil {
		s.older, s.newer, s.octets = s.newer, make(map[body.ID]packedKeys), 0
	}
	s.newer[id] = keys
	s.octets += len(keys) + keyCost
}
