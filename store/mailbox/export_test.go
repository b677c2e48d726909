package mailbox

import (
	"context"
	"fmt"

	"balorg/store"
)

// Fold writes the folder's marks into its rows.
func (a *Account) Fold(ctx context.Context, name string) error {
	return a.foldWith(ctx, name, atOnce)
}

// FoldPart does that for the first two rows only, as when the daemon ends meanwhile.
func (a *Account) FoldPart(ctx context.Context, name string) error {
	a.s.foldedAtOnce = 2
	defer func() { a.s.foldedAtOnce = foldedAtOnce }()
	parts := 0
	return a.foldWith(ctx, name, func(work func() error) error {
		if parts++; parts > 1 {
			return context.Canceled
		}
		return work()
	})
}

// FoldAround is Fold that calls between before it writes the rows and behind each part of them.
func (a *Account) FoldAround(ctx context.Context, name string, between func()) error {
	return a.foldWith(ctx, name, func(work func() error) error {
		between()
		defer between()
		return work()
	})
}

// Rows answers the flags and modification sequences of messages as the folder's rows and marks say, and how much those weigh.
func (v *View) Rows(ctx context.Context, uids []uint32) (rows []string, weight uint32, err error) {
	err = v.a.s.st.View(ctx, func(r store.Reader) error {
		row, err := readFolder(r, v.x.key)
		if err != nil {
			return err
		}
		weight = row.Unfolded
		over, err := readMarks(r, v.x.key, &row)
		if err != nil {
			return err
		}
		found, err := readMessages(r, v.x.key, over, uids)
		for _, m := range found {
			rows = append(rows, fmt.Sprint(m.UID, m.Flags, m.ModSeq))
		}
		return err
	})
	return rows, weight, err
}

func (a *Account) foldWith(ctx context.Context, name string, rest restFunc) error {
	v, err := a.Select(ctx, name, true)
	if err != nil {
		return err
	}
	defer v.Close()
	return a.s.fold(ctx, v.x.key, rest)
}
