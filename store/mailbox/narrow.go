package mailbox

import (
	"context"
	"fmt"

	"balorg/store"
	"balorg/store/mailbox/text"
)

// Signatures calls fn for what is known of the texts of the view's messages with the UIDs from first to last, in ascending order: of those
// from one UID to another. Messages that fn is not told of have to be read. What fn gets is valid until it returns.
func (v *View) Signatures(ctx context.Context, first, last uint32, fn func(from, to uint32, s *Signature)) error {
	known, version := 0, text.Version()
	prefix := v.x.key.in(tableSignature)
	err := v.a.s.st.View(ctx, func(r store.Reader) error {
		for k, row := range r.Scan(prefix, store.PrefixEnd(prefix)) {
			if known++; known%1024 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			at, ok := stretchOf(k[len(prefix):])
			if !ok || at.version != version || at.last < first {
				continue
			}
			if at.first > last {
				break
			}
			if s, err := decodeSignature(row); err == nil && intact(row) { // else the messages are read
				fn(at.first, at.last, &s)
			}
		}
		return r.Err()
	})
	if err != nil {
		return fmt.Errorf("read signatures: %w", err)
	}
	return nil
}

// WantSignatures has the signatures of the folder made that are missing, in the background.
func (v *View) WantSignatures() { v.a.s.signing.want(v.x.key) }
