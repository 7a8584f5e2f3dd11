package dataset

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

var ctx = context.Background()

// memory is a Source of samples in memory, some of them bad.
type memory struct {
	fields  []Field
	samples []Sample
	bad     map[int]error
	wait    func(i int)
}

func (m *memory) Len() int          { return len(m.samples) }
func (m *memory) Fields() []Field   { return m.fields }
func (m *memory) Name(i int) string { return fmt.Sprintf("sample %d", i) }
func (m *memory) Close() error      { return nil }

func (m *memory) Read(i int, s Sample) error {
	if m.wait != nil {
		m.wait(i)
	}
	for name, v := range m.samples[i] {
		s[name] = v
	}
	return m.bad[i]
}

// numbers is n samples of their own number, in a field x and in one of labels.
func numbers(n int) *memory {
	m := &memory{fields: []Field{{Name: "x", Type: onnx.Float, Shape: []int{2}}, {Name: "label", Kind: Label, Type: onnx.Int64, Shape: []int{}}}}
	for i := range n {
		m.samples = append(m.samples, Sample{"x": tensor.From([]float32{float32(i), -float32(i)}, 2), "label": tensor.Scalar(int64(i))})
	}
	return m
}

func part(t testing.TB, m Source, s Spec) *Part {
	t.Helper()
	p, err := NewPart(m, s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestKinds batches one of each kind of data.
func TestKinds(t *testing.T) {
	f := tensor.From[float32]
	for name, c := range map[string]struct {
		source *memory
		spec   Spec
		want   map[string]*tensor.Tensor
	}{
		"images of one size": {
			&memory{fields: []Field{{Name: "image", Kind: Image, Type: onnx.Uint8, Shape: []int{1, 2, 3}}}, samples: []Sample{
				{"image": tensor.From([]uint8{1, 2, 3, 4, 5, 6}, 1, 2, 3)}, {"image": tensor.From([]uint8{11, 12, 13, 14, 15, 16}, 1, 2, 3)},
			}},
			Spec{Preprocess: Preprocess{Mean: []Number{1, 2, 3}, Channels: "bgr"}},
			map[string]*tensor.Tensor{"image": f([]float32{2, 5, 0, 3, -2, 1, 12, 15, 10, 13, 8, 11}, 2, 3, 1, 2)},
		},
		"sequences": {
			&memory{fields: []Field{{Name: "tokens", Type: onnx.Int64, Shape: []int{-1}}}, samples: []Sample{
				{"tokens": tensor.From([]int64{7, 8}, 2)}, {"tokens": tensor.From([]int64{}, 0)}, {"tokens": tensor.From([]int64{4, 5, 6}, 3)},
			}},
			Spec{Collate: map[string]string{"tokens": "pad"}},
			map[string]*tensor.Tensor{"tokens": tensor.From([]int64{7, 8, 0, 0, 0, 0, 4, 5, 6}, 3, 3), "tokens_length": tensor.From([]int64{2, 0, 3}, 3)},
		},
		"point clouds": {
			&memory{fields: []Field{{Name: "points", Type: onnx.Float, Shape: []int{-1, 3}, Collate: Ragged}, {Name: "label", Kind: Label, Type: onnx.Int64, Shape: []int{}}}, samples: []Sample{
				{"points": f([]float32{1, 2, 3}, 1, 3), "label": tensor.Scalar(int64(5))}, {"points": f([]float32{4, 5, 6, 7, 8, 9}, 2, 3), "label": tensor.Scalar(int64(6))},
			}},
			Spec{},
			map[string]*tensor.Tensor{"points": f([]float32{1, 2, 3, 4, 5, 6, 7, 8, 9}, 3, 3), "points_offsets": tensor.From([]int64{0, 1, 3}, 3), "label": tensor.From([]int64{5, 6}, 2)},
		},
		"pairs": {
			&memory{fields: []Field{{Name: "a", Kind: Image, Type: onnx.Uint8, Shape: []int{1, 2, 1}}, {Name: "b", Kind: Image, Type: onnx.Uint8, Shape: []int{1, 2, 1}}}, samples: []Sample{
				{"a": tensor.From([]uint8{1, 2}, 1, 2, 1), "b": tensor.From([]uint8{3, 4}, 1, 2, 1)},
			}},
			Spec{Preprocess: Preprocess{Scale: 2}, Augment: Augment{Flip: 1}},
			map[string]*tensor.Tensor{"a": f([]float32{4, 2}, 1, 1, 1, 2), "b": f([]float32{8, 6}, 1, 1, 1, 2)},
		},
		"clips": {
			&memory{fields: []Field{{Name: "clip", Kind: Image, Type: onnx.Uint8, Shape: []int{2, 1, 1, 3}}}, samples: []Sample{
				{"clip": tensor.From([]uint8{1, 2, 3, 4, 5, 6}, 2, 1, 1, 3)}, {"clip": tensor.From([]uint8{7, 8, 9, 10, 11, 12}, 2, 1, 1, 3)},
			}},
			Spec{Collate: map[string]string{"clip": "join"}},
			map[string]*tensor.Tensor{"clip": f([]float32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, 4, 3, 1, 1)},
		},
		"texts": {
			&memory{fields: []Field{{Name: "text", Type: onnx.String, Shape: []int{}}}, samples: []Sample{{"text": tensor.FromStrings([]string{"a"})}, {"text": tensor.FromStrings([]string{"b"})}}},
			Spec{},
			map[string]*tensor.Tensor{"text": tensor.FromStrings([]string{"a", "b"}, 2)},
		},
		"images of many sizes": {
			&memory{fields: []Field{{Name: "image", Kind: Image, Type: onnx.Uint8, Shape: []int{-1, -1, 1}, Collate: Ragged}}, samples: []Sample{
				{"image": tensor.From([]uint8{1, 2}, 1, 1, 2, 1)}, {"image": tensor.From([]uint8{3, 4, 5, 6}, 2, 1, 2, 1)},
			}},
			Spec{},
			map[string]*tensor.Tensor{"image": f([]float32{1, 2, 3, 4, 5, 6}, 3, 1, 1, 2), "image_offsets": tensor.From([]int64{0, 1, 3}, 3)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			for b, err := range part(t, c.source, c.spec).Batches(ctx, Options{Batch: 5, Augment: true}) {
				if err != nil {
					t.Fatal(err)
				}
				n++
				if b.Len != len(c.source.samples) || len(b.Fields) != len(c.want) {
					t.Errorf("%d samples, fields %v", b.Len, b.Fields)
				}
				for field, want := range c.want {
					got := b.Fields[field]
					if got == nil || got.String() != want.String() || string(got.Bytes()) != string(want.Bytes()) || !slices.Equal(got.Strings(), want.Strings()) {
						t.Errorf("%s: %v %v, want %v %v", field, got, got.Bytes(), want, want.Bytes())
					}
				}
			}
			if n != 1 {
				t.Errorf("%d batches", n)
			}
		})
	}
}

// run collects the labels of all batches.
func run(t *testing.T, p *Part, o Options) (out [][]int64) {
	t.Helper()
	for b, err := range p.Batches(ctx, o) {
		if err != nil {
			t.Fatal(err)
		}
		labels := slices.Clone(tensor.Of[int64](b.Fields["label"]))
		for i, v := range tensor.Of[float32](b.Fields["x"]) {
			if want := float32(labels[i/2]); v != want && v != -want {
				t.Fatalf("x is %v beside the label %v", v, want)
			}
		}
		for i, n := range b.Samples {
			if int64(n) != labels[i] {
				t.Fatalf("sample %d said to be %d", labels[i], n)
			}
		}
		out = append(out, labels)
	}
	return out
}

func TestOrder(t *testing.T) {
	p := part(t, numbers(103), Spec{})
	plain := run(t, p, Options{Batch: 10})
	if len(plain) != 11 || len(plain[10]) != 3 || plain[3][4] != 34 {
		t.Error(plain)
	}
	if got := run(t, p, Options{Batch: 10, DropLast: true}); len(got) != 10 {
		t.Error(len(got), "batches with the last one dropped")
	}
	if got := run(t, p, Options{}); len(got) != 103 || len(got[5]) != 1 {
		t.Error(len(got), "batches of one")
	}
	shuffled := run(t, p, Options{Batch: 10, Shuffle: true, Seed: 1})
	var flat []int64
	for _, b := range shuffled {
		flat = append(flat, b...)
	}
	if slices.IsSorted(flat) || len(slices.Compact(slices.Sorted(slices.Values(flat)))) != 103 {
		t.Error("no permutation:", flat)
	}
	for _, o := range []Options{{Workers: 1, Ahead: 1}, {Workers: 7, Ahead: 5}, {Workers: 3}} {
		o.Batch, o.Shuffle, o.Seed = 10, true, 1
		if got := run(t, p, o); !slices.EqualFunc(got, shuffled, slices.Equal) {
			t.Errorf("%+v changes the batches", o)
		}
	}
	for _, o := range []Options{{Seed: 2}, {Seed: 1, Epoch: 1}} {
		o.Batch, o.Shuffle = 10, true
		if got := run(t, p, o); slices.EqualFunc(got, shuffled, slices.Equal) {
			t.Errorf("%+v leaves the order", o)
		}
	}
}

// TestRandomness checks that what is drawn for a sample depends on the seed, the epoch and the sample alone.
func TestRandomness(t *testing.T) {
	p := part(t, numbers(40), Spec{})
	draw := func(o Options) map[int]uint64 {
		out := map[int]uint64{}
		o.Transforms = []Transform{func(s Sample, r *rand.Rand) error {
			v := r.Uint32() >> 12 // exact in float32
			s["x"] = tensor.From([]float32{float32(v), 0}, 2)
			return nil
		}}
		for b, err := range p.Batches(ctx, o) {
			if err != nil {
				t.Fatal(err)
			}
			for i, n := range b.Samples {
				out[n] = uint64(tensor.Of[float32](b.Fields["x"])[2*i])
			}
		}
		return out
	}
	a := draw(Options{Batch: 8, Workers: 1})
	b := draw(Options{Batch: 3, Workers: 5, Shuffle: true})
	c, d := draw(Options{Batch: 8, Epoch: 1}), draw(Options{Batch: 8, Seed: 1})
	values := map[uint64]bool{}
	for i, v := range a {
		if b[i] != v {
			t.Errorf("sample %d: another batching draws %d, not %d", i, b[i], v)
		}
		values[v], values[c[i]], values[d[i]] = true, true, true
	}
	if len(values) < 118 {
		t.Errorf("%d different draws for 40 samples in 3 runs", len(values))
	}
}

func TestSkipBad(t *testing.T) {
	m := numbers(20)
	m.bad = map[int]error{3: errors.New("torn"), 4: errors.New("burnt"), 12: errors.New("wet")}
	m.samples[18]["label"] = tensor.Scalar(int64(-1))
	p := part(t, m, Spec{})
	for workers := 1; workers < 5; workers++ {
		var told []string
		got := run(t, p, Options{Batch: 5, Workers: workers, SkipBad: 4, Skipped: func(err error) { told = append(told, err.Error()) }})
		want := [][]int64{{0, 1, 2}, {5, 6, 7, 8, 9}, {10, 11, 13, 14}, {15, 16, 17, 19}}
		if !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("%v, want %v", got, want)
		}
		if !slices.Equal(told, []string{"sample 3: torn", "sample 4: burnt", "sample 12: wet", "sample 18: label -1 is out of range, there are 0 classes"}) {
			t.Errorf("%q", told)
		}
		for skip, message := range []string{"sample 3: torn", "sample 4: burnt", "sample 12: wet"} {
			var last error
			for _, err := range p.Batches(ctx, Options{Batch: 2, Workers: workers, SkipBad: skip}) {
				last = err
			}
			var data *job.DataError
			if !errors.As(last, &data) || last.Error() != message {
				t.Errorf("after skipping %d: %v, want %q", skip, last, message)
			}
		}
	}
	// A whole batch of bad samples is no batch.
	if got := run(t, p, Options{Batch: 1, SkipBad: 4}); len(got) != 16 {
		t.Error(len(got), "batches of one")
	}
	// A bad sample of another shape does not decide that of the batch.
	m.samples[3]["x"] = tensor.From(make([]float32, 3), 3)
	if got := run(t, p, Options{Batch: 5, SkipBad: 4, Fill: true}); !slices.Equal(got[0], []int64{0, 1, 2, 2, 2}) {
		t.Error(got[0])
	}
}

func TestMismatch(t *testing.T) {
	m := numbers(6)
	m.samples[4]["x"] = tensor.From([]float32{4}, 1)
	var last error
	for _, err := range part(t, m, Spec{}).Batches(ctx, Options{Batch: 3}) {
		last = err
	}
	if !contains(last, "sample 4: field x has the shape [1], sample 3 before it [2]") {
		t.Error(last)
	}
	m.samples[4]["x"] = tensor.From([]float64{4, 4}, 2)
	for _, err := range part(t, m, Spec{}).Batches(ctx, Options{Batch: 3}) {
		last = err
	}
	if !contains(last, "sample 4: field x is of type float64, it should be float32") {
		t.Error(last)
	}
}

// TestCancel ends passes early and in the middle of decoding, and sees that nothing goes on.
func TestCancel(t *testing.T) {
	before := runtime.NumGoroutine()
	m := numbers(1000)
	m.wait = func(int) { time.Sleep(50 * time.Microsecond) }
	p := part(t, m, Spec{})
	for range p.Batches(ctx, Options{Batch: 7, Workers: 3}) {
		break
	}
	ended, cancel := context.WithCancel(ctx)
	defer cancel()
	n := 0
	var last error
	for _, err := range p.Batches(ended, Options{Batch: 7, Workers: 3}) {
		if n++; n == 3 {
			cancel()
		}
		last = err
	}
	if !errors.Is(last, context.Canceled) || n > 5 {
		t.Error(n, last)
	}
	if now := runtime.NumGoroutine(); now > before {
		t.Errorf("%d goroutines, %d before", now, before)
	}
}

// TestAhead checks that no more batches are made than may be.
func TestAhead(t *testing.T) {
	m := numbers(100)
	highest := make(chan int, 200)
	m.wait = func(i int) { highest <- i }
	n := 0
	for range part(t, m, Spec{}).Batches(ctx, Options{Batch: 5, Workers: 2, Ahead: 3}) {
		if n++; n == 2 {
			time.Sleep(20 * time.Millisecond)
			break
		}
	}
	close(highest)
	for i := range highest {
		if i >= (2+3)*5 {
			t.Fatalf("sample %d was read while batch 2 was in use and 3 may be ahead", i)
		}
	}
}

func TestBind(t *testing.T) {
	image := func(shape ...int) *memory {
		return &memory{fields: []Field{{Name: "image", Kind: Image, Type: onnx.Uint8, Shape: shape}, {Name: "label", Kind: Label, Type: onnx.Int64, Shape: []int{}}}, samples: []Sample{
			{"image": tensor.From(ramp(28 * 28 * 3)[:28*28*shape[2]*shape[2]/shape[2]], 28, 28, shape[2]), "label": tensor.Scalar(int64(1))},
		}}
	}
	in := func(dt onnx.DataType, shape ...int) []Input { return []Input{{"data", dt, shape}} }
	two := numbers(3)
	two.fields[0].Name = "a"
	for i := range two.samples {
		two.samples[i] = Sample{"a": two.samples[i]["x"], "b": tensor.From([]int64{7, 8}[:1+i%2], 1+i%2), "label": two.samples[i]["label"]}
	}
	two.fields = append(two.fields, Field{Name: "b", Type: onnx.Int64, Shape: []int{-1}, Collate: Pad})
	for name, c := range map[string]struct {
		source  *memory
		spec    Spec
		inputs  []Input
		outputs int
		want    string // inputs of the first batch, or the error
		pre     string
	}{
		"grey":           {image(28, 28, 1), Spec{}, in(onnx.Float, -1, 1, 28, 28), 10, "float32[1,1,28,28]", "channels=grey"},
		"to colour":      {image(28, 28, 1), Spec{}, in(onnx.Float, 1, 3, 28, 28), 10, "float32[1,3,28,28]", "channels=rgb"},
		"to grey":        {image(28, 28, 3), Spec{}, in(onnx.Float, -1, 1, -1, -1), 0, "float32[1,1,28,28]", "channels=grey"},
		"bytes":          {image(28, 28, 3), Spec{}, in(onnx.Uint8, -1, 28, 28, 3), 0, "uint8[1,28,28,3]", "channels=rgb,layout=nhwc"},
		"flat":           {image(28, 28, 1), Spec{}, in(onnx.Float, -1, 784), 0, "float32[1,784]", "channels=grey"},
		"flat of 4":      {image(28, 28, 1), Spec{}, in(onnx.Float16, 4, 784), 0, "float16[4,784]", "channels=grey"},
		"smaller":        {image(28, 28, 1), Spec{}, in(onnx.Float, -1, 1, 14, 14), 0, "float32[1,1,14,14]", "resize=14,crop=14,channels=grey"},
		"unknown size":   {image(-1, -1, 3), Spec{Preprocess: Preprocess{Resize: 40}}, in(onnx.Float, -1, 3, 32, 32), 0, "float32[1,3,32,32]", "resize=40,crop=32,channels=rgb"},
		"shapeless":      {image(28, 28, 3), Spec{}, in(onnx.Float), 0, "float32[1,3,28,28]", ""},
		"by name":        {two, Spec{Inputs: map[string]string{"n": "b_length"}}, []Input{{"b", onnx.Int64, []int{-1, -1}}, {"n", onnx.Int32, []int{-1}}, {"a", onnx.Float, []int{-1, 2}}}, 0, "int64[3,2] int32[3] float32[3,2]", ""},
		"bad crop":       {image(28, 28, 1), Spec{Preprocess: Preprocess{Crop: 20}}, in(onnx.Float, -1, 1, 14, 14), 0, "preprocess.crop is 20, the model takes 14×14", ""},
		"bad channels":   {image(28, 28, 1), Spec{Preprocess: Preprocess{Channels: "bgr"}}, in(onnx.Float, -1, 1, 28, 28), 0, "preprocess.channels is bgr, the model takes 1", ""},
		"four channels":  {image(28, 28, 1), Spec{}, in(onnx.Float, -1, 4, 28, 28), 0, "takes 4 channels", ""},
		"not square":     {image(28, 28, 1), Spec{}, in(onnx.Float, -1, 1, 28, 14), 0, "takes 14×28 pixels, and a crop is square", ""},
		"bad flat":       {image(28, 28, 1), Spec{}, in(onnx.Float, -1, 100), 0, "images of 28×28 pixels are no other shape", ""},
		"class count":    {image(28, 28, 1), Spec{Classes: []string{"a", "b"}}, in(onnx.Float, -1, 1, 28, 28), 3, "has 2 classes (a, b, …), the model tells 3 apart", ""},
		"label":          {image(28, 28, 1), Spec{}, in(onnx.Float, -1, 1, 28, 28), 1, "sample 0: label 1 is out of range, the model tells 1 classes apart", ""},
		"unknown field":  {two, Spec{Inputs: map[string]string{"data": "aa"}}, in(onnx.Float, -1, 2), 0, `input "data": no field "aa"`, ""},
		"which":          {two, Spec{}, in(onnx.Float, -1, 2), 0, "which field is it? say so under inputs; the fields are a, b", ""},
		"no such input":  {two, Spec{Inputs: map[string]string{"dato": "a", "data": "a"}}, in(onnx.Float, -1, 2), 0, `the model has no input "dato"; did you mean "data"?`, ""},
		"shape":          {two, Spec{Inputs: map[string]string{"data": "a"}}, in(onnx.Float, -1, 3), 0, `field "a" is [2] a sample, the model takes [3]`, ""},
		"labels":         {two, Spec{Labels: "a"}, in(onnx.Float, -1, 2), 0, `labels: field "a" holds float32[2], not a class`, ""},
		"labels unknown": {two, Spec{Labels: "lable"}, in(onnx.Float, -1, 2), 0, `labels: no field "lable"; did you mean "label"?`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := part(t, c.source, c.spec).Bind(c.inputs, c.outputs)
			if err == nil {
				var got []string
				for b, e := range f.Batches(ctx, Options{Batch: map[bool]int{true: 4}[f.Batch == 0]}) {
					if err = e; err != nil {
						break
					}
					for _, in := range b.Inputs {
						got = append(got, in.String())
					}
					if len(b.Labels) != b.Len || b.Labels[0] != int64(len(c.source.samples)%3%2) {
						t.Errorf("labels %v of %d", b.Labels, b.Len)
					}
				}
				if err == nil && (strings.Join(got, " ") != c.want || f.Preprocess.String() != c.pre) {
					t.Errorf("%q with %q, want %q with %q", got, f.Preprocess.String(), c.want, c.pre)
				}
			}
			if err != nil && !contains(err, c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// TestNumbers preprocesses what is no image.
func TestNumbers(t *testing.T) {
	bytes := &memory{fields: []Field{{Name: "pixels", Type: onnx.Uint8, Shape: []int{2}}}, samples: []Sample{
		{"pixels": tensor.From([]uint8{1, 2}, 2)}, {"pixels": tensor.From([]uint8{255, 0}, 2)},
	}}
	spec := Spec{Preprocess: Preprocess{Resize: 9, Channels: "grey", Scale: 2, Mean: []Number{1}, Std: []Number{4}}}
	f, err := part(t, bytes, spec).Bind([]Input{{"data", onnx.Float, []int{-1, 1, 2, 1}}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if p := f.Preprocess.String(); p != "scale=2,mean=1,std=4" || !strings.Contains(strings.Join(f.Assumed, "\n"), "of resize=9,channels=grey,scale=2,mean=1,std=4 only") {
		t.Errorf("preprocessing %q, assumed %q", p, f.Assumed)
	}
	for b, err := range f.Batches(ctx, Options{Batch: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		if x := b.Inputs[0]; x.String() != "float32[2,1,2,1]" || !slices.Equal(tensor.Of[float32](x), []float32{0.25, 0.75, 127.25, -0.25}) {
			t.Errorf("%v %v", x, tensor.Of[float32](x))
		}
	}
	if bytes.fields[0].Type != onnx.Uint8 {
		t.Error("the fields of the source have changed")
	}
	if _, err := part(t, bytes, Spec{Preprocess: Preprocess{Mean: []Number{1, 2, 3}}}).Bind([]Input{{"data", onnx.Float, []int{-1, 2}}}, 0); err == nil || !contains(err, `preprocess.mean: 3 numbers, of which field "pixels", which is no image, takes one`) {
		t.Error(err)
	}
	f, err = part(t, bytes, Spec{Preprocess: Preprocess{Scale: 3}}).Bind([]Input{{"tokens", onnx.Int64, []int{-1, 2}}}, 0)
	if err != nil || f.Preprocess.String() != "" || len(f.Assumed) != 1 {
		t.Errorf("tokens are scaled: %q, %v", f.Preprocess.String(), err)
	}
}

func BenchmarkMemory(b *testing.B) {
	m := &memory{fields: []Field{{Name: "image", Kind: Image, Type: onnx.Uint8, Shape: []int{28, 28, 1}}}}
	for range 1000 {
		m.samples = append(m.samples, Sample{"image": tensor.From(make([]uint8, 784), 28, 28, 1)})
	}
	p := part(b, m, Spec{})
	n := 0
	for b.Loop() {
		for batch, err := range p.Batches(ctx, Options{Batch: 64}) {
			if err != nil {
				b.Fatal(err)
			}
			n += batch.Len
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "images/s")
}

// TestFirst begins epochs in the middle: what comes is what comes there otherwise, whatever is random in it.
func TestFirst(t *testing.T) {
	noise := func(s Sample, r *rand.Rand) error {
		s["x"] = tensor.From([]float32{tensor.Of[float32](s["x"])[0], r.Float32()}, 2)
		return nil
	}
	p := part(t, numbers(23), Spec{})
	all := func(epoch, first int) (out [][]float32) {
		o := Options{Batch: 4, Shuffle: true, Seed: 5, Epoch: epoch, First: first, Transforms: []Transform{noise}, Workers: 3}
		for b, err := range p.Batches(ctx, o) {
			if err != nil {
				t.Fatal(err)
			}
			if b.Number != first+len(out) {
				t.Errorf("batch %d after %d from %d on", b.Number, len(out), first)
			}
			out = append(out, slices.Clone(tensor.Of[float32](b.Fields["x"])))
		}
		return out
	}
	for epoch := range 2 {
		whole := all(epoch, 0)
		for first := range 8 {
			if got, want := all(epoch, first), whole[min(first, len(whole)):]; !slices.EqualFunc(got, want, slices.Equal) {
				t.Errorf("epoch %d from batch %d: %v, not %v", epoch, first, got, want)
			}
		}
	}
}

// TestFingerprint tells data apart, but not where it lies.
func TestFingerprint(t *testing.T) {
	of := func(s Source, spec Spec) string {
		f, err := part(t, s, spec).Bind([]Input{{Name: "x", Type: onnx.Float, Shape: []int{-1, 2}}}, 0)
		if err != nil {
			t.Fatal(err)
		}
		text, err := f.Fingerprint()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	changed, relabelled := numbers(40), numbers(40)
	changed.samples[7]["x"] = tensor.From([]float32{7, 7}, 2)
	relabelled.samples[39]["label"] = tensor.Scalar(int64(38))
	base := of(numbers(40), Spec{Path: "here"})
	if base != of(numbers(40), Spec{Path: "there"}) {
		t.Error("the same data has two fingerprints")
	}
	for name, other := range map[string]string{
		"contents": of(changed, Spec{}), "labels": of(relabelled, Spec{}), "fewer": of(numbers(39), Spec{}),
		"augmentation": of(numbers(40), Spec{Augment: Augment{Flip: 0.5}}), "classes": of(numbers(40), Spec{Classes: []string{"a"}}),
	} {
		if other == base {
			t.Errorf("%s: not told apart", name)
		}
	}
}
