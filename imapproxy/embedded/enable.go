package embedded

import (
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"balorg/imapproxy/wire"
)

// enableable are the capabilities that change what the client is sent, each with what switches it on.
var enableable = map[string]func(*session){
	"CONDSTORE": (*session).useCondStore,
	"QRESYNC":   (*session).useQResync,
	utf8Accept:  (*session).useUTF8,
	imap4rev2:   (*session).useRev2,
}

// The capabilities that have names in UTF-8.
const (
	utf8Accept = "UTF8=ACCEPT"
	imap4rev2  = "IMAP4rev2"
)

// enable answers ENABLE (RFC 5161).
func (s *session) enable(cmd *wire.Command) error {
	p := wire.NewParser(cmd.Args)
	var enabled []string
	for {
		word, err := p.Word()
		if err != nil {
			return err
		}
		if strings.EqualFold(word, imap4rev2) {
			word = imap4rev2
		}
		if enableable[word] != nil && !slices.Contains(enabled, word) {
			enabled = append(enabled, word)
		}
		if !p.Take(' ') {
			break
		}
	}
	if err := p.End(); err != nil {
		return err
	}
	if s.view != nil && slices.ContainsFunc(enabled, changesNames) { // RFC 9755, 3
		return bad("This is enabled before a mailbox is selected")
	}
	s.printf("* %s\r\n", strings.Join(append([]string{"ENABLED"}, enabled...), " "))
	for _, name := range enabled {
		enableable[name](s)
	}
	return nil
}

func changesNames(capability string) bool { return capability == utf8Accept || capability == imap4rev2 }

// useUTF8 makes the client one that reads UTF-8 in quoted strings, and writes it (RFC 6855; RFC 9755).
func (s *session) useUTF8() { s.utf8, s.naming = true, wire.UTF8 }

// useRev2 makes the client one of IMAP4rev2 (RFC 9051, appendices A and E).
func (s *session) useRev2() { s.rev2, s.naming = true, wire.UTF8 }

// checkCharset refuses the charset of a search whose client has said already that all it writes is UTF-8 (RFC 9755, 3, and erratum 4029 of RFC
// 6855, by which commands that have to name one name UTF-8).
func (s *session) checkCharset(charset string, needed bool) error {
	if !s.utf8 || !needed && charset == "" || needed && charset == "UTF-8" {
		return nil
	}
	return bad("Everything is UTF-8 here")
}

// checkNew refuses a name in UTF-8 that is not composed as Net-Unicode wants it (RFC 9051, 5.1): made so, it would be another than the client says.
func (s *session) checkNew(name string) error {
	if s.naming == wire.UTF8 && !norm.NFC.IsNormalString(name) {
		return no("CANNOT", "Mailbox name is not in Unicode Normalization Form C")
	}
	return nil
}
