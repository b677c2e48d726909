package embedded

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"balorg/imapproxy/wire"
	"balorg/store/mailbox"
	"balorg/store/mailbox/structure"
)

// What is stored of a message's structure is RFC 3501's, to which a part of type message/global (RFC 6532, 3.7) is one like any other. RFC 9051, 7.5.2 and
// RFC 9755, 6 tell of the message in it as of one in message/rfc822. Such parts are rare: whoever may be told that much has the message read anew.

// lookIntoGlobal reads the message anew where it has such a part, its client knows what is in one, and an item asks for structure.
func (s *source) lookIntoGlobal(size int64) error {
	if s.f.naming != wire.UTF8 || s.f.want&mailbox.WantStructure == 0 || !holdsGlobal(s.detail.BodyStructure) {
		return nil
	}
	if err := s.open(); err != nil {
		return err
	}
	parser := structure.NewParser(structure.Limits{Global: true})
	buf := s.f.buffer()
	defer s.f.srv.buffers.Put(buf)
	if _, err := io.CopyBuffer(parser, io.NewSectionReader(s.reader, 0, size), *buf); err != nil {
		return fmt.Errorf("read a message anew: %w", err)
	}
	s.detail = s.detail.With(parser.Finish())
	return nil
}

// holdsGlobal tells whether a BODYSTRUCTURE has a part of type message/global.
func holdsGlobal(structure []byte) bool {
	const main, sub, between = `"message`, `global"`, `" "`
	for at := 0; ; {
		i := bytes.Index(structure[at:], []byte(between))
		if i < 0 {
			return false
		}
		before, after := structure[:at+i], structure[at+i+len(between):]
		if len(before) >= len(main) && len(after) >= len(sub) &&
			strings.EqualFold(string(before[len(before)-len(main):]), main) && strings.EqualFold(string(after[:len(sub)]), sub) {
			return true
		}
		at += i + 1
	}
}
