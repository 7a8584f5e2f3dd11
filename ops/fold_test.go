package ops

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/effml/effml/internal/rewrite"
	"github.com/effml/effml/internal/rewrite/rewritetest"
	"github.com/effml/effml/onnx"
)

func floatTensor(name string, dt onnx.DataType, dims []int64, v ...float32) *onnx.Tensor {
	raw := make([]byte, len(v)*dt.Bits()/8)
	onnx.PutFloats(raw, dt, v)
	return rewrite.NewTensor(name, dt, dims, raw)
}

// intTensor packs integers of any width, 4 bits included.
func intTensor(name string, dt onnx.DataType, dims []int64, v ...int64) *onnx.Tensor {
	width := dt.Bits()
	raw := make([]byte, (len(v)*width+7)/8)
	for i, n := range v {
		if width == 4 {
			raw[i/2] |= byte(n&15) << (4 * (i % 2))
			continue
		}
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], uint64(n))
		copy(raw[i*width/8:(i+1)*width/8], b[:])
	}
	return rewrite.NewTensor(name, dt, dims, raw)
}

func count(n int) []int64 {
	v := make([]int64, n)
	for i := range v {
		v[i] = int64(i)
	}
	return v
}

func ramp(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(i-n/2) * 0.37
	}
	return v
}

// single returns a model of one node over initializers, whose output Y has the given type and shape.
func single(opset int64, node *onnx.Node, dt onnx.DataType, dims []int64, in ...*onnx.Tensor) *onnx.Model {
	node.Name, node.Outputs = "N", []string{"Y"}
	for _, t := range in {
		node.Inputs = append(node.Inputs, t.Name)
	}
	y := rewrite.Info(&onnx.Tensor{Name: "Y", DataType: dt, Dims: dims})
	g := &onnx.Graph{Name: "g", Nodes: []*onnx.Node{node}, Initializers: in, Outputs: []*onnx.ValueInfo{y}}
	return &onnx.Model{IRVersion: 10, Graph: g, OpsetImports: []*onnx.OperatorSet{{Version: opset}}}
}

type foldCase struct {
	name   string
	model  *onnx.Model
	want   *onnx.Tensor // nil: asked of ONNX Runtime only
	python bool
}

func op(name string, attributes ...*onnx.Attribute) *onnx.Node {
	return &onnx.Node{OpType: name, Attributes: attributes}
}

func foldCases() []foldCase {
	f, f16, bf, d := onnx.Float, onnx.Float16, onnx.BFloat16, onnx.Double
	i := rewrite.Int
	return []foldCase{
		{
			"mul", single(13, op("Mul"), f, []int64{2, 3}, floatTensor("A", f, []int64{2, 3}, 1, 2, 3, -4, 5, 6), floatTensor("B", f, []int64{2, 3}, 0, 1, 0, 0, 2, 1)),
			floatTensor("Y", f, []int64{2, 3}, 0, 2, 0, float32(math.Copysign(0, -1)), 10, 6), true,
		},
		{
			"mul rows", single(13, op("Mul"), f, []int64{2, 3}, floatTensor("A", f, []int64{2, 3}, 1, 2, 3, 4, 5, 6), floatTensor("B", f, []int64{2, 1}, 2, 3)),
			floatTensor("Y", f, []int64{2, 3}, 2, 4, 6, 12, 15, 18), true,
		},
		{"mul both ways", single(13, op("Mul"), f, []int64{3, 4, 2}, floatTensor("A", f, []int64{4, 1}, ramp(4)...), floatTensor("B", f, []int64{3, 1, 2}, ramp(6)...)), nil, true},
		{"mul scalar", single(13, op("Mul"), d, []int64{5}, floatTensor("A", d, nil, 3), floatTensor("B", d, []int64{5}, ramp(5)...)), nil, true},
		{"mul float16", single(13, op("Mul"), f16, []int64{2, 9}, floatTensor("A", f16, []int64{9}, ramp(9)...), floatTensor("B", f16, []int64{2, 9}, ramp(18)...)), nil, true},
		{
			"mul bfloat16", single(13, op("Mul"), bf, []int64{2}, floatTensor("A", bf, []int64{2}, 1.5, 3), floatTensor("B", bf, []int64{2}, 1.5, -1)),
			floatTensor("Y", bf, []int64{2}, 2.25, -3), false,
		},
		{"mul blocks", single(6, op("Mul"), f, []int64{40_000}, floatTensor("A", f, []int64{40_000}, ramp(40_000)...), floatTensor("B", f, []int64{40_000}, ramp(40_000)...)), nil, false},
		{
			"gather", single(13, op("Gather"), f, []int64{2, 2}, floatTensor("A", f, []int64{3}, 10, 20, 30), intTensor("I", onnx.Int32, []int64{2, 2}, 2, 0, -1, 1)),
			floatTensor("Y", f, []int64{2, 2}, 30, 10, 30, 20), true,
		},
		{"gather axis", single(13, op("Gather", i("axis", -2)), d, []int64{2, 2, 2}, floatTensor("A", d, []int64{2, 3, 2}, ramp(12)...), intTensor("I", onnx.Int64, []int64{2}, 2, 0)), nil, true},
		{"gather scalar", single(13, op("Gather", i("axis", 1)), f16, []int64{2}, floatTensor("A", f16, []int64{2, 3}, ramp(6)...), intTensor("I", onnx.Int64, nil, -3)), nil, true},
		{
			"gather nothing", single(13, op("Gather"), f, []int64{0}, floatTensor("A", f, []int64{3}, 1, 2, 3), intTensor("I", onnx.Int64, []int64{0})),
			floatTensor("Y", f, []int64{0}), true,
		},
		{
			"dequantise", single(10, op("DequantizeLinear"), f, []int64{4}, intTensor("X", onnx.Int8, []int64{4}, -128, 0, 3, 127), floatTensor("S", f, nil, 0.1)),
			floatTensor("Y", f, []int64{4}, float32(-128)*float32(0.1), 0, float32(3)*float32(0.1), float32(127)*float32(0.1)), true,
		},
		{"dequantise uint8", single(13, op("DequantizeLinear"), f, []int64{2, 3}, intTensor("X", onnx.Uint8, []int64{2, 3}, 0, 1, 2, 253, 254, 255),
			floatTensor("S", f, []int64{3}, 0.1, 0.3, 7), intTensor("Z", onnx.Uint8, []int64{3}, 0, 128, 255)), nil, true},
		{"dequantise int32", single(13, op("DequantizeLinear", i("axis", 0)), f, []int64{2, 2}, intTensor("X", onnx.Int32, []int64{2, 2}, -70000, 1, 123456789, -1), floatTensor("S", f, []int64{2}, 0.01, 3)), nil, true},
		{"dequantise int16", single(21, op("DequantizeLinear"), f, []int64{3}, intTensor("X", onnx.Int16, []int64{3}, -30000, 1, 30000), floatTensor("S", f, nil, 0.01), intTensor("Z", onnx.Int16, nil, 5)), nil, true},
		{
			"dequantise int4", single(21, op("DequantizeLinear"), f, []int64{5}, intTensor("X", onnx.Int4, []int64{5}, -8, -1, 0, 3, 7), floatTensor("S", f, nil, 0.5)),
			floatTensor("Y", f, []int64{5}, -4, -0.5, 0, 1.5, 3.5), true,
		},
		{
			"dequantise uint4", single(21, op("DequantizeLinear"), f, []int64{3}, intTensor("X", onnx.Uint4, []int64{3}, 15, 0, 9), floatTensor("S", f, nil, 0.5), intTensor("Z", onnx.Uint4, nil, 8)),
			floatTensor("Y", f, []int64{3}, 3.5, -4, 0.5), true,
		},
		{"dequantise blocks", single(21, op("DequantizeLinear", i("axis", 1), i("block_size", 3)), f, []int64{2, 6, 2}, intTensor("X", onnx.Int8, []int64{2, 6, 2}, count(24)...),
			floatTensor("S", f, []int64{2, 2, 2}, ramp(8)...), intTensor("Z", onnx.Int8, []int64{2, 2, 2}, count(8)...)), nil, true},
		{"dequantise float16", single(19, op("DequantizeLinear"), f16, []int64{3}, intTensor("X", onnx.Int8, []int64{3}, -77, 5, 99), floatTensor("S", f16, nil, 0.013)), nil, true},
		{
			"cast up", single(13, op("Cast", i("to", int64(onnx.Int32))), onnx.Int32, []int64{3}, intTensor("X", onnx.Uint8, []int64{3}, 0, 128, 255)),
			intTensor("Y", onnx.Int32, []int64{3}, 0, 128, 255), true,
		},
		{"cast int8", single(13, op("Cast", i("to", int64(onnx.Int64))), onnx.Int64, []int64{3}, intTensor("X", onnx.Int8, []int64{3}, -128, -1, 5)), nil, true},
		{"cast float16", single(13, op("Cast", i("to", int64(f16))), f16, []int64{9}, floatTensor("X", f, []int64{9}, 1e-9, 0.1, -0.333, 65504, 65520, 1e9, 6e-8, 2049, 2051)), nil, true},
		{"cast double", single(13, op("Cast", i("to", int64(d))), d, []int64{3}, floatTensor("X", f, []int64{3}, 0.1, -1e-40, 3e38)), nil, true},
		{"cast to itself", single(13, op("Cast", i("to", int64(f))), f, []int64{2}, floatTensor("X", f, []int64{2}, 0.1, 7)), floatTensor("Y", f, []int64{2}, 0.1, 7), true},
	}
}

func TestFold(t *testing.T) {
	for _, c := range foldCases() {
		g := c.model.Graph
		info := g.Outputs[0].Type.Tensor
		if n, err := Fold(c.model); n != 1 || err != nil || len(g.Nodes) != 0 || len(g.Initializers) != 1 {
			t.Errorf("%s: %d nodes folded, %d and %d initializers left, %v", c.name, n, len(g.Nodes), len(g.Initializers), err)
			continue
		}
		y := g.Initializers[0]
		var dims []int64
		for _, d := range info.Shape.Dims {
			dims = append(dims, *d.Value)
		}
		if y.Name != "Y" || y.DataType != info.ElemType || !slices.Equal(y.Dims, dims) {
			t.Errorf("%s: %q %v %v", c.name, y.Name, y.DataType, y.Dims)
		}
		if c.want == nil {
			continue
		}
		got, err := y.Bytes()
		if want, werr := c.want.Bytes(); err != nil || werr != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v, want %v (%v, %v)", c.name, got, want, err, werr)
		}
	}
}

func TestFoldAgainstRuntime(t *testing.T) {
	var models []*onnx.Model
	cases := slices.DeleteFunc(foldCases(), func(c foldCase) bool { return !c.python })
	for _, c := range cases {
		models = append(models, c.model)
	}
	for i, want := range rewritetest.FirstOutputs(t, models...) {
		if _, err := Fold(models[i]); err != nil {
			t.Fatal(err)
		}
		if got, err := models[i].Graph.Initializers[0].Bytes(); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v, ONNX Runtime has %v (%v)", cases[i].name, got, want, err)
		}
	}
}

// What Fold must leave alone.
func TestFoldKeeps(t *testing.T) {
	f := onnx.Float
	mul := func() *onnx.Model {
		return single(13, op("Mul"), f, []int64{2}, floatTensor("A", f, []int64{2}, 1, 2), floatTensor("B", f, []int64{2}, 3, 4))
	}
	overridable := mul()
	overridable.Graph.Inputs = []*onnx.ValueInfo{rewrite.Info(overridable.Graph.Initializers[1])}
	foreign := mul()
	foreign.Graph.Nodes[0].Domain = "com.example"
	computed := mul()
	computed.Graph.Initializers = computed.Graph.Initializers[:1]
	computed.Graph.Inputs = []*onnx.ValueInfo{rewrite.Info(floatTensor("B", f, []int64{2}, 3, 4))}
	nothing := mul()
	nothing.Graph.Nodes[0].Inputs = []string{"A"}
	unnamed := mul()
	unnamed.Graph.Nodes[0].Inputs = []string{"A", ""}
	add := mul()
	add.Graph.Nodes[0].OpType = "Add"
	ten := []int64{10}
	for name, m := range map[string]*onnx.Model{
		"overridable input": overridable, "other domain": foreign, "graph input": computed, "missing input": nothing, "omitted input": unnamed,
		"other operator": add,
		"integers":       single(13, op("Mul"), onnx.Int32, []int64{1}, intTensor("A", onnx.Int32, []int64{1}, 1), intTensor("B", onnx.Int32, []int64{1}, 1)),
		"outer product":  single(13, op("Mul"), f, []int64{400, 400}, floatTensor("A", f, []int64{400, 1}, ramp(400)...), floatTensor("B", f, []int64{400}, ramp(400)...)),
		"old broadcast":  single(6, op("Mul"), f, []int64{2}, floatTensor("A", f, []int64{2}, 1, 2), floatTensor("B", f, nil, 3)),
		"large gather":   single(13, op("Gather"), f, []int64{10, 100}, floatTensor("A", f, []int64{1, 100}, ramp(100)...), intTensor("I", onnx.Int64, []int64{10, 10, 10}, make([]int64, 1000)...)),
		"string gather":  single(13, op("Gather"), onnx.String, ten, &onnx.Tensor{Name: "A", DataType: onnx.String, Dims: ten}, intTensor("I", onnx.Int64, []int64{1}, 0)),
		"gather by byte": single(13, op("Gather"), f, ten, floatTensor("A", f, ten, ramp(10)...), intTensor("I", onnx.Uint8, []int64{1}, 0)),
		"float8":         single(19, op("DequantizeLinear"), f, ten, &onnx.Tensor{Name: "X", DataType: onnx.Float8E5M2, Dims: ten}, floatTensor("S", f, nil, 1)),
		"typed output":   single(23, op("DequantizeLinear", rewrite.Int("output_dtype", 1)), f, ten, intTensor("X", onnx.Int8, ten, count(10)...), floatTensor("S", f, nil, 1)),
		"double scale":   single(13, op("DequantizeLinear"), f, ten, intTensor("X", onnx.Int8, ten, count(10)...), floatTensor("S", onnx.Double, nil, 1)),
		"float zero":     single(13, op("DequantizeLinear"), f, ten, intTensor("X", onnx.Int8, ten, count(10)...), floatTensor("S", f, nil, 1), floatTensor("Z", f, nil, 1)),
		"narrowing cast": single(13, op("Cast", rewrite.Int("to", int64(onnx.Int32))), onnx.Int32, ten, intTensor("X", onnx.Int64, ten, count(10)...)),
		"cast of float":  single(13, op("Cast", rewrite.Int("to", int64(onnx.Int32))), onnx.Int32, ten, floatTensor("X", f, ten, ramp(10)...)),
		"cast of double": single(13, op("Cast", rewrite.Int("to", int64(f))), f, ten, floatTensor("X", onnx.Double, ten, ramp(10)...)),
		"cast to text":   single(13, op("Cast", rewrite.Int("to", int64(onnx.String))), onnx.String, ten, floatTensor("X", f, ten, ramp(10)...)),
	} {
		before := len(m.Graph.Initializers)
		if n, err := Fold(m); n != 0 || err != nil || len(m.Graph.Nodes) != 1 || len(m.Graph.Initializers) != before {
			t.Errorf("%s: %d nodes folded, %v", name, n, err)
		}
	}
}

func TestFoldRefuses(t *testing.T) {
	f, two := onnx.Float, []int64{2}
	short := floatTensor("A", f, two, 1)
	for name, m := range map[string]*onnx.Model{
		"index too high":    single(13, op("Gather"), f, two, floatTensor("A", f, two, 1, 2), intTensor("I", onnx.Int64, two, 0, 2)),
		"index too low":     single(13, op("Gather"), f, two, floatTensor("A", f, two, 1, 2), intTensor("I", onnx.Int64, two, 0, -3)),
		"empty axis":        single(13, op("Gather"), f, []int64{1}, floatTensor("A", f, []int64{0}), intTensor("I", onnx.Int64, []int64{1}, 0)),
		"axis":              single(13, op("Gather", rewrite.Int("axis", 1)), f, two, floatTensor("A", f, two, 1, 2), intTensor("I", onnx.Int64, two, 0, 1)),
		"gather of scalar":  single(13, op("Gather"), f, nil, floatTensor("A", f, nil, 1), intTensor("I", onnx.Int64, nil, 0)),
		"shapes":            single(13, op("Mul"), f, two, floatTensor("A", f, two, 1, 2), floatTensor("B", f, []int64{3}, 1, 2, 3)),
		"short values":      single(13, op("Mul"), f, two, short, floatTensor("B", f, two, 1, 2)),
		"short values of B": single(13, op("Mul"), onnx.Double, two, floatTensor("B", onnx.Double, two, 1, 2), floatTensor("A", onnx.Double, two, 1)),
		"scales":            single(13, op("DequantizeLinear"), f, []int64{2, 3}, intTensor("X", onnx.Int8, []int64{2, 3}, count(6)...), floatTensor("S", f, two, 1, 2)),
		"blocks":            single(21, op("DequantizeLinear", rewrite.Int("block_size", 2)), f, []int64{2, 3}, intTensor("X", onnx.Int8, []int64{2, 3}, count(6)...), floatTensor("S", f, two, 1, 2)),
		"negative blocks":   single(21, op("DequantizeLinear", rewrite.Int("block_size", -2)), f, []int64{2, 3}, intTensor("X", onnx.Int8, []int64{2, 3}, count(6)...), floatTensor("S", f, two, 1, 2)),
		"zero points":       single(13, op("DequantizeLinear", rewrite.Int("axis", 0)), f, two, intTensor("X", onnx.Int8, two, 1, 2), floatTensor("S", f, two, 1, 2), intTensor("Z", onnx.Int8, nil, 1)),
		"dequantise axis":   single(13, op("DequantizeLinear", rewrite.Int("axis", 5)), f, two, intTensor("X", onnx.Int8, two, 1, 2), floatTensor("S", f, two, 1, 2)),
		"short codes":       single(13, op("DequantizeLinear"), f, two, intTensor("X", onnx.Int8, two, 1), floatTensor("S", f, nil, 1)),
		"short cast":        single(13, op("Cast", rewrite.Int("to", 11)), onnx.Double, two, short),
		"short cast to it":  single(13, op("Cast", rewrite.Int("to", 1)), f, two, short),
		"short integers":    single(13, op("Cast", rewrite.Int("to", 7)), onnx.Int64, two, intTensor("X", onnx.Int8, two, 1)),
	} {
		var e *FoldError
		if n, err := Fold(m); n != 0 || !errors.As(err, &e) || e.Node != "N" || e.Unwrap() == nil || len(m.Graph.Nodes) != 1 {
			t.Errorf("%s: %d nodes folded, %v", name, n, err)
		}
	}
	m := single(13, op("Mul"), f, two, floatTensor("A", f, two, 1, 2), floatTensor("B", f, []int64{3}, 1, 2, 3))
	m.Graph.Nodes[0].Name = ""
	if _, err := Fold(m); err == nil || err.Error() != `ops: fold Mul node "Mul_0" of graph "g": shapes [2] and [3] do not broadcast` {
		t.Errorf("error %v", err)
	}
}

// Chains fold, shared initializers stay while they are needed, and sub-graphs keep what they read of the outer graph.
func TestFoldGraph(t *testing.T) {
	f, two := onnx.Float, []int64{2}
	info := rewrite.Info(floatTensor("out", f, two, 1, 2))
	sub := &onnx.Graph{
		Name:         "then",
		Nodes:        []*onnx.Node{{OpType: "Mul", Name: "inner", Inputs: []string{"C", "C"}, Outputs: []string{"D"}}, {OpType: "Add", Inputs: []string{"D", "mask"}, Outputs: []string{"out"}}},
		Initializers: []*onnx.Tensor{floatTensor("C", f, two, 2, 3)},
		Outputs:      []*onnx.ValueInfo{info},
	}
	g := &onnx.Graph{
		Name: "main",
		Nodes: []*onnx.Node{
			{OpType: "Cast", Inputs: []string{"codes"}, Outputs: []string{"indices"}, Attributes: []*onnx.Attribute{rewrite.Int("to", int64(onnx.Int32))}},
			{OpType: "Gather", Inputs: []string{"book", "indices"}, Outputs: []string{"dense"}},
			{OpType: "Mul", Inputs: []string{"dense", "mask"}, Outputs: []string{"W"}},
			{OpType: "If", Inputs: []string{"cond"}, Outputs: []string{"Y"}, Attributes: []*onnx.Attribute{
				{Name: "then_branch", Type: onnx.AttributeGraph, G: sub}, {Name: "else_branch", Type: onnx.AttributeGraph, G: sub},
			}},
		},
		Initializers: []*onnx.Tensor{
			floatTensor("first", f, two, 0, 0), intTensor("codes", onnx.Uint8, two, 1, 0), floatTensor("mask", f, two, 1, 0),
			floatTensor("book", f, two, 5, 6), floatTensor("last", f, two, 0, 0),
		},
		Outputs: []*onnx.ValueInfo{{Name: "W"}, {Name: "Y"}},
	}
	n, err := Fold(&onnx.Model{IRVersion: 8, Graph: g, OpsetImports: []*onnx.OperatorSet{{Domain: "ai.onnx", Version: 13}}})
	if n != 4 || err != nil {
		t.Fatalf("%d nodes folded, %v", n, err)
	}
	var names []string
	for _, t := range g.Initializers {
		names = append(names, t.Name)
	}
	if got := fmt.Sprintf("%v %d %d %s", names, len(g.Nodes), len(sub.Nodes), sub.Initializers[0].Name); got != "[first W mask last] 1 1 D" {
		t.Errorf("initializers, nodes, nodes and initializer of the branch: %s", got)
	}
	w := make([]float32, 2)
	if err := g.Initializers[1].ReadFloats(w, 0); err != nil || !slices.Equal(w, []float32{6, 0}) {
		t.Errorf("W is %v, %v", w, err)
	}
}

// FuzzFold folds one node of any operator over inputs of any shape and type: never a panic, and what it makes is valid.
func FuzzFold(f *testing.F) {
	f.Add(uint8(0), uint8(3), uint8(6), int64(0), []byte{2, 2}, []byte{2}, []byte{1, 2, 3, 4})
	f.Add(uint8(1), uint8(1), uint8(7), int64(1), []byte{2, 3}, []byte{0}, []byte{9, 0, 255})
	f.Add(uint8(2), uint8(21), uint8(1), int64(-1), []byte{4, 4}, []byte{4}, []byte{7})
	f.Add(uint8(3), uint8(2), uint8(1), int64(6), []byte{3}, []byte{}, []byte{1})
	f.Fuzz(func(t *testing.T, kind, ta, tb uint8, attr int64, da, db, values []byte) {
		tensor := func(name string, dt onnx.DataType, dims []byte) *onnx.Tensor {
			x := &onnx.Tensor{Name: name, DataType: dt}
			for _, d := range dims[:min(len(dims), 4)] {
				x.Dims = append(x.Dims, int64(d%16))
			}
			size, err := x.ByteSize()
			if err != nil || len(values) == 0 {
				return x
			}
			raw := make([]byte, size)
			for i := range raw {
				raw[i] = values[i%len(values)]
			}
			x.SetBytes(raw)
			return x
		}
		name := []string{"Mul", "Gather", "DequantizeLinear", "Cast"}[kind%4]
		in := []*onnx.Tensor{tensor("A", onnx.DataType(ta%27), da), tensor("B", onnx.DataType(tb%27), db)}
		if name == "Cast" {
			in = in[:1]
		}
		m := single(21, op(name, rewrite.Int("axis", attr), rewrite.Int("to", attr), rewrite.Int("block_size", attr>>8)), onnx.Float, nil, in...)
		n, err := Fold(m)
		if err != nil || n == 0 {
			return
		}
		y := m.Graph.Initializers[len(m.Graph.Initializers)-1]
		if _, err := y.Bytes(); err != nil {
			t.Fatalf("the result of %s: %v", name, err)
		}
	})
}

func BenchmarkFoldGather(b *testing.B) {
	codes := make([]byte, 1<<20)
	for i := range codes {
		codes[i] = byte(i * 7 % 32)
	}
	b.SetBytes(4 << 20)
	for b.Loop() {
		cast := &onnx.Node{OpType: "Cast", Inputs: []string{"X"}, Outputs: []string{"I"}, Attributes: []*onnx.Attribute{rewrite.Int("to", int64(onnx.Int32))}}
		m := single(13, op("Gather"), onnx.Float, []int64{1 << 20}, floatTensor("A", onnx.Float, []int64{32}, ramp(32)...))
		m.Graph.Nodes[0].Inputs = append(m.Graph.Nodes[0].Inputs, "I")
		m.Graph.Nodes = []*onnx.Node{cast, m.Graph.Nodes[0]}
		m.Graph.Initializers = append(m.Graph.Initializers, rewrite.NewTensor("X", onnx.Uint8, []int64{1 << 20}, codes))
		if n, err := Fold(m); n != 2 || err != nil {
			b.Fatal(n, err)
		}
	}
}
