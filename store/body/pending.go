package body

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"syscall"

	"balorg/store"
)

// roomStep is how many octets are written between two looks at the free space.
const roomStep = 1 << 20

// errNotFinished: Put before Finish, or Write after it.
var errNotFinished = errors.New("body is written, finished, then put, in this order")

// Pending is a body being written. It belongs to one goroutine; nothing of it lasts unless a transaction that Put it succeeds.
// Discard must be called in every case.
type Pending struct {
	b        *Bodies
	buf      []byte   // the octets, while they fit inline
	lent     bool     // buf is one of the buffers
	file     *os.File // where they go once they do not
	name     string   // of the file, empty while inline
	size     int64
	checked  int64 // size up to which the free space was looked at
	sum      uint32
	finished bool
	stored   bool
	tried    ID // the id of the latest Put
}

// Create begins a body. store.ErrFull when the disk has no room for any.
func (b *Bodies) Create(ctx context.Context) (*Pending, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := b.room(0); err != nil {
		return nil, err
	}
	return &Pending{b: b}, nil
}

// Write adds octets. They are kept in memory while the body may be inline, then in a file. store.ErrFull when the disk runs out of room.
func (p *Pending) Write(data []byte) (int, error) {
	if p.finished {
		return 0, errNotFinished
	}
	if p.name == "" && !p.fits(len(data)) {
		if err := p.spill(); err != nil {
			return 0, err
		}
	}
	n := len(data)
	if p.name == "" {
		p.buf = append(p.buf, data...)
	} else {
		if err := p.checkRoom(int64(len(data))); err != nil {
			return 0, err
		}
		var err error
		if n, err = p.file.Write(data); err != nil {
			err = fmt.Errorf("write a body: %w", noRoom(err))
			p.advance(data[:n])
			return n, err
		}
	}
	p.advance(data)
	return n, nil
}

// fits tells whether n more octets can be kept in memory.
func (p *Pending) fits(n int) bool {
	n += len(p.buf)
	if n <= smallLimit || p.lent {
		return n <= InlineLimit
	}
	if n > InlineLimit {
		return false
	}
	buf, ok := p.b.lend()
	if ok {
		p.buf, p.lent = append(buf, p.buf...), true
	}
	return ok
}

// dropBuffer gives back what is in memory.
func (p *Pending) dropBuffer() {
	if p.lent {
		p.b.takeBack(p.buf)
	}
	p.buf, p.lent = nil, false
}

// lend answers an empty buffer for a body of InlineLimit, unless too many are in use.
func (b *Bodies) lend() (buf []byte, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lent == maxLent {
		return nil, false
	}
	b.lent++
	if n := len(b.spare); n > 0 {
		buf, b.spare = b.spare[n-1], b.spare[:n-1]
		return buf, true
	}
	return make([]byte, 0, InlineLimit), true
}

func (b *Bodies) takeBack(buf []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lent--
	if len(b.spare) < maxSpare {
		b.spare = append(b.spare, buf[:0])
	}
}

func (p *Pending) advance(data []byte) {
	p.size += int64(len(data))
	p.sum = crc32.Update(p.sum, castagnoli(), data)
}

func (p *Pending) checkRoom(n int64) error {
	if p.size+n < p.checked {
		return nil
	}
	if err := p.b.room(n + roomStep); err != nil {
		return err
	}
	p.checked = p.size + n + roomStep
	return nil
}

// spill moves what is in memory to a file.
func (p *Pending) spill() error {
	name := newName()
	p.b.hold(name)
	f, err := os.OpenFile(p.b.temp(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		p.b.letGo(name)
		return fmt.Errorf("make a file for a body: %w", noRoom(err))
	}
	p.name, p.file = name, f
	if _, err := f.Write(p.buf); err != nil {
		return fmt.Errorf("write a body: %w", noRoom(err))
	}
	p.dropBuffer()
	return nil
}

// UseFile has the octets kept in a file whatever their size: for a body that is stored along with so many others that a transaction would not
// hold them. It is called before Finish.
func (p *Pending) UseFile() error {
	if p.finished {
		return errNotFinished
	}
	if p.name != "" {
		return nil
	}
	return p.spill()
}

// noRoom makes store.ErrFull of what the system says when it has no room in spite of the guard: inodes run out, too, and quotas.
func noRoom(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return err
}

// Size is how many octets were written.
func (p *Pending) Size() int64 { return p.size }

// Finish makes the octets durable as far as they are in a file; those inline become so with the transaction. After it the
// body can be Put.
func (p *Pending) Finish() error {
	if p.finished {
		return nil
	}
	if p.file != nil {
		if err := p.keep(); err != nil {
			return fmt.Errorf("keep a body: %w", noRoom(err))
		}
	}
	p.finished = true
	return nil
}

func (p *Pending) keep() error {
	f := p.file
	p.file = nil
	err := p.b.place(p.name, f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// Put stores the body with one reference and answers its id. It may be called again when the transaction's function runs
// again.
func (p *Pending) Put(tx store.Writer) (ID, error) {
	if !p.finished {
		return 0, errNotFinished
	}
	id, err := nextID(tx)
	if err != nil {
		return 0, err
	}
	p.tried = id
	r := row{refs: 1, size: p.size, sum: p.sum, file: p.name}
	if err := tx.Set(rowKey(id), r.encode()); err != nil {
		return 0, fmt.Errorf("put body %d: %w", id, err)
	}
	if p.name == "" {
		if err := tx.Set(valueKey(id), p.buf); err != nil {
			return 0, fmt.Errorf("put body %d: %w", id, err)
		}
	}
	tx.AfterCommit(func() { p.stored = true })
	return id, nil
}

// Discard gives back what the body holds, and removes its octets unless they were stored. It may be called at any time and
// more than once.
func (p *Pending) Discard() {
	p.finished = true
	p.dropBuffer()
	if p.file != nil {
		_ = p.file.Close() // what it holds is thrown away
		p.file = nil
		_ = os.Remove(p.b.temp(p.name))
	}
	if p.name == "" {
		return
	}
	if !p.stored && p.unreferenced() {
		_ = os.Remove(p.b.temp(p.name)) // there when Finish did not come to an end
		_ = os.Remove(p.b.path(p.name))
	}
	p.b.letGo(p.name)
	p.name = ""
}

// unreferenced tells whether certainly no row names the file. A transaction that ended with store.ErrUnavailable may have
// become durable all the same; while that cannot be told the file stays, at worst until the next Sweep.
func (p *Pending) unreferenced() bool {
	if p.tried == 0 {
		return true
	}
	named := false
	err := p.b.st.View(context.Background(), func(r store.Reader) error {
		got, err := readRow(r, p.tried)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		named = got.file == p.name
		return err
	})
	return err == nil && !named
}

func (b *Bodies) hold(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending[name] = struct{}{}
}

func (b *Bodies) letGo(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.pending, name)
	if b.checks > 0 {
		b.moved[name] = struct{}{}
	}
}

func (b *Bodies) held(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.pending[name]
	return ok
}
