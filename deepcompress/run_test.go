package deepcompress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/effml/effml/evaluate"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/modelgen"
	"github.com/effml/effml/internal/testkit"
	"github.com/effml/effml/onnx"
)

// What is decompressed must be the rounding to the step that the result names, computed here in the plainest way, and hold the
// floor of the plan; what must not be lossy must come back bit by bit.
func TestValuesAreThoseOfTheGrid(t *testing.T) {
	path := convNet().save(t)
	original := openONNX(t, path)
	for _, floor := range []float64{36, 29, 15} {
		t.Run(fmt.Sprint(floor), func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "o.effml")
			r := compress(t, Config{Input: path, Output: out, PlanPath: floorPlan(t, floor)})
			restored := decompressed(t, out)
			var packed []string
			for _, row := range r.Tensors {
				before, after := byName(t, original.Model, row.Name), byName(t, restored.Model, row.Name)
				if row.Action == "kept" {
					a, _ := before.Bytes()
					b, _ := after.Bytes()
					if !bytes.Equal(a, b) {
						t.Errorf("%s is kept, but its bytes changed", row.Name)
					}
					continue
				}
				packed = append(packed, row.Name)
				w, got := floatsOf(t, before), floatsOf(t, after)
				step := float32(row.Step)
				for i, v := range w {
					if want := float32(step * float32(math.RoundToEven(float64(v)/float64(step)))); got[i] != want && math.Abs(float64(v)/float64(step)-math.Floor(float64(v)/float64(step))-0.5) > 1e-6 {
						t.Fatalf("%s[%d] = %v became %v, want %v", row.Name, i, v, got[i], want)
					}
				}
				db := decibel(w, got)
				if db < floor || db > floor+0.5 {
					t.Errorf("%s: %.3f dB, floor is %v", row.Name, db, floor)
				}
				if math.Abs(db-float64(*row.SQNR)) > 0.01 {
					t.Errorf("%s: reported %.3f dB, is %.3f", row.Name, float64(*row.SQNR), db)
				}
				if row.Bytes >= row.Before || row.Levels < 2 || row.Bits < 1 {
					t.Errorf("%s: %+v", row.Name, row)
				}
			}
			if want := []string{"conv.weight", "fc.weight", "head.weight"}; !slices.Equal(packed, want) {
				t.Errorf("packed %v, want %v", packed, want)
			}
			checkResult(t, r, path)
		})
	}
}

// floorPlan writes a plan with one floor for all weights.
func floorPlan(t *testing.T, floor float64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plan.yaml")
	write(t, path, fmt.Sprintf("version: 1\nmin-weights: 256\nrules:\n  - {method: uniform, sqnr: %v}\n", floor))
	return path
}

// checkResult verifies what must hold of any result of a written archive.
func checkResult(t *testing.T, r *Result, input string) {
	t.Helper()
	info, err := os.Stat(r.Output.Path)
	if err != nil {
		t.Fatal(err)
	}
	b := r.Bytes
	if sum := b.Header + b.Topology + b.Codebooks + b.Codes + b.Positions + b.Raw + b.Checksums; sum != b.Total || b.Total != info.Size() || b.Total != r.Output.Bytes {
		t.Errorf("parts %d, total %d, output %d, file %d", sum, b.Total, r.Output.Bytes, info.Size())
	}
	in, err := job.HashFile(t.Context(), input)
	if err != nil {
		t.Fatal(err)
	}
	out, err := job.HashFile(t.Context(), r.Output.Path)
	if err != nil {
		t.Fatal(err)
	}
	if r.Output.SHA256 != out.SHA256 || r.Input.SHA256 != in.SHA256 {
		t.Error("a SHA-256 of the result is not that of the file")
	}
	if r.Ratio.File != float64(r.Input.Bytes)/float64(b.Total) || r.Ratio.Weights != 4*float64(r.Floats.Count)/float64(b.Total) {
		t.Errorf("ratio %+v", r.Ratio)
	}
	if !r.Verified || len(r.Notes) == 0 {
		t.Errorf("verified %v, notes %q", r.Verified, r.Notes)
	}
}

func TestKeptTensorsHaveReasons(t *testing.T) {
	path := convNet().save(t)
	r := compress(t, Config{Input: path})
	for name, want := range map[string]string{
		"conv.bias": "bias of Conv", "bn.mean": "parameter of BatchNormalization", "bn.var": "parameter of BatchNormalization",
		"tiny.weight": "fewer than 256 weights", "shape": "INT64 values are exact", "fc.bias": "input 1 of Add", "head.bias": "bias of Gemm",
	} {
		if row := rowOf(t, r, name); row.Action != "kept" || !strings.Contains(row.Reason, want) || row.SQNR != nil {
			t.Errorf("%s: %s, %q, want a reason with %q", name, row.Action, row.Reason, want)
		}
	}
	if r.Output.Path != strings.TrimSuffix(path, ".onnx")+".effml" {
		t.Errorf("output %s", r.Output.Path)
	}
	if !strings.Contains(strings.Join(r.Notes, "\n"), "accuracy was not measured") {
		t.Errorf("notes %q", r.Notes)
	}
}

func TestKMeansMethods(t *testing.T) {
	path := convNet().save(t)
	original := openONNX(t, path)
	plan := filepath.Join(t.TempDir(), "p.yaml")
	write(t, plan, `version: 1
rules:
  - {tensor: conv.weight, method: kmeans, bits: 3}
  - {tensor: fc.weight, method: kmeans, bits: 4, prune: {keep: 0.25}}
  - {tensor: head.weight, method: auto, sqnr: 20, group: channel}
`)
	out := filepath.Join(t.TempDir(), "o.effml")
	r := compress(t, Config{Input: path, PlanPath: plan, Output: out})
	restored := decompressed(t, out)
	distinct := func(w []float32) int {
		set := map[float32]bool{}
		for _, v := range w {
			set[v] = true
		}
		return len(set)
	}
	conv := floatsOf(t, byName(t, restored.Model, "conv.weight"))
	if n := distinct(conv); n != 8 {
		t.Errorf("conv has %d values, want 8", n)
	}
	// k-means maps each weight to the mean of those that share its value.
	sums, counts := map[float32]float64{}, map[float32]float64{}
	for i, w := range floatsOf(t, byName(t, original.Model, "conv.weight")) {
		sums[conv[i]] += float64(w)
		counts[conv[i]]++
	}
	for v, sum := range sums {
		if mean := sum / counts[v]; math.Abs(mean-float64(v)) > 1e-6 {
			t.Errorf("centroid %v is not the mean %v of its weights", v, mean)
		}
	}
	before, fc := floatsOf(t, byName(t, original.Model, "fc.weight")), floatsOf(t, byName(t, restored.Model, "fc.weight"))
	zeros := 0
	for i, v := range fc {
		if v == 0 {
			zeros++
		}
		if v == 0 != (fcThreshold(before, 0.25) > math.Abs(float64(before[i]))) {
			t.Fatalf("weight %d = %v became %v", i, before[i], v)
		}
	}
	row := rowOf(t, r, "fc.weight")
	if n := distinct(fc); n > 16 || zeros != 3*len(fc)/4 || row.Kept != 0.25 || row.Action != "pruned+shared" {
		t.Errorf("fc: %d values, %d zeros of %d, row %+v", n, zeros, len(fc), row)
	}
	if db := decibel(before, fc); math.Abs(db-float64(*row.SQNR)) > 0.01 {
		t.Errorf("pruned tensor: reported %v dB, is %v against the model", *row.SQNR, db)
	}
	head := rowOf(t, r, "head.weight")
	if db := decibel(floatsOf(t, byName(t, original.Model, "head.weight")), floatsOf(t, byName(t, restored.Model, "head.weight"))); db < 20 {
		t.Errorf("head: %v dB, row %+v", db, head)
	}
}

var thresholds = map[*float32]float64{}

// fcThreshold is the magnitude of the last weight kept, by sorting.
func fcThreshold(w []float32, keep float64) float64 {
	if v, ok := thresholds[&w[0]]; ok {
		return v
	}
	m := make([]float64, len(w))
	for i, v := range w {
		m[i] = math.Abs(float64(v))
	}
	slices.Sort(m)
	thresholds[&w[0]] = m[len(m)-int(keep*float64(len(m)))]
	return thresholds[&w[0]]
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The resolved plan, read back, gives the same bytes, and so does any number of threads.
func TestSamePlanSameBytes(t *testing.T) {
	path := convNet().save(t)
	dir := t.TempDir()
	for _, preset := range []string{"lossless", "fast", "balanced", "small", "paper"} {
		t.Run(preset, func(t *testing.T) {
			plan, first, second := filepath.Join(dir, preset+".yaml"), filepath.Join(dir, preset+"1.effml"), filepath.Join(dir, preset+"2.effml")
			compress(t, Config{Input: path, Output: first, Preset: preset, PlanOut: plan, Threads: 1})
			for _, procs := range []int{1, 2, 7} {
				old := runtime.GOMAXPROCS(procs)
				compress(t, Config{Input: path, Output: second, PlanPath: plan, Threads: procs, Force: true})
				runtime.GOMAXPROCS(old)
				if !bytes.Equal(read(t, first), read(t, second)) {
					t.Errorf("%d threads with the resolved plan: other bytes\n%s", procs, read(t, plan))
				}
			}
		})
	}
	text := string(read(t, filepath.Join(dir, "balanced.yaml")))
	for _, want := range []string{"tensor: fc.weight, method: uniform, step: 0.0", "keep: lossless} # bias of Conv", "dB, about"} {
		if !strings.Contains(text, want) {
			t.Errorf("the plan lacks %q:\n%s", want, text)
		}
	}
}

func TestEditedPlan(t *testing.T) {
	path := convNet().save(t)
	plan := filepath.Join(t.TempDir(), "p.yaml")
	write(t, plan, `version: 1
strip-metadata: true
coders: [huffman]
min-weights: 1
rules:
  - {name: "head.*", keep: lossless}
  - {node: /^f/, method: uniform, step: 0.01}
  - {op: Conv, method: uniform, bits: 4, coder: fixed}
`)
	r := compress(t, Config{Input: path, PlanPath: plan})
	if row := rowOf(t, r, "head.weight"); row.Action != "kept" || row.Reason != "the plan keeps it" {
		t.Errorf("head: %+v", row)
	}
	if row := rowOf(t, r, "fc.weight"); row.Step != 0.01 || row.Coder != "huffman" {
		t.Errorf("fc: %+v", row)
	}
	if row := rowOf(t, r, "conv.weight"); row.Levels > 15 || row.Bits != 4 || row.Coder != "fixed" {
		t.Errorf("conv: %+v", row)
	}
}

func TestOnlyExcludeAndCoder(t *testing.T) {
	path := convNet().save(t)
	actions := func(c Config) string {
		c.Input, c.Force = path, true
		r := compress(t, c)
		var packed []string
		for _, row := range r.Tensors {
			if row.Action != "kept" {
				packed = append(packed, row.Name+":"+row.Coder)
			}
		}
		return strings.Join(packed, " ")
	}
	for _, c := range []struct {
		Config
		want string
	}{
		{Config{Only: []string{"fc*"}, Coder: "fixed"}, "fc.weight:fixed"},
		{Config{Only: []string{"head"}, Coder: "huffman"}, "head.weight:huffman"}, // a node's name
		{Config{Exclude: []string{"/^(conv|head)/"}, Coder: "fixed"}, "fc.weight:fixed"},
		{Config{Only: []string{"*.weight"}, Exclude: []string{"conv"}, Coder: "fixed"}, "fc.weight:fixed head.weight:fixed"},
	} {
		if got := actions(c.Config); got != c.want {
			t.Errorf("only %v exclude %v: %q, want %q", c.Only, c.Exclude, got, c.want)
		}
	}
	_, err := Run(t.Context(), Config{Input: path, Only: []string{"nowhere*"}, Exclude: []string{"nobody"}, Force: true}, nil)
	var usage *job.UsageError
	if !errors.As(err, &usage) || !strings.Contains(err.Error(), `only: "nowhere*"`) || !strings.Contains(err.Error(), `exclude: "nobody"`) {
		t.Errorf("patterns that match nothing: %v", err)
	}
}

func TestTiedWeightsAreStoredOnce(t *testing.T) {
	n := convNet()
	alone := compress(t, Config{Input: n.save(t)})
	fc := byName(t, n.model, "fc.weight")
	copied := newTensor("fc2.weight", onnx.Float, floatsOf(t, fc), fc.Dims...)
	n.add(copied)
	n.node("MatMul", "fc2", []string{"z"}, []string{"d", "fc2.weight"})
	path := n.save(t)
	r := compress(t, Config{Input: path})
	row := rowOf(t, r, "fc2.weight")
	if row.Action != "tied" || row.Bytes != 0 || !strings.Contains(row.Reason, "fc.weight") || row.SQNR == nil {
		t.Errorf("%+v", row)
	}
	if more := r.Bytes.Total - alone.Bytes.Total; more > 100 {
		t.Errorf("a tied tensor takes %d bytes", more)
	}
	restored := decompressed(t, r.Output.Path)
	a, b := floatsOf(t, byName(t, restored.Model, "fc.weight")), floatsOf(t, byName(t, restored.Model, "fc2.weight"))
	if !slices.Equal(a, b) {
		t.Error("tied tensors came back different")
	}
	// Where one of the two must keep every bit, both do.
	n.node("Add", "add2", []string{"w"}, []string{"z", "fc2.weight"})
	r = compress(t, Config{Input: n.save(t)})
	if row := rowOf(t, r, "fc.weight"); row.Action != "kept" || !strings.Contains(row.Reason, "fc2.weight") {
		t.Errorf("%+v", row)
	}
}

func TestNonFiniteWeightsAreKept(t *testing.T) {
	n := convNet()
	w := floatsOf(t, byName(t, n.model, "fc.weight"))
	w[77] = float32(math.NaN())
	byName(t, n.model, "fc.weight").SetBytes(rawOf(w))
	w = floatsOf(t, byName(t, n.model, "head.weight"))
	w[5] = float32(math.Inf(-1))
	byName(t, n.model, "head.weight").SetBytes(rawOf(w))
	path := n.save(t)
	r := compress(t, Config{Input: path, Output: filepath.Join(t.TempDir(), "o")})
	if row := rowOf(t, r, "fc.weight"); row.Action != "kept" || row.Reason != "weight 77 is NaN" {
		t.Errorf("%+v", row)
	}
	if row := rowOf(t, r, "head.weight"); row.Action != "kept" || row.Reason != "weight 5 is -Inf" {
		t.Errorf("%+v", row)
	}
	_, err := Run(t.Context(), Config{Input: path, Strict: true}, nil)
	var model *job.ModelError
	if !errors.As(err, &model) || !strings.Contains(err.Error(), `"fc.weight": weight 77 is NaN`) || !strings.Contains(err.Error(), "head.weight") {
		t.Errorf("strict: %v", err)
	}
	if names := leftovers(t, filepath.Dir(path)); !slices.Equal(names, []string{"model.onnx"}) {
		t.Errorf("left behind: %v", names)
	}
}

func rawOf(w []float32) []byte {
	raw := make([]byte, 4*len(w))
	onnx.PutFloats(raw, onnx.Float, w)
	return raw
}

func TestHalfPrecisionHoldsTheFloor(t *testing.T) {
	n := newNet()
	for name, dt := range map[string]onnx.DataType{"half": onnx.Float16, "brain": onnx.BFloat16, "double": onnx.Double} {
		n.add(newTensor(name, dt, n.laplace(64*64, 0.1), 64, 64))
	}
	slices.SortFunc(n.model.Graph.Initializers, func(a, b *onnx.Tensor) int { return strings.Compare(a.Name, b.Name) })
	typed := newTensor("typed", onnx.Float16, n.laplace(64*64, 0.1), 64, 64)
	typed.Storage = onnx.StorageInt32
	n.add(typed)
	n.node("MatMul", "m", []string{"y"}, []string{"x", "half"})
	for _, name := range []string{"brain", "double", "typed"} {
		n.node("MatMul", name, []string{"y." + name}, []string{"x", name})
	}
	path := n.save(t)
	r := compress(t, Config{Input: path, PlanPath: floorPlan(t, 36)})
	original, restored := openONNX(t, path), decompressed(t, r.Output.Path)
	for _, name := range []string{"half", "brain", "double", "typed"} {
		if row := rowOf(t, r, name); row.Action != "packed" {
			t.Errorf("%+v", row)
		}
		before, after := byName(t, original.Model, name), byName(t, restored.Model, name)
		if db := decibel(floatsOf(t, before), floatsOf(t, after)); db < 36 || db > 36.5 {
			t.Errorf("%s: %v dB", name, db)
		}
		if before.DataType != after.DataType || before.Storage != after.Storage {
			t.Errorf("%s: %v in %v came back as %v in %v", name, before.DataType, before.Storage, after.DataType, after.Storage)
		}
	}
}

// Weights that have few values already are not made worse.
func TestFewValuesStay(t *testing.T) {
	n := newNet()
	ternary := make([]float32, 4096)
	for i := range ternary {
		ternary[i] = 0.25 * float32(n.rand.IntN(3)-1)
	}
	n.add(newTensor("t", onnx.Float, ternary, 64, 64))
	n.add(newTensor("zero", onnx.Float, make([]float32, 4096), 64, 64))
	n.add(&onnx.Tensor{Name: "empty", DataType: onnx.Float, Dims: []int64{0, 64}})
	n.node("MatMul", "", []string{"a"}, []string{"x", "t"})
	n.node("MatMul", "", []string{"b"}, []string{"x", "empty"})
	n.node("MatMul", "", []string{"y"}, []string{"a", "zero"})
	path := n.save(t)
	r := compress(t, Config{Input: path, Preset: "small", Histograms: true})
	restored := decompressed(t, r.Output.Path)
	if got := floatsOf(t, byName(t, restored.Model, "t")); !slices.Equal(got, ternary) {
		t.Error("ternary weights changed")
	}
	if row := rowOf(t, r, "t"); row.BitsPerWeight > 2.2 {
		t.Errorf("%+v", row)
	}
	if row := rowOf(t, r, "zero"); row.Kept != 0 || row.Bytes > 64 {
		t.Errorf("%+v", row)
	}
	if row := rowOf(t, r, "empty"); row.Reason != "no elements" {
		t.Errorf("%+v", row)
	}
}

func TestGates(t *testing.T) {
	path := convNet().save(t)
	r, err := Run(t.Context(), Config{Input: path, MaxSize: 100, MinRatio: 2}, nil)
	var gate *job.GateError
	if !errors.As(err, &gate) || len(gate.Gates) != 1 || gate.Gates[0].Name != "max-size" {
		t.Fatalf("error %v", err)
	}
	if len(r.Gates) != 2 || r.Gates[0].Passed || !r.Gates[1].Passed || r.Gates[0].Value != float64(r.Bytes.Total) || r.Gates[1].Value != r.Ratio.File {
		t.Errorf("gates %+v", r.Gates)
	}
	if _, err := os.Stat(r.Output.Path); err != nil {
		t.Errorf("a missed gate must leave the result: %v", err)
	}
}

func TestDryRunCountsExactly(t *testing.T) {
	path := convNet().save(t)
	plan := filepath.Join(t.TempDir(), "p.yaml")
	dry := compress(t, Config{Input: path, DryRun: true, PlanOut: plan, EmitONNX: filepath.Join(filepath.Dir(path), "e.onnx")})
	if names := leftovers(t, filepath.Dir(path)); !slices.Equal(names, []string{"model.onnx"}) {
		t.Errorf("a dry run wrote %v", names)
	}
	wet := compress(t, Config{Input: path, PlanPath: plan})
	if dry.Bytes != wet.Bytes || dry.Output != nil || !dry.DryRun || dry.Verified {
		t.Errorf("dry %+v, wet %+v", dry.Bytes, wet.Bytes)
	}
}

// TestDecompressWrittenLast interrupts once the model has its name: nothing that can fail may be left to do.
func TestDecompressWrittenLast(t *testing.T) {
	r := compress(t, Config{Input: convNet().save(t)})
	out := filepath.Join(t.TempDir(), "m.onnx")
	d, err := Decompress(testkit.Until(t.Context(), out), DecompressConfig{Input: r.Output.Path, Output: out}, nil)
	if err != nil || d.Input.SHA256 != r.Output.SHA256 {
		t.Errorf("%v, of %+v", err, d)
	}
}

func TestEmittedModelIsTheArchives(t *testing.T) {
	path := convNet().save(t)
	emitted := filepath.Join(t.TempDir(), "plain.onnx")
	r := compress(t, Config{Input: path, EmitONNX: emitted, Histograms: true})
	restored := filepath.Join(t.TempDir(), "restored.onnx")
	d, err := Decompress(t.Context(), DecompressConfig{Input: r.Output.Path, Output: restored}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read(t, emitted), read(t, restored)) || r.ONNX.SHA256 != d.Output.SHA256 {
		t.Error("emit-onnx and decompress write different files")
	}
	h := rowOf(t, r, "fc.weight").Histogram
	before, after := int64(0), int64(0)
	for i := range h.Before {
		before, after = before+h.Before[i], after+h.After[i]
	}
	if before != 256*64 || after != before {
		t.Errorf("histogram of %d and %d weights", before, after)
	}
}

func TestStripMetadata(t *testing.T) {
	n := convNet()
	trace := strings.Repeat("File \"model.py\", line 7, in forward\n", 50)
	n.model.Metadata = []*onnx.StringEntry{{Key: "classes", Value: "cat,dog"}, {Key: "pkg.torch.export.graph", Value: trace}}
	n.model.Graph.DocString = trace
	n.model.Graph.Nodes[0].DocString = trace
	n.model.Graph.Nodes[1].Metadata = []*onnx.StringEntry{{Key: "namespace", Value: trace}, {Key: "mine", Value: "1"}}
	n.model.Graph.Initializers[0].DocString = trace
	path := n.save(t)
	keep := false
	for _, c := range []struct {
		Config
		stripped bool
	}{{Config{}, true}, {Config{Preset: "lossless"}, false}, {Config{StripMetadata: &keep}, false}} {
		c.Input, c.Output = path, filepath.Join(t.TempDir(), "o.effml")
		r := compress(t, c.Config)
		m := decompressed(t, c.Output).Model
		all := m.Graph.DocString + m.Graph.Nodes[0].DocString + m.Graph.Initializers[0].DocString
		for _, e := range slices.Concat(m.Metadata, m.Graph.Nodes[1].Metadata) {
			all += e.Key + "=" + e.Value + " "
		}
		if !strings.Contains(all, "classes=cat,dog") || !strings.Contains(all, "mine=1") {
			t.Errorf("%+v: other metadata went too: %q", c.Config, all)
		}
		if stripped := !strings.Contains(all, "forward"); stripped != c.stripped || (r.Stripped > 5*1700) != c.stripped {
			t.Errorf("preset %q: stripped %v, %d bytes", c.Preset, stripped, r.Stripped)
		}
	}
	if !bytes.Contains(read(t, path), []byte("forward")) {
		t.Error("the input was changed")
	}
}

// Generated models of every type and storage come back byte by byte from lossless, and verify against their original from balanced.
func TestGeneratedModels(t *testing.T) {
	every := 4 // which meets all features and, with the archive's own tests, all types
	if testing.Short() {
		every = 17
	}
	for i, m := range modelgen.Generate(3, 200) {
		if i%every > 0 {
			continue
		}
		dir := t.TempDir()
		path := filepath.Join(dir, "m.onnx")
		files, err := onnx.Save(path, m, onnx.SaveOptions{DataName: "m.onnx.data"})
		if err != nil {
			t.Fatalf("model %d: %v", i, err)
		}
		out, back := filepath.Join(dir, "m.effml"), filepath.Join(dir, "back")
		if err := os.Mkdir(back, 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := Run(t.Context(), Config{Input: path, Output: out, Preset: "lossless"}, nil); err != nil {
			t.Fatalf("model %d: %v", i, err)
		}
		if _, err := Decompress(t.Context(), DecompressConfig{Input: out, Output: filepath.Join(back, "m.onnx")}, nil); err != nil {
			t.Fatalf("model %d: %v", i, err)
		}
		for _, f := range files {
			if !bytes.Equal(read(t, f), read(t, filepath.Join(back, filepath.Base(f)))) {
				t.Errorf("model %d: %s came back different", i, filepath.Base(f))
			}
		}
		if i%8 > 0 {
			continue
		}
		if _, err := Run(t.Context(), Config{Input: path, Output: out, Preset: "small", Force: true}, nil); err != nil {
			t.Fatalf("model %d: %v", i, err)
		}
		if r, err := Verify(t.Context(), VerifyConfig{Input: out, Against: path}, nil); err != nil {
			t.Errorf("model %d: %v %+v", i, err, r)
		}
	}
}

func TestBadInputsAndOutputs(t *testing.T) {
	path := convNet().save(t)
	dir := filepath.Dir(path)
	link := filepath.Join(dir, "link.onnx")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	html := filepath.Join(dir, "page.onnx")
	write(t, html, "<!DOCTYPE html><html></html>")
	empty := filepath.Join(dir, "empty.onnx")
	write(t, empty, "")
	taken := filepath.Join(dir, "taken.effml")
	write(t, taken, "something of mine")
	broken := newNet()
	broken.node("Conv", "c", []string{"y"}, []string{"x", "missing"})
	invalid := broken.save(t)
	badPlan := filepath.Join(dir, "bad.yaml")
	write(t, badPlan, "version: 1\nrules:\n  - {name: 'nothing*', keep: lossless}\n")
	before := leftovers(t, dir)
	var usage *job.UsageError
	var model *job.ModelError
	for _, c := range []struct {
		Config
		target any
		want   string
	}{
		{Config{}, &usage, "no model named"},
		{Config{Input: path, Output: path}, &usage, "is the input"},
		{Config{Input: path, Output: link}, &usage, "is the input"},
		{Config{Input: path, Output: "x", PlanOut: "x"}, &usage, "both are x"},
		{Config{Input: path, Output: taken}, &usage, "--force"},
		{Config{Input: path, Output: filepath.Join(dir, "no", "o.effml")}, new(error), "does not exist"},
		{Config{Input: path, PlanOut: filepath.Join(dir, "no", "p.yaml")}, new(error), "does not exist"},
		{Config{Input: path, EmitONNX: filepath.Join(dir, "no", "p.onnx")}, new(error), "does not exist"},
		{Config{Input: filepath.Join(dir, "none.onnx")}, new(error), "none.onnx"},
		{Config{Input: html}, &model, "HTML"},
		{Config{Input: empty}, &model, "empty"},
		{Config{Input: invalid}, &model, "missing"},
		{Config{Input: path, Preset: "balanect"}, &usage, `did you mean "balanced"?`},
		{Config{Input: path, Preset: "max"}, &usage, "retrain"},
		{Config{Input: path, Samples: evaluate.Samples{Data: "cifar"}}, &model, "cannot be run"},
		{Config{Input: path, Coder: "hufman"}, &usage, `did you mean "huffman"?`},
		{Config{Input: path, PlanPath: badPlan}, &usage, `line 3: rules[0]: name "nothing*" matches no tensor`},
		{Config{Input: path, PlanPath: badPlan, Preset: "small"}, &usage, "a plan replaces the preset"},
		{Config{Input: path, Only: []string{"[a"}, MinRatio: -1, Threads: -1, MaxSize: -1}, &usage, "min-ratio: -1"},
	} {
		r, err := Run(t.Context(), c.Config, nil)
		if err == nil || r != nil || !errors.As(err, c.target) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want %q", c.Config, err, c.want)
		}
	}
	if after := leftovers(t, dir); !slices.Equal(before, after) {
		t.Errorf("left behind: %v", after)
	}
	if string(read(t, taken)) != "something of mine" {
		t.Error("an existing output was overwritten")
	}
}

// cancelAt cancels a run when a stage begins.
type cancelAt struct {
	job.Events
	stage  string
	cancel context.CancelFunc
}

func (c cancelAt) Stage(name string, total int64, unit string) {
	if name == c.stage {
		c.cancel()
	}
}

func TestCancelLeavesNothing(t *testing.T) {
	path := convNet().save(t)
	dir := filepath.Dir(path)
	for _, stage := range []string{"plan", "encode", "verify", "write"} {
		ctx, cancel := context.WithCancel(t.Context())
		c := Config{Input: path, PlanOut: filepath.Join(dir, "p.yaml"), EmitONNX: filepath.Join(dir, "e.onnx")}
		_, err := Run(ctx, c, cancelAt{job.Discard, stage, cancel})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", stage, err)
		}
		if names := leftovers(t, dir); !slices.Equal(names, []string{"model.onnx"}) {
			t.Errorf("%s: left behind %v", stage, names)
		}
	}
}

func TestVerifyFindsDamage(t *testing.T) {
	path := convNet().save(t)
	r := compress(t, Config{Input: path, PlanPath: floorPlan(t, 25)})
	whole := read(t, r.Output.Path)
	v, err := Verify(t.Context(), VerifyConfig{Input: r.Output.Path, Against: path}, nil)
	if err != nil || !v.OK || v.Packed != 3 || v.Against.Lossy != 3 || v.Against.Mismatched != 0 {
		t.Fatalf("%+v, %v", v, err)
	}
	for _, m := range v.Against.Tensors {
		row := rowOf(t, r, m.Name)
		if m.Status == "lossy" && math.Abs(float64(*m.SQNR)-float64(*row.SQNR)) > 0.01 || m.Status == "lossy" && m.MaxError > row.Step*0.5001 {
			t.Errorf("%s: %v dB and %v, row %+v", m.Name, *m.SQNR, m.MaxError, row)
		}
	}
	damaged := filepath.Join(t.TempDir(), "d.effml")
	for at := 0; at < len(whole); at += 1 + len(whole)/37 {
		b := bytes.Clone(whole)
		b[at] ^= 0x10
		write(t, damaged, string(b))
		v, err := Verify(t.Context(), VerifyConfig{Input: damaged}, nil)
		var verify *job.VerifyError
		var version *job.ModelError
		if !errors.As(err, &verify) && !(at == 8 && errors.As(err, &version)) || v != nil && v.OK {
			t.Errorf("byte %d flipped: %v", at, err)
		}
	}
	other := convNet()
	other.add(newTensor("more", onnx.Float, []float32{1}, 1))
	changed := floatsOf(t, byName(t, other.model, "conv.bias"))
	changed[3]++
	byName(t, other.model, "conv.bias").SetBytes(rawOf(changed))
	v, err = Verify(t.Context(), VerifyConfig{Input: r.Output.Path, Against: other.save(t)}, nil)
	var verify *job.VerifyError
	if !errors.As(err, &verify) || v.OK || v.Against.Mismatched != 2 {
		t.Errorf("another model: %v, %+v", err, v.Against)
	}
}

// Outputs that differ although nothing was lost are a failure to verify; where something was lost they are not.
func TestOutputsMustHold(t *testing.T) {
	off := evaluate.OutputDiff{Name: "y", Relative: 1e-3}
	for _, c := range []struct {
		name      string
		packed    int
		output    evaluate.OutputDiff
		tolerance float64
		fails     bool
	}{
		{"equal", 0, evaluate.OutputDiff{}, 0, false},
		{"beyond", 0, off, 0, true},
		{"within", 0, off, 1e-3, false},
		{"lossy", 1, off, 0, false},
		{"not to be compared", 0, evaluate.OutputDiff{Problem: "the shapes differ"}, 1, true},
		{"one gives no number", 0, evaluate.OutputDiff{MaxError: job.Float(math.Inf(1)), Relative: job.Float(math.Inf(1))}, 1, true},
	} {
		r := &VerifyResult{Packed: c.packed, Outputs: &evaluate.OutputsResult{Outputs: []evaluate.OutputDiff{{}, c.output}}}
		var verify *job.VerifyError
		err := r.err(VerifyConfig{Input: "m.effml", Against: "m.onnx", Tolerance: c.tolerance})
		if errors.As(err, &verify) != c.fails || c.fails == (err == nil) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// On the shared networks the budget holds, and the archive is what its table says.
func TestSharedModels(t *testing.T) {
	dir := testkit.Shared(t, "data", "models")
	for _, name := range []string{"lenet5_caffe_mnist", "resnet20_cifar10", "vww_mobilenetv1_025_96_float"} {
		path := filepath.Join(dir, name+".onnx")
		for _, preset := range []string{"lossless", "balanced"} {
			if testing.Short() && name != "resnet20_cifar10" {
				continue
			}
			out := filepath.Join(t.TempDir(), fmt.Sprintf("%s.%s.effml", name, preset))
			r := compress(t, Config{Input: path, Output: out, Preset: preset})
			v, err := Verify(t.Context(), VerifyConfig{Input: out, Against: path}, nil)
			if err != nil {
				t.Fatalf("%s %s: %v", name, preset, err)
			}
			if preset == "lossless" && v.Against.Lossy != 0 {
				t.Errorf("%s: %d tensors are lossy", name, v.Against.Lossy)
			}
			noise := 0.0
			for _, m := range v.Against.Tensors {
				if m.Status == "lossy" {
					noise += math.Pow(10, -float64(*m.SQNR)/10)
				}
			}
			if total := -10 * math.Log10(noise); preset == "balanced" && total < 18 {
				t.Errorf("%s: %.2f dB over all tensors", name, total)
			}
			if preset == "balanced" && r.Ratio.File < 5.8 {
				t.Errorf("%s: ratio %v", name, r.Ratio.File)
			}
		}
	}
}
