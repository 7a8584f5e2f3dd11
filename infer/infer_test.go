package infer

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/effml/effml/archive"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// graphOf builds a model: values are name, name:type or name:type[dims], nodes are "outputs = Op inputs".
func graphOf(inputs, outputs []*onnx.ValueInfo, init map[string]*tensor.Tensor, nodes ...*onnx.Node) *onnx.Model {
	g := &onnx.Graph{Name: "g", Inputs: inputs, Outputs: outputs, Nodes: nodes}
	for _, name := range sorted(init) {
		g.Initializers = append(g.Initializers, init[name].ToONNX(name))
	}
	return &onnx.Model{IRVersion: 10, OpsetImports: []*onnx.OperatorSet{{Version: 20}}, Graph: g}
}

// val declares a value of float32, with dimensions that are numbers or names; no dimension at all leaves the rank open.
func val(name string, dims ...any) *onnx.ValueInfo { return typed(onnx.Float, name, dims...) }

func typed(dt onnx.DataType, name string, dims ...any) *onnx.ValueInfo {
	t := &onnx.TensorType{ElemType: dt}
	if dims != nil {
		t.Shape = &onnx.Shape{}
		for _, d := range dims {
			switch d := d.(type) {
			case int:
				n := int64(d)
				t.Shape.Dims = append(t.Shape.Dims, &onnx.Dimension{Value: &n})
			case string:
				t.Shape.Dims = append(t.Shape.Dims, &onnx.Dimension{Param: d})
			}
		}
	}
	return &onnx.ValueInfo{Name: name, Type: &onnx.TypeProto{Tensor: t}}
}

// nd makes a node from "y, z = Op a, b" and attributes.
func nd(text string, attrs ...*onnx.Attribute) *onnx.Node {
	left, right, _ := strings.Cut(text, " = ")
	op, in, _ := strings.Cut(right, " ")
	n := &onnx.Node{OpType: op, Outputs: strings.Split(left, ", "), Name: "n_" + left, Attributes: attrs}
	if in != "" {
		n.Inputs = strings.Split(in, ", ")
	}
	for i, s := range n.Inputs {
		n.Inputs[i] = strings.Trim(s, "_")
	}
	if d, op, ok := strings.Cut(op, "."); ok {
		n.Domain, n.OpType = d, op
	}
	return n
}

func attr(name string, v any) *onnx.Attribute {
	a := &onnx.Attribute{Name: name}
	switch v := v.(type) {
	case int:
		a.Type, a.I = onnx.AttributeInt, int64(v)
	case float64:
		a.Type, a.F = onnx.AttributeFloat, float32(v)
	case string:
		a.Type, a.S = onnx.AttributeString, []byte(v)
	case []int64:
		a.Type, a.Ints = onnx.AttributeInts, v
	case *onnx.Graph:
		a.Type, a.G = onnx.AttributeGraph, v
	case *tensor.Tensor:
		a.Type, a.T = onnx.AttributeTensor, v.ToONNX("")
	case onnx.AttributeType: // of the function's attribute of that name
		a.Type, a.RefAttrName = v, name
	}
	return a
}

func floats(shape []int, v ...float32) *tensor.Tensor {
	n := 1
	for _, d := range shape {
		n *= d
	}
	x := make([]float32, n)
	for i := range x {
		x[i] = v[i%len(v)]
	}
	return tensor.From(x, shape...)
}

func session(t testing.TB, m *onnx.Model, o Options) *Session {
	t.Helper()
	s, err := New(m, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// both runs a model with and without optimisation and compares the results with what is wanted, within rounding.
func both(t *testing.T, m *onnx.Model, in []*tensor.Tensor, want ...*tensor.Tensor) *Session {
	t.Helper()
	var s *Session
	for _, o := range []Options{{NoFuse: true, Threads: 1}, {ISA: best(t), Threads: 2}} {
		s = session(t, m, o)
		r := s.NewRunner()
		for range 2 {
			out, err := r.Run(t.Context(), in)
			if err != nil {
				t.Fatalf("NoFuse %v: %v", o.NoFuse, err)
			}
			for i := range want {
				if d, err := distance(out[i], want[i]); err != nil || d > 1e-6 {
					t.Fatalf("NoFuse %v: output %d differs by %g, %v", o.NoFuse, i, d, err)
				}
			}
		}
	}
	return s
}

func TestFunctions(t *testing.T) {
	m := graphOf([]*onnx.ValueInfo{val("x", 2)}, []*onnx.ValueInfo{val("y", 2), val("z", 2)}, nil,
		nd("y = my.Outer x", attr("factor", 3.0)), nd("z = my.Outer x"))
	m.OpsetImports = append(m.OpsetImports, &onnx.OperatorSet{Domain: "my", Version: 1})
	imports := m.OpsetImports
	m.Functions = []*onnx.Function{
		{ // a·factor + b, b = 1 if it is left out; uses the name x for something else
			Domain: "my", Name: "Inner", Inputs: []string{"a", "b"}, Outputs: []string{"x"}, Attributes: []string{"factor"}, OpsetImports: imports,
			Nodes: []*onnx.Node{
				nd("f = Constant", &onnx.Attribute{Name: "value_float", Type: onnx.AttributeFloat, RefAttrName: "factor"}),
				nd("p = Mul a, f"), nd("m, _ = Dropout p"), nd("x = Sum m, b"),
			},
		},
		{
			Domain: "my", Name: "Outer", Inputs: []string{"v"}, Outputs: []string{"w"}, OpsetImports: imports,
			AttributeProtos: []*onnx.Attribute{attr("factor", 10.0)},
			Nodes:           []*onnx.Node{nd("t = my.Inner v, v", &onnx.Attribute{Name: "factor", Type: onnx.AttributeFloat, RefAttrName: "factor"}), nd("w = Neg t")},
		},
	}
	m.Functions[0].Nodes[2].Outputs = []string{"m"}
	s := both(t, m, []*tensor.Tensor{floats([]int{2}, 1, 2)}, floats([]int{2}, -4, -8), floats([]int{2}, -11, -22))
	if n := s.Stats().Nodes; n == 0 {
		t.Error("no nodes")
	}
	m.Functions[0].Nodes[1] = nd("p = my.Outer a")
	_, err := New(m, Options{})
	if err == nil || !strings.Contains(err.Error(), "calls itself") {
		t.Errorf("a function that calls itself: %v", err)
	}
}

// TestInputsLeftOut calls a function with fewer inputs than it has: an operator in it that may do without one does, another is an error.
func TestInputsLeftOut(t *testing.T) {
	m := graphOf([]*onnx.ValueInfo{val("x", 3)}, []*onnx.ValueInfo{val("y"), val("z"), val("w")}, map[string]*tensor.Tensor{"two": floats(nil, 2)},
		nd("y = my.Bounded x, two"), nd("z = my.Bounded x, , two"), nd("w = my.Bounded x"))
	m.OpsetImports = append(m.OpsetImports, &onnx.OperatorSet{Domain: "my", Version: 1})
	bounded := &onnx.Function{
		Domain: "my", Name: "Bounded", Inputs: []string{"a", "low", "high"}, Outputs: []string{"b"}, OpsetImports: m.OpsetImports,
		Nodes: []*onnx.Node{nd("b = Clip a, low, high")},
	}
	m.Functions = []*onnx.Function{bounded}
	both(t, m, []*tensor.Tensor{floats([]int{3}, 1, 2, 3)}, floats([]int{3}, 2, 2, 3), floats([]int{3}, 1, 2, 2), floats([]int{3}, 1, 2, 3))
	bounded.Nodes = []*onnx.Node{nd("b = PRelu a, low")}
	_, err := New(m, Options{})
	var node *NodeError
	if !errors.As(err, &node) || node.Node != "n_z/n_b" || node.Op != "PRelu" {
		t.Errorf("error %v", err)
	}
}

func TestGraphError(t *testing.T) {
	body := &onnx.Graph{Name: "b", Outputs: []*onnx.ValueInfo{val("bo")}, Nodes: []*onnx.Node{nd("bo = Fancy x")}}
	m := graphOf([]*onnx.ValueInfo{val("x", 2, 3), typed(onnx.Bool, "c")}, []*onnx.ValueInfo{val("y"), val("z"), val("w")}, nil,
		nd("y = Unheard x"), nd("a = MatMul x, x"), nd("z = other.Relu a"), nd("w = If c", attr("then_branch", body), attr("else_branch", body)),
		nd("u = Conv x"))
	m.OpsetImports = append(m.OpsetImports, &onnx.OperatorSet{Domain: "other", Version: 2})
	_, err := New(m, Options{})
	var graph *GraphError
	var model *job.ModelError
	if !errors.As(err, &graph) || !errors.As(err, &model) {
		t.Fatalf("error %v", err)
	}
	for _, want := range []string{"n_y", "Unheard of opset 20", "n_a", "MatMul", "other.Relu of opset 2", "n_w.then_branch/n_bo", "Fancy", "n_u", "Conv"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

// loopModel computes for n iterations v ← v + k where the sum of v is below limit, else v·2, and stacks v.
func loopModel() *onnx.Model {
	then := &onnx.Graph{Name: "t", Outputs: []*onnx.ValueInfo{val("t1")}, Nodes: []*onnx.Node{nd("t1 = Add v, k")}}
	other := &onnx.Graph{Name: "e", Outputs: []*onnx.ValueInfo{val("e1")}, Nodes: []*onnx.Node{nd("e1 = Add v, v")}}
	body := &onnx.Graph{
		Name: "body", Inputs: []*onnx.ValueInfo{typed(onnx.Int64, "i"), typed(onnx.Bool, "go"), val("v", 2)},
		Outputs: []*onnx.ValueInfo{typed(onnx.Bool, "on"), val("v2", 2), val("s", 2)},
		Nodes: []*onnx.Node{
			nd("on = Identity go"), nd("sum = ReduceSum v", attr("keepdims", 0)), nd("small = Less sum, limit"),
			nd("v2 = If small", attr("then_branch", then), attr("else_branch", other)), nd("s = Identity v2"),
		},
	}
	return graphOf([]*onnx.ValueInfo{typed(onnx.Int64, "n"), val("x", 2), val("k0", 2)}, []*onnx.ValueInfo{val("y", 2), val("all", "n", 2)},
		map[string]*tensor.Tensor{"limit": floats(nil, 10)}, nd("k = Neg k0"), nd("y, all = Loop n, , x", attr("body", body)))
}

func TestControlFlow(t *testing.T) {
	in := []*tensor.Tensor{tensor.Scalar(int64(4)), floats([]int{2}, 1, 2), floats([]int{2}, -3, -1)}
	// sums 3 → 7 → 11 → 22 → 44
	both(t, loopModel(), in, floats([]int{2}, 28, 16), floats([]int{4, 2}, 4, 3, 7, 4, 14, 8, 28, 16))
	in[0] = tensor.Scalar(int64(0))
	both(t, loopModel(), in, floats([]int{2}, 1, 2), floats([]int{0, 2}, 0))
}

func TestCancel(t *testing.T) {
	s := session(t, loopModel(), Options{Threads: 1})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	in := map[string]*tensor.Tensor{"n": tensor.Scalar(int64(math.MaxInt32)), "x": floats([]int{2}, 0), "k0": floats([]int{2}, 0)}
	if _, err := s.Run(ctx, in); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a loop that takes for ever: %v", err)
	}
	if _, err := s.Run(ctx, in); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a context that is over: %v", err)
	}
}

// TestCancelPacking ends the first run once weights are packed: the next goes on where it ended.
func TestCancelPacking(t *testing.T) {
	m := graphOf([]*onnx.ValueInfo{val("x", "n", 4)}, []*onnx.ValueInfo{val("y")},
		map[string]*tensor.Tensor{"v": floats([]int{4, 6}, 1, -2, 0.5), "w": floats([]int{6, 5}, 0.25, 3), "u": floats([]int{5, 7}, -1, 1, 2)},
		nd("a = MatMul x, v"), nd("r = Relu a"), nd("b = Gemm r, w"), nd("q = Tanh b"), nd("y = MatMul q, u"))
	x := map[string]*tensor.Tensor{"x": floats([]int{3, 4}, 1, -2, 0.5)}
	whole := session(t, m, Options{ISA: best(t)})
	want, err := whole.Run(t.Context(), x)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var packed []string
	s := session(t, m, Options{ISA: best(t), Release: func(w *onnx.Tensor) { packed = append(packed, w.Name); cancel() }})
	if _, err := s.Run(ctx, x); !errors.Is(err, context.Canceled) || !slices.Equal(packed, []string{"v"}) {
		t.Fatalf("interrupted: %v, packed are %q", err, packed)
	}
	got, err := s.Run(t.Context(), x)
	if err != nil || !slices.Equal(packed, []string{"v", "w", "u"}) {
		t.Fatalf("afterwards: %v, packed are %q", err, packed)
	}
	if d, err := distance(got["y"], want["y"]); err != nil || d != 0 || s.Stats().PackedBytes != whole.Stats().PackedBytes {
		t.Errorf("differs by %g, %v; %d bytes are packed, want %d", d, err, s.Stats().PackedBytes, whole.Stats().PackedBytes)
	}
}

// TestDynamicShapes runs one session with many shapes, among them those that only the data tell.
func TestDynamicShapes(t *testing.T) {
	m := graphOf([]*onnx.ValueInfo{val("x", "n", 3, "h", "w")}, []*onnx.ValueInfo{val("y"), val("positive")},
		map[string]*tensor.Tensor{"k": floats([]int{4, 3, 3, 3}, 0.1, -0.2, 0.3, 0.05, -0.1), "zero": floats(nil, 0.00625)},
		nd("c = Conv x, k", attr("pads", []int64{1, 1, 1, 1})), nd("r = Relu c"), nd("q = Conv x, k", attr("pads", []int64{1, 1, 1, 1})), nd("a = Add r, q"),
		nd("g = GlobalAveragePool a"), nd("y = Flatten g"),
		nd("where = Greater r, zero"), nd("at = NonZero where"), nd("turned = Transpose at", attr("perm", []int64{1, 0})), nd("found = GatherND r, turned"), nd("positive = Exp found"))
	s := session(t, m, Options{ISA: best(t), Threads: 2})
	r := s.NewRunner()
	for round := range 2 {
		for i, shape := range [][]int{{1, 3, 5, 5}, {2, 3, 8, 7}, {1, 3, 20, 9}, {3, 3, 4, 4}, {1, 3, 5, 5}, {1, 3, 64, 64}, {0, 3, 5, 5}, {1, 3, 6, 5}} {
			x := floats(shape, 1, -2, 0.5, 0, 3, -1, 0.25)
			got, err := r.Run(t.Context(), []*tensor.Tensor{x})
			if err != nil {
				t.Fatal(err)
			}
			want := run(t, session(t, m, Options{NoFuse: true}), []*tensor.Tensor{x})
			for k := range want {
				if d, err := distance(got[k], want[k]); err != nil || d > 1e-5 {
					t.Fatalf("round %d, shape %d, output %d differs by %g, %v", round, i, k, d, err)
				}
			}
		}
	}
	for _, wrong := range []*tensor.Tensor{floats([]int{1, 4, 5, 5}, 1), floats([]int{3, 5, 5}, 1), tensor.From(make([]float64, 75), 1, 3, 5, 5)} {
		var usage *job.UsageError
		if _, err := r.Run(t.Context(), []*tensor.Tensor{wrong}); !errors.As(err, &usage) || !strings.Contains(err.Error(), `"x"`) {
			t.Errorf("input %s: %v", wrong, err)
		}
	}
}

func TestConcurrent(t *testing.T) {
	m := blockModel()
	s := session(t, m, Options{ISA: best(t), Threads: 2})
	plain := session(t, m, Options{NoFuse: true})
	var inputs, want []*tensor.Tensor
	for n := range 4 {
		x := floats([]int{n + 1, 8, 6, 6}, 1, -2, 0.5, float32(n))
		inputs, want = append(inputs, x), append(want, run(t, plain, []*tensor.Tensor{x})[0].Clone())
	}
	var wg sync.WaitGroup
	for g := range 64 {
		wg.Go(func() {
			for i := range 5 {
				k := (g + i) % len(inputs)
				out, err := s.Run(t.Context(), map[string]*tensor.Tensor{"x": inputs[k]})
				if err != nil {
					t.Error(err)
					return
				}
				if d, err := distance(out["y"], want[k]); err != nil || d > 1e-5 {
					t.Errorf("goroutine %d differs by %g, %v", g, d, err)
				}
			}
		})
	}
	wg.Wait()
}

// blockModel is a network of the layers that are fused.
func blockModel() *onnx.Model {
	ch := []float32{0.5, 1.5, -1, 2, 1, 0.25, 3, -0.5}
	return graphOf([]*onnx.ValueInfo{val("x", "n", 8, 6, 6)}, []*onnx.ValueInfo{val("y")},
		map[string]*tensor.Tensor{
			"k": floats([]int{8, 8, 3, 3}, 0.1, -0.2, 0.3, 0.05, -0.1), "b": floats([]int{8}, ch...), "ones": floats([]int{8}, 1, 2, 0.5), "d": floats([]int{8, 1, 3, 3}, 0.3, -0.2),
			"c18": floats([]int{1, 8, 1, 1}, ch...), "pads": tensor.From([]int64{0, 0, 1, 1, 0, 0, 1, 1}, 8), "w": floats([]int{10, 8}, ch...),
		},
		nd("p = Pad x, pads"), nd("c1 = Conv p, k, b"), nd("n1 = BatchNormalization c1, ones, b, b, ones"), nd("r1 = Relu n1"),
		nd("c2 = Conv r1, d", attr("group", 8), attr("pads", []int64{1, 1, 1, 1})), nd("m2 = Mul c18, c2"), nd("s2 = Sub m2, c18"), nd("a2 = Add s2, r1"), nd("l2 = LeakyRelu a2"),
		nd("g = GlobalAveragePool l2"), nd("f = Flatten g"), nd("y = Gemm f, w", attr("transB", 1)))
}

func TestFusion(t *testing.T) {
	x := floats([]int{2, 8, 6, 6}, 1, -2, 0.5, 0.1, 3)
	m := blockModel()
	want := run(t, session(t, m, Options{NoFuse: true}), []*tensor.Tensor{x})
	s := both(t, m, []*tensor.Tensor{x}, want[0])
	if st := s.Stats(); st.Nodes != 4 || st.Repacks != 1 || st.PackedBytes == 0 {
		t.Errorf("%+v, want the nodes Conv, Conv, GlobalAveragePool and Gemm, and one repack", st)
	}
}

// TestQuantised computes a convolution between DequantizeLinear and QuantizeLinear by its codes.
func TestQuantised(t *testing.T) {
	w := make([]int8, 4*3)
	for i := range w {
		w[i] = int8(37*i%255 - 127)
	}
	m := graphOf([]*onnx.ValueInfo{val("x", 1, 3, 2, 2)}, []*onnx.ValueInfo{typed(onnx.Uint8, "y")},
		map[string]*tensor.Tensor{
			"s": tensor.Scalar(float32(0.02)), "z": tensor.Scalar(uint8(128)), "w": tensor.From(w, 4, 3, 1, 1), "ws": floats([]int{4}, 0.01, 0.02, 0.005, 0.03), "wz": tensor.From(make([]int8, 4), 4),
			"b": tensor.From([]int32{100, -2000, 0, 5}, 4), "bs": floats([]int{4}, 0.0002, 0.0004, 0.0001, 0.0006), "ys": tensor.Scalar(float32(0.05)), "yz": tensor.Scalar(uint8(0)),
		},
		nd("xq = QuantizeLinear x, s, z"), nd("xf = DequantizeLinear xq, s, z"), nd("wf = DequantizeLinear w, ws, wz", attr("axis", 0)), nd("bf = DequantizeLinear b, bs", attr("axis", 0)),
		nd("c = Conv xf, wf, bf"), nd("r = Relu c"), nd("y = QuantizeLinear r, ys, yz"))
	x := floats([]int{1, 3, 2, 2}, 1, -2, 0.5, 0.75, -1.25, 2.5, 0.1)
	var want []uint8 // by the definition, in integers
	for o := range 4 {
		for p := range 4 {
			sum := []int{100, -2000, 0, 5}[o]
			for c := range 3 {
				q := math.RoundToEven(float64(tensor.Of[float32](x)[4*c+p] / 0.02))
				sum += int(max(-128, min(127, q))) * int(w[3*o+c])
			}
			v := math.RoundToEven(float64(sum) * 0.02 * []float64{0.01, 0.02, 0.005, 0.03}[o] / 0.05)
			want = append(want, uint8(max(0, min(255, v))))
		}
	}
	s := both(t, m, []*tensor.Tensor{x}, tensor.From(want, 1, 4, 2, 2))
	for _, n := range s.main.nodes {
		if n.is("Conv", "DequantizeLinear") {
			t.Errorf("node %s is left", n.name)
		}
	}
}

// TestFusionOpenSize finds two values equal in size although nothing is known of it.
func TestFusionOpenSize(t *testing.T) {
	m := graphOf([]*onnx.ValueInfo{val("x", "n", 3, "h", "w")}, []*onnx.ValueInfo{val("y")},
		map[string]*tensor.Tensor{"k": floats([]int{3, 3, 3, 3}, 0.1, -0.2, 0.3, 0.05)},
		nd("a = Conv x, k", attr("strides", []int64{2, 2})), nd("r = Relu a"), nd("b = Conv r, k", attr("pads", []int64{1, 1, 1, 1})), nd("y = Add b, r"))
	s := session(t, m, Options{ISA: best(t)})
	for _, shape := range [][]int{{1, 3, 9, 8}, {2, 3, 3, 3}} {
		x := floats(shape, 1, -2, 0.5)
		if d, err := distance(run(t, s, []*tensor.Tensor{x})[0], run(t, session(t, m, Options{NoFuse: true}), []*tensor.Tensor{x})[0]); err != nil || d > 1e-5 {
			t.Errorf("%v differs by %g, %v", shape, d, err)
		}
	}
	if n := len(s.main.nodes); n != 2 {
		t.Errorf("%d nodes, want 2", n)
	}
}

func TestNoAllocation(t *testing.T) {
	if raced {
		t.Skip("under the race detector pools forget at random")
	}
	for name, m := range map[string]*onnx.Model{"float32": blockModel(), "float16": halfModel()} {
		s := session(t, m, Options{ISA: best(t), Threads: 2})
		r := s.NewRunner()
		in := []*tensor.Tensor{floats([]int{2, 8, 6, 6}, 1, -2, 0.5)}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if n := testing.AllocsPerRun(100, func() {
			if _, err := r.Run(ctx, in); err != nil {
				t.Fatal(err)
			}
		}); n >= 1 { // the collector may empty a pool now and then
			t.Errorf("%s: %g allocations a run", name, n)
		}
	}
}

// halfModel computes in float16.
func halfModel() *onnx.Model {
	half := attr("to", int(onnx.Float16))
	return graphOf([]*onnx.ValueInfo{val("x", "n", 8, 6, 6)}, []*onnx.ValueInfo{val("y")},
		nil, nd("h = Cast x", half), nd("c = AveragePool h", attr("kernel_shape", []int64{3, 3})), nd("s = Sigmoid c"), nd("m = Mul s, c"),
		nd("r = ReduceMean m", attr("keepdims", 0)), nd("d = Sub m, r"), nd("y = Cast d", attr("to", int(onnx.Float))))
}

func TestProfile(t *testing.T) {
	s := session(t, blockModel(), Options{ISA: best(t), Threads: 1, Profile: true})
	r := s.NewRunner()
	if r.Profile() != nil {
		t.Error("a profile before the first run")
	}
	in := []*tensor.Tensor{floats([]int{2, 8, 6, 6}, 1, -2, 0.5)}
	var sum, whole time.Duration
	for range 20 {
		start := time.Now()
		if _, err := r.Run(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		whole += time.Since(start)
		for _, o := range r.Profile() {
			if o.Time < 0 {
				t.Errorf("%+v", o)
			}
			sum += o.Time
		}
	}
	if sum > whole || sum < whole*8/10 {
		t.Errorf("the parts take %v of %v", sum, whole)
	}
	macs := int64(0)
	for _, o := range r.Profile() {
		macs += o.MACs
	}
	if want := int64(2 * (8*8*9*36 + 8*9*36 + 8*10)); macs != want || s.Stats().MACs != want {
		t.Errorf("%d and %d MACs, want %d", macs, s.Stats().MACs, want)
	}
}

// TestArchive runs a model from an archive, from which the answers are the same bits.
func TestArchive(t *testing.T) {
	dir := t.TempDir()
	var buf bytes.Buffer
	m := blockModel()
	if _, err := archive.Write(t.Context(), &buf, m, archive.Options{}); err != nil {
		t.Fatal(err)
	}
	packed := filepath.Join(dir, "m.effml")
	if err := os.WriteFile(packed, buf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(dir, "m.onnx")
	if _, err := onnx.Save(plain, m, onnx.SaveOptions{External: onnx.Separate, Threshold: 1}); err != nil {
		t.Fatal(err)
	}
	in := []*tensor.Tensor{floats([]int{2, 8, 6, 6}, 1, -2, 0.5)}
	want := run(t, session(t, m, Options{ISA: best(t)}), in)[0]
	for _, path := range []string{packed, plain} {
		s := load(t, path, Options{ISA: best(t)})
		if got := run(t, s, in)[0]; !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Errorf("%s gives other bits", path)
		}
		if len(s.Files()) == 0 {
			t.Errorf("%s has no files", path)
		}
	}
}

// TestTruncated shortens the file under a running session: a fault that must become an error.
func TestTruncated(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux lets a mapped file shrink")
	}
	w := floats([]int{1 << 18, 8}, 1)
	m := graphOf([]*onnx.ValueInfo{val("x", 1, 8)}, []*onnx.ValueInfo{val("y")}, map[string]*tensor.Tensor{"w": w}, nd("y = Gemm x, w", attr("transB", 1)))
	path := filepath.Join(t.TempDir(), "m.onnx")
	if _, err := onnx.Save(path, m, onnx.SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, threads := range []int{1, 2} {
		s := load(t, path, Options{ISA: best(t), Threads: threads})
		if err := os.Truncate(path, 100); err != nil {
			t.Fatal(err)
		}
		in := []*tensor.Tensor{floats([]int{1, 8}, 1)}
		if _, err := s.NewRunner().Run(t.Context(), in); err == nil || !strings.Contains(err.Error(), "unreadable") {
			t.Errorf("%d threads: %v", threads, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if _, err := onnx.Save(path, m, onnx.SaveOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}
