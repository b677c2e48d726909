package embedded

import (
	"strings"

	"balorg/imapproxy/wire"
)

func (s *session) capability(cmd *wire.Command) error {
	if err := noArguments(cmd); err != nil {
		return err
	}
	s.printf("* CAPABILITY %s\r\n", strings.Join(s.srv.caps, " "))
	return nil
}

// noop answers NOOP and CHECK: what changed is told with every answer, and what was answered is on disk already.
func (s *session) noop(cmd *wire.Command) error { return noArguments(cmd) }

func (s *session) logout(cmd *wire.Command) error {
	if err := noArguments(cmd); err != nil {
		return err
	}
	s.unselect()
	s.printf("* BYE Logging out\r\n")
	s.done = true
	return nil
}

// authenticated answers the commands of RFC 3501, 6.2: that is behind us.
func (s *session) authenticated(*wire.Command) error { return bad("Already authenticated") }

// maxIDPairs is RFC 2971, 3.3.
const maxIDPairs = 30

// identify answers ID. What the client says of itself is parsed, and not kept.
func (s *session) identify(cmd *wire.Command) error {
	p := wire.NewParser(cmd.Args)
	if p.Peek() != '(' {
		if _, ok, err := p.NString(); err != nil || ok {
			return bad("ID takes a list or NIL")
		}
	} else {
		n := 0
		err := p.List(func() error {
			n++
			_, _, err := p.NString()
			return err
		})
		if err != nil {
			return err
		}
		if n%2 != 0 || n > 2*maxIDPairs {
			return bad("ID takes up to 30 pairs")
		}
	}
	if err := p.End(); err != nil {
		return err
	}
	s.printf("* ID (\"name\" \"balorg\")\r\n")
	return nil
}

func (s *session) namespace(cmd *wire.Command) error {
	if err := noArguments(cmd); err != nil {
		return err
	}
	s.printf("* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n")
	return nil
}
