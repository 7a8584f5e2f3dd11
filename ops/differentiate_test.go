package ops

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// TestDifferentiateErrors checks what is refused, and that it is named.
func TestDifferentiateErrors(t *testing.T) {
	node := func(op, out string, attrs []*onnx.Attribute, in ...string) *onnx.Node {
		return &onnx.Node{Name: "node " + out, OpType: op, Inputs: in, Outputs: []string{out}, Attributes: attrs}
	}
	vector := Info{Type: onnx.Float, Shape: MakeShape(4)}
	for _, c := range []struct {
		name string
		d    Differentiation
		want []string // parts of the error
	}{
		{
			"nodes without a gradient, all of them",
			Differentiation{
				Nodes: []*onnx.Node{node("Det", "b", nil, "m"), node("TfIdf", "c", nil, "m"), node("Add", "y", nil, "b", "c"), node("Det", "unused", nil, "m")},
				Known: map[string]Info{"m": {Type: onnx.Float, Shape: MakeShape(2, 2)}}, Seeds: map[string]string{"y": ""}, Wrt: []string{"m"},
			},
			[]string{`node "node b": operator Det has no gradient`, "\nnode \"node c\": gradient of TfIdf: operator TfIdf"},
		},
		{
			"an attribute without a gradient",
			Differentiation{Nodes: []*onnx.Node{node("CumProd", "y", nil, "x", "axis")}, Known: map[string]Info{"x": vector, "axis": {Type: onnx.Int64, Shape: MakeShape()}}, Seeds: map[string]string{"y": ""}, Wrt: []string{"x"}},
			[]string{`node "node y": gradient of CumProd: cumulative products`},
		},
		{
			"an operator that does not exist",
			Differentiation{Nodes: []*onnx.Node{node("Frobnicate", "y", nil, "x")}, Known: map[string]Info{"x": vector}, Seeds: map[string]string{"y": ""}, Wrt: []string{"x"}},
			[]string{`node "node y": gradient of Frobnicate: operator Frobnicate of opset 28 is not supported`},
		},
		{
			"integers",
			Differentiation{Nodes: []*onnx.Node{node("Neg", "y", nil, "x")}, Known: map[string]Info{"x": {Type: onnx.Int32, Shape: MakeShape(4)}}, Seeds: map[string]string{"y": ""}, Wrt: []string{"x"}},
			[]string{`"x" is of type int32, which has no gradient`},
		},
		{
			"a shape that is not known",
			Differentiation{Nodes: []*onnx.Node{node("Neg", "y", nil, "x")}, Known: map[string]Info{"x": {Type: onnx.Float, Shape: Shape{Unknown}}}, Seeds: map[string]string{"y": ""}, Wrt: []string{"x"}},
			[]string{`"y"`, "shape [?] is not known"},
		},
		{
			"a seed of another shape",
			Differentiation{Nodes: []*onnx.Node{node("Neg", "y", nil, "x")}, Known: map[string]Info{"x": vector, "dy": {Type: onnx.Float, Shape: MakeShape(5)}}, Seeds: map[string]string{"y": "dy"}, Wrt: []string{"x"}},
			[]string{`seed of "y": float32[5] in place of float32[4]`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.d.Opset = 28
			_, err := Differentiate(c.d)
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q lacks %q", err, part)
				}
			}
		})
	}
}

// TestDifferentiateReaches checks that nothing is computed that is not asked for, and that the program itself stays as it is.
func TestDifferentiateReaches(t *testing.T) {
	nodes := []*onnx.Node{
		{OpType: "Mul", Inputs: []string{"x", "w"}, Outputs: []string{"a"}},
		{OpType: "Dropout", Inputs: []string{"a", "r", "t"}, Outputs: []string{"b"}},
		{OpType: "Sin", Inputs: []string{"b"}, Outputs: []string{"y"}},
		{OpType: "Det", Inputs: []string{"m"}, Outputs: []string{"z"}}, // behind nothing that is asked for
	}
	known := map[string]Info{
		"x": {Type: onnx.Float, Shape: MakeShape(2, 2)}, "w": {Type: onnx.Float, Shape: MakeShape(2)}, "m": {Type: onnx.Float, Shape: MakeShape(2, 2)},
		"r": {Type: onnx.Float, Shape: MakeShape()}, "t": Of(tensor.Scalar(true)), "grad/1/Constant": {Type: onnx.Float, Shape: MakeShape(1)},
	}
	d, err := Differentiate(Differentiation{Nodes: nodes, Opset: 20, Known: known, Seeds: map[string]string{"y": "", "z": ""}, Wrt: []string{"w", "m2"}})
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, n := range d.Nodes[len(nodes):] {
		kinds = append(kinds, n.OpType)
		if n.Domain != Domain || slices.Contains(n.Outputs, "grad/1/Constant") {
			t.Errorf("node %v", n)
		}
	}
	if n := occurrences(kinds, "Mul"); n != 2 { // of Sin and of w; not of x
		t.Errorf("%d products in %v", n, kinds)
	}
	if len(nodes[1].Outputs) != 1 || len(d.Nodes[1].Outputs) != 2 {
		t.Errorf("outputs %v of the program's node, %v of the derivative's", nodes[1].Outputs, d.Nodes[1].Outputs)
	}
	if g, ok := d.Gradients["w"]; !ok || !slices.Equal(g.Dims(), []int{2}) || len(d.Gradients) != 1 {
		t.Errorf("gradients are %v", d.Gradients)
	}
	var none *UndifferentiableError
	_, err = Differentiate(Differentiation{Nodes: nodes, Opset: 20, Known: known, Seeds: map[string]string{"y": "", "z": ""}, Wrt: []string{"m", "w"}})
	if !errors.As(err, &none) || len(none.Nodes) != 1 || none.Nodes[0].Operator != "Det" || none.Nodes[0].Node != "z" {
		t.Errorf("error %v", err)
	}
}

func occurrences(list []string, what string) (n int) {
	for _, s := range list {
		if s == what {
			n++
		}
	}
	return n
}
