package notice

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"unicode"
	"unicode/utf8"

	"balorg/configs"
)

//go:embed templates/*.txt
var builtIn embed.FS

// languages are those there are texts for. The first is the platform's unless the configuration says otherwise.
var languages = [...]string{"fr", "en"}

// Facts are all that a template knows.
type Facts struct {
	Label string // of the mailbox
	Count int    // of new messages, at least 1
	Link  string // where people read their mail; may be empty
}

// Templates are the texts of notices and letters in each language.
type Templates struct {
	texts map[Letter]map[string]*template.Template
}

// notices is the kind of the texts of notices; the others are letters.
const notices Letter = ""

// kinds are those there are texts of.
func kinds() []Letter { return []Letter{notices, Invitation, Reminder, Inactive} }

// fileName is where the text of a kind stands in a language.
func fileName(kind Letter, language string) string {
	if kind == notices {
		return language + ".txt"
	}
	return string(kind) + "." + language + ".txt"
}

// maxText bounds a template and what it makes.
const maxText = 64 << 10

// DefaultTemplates are those that come with the program.
func DefaultTemplates() *Templates {
	t, problems := LoadTemplates("")
	if len(problems) > 0 { // a test holds that there are none
		panic(problems.Error())
	}
	return t
}

// LoadTemplates reads the texts of an administrator's folder; one that is not there is the program's own. An empty folder means none. Every text
// is tried, so that a mistake in it is told here and not when somebody is to be written to.
func LoadTemplates(folder string) (*Templates, configs.Problems) {
	t := &Templates{make(map[Letter]map[string]*template.Template)}
	problems := checkFolder(folder)
	for _, kind := range kinds() {
		t.texts[kind] = make(map[string]*template.Template)
		for _, language := range languages {
			name := fileName(kind, language)
			path := filepath.Join(folder, name)
			text, err := os.ReadFile(path)
			if folder == "" || errors.Is(err, os.ErrNotExist) {
				path = "templates/" + name
				text, err = fs.ReadFile(builtIn, path)
			}
			if err != nil {
				problems.Add(configs.Pos{File: path}, "", "%v", err)
				continue
			}
			parsed, fault := parse(kind, string(text))
			if fault != nil {
				problems.Add(configs.Pos{File: path, Line: fault.line, Column: fault.column}, kind.hint(), "%v", fault.err)
				continue
			}
			t.texts[kind][language] = parsed
		}
	}
	return t, problems
}

// checkFolder finds files that nobody reads: a text under a wrong name would be thought to be in use.
func checkFolder(folder string) (problems configs.Problems) {
	if folder == "" {
		return nil
	}
	names := FileNames()
	own, err := filepath.Glob(filepath.Join(folder, "*.txt"))
	if err == nil && len(own) == 0 {
		err = fmt.Errorf("the folder %s holds none of %s", folder, strings.Join(names, ", "))
	}
	if err != nil {
		problems.Add(configs.Pos{File: folder}, "", "%v", err)
	}
	for _, path := range own {
		if !slices.Contains(names, filepath.Base(path)) {
			problems.Add(configs.Pos{File: path}, strings.Join(names, ", "), "no text has this name")
		}
	}
	return problems
}

// FileNames are the names of the files that an administrator's folder may hold.
func FileNames() []string {
	var all []string
	for _, kind := range kinds() {
		for _, l := range languages {
			all = append(all, fileName(kind, l))
		}
	}
	return all
}

func (l Letter) hint() string {
	if l == notices {
		return "the first line is Subject: …, the second empty; fields are .Label, .Count and .Link"
	}
	return "the first line is Subject: …, the second empty; fields are .Name, .Address and .Link"
}

// needsLink tells of letters that are of no use without their link.
func (l Letter) needsLink() bool { return l == Invitation || l == Reminder }

// trials are what a text of a kind is tried with.
func (l Letter) trials() []any {
	if l == notices {
		return []any{Facts{"Label", 1, ""}, Facts{"Label", 1, trialLink}, Facts{"Label", 2, ""}, Facts{"Label", 2, trialLink}}
	}
	all := []any{letterFacts{"Name", "name@example.org", trialLink}}
	if !l.needsLink() {
		all = append(all, letterFacts{"Name", "name@example.org", ""})
	}
	return all
}

// trialLink is as long as a real one.
const trialLink = "https://example.org/activation/ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// fault is what is wrong with a text, and where.
type fault struct {
	line, column int // from 1
	err          error
}

// parse reads a template and tries it.
func parse(kind Letter, text string) (*template.Template, *fault) {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if len(text) > maxText {
		return nil, &fault{1, 1, fmt.Errorf("the template is longer than %d octets", maxText)}
	}
	for i, r := range text {
		if _, size := utf8.DecodeRuneInString(text[i:]); r == utf8.RuneError && size == 1 {
			return nil, at(text, i, errors.New("this is not UTF-8"))
		}
		if forbidden(r) {
			return nil, at(text, i, fmt.Errorf("the control character %U", r))
		}
	}
	t, err := template.New("text").Parse(text)
	if err != nil {
		return nil, where(text, err)
	}
	for _, facts := range kind.trials() {
		_, body, err := execute(t, facts)
		switch {
		case errors.Is(err, errSubject):
			return nil, &fault{1, 1, err}
		case errors.Is(err, errSecondLine):
			return nil, &fault{2, 1, err}
		case errors.Is(err, errNoBody):
			return nil, &fault{3, 1, err}
		case err != nil:
			return nil, where(text, err)
		case kind.needsLink() && !strings.Contains(body, trialLink):
			return nil, &fault{3, 1, errors.New("the text does not hold the link by which people choose their password: {{.Link}}")}
		}
	}
	return t, nil
}

// at is a fault at an octet of a text.
func at(text string, octet int, err error) *fault {
	before := text[:min(octet, len(text))]
	line := before[strings.LastIndexByte(before, '\n')+1:]
	return &fault{1 + strings.Count(before, "\n"), 1 + utf8.RuneCountInString(line), err}
}

// where finds the place in what the library says: "template: text:LINE: …" of a template that cannot be read, and "template: text:LINE:COLUMN: …
// executing …", the column in octets from 0, of one that fails.
func where(text string, err error) *fault {
	said := strings.TrimPrefix(err.Error(), "template: text:")
	number, rest, _ := strings.Cut(said, ":")
	if what, began, ok := strings.Cut(rest, " started at text:"); ok { // the number is that of the text's end
		number, rest = began, what
	}
	line, bad := strconv.Atoi(number)
	if bad != nil || line < 1 {
		return &fault{1, 1, err}
	}
	begin := 0
	for range line - 1 {
		begin += strings.IndexByte(text[begin:], '\n') + 1
	}
	if number, message, ok := strings.Cut(rest, ":"); ok {
		if column, bad := strconv.Atoi(number); bad == nil {
			message = strings.TrimPrefix(strings.TrimSpace(message), `executing "text" at `)
			message, _, _ = strings.Cut(message, " in type notice.")
			return at(text, begin+column, errors.New(message))
		}
	}
	return at(text, begin+culprit(text, begin), errors.New(strings.TrimSpace(rest)))
}

// culprit is the first action of a line with which the text cannot be read, as an octet of the line.
func culprit(text string, begin int) int {
	line, _, _ := strings.Cut(text[begin:], "\n")
	for i := 0; ; {
		open := strings.Index(line[i:], "{{")
		if open < 0 {
			return max(0, strings.LastIndex(line, "{{"))
		}
		end := strings.Index(line[i+open:], "}}")
		if end < 0 {
			return i + open
		}
		_, err := template.New("text").Parse(text[:begin+i+open+end+len("}}")])
		if err != nil && !strings.Contains(err.Error(), "unexpected EOF") {
			return i + open
		}
		i += open + end
	}
}

// textError is a fault of a template.
type textError struct{ err error }

func (e *textError) Error() string { return e.err.Error() }
func (e *textError) Unwrap() error { return e.err }

// What is wrong with the shape of a text.
var (
	errSubject    = errors.New("the text does not begin with a line Subject: …")
	errSecondLine = errors.New("the second line is not empty")
	errNoBody     = errors.New("the text says nothing after its subject")
)

// render answers subject and body; lines of the body end in a line feed.
func render(t *template.Template, f Facts) (subject, body string, err error) {
	f.Label = oneLine(f.Label)
	return execute(t, f)
}

func execute(t *template.Template, facts any) (subject, body string, err error) {
	var b bytes.Buffer
	if err := t.Execute(&limited{&b}, facts); err != nil {
		return "", "", &textError{err}
	}
	first, rest, _ := strings.Cut(b.String(), "\n")
	subject, ok := strings.CutPrefix(first, "Subject: ")
	subject = strings.TrimSpace(subject)
	body, separated := strings.CutPrefix(rest, "\n")
	body = strings.TrimSpace(body)
	switch {
	case !ok || subject == "" || subject != oneLine(subject):
		err = errSubject
	case !separated:
		err = errSecondLine
	case body == "" || strings.ContainsFunc(body, forbidden):
		err = errNoBody
	}
	if err != nil {
		return "", "", &textError{err}
	}
	return subject, body + "\n", nil
}

// forbidden tells of characters that have no place in a text.
func forbidden(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }

// oneLine makes spaces of what would break a line.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
}

// limited takes maxText octets.
type limited struct{ *bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > maxText {
		return 0, fmt.Errorf("the text is longer than %d octets", maxText)
	}
	return l.Buffer.Write(p)
}

// of answers the text of a kind in a language, or in the other.
func (t *Templates) of(kind Letter, language, otherwise string) *template.Template {
	for _, l := range append([]string{language, otherwise}, languages[:]...) {
		if text := t.texts[kind][l]; text != nil {
			return text
		}
	}
	return nil
}
