package cli

import (
	"reflect"
	"slices"
	"strings"

	"github.com/effml/effml/deepcompress"
	"github.com/effml/effml/internal/job"
)

// structSchema describes a struct by JSON Schema (draft 2020-12). Names come from the tag called key, descriptions
// from the tag doc; a field without omitempty is required in results.
func structSchema(t reflect.Type, key string) map[string]any {
	properties, required := map[string]any{}, []string{}
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get(key), ",")
		switch {
		case !f.IsExported() && !f.Anonymous, name == "-":
			continue
		case f.Anonymous && name == "": // its fields are ours
			inner := structSchema(f.Type, key)
			for k, v := range inner["properties"].(map[string]any) {
				properties[k] = v
			}
			if r, ok := inner["required"].([]string); ok {
				required = append(required, r...)
			}
			continue
		case name == "":
			name = f.Name
		}
		p := typeSchema(f.Type, key)
		if doc := f.Tag.Get("doc"); doc != "" {
			p["description"] = doc
		}
		properties[name] = p
		if !slices.Contains(strings.Split(options, ","), "omitempty") && key == "json" {
			required = append(required, name)
		}
	}
	s := map[string]any{"type": "object", "properties": properties}
	if len(required) > 0 {
		s["required"] = required
	}
	if key == "yaml" {
		s["additionalProperties"] = false
	}
	return s
}

func typeSchema(t reflect.Type, key string) map[string]any {
	switch t {
	case reflect.TypeFor[job.Float]():
		return map[string]any{"type": []string{"number", "null"}}
	case reflect.TypeFor[deepcompress.Group]():
		return map[string]any{"anyOf": []any{map[string]any{"enum": []string{"tensor", "channel"}}, map[string]any{"type": "integer", "minimum": 16}}}
	case reflect.TypeFor[deepcompress.StringList]():
		return map[string]any{"type": []string{"string", "array"}, "items": map[string]any{"type": "string"}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeSchema(t.Elem(), key)
	case reflect.Struct:
		return structSchema(t, key)
	case reflect.Slice, reflect.Array:
		s := map[string]any{"type": []string{"array", "null"}, "items": typeSchema(t.Elem(), key)}
		return s
	case reflect.Map:
		return map[string]any{"type": []string{"object", "null"}, "additionalProperties": typeSchema(t.Elem(), key)}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Float32, reflect.Float64:
		return map[string]any{"type": "number"}
	}
	return map[string]any{"type": "integer"}
}
