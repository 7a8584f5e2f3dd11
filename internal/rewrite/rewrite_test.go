package rewrite

import (
	"errors"
	"fmt"
	"testing"

	"github.com/effml/effml/onnx"
)

func named(names ...string) (list []*onnx.Tensor) {
	for _, n := range names {
		list = append(list, NewTensor(n, onnx.Uint8, []int64{1}, []byte{0}))
	}
	return list
}

func TestExchange(t *testing.T) {
	for _, c := range []struct {
		ir   int64
		old  []string
		want string
	}{
		{8, []string{"b"}, "[a x y c] [in c]"},
		{8, []string{"c", "a"}, "[x y b] [in b]"},
		{3, []string{"b"}, "[a x y c] [in x y c]"},
		{3, []string{"c", "b"}, "[a x y] [in x y]"},
		{3, nil, "[a b c x y] [in b c]"},
	} {
		g := &onnx.Graph{Initializers: named("a", "b", "c")}
		for _, x := range named("in", "b", "c") {
			g.Inputs = append(g.Inputs, Info(x))
		}
		initializers, inputs := g.Initializers, g.Inputs
		Exchange(&onnx.Model{IRVersion: c.ir}, g, c.old, named("x", "y"))
		var a, b []string
		for _, x := range g.Initializers {
			a = append(a, x.Name)
		}
		for _, x := range g.Inputs {
			b = append(b, x.Name)
		}
		if got := fmt.Sprintf("%v %v", a, b); got != c.want {
			t.Errorf("IR version %d, without %v: %s, want %s", c.ir, c.old, got, c.want)
		}
		if initializers[1].Name != "b" || initializers[2].Name != "c" || inputs[1].Name != "b" {
			t.Error("the old slices have changed")
		}
	}
}

func TestNames(t *testing.T) {
	sub := &onnx.Graph{Nodes: []*onnx.Node{{Name: "deep", Outputs: []string{"w.codes"}}}}
	m := &onnx.Model{
		Graph: &onnx.Graph{
			Nodes:              []*onnx.Node{{Inputs: []string{"w"}, Attributes: []*onnx.Attribute{{G: sub}}}},
			Inputs:             []*onnx.ValueInfo{{Name: "in"}},
			SparseInitializers: []*onnx.SparseTensor{{Values: &onnx.Tensor{Name: "sparse"}}, {}},
		},
		TrainingInfo: []*onnx.TrainingInfo{{Algorithm: &onnx.Graph{Initializers: named("rate")}}},
	}
	n := NewNames(m)
	for base, want := range map[string]string{"w.codes": "w.codes.1", "in": "in.1", "sparse": "sparse.1", "rate": "rate.1", "deep": "deep.1", "new": "new"} {
		if got := n.Fresh(base); got != want {
			t.Errorf("%q becomes %q, want %q", base, got, want)
		}
	}
	if got := n.Fresh("new"); got != "new.1" {
		t.Errorf("%q is given twice", got)
	}
	stop := errors.New("stop")
	for i := range 3 {
		seen := 0
		err := Graphs(m, func(*onnx.Graph) error {
			if seen++; seen > i {
				return stop
			}
			return nil
		})
		if !errors.Is(err, stop) || seen != i+1 {
			t.Errorf("the visit ends after %d graphs, %v", seen, err)
		}
	}
	if Opset(m) != 1 || Opset(&onnx.Model{OpsetImports: []*onnx.OperatorSet{{Domain: "x", Version: 3}, {Domain: "ai.onnx", Version: 12}}}) != 12 {
		t.Error("wrong opset")
	}
}
