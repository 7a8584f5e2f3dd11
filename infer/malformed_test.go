package infer

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// badNode is a node that is wrong, or wrong for its inputs.
type badNode struct {
	name string
	node *onnx.Node
	want string // in the error, beside the node's name and operator
}

func ints(v ...int64) *tensor.Tensor { return tensor.From(v, len(v)) }

// badConstants are what bad nodes read.
func badConstants() map[string]*tensor.Tensor {
	return map[string]*tensor.Tensor{
		"huge": ints(1<<40, 1<<40), "big": ints(1<<15, 1<<15, 4), "w": floats([]int{4, 3, 3, 3}, 1), "w2": floats([]int{3, 2}, 1), "neg": ints(-5, 3), "one": ints(1), "v": floats([]int{3}, 1),
		"scales": floats([]int{4}, 1, 1, 1e6, 1e6), "zero": tensor.Scalar(int64(0)), "end": tensor.Scalar(int64(1 << 50)), "step": tensor.Scalar(int64(1)), "i9": ints(9), "f": tensor.Scalar(float32(1)),
		"many": ints(1<<20, 1<<20, 1, 1), "twice": ints(2, 2), "sums": ints(1, 1), "pad": ints(0, 0, 0, 0, 1<<40, 1<<40, 0, 0), "pad2": ints(0, 0, 1<<14, 1<<14, 0, 0, 1<<14, 1<<14), "depth": tensor.Scalar(int64(1 << 40)),
		"wide": floats([]int{1, 3, 20, 20}, 1), "b": floats([]int{5}, 1), "x8": tensor.From(make([]uint8, 192), 1, 3, 8, 8), "w8": tensor.From(make([]uint8, 108), 4, 3, 3, 3), "z8": tensor.Scalar(uint8(0)),
		"s3": floats([]int{3}, 1), "on": floats([]int{2}, 0, 1), "sizes": ints(1, 3, 1<<31, 1<<31), "mean": floats([]int{2}, 1), "k0": tensor.Scalar(int64(0)), "far": ints(0, 0, 1<<40), "lstm": floats([]int{1, 7, 2}, 1),
		"seq": floats([]int{4, 1, 2}, 1), "r": floats([]int{1, 8, 2}, 1), "nan": floats(nil, float32(0)), "t3": floats([]int{2, 2, 2}, 1),
	}
}

func badNodes() []badNode {
	body := func(inputs, outputs []*onnx.ValueInfo, nodes ...*onnx.Node) *onnx.Attribute {
		return attr("body", &onnx.Graph{Name: "body", Inputs: inputs, Outputs: outputs, Nodes: nodes})
	}
	count, again := typed(onnx.Int64, "i"), typed(onnx.Bool, "go")
	return []badNode{
		{"weights of another rank", nd("y = Conv x, w2"), "rank"},
		{"bias of another length", nd("y = Conv x, w, b"), "bias"},
		{"kernel that the weights contradict", nd("y = Conv x, w", attr("kernel_shape", []int64{5, 5})), "kernel"},
		{"kernel larger than the input", nd("y = Conv x, wide"), ""},
		{"pool larger than the input", nd("y = MaxPool x", attr("kernel_shape", []int64{9, 9})), ""},
		{"negative kernel", nd("y = MaxPool x", attr("kernel_shape", []int64{-1, 2})), "kernel_shape"},
		{"pool without a kernel", nd("y = MaxPool x"), "kernel_shape"},
		{"negative pads", nd("y = Conv x, w", attr("pads", []int64{-9, -9, -9, -9})), "pads"},
		{"pads that overflow", nd("y = Conv x, w", attr("pads", []int64{1 << 62, 1 << 62, 0, 0})), "pads"},
		{"pads of another count", nd("y = Conv x, w", attr("pads", []int64{1, 1})), "pads"},
		{"stride of 0", nd("y = Conv x, w", attr("strides", []int64{0, 1})), "strides"},
		{"groups that do not divide", nd("y = Conv x, w", attr("group", 2)), "groups"},
		{"no groups", nd("y = Conv x, w", attr("group", 0)), "group"},
		{"attribute of another type", nd("y = Conv x, w", attr("group", "two")), "group"},
		{"attribute missing", nd("y = Concat x, x"), "axis"},
		{"axis beyond the rank", nd("y = Concat x, x", attr("axis", 7)), "axis"},
		{"parts that do not join", nd("y = Concat x, wide", attr("axis", 1)), ""},
		{"input missing", nd("y = MatMul x"), "inputs"},
		{"too many inputs", nd("y = Relu x, x"), "inputs"},
		{"matrices that do not fit", nd("y = MatMul x, w2"), "rows"},
		{"types that clash", nd("y = Add x, s"), ""},
		{"type that is none of the operator's", nd("y = And x, x"), ""},
		{"shapes that do not broadcast", nd("y = Add x, v"), "broadcast"},
		{"statistics of other channels", nd("y = BatchNormalization x, mean, mean, mean, mean"), ""},
		{"reshape to other elements", nd("y = Reshape x, neg"), ""},
		{"reshape to a wrong count", nd("y = Reshape x, twice"), ""},
		{"giant expand", nd("y = Expand f, huge"), "more elements than"},
		{"large expand", nd("y = Expand f, big"), "limit"},
		{"giant tile", nd("y = Tile x, many"), "more elements than"},
		{"giant resize", nd("y = Resize x, , scales"), "more elements than"},
		{"giant resize by sizes", nd("y = Resize x, , , sizes"), "more elements than"},
		{"giant range", nd("y = Range zero, end, step"), "too long"},
		{"range without end", nd("y = Range zero, end, k0"), ""},
		{"giant constant", nd("y = ConstantOfShape huge"), "more elements than"},
		{"large constant", nd("y = ConstantOfShape big"), "limit"},
		{"constant of a negative shape", nd("y = ConstantOfShape neg"), ""},
		{"giant pad", nd("y = Pad x, pad"), ""},
		{"large pad", nd("y = Pad x, pad2"), "limit"},
		{"giant one-hot", nd("y = OneHot s, depth, on"), ""},
		{"giant upsample", nd("y = ConvTranspose x, w", attr("strides", []int64{1 << 30, 1 << 30}), attr("group", 3)), ""},
		{"index out of range", nd("y = Gather v, i9"), "9"},
		{"index out of range, of elements", nd("y = GatherElements v, i9"), "9"},
		{"index out of range, of slices", nd("y = GatherND v, i9"), "9"},
		{"scatter out of range", nd("y = ScatterND v, i9, f"), ""},
		{"split that does not add up", nd("y, y2 = Split v, sums"), ""},
		{"split of negative parts", nd("y, y2 = Split v, neg"), ""},
		{"transpose of no permutation", nd("y = Transpose x", attr("perm", []int64{0, 0, 1, 2})), "perm"},
		{"squeeze of a dimension that is not 1", nd("y = Squeeze x, one"), ""},
		{"unsqueeze beyond the rank", nd("y = Unsqueeze x, i9"), "axis 9"},
		{"slice with a step of 0", nd("y = Slice v, one, i9, k1, k1"), "step"},
		{"cast to no type", nd("y = Cast x", attr("to", 99)), "to"},
		{"einsum without equation", nd("y = Einsum x"), "equation"},
		{"einsum that is wrong", nd("y = Einsum x", attr("equation", "ij->k")), ""},
		{"depth to space of odd channels", nd("y = DepthToSpace x", attr("blocksize", 2)), ""},
		{"more of the best than there are", nd("y = TopK v, i9"), ""},
		{"reduction over no axis", nd("y = ReduceSum x, i9"), "axis 9"},
		{"recurrent weights of another size", nd("y = LSTM seq, lstm, r", attr("hidden_size", 2)), ""},
		{"quantised with wrong scales", nd("y = DequantizeLinear x8, s3", attr("axis", 2)), ""},
		{"quantised of no type", nd("y = DequantizeLinear x, f, z8"), ""},
		{"quantised convolution with wrong scales", nd("y = QLinearConv x8, f, z8, w8, s3, z8, f, z8"), ""},
		{"unknown operator", nd("y = Nonsense x"), "not supported"},
		{"operator of nobody's domain", nd("y = nobody.Relu x"), "not supported"},
		{"opset of later", nd("y = Upsample x, scales"), "opset"},
		{"if without branches", nd("y = If c"), "then_branch"},
		{"if without a branch", nd("y = If c", attr("then_branch", &onnx.Graph{Name: "t", Outputs: []*onnx.ValueInfo{val("t1")}, Nodes: []*onnx.Node{nd("t1 = Neg x")}})), "else_branch"},
		{"loop without a body", nd("y = Loop s, , x"), "body"},
		{"loop with a body of fewer inputs", nd("y = Loop step, , x", body([]*onnx.ValueInfo{count}, []*onnx.ValueInfo{typed(onnx.Bool, "on1")}, nd("on1 = Identity c"))), "inputs"},
		{"loop with a condition that is none", nd("y = Loop step, , x", body([]*onnx.ValueInfo{count, again, val("a")}, []*onnx.ValueInfo{val("a1"), val("a2")}, nd("a1 = Neg a"), nd("a2 = Neg a"))), "condition"},
		{"loop that changes a type", nd("y = Loop step, , x", body([]*onnx.ValueInfo{count, again, val("a")}, []*onnx.ValueInfo{typed(onnx.Bool, "on1"), typed(onnx.Int64, "a2")}, nd("on1 = Identity go"), nd("a2 = Shape a"))), "loop-carried"},
		{"scan without positions", nd("y = Scan f", attr("num_scan_inputs", 1), body([]*onnx.ValueInfo{val("a")}, []*onnx.ValueInfo{val("a2")}, nd("a2 = Neg a"))), "axis 0"},
		{"scan of too many", nd("y = Scan v", attr("num_scan_inputs", 3), body([]*onnx.ValueInfo{val("a")}, []*onnx.ValueInfo{val("a2")}, nd("a2 = Neg a"))), "num_scan_inputs"},
	}
}

// most is what loading and running a model that cannot be run may take of memory. It may be 1 GB; nothing that is refused needs as much.
const most = 64 << 20

// TestMalformedNodes loads models from files, and runs them if they can be loaded, that are wrong in one node: an error that names it, by the optimiser
// and without it, and no memory to speak of.
func TestMalformedNodes(t *testing.T) {
	image := []*onnx.ValueInfo{val("x", 1, 3, 8, 8), val("open"), typed(onnx.Int64, "s", "k"), typed(onnx.Bool, "c")}
	for _, c := range badNodes() {
		t.Run(c.name, func(t *testing.T) {
			init := badConstants()
			init["k1"] = ints(0)
			m := graphOf(image, []*onnx.ValueInfo{val("y")}, init, c.node)
			m.OpsetImports = append(m.OpsetImports, &onnx.OperatorSet{Domain: "nobody", Version: 1})
			path := filepath.Join(t.TempDir(), "m.onnx")
			if _, err := onnx.Save(path, m, onnx.SaveOptions{}); err != nil {
				t.Fatal(err)
			}
			for _, o := range []Options{{}, {NoFuse: true}} {
				err := sparingly(t, func() error { return loadAndRun(path, o) })
				var model *job.ModelError
				var node *NodeError
				if !errors.As(err, &model) || !errors.As(err, &node) || node.Node != c.node.Name || !strings.HasSuffix(node.Op, c.node.OpType) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("error %v", err)
				}
				if err != nil && strings.Contains(err.Error(), "internal") {
					t.Errorf("only a kernel's panic says %v", err)
				}
			}
			if _, err := Outline(m, nil); err != nil {
				t.Errorf("no outline: %v", err)
			}
		})
	}
}

// sparingly runs f and checks what it allocates in all.
func sparingly(t *testing.T, f func() error) error {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := f()
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > most {
		t.Errorf("%d bytes were allocated for %v", n, err)
	}
	return err
}

// TestMalformedGraphs are models of which the whole is wrong.
func TestMalformedGraphs(t *testing.T) {
	x := []*onnx.ValueInfo{val("x", 1, 3, 8, 8)}
	y := []*onnx.ValueInfo{val("y")}
	relu := nd("y = Relu x")
	for _, c := range []struct {
		name  string
		spoil func(m *onnx.Model)
		want  []string
	}{
		{"cycle", func(m *onnx.Model) { m.Graph.Nodes = []*onnx.Node{nd("a = Add x, y"), nd("y = Neg a")} }, []string{"n_a", `"y"`}},
		{"node that feeds itself", func(m *onnx.Model) { m.Graph.Nodes = []*onnx.Node{nd("y = Add x, y")} }, []string{"n_y", `"y"`}},
		{"input that nobody computes", func(m *onnx.Model) { m.Graph.Nodes[0].Inputs[0] = "nowhere" }, []string{"n_y", `"nowhere"`}},
		{"output that nobody computes", func(m *onnx.Model) { m.Graph.Nodes = []*onnx.Node{nd("z = Neg x")} }, []string{`"y"`}},
		{"one name for two values", func(m *onnx.Model) { m.Graph.Nodes = append(m.Graph.Nodes, nd("y = Neg x")) }, []string{"n_y", `"y"`}},
		{"two initializers of one name", func(m *onnx.Model) {
			m.Graph.Initializers = []*onnx.Tensor{floats([]int{3}, 1).ToONNX("w"), floats([]int{3}, 1).ToONNX("w")}
		}, []string{`"w"`}},
		{"initializer without data", func(m *onnx.Model) {
			m.Graph.Initializers = []*onnx.Tensor{{Name: "w", DataType: onnx.Float, Dims: []int64{1000}}}
		}, []string{`"w"`}},
		{"initializer with too few data", func(m *onnx.Model) {
			w := floats([]int{4}, 1).ToONNX("w")
			w.Dims = []int64{1 << 40}
			m.Graph.Initializers = []*onnx.Tensor{w}
		}, []string{`"w"`}},
		{"initializer of a negative shape", func(m *onnx.Model) {
			m.Graph.Initializers = []*onnx.Tensor{{Name: "w", DataType: onnx.Float, Dims: []int64{-4, -4}}}
		}, []string{`"w"`}},
		{"initializer of no type", func(m *onnx.Model) {
			m.Graph.Initializers = []*onnx.Tensor{{Name: "w", DataType: 77, Dims: []int64{1}}}
		}, []string{`"w"`}},
		{"initializer whose shape overflows", func(m *onnx.Model) {
			m.Graph.Initializers = []*onnx.Tensor{{Name: "w", DataType: onnx.Float, Dims: []int64{1 << 32, 1 << 32, 4}}}
		}, []string{`"w"`}},
		{"operator set missing", func(m *onnx.Model) { m.OpsetImports = nil }, []string{"operator set"}},
		{"operator set of the future", func(m *onnx.Model) { m.OpsetImports[0].Version = 1000 }, []string{"n_y", "Relu", "1000"}},
		{"operator set of the past", func(m *onnx.Model) { m.OpsetImports[0].Version, m.Graph.Nodes[0].OpType = 1, "Selu" }, []string{"n_y", "Selu", "opset 1 "}},
		{"no graph", func(m *onnx.Model) { m.Graph = nil }, []string{"no graph"}},
		{"input that is no tensor", func(m *onnx.Model) {
			m.Graph.Inputs[0] = &onnx.ValueInfo{Name: "x", Type: &onnx.TypeProto{Sequence: &onnx.SequenceType{ElemType: &onnx.TypeProto{Tensor: &onnx.TensorType{ElemType: onnx.Float}}}}}
		}, []string{"input x", "sequences"}},
		{"giant input", func(m *onnx.Model) { m.Graph.Inputs[0] = val("x", 1<<30, 1<<30, 1<<30) }, []string{"x"}},
		{"giant values", func(m *onnx.Model) { // each within the limit, but not all at once
			m.Graph.Initializers = []*onnx.Tensor{ints(1<<13, 1<<13).ToONNX("shape"), floats(nil, 1).ToONNX("f")}
			m.Graph.Nodes = []*onnx.Node{nd("a = Expand f, shape"), nd("b = Exp a"), nd("d = Sin a"), nd("e = Cos a"), nd("g = Add b, d"), nd("h = Add e, a"), nd("y = Mul g, h")}
		}, []string{"limit"}},
		{"function that calls itself", func(m *onnx.Model) {
			m.Functions = []*onnx.Function{{Name: "F", Domain: "own", OpsetImports: []*onnx.OperatorSet{{Domain: "own", Version: 1}}, Inputs: []string{"a"}, Outputs: []string{"b"}, Nodes: []*onnx.Node{nd("b = own.F a")}}}
			m.OpsetImports = append(m.OpsetImports, &onnx.OperatorSet{Domain: "own", Version: 1})
			m.Graph.Nodes[0] = nd("y = own.F x")
		}, []string{"n_y", "own.F", "itself"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := graphOf(slices.Clone(x), y, nil, &onnx.Node{Name: relu.Name, OpType: relu.OpType, Inputs: slices.Clone(relu.Inputs), Outputs: relu.Outputs})
			c.spoil(m)
			err := sparingly(t, func() error { return newAndRun(m, Options{}) })
			var model *job.ModelError
			var usage *job.UsageError
			if !errors.As(err, &model) && !errors.As(err, &usage) {
				t.Errorf("error %v", err)
			}
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in the error: %v", want, err)
				}
			}
			if _, err := Outline(m, nil); err != nil {
				t.Errorf("no outline: %v", err)
			}
		})
	}
}

func loadAndRun(path string, o Options) error {
	s, err := Load(path, o)
	if err != nil {
		return err
	}
	return runOnce(s)
}

func newAndRun(m *onnx.Model, o Options) error {
	s, err := New(m, o)
	if err != nil {
		return err
	}
	return runOnce(s)
}

// runOnce runs a session with the inputs that bad models have, and closes it.
func runOnce(s *Session) error {
	defer s.Close()
	known := map[string]*tensor.Tensor{"x": floats([]int{1, 3, 8, 8}, 1), "open": floats([]int{2}, 1), "s": ints(1, 2), "c": tensor.Scalar(true)}
	in := map[string]*tensor.Tensor{}
	for _, v := range s.Inputs() {
		if in[v.Name] = known[v.Name]; in[v.Name] == nil {
			in[v.Name] = floats([]int{1}, 1)
		}
	}
	_, err := s.Run(context.Background(), in)
	return err
}
