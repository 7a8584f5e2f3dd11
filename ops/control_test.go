package ops

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// graphOf writes a graph in short: nodes as "out, out = Op(in, in)".
func graphOf(in, out []string, nodes ...string) *onnx.Graph {
	g := &onnx.Graph{}
	names := func(list string) (out []string) {
		for _, n := range strings.Split(list, ",") {
			if n = strings.TrimSpace(n); n != "" {
				out = append(out, n)
			}
		}
		return out
	}
	for _, n := range in {
		g.Inputs = append(g.Inputs, &onnx.ValueInfo{Name: n})
	}
	for _, n := range out {
		g.Outputs = append(g.Outputs, &onnx.ValueInfo{Name: n})
	}
	for _, n := range nodes {
		left, right, _ := strings.Cut(n, " = ")
		op, args, _ := strings.Cut(right, "(")
		g.Nodes = append(g.Nodes, &onnx.Node{OpType: op, Inputs: names(strings.TrimSuffix(args, ")")), Outputs: names(left)})
	}
	return g
}

func graphAttr(name string, g *onnx.Graph) *onnx.Attribute {
	return &onnx.Attribute{Name: name, Type: onnx.AttributeGraph, G: g}
}

// runGraph infers and runs a graph and compares what was inferred with what came out.
func runGraph(t *testing.T, g *onnx.Graph, opset int64, in ...*tensor.Tensor) []*tensor.Tensor {
	t.Helper()
	b, err := newGraphBody(g, opset, nil)
	if err != nil {
		t.Fatal(err)
	}
	info, err := b.Infer(describeAll(in))
	if err != nil {
		t.Fatal(err)
	}
	out, err := b.Run(&Call{CPU: newTestCPU(t), Limit: 1 << 20}, in)
	if err != nil {
		t.Fatal(err)
	}
	if err := (trial{want: out}).inferred(info); err != nil {
		t.Error(err)
	}
	return out
}

func wantFloats(t *testing.T, what string, got *tensor.Tensor, shape []int, want ...float32) {
	t.Helper()
	if !slices.Equal(got.Shape, shape) || !slices.Equal(tensor.Of[float32](got), want) {
		t.Errorf("%s: %s %v, want %v %v", what, got, tensor.Of[float32](got), shape, want)
	}
}

func TestIf(t *testing.T) {
	g := graphOf([]string{"cond", "x"}, []string{"y"}, "y = If(cond)")
	g.Nodes[0].Attributes = []*onnx.Attribute{
		graphAttr("then_branch", graphOf(nil, []string{"a"}, "a = Add(x, x)")),
		// A branch within a branch sees the outermost values.
		graphAttr("else_branch", graphOf(nil, []string{"b"}, "n = Not(cond)", "b = If(n)")),
	}
	g.Nodes[0].Attributes[1].G.Nodes[1].Attributes = []*onnx.Attribute{
		graphAttr("then_branch", graphOf(nil, []string{"c"}, "c = Concat(x, x)")),
		graphAttr("else_branch", graphOf(nil, []string{"c"}, "c = Identity(x)")),
	}
	g.Nodes[0].Attributes[1].G.Nodes[1].Attributes[0].G.Nodes[0].Attributes = []*onnx.Attribute{intAttr("axis", 0)}
	x := tensor.From([]float32{1, 2}, 2)
	wantFloats(t, "then", runGraph(t, g, 16, tensor.Scalar(true), x)[0], []int{2}, 2, 4)
	wantFloats(t, "else", runGraph(t, g, 16, tensor.Scalar(false), x)[0], []int{4}, 1, 2, 1, 2)
}

// loopGraph is a loop that carries a growing list and a number that doubles; each iteration shows the number and i.
func loopGraph() *onnx.Graph {
	body := graphOf([]string{"i", "cond", "list", "n"}, []string{"go", "longer", "twice", "n", "i"},
		"longer = Concat(list, n)", "twice = Add(n, n)", "small = Less(twice, bound)", "go = Squeeze(small)")
	body.Nodes[0].Attributes = []*onnx.Attribute{intAttr("axis", 0)}
	g := graphOf([]string{"m", "cond", "list", "n", "bound"}, []string{"l", "last", "all", "is"}, "l, last, all, is = Loop(m, cond, list, n)")
	g.Nodes[0].Attributes = []*onnx.Attribute{graphAttr("body", body)}
	return g
}

func TestLoop(t *testing.T) {
	one := func(v float32) *tensor.Tensor { return tensor.From([]float32{v}, 1) }
	for _, c := range []struct {
		what   string
		trips  int64
		cond   bool
		bound  float32
		shown  []float32
		number float32
	}{
		{"trip count", 3, true, 1000, []float32{1, 2, 4}, 8},
		{"condition", 100, true, 20, []float32{1, 2, 4, 8, 16}, 32},
		{"no iteration", 0, true, 20, nil, 1},
		{"false at first", 5, false, 20, nil, 1},
	} {
		out := runGraph(t, loopGraph(), 13, tensor.Scalar(c.trips), tensor.Scalar(c.cond), one(0), one(1), one(c.bound))
		wantFloats(t, c.what+": list", out[0], []int{1 + len(c.shown)}, append([]float32{0}, c.shown...)...)
		wantFloats(t, c.what+": number", out[1], []int{1}, c.number)
		if !slices.Equal(tensor.Of[float32](out[2]), c.shown) || !slices.Equal(out[2].Shape, []int{len(c.shown), 1}) {
			t.Errorf("%s: scan output is %s %v", c.what, out[2], tensor.Of[float32](out[2]))
		}
		for i, v := range tensor.Of[int64](out[3]) {
			if v != int64(i) {
				t.Errorf("%s: iteration %d is %d", c.what, i, v)
			}
		}
	}
}

// TestLoopLimit stops a loop whose scan outputs would fill the memory.
func TestLoopLimit(t *testing.T) {
	body := graphOf([]string{"i", "cond"}, []string{"cond", "x"}, "x = Identity(big)")
	g := graphOf([]string{"big"}, []string{"y"}, "y = Loop()")
	g.Nodes[0].Inputs = []string{"", ""}
	g.Nodes[0].Attributes = []*onnx.Attribute{graphAttr("body", body)}
	b, err := newGraphBody(g, 13, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Run(&Call{CPU: newTestCPU(t), Limit: 1 << 16}, []*tensor.Tensor{tensor.From(make([]float32, 1000), 1000)})
	var limit *LimitError
	if !errors.As(err, &limit) {
		t.Errorf("an endless loop gives %v", err)
	}
}

// TestScan adds up columns of x from the last to the first, and writes the sums to the columns of y in the same order.
func TestScan(t *testing.T) {
	body := graphOf([]string{"sum", "row", "same"}, []string{"next", "next", "same"}, "next = Add(sum, row)")
	g := graphOf([]string{"zero", "x", "w"}, []string{"total", "sums", "copy"}, "total, sums, copy = Scan(zero, x, w)")
	g.Nodes[0].Attributes = []*onnx.Attribute{
		graphAttr("body", body), intAttr("num_scan_inputs", 2), intsAttr("scan_input_axes", -1, 0), intsAttr("scan_input_directions", 1, 0),
		intsAttr("scan_output_axes", 1, 0), intsAttr("scan_output_directions", 1, 0),
	}
	x := tensor.From([]float32{1, 2, 3, 10, 20, 30}, 2, 3)
	w := tensor.From([]float32{7, 8, 9}, 3)
	out := runGraph(t, g, 11, tensor.From([]float32{0, 100}, 2), x, w)
	wantFloats(t, "total", out[0], []int{2}, 6, 160)
	wantFloats(t, "sums", out[1], []int{2, 3}, 6, 5, 3, 160, 150, 130)
	wantFloats(t, "copy", out[2], []int{3}, 7, 8, 9)
	out = runGraph(t, g, 11, tensor.From([]float32{0, 100}, 2), tensor.From([]float32{}, 2, 0), tensor.From([]float32{}, 0))
	wantFloats(t, "total of nothing", out[0], []int{2}, 0, 100)
	wantFloats(t, "sums of nothing", out[1], []int{2, 0})
}

// TestScanBatch is operator set 8: sequences of their own lengths.
func TestScanBatch(t *testing.T) {
	body := graphOf([]string{"sum", "x"}, []string{"next", "next"}, "next = Add(sum, x)")
	g := graphOf([]string{"lens", "zero", "x"}, []string{"total", "sums"}, "total, sums = Scan(lens, zero, x)")
	g.Nodes[0].Attributes = []*onnx.Attribute{graphAttr("body", body), intAttr("num_scan_inputs", 1)}
	x := tensor.From([]float32{1, 2, 3, 10, 20, 30}, 2, 3, 1)
	out := runGraph(t, g, 8, tensor.From([]int64{3, 2}, 2), tensor.From([]float32{0, 0}, 2, 1), x)
	wantFloats(t, "total", out[0], []int{2, 1}, 6, 30)
	wantFloats(t, "sums", out[1], []int{2, 3, 1}, 1, 3, 6, 10, 30, 0)
}

func TestControlMalformed(t *testing.T) {
	empty := graphOf(nil, nil)
	sequence := graphOf(nil, []string{"s"})
	sequence.Outputs[0].Type = &onnx.TypeProto{Sequence: &onnx.SequenceType{}}
	for name, c := range map[string]struct {
		node  string
		attrs []*onnx.Attribute
		want  string
	}{
		"no branch":       {"y = If(c)", []*onnx.Attribute{graphAttr("then_branch", empty)}, "else_branch"},
		"branch outputs":  {"y = If(c)", []*onnx.Attribute{graphAttr("then_branch", empty), graphAttr("else_branch", empty)}, "outputs"},
		"sequence":        {"y = If(c)", []*onnx.Attribute{graphAttr("then_branch", sequence), graphAttr("else_branch", empty)}, "sequences"},
		"loop inputs":     {"y = Loop(m)", []*onnx.Attribute{graphAttr("body", empty)}, "inputs"},
		"loop body":       {"y = Loop(m, c, x)", []*onnx.Attribute{graphAttr("body", empty)}, "inputs"},
		"loop outputs":    {"y = Loop(m, c)", []*onnx.Attribute{graphAttr("body", graphOf([]string{"i", "c"}, nil))}, "outputs"},
		"scan inputs":     {"y = Scan(x)", []*onnx.Attribute{graphAttr("body", empty)}, "num_scan_inputs"},
		"scan body":       {"y = Scan(x)", []*onnx.Attribute{graphAttr("body", empty), intAttr("num_scan_inputs", 1)}, "inputs"},
		"scan directions": {"y = Scan(x)", []*onnx.Attribute{graphAttr("body", graphOf([]string{"x"}, []string{"x"})), intAttr("num_scan_inputs", 1), intsAttr("scan_input_directions", 1, 1)}, "scan_input_directions"},
	} {
		n := graphOf(nil, nil, c.node).Nodes[0]
		n.Attributes = c.attrs
		_, err := newBodyNode(n, 13)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestNonMaxSuppression compares with the definition: a box is taken unless one taken before overlaps it.
func TestNonMaxSuppression(t *testing.T) {
	cpu := newTestCPU(t)
	rng := rand.New(rand.NewPCG(5, 5))
	const images, classes, n = 2, 3, 40
	boxes, scores := make([]float32, images*n*4), make([]float32, images*classes*n)
	for i := range boxes {
		boxes[i] = float32(rng.IntN(12))
	}
	for i := range scores {
		scores[i] = float32(rng.IntN(10)) / 10
	}
	iou := func(a, b []float32) float64 {
		side := func(i int) (both, one, other float64) {
			a0, a1, b0, b1 := min(a[i], a[i+2]), max(a[i], a[i+2]), min(b[i], b[i+2]), max(b[i], b[i+2])
			return math.Max(0, float64(min(a1, b1)-max(a0, b0))), float64(a1 - a0), float64(b1 - b0)
		}
		h, ha, hb := side(0)
		w, wa, wb := side(1)
		if h*w == 0 {
			return 0
		}
		return h * w / (ha*wa + hb*wb - h*w)
	}
	var want []int64
	for image := range images {
		for class := range classes {
			taken := 0
			alive := make([]bool, n)
			for i := range alive {
				alive[i] = scores[(image*classes+class)*n+i] > 0.25
			}
			for taken < 7 {
				best := -1
				for i, s := range scores[(image*classes+class)*n:][:n] {
					if alive[i] && (best < 0 || s > scores[(image*classes+class)*n+best]) {
						best = i
					}
				}
				if best < 0 {
					break
				}
				want = append(want, int64(image), int64(class), int64(best))
				taken++
				for i := range alive {
					alive[i] = alive[i] && i != best && iou(boxes[(image*n+i)*4:], boxes[(image*n+best)*4:]) <= 0.3
				}
			}
		}
	}
	out, err := apply(t, cpu, "NonMaxSuppression", nil, 1, tensor.From(boxes, images, n, 4), tensor.From(scores, images, classes, n),
		tensor.Scalar[int64](7), tensor.Scalar[float32](0.3), tensor.Scalar[float32](0.25))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(tensor.Of[int64](out[0]), want) {
		t.Errorf("takes %v, want %v", tensor.Of[int64](out[0]), want)
	}
}
