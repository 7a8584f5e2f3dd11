package ops

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/effml/effml/internal/isa"
	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

func newTestCPU(t *testing.T) *kernel.CPU {
	t.Helper()
	set, err := isa.FromEnv()
	if err != nil {
		t.Fatal(err)
	}
	cpu := kernel.NewCPU(kernel.Options{Threads: 3, ISA: set})
	t.Cleanup(cpu.Close)
	return cpu
}

// apply makes an operator of opset 21 and runs it.
func apply(t *testing.T, cpu *kernel.CPU, name string, attrs []*onnx.Attribute, outs int, in ...*tensor.Tensor) ([]*tensor.Tensor, error) {
	t.Helper()
	n := &onnx.Node{OpType: name, Attributes: attrs}
	for i, v := range in {
		n.Inputs = append(n.Inputs, "")
		if v != nil {
			n.Inputs[i] = fmt.Sprint("in", i)
		}
	}
	for i := range outs {
		n.Outputs = append(n.Outputs, fmt.Sprint("out", i))
	}
	op, err := New(&Node{Node: n, Opset: 21})
	if err != nil {
		return nil, err
	}
	if _, err := op.Infer(describeAll(in)); err != nil {
		return nil, err
	}
	c := &Call{CPU: cpu, In: in, Outs: make([]*tensor.Tensor, outs), Limit: 1 << 30}
	err = op.Run(c)
	return c.Outs, err
}

func intsAttr(name string, v ...int64) *onnx.Attribute {
	return &onnx.Attribute{Name: name, Type: onnx.AttributeInts, Ints: v}
}

func intAttr(name string, v int64) *onnx.Attribute {
	return &onnx.Attribute{Name: name, Type: onnx.AttributeInt, I: v}
}

// randomCodes returns bytes as int8 or uint8; some are the extreme ones.
func randomCodes(rng *rand.Rand, dt onnx.DataType, shape ...int) *tensor.Tensor {
	v, err := tensor.New(dt, shape...)
	if err != nil {
		panic(err)
	}
	for i := range v.Bytes() {
		v.Bytes()[i] = byte(rng.Uint32())
		if rng.IntN(4) == 0 {
			v.Bytes()[i] = []byte{0, 127, 128, 255}[rng.IntN(4)]
		}
	}
	return v
}

func codeAt(t *tensor.Tensor, i int) int64 {
	if t.Type == onnx.Int8 {
		return int64(int8(t.Bytes()[i]))
	}
	return int64(t.Bytes()[i])
}

var codeTypes = []onnx.DataType{onnx.Int8, onnx.Uint8}

// TestMatMulIntegerExact multiplies with inner dimensions beyond what float32 adds exactly.
func TestMatMulIntegerExact(t *testing.T) {
	cpu := newTestCPU(t)
	rng := rand.New(rand.NewPCG(1, 1))
	for _, da := range codeTypes {
		for _, db := range codeTypes {
			for _, s := range [][3]int{{1, 1, 1}, {3, 5, 7}, {5, 33, 259}, {2, 9, 2000}, {17, 40, 700}} {
				m, n, k := s[0], s[1], s[2]
				a, b := randomCodes(rng, da, m, k), randomCodes(rng, db, k, n)
				za, zb := randomCodes(rng, da), randomCodes(rng, db, n)
				if k == 2000 { // the largest sums
					za.Bytes()[0] = map[onnx.DataType]byte{onnx.Int8: 0x80, onnx.Uint8: 0}[da]
					for i := range a.Bytes() {
						a.Bytes()[i] = za.Bytes()[0] ^ 0xff
					}
				}
				out, err := apply(t, cpu, "MatMulInteger", nil, 1, a, b, za, zb)
				if err != nil {
					t.Fatal(err)
				}
				got := tensor.Of[int32](out[0])
				for i := range m {
					for j := range n {
						want := int64(0)
						for l := range k {
							want += (codeAt(a, i*k+l) - codeAt(za, 0)) * (codeAt(b, l*n+j) - codeAt(zb, j))
						}
						if int64(got[i*n+j]) != want {
							t.Fatalf("%s·%s %v: element %d,%d is %d, want %d", da, db, s, i, j, got[i*n+j], want)
						}
					}
				}
			}
		}
	}
}

type convCase struct {
	n, c, h, w, m, kh, kw, group  int
	sh, sw, dh, dw, t, l, bo, rig int
}

// TestQLinearConvExact compares with a convolution over integers and rounding in float64.
func TestQLinearConvExact(t *testing.T) {
	cpu := newTestCPU(t)
	rng := rand.New(rand.NewPCG(2, 2))
	for _, s := range []convCase{
		{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0},
		{2, 3, 9, 8, 5, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},
		{1, 4, 20, 19, 4, 3, 3, 4, 2, 1, 1, 2, 1, 2, 0, 3},
		{1, 6, 7, 40, 4, 2, 5, 2, 1, 3, 3, 1, 0, 4, 3, 0},
		{1, 300, 5, 5, 3, 2, 2, 1, 1, 1, 1, 1, 0, 0, 1, 1},
	} {
		for i := range 4 {
			dx, dw := codeTypes[i%2], codeTypes[i/2]
			x, w := randomCodes(rng, dx, s.n, s.c, s.h, s.w), randomCodes(rng, dw, s.m, s.c/s.group, s.kh, s.kw)
			zx, zw, zy := randomCodes(rng, dx), randomCodes(rng, dw, s.m), randomCodes(rng, onnx.Uint8)
			scales, bias := make([]float32, s.m), make([]int32, s.m)
			for j := range scales {
				scales[j], bias[j] = float32(math.Ldexp(1, -rng.IntN(8))), int32(rng.IntN(10000)-5000)
			}
			attrs := []*onnx.Attribute{
				intAttr("group", int64(s.group)), intsAttr("strides", int64(s.sh), int64(s.sw)), intsAttr("dilations", int64(s.dh), int64(s.dw)),
				intsAttr("pads", int64(s.t), int64(s.l), int64(s.bo), int64(s.rig)),
			}
			// Powers of two, so that products with the scales are exact and ties occur.
			out, err := apply(t, cpu, "QLinearConv", attrs, 1, x, tensor.Scalar[float32](0.25), zx, w, tensor.From(scales, s.m), zw,
				tensor.Scalar[float32](8), zy, tensor.From(bias, s.m))
			if err != nil {
				t.Fatal(err)
			}
			s.check(t, out[0], func(n, m, oh, ow int) int64 {
				sum := int64(bias[m])
				per := s.c / s.group
				for c := range per {
					for kh := range s.kh {
						for kw := range s.kw {
							y, xx := oh*s.sh-s.t+kh*s.dh, ow*s.sw-s.l+kw*s.dw
							if y < 0 || y >= s.h || xx < 0 || xx >= s.w {
								continue
							}
							ch := m/(s.m/s.group)*per + c
							sum += (codeAt(x, ((n*s.c+ch)*s.h+y)*s.w+xx) - codeAt(zx, 0)) * (codeAt(w, ((m*per+c)*s.kh+kh)*s.kw+kw) - codeAt(zw, m))
						}
					}
				}
				v := math.RoundToEven(float64(sum)*0.25*float64(scales[m])/8) + float64(codeAt(zy, 0))
				return int64(math.Max(0, math.Min(255, v)))
			})
		}
	}
}

// check compares uint8 codes [n, m, …] with a function of their position.
func (s convCase) check(t *testing.T, got *tensor.Tensor, want func(n, m, oh, ow int) int64) {
	t.Helper()
	oh, ow := (s.h+s.t+s.bo-(s.kh-1)*s.dh-1)/s.sh+1, (s.w+s.l+s.rig-(s.kw-1)*s.dw-1)/s.sw+1
	if fmt.Sprint(got.Shape) != fmt.Sprint([]int{s.n, s.m, oh, ow}) {
		t.Fatalf("%+v: shape %v, want %v", s, got.Shape, []int{s.n, s.m, oh, ow})
	}
	for i := range got.Bytes() {
		n, m, y, x := i/ow/oh/s.m, i/ow/oh%s.m, i/ow%oh, i%ow
		if w := want(n, m, y, x); codeAt(got, i) != w {
			t.Fatalf("%+v: element %d,%d,%d,%d is %d, want %d", s, n, m, y, x, codeAt(got, i), w)
		}
	}
}

// TestQuantizeLinear compares with float64 arithmetic. Scales are powers of two, so that it has no rounding of its own.
func TestQuantizeLinear(t *testing.T) {
	cpu := newTestCPU(t)
	rng := rand.New(rand.NewPCG(3, 3))
	ranges := map[onnx.DataType][2]float64{
		onnx.Int8: {-128, 127}, onnx.Uint8: {0, 255}, onnx.Int16: {-32768, 32767}, onnx.Uint16: {0, 65535}, onnx.Int4: {-8, 7}, onnx.Uint4: {0, 15},
		onnx.Int2: {-2, 1}, onnx.Uint2: {0, 3},
	}
	for dt, r := range ranges {
		for _, c := range []struct {
			shape, scale []int
			axis, block  int64
			index        func(i int) int
		}{
			{[]int{3, 7}, nil, 1, 0, func(int) int { return 0 }},
			{[]int{2, 5, 3}, []int{5}, 1, 0, func(i int) int { return i / 3 % 5 }},
			{[]int{40, 1000}, []int{1000}, -1, 0, func(i int) int { return i % 1000 }},
			{[]int{3, 10}, []int{3, 3}, 1, 4, func(i int) int { return i/10*3 + i%10/4 }},
			{[]int{10, 3}, []int{3, 3}, 0, 4, func(i int) int { return i/3/4*3 + i%3 }},
		} {
			x, _ := tensor.New(onnx.Float, c.shape...)
			scale, _ := tensor.New(onnx.Float, c.scale...)
			zero, _ := tensor.New(dt, c.scale...)
			s, z := tensor.Of[float32](scale), make([]float64, scale.Len())
			for i := range s {
				s[i] = float32(math.Ldexp(1, rng.IntN(6)-3))
				z[i] = r[0] + float64(rng.IntN(int(r[1]-r[0])+1))
				if w := tensor.Width(dt); w == 1 {
					zero.Bytes()[i] = byte(int(z[i]))
				} else {
					zero.Bytes()[2*i], zero.Bytes()[2*i+1] = byte(int(z[i])), byte(int(z[i])>>8)
				}
			}
			v := tensor.Of[float32](x)
			for i := range v {
				v[i] = float32(math.RoundToEven(rng.NormFloat64()*float64(r[1]))) / 4
			}
			v[0], v[1] = float32(math.Inf(1)), float32(math.NaN())
			attrs := []*onnx.Attribute{intAttr("axis", c.axis), intAttr("block_size", c.block)}
			out, err := apply(t, cpu, "QuantizeLinear", attrs, 1, x, scale, zero)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]float32, len(v))
			out[0].Floats(got, 0)
			for i := range v {
				k := c.index(i)
				want := math.Max(r[0], math.Min(r[1], math.RoundToEven(float64(v[i])/float64(s[k]))+z[k]))
				if math.IsNaN(want) {
					want = r[0]
				}
				if float64(got[i]) != want {
					t.Fatalf("%s %v: element %d, %g/%g + %g, is %g, want %g", dt, c.shape, i, v[i], s[k], z[k], got[i], want)
				}
			}
			back, err := apply(t, cpu, "DequantizeLinear", attrs, 1, out[0], scale, zero)
			if err != nil {
				t.Fatal(err)
			}
			for i, b := range tensor.Of[float32](back[0]) {
				if k := c.index(i); float64(b) != (float64(got[i])-z[k])*float64(s[k]) {
					t.Fatalf("%s %v: element %d comes back as %g", dt, c.shape, i, b)
				}
			}
		}
	}
}

func TestQuantisedMalformed(t *testing.T) {
	cpu := newTestCPU(t)
	f := func(shape ...int) *tensor.Tensor { v, _ := tensor.New(onnx.Float, shape...); return v }
	u := func(shape ...int) *tensor.Tensor { v, _ := tensor.New(onnx.Uint8, shape...); return v }
	one := tensor.Scalar[float32](1)
	for name, c := range map[string]struct {
		op    string
		attrs []*onnx.Attribute
		in    []*tensor.Tensor
		want  string
	}{
		"scale shape":  {"QuantizeLinear", nil, []*tensor.Tensor{f(2, 3), f(2)}, "scale"},
		"zero shape":   {"QuantizeLinear", nil, []*tensor.Tensor{f(2, 3), f(3), u(2)}, "zero point"},
		"axis":         {"QuantizeLinear", []*onnx.Attribute{intAttr("axis", 5)}, []*tensor.Tensor{f(2, 3), f(3)}, "axis"},
		"block size":   {"QuantizeLinear", []*onnx.Attribute{intAttr("block_size", -1)}, []*tensor.Tensor{f(2, 3), f(3)}, "block_size"},
		"type":         {"QuantizeLinear", nil, []*tensor.Tensor{u(2, 3), one}, "type"},
		"output_dtype": {"QuantizeLinear", []*onnx.Attribute{intAttr("output_dtype", 1)}, []*tensor.Tensor{f(2), one}, "output_dtype"},
		"clash":        {"QuantizeLinear", []*onnx.Attribute{intAttr("output_dtype", 3)}, []*tensor.Tensor{f(2), one, u()}, "output_dtype"},
		"float codes":  {"DequantizeLinear", nil, []*tensor.Tensor{f(2), one}, "type"},
		"inner":        {"MatMulInteger", nil, []*tensor.Tensor{u(2, 3), u(2, 3)}, "shapes"},
		"stack":        {"MatMulInteger", nil, []*tensor.Tensor{u(2, 2, 3), u(3, 3, 2)}, "broadcast"},
		"rank 0":       {"MatMulInteger", nil, []*tensor.Tensor{u(), u(2)}, "rank"},
		"zero points":  {"MatMulInteger", nil, []*tensor.Tensor{u(2, 3), u(3, 2), u(5)}, "zero points"},
		"no points":    {"MatMulInteger", nil, []*tensor.Tensor{u(2, 3), u(3, 2), u(0)}, "empty"},
		"window":       {"ConvInteger", nil, []*tensor.Tensor{u(1, 1, 2, 2), u(1, 1, 3, 3)}, "fit"},
		"groups":       {"ConvInteger", []*onnx.Attribute{intAttr("group", 2)}, []*tensor.Tensor{u(1, 3, 4, 4), u(2, 1, 3, 3)}, "group"},
		"stride":       {"ConvInteger", []*onnx.Attribute{intsAttr("strides", 0, 1)}, []*tensor.Tensor{u(1, 1, 4, 4), u(1, 1, 3, 3)}, "strides"},
		"conv rank":    {"ConvInteger", nil, []*tensor.Tensor{u(1, 4), u(1, 4)}, "dimensions"},
		"bias": {"QLinearConv", nil, []*tensor.Tensor{
			u(1, 1, 4, 4), one, u(), u(1, 1, 3, 3), one, u(), one, u(), tensor.From([]int32{1, 2}, 2),
		}, "input 8"},
		"scales":  {"QLinearConv", nil, []*tensor.Tensor{u(1, 1, 4, 4), one, u(), u(2, 1, 3, 3), f(3), u(3), one, u()}, "zero points"},
		"dynamic": {"DynamicQuantizeLinear", nil, []*tensor.Tensor{u(3)}, "float"},
	} {
		if _, err := apply(t, cpu, c.op, c.attrs, 1, c.in...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
