package mailbox

import (
	"context"
	"fmt"

	"balorg/store"
	"balorg/store/body"
)

// Replace puts a message into a folder of dst, which may be the view's own, and removes the message of that UID from the view's folder: both or
// neither, in one transaction. The room that the one leaves is room for the other. ErrExpunged when it is not there any more. The
// view has the replaced message until Sync(ctx, true).
func (v *View) Replace(ctx context.Context, uid uint32, dst *Account, name string, in Incoming) (Placed, error) {
	if v.readOnly {
		return Placed{}, ErrReadOnly
	}
	name, err := canonical(name)
	if err != nil {
		return Placed{}, ErrNoFolder
	}
	if err := in.Message.Finish(); err != nil {
		return Placed{}, err
	}
	var p Placed
	var from *folderEdit
	err = v.a.s.update(ctx, func(tx store.Writer) (err error) {
		e := v.a.s.edit(tx)
		if from, err = e.folder(v.x.key); err != nil {
			return err
		}
		to, err := e.named(dst.id, name)
		if err != nil {
			return err
		}
		if err := from.removeOne(uid); err != nil {
			return err
		}
		p, err = dst.placeIn(to, in.Message.size, in.Flags, in.Date, func() (body.ID, error) { return in.Message.put(tx) })
		if err != nil {
			return err
		}
		return e.save()
	})
	if err != nil {
		return Placed{}, fmt.Errorf("replace message: %w", err)
	}
	in.Message.Discard()
	// As with Deliver: what fails here is to show it.
	_ = v.a.s.open.await(ctx, folderKey{dst.id, p.Folder}, p.ModSeq)
	_ = v.a.s.open.await(ctx, v.x.key, from.change.modseq)
	return p, nil
}

// removeOne removes the message of that UID.
func (f *folderEdit) removeOne(uid uint32) error {
	found, err := f.messages([]uint32{uid})
	switch {
	case err != nil:
		return fmt.Errorf("read message: %w", err)
	case len(found) == 0:
		return ErrExpunged
	}
	return f.remove(found[0])
}
