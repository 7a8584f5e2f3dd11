package fit

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/effml/effml/configs"
	"github.com/effml/effml/dataset"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/rewrite"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
	"github.com/effml/effml/train"
	"github.com/effml/effml/zoo"
)

func TestRecipesOfTheProgram(t *testing.T) {
	for _, name := range configs.Recipes() {
		r, err := LoadRecipe(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if r.Description == "" {
			t.Errorf("%s: no description", name)
		}
		if spec, ok := strings.CutPrefix(r.Model, "zoo:"); ok {
			if _, err := zoo.Parse(spec); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	// the paper's schedule: 0.1, a tenth after 32,000 of 64,000 steps, a hundredth after 48,000
	r, err := LoadRecipe("cifar10-resnet-20-paper")
	if err != nil {
		t.Fatal(err)
	}
	perEpoch := 45000 / 128
	if total := r.Epochs * perEpoch; math.Abs(float64(total)-64000) > 200 {
		t.Errorf("%d steps, the paper has 64,000", total)
	}
	for step, want := range map[int]float64{31000: 0.1, 33000: 0.01, 47000: 0.01, 49000: 0.001} {
		if rate := r.Schedule.RateAt(train.Position{Step: step, PerEpoch: perEpoch, Total: r.Epochs * perEpoch}); math.Abs(rate-want) > 1e-9 {
			t.Errorf("rate of step %d is %v, the paper has %v", step, rate, want)
		}
	}
}

func TestRecipeErrors(t *testing.T) {
	for text, want := range map[string]string{
		"version: 1\nepochs: 1\nbatch: 1\nschedule: {rate: 1, kindd: step}":                                          `line 4: unknown key "kindd"; did you mean "kind"`,
		"version: 2\nepochs: 1\nbatch: 1\nschedule: {rate: 1}":                                                       "line 1: version: 2 is not supported",
		"version: 1\nepochs: 1\nbatch: 1\nschedule: {kind: cosine}":                                                  "line 4: schedule.rate: 0 is out of range",
		"version: 1\nepochs: 1\nbatch: 1\nschedule: {rate: 1}\nloss:\n- kind: mse\n- {kind: hinges}":                 `line 7: loss[1].kind: "hinges" is unknown; did you mean "hinge"`,
		"version: 1\nepochs: 1\nbatch: 1\nschedule: {rate: 1}\naugment:\n  flip: 2":                                  "line 6: augment.flip: 2 is no probability",
		"version: 1\nepochs: 1\nbatch: 1\nschedule: {rate: 1}\nsolver: {kind: adamm}":                                `line 5: solver.kind: "adamm" is unknown`,
		"version: 1\nepochs: 1\nbatch: 1\nschedule: {rate: 1}\nvalidation: 1":                                        "line 5: validation: 1 is out of range",
		"version: 1\nepochs: many\nbatch: 1\nschedule: {rate: 1}":                                                    "line 2: cannot unmarshal",
		"version: 1\nepochs: 1\nbatch: 1\nschedule: {rate: 1}\npreprocess: {scale: 1/0}\nselect: top5\nnew-head: -1": `line 5: "1/0" is not a finite number`,
	} {
		path := filepath.Join(t.TempDir(), "my.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := LoadRecipe(path)
		var usage *job.UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// layer makes a classifier that ends in one of the forms of a last layer, over features [N, 3] or [N, 3, 2, 2].
func layer(form string) *onnx.Model {
	w := func(name string, dims ...int64) *onnx.Tensor {
		n := int64(1)
		for _, d := range dims {
			n *= d
		}
		return rewrite.NewTensor(name, onnx.Float, dims, make([]byte, 4*n))
	}
	ints := func(name string, v ...int64) *onnx.Tensor { return tensor.From(v, len(v)).ToONNX(name) }
	node := func(op, out string, in ...string) *onnx.Node {
		return &onnx.Node{Name: out, OpType: op, Inputs: in, Outputs: []string{out}}
	}
	g := &onnx.Graph{Name: "g"}
	value := func(name string, dims ...int64) *onnx.ValueInfo {
		v := rewrite.Info(&onnx.Tensor{Name: name, DataType: onnx.Float, Dims: dims})
		return v
	}
	g.Outputs = []*onnx.ValueInfo{value("y", 1, 5)}
	g.Inputs = []*onnx.ValueInfo{value("x", 1, 3)}
	switch form {
	case "gemm":
		g.Nodes = []*onnx.Node{node("Gemm", "y", "x", "w", "b")}
		g.Initializers = []*onnx.Tensor{w("w", 3, 5), w("b", 5)}
	case "transposed, soft-max":
		gemm := node("Gemm", "z", "x", "w", "b")
		gemm.Attributes = []*onnx.Attribute{rewrite.Int("transB", 1)}
		g.Nodes = []*onnx.Node{gemm, node("Softmax", "y", "z")}
		g.Initializers = []*onnx.Tensor{w("w", 5, 3), w("b", 1, 5)}
	case "matmul, add":
		g.Nodes = []*onnx.Node{node("MatMul", "z", "x", "w"), node("Add", "y", "b", "z")}
		g.Initializers = []*onnx.Tensor{w("w", 3, 5), w("b", 5)}
	case "conv, reshape":
		g.Inputs = []*onnx.ValueInfo{value("x", 1, 3, 2, 2)}
		g.Nodes = []*onnx.Node{node("Conv", "c", "x", "w", "b"), node("Relu", "r", "c"), node("GlobalAveragePool", "p", "r"), node("Reshape", "y", "p", "shape")}
		g.Initializers = []*onnx.Tensor{w("w", 5, 3, 1, 1), w("b", 5), ints("shape", 1, 5)}
	case "shared":
		g.Nodes = []*onnx.Node{node("Gemm", "h", "x", "w", "b"), node("Gemm", "y", "h", "w", "b")}
		g.Initializers = []*onnx.Tensor{w("w", 5, 5), w("b", 5)}
	case "none":
		g.Nodes = []*onnx.Node{node("Sigmoid", "y", "x")}
	}
	return &onnx.Model{IRVersion: 8, OpsetImports: []*onnx.OperatorSet{{Version: 17}}, Graph: g}
}

func TestNewHead(t *testing.T) {
	for _, form := range []string{"gemm", "transposed, soft-max", "matmul, add", "conv, reshape"} {
		m := layer(form)
		if !openBatch(m) || openBatch(m) {
			t.Errorf("%s: the batch is fixed, and then it is not", form)
		}
		h, err := findHead(m)
		if err != nil {
			t.Errorf("%s: %v", form, err)
			continue
		}
		if h.classes != 5 || h.fanIn != 3 {
			t.Errorf("%s: %d classes of %d features", form, h.classes, h.fanIn)
		}
		names := h.replace(7, rand.New(rand.NewPCG(1, 2)))
		if !reflect.DeepEqual(names, []string{"w", "b"}) {
			t.Errorf("%s: replaced %v", form, names)
		}
		w, err := rewrite.Initializer(m.Graph, "w")
		if err != nil {
			t.Fatal(err)
		}
		values := make([]float32, 21)
		if err := w.ReadFloats(values, 0); err != nil {
			t.Errorf("%s: %v", form, err)
		}
		bound := float32(1 / math.Sqrt(3))
		if lo, hi := slices.Min(values), slices.Max(values); lo < -bound || hi > bound || lo > -bound/2 || hi < bound/2 {
			t.Errorf("%s: weights from %v to %v, want them uniform in ±%v", form, lo, hi, bound)
		}
		if n := lastDimension(m); n != 7 {
			t.Errorf("%s: the output has %d classes", form, n)
		}
		if problems := onnx.Check(m); len(problems) > 0 {
			t.Errorf("%s: %v", form, problems)
		}
		if form == "conv, reshape" {
			shape, err := rewrite.Initializer(m.Graph, m.Graph.Nodes[3].Inputs[1])
			if err != nil {
				t.Fatal(err)
			}
			if s, err := tensor.FromONNX(shape); err != nil || !slices.Equal(tensor.Of[int64](s), []int64{0, 7}) {
				t.Errorf("the shape of the output is %v, %v", s, err)
			}
		}
		if h, err := findHead(m); err != nil || h.classes != 7 {
			t.Errorf("%s: the new layer is not found: %v", form, err)
		}
	}
	for _, form := range []string{"shared", "none"} {
		var model *job.ModelError
		if _, err := findHead(layer(form)); !errors.As(err, &model) {
			t.Errorf("%s: %v", form, err)
		}
	}
}

// TestHoldOut holds out a part of what is trained on, and nothing of what is tested.
func TestHoldOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d.csv")
	text := "a,label\n" + strings.Repeat("1,0\n2,1\n", 100)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		split, want map[string]string
	}{
		{nil, map[string]string{"train": "0.9", "val": "0.1"}},
		{map[string]string{"train": "0.8", "test": "0.2"}, map[string]string{"train": "0.72", "val": "0.08", "test": "0.2"}},
		{map[string]string{"train": "0:100", "test": "100:200"}, map[string]string{"train": "0:90", "val": "90:100", "test": "100:200"}},
		{map[string]string{"train": "0.8", "val": "0.2"}, map[string]string{"train": "0.8", "val": "0.2"}},
		{map[string]string{"test": "0.2"}, map[string]string{"test": "0.2"}},
	} {
		set, err := dataset.Open(&dataset.Spec{Path: path, Split: c.split})
		if err != nil {
			t.Fatal(err)
		}
		r := &run{set: set, recipe: &Recipe{Validation: 0.1}}
		r.holdOut()
		if got := set.Spec.Split; !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v becomes %v, want %v", c.split, got, c.want)
		}
		set.Close()
	}
}

// TestMetricsAfterResume: rows that an interrupted training wrote after its last checkpoint are replaced when they are computed again.
func TestMetricsAfterResume(t *testing.T) {
	folder, top1 := t.TempDir(), 50.0
	row := func(epoch int, loss float64) train.Metrics {
		return train.Metrics{Epoch: epoch, Step: 10 * epoch, Loss: job.Float(loss), Top1: &top1, Val: &train.Score{Top1: 40}}
	}
	first := newRecorder(job.Discard)
	if err := first.open(folder, false); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		first.Row(row(i+1, 1))
	}
	second := newRecorder(job.Discard)
	if err := second.open(folder, true); err != nil {
		t.Fatal(err)
	}
	second.Row(row(2, 0.5))
	if err := second.close(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(folder, "metrics.csv"))
	if err != nil {
		t.Fatal(err)
	}
	want := "epoch,step,rate,loss,top1,val_loss,val_top1,val_top5,samples_per_s,wall_s,best\n1,10,0,1,50,0,40,0,0,0,\n2,20,0,0.5,50,0,40,0,0,0,\n"
	if string(got) != want {
		t.Errorf("%s, want\n%s", got, want)
	}
}
