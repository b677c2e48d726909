package mailbox

import (
	"context"
	"errors"
	"fmt"

	"balorg/store"
	"balorg/store/body"
	"balorg/store/mailbox/structure"
	"balorg/store/mailbox/text"
)

// A signature is of so many messages or octets, whichever come first. What comes after the last whole stretch of a folder is read by each
// search: that is as much at most.
const (
	stretchMessages = 64
	stretchOctets   = 256 << 10
	// setShare is which part of the octets of its messages a set may take: both together are four hundredths at most.
	setShare = 50
	// signedAtOnce is how many signatures one transaction writes.
	signedAtOnce = 32
)

// RunSigning makes signatures of the folders that sessions open and search, one at a time and at leisure, until ctx is done. It calls report
// where it could not: the folder is looked at again when it is opened or searched the next time.
func (s *Store) RunSigning(ctx context.Context, report func(error)) {
	s.signing.run(ctx, func(key folderKey) {
		if err := s.sign(ctx, key, leisure(ctx)); err != nil && ctx.Err() == nil {
			report(fmt.Errorf("sign folder %d of %s: %w", key.folder, key.account, err))
		}
	})
}

// Sign makes the signatures that a folder lacks, without a rest.
func (a *Account) Sign(ctx context.Context, name string) error {
	v, err := a.Select(ctx, name, true)
	if err != nil {
		return err
	}
	defer v.Close() //nolint:errcheck // it was only read
	return a.s.sign(ctx, v.x.key, atOnce)
}

// sign makes the signatures that a folder lacks and removes those that nothing is left of.
func (s *Store) sign(ctx context.Context, key folderKey, rest restFunc) error {
	x, err := s.open.acquire(ctx, key)
	if errors.Is(err, ErrNoFolder) {
		return nil
	}
	if err != nil {
		return err
	}
	defer s.open.release(x)
	for {
		p, err := s.plan(ctx, x)
		if err != nil || len(p.lacking) == 0 && len(p.stale) == 0 {
			return err
		}
		rows := make([][]byte, 0, len(p.lacking))
		for _, of := range p.lacking {
			err := rest(func() error {
				sig, err := s.signature(ctx, of.messages)
				if err == nil {
					rows = append(rows, sig.encode())
				}
				return err
			})
			if err != nil {
				return err
			}
		}
		if err := s.putSignatures(ctx, key, p, rows); err != nil {
			return err
		}
	}
}

func (s *Store) putSignatures(ctx context.Context, key folderKey, p signingPlan, rows [][]byte) error {
	commit := s.st.Update
	if len(rows) == 0 {
		commit = s.st.Reclaim
	}
	return commit(ctx, func(tx store.Writer) error {
		if _, err := readFolder(tx, key); errors.Is(err, ErrNoFolder) {
			return nil // deleted meanwhile, and its signatures with it
		} else if err != nil {
			return err
		}
		for _, k := range p.stale {
			if err := tx.Delete(k); err != nil {
				return err
			}
		}
		for i, row := range rows {
			if err := tx.Set(key.signature(p.lacking[i].stretch), row); err != nil {
				return fmt.Errorf("write signature: %w", err)
			}
		}
		return nil
	})
}

// signingPlan is what is to be done next about a folder's signatures.
type signingPlan struct {
	lacking []lackingStretch
	stale   [][]byte // keys of rows to remove
}

type lackingStretch struct {
	stretch
	messages []message
}

// plan looks for stretches without signature, and for signatures without messages or of other texts.
func (s *Store) plan(ctx context.Context, x *index) (p signingPlan, err error) {
	if err := x.settle(ctx, s.st); err != nil {
		return p, err
	}
	var known []stretch
	prefix, version := x.key.in(tableSignature), text.Version()
	err = s.st.View(ctx, func(r store.Reader) error {
		for k := range r.Keys(prefix, store.PrefixEnd(prefix)) {
			at, ok := stretchOf(k[len(prefix):])
			if !ok || at.version != version || len(known) > 0 && at.first <= known[len(known)-1].last {
				p.stale = append(p.stale, append([]byte(nil), k...))
				continue
			}
			known = append(known, at)
		}
		return r.Err()
	})
	if err != nil {
		return p, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	planner := planner{plan: &p, messages: x.messages, version: version}
	for _, at := range known {
		if !planner.uncovered(at.first) || len(p.stale) >= chunk {
			return p, nil
		}
		planner.flush() // what stands between two
		if planner.skip(at.last) == 0 {
			p.stale = append(p.stale, x.key.signature(at))
		}
	}
	if planner.uncovered(1<<32-1) && len(p.lacking) == 0 {
		x.signed = x.uidNext - 1 - uint32(len(planner.open))
	}
	return p, nil
}

// planner walks through a folder's messages.
type planner struct {
	plan     *signingPlan
	version  uint16
	messages []message // that are still to be looked at
	open     []message // that begin the next stretch
	octets   int64
}

// uncovered takes the messages before a UID, which no signature is of. It answers false when there is enough to do.
func (p *planner) uncovered(before uint32) bool {
	for len(p.messages) > 0 && p.messages[0].UID < before {
		if len(p.plan.lacking) == signedAtOnce {
			return false
		}
		m := p.messages[0]
		p.messages = p.messages[1:]
		p.open, p.octets = append(p.open, m), p.octets+m.Size
		if len(p.open) == stretchMessages || p.octets >= stretchOctets {
			p.flush()
		}
	}
	return true
}

func (p *planner) flush() {
	if len(p.open) > 0 {
		at := stretch{p.open[0].UID, p.open[len(p.open)-1].UID, p.version}
		p.plan.lacking = append(p.plan.lacking, lackingStretch{at, p.open})
	}
	p.open, p.octets = nil, 0
}

// skip passes over the messages up to a UID and answers how many there are.
func (p *planner) skip(last uint32) (n int) {
	for n < len(p.messages) && p.messages[n].UID <= last {
		n++
	}
	p.messages = p.messages[n:]
	return n
}

// signature reads messages and answers what their texts hold.
func (s *Store) signature(ctx context.Context, messages []message) (Signature, error) {
	signer := signer{s: s, headers: newGathering(), parts: newGathering()}
	octets := int64(0)
	ids := make([]body.ID, len(messages))
	for i, m := range messages {
		ids[i] = m.Body
		octets += m.Size
	}
	for len(ids) > 0 {
		var details []*Detail
		err := s.st.View(ctx, func(r store.Reader) (err error) {
			details, err = readDetails(r, ids, WantStructure|WantHeader)
			return err
		})
		if errors.Is(err, errRow) {
			signer.all = true
			break
		}
		if err != nil {
			return Signature{}, err
		}
		for i, d := range details {
			if err := signer.take(ctx, ids[i], d); err != nil {
				return Signature{}, err
			}
		}
		ids = ids[len(details):]
	}
	limit := int(min(octets/setShare, maxSet))
	return Signature{headers: signer.headers.set.folded(limit), parts: signer.parts.set.folded(limit), all: signer.all}, nil
}

// signer gathers what messages say.
type signer struct {
	s              *Store
	reads          text.Reader
	headers, parts *gathering
	all            bool
}

// take takes the message in a body. What cannot be read may hold anything; an error is one of the moment.
func (g *signer) take(ctx context.Context, id body.ID, d *Detail) error {
	r, err := g.s.bodies.Open(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil // expunged meanwhile
	}
	if ctx.Err() != nil || errors.Is(err, store.ErrUnavailable) {
		return errors.Join(ctx.Err(), err)
	}
	if err != nil || d == nil {
		g.all = true
		if err != nil {
			return nil // damage, which the search that reads the message reports
		}
		return r.Close()
	}
	defer r.Close() //nolint:errcheck // it was only read
	if d.Header == nil {
		off, n, _ := d.Section(nil, structure.Header)
		if d.Header = make([]byte, min(n, text.MaxHeader)); n > 0 {
			_, err = r.ReadAt(d.Header, off)
		}
	}
	parts, perr := d.Parts()
	if err = errors.Join(err, perr); err == nil {
		g.reads.Header(d.Header, "", g.headers)
		g.reads.Values(d.Header, g.headers)
		_, err = g.reads.Body(parts, r, true, g.parts)
	}
	if err != nil {
		g.all = true
	}
	return ctx.Err()
}
