package e2e

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDialogues plays what real clients send, in their words and order, against the embedded store. A dialogue is lines of
//
//	M: FOLDER FLAGS ID   a message there before the client comes
//	C: command           sent, and answered OK before the next line
//	P: command           sent in one packet with the next C, and answered OK, too
//	+: text              behind a non-synchronising literal that ends the line before
//	A: FOLDER FLAGS ID   an APPEND with a synchronising literal
//	I: ID                IDLE, until a message that arrives is told
//	S: pattern           an untagged response to the last command; named groups are kept, and {name} stands for what they held
//	=: pattern           the tagged answer, instead of OK
func TestDialogues(t *testing.T) {
	d := startDemo(t)
	files, err := filepath.Glob("testdata/dialogues/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no dialogues", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			p := &dialogue{t: t, d: d, known: map[string]string{"plain": plain("", address(claire), password(claire))}}
			p.play(name)
		})
	}
	d.checkStore()
}

// dialogue is one that is being played.
type dialogue struct {
	t     *testing.T
	d     *daemon
	c     *client
	known map[string]string

	at      string   // the line of the last command
	waiting []string // commands that go with the next
	said    answer   // what the last command was answered
	wanted  bool     // something was said of its tagged answer
}

func (p *dialogue) play(name string) {
	f, err := os.Open(name)
	if err != nil {
		p.t.Fatal(err)
	}
	defer f.Close() // read only
	lines := bufio.NewScanner(f)
	var next []string // a command, with what follows its literals
	for n := 1; lines.Scan(); n++ {
		kind, text, _ := strings.Cut(lines.Text(), ": ")
		if kind != "+" {
			p.say(next)
			next = nil
		}
		switch {
		case lines.Text() == "" || lines.Text()[0] == '#':
		case kind == "C":
			p.settle()
			p.at = fmt.Sprintf("%s:%d: %s", name, n, text)
			next = []string{text}
		case kind == "+":
			next = append(next, text)
		default:
			p.line(kind, text, fmt.Sprintf("%s:%d: %s", name, n, text))
		}
	}
	p.say(next)
	p.settle()
	if err := lines.Err(); err != nil {
		p.t.Fatal(err)
	}
}

// line plays all lines but those of commands.
func (p *dialogue) line(kind, text, at string) {
	switch kind {
	case "S":
		p.match(text, at)
	case "=":
		p.wanted = true
		if got := p.said.status + " " + p.said.text; !p.pattern("^" + text).MatchString(got) {
			p.t.Errorf("%s\nanswered %s, want %s", p.at, p.said, text)
		}
	case "P":
		p.waiting = append(p.waiting, p.fill(text))
	case "M":
		folder, flags, id := p.three(text)
		login(p.t, p.d, claire).append(folder, flags, message(id, "Bilan", 600))
	case "A":
		p.settle()
		folder, flags, id := p.three(text)
		p.at, p.wanted, p.said = at, false, p.client().append(strings.Trim(folder, `"`), flags, message(id, "Bilan", 600))
	case "I":
		p.settle()
		p.idle(text)
	default:
		p.t.Fatalf("%s: no such line", at)
	}
}

// three takes a line of M or A apart.
func (p *dialogue) three(text string) (folder, flags, id string) {
	folder, rest, _ := strings.Cut(text, " ")
	last := strings.LastIndexByte(rest, ' ')
	if last < 0 {
		p.t.Fatalf("%q: a folder, flags and an id are wanted", text)
	}
	return folder, rest[:last], rest[last+1:]
}

func (p *dialogue) client() *client {
	if p.c == nil {
		p.c = dial(p.t, p.d)
	}
	return p.c
}

// say sends a command with those that were to go with it.
func (p *dialogue) say(parts []string) {
	if len(parts) == 0 {
		return
	}
	c := p.client()
	var packet strings.Builder
	var tags []string
	for _, text := range append(p.waiting, p.fill(strings.Join(parts, "\r\n"))) {
		tags = append(tags, c.tag())
		packet.WriteString(tags[len(tags)-1] + " " + text + "\r\n")
	}
	c.send(packet.String())
	p.said, p.wanted = answer{}, false
	for i, tag := range tags {
		a := c.await(tag)
		if i < len(p.waiting) && a.status != "OK" {
			p.t.Errorf("%s\n%s was answered %s", p.at, p.waiting[i], a)
		}
		a.untagged = append(p.said.untagged, a.untagged...)
		p.said = a
	}
	p.waiting = nil
}

// settle ends a command that nothing was said of.
func (p *dialogue) settle() {
	if !p.wanted && p.said.status != "" && p.said.status != "OK" {
		p.t.Errorf("%s\nanswered %s", p.at, p.said)
	}
	p.said, p.wanted = answer{}, false
}

// match looks for an untagged response and keeps what its named groups held.
func (p *dialogue) match(text, at string) {
	pattern := p.pattern(text)
	for _, line := range p.said.untagged {
		found := pattern.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		for i, name := range pattern.SubexpNames() {
			if name != "" {
				p.known[name] = found[i]
			}
		}
		return
	}
	p.t.Fatalf("%s\n%s\nwas answered\n%s", at, p.at, p.said)
}

func (p *dialogue) pattern(text string) *regexp.Regexp {
	for name, value := range p.known {
		text = strings.ReplaceAll(text, "{"+name+"}", regexp.QuoteMeta(value))
	}
	pattern, err := regexp.Compile(text)
	if err != nil {
		p.t.Fatal(err)
	}
	return pattern
}

func (p *dialogue) fill(text string) string {
	for name, value := range p.known {
		text = strings.ReplaceAll(text, "{"+name+"}", value)
	}
	return text
}

// idle waits in IDLE for a message, which somebody else puts into the selected folder.
func (p *dialogue) idle(id string) {
	c := p.client()
	tag := c.tag()
	c.send(tag + " IDLE\r\n")
	for !strings.HasPrefix(c.line(), "+ ") {
	}
	login(p.t, p.d, claire).append("INBOX", "", message(id, "Bilan", 600))
	for !strings.HasSuffix(c.line(), " EXISTS") {
	}
	c.send("DONE\r\n")
	if a := c.await(tag); a.status != "OK" {
		p.t.Errorf("IDLE: %s", a)
	}
}
