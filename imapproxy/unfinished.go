package imapproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"balorg/imapproxy/wire"
	"balorg/mail"
	"balorg/policy"
	"balorg/store/audit"
	"balorg/store/transfer"
)

// How often what is left of transfers is looked for, and how long one may take to be finished.
const (
	finishPeriod = 30 * time.Second
	finishTime   = 2 * time.Minute
)

// work says that a session is working on a transfer: nobody else finishes it.
func (p *Proxy) work(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moving[id] = true
}

func (p *Proxy) rest(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.moving, id)
}

func (p *Proxy) working(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.moving[id]
}

// FinishTransfers undoes and finishes, until ctx ends, what crashes and mail stores that went down have left of copies and moves between
// mail stores: copies of which not all arrived are removed, and so are the originals of moves of which all did.
func (p *Proxy) FinishTransfers(ctx context.Context) {
	tick := time.NewTicker(finishPeriod)
	defer tick.Stop()
	for {
		left, err := p.finishTransfers(ctx)
		if err != nil && ctx.Err() == nil {
			p.log.ErrorContext(ctx, "looking for unfinished transfers", slog.Any("error", err))
		}
		p.metrics.transfers.Set(float64(left))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// finishTransfers does what can be done now and answers how many transfers are left.
func (p *Proxy) finishTransfers(ctx context.Context) (left int, err error) {
	all, err := p.opt.Transfers.All(ctx)
	if err != nil {
		return 0, err
	}
	for _, tr := range all {
		if p.working(tr.ID) {
			continue
		}
		err := p.finish(ctx, tr)
		if err == nil {
			err = p.opt.Transfers.Delete(ctx, tr.ID)
		}
		if err != nil {
			left++
			p.log.WarnContext(ctx, "a transfer between mail stores is not finished yet", slog.String("transfer", tr.ID), slog.Any("error", err))
		}
	}
	return left, nil
}

// finish undoes one transfer, or does what is left of it.
func (p *Proxy) finish(ctx context.Context, tr transfer.Transfer) error {
	ctx, cancel := context.WithTimeout(ctx, finishTime)
	defer cancel()
	s := p.worker(ctx, tr.Person)
	if !tr.Copied {
		target, ok := p.opt.Snapshot().ByID(tr.Target.Account)
		if !ok || tr.Target.UIDs == "" {
			// The message on its way, if there was one, is what may remain: the store never said that it took it.
			p.log.WarnContext(ctx, "a transfer was cut off; one message may be in both mailboxes", slog.String("transfer", tr.ID), slog.Any("folder", tr.Target.Folder))
			return nil
		}
		err := s.undoCopies(ctx, target, tr.Target.Folder, tr.Target.UIDValidity, tr.Target.UIDs)
		if err == nil {
			err = s.traceFinished(ctx, tr.Person, target, tr.Target, "undo of a transfer")
		}
		if err == nil {
			p.log.WarnContext(ctx, "a transfer that was cut off is undone; one message may be in both mailboxes", slog.String("transfer", tr.ID), slog.Any("mailbox", target.Address), slog.Any("folder", tr.Target.Folder))
		}
		return err
	}
	return s.removeOriginals(ctx, tr)
}

// worker is a session without a client: it opens mail stores and is told nothing.
func (p *Proxy) worker(ctx context.Context, person mail.AccountID) *session {
	s := &session{p: p, id: "transfers", person: &policy.Account{ID: person}, ups: make(map[mail.AccountID]*upstream), out: newOutput(io.Discard)}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	return s
}

// errOtherFolder is a folder that is not the one it was: it was removed and made anew, and its UIDs name other messages.
var errOtherFolder = errors.New("the folder is not the one it was")

// openFolder selects a folder on a connection of its own, which the caller closes, and checks that its UIDs mean what they did.
func (s *session) openFolder(ctx context.Context, account *policy.Account, folder string, validity uint32) (*upstream, error) {
	up, err := openUpstream(ctx, s, account)
	if err != nil {
		return nil, err
	}
	command, err := up.appendFolder([]byte("SELECT "), folder)
	if err != nil {
		up.close()
		return nil, err
	}
	code := fmt.Sprintf("[UIDVALIDITY %d]", validity)
	same := false
	r, err := up.run(ctx, command, func(_ *wire.ResponseReader, resp *wire.Response) (bool, error) {
		same = same || resp.Is("OK") && strings.HasPrefix(string(resp.Rest), code)
		return false, nil
	})
	switch {
	case err != nil:
	case !r.ok():
		err = storeAnswer(r)
	case !same:
		err = errOtherFolder
	default:
		return up, nil
	}
	up.close()
	return nil, err
}

// undoCopies removes messages from the folder they were copied to. It works on a connection of its own: the transfer's may be in the
// midst of a message, and the person may have lost the mailbox meanwhile.
func (s *session) undoCopies(ctx context.Context, account *policy.Account, folder string, validity uint32, set string) error {
	up, err := s.openFolder(ctx, account, folder, validity)
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer up.close()
	return up.expunge(ctx, set)
}

// gone tells whether a folder is not there any more, and the messages with it.
func gone(err error) bool {
	var a *answer
	return errors.Is(err, errOtherFolder) || errors.As(err, &a) && a.code == "NONEXISTENT"
}

// removeOriginals ends a move, if its copies are still where they were put: somebody who found the messages in both mailboxes may have
// removed those.
func (s *session) removeOriginals(ctx context.Context, tr transfer.Transfer) error {
	snap := s.p.opt.Snapshot()
	source, ok := snap.ByID(tr.Source.Account)
	target, there := snap.ByID(tr.Target.Account)
	if !ok || !there {
		s.log().WarnContext(ctx, "a move is left as it is: one of its mailboxes is gone, and the messages may be in both", slog.String("transfer", tr.ID))
		return nil
	}
	whole, err := s.holds(ctx, target, tr.Target)
	if err != nil {
		return err
	}
	if !whole {
		s.log().WarnContext(ctx, "a move is left as it is: its copies are not where they were put any more", slog.String("transfer", tr.ID))
		return nil
	}
	up, err := s.openFolder(ctx, source, tr.Source.Folder, tr.Source.UIDValidity)
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer up.close()
	if err := up.expunge(ctx, tr.Source.UIDs); err != nil {
		return err
	}
	return s.traceFinished(ctx, tr.Person, source, tr.Source, "end of a MOVE")
}

// traceFinished records what was removed long after the command that led to it, under the person who gave that.
func (s *session) traceFinished(ctx context.Context, person mail.AccountID, account *policy.Account, at transfer.Place, request string) error {
	record := audit.Record{
		Action: audit.Expunge, Person: audit.Party{ID: person}, Mailbox: party(account), Folder: at.Folder, UIDValidity: at.UIDValidity,
		UIDs: at.UIDs, Request: request, Answer: "OK",
	}
	if who, ok := s.p.opt.Snapshot().ByID(person); ok {
		record.Person = party(who)
	}
	return s.traceAs(ctx, record)
}

// holds tells whether a folder still has all messages of a place.
func (s *session) holds(ctx context.Context, account *policy.Account, at transfer.Place) (bool, error) {
	up, err := s.openFolder(ctx, account, at.Folder, at.UIDValidity)
	if gone(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer up.close()
	c := &uidCollector{}
	r, err := up.run(ctx, []byte("UID SEARCH UID "+at.UIDs), c.search)
	if err != nil {
		return false, err
	}
	return r.ok() && c.String() == canonicalSet(at.UIDs), nil
}

// canonicalSet is a set without "*" as FormatNumbers writes it.
func canonicalSet(set string) string {
	var all []uint32
	for part := range strings.SplitSeq(set, ",") {
		first, last, _ := strings.Cut(part, ":")
		from, err := strconv.ParseUint(first, 10, 32)
		if err != nil {
			return set
		}
		to, err := strconv.ParseUint(last, 10, 32)
		if err != nil {
			to = from
		}
		for n := from; n <= to; n++ {
			all = append(all, uint32(n))
		}
	}
	return wire.FormatNumbers(all)
}
