package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/effml/effml/internal/npy"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"effml": main})
}

// TestScripts runs the program as a user does: each script in testdata/script is a session.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code":      cmdCode,
			"model":     cmdModel,
			"data":      cmdData,
			"pictures":  cmdPictures,
			"json":      cmdJSON,
			"same":      cmdSame,
			"sums":      cmdSums,
			"size":      cmdSize,
			"patch":     cmdPatch,
			"truncate":  cmdTruncate,
			"notemp":    cmdNoTemp,
			"interrupt": cmdInterrupt,
		},
		RequireUniqueNames: true,
	})
}

// cmdCode runs a program that must exit with a given code: code 3 effml compress …
func cmdCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N program args…")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s\nstdout: %s\nstderr: %s", got, args[0], ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

// cmdModel writes a model of two dense layers: model FILE [rows] [nan|external|KIND of broken]
func cmdModel(ts *testscript.TestScript, neg bool, args []string) {
	rows, kind := 64, ""
	for _, a := range args[1:] {
		if n, err := strconv.Atoi(a); err == nil {
			rows = n
		} else {
			kind = a
		}
	}
	m := denseModel(rows)
	o := onnx.SaveOptions{Overwrite: true}
	switch kind {
	case "nan":
		raw, err := m.Graph.Initializers[0].Bytes()
		ts.Check(err)
		onnx.PutFloats(raw[:4], onnx.Float, []float32{float32(math.NaN())})
	case "external":
		for _, t := range m.Graph.Initializers[:2] {
			t.Storage, t.External = onnx.StorageExternal, &onnx.ExternalData{Location: filepath.Base(args[0]) + ".data"}
		}
	default:
		if spoil := broken[kind]; spoil != nil {
			spoil(m)
		} else if kind != "" {
			ts.Fatalf("unknown kind of model %s", kind)
		}
	}
	_, err := onnx.Save(ts.MkAbs(args[0]), m, o)
	ts.Check(err)
}

// denseModel is x[1,rows] → Gemm → Relu → Gemm → y[1,10] with Laplace weights, which is how trained ones are
// distributed, always the same.
func denseModel(rows int) *onnx.Model {
	rng := rand.New(rand.NewPCG(1, uint64(rows)))
	const hidden = 256
	weights := func(name string, dims ...int64) *onnx.Tensor {
		n := int64(1)
		for _, d := range dims {
			n *= d
		}
		w := make([]float32, n)
		for i := range w {
			w[i] = float32(math.Copysign(0.05*rng.ExpFloat64(), rng.Float64()-0.5))
		}
		raw := make([]byte, 4*n)
		onnx.PutFloats(raw, onnx.Float, w)
		t := &onnx.Tensor{Name: name, DataType: onnx.Float, Dims: dims}
		t.SetBytes(raw)
		return t
	}
	value := func(name string, dims ...int64) *onnx.ValueInfo {
		shape := &onnx.Shape{}
		for _, d := range dims {
			shape.Dims = append(shape.Dims, &onnx.Dimension{Value: &d})
		}
		return &onnx.ValueInfo{Name: name, Type: &onnx.TypeProto{Tensor: &onnx.TensorType{ElemType: onnx.Float, Shape: shape}}}
	}
	return &onnx.Model{
		IRVersion: 8, ProducerName: "test", OpsetImports: []*onnx.OperatorSet{{Version: 17}},
		Graph: &onnx.Graph{
			Name: "dense",
			Nodes: []*onnx.Node{
				{Name: "fc1", OpType: "Gemm", Inputs: []string{"x", "fc1.weight", "fc1.bias"}, Outputs: []string{"h"}},
				{Name: "relu", OpType: "Relu", Inputs: []string{"h"}, Outputs: []string{"r"}},
				{Name: "fc2", OpType: "Gemm", Inputs: []string{"r", "fc2.weight", "fc2.bias"}, Outputs: []string{"y"}},
			},
			Initializers: []*onnx.Tensor{
				weights("fc1.weight", int64(rows), hidden), weights("fc2.weight", hidden, 10),
				weights("fc1.bias", hidden), weights("fc2.bias", 10),
			},
			Inputs: []*onnx.ValueInfo{value("x", 1, int64(rows))}, Outputs: []*onnx.ValueInfo{value("y", 1, 10)},
		},
	}
}

// cmdData writes samples for a model of 64 rows, as an .npz file: data FILE.npz samples wrong. The labels are the model's answers, computed in float64, but
// for the first ones, which are wrong; with −1 there are no labels.
func cmdData(ts *testscript.TestScript, neg bool, args []string) {
	n, wrong := counts(ts, args)
	rng := rand.New(rand.NewPCG(2, 3))
	x := make([]float32, n*64)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	arrays := []npy.Named{{Name: "x", Tensor: tensor.From(x, n, 64)}}
	if wrong >= 0 {
		arrays = append(arrays, npy.Named{Name: "y", Tensor: tensor.From(labels(ts, x, wrong), n)})
	}
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(errors.Join(npy.WriteArchive(f, arrays), f.Close()))
}

// cmdPictures is cmdData with grey images of 12×10 pixels, of which the centre of 8×8 is the sample, as (x/64 − 2)/0.5: pictures FOLDER samples wrong.
// Classes 2 and 7 are both called crane; a second folder, FOLDER-numbers, has no names.
func cmdPictures(ts *testscript.TestScript, neg bool, args []string) {
	n, wrong := counts(ts, args)
	rng := rand.New(rand.NewPCG(4, 5))
	var x []float32
	var files [][]byte
	for range n {
		img := image.NewGray(image.Rect(0, 0, 12, 10))
		for i := range img.Pix {
			img.Pix[i] = uint8(rng.IntN(256))
		}
		for y := range 8 {
			for c := range 8 {
				x = append(x, (float32(img.GrayAt(2+c, 1+y).Y)/64-2)/0.5)
			}
		}
		var b bytes.Buffer
		ts.Check(png.Encode(&b, img))
		files = append(files, b.Bytes())
	}
	names := strings.Fields("zero one crane three four five six crane eight nine")
	for _, dir := range []string{args[0], args[0] + "-numbers"} {
		ts.Check(os.Mkdir(ts.MkAbs(dir), 0o755))
		list := ""
		for i, class := range labels(ts, x, wrong) {
			name := fmt.Sprintf("%d.png", i)
			ts.Check(os.WriteFile(filepath.Join(ts.MkAbs(dir), name), files[i], 0o644))
			if list += fmt.Sprintf("%s\t%d", name, class); dir == args[0] {
				list += "\t" + names[class]
			}
			list += "\n"
		}
		ts.Check(os.WriteFile(filepath.Join(ts.MkAbs(dir), "labels.tsv"), []byte(list), 0o644))
	}
}

// counts reads the arguments samples and wrong.
func counts(ts *testscript.TestScript, args []string) (n, wrong int) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	wrong, err = strconv.Atoi(args[2])
	ts.Check(err)
	return n, wrong
}

// labels are the answers of the model of 64 rows to x, in float64, but for the first ones.
func labels(ts *testscript.TestScript, x []float32, wrong int) (out []int64) {
	const rows = 64
	weights := map[string][]float32{}
	for _, t := range denseModel(rows).Graph.Initializers {
		count, err := t.NumElements()
		ts.Check(err)
		weights[t.Name] = make([]float32, count)
		ts.Check(t.ReadFloats(weights[t.Name], 0))
	}
	layer := func(x []float64, name string) []float64 {
		w, b := weights[name+".weight"], weights[name+".bias"]
		y := make([]float64, len(b))
		for o := range y {
			y[o] = float64(b[o])
			for i, v := range x {
				y[o] += v * float64(w[i*len(b)+o])
			}
		}
		return y
	}
	for sample := range slices.Chunk(x, rows) {
		var row []float64
		for _, v := range sample {
			row = append(row, float64(v))
		}
		hidden := layer(row, "fc1")
		for i, v := range hidden {
			hidden[i] = max(v, 0)
		}
		scores := layer(hidden, "fc2")
		class := slices.Index(scores, slices.Max(scores))
		if len(out) < wrong {
			class = (class + 1) % 10
		}
		out = append(out, int64(class))
	}
	return out
}

// lookup follows a path of keys and indices: tensors.0.name
func lookup(ts *testscript.TestScript, file, path string) any {
	var v any
	dec := json.NewDecoder(strings.NewReader(ts.ReadFile(file)))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		ts.Fatalf("%s is not JSON: %v", file, err)
	}
	if dec.More() {
		ts.Fatalf("%s holds more than one JSON value", file)
	}
	for _, key := range strings.Split(path, ".") {
		switch c := v.(type) {
		case map[string]any:
			v = c[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(c) {
				ts.Fatalf("%s: no element %s", path, key)
			}
			v = c[i]
		default:
			ts.Fatalf("%s: nothing has a key %s", path, key)
		}
	}
	return v
}

// cmdJSON compares a value: json FILE path want
func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	if got := fmt.Sprint(lookup(ts, args[0], args[1])); (got == args[2]) == neg {
		ts.Fatalf("%s: %s is %s, want %s", args[0], args[1], got, args[2])
	}
}

// cmdSame compares values of two results: same FILE1 path1 FILE2 path2
func cmdSame(ts *testscript.TestScript, neg bool, args []string) {
	a, b := lookup(ts, args[0], args[1]), lookup(ts, args[2], args[3])
	if a == nil || (fmt.Sprint(a) == fmt.Sprint(b)) == neg {
		ts.Fatalf("%s: %s is %v, %s: %s is %v", args[0], args[1], a, args[2], args[3], b)
	}
}

// cmdSums checks the accounting of a compress result: sums FILE archive
func cmdSums(ts *testscript.TestScript, neg bool, args []string) {
	bytes := lookup(ts, args[0], "bytes").(map[string]any)
	var total, sum int64
	for name, v := range bytes {
		n, err := v.(json.Number).Int64()
		ts.Check(err)
		if name == "total" {
			total = n
		} else {
			sum += n
		}
	}
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if sum != total || total != info.Size() {
		ts.Fatalf("the parts add up to %d, total is %d, the file has %d bytes", sum, total, info.Size())
	}
}

// cmdSize compares sizes: size FILE1 < FILE2
func cmdSize(ts *testscript.TestScript, neg bool, args []string) {
	a, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	b, err := os.Stat(ts.MkAbs(args[2]))
	ts.Check(err)
	if (a.Size() < b.Size()) == neg {
		ts.Fatalf("%s has %d bytes, %s %d", args[0], a.Size(), args[2], b.Size())
	}
}

// cmdPatch inverts a bit: patch FILE offset; a negative offset counts from the end, a fraction from the start.
func cmdPatch(ts *testscript.TestScript, neg bool, args []string) {
	data := []byte(ts.ReadFile(args[0]))
	at, err := strconv.ParseFloat(args[1], 64)
	ts.Check(err)
	switch {
	case at < 0:
		at += float64(len(data))
	case at > 0 && at < 1:
		at *= float64(len(data))
	}
	data[int(at)] ^= 0x10
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o644))
}

// cmdTruncate cuts a file to a fraction of its size: truncate FILE 0.5
func cmdTruncate(ts *testscript.TestScript, neg bool, args []string) {
	f, err := strconv.ParseFloat(args[1], 64)
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), int64(f*float64(len(ts.ReadFile(args[0]))))))
}

// cmdNoTemp fails where a temporary file was left: notemp FOLDER
func cmdNoTemp(ts *testscript.TestScript, neg bool, args []string) {
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	for _, e := range entries {
		if strings.Contains(e.Name(), ".effml-") {
			ts.Fatalf("%s was left behind", e.Name())
		}
	}
}

// cmdInterrupt starts effml, waits until it has begun to write and interrupts it: interrupt SIGNAL args…
// The exit code goes to the environment variable CODE, stderr to the file stderr.txt.
func cmdInterrupt(ts *testscript.TestScript, neg bool, args []string) {
	exe, err := exec.LookPath("effml")
	ts.Check(err)
	c := exec.Command(exe, args[1:]...)
	c.Dir = ts.MkAbs(".")
	var stderr strings.Builder
	c.Stderr = &stderr
	ts.Check(c.Start())
	done := make(chan struct{})
	go func() { c.Wait(); close(done) }()
	for begun := false; !begun; {
		select {
		case <-done:
			ts.Fatalf("it ended before it could be interrupted: %s", stderr.String())
		case <-time.After(2 * time.Millisecond):
			found, err := filepath.Glob(filepath.Join(c.Dir, ".*.effml-*.tmp"))
			ts.Check(err)
			begun = len(found) > 0
		}
	}
	ts.Check(interrupt(c.Process, args[0]))
	<-done
	ts.Setenv("CODE", strconv.Itoa(c.ProcessState.ExitCode()))
	ts.Check(os.WriteFile(filepath.Join(c.Dir, "stderr.txt"), []byte(stderr.String()), 0o644))
}
