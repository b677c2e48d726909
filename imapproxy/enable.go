package imapproxy

import (
	"slices"
	"strings"

	"balorg/imapproxy/wire"
)

// condStore is the capability that commands other than ENABLE switch on, too (RFC 7162, 3.1).
const condStore = "CONDSTORE"

// enableable are the capabilities that change what a mail store sends.
var enableable = [...]string{condStore, "QRESYNC", utf8Accept, imap4rev2}

// enable answers ENABLE (RFC 5161): of what the client names, what the session has is switched on at every mail store.
func (s *session) enable(cmd *wire.Command) error {
	if len(cmd.Args) == 0 {
		return bad("ENABLE takes a capability")
	}
	offered := s.offered()
	var names []string
	for word := range strings.FieldsSeq(string(cmd.Args)) {
		i := slices.IndexFunc(enableable[:], func(name string) bool { return strings.EqualFold(name, word) })
		if i >= 0 && slices.Contains(offered, enableable[i]) && !slices.Contains(names, enableable[i]) {
			names = append(names, enableable[i])
		}
	}
	if s.sel != nil && slices.ContainsFunc(names, changesNames) { // RFC 9755, 3
		return bad("This is enabled before a mailbox is selected")
	}
	if err := s.switchOn(names, nil); err != nil {
		return err
	}
	s.out.printf("* %s\r\n", strings.Join(append([]string{"ENABLED"}, names...), " "))
	return nil
}

func (s *session) offered() []string { return strings.Fields(s.capabilities()) }

// useCondStore notes that a command makes its client one that is told modification sequences (RFC 7162, 3.1): in every mailbox of the
// session, whichever mail store it is in. The mail store of done, if any, learns it from the command itself.
func (s *session) useCondStore(done *upstream) error {
	if s.usesCondStore() || !slices.Contains(s.offered(), condStore) {
		return nil
	}
	return s.switchOn([]string{condStore}, done)
}

func (s *session) usesCondStore() bool { return slices.Contains(s.enabled, condStore) }

// switchOn switches capabilities on at all connections to mail stores but done, and at those opened later. A connection that cannot be
// written to is let go of, and harms the others no further.
//
// A command that names messages by number must find the numbers as they are: ENABLE, which lets a mail store tell of expunges, is not
// put before it.
func (s *session) switchOn(names []string, done *upstream) error {
	now := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(s.enabled, name) })
	s.enabled = append(s.enabled, now...)
	for _, u := range s.ups {
		if u == done {
			continue
		}
		if err := s.enableAt(u, now); err != nil {
			if s.ctx.Err() != nil || s.sel != nil && s.sel.up == u {
				return err
			}
			s.forget(u)
		}
	}
	return nil
}

func (s *session) replayEnable(u *upstream) error { return s.enableAt(u, s.enabled) }

// enableAt switches capabilities on at one connection. Only the store of the selected mailbox is waited for, since it tells where that
// stands; the others answer before whatever is asked of them next.
func (s *session) enableAt(u *upstream, names []string) error {
	if len(names) == 0 {
		return nil
	}
	command, answer := "ENABLE "+strings.Join(names, " "), "ENABLED"
	if !u.caps["ENABLE"] { // then it has CONDSTORE alone, and this is as good (RFC 7162, 3.1)
		command, answer = "STATUS INBOX (HIGHESTMODSEQ)", "STATUS"
	}
	u.attend()
	wait, err := u.begin(s.ctx, []byte(command), take(answer))
	if err != nil {
		return err
	}
	if err := u.flush(); err != nil || u.selection.Load() == nil {
		return err
	}
	_, err = wait(s.ctx)
	return err
}
