// Package order puts messages into the orders of SORT and THREAD (RFC 5256, RFC 5957): base subjects, the collation i;unicode-casemap,
// sent dates, and the algorithms that make threads. It knows numbers and texts only, neither mailboxes nor connections.
//
// Whatever the messages say, the work is bounded: keys are cut at maxKey octets, and the links between messages are followed for a
// limited number of steps in all (ErrTooTangled).
package order

import (
	"cmp"
	"slices"
	"strings"
)

// By says what a Criterion compares.
type By uint8

// The sort keys of RFC 5256 and RFC 5957.
const (
	Arrival By = iota
	Cc
	Date
	From
	Size
	Subject
	To
	DisplayFrom
	DisplayTo
	keys
)

// Criterion is one sort criterion. Reverse turns its own order around and no other's.
type Criterion struct {
	By      By
	Reverse bool
}

// Message is what sorting needs to know of one: those keys that the criteria name. Texts are as Collate answers them.
type Message struct {
	Seq     uint32
	Arrived int64 // internal date, Unix seconds
	Sent    int64 // see SentDate; the internal date when the message names none
	Size    int64
	Text    [keys]string
}

// Sort answers the sequence numbers of messages in the order of criteria. What they leave equal is in order of Seq (RFC 5256, 3).
func Sort(messages []Message, criteria []Criterion) []uint32 {
	sorted := make([]int32, len(messages)) // they are moved about many times, and messages are large
	for i := range sorted {
		sorted[i] = int32(i)
	}
	slices.SortFunc(sorted, func(i, j int32) int {
		a, b := &messages[i], &messages[j]
		for _, c := range criteria {
			order := compare(a, b, c.By)
			if c.Reverse {
				order = -order
			}
			if order != 0 {
				return order
			}
		}
		return cmp.Compare(a.Seq, b.Seq)
	})
	seqs := make([]uint32, len(messages))
	for i, at := range sorted {
		seqs[i] = messages[at].Seq
	}
	return seqs
}

func compare(a, b *Message, by By) int {
	switch by {
	case Arrival:
		return cmp.Compare(a.Arrived, b.Arrived)
	case Date:
		return cmp.Compare(a.Sent, b.Sent)
	case Size:
		return cmp.Compare(a.Size, b.Size)
	default:
		return strings.Compare(a.Text[by], b.Text[by])
	}
}
