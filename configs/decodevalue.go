package configs

import (
	"encoding"
	"reflect"
	"strconv"
	"time"

	"go.yaml.in/yaml/v4"
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	posType      = reflect.TypeFor[Pos]()
)

// value reads n into v; key is what messages call it.
func (d *decoder) value(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind == yaml.AliasNode {
		return // reported already
	}
	switch into := v.Addr().Interface().(type) {
	case cell:
		d.value(n, reflect.ValueOf(into.place(d.at(n))).Elem(), key)
		return
	case encoding.TextUnmarshaler:
		if text, ok := d.scalar(n, key, "a single value"); ok {
			if err := into.UnmarshalText([]byte(text)); err != nil {
				d.add(n, "", "%s: %v", key, err)
			}
		}
		return
	case interface{ oneOrMore() }:
		if n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			d.value(n, v.Index(0), key)
			return
		}
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v, key)
	case reflect.Slice:
		d.list(n, v, key)
	case reflect.Map:
		d.dictionary(n, v, key)
	default:
		d.plain(n, v, key)
	}
}

// scalar answers the text of a single value. Numbers and truth values are texts too: an identifier of digits alone stays as it
// was written.
func (d *decoder) scalar(n *yaml.Node, key, want string) (string, bool) {
	switch {
	case n.Kind != yaml.ScalarNode:
		d.add(n, "", "%s is %s; it must be %s", key, kindName(n), want)
		return "", false
	case n.Tag == "!!null":
		d.add(n, "remove the key, or write a value after the colon", "%s has no value", key)
		return "", false
	}
	return n.Value, true
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a block of keys"
	case yaml.SequenceNode:
		return "a list"
	default:
		return "a single value"
	}
}

func (d *decoder) plain(n *yaml.Node, v reflect.Value, key string) {
	if v.Type() == durationType {
		if text, ok := d.scalar(n, key, "a duration"); ok {
			duration, err := ParseDuration(text)
			if err != nil {
				d.add(n, "", "%s: %v", key, err)
				return
			}
			v.SetInt(int64(duration))
		}
		return
	}
	switch v.Kind() {
	case reflect.String:
		if text, ok := d.scalar(n, key, "a text"); ok {
			v.SetString(text)
		}
	case reflect.Bool:
		d.boolean(n, v, key)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		d.integer(n, v, key)
	case reflect.Float64:
		if text, ok := d.scalar(n, key, "a number"); ok {
			number, err := strconv.ParseFloat(text, 64)
			if err != nil || number != number || number < 0 {
				d.add(n, "", "%s: %q is not a positive number", key, text)
				return
			}
			v.SetFloat(number)
		}
	default:
		// A programming error, met by the first test that decodes the struct.
		panic("configs: no way to read a setting into " + v.Type().String())
	}
}

func (d *decoder) boolean(n *yaml.Node, v reflect.Value, key string) {
	text, ok := d.scalar(n, key, "true or false")
	if !ok {
		return
	}
	switch text {
	case "true", "false":
		v.SetBool(text == "true")
	default:
		d.add(n, "write true or false", "%s: %q is neither true nor false", key, text)
	}
}

func (d *decoder) integer(n *yaml.Node, v reflect.Value, key string) {
	text, ok := d.scalar(n, key, "a whole number")
	if !ok {
		return
	}
	number, err := strconv.ParseInt(text, 10, v.Type().Bits())
	// A leading zero means octal to one reader of YAML and decimal to another. All settings count something, so that
	// none is negative.
	if err != nil || text[0] == '+' || text[0] == '-' || (len(text) > 1 && text[0] == '0') {
		d.add(n, "", "%s: %q is not a whole number in range", key, text)
		return
	}
	v.SetInt(number)
}

// empty tells whether n stands for an empty block or list, so that all its entries may be commented out.
func empty(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func (d *decoder) list(n *yaml.Node, v reflect.Value, key string) {
	if empty(n) {
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.add(n, "start each entry with \"- \"", "%s is %s; it must be a list", key, kindName(n))
		return
	}
	entries := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, entry := range n.Content {
		d.value(entry, entries.Index(i), "an entry of "+key)
	}
	v.Set(entries)
}

func (d *decoder) dictionary(n *yaml.Node, v reflect.Value, key string) {
	entries := reflect.MakeMapWithSize(v.Type(), len(n.Content)/2)
	for name, content := range d.pairs(n, key) {
		entry := reflect.New(v.Type().Elem()).Elem()
		d.value(content, entry, name.Value)
		entries.SetMapIndex(reflect.ValueOf(name.Value).Convert(v.Type().Key()), entry)
	}
	v.Set(entries)
}
