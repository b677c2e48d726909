package order

import (
	"strconv"
	"strings"
	"time"
)

var months = [...]string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}

// zones are those that RFC 5322, 4.3 names; other names say nothing, and mean UTC.
var zones = map[string]int{"est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6, "pst": -8, "pdt": -7}

// SentDate reads the value of a Date field. As RFC 5256, 2.2 wants it, a zone that cannot be read is UTC and a time that cannot is
// midnight; without a day there is no date.
func SentDate(s string) (t time.Time, ok bool) {
	words := dateWords(s)
	// The day of the week stands first, if at all, in whatever language.
	if len(words) > 0 && (words[0][0] < '0' || words[0][0] > '9') {
		words = words[1:]
	}
	if len(words) < 3 {
		return t, false
	}
	day, month, year := number(words[0], 1, 31), monthOf(words[1]), yearOf(words[2])
	if day < 0 || month < 0 || year < 0 {
		return t, false
	}
	t = time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if t.Day() != day { // 31 February
		return time.Time{}, false
	}
	if len(words) < 4 {
		return t, true
	}
	clock, timed := clockOf(words[3])
	if !timed {
		return t, true
	}
	t = t.Add(clock)
	if len(words) > 4 {
		t = t.Add(-zoneOf(words[4]))
	}
	return t, true
}

// dateWords cuts a date at white space and commas, leaving comments out.
func dateWords(s string) []string {
	var buffer [6]string
	words := buffer[:0]
	depth, start := 0, -1
	end := func(i int) {
		if start >= 0 && len(words) < cap(words) {
			words = append(words, s[start:i])
		}
		start = -1
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c == '(':
			end(i)
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth > 0:
		case c == ' ' || c == '\t' || c == ',' || c == '\r' || c == '\n':
			end(i)
		case start < 0:
			start = i
		}
	}
	if depth == 0 {
		end(len(s))
	}
	return words
}

// number reads a number between two; -1: it is none.
func number(s string, from, to int) int {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || int(n) < from || int(n) > to {
		return -1
	}
	return int(n)
}

func monthOf(s string) int {
	for i, name := range months {
		if len(s) >= len(name) && strings.EqualFold(s[:len(name)], name) {
			return i + 1
		}
	}
	return -1
}

// yearOf reads a year; RFC 5322, 4.3 says what those of two and three digits mean.
func yearOf(s string) int {
	n := number(s, 0, 9999)
	switch {
	case n < 0:
		return -1
	case len(s) == 2 && n < 50:
		return n + 2000
	case len(s) == 2 || len(s) == 3:
		return n + 1900
	case len(s) != 4:
		return -1
	}
	return n
}

// clockOf reads hh:mm or hh:mm:ss; some programs write dots.
func clockOf(s string) (time.Duration, bool) {
	separator := ":"
	if !strings.Contains(s, separator) {
		separator = "."
	}
	hour, rest, ok := strings.Cut(s, separator)
	minute, second, seconds := strings.Cut(rest, separator)
	h, m, sec := number(hour, 0, 23), number(minute, 0, 59), 0
	if seconds {
		sec = number(second, 0, 60)
	}
	if !ok || h < 0 || m < 0 || sec < 0 {
		return 0, false
	}
	return time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(sec)*time.Second, true
}

// zoneOf answers how far east of UTC a zone is.
func zoneOf(s string) time.Duration {
	if len(s) == len("+0100") && (s[0] == '+' || s[0] == '-') {
		h, m := number(s[1:3], 0, 23), number(s[3:5], 0, 59)
		if h < 0 || m < 0 {
			return 0
		}
		zone := time.Duration(h)*time.Hour + time.Duration(m)*time.Minute
		if s[0] == '-' {
			zone = -zone
		}
		return zone
	}
	return time.Duration(zones[strings.ToLower(s)]) * time.Hour
}
