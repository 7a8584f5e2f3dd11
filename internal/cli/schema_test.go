package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/effml/effml/configs"
	"github.com/effml/effml/deepcompress"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/onnx"
)

// conform checks v against the part of JSON Schema that schemaOf writes, and that no property is unknown to it. Root
// is the schema that references lead into.
func conform(path string, v any, s, root map[string]any) error {
	if ref, ok := s["$ref"].(string); ok {
		def, found := root["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
		if !found {
			return fmt.Errorf("%s: %s leads nowhere", path, ref)
		}
		return conform(path, v, def, root)
	}
	if alternatives, ok := s["anyOf"].([]any); ok {
		for _, alternative := range alternatives {
			if conform(path, v, alternative.(map[string]any), root) == nil {
				return nil
			}
		}
		return fmt.Errorf("%s: %v fits no alternative", path, v)
	}
	if list, ok := s["enum"].([]any); ok {
		for _, e := range list {
			if e == v {
				return nil
			}
		}
		return fmt.Errorf("%s: %v is not among %v", path, v, list)
	}
	if err := conformType(path, v, s["type"]); err != nil {
		return err
	}
	switch v := v.(type) {
	case map[string]any:
		properties, _ := s["properties"].(map[string]any)
		required, _ := s["required"].([]any)
		for _, r := range required {
			if _, found := v[r.(string)]; !found {
				return fmt.Errorf("%s.%v is required", path, r)
			}
		}
		for k, e := range v {
			p, found := properties[k].(map[string]any)
			if !found {
				if p, found = s["additionalProperties"].(map[string]any); !found {
					return fmt.Errorf("%s.%s is not in the schema", path, k)
				}
			}
			if err := conform(path+"."+k, e, p, root); err != nil {
				return err
			}
		}
	case []any:
		for i, e := range v {
			if err := conform(fmt.Sprintf("%s.%d", path, i), e, s["items"].(map[string]any), root); err != nil {
				return err
			}
		}
	}
	return nil
}

func conformType(path string, v, want any) error {
	got := map[reflect.Kind]string{
		reflect.Map: "object", reflect.Slice: "array", reflect.String: "string", reflect.Bool: "boolean", reflect.Float64: "number", reflect.Invalid: "null",
	}[reflect.ValueOf(v).Kind()]
	types, isList := want.([]any)
	if !isList {
		types = []any{want}
	}
	for _, t := range types {
		if n, _ := v.(float64); t == got || t == "integer" && got == "number" && n == math.Trunc(n) {
			return nil
		}
	}
	return fmt.Errorf("%s: %v is %s, want %v", path, v, got, want)
}

func loadSchema(t *testing.T, name string) map[string]any {
	t.Helper()
	code, out, stderr := runMain(t, "schema", name)
	if code != 0 {
		t.Fatalf("schema %s: code %d: %s", name, code, stderr)
	}
	var s map[string]any
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func checkJSON(t *testing.T, schema string, text []byte) {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v in %s", schema, err, text)
	}
	if got := v.(map[string]any)["schema"]; got != schema {
		t.Errorf("schema is %v, want %s", got, schema)
	}
	s := loadSchema(t, schema)
	if err := conform("$", v, s, s); err != nil {
		t.Errorf("%s: %v", schema, err)
	}
}

// smallModel writes y = x·W + b with 600 weights and returns its path.
func smallModel(t *testing.T) string {
	t.Helper()
	tensor := func(name string, dims ...int64) *onnx.Tensor {
		n := int64(1)
		for _, d := range dims {
			n *= d
		}
		w := make([]float32, n)
		for i := range w {
			w[i] = float32(math.Sin(float64(i * i)))
		}
		raw := make([]byte, 4*n)
		onnx.PutFloats(raw, onnx.Float, w)
		t := &onnx.Tensor{Name: name, DataType: onnx.Float, Dims: dims}
		t.SetBytes(raw)
		return t
	}
	value := func(name string) *onnx.ValueInfo {
		return &onnx.ValueInfo{Name: name, Type: &onnx.TypeProto{Tensor: &onnx.TensorType{ElemType: onnx.Float}}}
	}
	m := &onnx.Model{
		IRVersion: 8, OpsetImports: []*onnx.OperatorSet{{Version: 17}},
		Graph: &onnx.Graph{
			Name: "g", Inputs: []*onnx.ValueInfo{value("x")}, Outputs: []*onnx.ValueInfo{value("y")},
			Nodes:        []*onnx.Node{{Name: "fc", OpType: "Gemm", Inputs: []string{"x", "w", "b"}, Outputs: []string{"y"}}},
			Initializers: []*onnx.Tensor{tensor("w", 30, 20), tensor("b", 20)},
		},
	}
	path := filepath.Join(t.TempDir(), "m.onnx")
	if _, err := onnx.Save(path, m, onnx.SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	return path
}

// What the commands print conforms to the schema that the program prints.
func TestResultsConformToSchemas(t *testing.T) {
	path := smallModel(t)
	archive := strings.TrimSuffix(path, ".onnx") + ".effml"
	for _, args := range [][]string{
		{"compress", path, "--report", path + ".html", "--max-size", "1MB"},
		{"decompress", archive, "-o", path + ".back.onnx"},
		{"verify", archive, "--against", path},
		{"inspect", path},
		{"inspect", archive, "--report", path + ".inspect.html"},
		{"diff", path, archive},
	} {
		code, out, stderr := runMain(t, append(args, "--json", "-")...)
		if code != 0 {
			t.Errorf("%v: code %d: %s", args, code, stderr)
			continue
		}
		checkJSON(t, "effml."+args[0]+"/v1", []byte(out))
	}
	_, out, _ := runMain(t, "version", "--json")
	checkJSON(t, versionSchema, []byte(out))
}

// The presets are plans, so they conform to the schema of plans; a plan with a mistake does not.
func TestPresetsConformToPlanSchema(t *testing.T) {
	schema := loadSchema(t, "plan")
	for _, name := range configs.Presets() {
		text, err := configs.Preset(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := conform(name, yamlToJSON(t, text), schema, schema); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"rules: [{metod: uniform}]", "rules: {}", "effort: lots", "rules: [{group: 7x}]"} {
		if conform("$", yamlToJSON(t, []byte(bad)), schema, schema) == nil {
			t.Errorf("%q conforms", bad)
		}
	}
}

func yamlToJSON(t *testing.T, text []byte) (v any) {
	t.Helper()
	if err := yaml.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// A schema must list every field of its struct, whatever is embedded.
func TestStructSchemaOfEmbedded(t *testing.T) {
	s := schemaOf(reflect.TypeFor[deepcompress.Result](), "json")
	properties := s["properties"].(map[string]any)
	for _, name := range []string{"schema", "wall_s", "ratio", "bytes", "tensors", "gates"} {
		if properties[name] == nil {
			t.Errorf("no property %s", name)
		}
	}
	if _, err := encodeJSON(struct{ X float64 }{math.NaN()}); err == nil {
		t.Error("NaN became JSON")
	}
	text, err := encodeJSON(struct {
		X job.Float `json:"x"`
		S string    `json:"s"`
	}{job.Float(math.NaN()), "<&>"})
	if err != nil || !bytes.Contains(text, []byte(`"x": null`)) || !bytes.Contains(text, []byte(`"<&>"`)) {
		t.Errorf("got %s, %v", text, err)
	}
}
