package zoo_test

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/effml/effml/infer"
	"github.com/effml/effml/internal/isa"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
	"github.com/effml/effml/zoo"
)

func build(t testing.TB, text string) (zoo.Spec, *onnx.Model) {
	t.Helper()
	spec, err := zoo.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if testing.Short() && spec.Parameters > 5e6 {
		t.Skip("it takes a while to fill so many weights with random numbers")
	}
	m, err := spec.Model()
	if err != nil {
		t.Fatal(err)
	}
	return spec, m
}

// counts returns what training changes, the running statistics beside it, and the MACs for one sample.
func counts(t testing.TB, m *onnx.Model) (parameters, statistics, macs int64) {
	t.Helper()
	for _, w := range m.Graph.Initializers {
		n, err := w.NumElements()
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case w.DataType != onnx.Float || len(w.Dims) == 0: // shapes, limits, ratios
		case strings.Contains(w.Name, ".running_"):
			statistics += n
		default:
			parameters += n
		}
	}
	o, err := infer.Outline(m, nil)
	if err == nil {
		o, err = infer.Outline(m, o.OneSample())
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range o.Nodes {
		if n.Unknown != nil {
			t.Errorf("%s: %v", n.Name, n.Unknown)
		}
		macs += n.Cost.MACs
	}
	return parameters, statistics, macs
}

// Every network has the counts that the table states, and computes logits for any batch.
func TestNetworks(t *testing.T) {
	for _, n := range zoo.Networks() {
		t.Run(n.Name, func(t *testing.T) {
			_, m := build(t, n.Name)
			parameters, _, macs := counts(t, m)
			if parameters != n.Parameters || macs != n.MACs {
				t.Errorf("%d parameters and %d MACs, the table says %d and %d", parameters, macs, n.Parameters, n.MACs)
			}
			logits(t, m, n.Input, 2, n.Classes)
		})
	}
}

// logits runs m on noise.
func logits(t *testing.T, m *onnx.Model, input [3]int, batch, classes int) *tensor.Tensor {
	t.Helper()
	s, err := infer.New(m, infer.Options{ISA: isa.Best()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.NewRunner().Run(t.Context(), []*tensor.Tensor{noise(t, input, batch)})
	if err != nil {
		t.Fatal(err)
	}
	y := out[0].Clone()
	if len(y.Shape) != 2 || y.Shape[0] != batch || y.Shape[1] != classes {
		t.Fatalf("logits %v, want [%d, %d]", y.Shape, batch, classes)
	}
	for _, v := range tensor.Of[float32](y) {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			t.Fatalf("logits are not finite")
		}
	}
	return y
}

// slim counts no parameters of normalisation.
const slim = "TF-Slim, table of MobileNetV2 checkpoints"

// noise is an input, always the same.
func noise(t *testing.T, input [3]int, batch int) *tensor.Tensor {
	t.Helper()
	x, err := tensor.New(onnx.Float, batch, input[0], input[1], input[2])
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range tensor.Of[float32](x) {
		tensor.Of[float32](x)[i] = float32(rng.NormFloat64())
	}
	return x
}

// What was published, to the digits given: millions of parameters and of MACs.
var published = []struct {
	spec, source      string
	parameters        float64
	parameterDecimals int
	macs              float64
	macDecimals       int
}{
	{"lenet_300_100", "Han et al., Learning both Weights and Connections, 2015, tables 1 and 2 (532 kFLOP of two each)", 0.267, 3, 0.266, 3},
	{"lenet5", "the same, tables 1 and 3 (4,586 kFLOP)", 0.431, 3, 2.293, 3},
	{"alexnet", "torchvision, table of pre-trained weights", 61.100840, 6, 710, -1},
	{"vgg16", "torchvision", 138.357544, 6, 15470, -1},
	{"vgg16_cifar", "Lin et al., HRank, 2020, table 2; Li et al., Pruning Filters, 2017, table 1 has 15 and 313", 14.99, 2, 313, 0},
	{"resnet20", "He et al. 2016, table 6; MACs from He et al., Soft Filter Pruning, 2018, table 2", 0.27, 2, 40.6, 1},
	{"resnet32", "the same", 0.46, 2, 68.9, 1},
	{"resnet56", "the same", 0.85, 2, 125, 0},
	{"resnet110", "the same", 1.7, 1, 253, 0},
	{"resnet18", "torchvision", 11.689512, 6, 1810, -1},
	{"resnet34", "torchvision", 21.797672, 6, 3660, -1},
	{"resnet50", "torchvision", 25.557032, 6, 4090, -1},
	{"squeezenet1_1", "torchvision", 1.235496, 6, 350, -1},
	{"mobilenet_v1", "Howard et al. 2017, table 6", 4.2, 1, 569, 0},
	{"mobilenet_v1,width=0.75", "the same", 2.6, 1, 325, 0},
	{"mobilenet_v1,width=0.5", "the same", 1.3, 1, 149, 0},
	{"mobilenet_v1,width=0.25", "the same", 0.5, 1, 41, 0},
	{"mobilenet_v1,size=192", "the same, table 7", 4.2, 1, 418, 0},
	{"mobilenet_v1,size=128", "the same, table 7", 4.2, 1, 186, 0},
	{"mobilenet_v2", "torchvision", 3.504872, 6, 300, -1},
	{"mobilenet_v2,width=1.4,classes=1001", slim, 6.06, 2, 582, 0},
	{"mobilenet_v2,width=0.75,classes=1001", slim, 2.61, 2, 209, 0},
	{"mobilenet_v2,width=0.5,classes=1001", slim, 1.95, 2, 97, 0},
	{"mobilenet_v2,width=0.35,classes=1001", slim, 1.66, 2, 59, 0},
	{"mobilenet_v2,size=192,classes=1001", slim, 3.47, 2, 221, 0},
	{"mobilenet_v2,size=96,classes=1001", slim, 3.47, 2, 56, 0},
	{"mobilenet_v3_large", "torchvision; Howard et al. 2019, table 3", 5.483032, 6, 217, 0},
	{"mobilenet_v3_small", "torchvision; Howard et al. 2019, table 3", 2.542856, 6, 60, -1},
}

func TestPublishedCounts(t *testing.T) {
	for _, p := range published {
		t.Run(p.spec, func(t *testing.T) {
			spec, err := zoo.Parse(p.spec)
			parameters, macs := spec.Parameters, spec.MACs // as TestNetworks has counted them
			if p.spec != spec.Name {
				_, m := build(t, p.spec)
				var statistics int64
				if parameters, statistics, macs = counts(t, m); p.source == slim {
					parameters -= statistics // of each channel two, as scale and bias
				}
			}
			if err != nil {
				t.Error(err)
			}
			for _, c := range []struct {
				name     string
				got      int64
				want     float64
				decimals int
			}{{"parameters", parameters, p.parameters, p.parameterDecimals}, {"MACs", macs, p.macs, p.macDecimals}} {
				unit := math.Pow(10, float64(-c.decimals))
				if got := math.Round(float64(c.got)/1e6/unit) * unit; math.Abs(got-c.want) > 1e-9*c.want {
					t.Errorf("%d %s, %s says %v million", c.got, c.name, p.source, c.want)
				}
			}
		})
	}
}

// Keras counts the running statistics too.
func TestMLPerfTinyCounts(t *testing.T) {
	for _, c := range []struct {
		name       string
		parameters int64
	}{{"resnet8", 78_666}, {"ds_cnn", 24_908}} { // model.summary() of mlcommons/tiny
		_, m := build(t, c.name)
		if p, s, _ := counts(t, m); p+s != c.parameters {
			t.Errorf("%s: %d parameters, want %d", c.name, p+s, c.parameters)
		}
	}
}

func written(t *testing.T, m *onnx.Model) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := m.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSeed(t *testing.T) {
	_, a := build(t, "resnet20")
	_, b := build(t, "ResNet-20,seed=1")
	_, c := build(t, "resnet20,seed=2")
	if !bytes.Equal(written(t, a), written(t, b)) {
		t.Error("one seed, two models")
	}
	if bytes.Equal(written(t, a), written(t, c)) {
		t.Error("two seeds, one model")
	}
}

// Weights have the variance of their source, computed by hand from the shape.
func TestInitialVariance(t *testing.T) {
	for _, c := range []struct {
		network, tensor string
		variance, bound float64
	}{
		{"resnet18", "layer4.0.conv1.weight", 2. / (9 * 512), math.Inf(1)},                         // fan out
		{"resnet18", "fc.weight", 1. / (3 * 512), 1 / math.Sqrt(512)},                              // uniform
		{"mobilenet_v2", "features.18.0.weight", 2. / 1280, math.Inf(1)},                           // fan out
		{"mobilenet_v2", "features.17.conv.1.0.weight", 2. / (9 * 960), math.Inf(1)},               // fan out of a depthwise one, as PyTorch counts it
		{"mobilenet_v2", "classifier.1.weight", 1e-4, math.Inf(1)},                                 // normal
		{"squeezenet1_1", "features.12.expand3x3.weight", 2. / (9 * 64), math.Sqrt(6. / (9 * 64))}, // uniform
		{"squeezenet1_1", "classifier.1.weight", 1e-4, math.Inf(1)},
		{"resnet20", "layer3.2.conv2.weight", 2. / (9 * 64), math.Inf(1)},              // fan in
		{"resnet8", "layer3.conv2.weight", 2. / (9 * 64), 2.28 * math.Sqrt(2./(9*64))}, // truncated
		{"lenet5", "ip1.weight", 1. / 800, math.Sqrt(3. / 800)},
		{"ds_cnn", "block1.pointwise.0.weight", 1. / 64, math.Sqrt(6. / 128)},
	} {
		if testing.Short() && c.network == "resnet18" {
			continue
		}
		_, m := build(t, c.network)
		var values []float32
		for _, w := range m.Graph.Initializers {
			if w.Name == c.tensor {
				n, _ := w.NumElements()
				values = make([]float32, n)
				if err := w.ReadFloats(values, 0); err != nil {
					t.Fatal(err)
				}
			}
		}
		var sum, largest float64
		for _, v := range values {
			sum += float64(v) * float64(v)
			largest = max(largest, math.Abs(float64(v)))
		}
		n := float64(len(values))
		if ratio := sum / n / c.variance; !(math.Abs(ratio-1) < 6/math.Sqrt(n)) || largest > c.bound { // NaN where it is missing
			t.Errorf("%s %s: %.4g of the variance wanted, largest %g", c.network, c.tensor, ratio, largest)
		}
	}
}

func TestOptions(t *testing.T) {
	for text, input := range map[string][3]int{
		"mobilenet_v2,width=0.35,size=96,classes=7": {3, 96, 96}, "mobilenet_v3_small,width=0.5,input=1x64x80,classes=7": {1, 64, 80},
		"mobilenet_v1,width=0.25,size=96,classes=7": {3, 96, 96}, "resnet8,size=33,classes=7": {3, 33, 33},
		"squeezenet1_1,size=97,classes=7": {3, 97, 97}, "lenet5,size=32,classes=7": {1, 32, 32}, "ds_cnn,input=2x50x20,classes=7": {2, 50, 20},
		"resnet20,size=31,classes=7": {3, 31, 31},
	} {
		_, m := build(t, text)
		logits(t, m, input, 1, 7)
	}
}

func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		"resnet19":                 `no network "resnet19"; did you mean "resnet1`,
		"":                         "there are lenet_300_100,",
		"resnet20,width=0.5":       "no width multiplier",
		"mobilenet_v2,width=-1":    "out of range",
		"mobilenet_v2,width=NaN":   "out of range",
		"resnet20,sise=3":          `unknown key "sise" in "resnet20,sise=3"; did you mean "size"?`,
		"resnet20,size=x":          `"size=x" in`,
		"resnet20,input=3x32":      `"input=3x32" in`,
		"resnet20,input=3x32x32x1": `in "resnet20,input=3x32x32x1"`,
		"resnet20,classes=-1":      "numbers must be 1 to",
		"lenet5,size=10":           "nothing is left behind layer conv2",
		"vgg16,size=100":           "3×3 features cannot be averaged to 7×7",
	} {
		spec, err := zoo.Parse(text)
		if err == nil {
			_, err = spec.Model()
		}
		var usage *job.UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
