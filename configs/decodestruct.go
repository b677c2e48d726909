package configs

import (
	"iter"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// pairs yields the keys of a block and what stands under them, each key once.
func (d *decoder) pairs(n *yaml.Node, key string) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(*yaml.Node, *yaml.Node) bool) {
		if empty(n) {
			return
		}
		if n.Kind != yaml.MappingNode {
			d.add(n, "", "%s is %s; it must be a block of keys", key, kindName(n))
			return
		}
		first := make(map[string]Pos, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			name, content := n.Content[i], n.Content[i+1]
			if name.Kind != yaml.ScalarNode {
				d.add(name, "", "a key of %s is %s; it must be a single word", key, kindName(name))
				continue
			}
			if pos, seen := first[name.Value]; seen {
				d.add(name, "", "%s stands twice in %s; first at line %d", name.Value, key, pos.Line)
				continue
			}
			first[name.Value] = d.at(name)
			if !yield(name, content) {
				return
			}
		}
	}
}

type field struct {
	value    reflect.Value
	required bool
	positive bool
}

// structure reads a block of known keys.
func (d *decoder) structure(n *yaml.Node, v reflect.Value, key string) {
	fields := map[string]field{}
	collect(v, d.at(n), fields)
	named := map[string]bool{}
	for name, content := range d.pairs(n, key) {
		named[name.Value] = true
		known, ok := fields[name.Value]
		if !ok {
			d.add(name, didYouMean(name.Value, fields), "unknown key %q in %s", name.Value, key)
			continue
		}
		before := len(d.problems)
		d.value(content, known.value, name.Value)
		if known.positive && known.value.IsZero() && len(d.problems) == before {
			d.add(content, "leave the key out for the default", "%s is 0; it must be more", name.Value)
		}
	}
	if n.Kind != yaml.MappingNode && !empty(n) {
		return
	}
	for _, name := range sortedKeys(fields) {
		if fields[name].required && !named[name] {
			d.add(n, "", "%s has no %s", key, name)
		}
	}
}

// collect finds the keys of a struct and gives it its position.
func collect(v reflect.Value, at Pos, into map[string]field) {
	for i := range v.NumField() {
		what := v.Type().Field(i)
		switch tag, options, _ := strings.Cut(what.Tag.Get("yaml"), ","); {
		case what.Type == posType && what.IsExported():
			v.Field(i).Set(reflect.ValueOf(at))
		case what.Anonymous && tag == "" && what.Type.Kind() == reflect.Struct:
			collect(v.Field(i), at, into)
		case tag != "" && tag != "-":
			into[tag] = field{value: v.Field(i), required: options == "required", positive: options == "positive"}
		}
	}
}

func sortedKeys(fields map[string]field) []string {
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// didYouMean is the hint for a key nobody knows: the known key that looks most like it, else all of them.
func didYouMean(key string, fields map[string]field) string {
	names := sortedKeys(fields)
	if near, ok := Nearest(key, names); ok {
		return "did you mean " + near + "?"
	}
	return "known keys: " + strings.Join(names, ", ")
}

// Nearest answers the candidate that one would most likely have meant by word: it differs in at most a third of its
// letters, hyphens, underscores and case left aside.
func Nearest(word string, candidates []string) (string, bool) {
	best, least := "", len(word)/3+1
	for _, candidate := range candidates {
		if d := distance(fold(word), fold(candidate)); d < least {
			best, least = candidate, d
		}
	}
	return best, best != ""
}

func fold(s string) []rune {
	return []rune(strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(s)))
}

// distance counts the letters to insert, drop, change or swap with their neighbour (Damerau and Levenshtein, restricted)
// to turn a into b.
func distance(a, b []rune) int {
	before, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range a {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range b {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			row[j+1] = min(last[j]+change, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
