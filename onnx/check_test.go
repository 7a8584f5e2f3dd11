package onnx_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/effml/effml/internal/modelgen"
	"github.com/effml/effml/onnx"
)

// breakages each break one rule of a good model. python tells whether onnx.checker sees it too, which then has to.
var breakages = []struct {
	name    string
	spoil   func(m *onnx.Model)
	problem string
	python  bool
}{
	{"nothing", func(*onnx.Model) {}, "", false},
	{"old IR", func(m *onnx.Model) { m.IRVersion = 2 }, "IR version 2 is older than 3\n" + `tensor "w": an initializer must be an input too before IR version 4`, true},
	{"new IR", func(m *onnx.Model) { m.IRVersion = 15 }, "IR version 15 is newer than 14, the newest known", true},
	{"no imports", func(m *onnx.Model) { m.OpsetImports = nil }, "no operator set is imported\n" + `node "add": operator Add is of the domain "ai.onnx", which is not imported`, true},
	{"two versions", func(m *onnx.Model) {
		m.OpsetImports = append(m.OpsetImports, &onnx.OperatorSet{Domain: "ai.onnx", Version: 20})
	}, `the model imports operator set "" as version 21 and 20`, false},
	{"no version", func(m *onnx.Model) { m.OpsetImports = append(m.OpsetImports, &onnx.OperatorSet{Domain: "x"}) }, `the model imports operator set "x" without a version`, false},
	{"metadata", func(m *onnx.Model) { m.Metadata = []*onnx.StringEntry{{Key: "k"}, {Key: "k"}} }, `metadata key "k" occurs twice`, true},
	{"no graph", func(m *onnx.Model) { m.Graph = nil }, "there is no graph", true},
	{"graph name", func(m *onnx.Model) { m.Graph.Name = "" }, "graph has no name", true},
	{"domain", func(m *onnx.Model) { m.Graph.Nodes[0].Domain = "com.example" }, `node "add": operator Add is of the domain "com.example", which is not imported`, true},
	{"operator", func(m *onnx.Model) { m.Graph.Nodes[0].OpType = "" }, `node "add": has no operator`, true},
	{"dangling", func(m *onnx.Model) { m.Graph.Nodes[0].Inputs[1] = "v" }, `node "add": tensor "v": is read, but nothing makes it`, true},
	{"order", func(m *onnx.Model) {
		m.Graph.Nodes = append([]*onnx.Node{{OpType: "Relu", Inputs: []string{"y"}, Outputs: []string{"z"}}}, m.Graph.Nodes...)
	}, `node "Relu_0": tensor "y": is read before node "add" makes it`, true},
	{"twice made", func(m *onnx.Model) {
		m.Graph.Nodes = append(m.Graph.Nodes, &onnx.Node{OpType: "Relu", Inputs: []string{"x"}, Outputs: []string{"y"}})
	}, `node "Relu_1": tensor "y": is made a second time`, true},
	{"made input", func(m *onnx.Model) {
		m.Graph.Nodes = append(m.Graph.Nodes, &onnx.Node{OpType: "Relu", Inputs: []string{"y"}, Outputs: []string{"w"}})
	}, `node "Relu_1": tensor "w": is made a second time`, true},
	{"two inputs", func(m *onnx.Model) { m.Graph.Inputs = append(m.Graph.Inputs, m.Graph.Inputs[0]) }, `tensor "x": graph has two inputs of this name`, true},
	{"input name", func(m *onnx.Model) {
		m.Graph.Inputs = append(m.Graph.Inputs, &onnx.ValueInfo{Type: m.Graph.Inputs[0].Type})
	}, "graph: an input has no name", true},
	{"input type", func(m *onnx.Model) { m.Graph.Inputs = append(m.Graph.Inputs, &onnx.ValueInfo{Name: "q"}) }, `tensor "q": graph: an input has no type`, true},
	{"output", func(m *onnx.Model) { m.Graph.Outputs[0].Name = "q" }, `tensor "q": graph gives this output, but nothing makes it`, true},
	{"two outputs", func(m *onnx.Model) { m.Graph.Outputs = append(m.Graph.Outputs, m.Graph.Outputs[0]) }, `tensor "y": graph gives this output twice`, false},
	{"two initializers", func(m *onnx.Model) { m.Graph.Initializers = append(m.Graph.Initializers, m.Graph.Initializers[0]) }, `tensor "w": graph has two initializers of this name`, true},
	{"initializer name", func(m *onnx.Model) {
		w := *m.Graph.Initializers[0]
		w.Name = ""
		m.Graph.Initializers = append(m.Graph.Initializers, &w)
	}, "graph has an initializer without a name", true},
	{"bytes", func(m *onnx.Model) { m.Graph.Initializers[0].Dims[0] = 3 }, `tensor "w": 24 bytes of values where [3 3] of FLOAT takes 36`, false},
	{"negative", func(m *onnx.Model) { m.Graph.Initializers[0].Dims[0] = -2 }, `tensor "w": dimension -2 is negative`, false},
	{"no type", func(m *onnx.Model) { m.Graph.Initializers[0].DataType = 0 }, `tensor "w": has no known type: UNDEFINED`, true},
	{"new type", func(m *onnx.Model) { m.Graph.Initializers[0].DataType = 99 }, `tensor "w": has no known type: DataType(99)`, false},
	{"attribute name", func(m *onnx.Model) { attribute(m, onnx.Attribute{Type: onnx.AttributeInt}) }, `node "add": has an attribute without a name`, true},
	{"attribute type", func(m *onnx.Model) { attribute(m, onnx.Attribute{Name: "a"}) }, `node "add": attribute "a" has no type`, true},
	{"attribute value", func(m *onnx.Model) { attribute(m, onnx.Attribute{Name: "a", Type: onnx.AttributeInt, F: 2}) }, `node "add": attribute "a" of type INT has a value in f`, true},
	{"attribute nil", func(m *onnx.Model) { attribute(m, onnx.Attribute{Name: "a", Type: onnx.AttributeTensor}) }, `node "add": attribute "a" of type TENSOR has no value`, true},
	{"attribute reference", func(m *onnx.Model) {
		attribute(m, onnx.Attribute{Name: "a", Type: onnx.AttributeInt, RefAttrName: "b"})
	}, `node "add": attribute "a" refers to attribute "b", which only a function can`, true},
	{"two attributes", func(m *onnx.Model) {
		a := onnx.Attribute{Name: "a", Type: onnx.AttributeInts}
		attribute(m, a)
		attribute(m, a)
	}, `node "add": has two attributes "a"`, true},
	{"attribute tensor", func(m *onnx.Model) {
		w := *m.Graph.Initializers[0]
		w.Dims, w.Name = []int64{7}, "inner"
		attribute(m, onnx.Attribute{Name: "a", Type: onnx.AttributeTensors, Tensors: []*onnx.Tensor{&w}})
	}, `node "add": tensor "inner": 24 bytes of values where [7] of FLOAT takes 28`, false},
	{"sub-graphs", func(m *onnx.Model) {
		inner := &onnx.Graph{Nodes: []*onnx.Node{{OpType: "Relu", Inputs: []string{"late"}, Outputs: []string{"w"}}}}
		attribute(m, onnx.Attribute{Name: "a", Type: onnx.AttributeGraphs, Graphs: []*onnx.Graph{inner}})
		m.Graph.Nodes = append(m.Graph.Nodes, &onnx.Node{OpType: "Relu", Inputs: []string{"x"}, Outputs: []string{"late"}})
	}, "graph/add.a[0] has no name\n" +
		`node "graph/add.a[0]/Relu_0": tensor "late": is read, but nothing makes it` + "\n" +
		`node "graph/add.a[0]/Relu_0": tensor "w": is made a second time`, true},
	{"sparse", func(m *onnx.Model) { m.Graph.SparseInitializers = []*onnx.SparseTensor{{}} }, "a sparse tensor has no values or no indices", true},
}

func attribute(m *onnx.Model, a onnx.Attribute) {
	m.Graph.Nodes[0].Attributes = append(m.Graph.Nodes[0].Attributes, &a)
}

func problems(m *onnx.Model) string {
	var lines []string
	for _, p := range onnx.Check(m) {
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n")
}

func TestCheck(t *testing.T) {
	for _, c := range breakages {
		m := smallModel()
		c.spoil(m)
		if got := problems(m); got != c.problem {
			t.Errorf("%s:\n%s\nwant:\n%s", c.name, got, c.problem)
		}
	}
}

// What onnx.checker finds wrong is no invention of ours, and the good model is good.
func TestCheckAgainstPython(t *testing.T) {
	if os.Getenv("EFFML_PYTHON") == "" {
		t.Skip("no $EFFML_PYTHON with the package onnx")
	}
	dir, paths := t.TempDir(), []string{}
	for i, c := range breakages {
		m := smallModel()
		c.spoil(m)
		var file bytes.Buffer
		if _, err := m.WriteTo(&file); err != nil {
			continue // values of a wrong size are not written
		}
		paths = append(paths, put(t, filepath.Join(dir, fmt.Sprint(i)), file.String()))
	}
	out := python(t, `
import sys, json, onnx
result = {}
for path in sys.argv[1:]:
    try: onnx.checker.check_model(onnx.load(path)); result[path] = ""
    except Exception as e: result[path] = str(e)
json.dump(result, sys.stdout)
`, paths...)
	var verdicts map[string]string
	if err := json.Unmarshal([]byte(out), &verdicts); err != nil {
		t.Fatal(err)
	}
	for i, c := range breakages {
		verdict, ok := verdicts[filepath.Join(dir, fmt.Sprint(i))]
		if ok && (verdict != "") != c.python {
			t.Errorf("%s: onnx.checker says %q", c.name, verdict)
		}
	}
}

func TestCheckFunctions(t *testing.T) {
	function := func() *onnx.Function {
		return &onnx.Function{
			Name: "F", Domain: "d", Inputs: []string{"a"}, Outputs: []string{"b"}, Attributes: []string{"k"},
			AttributeProtos: []*onnx.Attribute{{Name: "l", Type: onnx.AttributeInt}},
			OpsetImports:    []*onnx.OperatorSet{{Version: 21}},
			Nodes: []*onnx.Node{{OpType: "Op", Inputs: []string{"a"}, Outputs: []string{"b"}, Attributes: []*onnx.Attribute{
				{Name: "x", Type: onnx.AttributeInt, RefAttrName: "k"}, {Name: "y", Type: onnx.AttributeInt, RefAttrName: "l"},
			}}},
		}
	}
	for _, c := range []struct {
		spoil func(f *onnx.Function)
		want  string
	}{
		{func(*onnx.Function) {}, ""},
		{func(f *onnx.Function) { f.Name = "" }, "a function has no name"},
		{func(f *onnx.Function) { f.OpsetImports = nil }, `node "function:F/Op_0": operator Op is of the domain "ai.onnx", which is not imported`},
		{func(f *onnx.Function) { f.Nodes[0].Inputs[0] = "x" }, `node "function:F/Op_0": tensor "x": is read, but nothing makes it`},
		{func(f *onnx.Function) { f.Outputs[0] = "c" }, `tensor "c": function:F gives this output, but nothing makes it`},
		{func(f *onnx.Function) { f.Inputs = []string{"a", "a"} }, `function:F has two inputs "a"`},
		{func(f *onnx.Function) { f.Attributes[0] = "z" }, `node "function:F/Op_0": attribute "x" refers to attribute "k", which the function does not have`},
		{func(f *onnx.Function) { f.Nodes[0].Attributes[0].I = 4 }, `node "function:F/Op_0": attribute "x" of type INT has a value in i`},
	} {
		m, f := smallModel(), function()
		c.spoil(f)
		m.Functions = []*onnx.Function{f}
		if got := problems(m); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
	m := smallModel()
	m.Functions = []*onnx.Function{function(), function()}
	if got, want := problems(m), `function:F of domain "d" is defined twice`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	m.Functions[1].Overload = "other"
	if got := problems(m); got != "" {
		t.Error(got)
	}
}

func TestCheckTensors(t *testing.T) {
	for want, fields := range map[string]string{
		"":                                  lp(8, "w") + vi(1, 1) + vi(2, 2) + lp(9, "a"),
		"has values in more than one field": lp(8, "w") + vi(1, 1) + vi(2, 1) + lp(4, "abcd") + lp(9, "efgh"),
		"1 strings where shape [2] has 2":   lp(8, "w") + vi(1, 2) + vi(2, 8) + lp(6, "a"),
		`external data "../x": the location leaves the model's folder`:        lp(8, "w") + vi(1, 1) + vi(2, 1) + vi(14, 1) + lp(13, lp(1, "location"), lp(2, "../x")),
		`external data "": no location is given`:                              lp(8, "w") + vi(1, 1) + vi(2, 1) + vi(14, 1),
		"external data of 5 bytes where [1] of FLOAT takes 4":                 lp(8, "w") + vi(1, 1) + vi(2, 1) + vi(14, 1) + lp(13, lp(1, "location"), lp(2, "x")) + lp(13, lp(1, "length"), lp(2, "5")),
		"int32_data is not a list of numbers: byte 0: unexpected EOF":         lp(8, "w") + vi(1, 1) + vi(2, 2) + lp(5, "\x80"),
		"values of type FLOAT are stored in double_data":                      lp(8, "w") + vi(1, 1) + vi(2, 1) + lp(10, "12345678"),
		"shape [4611686018427387904 4] has more elements than can be counted": lp(8, "w") + vi(1, 1<<62) + vi(1, 4) + vi(2, 1) + lp(9, "a"),
	} {
		m := decode(t, vi(1, 8)+lp(7, lp(2, "g"), lp(5, fields))+lp(8, vi(2, 17)))
		if want != "" {
			want = `tensor "w": ` + want
		}
		if got := problems(m); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	m := modelOf(streamed())
	m.Graph.Initializers[1].Name = "s"
	if got, want := problems(m), `tensor "s": a stream of 1 bytes where [2] of UINT8 takes 2`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestCheckSparse(t *testing.T) {
	for want, s := range map[string]*onnx.SparseTensor{
		"":                                    sparse([]int64{10}, []int64{3}, 0, 4, 9),
		" ":                                   sparse([]int64{2, 5}, []int64{3, 2}, 0, 1, 0, 4, 1, 0),
		"index 10 of value 1 is not below 10": sparse([]int64{10}, []int64{2}, 0, 10),
		"index -1 of value 0 is not below 10": sparse([]int64{10}, []int64{1}, -1),
		"index 5 of value 0 is not below 5":   sparse([]int64{2, 5}, []int64{1, 2}, 1, 5),
		"the index of value 1 does not come after the one before":   sparse([]int64{10}, []int64{2}, 3, 3),
		"1 values of rank 2 have indices of shape [1 3]":            sparse([]int64{2, 5}, []int64{1, 3}, 0, 0, 0),
		"shape [-1] is impossible":                                  sparse([]int64{-1}, []int64{1}, 0),
		"the index of value 1 does not come after the one before  ": sparse([]int64{2, 5}, []int64{2, 2}, 1, 0, 0, 4),
	} {
		m := smallModel()
		m.Graph.SparseInitializers = []*onnx.SparseTensor{s}
		want = strings.TrimSpace(want)
		if want != "" {
			want = `tensor "s": sparse: ` + want
		}
		if got := problems(m); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	s := sparse([]int64{10}, []int64{1}, 0)
	s.Indices.DataType = onnx.Uint64
	s.Values.Dims = []int64{1, 1}
	m := smallModel()
	m.Graph.SparseInitializers = []*onnx.SparseTensor{s}
	if got, want := problems(m), `tensor "s": sparse: values have shape [1 1], not one dimension`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	s.Values.Dims = []int64{1}
	if got, want := problems(m), `tensor "s": sparse: indices are of type UINT64, not INT64`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func sparse(dims, shape []int64, indices ...int64) *onnx.SparseTensor {
	values := &onnx.Tensor{Name: "s", DataType: onnx.Uint8, Dims: shape[:1]}
	values.SetBytes(make([]byte, shape[0]))
	at := &onnx.Tensor{DataType: onnx.Int64, Dims: shape}
	var raw []byte
	for _, x := range indices {
		for i := range 8 {
			raw = append(raw, byte(x>>(8*i)))
		}
	}
	at.SetBytes(raw)
	return &onnx.SparseTensor{Values: values, Indices: at, Dims: dims}
}

// Every one of many problems is reported.
func TestCheckReportsAll(t *testing.T) {
	m := smallModel()
	m.IRVersion, m.Graph.Name = 99, ""
	m.Graph.Nodes[0].Domain, m.Graph.Nodes[0].Inputs[0] = "x", "q"
	m.Graph.Initializers[0].Dims = []int64{1}
	want := `IR version 99 is newer than 14, the newest known
graph has no name
tensor "w": 24 bytes of values where [1] of FLOAT takes 4
node "add": tensor "q": is read, but nothing makes it
node "add": operator Add is of the domain "x", which is not imported`
	if got := problems(m); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func BenchmarkCheck(b *testing.B) {
	m := modelgen.Generate(1, 1)[0]
	for b.Loop() {
		onnx.Check(m)
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		onnx.Float8E8M0.String():                  "FLOAT8E8M0",
		onnx.DataType(-1).String():                "DataType(-1)",
		onnx.AttributeType(77).String():           "AttributeType(77)",
		onnx.StorageUint64.String():               "uint64_data",
		onnx.Storage(99).String():                 "Storage(99)",
		onnx.SparseIndices.String():               "sparse-indices",
		onnx.DataType(99).TypedStorage().String(): "none",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if onnx.Complex64.IsFloat() || !onnx.Float6E2M3.IsFloat() || onnx.DataType(99).IsFloat() || onnx.Uint2.Bits() != 2 {
		t.Error("what is a float, or its bits, is wrong")
	}
}
