package zoo_test

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/effml/effml/internal/npy"
	"github.com/effml/effml/internal/testkit"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// With the same weights torchvision computes the same logits: every layer is where it should be.
func TestTorchvision(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a minute")
	}
	for _, c := range []struct{ spec, constructor, arguments string }{
		{"alexnet", "alexnet", "{}"},
		{"vgg16", "vgg16", "{}"},
		{"resnet18,classes=10,size=65", "resnet18", `{"num_classes": 10}`},
		{"resnet34,classes=10,size=65", "resnet34", `{"num_classes": 10}`},
		{"resnet50,classes=10,size=65", "resnet50", `{"num_classes": 10}`},
		{"squeezenet1_1,classes=10,size=98", "squeezenet1_1", `{"num_classes": 10}`},
		{"mobilenet_v2,classes=10,size=65,width=0.35", "mobilenet_v2", `{"num_classes": 10, "width_mult": 0.35}`},
		{"mobilenet_v3_large,classes=10,size=65,width=0.75", "mobilenet_v3_large", `{"num_classes": 10, "width_mult": 0.75}`},
		{"mobilenet_v3_small,classes=10,size=64,width=1.25", "mobilenet_v3_small", `{"num_classes": 10, "width_mult": 1.25}`},
	} {
		t.Run(c.spec, func(t *testing.T) {
			spec, m := build(t, c.spec)
			dims := spec.Options.Input
			dir := t.TempDir()
			path := filepath.Join(dir, "m.onnx")
			if _, err := onnx.Save(path, m, onnx.SaveOptions{}); err != nil {
				t.Fatal(err)
			}
			x, y := noise(t, dims, 2), logits(t, m, dims, 2, spec.Options.Classes)
			in, err := os.Create(filepath.Join(dir, "in.npz"))
			if err != nil {
				t.Fatal(err)
			}
			if err := npy.WriteArchive(in, []npy.Named{{Name: "input", Tensor: x}}); err != nil {
				t.Fatal(err)
			}
			in.Close()
			out := filepath.Join(dir, "out.npz")
			testkit.Python(t, "torchvision", "testdata/logits.py", path, c.constructor, c.arguments, in.Name(), out)
			data, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			z, err := npy.OpenArchive(data)
			if err != nil {
				t.Fatal(err)
			}
			want, err := z.Read("logits")
			if err != nil {
				t.Fatal(err)
			}
			var worst, largest float64
			for i, v := range tensor.Of[float32](want) {
				worst = max(worst, math.Abs(float64(v-tensor.Of[float32](y)[i])))
				largest = max(largest, math.Abs(float64(v)))
			}
			t.Logf("differs by %.2g of the largest, %.3g", worst/largest, largest)
			if !(worst <= 1e-4*largest) || largest == 0 {
				t.Errorf("differs by %g, the largest is %g", worst, largest)
			}
		})
	}
}
