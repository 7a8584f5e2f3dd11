package ops

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// small makes a tensor of small integers, whose sums of products are exact in every type.
func small(r *rand.Rand, dt onnx.DataType, shape ...int) *tensor.Tensor {
	t, err := tensor.New(dt, shape...)
	if err != nil {
		panic(err)
	}
	v := make([]float32, t.Len())
	for i := range v {
		v[i] = float32(r.IntN(5) - 2)
	}
	t.SetFloats(0, v, false)
	return t
}

// tensorOf makes a tensor of numbers.
func tensorOf(dt onnx.DataType, v []float64, shape ...int) *tensor.Tensor {
	t, err := tensor.New(dt, shape...)
	if err != nil {
		panic(err)
	}
	if dt == onnx.Double {
		copy(tensor.Of[float64](t), v)
		return t
	}
	narrowed := make([]float32, len(v))
	narrow(narrowed, v)
	t.SetFloats(0, narrowed, false)
	return t
}

// values are the elements of t.
func values(t *tensor.Tensor) []float64 {
	v, err := numbersOf(nil, t)
	if err != nil {
		panic(err)
	}
	return v
}

// coordinates splits the position i in an array into its indices.
func coordinates(i int, shape []int) []int {
	at := make([]int, len(shape))
	for d := len(shape) - 1; d >= 0; d-- {
		at[d] = i % shape[d]
		i /= shape[d]
	}
	return at
}

// offset is the inverse of coordinates; −1 outside of the array.
func offset(at, shape []int) int {
	i := 0
	for d, k := range at {
		if k < 0 || k >= shape[d] {
			return -1
		}
		i = i*shape[d] + k
	}
	return i
}

// convCaseOf is a convolution, with all attributes spelt out.
type slowConv struct {
	x, w                     []int
	groups                   int
	strides, dilations, pads []int
	auto                     string
	outputPadding            []int
}

func (s slowConv) example(name string, bias bool) (example, []int) {
	e := example{name: name + "-22"}
	list := func(key string, v []int) {
		if v != nil {
			e.attributes += key + "="
			for _, x := range v {
				e.attributes += fmt.Sprint(x, ",")
			}
			e.attributes += " "
		}
	}
	list("strides", s.strides)
	list("dilations", s.dilations)
	if s.auto == "" {
		list("pads", s.pads)
	} else {
		e.attributes += "auto_pad=" + s.auto + " "
	}
	list("output_padding", s.outputPadding)
	e.attributes += fmt.Sprintf("group=%d", s.groups)
	return e, s.x
}

// forward computes y by the definition, with zeros around x.
func (s slowConv) forward(x, w, b []float64) (y []float64, shape []int) {
	shape = []int{s.x[0], s.w[0]}
	for i, d := range s.x[2:] {
		shape = append(shape, (d+s.pads[i]+s.pads[len(s.x)-2+i]-(s.w[2+i]-1)*s.dilations[i]-1)/s.strides[i]+1)
	}
	y = make([]float64, product(shape))
	for i := range y {
		at := coordinates(i, shape)
		sum := 0.0
		if b != nil {
			sum = b[at[1]]
		}
		for k := range product(s.w[1:]) {
			tap := coordinates(k, s.w[1:])
			from := []int{at[0], at[1]/(s.w[0]/s.groups)*s.w[1] + tap[0]}
			for d := range s.x[2:] {
				from = append(from, at[2+d]*s.strides[d]+tap[1+d]*s.dilations[d]-s.pads[d])
			}
			if p := offset(from, s.x); p >= 0 {
				sum += x[p] * w[at[1]*product(s.w[1:])+k]
			}
		}
		y[i] = sum
	}
	return y, shape
}

// backward computes the transpose of forward by adding every product where it belongs.
func (s slowConv) backward(x, w, b []float64) (y []float64, shape []int) {
	shape = []int{s.x[0], s.w[1] * s.groups}
	for i, d := range s.x[2:] {
		n := (d-1)*s.strides[i] + (s.w[2+i]-1)*s.dilations[i] + 1 - s.pads[i] - s.pads[len(s.x)-2+i]
		if s.outputPadding != nil {
			n += s.outputPadding[i]
		}
		shape = append(shape, n)
	}
	y = make([]float64, product(shape))
	for i, v := range x {
		at := coordinates(i, s.x)
		for k := range product(s.w[1:]) {
			tap := coordinates(k, s.w[1:])
			to := []int{at[0], at[1]/(s.w[0]/s.groups)*s.w[1] + tap[0]}
			for d := range s.x[2:] {
				to = append(to, at[2+d]*s.strides[d]+tap[1+d]*s.dilations[d]-s.pads[d])
			}
			if p := offset(to, shape); p >= 0 {
				y[p] += v * w[at[1]*product(s.w[1:])+k]
			}
		}
	}
	for i := range y {
		if b != nil {
			y[i] += b[coordinates(i, shape)[1]]
		}
	}
	return y, shape
}

// TestConvolutions compares both directions with their definitions: in all types and layouts, with packed weights, and with an addition
// and a function taken over.
func TestConvolutions(t *testing.T) {
	cpu := newTestCPU(t)
	r := rand.New(rand.NewPCG(1, 2))
	for i, s := range []slowConv{
		{x: []int{2, 4, 9}, w: []int{6, 2, 3}, groups: 2, strides: []int{2}, dilations: []int{2}, pads: []int{1, 3}},
		{x: []int{1, 1, 7}, w: []int{1, 1, 1}, groups: 1, strides: []int{1}, dilations: []int{1}, pads: []int{0, 0}},
		{x: []int{2, 3, 6, 7}, w: []int{5, 3, 3, 3}, groups: 1, strides: []int{1, 1}, dilations: []int{1, 1}, pads: []int{1, 1, 1, 1}},
		{x: []int{1, 6, 8, 5}, w: []int{6, 1, 3, 3}, groups: 6, strides: []int{2, 1}, dilations: []int{1, 2}, pads: []int{1, 2, 0, 2}},
		{x: []int{1, 4, 5, 5}, w: []int{8, 4, 1, 1}, groups: 1, strides: []int{2, 2}, dilations: []int{1, 1}, pads: []int{0, 0, 0, 0}},
		{x: []int{1, 2, 4, 4}, w: []int{3, 2, 2, 2}, groups: 1, strides: []int{2, 2}, dilations: []int{1, 1}, pads: []int{0, 0, 0, 0}, outputPadding: []int{1, 0}},
		{x: []int{1, 2, 5, 6}, w: []int{3, 2, 3, 2}, groups: 1, strides: []int{2, 3}, dilations: []int{1, 1}, pads: []int{1, 0, 1, 0}, auto: "SAME_UPPER"},
		{x: []int{1, 2, 5, 6}, w: []int{3, 2, 4, 3}, groups: 1, strides: []int{1, 2}, dilations: []int{1, 1}, pads: []int{2, 1, 1, 0}, auto: "SAME_LOWER"},
		{x: []int{1, 4, 3, 4, 5}, w: []int{2, 2, 2, 3, 1}, groups: 2, strides: []int{1, 2, 1}, dilations: []int{2, 1, 1}, pads: []int{1, 0, 0, 0, 1, 0}},
	} {
		for _, dt := range []onnx.DataType{onnx.Float, onnx.Double, onnx.Float16, onnx.BFloat16} {
			for _, bias := range []bool{false, true} {
				check := func(name string, w []int, slow func(x, w, b []float64) ([]float64, []int), channels int) {
					t.Run(fmt.Sprintf("%s/%d/%s/%v", name, i, tensor.TypeName(dt), bias), func(t *testing.T) {
						e, _ := s.example(name, bias)
						in := []*tensor.Tensor{small(r, dt, s.x...), small(r, dt, w...)}
						var b []float64
						if bias {
							in = append(in, small(r, dt, channels))
							b = values(in[2])
						}
						y, shape := slow(values(in[0]), values(in[1]), b)
						checkFused(t, cpu, e, in, y, shape)
					})
				}
				check("Conv", s.w, s.forward, s.w[0])
				if s.auto == "" { // the padding of the table is that of a convolution
					back := s
					back.w = slices.Clone(s.w)
					back.w[0] = s.x[1]
					back.w[1] = s.w[0] / s.groups
					check("ConvTranspose", back.w, back.backward, s.w[0])
				}
			}
		}
	}
}

// checkFused runs an operator with one output as it is and when it has taken over an addition, a function, or both.
func checkFused(t *testing.T, cpu *kernel.CPU, e example, in []*tensor.Tensor, y []float64, shape []int) {
	t.Helper()
	op, err := New(e.node(len(in), 1))
	if err != nil {
		t.Fatal(err)
	}
	dt := in[0].Type
	relu := kernel.Activation{Kind: kernel.ClipTo, B: 6}
	for _, add := range []bool{false, true} {
		for _, act := range []kernel.Activation{{}, relu} {
			o, in, want := op, slices.Clone(in), slices.Clone(y)
			if add {
				in = append(in, small(rand.New(rand.NewPCG(3, 4)), dt, shape...))
				for i, v := range values(in[len(in)-1]) {
					want[i] += v
				}
			}
			for i, v := range want {
				want[i] = act.Of(v)
			}
			if add || act.Kind != kernel.None {
				if o = op.(Fuser).Fuse(add, act); o == nil {
					t.Fatal("nothing is taken over")
				}
				if again := o.(Fuser).Fuse(true, act); add && again != nil {
					t.Error("a second addition is taken over")
				}
			}
			r := trial{cpu: cpu, op: o, in: in, want: []*tensor.Tensor{tensorOf(dt, want, shape...)}}
			if err := r.run(); err != nil {
				t.Errorf("%s, addition %v, function %v: %v", e.attributes, add, act, err)
			}
		}
	}
}

// TestConvSizes runs one packed convolution with padding that depends on the size of the image.
func TestConvSizes(t *testing.T) {
	cpu := newTestCPU(t)
	r := rand.New(rand.NewPCG(5, 6))
	e := example{name: "Conv-11", attributes: "auto_pad=SAME_UPPER strides=2,2"}
	op, err := New(e.node(2, 1))
	if err != nil {
		t.Fatal(err)
	}
	w := small(r, onnx.Float, 3, 2, 3, 3)
	packed, dropped, err := op.(Packer).Pack(cpu, []Info{{Type: onnx.Float, Shape: Shape{Known(1), Known(2), Unknown, Unknown}}, Of(w)})
	if err != nil || !slices.Equal(dropped, []int{1}) {
		t.Fatal(dropped, err)
	}
	for _, size := range []int{5, 6, 7, 5} {
		s := slowConv{x: []int{1, 2, size, size}, w: w.Shape, groups: 1, strides: []int{2, 2}, dilations: []int{1, 1}, pads: []int{1, 1, 1, 1}}
		if size%2 == 0 {
			s.pads = []int{0, 0, 1, 1}
		}
		x := small(r, onnx.Float, s.x...)
		y, shape := s.forward(values(x), values(w), nil)
		run := trial{cpu: cpu, in: []*tensor.Tensor{x, nil}, want: []*tensor.Tensor{tensorOf(onnx.Float, y, shape...)}}
		if err := run.compute(packed, nil, []int{1}); err != nil {
			t.Errorf("size %d: %v", size, err)
		}
		if err := run.compute(packed, []bool{true, false}, []int{1}); err != nil {
			t.Errorf("size %d, channels-last: %v", size, err)
		}
	}
	if n := packed.(*convolution).PackedBytes(); n < int64(4*w.Len()) {
		t.Errorf("%d bytes are packed", n)
	}
}

// TestPools compares pooling with its definition.
func TestPools(t *testing.T) {
	cpu := newTestCPU(t)
	r := rand.New(rand.NewPCG(7, 8))
	for i, s := range []struct {
		x, kernel, strides, dilations, pads []int
		ceil                                int
	}{
		{[]int{2, 3, 9}, []int{3}, []int{2}, []int{1}, []int{1, 1}, 0},
		{[]int{1, 5, 7, 6}, []int{3, 2}, []int{2, 2}, []int{1, 1}, []int{1, 0, 1, 1}, 0},
		{[]int{2, 3, 7, 7}, []int{3, 3}, []int{2, 2}, []int{1, 1}, []int{0, 0, 0, 0}, 1},
		{[]int{1, 2, 6, 6}, []int{2, 3}, []int{3, 2}, []int{2, 1}, []int{1, 1, 1, 1}, 1},
		{[]int{1, 2, 4, 5, 4}, []int{2, 2, 3}, []int{1, 2, 1}, []int{1, 2, 1}, []int{1, 0, 1, 0, 1, 1}, 0},
	} {
		rank := len(s.kernel)
		shape := s.x[:2:2]
		for d := range rank {
			room := s.x[2+d] + s.pads[d] + s.pads[rank+d] - (s.kernel[d]-1)*s.dilations[d] - 1
			n := room/s.strides[d] + 1
			if s.ceil == 1 && room%s.strides[d] != 0 && n*s.strides[d] < s.x[2+d]+s.pads[d] {
				n++
			}
			shape = append(shape, n)
		}
		conv := slowConv{strides: s.strides, dilations: s.dilations, pads: s.pads}
		for _, name := range []string{"MaxPool", "AveragePool", "LpPool"} {
			for _, count := range []int{0, 1} {
				for _, dt := range []onnx.DataType{onnx.Float, onnx.Double, onnx.Float16, onnx.BFloat16} {
					e, _ := conv.example(name, false)
					e.attributes = fmt.Sprintf("%s kernel_shape=%s ceil_mode=%d count_include_pad=%d p=1", e.attributes, list(s.kernel), s.ceil, count)
					if count == 1 && name != "AveragePool" {
						continue
					}
					x := small(r, dt, s.x...)
					want := make([]float64, product(shape))
					for k := range want {
						want[k] = slowPool(name, values(x), s.x, coordinates(k, shape), s.kernel, conv, count)
					}
					op, err := New(e.node(1, 1))
					if err != nil {
						t.Fatal(err)
					}
					if err := (trial{cpu: cpu, op: op, in: []*tensor.Tensor{x}, want: []*tensor.Tensor{tensorOf(dt, want, shape...)}}).run(); err != nil {
						t.Errorf("case %d: %s(%s) of %s: %v", i, name, e.attributes, x, err)
					}
				}
			}
		}
	}
}

func list(v []int) (s string) {
	for _, x := range v {
		s += fmt.Sprint(x, ",")
	}
	return s
}

// slowPool is one element of a pool.
func slowPool(name string, x []float64, shape, at, kernel []int, s slowConv, countPad int) float64 {
	rank := len(kernel)
	sum, largest, n := 0.0, -1e30, 0
	for k := range product(kernel) {
		tap := coordinates(k, kernel)
		from := slices.Clone(at[:2])
		padded := true
		for d := range rank {
			p := at[2+d]*s.strides[d] + tap[d]*s.dilations[d] - s.pads[d]
			from = append(from, p)
			padded = padded && p < shape[2+d]+s.pads[rank+d]
		}
		i := offset(from, shape)
		if i >= 0 || countPad == 1 && padded {
			n++
		}
		if i < 0 {
			continue
		}
		largest = max(largest, x[i])
		if name == "LpPool" && x[i] < 0 {
			sum -= x[i]
		} else {
			sum += x[i]
		}
	}
	switch name {
	case "MaxPool":
		return largest
	case "AveragePool":
		return sum / float64(n)
	}
	return sum
}
