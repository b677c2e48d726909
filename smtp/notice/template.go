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

// Templates are the texts of notices in each language.
type Templates struct{ byLanguage map[string]*template.Template }

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

// LoadTemplates reads fr.txt and en.txt of an administrator's folder; one that is not there is the program's own. An empty folder means
// none. Every text is tried, so that a mistake in it is told here and not when somebody is to be notified.
func LoadTemplates(folder string) (*Templates, configs.Problems) {
	t := &Templates{make(map[string]*template.Template)}
	var problems configs.Problems
	names := FileNames()
	if folder != "" {
		own, err := filepath.Glob(filepath.Join(folder, "*.txt"))
		if err == nil && len(own) == 0 {
			err = fmt.Errorf("the folder %s holds neither %s", folder, strings.Join(names, " nor "))
		}
		if err != nil {
			problems.Add(configs.Pos{File: folder}, "", "%v", err)
		}
		for _, path := range own {
			if !slices.Contains(names, filepath.Base(path)) {
				problems.Add(configs.Pos{File: path}, strings.Join(names, " or "), "no language has a template of this name")
			}
		}
	}
	for i, language := range languages {
		path := filepath.Join(folder, names[i])
		text, err := os.ReadFile(path)
		if folder == "" || errors.Is(err, os.ErrNotExist) {
			path = "templates/" + names[i]
			text, err = fs.ReadFile(builtIn, path)
		}
		if err != nil {
			problems.Add(configs.Pos{File: path}, "", "%v", err)
			continue
		}
		if t.byLanguage[language], err = parse(text); err != nil {
			problems.Add(configs.Pos{File: path}, "the first line is Subject: …, the second empty; fields are .Label, .Count and .Link", "%v", err)
		}
	}
	return t, problems
}

// FileNames are the names of the files that an administrator's folder may hold.
func FileNames() []string {
	var all []string
	for _, l := range languages {
		all = append(all, l+".txt")
	}
	return all
}

// parse reads a template and tries it.
func parse(text []byte) (*template.Template, error) {
	if len(text) > maxText || !utf8.Valid(text) {
		return nil, fmt.Errorf("the template is longer than %d octets, or not UTF-8", maxText)
	}
	t, err := template.New("notice").Parse(strings.ReplaceAll(string(text), "\r\n", "\n"))
	if err != nil {
		return nil, err
	}
	for _, f := range []Facts{{"Label", 1, ""}, {"Label", 1, "https://example.org/"}, {"Label", 2, ""}, {"Label", 2, "https://example.org/"}} {
		if _, _, err := render(t, f); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// textError is a fault of a template.
type textError struct{ err error }

func (e *textError) Error() string { return e.err.Error() }
func (e *textError) Unwrap() error { return e.err }

var errShape = errors.New("the text does not begin with a line Subject: … and an empty line, or says nothing after them")

// render answers subject and body; lines of the body end in a line feed.
func render(t *template.Template, f Facts) (subject, body string, err error) {
	f.Label = oneLine(f.Label)
	return execute(t, f)
}

func execute(t *template.Template, facts any) (subject, body string, err error) {
	var b bytes.Buffer
	if err := t.Execute(&limited{&b}, facts); err != nil {
		return "", "", &textError{fmt.Errorf("template: %w", err)}
	}
	first, rest, _ := strings.Cut(b.String(), "\n")
	subject, ok := strings.CutPrefix(first, "Subject: ")
	body, separated := strings.CutPrefix(rest, "\n")
	body = strings.TrimSpace(body)
	subject = strings.TrimSpace(subject)
	if !ok || !separated || subject == "" || body == "" || subject != oneLine(subject) || strings.ContainsFunc(body, forbidden) {
		return "", "", &textError{errShape}
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

// of answers the text in a language, or in the other.
func (t *Templates) of(language, otherwise string) *template.Template {
	for _, l := range append([]string{language, otherwise}, languages[:]...) {
		if text := t.byLanguage[l]; text != nil {
			return text
		}
	}
	return nil
}
