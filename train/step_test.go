package train

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/effml/effml/internal/modelfile"
	"github.com/effml/effml/internal/testkit"
	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// sharedModel opens a model of the shared data.
func sharedModel(t testing.TB, name string) *onnx.Model {
	f, err := modelfile.Open(testkit.Shared(t, "data", "models", name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f.Model
}

// crossEntropyOf makes a network of a classifier with the cross entropy as loss, and a batch of random numbers.
func crossEntropyOf(t testing.TB, m *onnx.Model, batch, classes int) (*network, map[string]*tensor.Tensor) {
	x, logits := m.Graph.Inputs[0], m.Graph.Outputs[0].Name
	if last := m.Graph.Nodes[len(m.Graph.Nodes)-1]; last.OpType == "Softmax" {
		logits = last.Inputs[0]
	}
	shape := []int{batch}
	for _, d := range x.Type.Tensor.Shape.Dims[1:] {
		shape = append(shape, int(*d.Value))
	}
	r := rand.New(rand.NewPCG(1, 2))
	in, err := tensor.New(onnx.Float, shape...)
	if err != nil {
		t.Fatal(err)
	}
	for i := range tensor.Of[float32](in) {
		tensor.Of[float32](in)[i] = float32(r.NormFloat64())
	}
	labels := make([]int64, batch)
	for i := range labels {
		labels[i] = r.Int64N(int64(classes))
	}
	fields := map[string]*tensor.Tensor{x.Name: in, "labels": tensor.From(labels, batch)}
	st, err := newStore([]Model{{Model: m}})
	if err != nil {
		t.Fatal(err)
	}
	loss := func(f *Formula, _ *Values) (string, error) { return f.CrossEntropy(logits, "labels", classes, 0), nil }
	n, _, err := assemble(st, Pass{Loss: loss}, fieldsOf(&Batch{Fields: fields}), func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	fields[seedField] = tensor.Scalar(int64(1))
	return n, fields
}

// TestStepGradients compares the gradients of a whole step with differences of the loss along random directions.
func TestStepGradients(t *testing.T) {
	for _, name := range []string{"lenet5_caffe_mnist.onnx", "resnet20_cifar10.onnx"} {
		m := sharedModel(t, name)
		n, batch := crossEntropyOf(t, m, 4, 10)
		cpu := kernel.NewCPU(kernel.Options{Threads: 2})
		t.Cleanup(cpu.Close)
		s, err := NewEngine(cpu).compile(n)
		if err != nil {
			t.Fatal(err)
		}
		loss, err := s.run(t.Context(), batch)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d segments, loss %v", name, len(s.places), loss)
		r := rand.New(rand.NewPCG(3, 4))
		for range 3 {
			slope := 0.0
			direction := map[*parameter][]float32{}
			for _, w := range m.Graph.Initializers {
				p := n.parameters[w.Name]
				if p == nil {
					continue
				}
				d := make([]float32, p.value.Len())
				g := p.gradient()
				for i := range d {
					d[i] = g[i]*float32(r.Float64()) + float32(r.NormFloat64()*1e-4)
					slope += float64(d[i]) * float64(g[i])
				}
				direction[p] = d
			}
			at := func(h float32) float64 {
				for p, d := range direction {
					v := tensor.Of[float32](p.value)
					for i := range v {
						v[i] += h * d[i]
					}
				}
				saved := map[*parameter]*tensor.Tensor{}
				for p := range direction {
					saved[p] = p.grad.Clone()
				}
				l, err := s.run(t.Context(), batch)
				if err != nil {
					t.Fatal(err)
				}
				for p, d := range direction {
					copy(p.grad.Bytes(), saved[p].Bytes())
					v := tensor.Of[float32](p.value)
					for i := range v {
						v[i] -= h * d[i]
					}
				}
				return float64(l)
			}
			h := float32(1e-2 / math.Sqrt(slope))
			got := (at(h) - at(-h)) / (2 * float64(h))
			if math.Abs(got-slope) > 0.02*math.Abs(slope) {
				t.Errorf("%s: slope %g by differences, %g by gradients", name, got, slope)
			}
		}
	}
}
