package zoo_test

import (
	"math"
	"testing"

	"github.com/effml/effml/internal/testkit"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

func shared(t *testing.T, name string) *onnx.Model {
	t.Helper()
	f, err := onnx.Open(testkit.Shared(t, "data", "models", name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f.Model
}

// Trained models of other sources compute the same with their weights in our networks. Where they lack a normalisation, it was folded into the
// convolution before it.
func TestTrainedModels(t *testing.T) {
	for _, c := range []struct{ spec, file string }{
		{"resnet20", "resnet20_cifar10.onnx"},
		{"lenet5", "lenet5_caffe_mnist.onnx"},
		{"squeezenet1_1,size=227", "squeezenet1.1_imagenet.onnx"},
		{"mobilenet_v1,width=0.25,size=96,classes=2", "vww_mobilenetv1_025_96_float.onnx"},
	} {
		t.Run(c.spec, func(t *testing.T) {
			theirs := shared(t, c.file)
			spec, ours := build(t, c.spec)
			transplant(t, ours, theirs)
			want := logits(t, theirs, spec.Options.Input, 2, spec.Options.Classes)
			got := logits(t, ours, spec.Options.Input, 2, spec.Options.Classes)
			var worst, largest float64
			for i, v := range tensor.Of[float32](want) {
				worst = max(worst, math.Abs(float64(v-tensor.Of[float32](got)[i])))
				largest = max(largest, math.Abs(float64(v)))
			}
			if !(worst <= 1e-4*largest) || largest == 0 {
				t.Errorf("differs by %g, the largest is %g", worst, largest)
			}
		})
	}
}

// transplant copies the weights of convolutions and linear layers, in the order of the nodes, and what normalises them.
func transplant(t *testing.T, to, from *onnx.Model) {
	t.Helper()
	initializer := func(m *onnx.Model, name string) *onnx.Tensor {
		for _, w := range m.Graph.Initializers {
			if w.Name == name {
				return w
			}
		}
		t.Fatalf("no initializer %q", name)
		return nil
	}
	set := func(name string, w *onnx.Tensor) {
		raw, err := w.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		initializer(to, name).SetBytes(raw)
		if n, _ := w.NumElements(); int64(len(raw)) != 4*n {
			t.Fatalf("%s: %d bytes", name, len(raw))
		}
	}
	layers := func(m *onnx.Model, op ...string) (list []*onnx.Node) {
		for _, n := range m.Graph.Nodes {
			for _, op := range op {
				if n.OpType == op {
					list = append(list, n)
				}
			}
		}
		return list
	}
	a, b := layers(to, "Conv", "Gemm"), layers(from, "Conv", "Gemm")
	if len(a) != len(b) {
		t.Fatalf("%d layers, theirs has %d", len(a), len(b))
	}
	norms, theirNorms := layers(to, "BatchNormalization"), layers(from, "BatchNormalization")
	for i, n := range a {
		set(n.Inputs[1], initializer(from, b[i].Inputs[1]))
		if len(n.Inputs) > 2 {
			set(n.Inputs[2], initializer(from, b[i].Inputs[2]))
			continue
		}
		if len(theirNorms) > 0 {
			continue
		}
		epsilon := norms[i].Attributes[0].F // variance and mean are 1 and 0
		bias := initializer(from, b[i].Inputs[2])
		scale := make([]float32, bias.Dims[0])
		for k := range scale {
			scale[k] = float32(math.Sqrt(1 + float64(epsilon)))
		}
		set(norms[i].Inputs[1], tensor.From(scale, len(scale)).ToONNX(""))
		set(norms[i].Inputs[2], bias)
	}
	for i, n := range theirNorms {
		for k := 1; k < 5; k++ {
			set(norms[i].Inputs[k], initializer(from, n.Inputs[k]))
		}
	}
}
