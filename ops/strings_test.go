package ops

import (
	"slices"
	"testing"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

func TestStrings(t *testing.T) {
	cpu := newTestCPU(t)
	text := func(name, v string) *onnx.Attribute {
		return &onnx.Attribute{Name: name, Type: onnx.AttributeString, S: []byte(v)}
	}
	column := tensor.FromStrings([]string{"a", "β"}, 2, 1)
	row := tensor.FromStrings([]string{"x", "", "z"}, 3)
	lines := tensor.FromStrings([]string{" one  two three ", "", "a,b"}, 3)
	for name, c := range map[string]struct {
		op    string
		attrs []*onnx.Attribute
		in    []*tensor.Tensor
		want  []string
	}{
		"concat":   {"StringConcat", nil, []*tensor.Tensor{column, row}, []string{"ax", "a", "az", "βx", "β", "βz"}},
		"words":    {"StringSplit", nil, []*tensor.Tensor{lines}, []string{"one", "two", "three", "", "", "", "a,b", "", ""}},
		"maxsplit": {"StringSplit", []*onnx.Attribute{intAttr("maxsplit", 1)}, []*tensor.Tensor{lines}, []string{"one", "two three", "", "", "a,b", ""}},
		"comma":    {"StringSplit", []*onnx.Attribute{text("delimiter", ",")}, []*tensor.Tensor{lines}, []string{" one  two three ", "", "", "", "a", "b"}},
	} {
		out, err := apply(t, cpu, c.op, c.attrs, 1, c.in...)
		if err != nil || !slices.Equal(out[0].Strings(), c.want) {
			t.Errorf("%s: %q, %v, want %q", name, out[0].Strings(), err, c.want)
		}
	}
	out, err := apply(t, cpu, "RegexFullMatch", []*onnx.Attribute{text("pattern", "a|a,b")}, 1, lines)
	if err != nil || !slices.Equal(tensor.Of[bool](out[0]), []bool{false, false, true}) {
		t.Errorf("matches %v, %v", out, err)
	}
	if _, err := apply(t, cpu, "RegexFullMatch", []*onnx.Attribute{text("pattern", "(")}, 1, lines); err == nil {
		t.Error("a broken pattern passes")
	}
}
