package cli

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/effml/effml/dataset"
	"github.com/effml/effml/deepcompress"
	"github.com/effml/effml/internal/job"
)

// schemaOf describes a struct by JSON Schema (draft 2020-12). Names come from the tag called key (json or yaml),
// descriptions from the tag doc; in results a field without omitempty is required, in documents an unknown key is an error.
func schemaOf(t reflect.Type, key string) map[string]any {
	d := &describer{key: key, defs: map[string]any{}}
	s := d.object(t)
	if len(d.defs) > 0 {
		s["$defs"] = d.defs
	}
	return s
}

// describer collects the structs that a schema refers to.
type describer struct {
	key  string
	defs map[string]any
}

func (d *describer) object(t reflect.Type) map[string]any {
	properties, required := map[string]any{}, []string{}
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get(d.key), ",")
		switch {
		case !f.IsExported() && !f.Anonymous, name == "-":
			continue
		case f.Anonymous && name == "": // its fields are ours
			inner := d.object(f.Type)
			maps.Copy(properties, inner["properties"].(map[string]any))
			if r, ok := inner["required"].([]string); ok {
				required = append(required, r...)
			}
			continue
		case name == "":
			name = f.Name
		}
		p := d.value(f.Type)
		if doc := f.Tag.Get("doc"); doc != "" {
			p["description"] = doc
		}
		properties[name] = p
		if d.key == "json" && !slices.Contains(strings.Split(options, ","), "omitempty") {
			required = append(required, name)
		}
	}
	s := map[string]any{"type": "object", "properties": properties}
	if len(required) > 0 {
		s["required"] = required
	}
	if d.key == "yaml" {
		s["additionalProperties"] = false
	}
	return s
}

// value describes a field. Structs are referred to, for a struct can hold itself.
func (d *describer) value(t reflect.Type) map[string]any {
	switch t {
	case reflect.TypeFor[job.Float]():
		return map[string]any{"type": []string{"number", "null"}}
	case reflect.TypeFor[deepcompress.Group]():
		return map[string]any{"anyOf": []any{map[string]any{"enum": []string{"tensor", "channel"}}, map[string]any{"type": "integer", "minimum": 16}}}
	case reflect.TypeFor[dataset.Number]():
		return map[string]any{"type": []string{"number", "string"}}
	case reflect.TypeFor[deepcompress.StringList]():
		return map[string]any{"type": []string{"string", "array"}, "items": map[string]any{"type": "string"}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return d.value(t.Elem())
	case reflect.Struct:
		if _, known := d.defs[t.Name()]; !known {
			d.defs[t.Name()] = nil // stands for it while it is being described
			d.defs[t.Name()] = d.object(t)
		}
		return map[string]any{"$ref": "#/$defs/" + t.Name()}
	case reflect.Slice, reflect.Array:
		return map[string]any{"type": []string{"array", "null"}, "items": d.value(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": []string{"object", "null"}, "additionalProperties": d.value(t.Elem())}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Float32, reflect.Float64:
		return map[string]any{"type": "number"}
	}
	return map[string]any{"type": "integer"}
}
