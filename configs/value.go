package configs

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Value is a setting that remembers where it was written, for settings that later checks speak of. Decode reads T as if it
// stood there alone.
type Value[T any] struct {
	V   T
	Pos Pos
	Set bool // whether the file names it at all
}

// Or is the value, or otherwise when the file does not name it.
func (v Value[T]) Or(otherwise T) T {
	if v.Set {
		return v.V
	}
	return otherwise
}

// cell is how Decode reaches into any Value without knowing T.
type cell interface {
	place(at Pos) (into any)
}

func (v *Value[T]) place(at Pos) any {
	v.Pos, v.Set = at, true
	return &v.V
}

// OneOrMore is a list that an administrator may write as a single value.
type OneOrMore[T any] []T

// oneOrMore marks the type for Decode.
func (OneOrMore[T]) oneOrMore() {}

// Size is a number of octets, written as 2GB, 25MB, 512KiB or a plain number: KB, MB, GB and TB are powers of 1000, KiB, MiB,
// GiB and TiB powers of 1024.
type Size int64

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(text []byte) error {
	digits := strings.TrimRight(string(text), "KMGTiB")
	unit, ok := sizeUnit(string(text[len(digits):]))
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	switch {
	case !ok, err != nil && !errors.Is(err, strconv.ErrRange):
		return fmt.Errorf("%q is not a size; write 500MB or 2GB", text)
	case err != nil, n > math.MaxInt64/unit:
		return fmt.Errorf("size %s is too large", text)
	case n < 0:
		return fmt.Errorf("size %s is negative", text)
	}
	*s = Size(n * unit)
	return nil
}

func sizeUnit(name string) (int64, bool) {
	switch name {
	case "", "B":
		return 1, true
	case "KB":
		return 1e3, true
	case "MB":
		return 1e6, true
	case "GB":
		return 1e9, true
	case "TB":
		return 1e12, true
	case "KiB":
		return 1 << 10, true
	case "MiB":
		return 1 << 20, true
	case "GiB":
		return 1 << 30, true
	case "TiB":
		return 1 << 40, true
	}
	return 0, false
}

// String is the size as a file would have it, in the largest unit that keeps it whole.
func (s Size) String() string {
	for _, unit := range []string{"TB", "TiB", "GB", "GiB", "MB", "MiB", "KB", "KiB"} {
		octets, _ := sizeUnit(unit)
		if s != 0 && int64(s)%octets == 0 {
			return strconv.FormatInt(int64(s)/octets, 10) + unit
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// Day is the day of durations in files: 24 hours, whatever the clocks do.
const Day = 24 * time.Hour

// ParseDuration reads what Go's time.ParseDuration reads (5m, 1h30m), and whole days (30d) and weeks (2w). A duration in a
// file is never negative.
func ParseDuration(text string) (time.Duration, error) {
	for suffix, unit := range map[string]time.Duration{"d": Day, "w": 7 * Day} {
		days, ok := strings.CutSuffix(text, suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("%q is not a duration; write 30s, 5m, 12h or 30d", text)
		}
		return time.Duration(n) * unit, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration; write 30s, 5m, 12h or 30d", text)
	}
	if d < 0 {
		return 0, fmt.Errorf("duration %s is negative", text)
	}
	return d, nil
}
