package tensor

import (
	"math"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/effml/effml/onnx"
)

// element is what is true of a type of elements: two of them, from a Go slice, and what they are as float32.
type element struct {
	t      *Tensor
	dt     onnx.DataType
	name   string
	width  int
	floats []float32 // nil: none
}

func elements() []element {
	nan := float32(math.NaN())
	return []element{
		{From([]float32{1.5, -2}, 2), onnx.Float, "float32", 4, []float32{1.5, -2}},
		{From([]float64{0.1, -2}, 2), onnx.Double, "float64", 8, []float32{0.1, -2}},
		{From([]int8{-128, 127}, 2), onnx.Int8, "int8", 1, []float32{-128, 127}},
		{From([]int16{-32768, 5}, 2), onnx.Int16, "int16", 2, []float32{-32768, 5}},
		{From([]int32{-1, 1 << 24}, 2), onnx.Int32, "int32", 4, []float32{-1, 1 << 24}},
		{From([]int64{-1, 1 << 40}, 2), onnx.Int64, "int64", 8, []float32{-1, 1 << 40}},
		{From([]uint8{0, 255}, 2), onnx.Uint8, "uint8", 1, []float32{0, 255}},
		{From([]uint16{0, 65535}, 2), onnx.Uint16, "uint16", 2, []float32{0, 65535}},
		{From([]uint32{1, 1 << 31}, 2), onnx.Uint32, "uint32", 4, []float32{1, 1 << 31}},
		{From([]uint64{1, 1 << 63}, 2), onnx.Uint64, "uint64", 8, []float32{1, 1 << 63}},
		{From([]bool{true, false}, 2), onnx.Bool, "bool", 1, []float32{1, 0}},
		{From([]complex64{1, 2i}, 2), onnx.Complex64, "complex64", 8, nil},
		{From([]complex128{1, 2i}, 2), onnx.Complex128, "complex128", 16, nil},
		{From([]Float16{0x3c00, 0x0001}, 2), onnx.Float16, "float16", 2, []float32{1, 0x1p-24}},
		{From([]BFloat16{0x3f80, 0xc000}, 2), onnx.BFloat16, "bfloat16", 2, []float32{1, -2}},
		{From([]Float8E4M3FN{0x38, 0x7e}, 2), onnx.Float8E4M3FN, "float8e4m3fn", 1, []float32{1, 448}},
		{From([]Float8E4M3FNUZ{0x40, 0x80}, 2), onnx.Float8E4M3FNUZ, "float8e4m3fnuz", 1, []float32{1, nan}},
		{From([]Float8E5M2{0x3c, 0x7b}, 2), onnx.Float8E5M2, "float8e5m2", 1, []float32{1, 57344}},
		{From([]Float8E5M2FNUZ{0x40, 0x80}, 2), onnx.Float8E5M2FNUZ, "float8e5m2fnuz", 1, []float32{1, nan}},
		{From([]Float8E8M0{127, 128}, 2), onnx.Float8E8M0, "float8e8m0", 1, []float32{1, 2}},
		{From([]Float4E2M1{2, 15}, 2), onnx.Float4E2M1, "float4e2m1", 1, []float32{1, -6}},
		{From([]Int4{-8, 7}, 2), onnx.Int4, "int4", 1, []float32{-8, 7}},
		{From([]Uint4{0, 15}, 2), onnx.Uint4, "uint4", 1, []float32{0, 15}},
		{From([]Int2{-2, 1}, 2), onnx.Int2, "int2", 1, []float32{-2, 1}},
		{From([]Uint2{0, 3}, 2), onnx.Uint2, "uint2", 1, []float32{0, 3}},
		{FromStrings([]string{"a", "bcd"}, 2), onnx.String, "string", 0, nil},
	}
}

func same(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return x == y || x != x && y != y }) //nolint:gocritic // NaN
}

func TestElements(t *testing.T) {
	for _, c := range elements() {
		t.Run(c.name, func(t *testing.T) {
			if c.t.Type != c.dt || TypeName(c.dt) != c.name || Width(c.dt) != c.width || c.t.String() != c.name+"[2]" {
				t.Errorf("%s of type %s and %d bytes", c.t, c.t.Type, Width(c.dt))
			}
			got := make([]float32, 2)
			if ok := c.t.Floats(got, 0); ok != (c.floats != nil) || ok && !same(got, c.floats) {
				t.Errorf("as float32: %v, %v, want %v", got, ok, c.floats)
			}
			if c.floats != nil {
				if one := got[:1]; !c.t.Floats(one, 1) || !same(one, c.floats[1:]) {
					t.Errorf("the second as float32: %v", one)
				}
			}
		})
	}
	if Width(onnx.Float6E2M3) != 0 {
		t.Error("6 bits have a width")
	}
}

// TestModelTensors takes tensors to a model and back.
func TestModelTensors(t *testing.T) {
	for _, c := range elements() {
		o := c.t.ToONNX("w")
		if o.Name != "w" || !slices.Equal(o.Dims, []int64{2}) {
			t.Errorf("%s became %s %v", c.t, o.Name, o.Dims)
		}
		raw, err := o.ByteSize()
		if bits := c.dt.Bits(); c.dt != onnx.String && (err != nil || raw != int64(2*bits+7)/8) {
			t.Errorf("%s has %d bytes in a model, %v", c.t, raw, err)
		}
		back, view, err := View(o)
		if err != nil || back.String() != c.t.String() || !slices.Equal(back.Bytes(), c.t.Bytes()) || !slices.Equal(back.Strings(), c.t.Strings()) {
			t.Errorf("%s came back as %s, %v", c.t, back, err)
		}
		if want := c.dt != onnx.String && c.dt.Bits() >= 8; view != want {
			t.Errorf("%s: view %v", c.t, view)
		}
	}
	last := From(make([]float32, 6), 1, 3, 1, 2)
	last.Layout = ChannelsLast
	for _, c := range []struct {
		o    *onnx.Tensor
		want string
	}{
		{&onnx.Tensor{Name: "n", DataType: onnx.Float, Dims: []int64{-1}}, `"n"`},
		{&onnx.Tensor{Name: "n", DataType: onnx.Float6E2M3, Dims: []int64{1}}, "not supported"},
		{&onnx.Tensor{Name: "n", DataType: onnx.String, Dims: []int64{4}}, "n"},
	} {
		if x, err := FromONNX(c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v %v: %v, %v", c.o.DataType, c.o.Dims, x, err)
		}
	}
	panics(t, "a tensor in another layout goes to a model", func() { last.ToONNX("w") })
}

func panics(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Error(what)
		}
	}()
	f()
}

func TestNew(t *testing.T) {
	x, err := New(onnx.Int4, 2, 3)
	if err != nil || x.Len() != 6 || x.Size() != 6 || x.Capacity() != 6 || slices.Max(x.Bytes()) != 0 || uintptr(unsafe.Pointer(unsafe.SliceData(x.Bytes())))%64 != 0 {
		t.Errorf("%s: %v", x, err)
	}
	text, err := New(onnx.String, 2)
	if err != nil || len(text.Strings()) != 2 || text.Bytes() != nil || text.Size() != 32 {
		t.Errorf("%s: %v", text, err)
	}
	for _, c := range []struct {
		dt    onnx.DataType
		shape []int
		want  string
	}{
		{onnx.Float, []int{2, -1}, "dimension -1"},
		{onnx.Float, []int{1 << 40, 1 << 40}, "more elements"},
		{onnx.Double, []int{1 << 44}, "more bytes"},
		{onnx.Float6E3M2, []int{1}, "not supported"},
	} {
		if x, err := New(c.dt, c.shape...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, %v", c.shape, x, err)
		}
	}
	if n, err := Count([]int{1 << 40, 0, 1 << 40}); n != 0 || err != nil {
		t.Errorf("a dimension of 0: %d, %v", n, err)
	}
	panics(t, "too few values", func() { From([]float32{1}, 2) })
	panics(t, "too few strings", func() { FromStrings([]string{"a"}, 2) })
	panics(t, "elements of another type", func() { Of[int8](Scalar(float32(1))) })
}

// TestMemory follows memory through views, copies and other uses.
func TestMemory(t *testing.T) {
	x := From([]float32{0, 1, 2, 3, 4, 5}, 1, 3, 1, 2)
	if p := x.Physical(); !slices.Equal(p, x.Shape) {
		t.Errorf("physical shape %v", p)
	}
	v, c := x.View(2, 3), x.Clone()
	Of[float32](v)[5] = 7
	if Of[float32](x)[5] != 7 || Of[float32](c)[5] != 5 {
		t.Errorf("view and copy: %v, %v", Of[float32](x), Of[float32](c))
	}
	words := FromStrings([]string{"a", "b"}, 2)
	again := words.Clone()
	if words.Strings()[0] = "z"; again.Strings()[0] != "a" || words.View(1, 2).Strings()[0] != "z" {
		t.Errorf("strings: %v, %v", again.Strings(), words.Strings())
	}
	x.Layout = ChannelsLast
	if p := x.Physical(); !slices.Equal(p, []int{1, 1, 2, 3}) || x.Layout.String() != "channels-last" {
		t.Errorf("physical shape %v, %s", p, x.Layout)
	}
	panics(t, "view of channels-last", func() { x.View(6) })
	panics(t, "view of other elements", func() { c.View(7) })

	if !c.Reuse(onnx.Double, []int{3}, Plain) || c.String() != "float64[3]" || c.Capacity() != 24 {
		t.Errorf("reused as %s of %d bytes", c, c.Capacity())
	}
	if c.Reuse(onnx.Double, []int{4}, Plain) || c.Reuse(onnx.String, []int{1}, Plain) || new(Tensor).Reuse(onnx.Float, []int{0}, Plain) {
		t.Error("reused as what does not fit")
	}
	data := Buffer(16)
	over := Over(data, onnx.Int32, []int{2, 2}, Plain)
	Of[int32](over)[3] = -1
	if data[15] != 255 {
		t.Error("a tensor over memory of others has its own")
	}
	panics(t, "too few bytes", func() { Over(data, onnx.Int32, []int{5}, Plain) })
	if readable(data[1:], 4) { // the elements of a model's file begin anywhere
		Of[int32](Over(data[1:], onnx.Int32, []int{2}, Plain))[1] = 0x01020304
		if data[5] != 4 || data[8] != 1 {
			t.Error("elements of unaligned memory are elsewhere")
		}
	} else {
		panics(t, "unaligned bytes", func() { Over(data[1:], onnx.Int32, []int{2}, Plain) })
	}
	panics(t, "no width", func() { Over(data, onnx.String, []int{1}, Plain) })

	half := &Tensor{Type: onnx.Int32, Shape: []int{2}}
	if half.Share(over); &half.Bytes()[0] != &data[0] {
		t.Error("shared elements are elsewhere")
	}
	panics(t, "shared too few", func() { (&Tensor{Type: onnx.Int32, Shape: []int{5}}).Share(over) })
}

func TestSmallFloats(t *testing.T) {
	for _, c := range []struct {
		v    float32
		half Float16
		b    BFloat16
	}{
		{1, 0x3c00, 0x3f80}, {-2, 0xc000, 0xc000}, {65504, 0x7bff, 0x4780}, {1e6, 0x7c00, 0x4974}, {0x1p-24, 1, 0x3380}, {1 + 0x1p-11, 0x3c00, 0x3f80}, {1 + 0x3p-11, 0x3c02, 0x3f80},
	} {
		if h, b := ToFloat16(c.v), ToBFloat16(c.v); h != c.half || b != c.b {
			t.Errorf("%g is %#x and %#x, want %#x and %#x", c.v, h, b, c.half, c.b)
		}
	}
	if v := Float16(0xfc00).Float32(); !math.IsInf(float64(v), -1) {
		t.Errorf("-∞ of 16 bits is %g", v)
	}
	if v := BFloat16(0xc000).Float32(); v != -2 {
		t.Errorf("−2 is %g", v)
	}
	for _, dt := range []onnx.DataType{onnx.Float, onnx.Double, onnx.Float16, onnx.BFloat16, onnx.Float8E5M2} {
		x, err := New(dt, 3)
		got := make([]float32, 3)
		if err != nil || !x.SetFloats(1, []float32{1.5, -2}, false) || !x.Floats(got, 0) || !same(got, []float32{0, 1.5, -2}) {
			t.Errorf("%s: %v, %v", x, got, err)
		}
	}
	if Scalar(int32(1)).SetFloats(0, []float32{2}, false) || Scalar(Float8E8M0(1)).SetFloats(0, []float32{2}, false) {
		t.Error("floats in place of others")
	}
}
