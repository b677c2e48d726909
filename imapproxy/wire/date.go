package wire

import (
	"strings"
	"time"
)

// The forms of date-time and date (RFC 3501, 9). A day below 10 has a space before it in the first.
const (
	dateTimeForm = "_2-Jan-2006 15:04:05 -0700"
	dateForm     = "2-Jan-2006"
)

// dateTimeLength is that of "17-Jul-1996 02:44:25 -0700".
const dateTimeLength = 26

// DateTime reads a quoted date with time and zone and answers it as it was written, without quotes. Its value is checked.
func (p *Parser) DateTime() (string, error) {
	s, err := p.Quoted()
	if err != nil {
		return "", err
	}
	if _, err := ParseDateTime(s); err != nil {
		return "", err
	}
	return s, nil
}

// ParseDateTime reads "17-Jul-1996 02:44:25 -0700".
func ParseDateTime(s string) (time.Time, error) {
	t, err := time.Parse(dateTimeForm, s)
	if err != nil || len(s) != dateTimeLength {
		return time.Time{}, syntax("Date is not valid")
	}
	return t, nil
}

// AppendDateTime appends t as a quoted date with time and zone.
func AppendDateTime(dst []byte, t time.Time) []byte {
	return append(t.AppendFormat(append(dst, '"'), dateTimeForm), '"')
}

// Date reads a date, quoted or not.
func (p *Parser) Date() (time.Time, error) {
	s, err := p.AString()
	if err != nil {
		return time.Time{}, err
	}
	t, err := time.Parse(dateForm, strings.TrimPrefix(s, " "))
	if err != nil {
		return time.Time{}, syntax("Date is not valid")
	}
	return t, nil
}
