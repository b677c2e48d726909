package e2e

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// Sizes of TestCrowd.
const (
	crowdSessions = 8
	crowdCommands = 120
)

// view is what a client knows of the selected folder from what it has been told: the UID and flags of each message, by sequence
// number.
type view struct {
	messages []seen
}

type seen struct {
	UID   uint32
	Flags string
}

var (
	countLine = regexp.MustCompile(`^\* (\d+) (EXISTS|EXPUNGE)$`)
	fetchLine = regexp.MustCompile(`(?s)^\* (\d+) FETCH \((.*)\)$`)
	uidItem   = regexp.MustCompile(`UID (\d+)`)
	flagsItem = regexp.MustCompile(`FLAGS \(([^)]*)\)`)
)

// hear takes in untagged responses. An error is something that no server may say.
func (v *view) hear(lines []string) error {
	for _, line := range lines {
		if m := countLine.FindStringSubmatch(line); m != nil {
			if err := v.count(m[1], m[2]); err != nil {
				return err
			}
			continue
		}
		m := fetchLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		n, err := strconv.Atoi(m[1])
		if err != nil || n < 1 || n > len(v.messages) {
			return fmt.Errorf("%q with %d messages", line, len(v.messages))
		}
		at := &v.messages[n-1]
		if uid := uidItem.FindStringSubmatch(m[2]); uid != nil {
			was := at.UID
			if _, err := fmt.Sscan(uid[1], &at.UID); err != nil || was != 0 && was != at.UID {
				return fmt.Errorf("%q of a message known as UID %d", line, was)
			}
		}
		if flags := flagsItem.FindStringSubmatch(m[2]); flags != nil {
			at.Flags = normalFlags(flags[1])
		}
	}
	return nil
}

func (v *view) count(number, what string) error {
	n, err := strconv.Atoi(number)
	switch {
	case err != nil:
		return err
	case what == "EXPUNGE" && (n < 1 || n > len(v.messages)):
		return fmt.Errorf("EXPUNGE of %d with %d messages", n, len(v.messages))
	case what == "EXPUNGE":
		v.messages = slices.Delete(v.messages, n-1, n)
	case n < len(v.messages):
		return fmt.Errorf("EXISTS %d with %d messages", n, len(v.messages))
	default:
		v.messages = append(v.messages, make([]seen, n-len(v.messages))...)
	}
	return nil
}

// normalFlags are flags in order, without \Recent, which is each session's own.
func normalFlags(text string) string {
	flags := slices.DeleteFunc(strings.Fields(text), func(f string) bool { return f == `\Recent` })
	slices.Sort(flags)
	return strings.Join(flags, " ")
}

// member is one session of the crowd.
type member struct {
	c      *client
	folder string   // selected
	others []string // where it copies and moves to
	v      view
	rnd    *rand.Rand
}

// TestCrowd has sessions of several people change the same folders at random, all at once. In the end each one's picture, made of
// nothing but what it was told, is what a fresh session sees.
func TestCrowd(t *testing.T) {
	d := startDemo(t)
	seed := *crowdSeed
	var crowd []*member
	for i := range crowdSessions {
		m := &member{rnd: rand.New(rand.NewPCG(seed, uint64(i)))}
		switch i % 3 {
		case 0:
			m.c, m.folder = login(t, d, noemie), "INBOX"
			m.others = []string{"Archives", shared(noemie, "INBOX")}
		case 1:
			m.c, m.folder = login(t, d, claire), shared(secretariat, "INBOX")
			m.others = []string{shared(urgences, "INBOX"), "INBOX", shared(secretariat, "Archives")}
		default:
			m.c, m.folder = login(t, d, claire), shared(urgences, "INBOX")
			m.others = []string{shared(secretariat, "INBOX"), shared(urgences, "Archives")}
		}
		if err := m.v.hear(m.c.ok("SELECT %q", m.folder).untagged); err != nil {
			t.Fatal(err)
		}
		crowd = append(crowd, m)
	}
	var working sync.WaitGroup
	for i, m := range crowd {
		working.Go(func() {
			for n := range crowdCommands {
				if err := m.step(fmt.Sprintf("crowd-%d-%d@test", i, n)); err != nil {
					t.Errorf("session %d, command %d: %v", i, n, err)
					return
				}
			}
		})
	}
	working.Wait()
	for i, m := range crowd {
		want := fresh(t, d, m.folder, i%3 == 0)
		if err := m.v.hear(m.c.ok("NOOP").untagged); err != nil {
			t.Errorf("session %d: %v", i, err)
		}
		// Of a message that was only counted nothing was told; what was told must hold.
		told := slices.Clone(m.v.messages)
		for n := range told {
			if n < len(want) && told[n].UID == 0 {
				told[n].UID = want[n].UID
			}
			if n < len(want) && told[n].Flags == "" {
				told[n].Flags = want[n].Flags
			}
		}
		if diff := cmp.Diff(want, told, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("session %d sees %s as it is not (-fresh +told):\n%s", i, m.folder, tail(diff))
		}
	}
	if out, err := d.balorg("audit verify"); err != nil {
		t.Errorf("audit verify: %v\n%s", err, out)
	}
}

// fresh answers a folder as a new session sees it.
func fresh(t *testing.T, d *daemon, folder string, asNoemie bool) []seen {
	t.Helper()
	person := claire
	if asNoemie {
		person = noemie
	}
	c := login(t, d, person)
	var v view
	if err := v.hear(c.ok("EXAMINE %q", folder).untagged); err != nil {
		t.Fatal(err)
	}
	if len(v.messages) > 0 {
		if err := v.hear(c.ok("FETCH 1:* (UID FLAGS)").untagged); err != nil {
			t.Fatal(err)
		}
	}
	return v.messages
}

// step does one thing at random and takes in what is said. What is refused because of what the others did is no error.
func (m *member) step(id string) error {
	n := len(m.v.messages)
	some := 1
	if n > 0 {
		some = m.rnd.IntN(n) + 1
	}
	flag := []string{`\Seen`, `\Flagged`, `\Answered`, "$Suivi", `\Deleted`}[m.rnd.IntN(5)]
	var a answer
	switch k := m.rnd.IntN(12); {
	case k < 3:
		a = m.c.append(m.folder, "("+flag+")", message(id, "Foule", 800+m.rnd.IntN(4000)))
		if a.status != "OK" {
			return fmt.Errorf("APPEND: %s", a)
		}
	case n == 0 || k == 3:
		a = m.c.do("NOOP")
	case k < 6:
		a = m.c.do("STORE %d %cFLAGS (%s)", some, "+-"[m.rnd.IntN(2)], flag)
	case k == 6:
		a = m.c.do("UID STORE 1:* +FLAGS (%s)", flag)
	case k == 7:
		a = m.c.do("EXPUNGE")
	case k == 8:
		a = m.c.do("UID COPY %d:* %q", some, m.others[m.rnd.IntN(len(m.others))])
	case k == 9:
		a = m.c.do("MOVE %d %q", some, m.others[m.rnd.IntN(len(m.others))])
	case k == 10:
		a = m.c.do("FETCH %d:%d (UID FLAGS)", some, n)
	default:
		a = m.c.do("FETCH %d (UID BODY[TEXT])", some)
	}
	if a.status == "BAD" {
		return fmt.Errorf("with %d messages: %s", n, a)
	}
	return m.v.hear(a.untagged)
}
