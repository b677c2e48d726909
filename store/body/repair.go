package body

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"

	"balorg/store"
)

// atOnce is how many rows one transaction of a repair changes.
const atOnce = 500

// diagnosis is what is wrong with the table, at one moment.
type diagnosis struct {
	wrong   []miscount
	lost    []ID          // are referred to, and have no row that can be read
	refs    map[ID]uint32 // of those
	useless []ID          // rows that cannot be read, to which nobody refers
	strays  [][]byte      // keys that are none, and values that no row needs
	last    ID
	unnamed []found // files
}

// miscount is a body with another number of references than its row says. Whoever adds a reference counts it, so that the difference stays
// what it is while others go on.
type miscount struct {
	id         ID
	difference int64
	unclaimed  bool // nobody refers to it
}

// Unclaimed answers the bodies whose rows count more references than there are, ascending: messages may have lost them.
func (c Checker) Unclaimed(ctx context.Context) (ids []ID, err error) {
	d, err := c.diagnose(ctx)
	for _, w := range d.wrong {
		if w.difference < 0 {
			ids = append(ids, w.id)
		}
	}
	return ids, err
}

func (c Checker) diagnose(ctx context.Context) (d diagnosis, err error) {
	defer c.Prepare()()
	files, err := c.Bodies.files()
	if err != nil {
		return d, fmt.Errorf("list the files of bodies: %w", err)
	}
	unnamed := make(map[string]found, len(files))
	for _, f := range files {
		if !f.temp && !c.Bodies.held(f.name) && !c.Bodies.hasMoved(f.name) {
			unnamed[f.name] = f
		}
	}
	err = c.Bodies.st.View(ctx, func(r store.Reader) error {
		refs := make(map[ID]uint32)
		for _, t := range c.Referrers {
			if err := t.Bodies(ctx, r, func(id ID) { refs[id]++ }); err != nil {
				return fmt.Errorf("references of %T: %w", t, err)
			}
		}
		return d.look(r, refs, unnamed)
	})
	for _, f := range unnamed {
		d.unnamed = append(d.unnamed, f)
	}
	return d, err
}

func (d *diagnosis) look(r store.Reader, refs map[ID]uint32, unnamed map[string]found) error {
	inline := map[ID]bool{}
	prefix := []byte(store.PrefixBody + "r/")
	for k, v := range r.Scan(prefix, store.PrefixEnd(prefix)) {
		id, err := idOf(k)
		if err != nil {
			d.strays = append(d.strays, slices.Clone(k))
			continue
		}
		d.last = max(d.last, id)
		got, err := decodeRow(v)
		if err != nil {
			inline[id] = true // its value may be what is left of it
			if refs[id] == 0 {
				d.useless = append(d.useless, id)
			}
			continue
		}
		inline[id] = got.file == ""
		delete(unnamed, got.file)
		if difference := int64(refs[id]) - int64(got.refs); difference != 0 || got.refs == 0 {
			d.wrong = append(d.wrong, miscount{id, difference, refs[id] == 0})
		}
		delete(refs, id)
	}
	d.refs = refs
	for id := range refs {
		d.lost = append(d.lost, id)
		d.last = max(d.last, id)
	}
	slices.Sort(d.lost)
	prefix = []byte(store.PrefixLarge)
	for k := range r.Keys(prefix, store.PrefixEnd(prefix)) {
		id, err := idOf(k)
		if _, lost := slices.BinarySearch(d.lost, id); err != nil || !inline[id] && !lost {
			d.strays = append(d.strays, slices.Clone(k))
		}
		d.last = max(d.last, id)
	}
	return r.Err()
}

// Repair mends what Check finds, while others go on: wrong counts, rows whose octets are still there, what nobody needs. It reports what it did,
// and what it could not do. With keep it leaves alone what nobody refers to: somebody may have lost it.
func (c Checker) Repair(ctx context.Context, keep bool, report func(string)) error {
	d, err := c.diagnose(ctx)
	if err != nil {
		return err
	}
	if err := c.raiseNext(ctx, d.last, report); err != nil {
		return fmt.Errorf("mend bodies: %w", err)
	}
	steps := []func(context.Context, diagnosis, bool, func(string)) error{c.restore, c.recount, c.clear}
	for _, step := range steps {
		if err := step(ctx, d, keep, report); err != nil {
			return fmt.Errorf("mend bodies: %w", err)
		}
	}
	return nil
}

// restore makes rows anew of what is left of their bodies.
func (c Checker) restore(ctx context.Context, d diagnosis, _ bool, report func(string)) error {
	for _, id := range d.lost {
		var lone *found // the one file that can be this body's
		if len(d.lost) == 1 && len(d.unnamed) == 1 {
			lone = &d.unnamed[0]
		}
		restored := false
		err := c.Bodies.st.Update(ctx, func(tx store.Writer) error {
			restored = false
			if _, err := readRow(tx, id); err == nil {
				return nil
			}
			got, err := c.remains(tx, id, lone)
			if err != nil || got == nil {
				return err
			}
			got.refs, restored = d.refs[id], true
			return tx.Set(rowKey(id), got.encode())
		})
		if err != nil {
			return err
		}
		if restored {
			report(fmt.Sprintf("body %d: its row was made anew", id))
		} else {
			report(fmt.Sprintf("body %d: is lost; what refers to it is kept", id))
		}
	}
	return nil
}

// remains answers the row that what is left of a body should have, nil when nothing is.
func (c Checker) remains(tx store.Reader, id ID, lone *found) (*row, error) {
	var octets io.Reader
	got := row{}
	value, err := tx.Open(valueKey(id))
	switch {
	case err == nil:
		defer value.Close() //nolint:errcheck // it was only read
		octets = value
	case !errors.Is(err, store.ErrNotFound):
		return nil, err
	case lone == nil:
		return nil, nil //nolint:nilnil // nothing is left
	default:
		f, err := os.Open(lone.path)
		if err != nil {
			return nil, err
		}
		defer f.Close() //nolint:errcheck // it was only read
		octets, got.file = f, lone.name
	}
	sum := crc32.New(castagnoli())
	if got.size, err = io.Copy(sum, octets); err != nil {
		return nil, nil //nolint:nilnil // nothing that can be read
	}
	got.sum = sum.Sum32()
	return &got, nil
}

// recount corrects counts, and removes what nobody refers to.
func (c Checker) recount(ctx context.Context, d diagnosis, keep bool, report func(string)) error {
	for part := range slices.Chunk(d.wrong, atOnce) {
		var said []string
		err := c.Bodies.st.Update(ctx, func(tx store.Writer) error {
			said = nil
			for _, w := range part {
				what, err := c.recountOne(tx, w, keep)
				if err != nil {
					return err
				}
				if what != "" {
					said = append(said, fmt.Sprintf("body %d: %s", w.id, what))
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, s := range said {
			report(s)
		}
	}
	return nil
}

func (c Checker) recountOne(tx store.Writer, w miscount, keep bool) (what string, err error) {
	got, err := readRow(tx, w.id)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil // gone meanwhile
	}
	if err != nil {
		return "", err
	}
	refs := int64(got.refs) + w.difference
	if refs > 0 {
		got.refs = uint32(refs)
		return fmt.Sprintf("its references were counted: %d", refs), tx.Set(rowKey(w.id), got.encode())
	}
	if keep {
		return "nobody refers to it; it is kept, since messages have lost theirs", nil
	}
	got.refs = 1
	if err := tx.Set(rowKey(w.id), got.encode()); err != nil {
		return "", err
	}
	_, err = c.Bodies.Unref(tx, w.id)
	return "nobody referred to it; it was removed", err
}

// clear removes rows, values and files that nobody needs.
func (c Checker) clear(ctx context.Context, d diagnosis, keep bool, report func(string)) error {
	if keep && len(d.strays)+len(d.useless) > 0 {
		report(fmt.Sprintf("bodies: %d values or rows that nobody refers to are kept, since messages have lost theirs", len(d.strays)+len(d.useless)))
		return nil
	}
	for _, id := range d.useless {
		d.strays = append(d.strays, rowKey(id), valueKey(id))
	}
	for part := range slices.Chunk(d.strays, atOnce) {
		err := c.Bodies.st.Reclaim(ctx, func(tx store.Writer) error {
			for _, k := range part {
				if err := tx.Delete(k); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if len(d.strays) > 0 {
		report(fmt.Sprintf("bodies: %d rows and values that nobody needed were removed", len(d.strays)))
	}
	swept, err := c.Bodies.Sweep(ctx)
	if err != nil {
		report("bodies: files without row stay, since a row that cannot be read may name one")
		return nil // as reported
	}
	if swept > 0 {
		report(fmt.Sprintf("bodies: %d files that no row named were removed", swept))
	}
	return nil
}

// raiseNext sees to it that no id is given twice.
func (c Checker) raiseNext(ctx context.Context, last ID, report func(string)) error {
	raised := false
	err := c.Bodies.st.Update(ctx, func(tx store.Writer) error {
		next, err := tx.Get(nextKey())
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if raised = last > 0 && (len(next) != 8 || ID(binary.BigEndian.Uint64(next)) <= last); !raised {
			return nil
		}
		return tx.Set(nextKey(), binary.BigEndian.AppendUint64(nil, uint64(last)+1))
	})
	if err == nil && raised {
		report("bodies: the next id was raised")
	}
	return err
}
