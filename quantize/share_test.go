package quantize

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/effml/effml/internal/rewrite/rewritetest"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
)

// rewriteCase is an initializer, how it is quantised and how the graph is to say so.
type rewriteCase struct {
	name   string
	dt     onnx.DataType
	dims   []int64
	opset  int64
	ir     int64
	size   int
	grid   bool
	levels int // k, or the limit of a grid
	nodes  []string
	python bool // ONNX Runtime has kernels for it
}

func rewriteCases() []rewriteCase {
	return []rewriteCase{
		{"share", onnx.Float, []int64{6, 5, 3, 3}, 13, 8, 0, false, 16, []string{"Cast", "Gather"}, true},
		{"share, 256 levels", onnx.Float, []int64{40, 30}, 13, 8, 0, false, 256, []string{"Cast", "Gather"}, true},
		{"share, IR 3", onnx.Float, []int64{10, 7}, 8, 3, 0, false, 8, []string{"Cast", "Gather"}, true},
		{"share, opset 5", onnx.Float, []int64{10, 7}, 5, 3, 0, false, 8, []string{"Gather"}, false},
		{"share rows", onnx.Float, []int64{6, 50}, 17, 8, 50, false, 64, []string{"Cast", "Gather"}, true},
		{"share, float16", onnx.Float16, []int64{12, 9}, 13, 8, 0, false, 8, []string{"Cast", "Gather"}, true},
		{"share, bfloat16", onnx.BFloat16, []int64{12, 9}, 13, 8, 0, false, 8, []string{"Cast", "Gather"}, false},
		{"share, double", onnx.Double, []int64{12, 9}, 13, 8, 0, false, 8, []string{"Cast", "Gather"}, true},
		{"grid", onnx.Float, []int64{6, 5, 3, 3}, 10, 5, 0, true, 127, []string{"DequantizeLinear"}, true},
		{"grid rows", onnx.Float, []int64{6, 5, 3, 3}, 13, 8, 45, true, 127, []string{"DequantizeLinear"}, true},
		{"grid blocks", onnx.Float, []int64{6, 5, 32}, 21, 10, 8, true, 127, []string{"DequantizeLinear"}, true},
		{"grid, 16 bits", onnx.Float, []int64{60}, 21, 10, 0, true, 30000, []string{"DequantizeLinear"}, true},
		{"grid, vector", onnx.Float, []int64{60}, 13, 10, 0, true, 60, []string{"DequantizeLinear"}, true},
		{"grid, float16", onnx.Float16, []int64{12, 9}, 13, 8, 9, true, 127, []string{"DequantizeLinear", "Cast"}, true},
		{"grid, bfloat16", onnx.BFloat16, []int64{12, 9}, 13, 8, 0, true, 127, []string{"DequantizeLinear", "Cast"}, false},
		{"grid, double", onnx.Double, []int64{12, 9}, 13, 8, 0, true, 127, []string{"DequantizeLinear", "Cast"}, true},
		{"share, 4 bits", onnx.Float, []int64{5, 7}, 21, 10, 0, false, 16, []string{"Cast", "Gather"}, true},
		{"share rows, 16 bits", onnx.Float, []int64{6, 400}, 11, 6, 400, false, 120, []string{"Cast", "Gather"}, true},
	}
}

// model returns a model whose W has the case's type and shape, and its quantisers.
func (c rewriteCase) model(t *testing.T) (*onnx.Model, Grouped) {
	t.Helper()
	n := 1
	for _, d := range c.dims {
		n *= int(d)
	}
	w := laplace(n, 0.1, uint64(n))
	raw := make([]byte, n*c.dt.Bits()/8)
	onnx.PutFloats(raw, c.dt, w)
	tensor := &onnx.Tensor{Name: "W", DataType: c.dt, Dims: c.dims}
	tensor.SetBytes(raw)
	src, err := TensorSource(tensor)
	if err != nil {
		t.Fatal(err)
	}
	round, err := RoundTo(c.dt)
	if err != nil {
		t.Fatal(err)
	}
	g, _, err := Groups(src, c.size, func(src Source) (Quantizer, Stats, error) {
		if c.grid {
			return Grid(src, 0.6/float32(c.levels), GridOptions{Limit: int32(c.levels), Round: round})
		}
		return KMeans(src, KMeansOptions{K: c.levels, KeepZero: true, Round: round})
	})
	if err != nil {
		t.Fatal(err)
	}
	return rewritetest.Constant(c.opset, c.ir, tensor), g
}

// rewritten returns the rewritten model and the values that it must yield, in raw layout.
func (c rewriteCase) rewritten(t *testing.T) (*onnx.Model, []byte) {
	t.Helper()
	m, g := c.model(t)
	w := m.Graph.Initializers[0]
	n, err := w.NumElements()
	if err != nil {
		t.Fatal(err)
	}
	v, codes := make([]float32, n), make([]int32, n)
	if err := w.ReadFloats(v, 0); err != nil {
		t.Fatal(err)
	}
	g.Codes(codes, v, 0)
	g.Values(v, codes, 0)
	want := make([]byte, int(n)*c.dt.Bits()/8)
	onnx.PutFloats(want, c.dt, v)
	rewrite := Share
	if c.grid {
		rewrite = Linear
	}
	if err := rewrite(m, m.Graph, "W", g); err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	return m, want
}

func TestRewritesFoldBack(t *testing.T) {
	for _, c := range rewriteCases() {
		t.Run(c.name, func(t *testing.T) {
			m, want := c.rewritten(t)
			if p := onnx.Check(m); len(p) > 0 {
				t.Errorf("the rewritten model: %v", p)
			}
			var nodes []string
			for _, n := range m.Graph.Nodes {
				nodes = append(nodes, n.OpType)
			}
			if !slices.Equal(nodes, append(slices.Clone(c.nodes), "Identity")) {
				t.Errorf("nodes %v", nodes)
			}
			if inputs := len(m.Graph.Inputs); c.ir < 4 && inputs != len(m.Graph.Initializers) || c.ir >= 4 && inputs != 0 {
				t.Errorf("%d graph inputs in IR version %d", inputs, c.ir)
			}
			if n, err := ops.Fold(m); n != len(c.nodes) || err != nil {
				t.Fatalf("%d nodes folded, %v", n, err)
			}
			if len(m.Graph.Nodes) != 1 || len(m.Graph.Initializers) != 1 || m.Graph.Initializers[0].Name != "W" {
				t.Fatalf("%d nodes and %d initializers are left", len(m.Graph.Nodes), len(m.Graph.Initializers))
			}
			w := m.Graph.Initializers[0]
			if got, err := w.Bytes(); err != nil || !bytes.Equal(got, want) || w.DataType != c.dt || !slices.Equal(w.Dims, c.dims) {
				t.Errorf("W comes back as %v %v with other bits, %v", w.DataType, w.Dims, err)
			}
			if p := onnx.Check(m); len(p) > 0 {
				t.Errorf("the folded model: %v", p)
			}
		})
	}
}

func TestRewritesInRuntime(t *testing.T) {
	var models []*onnx.Model
	var wants [][]byte
	var names []string
	for _, c := range rewriteCases() {
		if !c.python {
			continue
		}
		m, want := c.rewritten(t)
		models, wants, names = append(models, m), append(wants, want), append(names, c.name)
	}
	for i, got := range rewritetest.FirstOutputs(t, models...) {
		if !bytes.Equal(got, wants[i]) {
			t.Errorf("%s: ONNX Runtime computes other bits", names[i])
		}
	}
}

func TestRewriteKeepsNamesApart(t *testing.T) {
	c := rewriteCases()[0]
	m, g := c.model(t)
	m.Graph.Nodes = append(m.Graph.Nodes, &onnx.Node{OpType: "Identity", Name: "W.share", Inputs: []string{"W"}, Outputs: []string{"W.codes"}})
	m.Graph.Inputs = append(m.Graph.Inputs, &onnx.ValueInfo{Name: "W", Type: m.Graph.Outputs[0].Type})
	if err := Share(m, m.Graph, "W", g); err != nil {
		t.Fatal(err)
	}
	if p := onnx.Check(m); len(p) > 0 {
		t.Errorf("names collide: %v", p)
	}
	if len(m.Graph.Inputs) != 0 || m.Graph.Initializers[1].Name != "W.codes.1" || m.Graph.Nodes[1].Name != "W.share.1" {
		t.Errorf("inputs %v, codes %q, node %q", m.Graph.Inputs, m.Graph.Initializers[1].Name, m.Graph.Nodes[1].Name)
	}
}

func TestRewriteRefuses(t *testing.T) {
	cases := rewriteCases()
	share, books := cases[0].model(t)
	grid, grids := cases[8].model(t)
	var r *RewriteError
	for msg, err := range map[string]error{
		"grid as codebook": Share(grid, grid.Graph, "W", grids),
		"codebook as grid": Linear(share, share.Graph, "W", books),
		"too few groups":   Share(share, share.Graph, "W", Grouped{Size: 9, Q: books.Q}),
		"odd groups":       Linear(share, share.Graph, "W", Grouped{Size: 27, Q: slices.Repeat(grids.Q, 10)}),
		"old opset for rows": Linear(grid, grid.Graph, "W",
			Grouped{Size: 45, Q: slices.Repeat(grids.Q, 6)}),
		"old opset for 16 bits": Linear(grid, grid.Graph, "W", Grouped{Q: []Quantizer{{Step: 1, Min: -300, Max: 300}}}),
	} {
		if !errors.As(err, &r) || r.Tensor != "W" || r.Error() != fmt.Sprintf("quantize: rewrite tensor %q: %s", "W", r.Msg) {
			t.Errorf("%s: %v", msg, err)
		}
	}
	for _, rewrite := range []func(*onnx.Model, *onnx.Graph, string, Grouped) error{Share, Linear} {
		if err := rewrite(share, share.Graph, "V", books); err == nil {
			t.Error("a tensor that is not there is rewritten")
		}
	}
	bad := &onnx.Tensor{Name: "W", DataType: onnx.Float, Dims: []int64{2}}
	raw := make([]byte, 8)
	onnx.PutFloats(raw, onnx.Float, []float32{1, float32(math.NaN())})
	bad.SetBytes(raw)
	m := rewritetest.Constant(13, 8, bad)
	var v *ValueError
	if err := Share(m, m.Graph, "W", books); !errors.As(err, &v) || v.Index != 1 {
		t.Errorf("NaN: %v", err)
	}
	if err := Linear(m, m.Graph, "W", grids); !errors.As(err, &v) || v.Index != 1 {
		t.Errorf("NaN: %v", err)
	}
	m.Graph.Initializers[0] = &onnx.Tensor{Name: "W", DataType: onnx.Int64, Dims: []int64{2}}
	if err := Share(m, m.Graph, "W", books); err == nil {
		t.Error("an integer tensor is rewritten")
	}
	if len(share.Graph.Nodes) != 1 || len(grid.Graph.Nodes) != 1 {
		t.Error("a refused rewrite has changed the graph")
	}
}
