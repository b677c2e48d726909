package mailbox

import (
	"context"
	"fmt"
	"slices"

	"balorg/store"
)

// Copy copies messages, with flags and internal date, into a folder of dst, which may be another account of the same store.
// uids is ascending; messages that are gone are skipped. All are copied or none (RFC 3501, 6.4.7): copies made before an
// error are removed again.
func (v *View) Copy(ctx context.Context, uids []uint32, dst *Account, name string) (Copied, error) {
	c := copier{v: v, dst: dst, name: name}
	if err := c.run(ctx, uids); err != nil {
		// The caller's context may be what ended the copy; the undoing must not end with it.
		if _, undo := v.a.s.remove(context.WithoutCancel(ctx), c.target, c.done.Target, 0); undo != nil {
			err = fmt.Errorf("%w (and the copies made remain: %w)", err, undo)
		}
		return Copied{}, fmt.Errorf("copy messages: %w", err)
	}
	return c.done, nil
}

// Move moves messages into a folder of dst. Each message is in one of the two folders at any time, in both or none at no time,
// whatever fails. On an error the messages answered have been moved. The view has the messages until Sync(ctx, true).
func (v *View) Move(ctx context.Context, uids []uint32, dst *Account, name string) (Copied, error) {
	if v.readOnly {
		return Copied{}, ErrReadOnly
	}
	c := copier{v: v, dst: dst, name: name, move: true}
	if err := c.run(ctx, uids); err != nil {
		return c.done, fmt.Errorf("move messages: %w", err)
	}
	return c.done, nil
}

// copier is one Copy or Move, chunk by chunk.
type copier struct {
	v      *View
	dst    *Account
	name   string
	move   bool
	target folderKey
	done   Copied
}

func (c *copier) run(ctx context.Context, uids []uint32) error {
	name, err := canonical(c.name)
	if err != nil {
		return ErrNoFolder
	}
	c.name = name
	if len(uids) == 0 {
		return c.find(ctx)
	}
	for part := range slices.Chunk(uids, chunk) {
		if err := c.chunk(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// find answers ErrNoFolder and the like where there is nothing to copy.
func (c *copier) find(ctx context.Context) error {
	return c.dst.s.st.View(ctx, func(r store.Reader) error {
		key, err := findFolder(r, c.dst.id, c.name)
		if err != nil {
			return err
		}
		row, err := readFolder(r, key)
		if err == nil && row.NoSelect {
			err = ErrNoSelect
		}
		c.done.UIDValidity = row.UIDValidity
		return err
	})
}

func (c *copier) chunk(ctx context.Context, uids []uint32) error {
	s := c.v.a.s
	var source, target []uint32
	var from, to *folderEdit
	err := s.update(ctx, func(tx store.Writer) (err error) {
		source, target = nil, nil
		e := s.edit(tx)
		if from, err = e.folder(c.v.x.key); err != nil {
			return err
		}
		if to, err = c.open(e); err != nil {
			return err
		}
		found, err := from.messages(uids)
		for i := 0; i < len(found) && err == nil; i++ {
			var copied message
			copied, err = c.one(from, to, found[i])
			source, target = append(source, found[i].UID), append(target, copied.UID)
		}
		if err != nil || len(source) == 0 {
			return err
		}
		return e.save()
	})
	if err != nil {
		return err
	}
	c.target, c.done.UIDValidity = to.key, to.row.UIDValidity
	c.done.Source, c.done.Target = append(c.done.Source, source...), append(c.done.Target, target...)
	if err := s.open.await(ctx, to.key, to.change.modseq); err != nil {
		return err
	}
	return s.open.await(ctx, from.key, from.change.modseq)
}

// open answers the target, by name at first: later chunks go to the same folder whatever it is called by then.
func (c *copier) open(e *edit) (*folderEdit, error) {
	if c.target.folder != 0 {
		return e.folder(c.target)
	}
	return e.named(c.dst.id, c.name)
}

func (c *copier) one(from, to *folderEdit, m message) (message, error) {
	if !c.move || from.account != to.account {
		if err := c.dst.fits(to.account, m.Size); err != nil {
			return m, err
		}
	}
	copied := m
	copied.Flags.Keywords = translate(m.Flags.Keywords, from, to)
	if !c.move {
		if err := c.v.a.s.bodies.Ref(to.tx, m.Body); err != nil {
			return m, fmt.Errorf("refer to body %d: %w", m.Body, err)
		}
		return to.add(copied)
	}
	copied, err := to.add(copied)
	if err != nil {
		return m, err
	}
	return copied, from.take(m)
}

// translate answers the bits that the target has for the keywords of the source. Keywords that the target has no room for
// are lost rather than the message refused.
func translate(bits uint64, from, to *folderEdit) uint64 {
	if bits == 0 || from == to {
		return bits
	}
	var out uint64
	for i, name := range from.row.Keywords {
		if bits&(1<<i) == 0 {
			continue
		}
		if bit, err := to.keywords([]string{name}, true); err == nil {
			out |= bit
		}
	}
	return out
}
