package notice

import (
	"math/rand/v2"
	"net/mail"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

var countIn = regexp.MustCompile(`(\d+) nouveaux messages sont|Un nouveau message est`)

// TestNothingLost: whatever comes when, and however often the daemon ends, the notices tell of as many messages as there were, and no two
// come within the rest.
func TestNothingLost(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			f := newFixture(t)
			random := rand.New(rand.NewPCG(seed, 0))
			received := 0
			for range 60 {
				switch random.IntN(4) {
				case 0, 1:
					n := 1 + random.IntN(3)
					f.receive(sec, n)
					received += n
				case 2:
					f.restart()
				}
				f.after(time.Duration(random.IntN(8)) * time.Minute)
				if random.IntN(2) == 0 {
					f.drain()
				}
			}
			for range 3 {
				f.drain()
				f.after(15 * time.Minute)
			}
			f.drain()
			told := 0
			var last time.Time
			for _, n := range f.hop.left() {
				match := countIn.FindStringSubmatch(n.octets)
				if match == nil {
					t.Fatalf("a notice without a count: %q", n.octets)
				}
				if count, err := strconv.Atoi(match[1]); err == nil {
					told += count
				} else {
					told++
				}
				m, err := mail.ReadMessage(strings.NewReader(n.octets))
				if err != nil {
					t.Fatal(err)
				}
				at, err := m.Header.Date()
				if err != nil || at.Sub(last) < 15*time.Minute {
					t.Errorf("a notice at %s, after one at %s: %v", at, last, err)
				}
				last = at
			}
			if told != received || f.rows() != 0 {
				t.Errorf("told of %d messages of %d; %d rows are left", told, received, f.rows())
			}
		})
	}
}
