// Package configs reads the files an administrator edits, strictly: every problem of every file is found in one go and
// printed as file:line:column: what (hint: …), so that one look repairs a configuration. It knows YAML and positions, not
// what the keys mean: each package that owns settings declares a struct, and Decode fills it. The annotated examples
// that documentation, tests and the demo use are embedded here as well.
package configs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Pos is a place in a file, counted from one. The zero value is no place; a Pos with only a file is the whole file.
type Pos struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// String is file:line:column as editors and terminals understand it.
func (p Pos) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// IsZero tells whether p names no place at all.
func (p Pos) IsZero() bool { return p == Pos{} }

// Compare orders positions by file, line and column.
func (p Pos) Compare(q Pos) int {
	return cmp.Or(strings.Compare(p.File, q.File), cmp.Compare(p.Line, q.Line), cmp.Compare(p.Column, q.Column))
}

// Problem is one thing to repair in a file. What says what is wrong, Hint what to write instead; a Warning does not
// stop the configuration from being used.
type Problem struct {
	Pos     Pos    `json:"pos"`
	What    string `json:"what"`
	Hint    string `json:"hint,omitempty"`
	Warning bool   `json:"warning,omitempty"`
}

func (p Problem) String() string {
	var b strings.Builder
	if !p.Pos.IsZero() {
		b.WriteString(p.Pos.String())
		b.WriteString(": ")
	}
	if p.Warning {
		b.WriteString("warning: ")
	}
	b.WriteString(p.What)
	if p.Hint != "" {
		b.WriteString(" (hint: ")
		b.WriteString(p.Hint)
		b.WriteString(")")
	}
	return b.String()
}

// Problems are the findings about one configuration. As an error they print one a line; use Err to learn whether they
// forbid using it.
type Problems []Problem

// Add appends a problem; format and args make its What.
func (ps *Problems) Add(at Pos, hint, format string, args ...any) {
	*ps = append(*ps, Problem{Pos: at, What: fmt.Sprintf(format, args...), Hint: hint})
}

// Warn appends a warning; format and args make its What.
func (ps *Problems) Warn(at Pos, hint, format string, args ...any) {
	*ps = append(*ps, Problem{Pos: at, What: fmt.Sprintf(format, args...), Hint: hint, Warning: true})
}

// Sorted answers the problems by file, line and column, each once.
func (ps Problems) Sorted() Problems {
	sorted := slices.Clone(ps)
	slices.SortStableFunc(sorted, func(a, b Problem) int { return a.Pos.Compare(b.Pos) })
	return slices.Compact(sorted)
}

// Err is nil when nothing but warnings was found, else all problems, sorted, as one error.
func (ps Problems) Err() error {
	if !slices.ContainsFunc(ps, func(p Problem) bool { return !p.Warning }) {
		return nil
	}
	return ps.Sorted()
}

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}
