package infer

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/modelfile"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// TestPublishedMACs compares with what the literature and torchvision's table of weights say of networks, in 10⁹, or in the case of
// the small ones in 10⁶: LeNet-5 of Caffe by hand, ResNet-20 of He et al. (2016) with option A, MLPerf Tiny's wake-words network.
func TestPublishedMACs(t *testing.T) {
	figures := map[string]float64{
		"alexnet": 0.71e9, "vgg16": 15.47e9, "resnet18": 1.81e9, "resnet50": 4.09e9, "densenet121": 2.83e9, "squeezenet1_1": 0.35e9, "mobilenet_v2": 0.30e9,
		"mobilenet_v3_large": 0.22e9, "shufflenet_v2_x1_0": 0.14e9, "efficientnet_b0": 0.39e9, "vit_b_16": 17.56e9, "swin_t": 4.49e9, "convnext_tiny": 4.46e9,
		"regnet_y_400mf": 0.40e9, "googlenet": 1.50e9, "mnasnet1_0": 0.31e9,
		"lenet5_caffe_mnist": 2.293e6, "resnet20_cifar10": 40.55e6, "vww_mobilenetv1_025_96_float": 7.49e6, "mobilenet_v2_imagenet_dequantised": 0.30e9,
	}
	seen := 0
	for _, path := range models(t) {
		name := strings.TrimSuffix(filepath.Base(path), ".onnx")
		want, ok := figures[name]
		if !ok {
			continue
		}
		seen++
		f, err := modelfile.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		o, err := Outline(f.Model, nil)
		if err == nil {
			o, err = Outline(f.Model, o.OneSample())
		}
		if err != nil {
			t.Fatal(err)
		}
		var macs int64
		for _, n := range o.Nodes {
			if n.Unknown != nil {
				t.Errorf("%s: node %s: %v", name, n.Name, n.Unknown)
			}
			macs += n.Cost.MACs
		}
		unit := math.Pow(10, math.Floor(math.Log10(want))-1) // of the last digit, in figures of two digits
		if want >= 1e9 || want < 1e8 {
			unit /= 10
		}
		if math.Abs(float64(macs)-want) > 0.55*unit {
			t.Errorf("%s: %d MACs, published are %.4g", name, macs, want)
		}
		f.Close()
	}
	if seen == 0 {
		t.Skip("none of the networks is there")
	}
}

// handCounted has a node of every kind of which MACs are counted, and some of which they are not.
func handCounted() *onnx.Model {
	body := &onnx.Graph{
		Name: "body", Inputs: []*onnx.ValueInfo{typed(onnx.Int64, "i"), typed(onnx.Bool, "go"), val("v")}, Outputs: []*onnx.ValueInfo{typed(onnx.Bool, "on"), val("v2")},
		Nodes: []*onnx.Node{nd("on = Identity go"), nd("v2 = MatMul v, square")},
	}
	long := &onnx.Graph{Name: "t", Outputs: []*onnx.ValueInfo{val("t2")}, Nodes: []*onnx.Node{nd("t1 = MatMul v1, square"), nd("t2 = MatMul t1, square")}}
	short := &onnx.Graph{Name: "e", Outputs: []*onnx.ValueInfo{val("e1")}, Nodes: []*onnx.Node{nd("e1 = Identity v1")}}
	twice := &onnx.Function{
		Name: "Twice", Domain: "own", Inputs: []string{"a", "b"}, Outputs: []string{"c"}, OpsetImports: []*onnx.OperatorSet{{Version: 20}},
		Nodes: []*onnx.Node{{OpType: "MatMul", Name: "once", Inputs: []string{"a", "b"}, Outputs: []string{"m"}}, {OpType: "MatMul", Name: "again", Inputs: []string{"m", "b"}, Outputs: []string{"c"}}},
	}
	m := graphOf([]*onnx.ValueInfo{val("x", "n", 3, "h", 9), typed(onnx.Bool, "c")}, []*onnx.ValueInfo{val("y"), val("u"), val("lost"), val("v3"), val("z")},
		map[string]*tensor.Tensor{
			"w": floats([]int{8, 3, 3, 3}, 1), "d": floats([]int{8, 1, 3, 3}, 1), "up": floats([]int{8, 4, 2, 2}, 1), "fc": floats([]int{10, 8}, 1), "b": floats([]int{10}, 1),
			"square": floats([]int{10, 10}, 1), "trips": tensor.Scalar(int64(7)), "big": floats([]int{100, 100}, 1), "lw": floats([]int{1, 20, 3}, 1), "lr": floats([]int{1, 20, 5}, 1),
			"seq": floats([]int{6, 2, 3}, 1),
		},
		nd("a = Conv x, w", attr("strides", []int64{2, 2}), attr("pads", []int64{1, 1, 1, 1})),
		nd("r = Relu a"),
		nd("e = Conv r, d", attr("group", 8), attr("pads", []int64{1, 1, 1, 1})),
		nd("u = ConvTranspose e, up", attr("strides", []int64{2, 2})),
		nd("g = GlobalAveragePool e"), nd("f = Flatten g"), nd("y = Gemm f, fc, b", attr("transB", 1)),
		nd("v1 = Loop trips, , y", attr("body", body)),
		nd("v3 = If c", attr("then_branch", long), attr("else_branch", short)),
		nd("k = own.Twice y, square"),
		nd("s, h = LSTM seq, lw, lr", attr("hidden_size", 5)),
		nd("z = Exp k"),
		nd("lost = Unheard y"), nd("gone = MatMul lost, big"))
	m.OpsetImports = append(m.OpsetImports, &onnx.OperatorSet{Domain: "own", Version: 1})
	m.Functions = []*onnx.Function{twice}
	return m
}

func TestOutline(t *testing.T) {
	const size = 8 * 4 * 5 // of a: [n, 8, 4, 5] of h = 7
	want := map[string]int64{
		"n_a": size * 27, "n_r": 0, "n_e": size * 9, "n_u": size * 16, "n_g": 0, "n_f": 0, "n_y": 80, "n_v1": 7 * 100, "n_v3": 200, "n_k/once": 100, "n_k/again": 100,
		"n_s, h": 6 * 2 * 20 * (3 + 5), "n_z": 0, "n_lost": -1, "n_gone": -1,
	}
	o, err := Outline(handCounted(), map[string]ops.Shape{"x": ops.MakeShape(1, 3, 7, 9)})
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Nodes) != len(want) {
		t.Errorf("%d nodes, want %d", len(o.Nodes), len(want))
	}
	for _, n := range o.Nodes {
		macs, ok := want[n.Name]
		if !ok || (n.Unknown != nil) != (macs < 0) || n.Unknown == nil && n.Cost.MACs != macs {
			t.Errorf("%s: %d MACs, %v; want %d", n.Name, n.Cost.MACs, n.Unknown, macs)
		}
	}
	if n := o.Nodes[0]; n.Cost.Bytes != 4*(3*7*9+8*27+size) || n.Op != "Conv" || n.Outputs[0].String() != "a: float32[1,8,4,5]" {
		t.Errorf("%+v", n)
	}
	for i, reason := range map[int]string{len(want) - 2: "Unheard", len(want) - 1: `which node "n_lost" computes`} {
		if n := o.Nodes[i]; n.Unknown == nil || !strings.Contains(n.Unknown.Error(), reason) {
			t.Errorf("%s: %v", n.Name, n.Unknown)
		}
	}
}

// TestOutlineOpen leaves dimensions open: shapes keep their names, and costs are not known.
func TestOutlineOpen(t *testing.T) {
	o, err := Outline(handCounted(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := o.Nodes[0]; n.Unknown == nil || n.Outputs[0].String() != "a: float32[n,8,?,5]" || !strings.Contains(n.Unknown.Error(), `input "x", [n,3,h,9], is open`) {
		t.Errorf("%+v", n)
	}
	if n := o.Nodes[6]; n.Name != "n_y" || n.Outputs[0].String() != "y: float32[n,10]" {
		t.Errorf("%+v", n)
	}
	for _, c := range []struct {
		shape ops.Shape
		input string
	}{{ops.MakeShape(1, 3, 7), "x"}, {ops.MakeShape(1, 4, 7, 9), "x"}, {ops.MakeShape(1), "nothing"}} {
		var usage *job.UsageError
		if _, err := Outline(handCounted(), map[string]ops.Shape{c.input: c.shape}); !errors.As(err, &usage) || !strings.Contains(err.Error(), c.input) {
			t.Errorf("%s of shape %s: %v", c.input, c.shape, err)
		}
	}
}

// TestOutlineRun counts as a run does.
func TestOutlineRun(t *testing.T) {
	for _, batch := range []int{1, 3} {
		m := blockModel()
		o, err := Outline(m, map[string]ops.Shape{"x": ops.MakeShape(batch, 8, 6, 6)})
		if err != nil {
			t.Fatal(err)
		}
		var macs int64
		for _, n := range o.Nodes {
			macs += n.Cost.MACs
		}
		s := session(t, m, Options{})
		run(t, s, []*tensor.Tensor{floats([]int{batch, 8, 6, 6}, 1)})
		if got := s.Stats().MACs; got != macs {
			t.Errorf("batch %d: a run counts %d, the outline %d", batch, got, macs)
		}
	}
}

// TestOutlineReads checks that values are left where they are.
func TestOutlineReads(t *testing.T) {
	m := handCounted()
	for _, n := range m.Graph.Initializers {
		if n.Name == "big" {
			n.Dims = []int64{1 << 20, 1 << 20} // which there are not
			n.SetBytes(make([]byte, outlineBytes+1))
		}
	}
	m.Graph.Nodes = append(m.Graph.Nodes, nd("p = Constant", attr("value", floats([]int{100, 100}, 1))), nd("q = MatMul p, p"))
	o, err := Outline(m, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := o.Nodes[len(o.Nodes)-1]; n.Cost.MACs != 1e6 || fmt.Sprint(n.Outputs) != "[q: float32[100,100]]" {
		t.Errorf("%+v", n)
	}
}
