package infer

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/modelgen"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// mutate changes a few things of the nodes of a model: operators, attributes, names, types, shapes.
func mutate(r *rand.Rand, m *onnx.Model) {
	g, names := m.Graph, ops.Supported()
	numbers := []int64{0, 1, 2, 3, 7, -1, -2, 100, 1 << 20, 1 << 40, 1<<63 - 1, -1 << 63}
	number := func() int64 { return numbers[r.IntN(len(numbers))] }
	values := []string{""}
	for _, t := range g.Initializers {
		values = append(values, t.Name)
	}
	for _, v := range g.Inputs {
		values = append(values, v.Name)
	}
	for range 1 + r.IntN(4) {
		if len(g.Nodes) == 0 {
			return
		}
		n := g.Nodes[r.IntN(len(g.Nodes))]
		switch r.IntN(7) {
		case 0:
			n.OpType, n.Domain = names[r.IntN(len(names))], ""
		case 1:
			if len(n.Inputs) > 0 {
				n.Inputs[r.IntN(len(n.Inputs))] = values[r.IntN(len(values))]
			}
		case 2:
			n.Inputs = append(n.Inputs, values[r.IntN(len(values))])
		case 3:
			name := []string{"axis", "axes", "perm", "pads", "strides", "kernel_shape", "group", "to", "keepdims", "k", "hidden_size", "shape", "blocksize"}[r.IntN(13)]
			a := &onnx.Attribute{Name: name, Type: onnx.AttributeInt, I: number()}
			if r.IntN(2) == 0 {
				a.Type = onnx.AttributeInts
				for range r.IntN(5) {
					a.Ints = append(a.Ints, number())
				}
			}
			n.Attributes = append(slices.DeleteFunc(n.Attributes, func(b *onnx.Attribute) bool { return b.Name == name }), a)
		case 4:
			v := ints(number(), number())
			name := "shape" + strings.Repeat("_", len(values))
			g.Initializers, values = append(g.Initializers, v.ToONNX(name)), append(values, name)
			n.Inputs = append(n.Inputs[:min(1, len(n.Inputs))], name)
		case 5:
			if len(n.Attributes) > 0 {
				n.Attributes = slices.Delete(n.Attributes, 0, 1)
			}
		case 6:
			m.OpsetImports[0].Version = int64(1 + r.IntN(28))
		}
	}
}

// FuzzRun loads, outlines and runs small models that were changed at random: errors, but no panic and no memory without bounds.
func FuzzRun(f *testing.F) {
	for i := range uint64(40) {
		f.Add(i, i)
	}
	f.Fuzz(func(t *testing.T, which, seed uint64) {
		models := modelgen.Generate(1, int(which%60)+1)
		m := models[len(models)-1]
		mutate(rand.New(rand.NewPCG(seed, which)), m)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		outline, err := Outline(m, nil)
		if err != nil {
			t.Errorf("no outline: %v", err)
		} else if _, err := Outline(m, outline.OneSample()); err != nil {
			t.Errorf("no outline for one sample: %v", err)
		}
		err = fuzzRun(m)
		runtime.ReadMemStats(&after)
		var node *NodeError
		if errors.As(err, &node) && strings.Contains(err.Error(), "internal error") {
			t.Errorf("a panic: %v", err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<30 {
			t.Errorf("%d bytes were allocated for %v", n, err)
		}
	})
}

func fuzzRun(m *onnx.Model) error {
	s, err := New(m, Options{Threads: 1, MaxBytes: 64 << 20})
	if err != nil {
		return err
	}
	defer s.Close()
	in := map[string]*tensor.Tensor{}
	for _, v := range s.Inputs() {
		shape := make([]int, len(v.Shape))
		for i, d := range v.Shape {
			shape[i] = max(1, min(d.N, 64))
		}
		x, err := tensor.New(v.Type, shape...)
		if err != nil {
			return &job.ModelError{Err: err}
		}
		in[v.Name] = x
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err = s.Run(ctx, in)
	return err
}
