// Package document reads YAML documents strictly: a key that the document does not have is an error with its line and a
// suggestion.
package document

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/effml/effml/internal/job"
)

// Decode reads data, which must be exactly one document, into the struct that v points to. Errors name lines and keys.
func Decode(data []byte, v any) error {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(v); errors.Is(err, io.EOF) {
		return errors.New("the file is empty")
	} else if err != nil {
		return explain(err, v)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("more than one YAML document")
	}
	return nil
}

// unknownField is how yaml.v3 reports a key that the document does not have.
var unknownField = regexp.MustCompile(`^line (\d+): field (.+) not found in type (\S+)$`)

// explain speaks of keys where the decoder speaks of Go's fields and types.
func explain(err error, v any) error {
	var te *yaml.TypeError
	if !errors.As(err, &te) {
		return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	keys := map[string][]string{}
	collect(reflect.TypeOf(v), keys)
	lines := make([]string, len(te.Errors))
	for i, e := range te.Errors {
		lines[i] = e
		if m := unknownField.FindStringSubmatch(e); m != nil {
			lines[i] = fmt.Sprintf("line %s: unknown key %q%s", m[1], m[2], job.Hint(m[2], keys[m[3]]))
		}
	}
	return errors.New(strings.Join(lines, "; "))
}

// collect notes the keys of a struct and of all that it holds, under the names of their types.
func collect(t reflect.Type, keys map[string][]string) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		collect(t.Elem(), keys)
	case reflect.Struct:
		if keys[t.String()] != nil {
			return
		}
		keys[t.String()] = []string{}
		for f := range t.Fields() {
			if !f.IsExported() {
				continue
			}
			key, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if key == "" && options != "inline" {
				key = strings.ToLower(f.Name)
			}
			if key != "-" {
				collect(f.Type, keys)
			}
			switch {
			case options == "inline":
				keys[t.String()] = append(keys[t.String()], keys[f.Type.String()]...)
			case key != "-":
				keys[t.String()] = append(keys[t.String()], key)
			}
		}
	}
}

// Place begins each line of an error that names a place in a document, such as "solver.groups[0].match: …", with the line where that stands
// in data. The place may be of something that the document leaves out; then the nearest that holds it counts.
func Place(data []byte, err error) error {
	var doc yaml.Node
	if yaml.Unmarshal(data, &doc) != nil || len(doc.Content) == 0 {
		return err
	}
	lines := map[string]int{}
	number(doc.Content[0], "", lines)
	out := strings.Split(err.Error(), "\n")
	for i, text := range out {
		place, _, found := strings.Cut(text, ":")
		for found {
			if line := lines[place]; line > 0 {
				out[i] = fmt.Sprintf("line %d: %s", line, text)
				break
			}
			at := strings.LastIndexAny(place, ".[")
			if found = at > 0; found {
				place = place[:at]
			}
		}
	}
	return errors.New(strings.Join(out, "\n"))
}

// number notes the lines of all that a node holds, by their places.
func number(n *yaml.Node, place string, lines map[string]int) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			inner := strings.TrimPrefix(place+"."+n.Content[i].Value, ".")
			lines[inner] = n.Content[i].Line
			number(n.Content[i+1], inner, lines)
		}
	case yaml.SequenceNode:
		for i, e := range n.Content {
			inner := fmt.Sprintf("%s[%d]", place, i)
			lines[inner] = e.Line
			number(e, inner, lines)
		}
	}
}
