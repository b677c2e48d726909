package relay

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"balorg/mail"
	"balorg/smtp/wire"
)

// check settles the recipients that the next hop cannot be given the message for. Its error is that of reading the message.
func (t *transaction) check() error {
	ext, from := t.c.ext, t.m.Sender
	if ext.maxSize > 0 && t.m.Size > ext.maxSize {
		t.settleAll(Failed, wire.NewReply(552, "5.3.4", "The message has %d octets, and the next hop takes %d", t.m.Size, ext.maxSize))
		return nil
	}
	if from.Body == wire.BodyBinary && (!ext.binary || !ext.chunking || t.m.Size == 0) {
		t.settleAll(Failed, wire.NewReply(554, "5.6.3", "The message is binary, which the next hop does not take"))
		return nil
	}
	var header, body bool
	if from.Body == wire.Body8Bit && !ext.eightBit || from.UTF8 && !ext.utf8 {
		var err error
		if header, body, err = t.eightBit(); err != nil {
			return err
		}
	}
	if !ext.utf8 { // RFC 6531, 3.2
		for i := range t.to {
			if from.UTF8 && header || !isASCII(from.Address) || !isASCII(t.to[i].Address) {
				t.settle(i, Failed, wire.NewReply(553, "5.6.7", "The message needs SMTPUTF8, which the next hop does not take"))
			}
		}
	}
	if from.Body == wire.Body8Bit && !ext.eightBit && (header || body) { // RFC 6152, 3
		t.settleAll(Failed, wire.NewReply(554, "5.6.3", "The message needs 8BITMIME, which the next hop does not take"))
	}
	return nil
}

// eightBit tells whether the header, and whether the body, has octets that are not ASCII. Clients announce 8BITMIME whatever they send.
func (t *transaction) eightBit() (header, body bool, err error) {
	content, err := t.m.Open()
	if err != nil {
		return false, false, err
	}
	defer content.Close() //nolint:errcheck // it was only read
	in := bufio.NewReader(content)
	inHeader, start := true, true
	for {
		line, err := in.ReadSlice('\n')
		whole := err == nil
		if inHeader && start && strings.TrimRight(string(line), "\r\n") == "" {
			inHeader = false
		}
		start = whole
		for _, c := range line {
			if c > unicode.MaxASCII {
				header, body = header || inHeader, body || !inHeader
				break
			}
		}
		switch {
		case errors.Is(err, io.EOF), body:
			return header, body, nil
		case !whole && !errors.Is(err, bufio.ErrBufferFull):
			return false, false, err
		}
	}
}

func isASCII(a mail.Address) bool {
	return !strings.ContainsFunc(string(a), func(r rune) bool { return r > unicode.MaxASCII })
}

// commands are the lines up to the message.
func (t *transaction) commands(rcpts []int, chunked bool) []string {
	all := []string{t.mail(rcpts)}
	for _, i := range rcpts {
		all = append(all, t.rcpt(t.to[i]))
	}
	if !chunked {
		all = append(all, "DATA\r\n")
	}
	return all
}

func (t *transaction) mail(rcpts []int) string {
	ext, from := t.c.ext, t.m.Sender
	line := fmt.Appendf(nil, "MAIL FROM:<%s>", from.Address)
	if ext.sized && t.m.Size > 0 {
		line = strconv.AppendInt(append(line, " SIZE="...), t.m.Size, 10)
	}
	switch {
	case from.Body == wire.Body8Bit && ext.eightBit:
		line = append(line, " BODY=8BITMIME"...)
	case from.Body == wire.BodyBinary:
		line = append(line, " BODY=BINARYMIME"...)
	}
	utf8 := from.UTF8 || !isASCII(from.Address)
	for _, i := range rcpts {
		utf8 = utf8 || !isASCII(t.to[i].Address)
	}
	if utf8 && ext.utf8 {
		line = append(line, " SMTPUTF8"...)
	}
	if ext.dsn {
		if from.Return != "" {
			line = fmt.Appendf(line, " RET=%s", from.Return)
		}
		if from.EnvID != "" {
			line = wire.AppendXText(append(line, " ENVID="...), from.EnvID)
		}
	}
	return string(append(line, "\r\n"...))
}

func (t *transaction) rcpt(to wire.Recipient) string {
	line := fmt.Appendf(nil, "RCPT TO:<%s>", to.Address)
	if t.c.ext.dsn {
		if to.Notify != 0 {
			line = append(append(line, " NOTIFY="...), notify(to.Notify)...)
		}
		if kind, address, ok := strings.Cut(to.Original, ";"); ok {
			line = append(append(line, " ORCPT="...), kind+";"...)
			if kind == "utf-8" {
				line = wire.AppendUTF8Address(line, address)
			} else {
				line = wire.AppendXText(line, address)
			}
		}
	}
	return string(append(line, "\r\n"...))
}

func notify(n wire.Notify) string {
	if n&wire.NotifyNever != 0 {
		return "NEVER"
	}
	var words []string
	for _, word := range []struct {
		bit  wire.Notify
		text string
	}{{wire.NotifySuccess, "SUCCESS"}, {wire.NotifyFailure, "FAILURE"}, {wire.NotifyDelay, "DELAY"}} {
		if n&word.bit != 0 {
			words = append(words, word.text)
		}
	}
	return strings.Join(words, ",")
}
