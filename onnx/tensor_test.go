package onnx_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/effml/effml/onnx"
)

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		dt          onnx.DataType
		dims        []int64
		count, size int64
		err         string
	}{
		{onnx.Float, nil, 1, 4, ""},
		{onnx.Float, []int64{2, 3}, 6, 24, ""},
		{onnx.Float, []int64{0, math.MaxInt64, math.MaxInt64}, 0, 0, ""},
		{onnx.Int4, []int64{3}, 3, 2, ""},
		{onnx.Uint2, []int64{5}, 5, 2, ""},
		{onnx.Float6E2M3, []int64{5}, 5, 4, ""},
		{onnx.Complex128, []int64{2}, 2, 32, ""},
		{onnx.Uint8, []int64{math.MaxInt64 / 8}, math.MaxInt64 / 8, math.MaxInt64 / 8, ""},
		{onnx.Uint8, []int64{-1}, 0, 0, "dimension -1 is negative"},
		{onnx.Uint8, []int64{0, -1}, 0, 0, "dimension -1 is negative"},
		{onnx.Uint8, []int64{1 << 32, 1 << 31}, 0, 0, "more elements than can be counted"},
		{onnx.Uint8, []int64{math.MaxInt64, 2}, 0, 0, "more elements than can be counted"},
		{onnx.Double, []int64{1 << 60}, 1 << 60, 0, "more bytes than can be counted"},
		{onnx.String, []int64{2}, 2, 0, "no size"},
		{onnx.DataType(99), []int64{2}, 2, 0, "DataType(99)"},
	} {
		tensor := onnx.Tensor{Name: "w", DataType: c.dt, Dims: c.dims}
		n, countErr := tensor.NumElements()
		size, err := tensor.ByteSize()
		if n != c.count || size != c.size {
			t.Errorf("%s %v: %d elements, %d bytes, want %d, %d", c.dt, c.dims, n, size, c.count, c.size)
		}
		if countErr != nil {
			err = countErr
		}
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s %v: %v, want %q", c.dt, c.dims, err, c.err)
		}
		if err != nil && !errors.As(err, new(*onnx.ValuesError)) {
			t.Errorf("error of type %T", err)
		}
	}
}

func TestSegment(t *testing.T) {
	w := onnx.Tensor{DataType: onnx.Float, Dims: []int64{10}, Segment: &onnx.Segment{Begin: 4, End: 7}}
	w.SetBytes(make([]byte, 12))
	if n, err := w.NumElements(); n != 3 || err != nil {
		t.Errorf("%d elements, %v", n, err)
	}
	if raw, err := w.Bytes(); len(raw) != 12 || err != nil {
		t.Errorf("%d bytes, %v", len(raw), err)
	}
	w.Segment.End = 11
	if _, err := w.NumElements(); err == nil {
		t.Error("a segment beyond the end was accepted")
	}
}

// The contents of typed fields are as onnx.proto describes them.
func TestTypedFields(t *testing.T) {
	for _, c := range []struct {
		dt   onnx.DataType
		n    int64
		raw  string // in raw layout
		wire string // the field as written
	}{
		{onnx.Int32, 2, "\x05\x00\x00\x00\xff\xff\xff\xff", lp(5, "\x05\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")},
		{onnx.Int8, 2, "\x05\xfe", lp(5, "\x05\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01")},
		{onnx.Uint8, 2, "\x05\xfe", lp(5, "\x05\xfe\x01")},
		{onnx.Int16, 1, "\xff\xff", lp(5, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")},
		{onnx.Uint16, 1, "\xff\xff", lp(5, "\xff\xff\x03")},
		{onnx.Bool, 2, "\x01\x00", lp(5, "\x01\x00")},
		{onnx.Float16, 1, "\x00\xbc", lp(5, "\x80\xf8\x02")},
		{onnx.BFloat16, 1, "\x80\xbf", lp(5, "\x80\xff\x02")},
		{onnx.Float8E4M3FN, 1, "\xb8", lp(5, "\xb8\x01")},
		{onnx.Int4, 3, "\x2f\x0d", lp(5, "\x2f\x0d")},
		{onnx.Uint2, 5, "\xe4\x03", lp(5, "\xe4\x01\x03")},
		{onnx.Float6E3M2, 5, "\x41\x20\x0c\x3f", lp(5, "\x01\x01\x02\x03\x3f")},
		{onnx.Float6E3M2, 3, "\x41\x20\x00", lp(5, "\x01\x01\x02")},
		{onnx.Int64, 2, "\x05\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff", lp(7, "\x05\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")},
		{onnx.Uint32, 1, "\xff\xff\xff\xff", lp(11, "\xff\xff\xff\xff\x0f")},
		{onnx.Uint64, 1, "\x00\x01\x00\x00\x00\x00\x00\x00", lp(11, "\x80\x02")},
		{onnx.Float, 1, "\x00\x00\x80\x3f", lp(4, "\x00\x00\x80\x3f")},
		{onnx.Complex64, 1, "\x00\x00\x80\x3f\x00\x00\x00\x40", lp(4, "\x00\x00\x80\x3f\x00\x00\x00\x40")},
		{onnx.Double, 1, "\x00\x00\x00\x00\x00\x00\xf0\x3f", lp(10, "\x00\x00\x00\x00\x00\x00\xf0\x3f")},
	} {
		file := lp(7, lp(5, vi(1, uint64(c.n)), vi(2, uint64(c.dt)), c.wire))
		w := decode(t, file).Graph.Initializers[0]
		raw, err := w.Bytes()
		if err != nil || string(raw) != c.raw || w.Storage != c.dt.TypedStorage() {
			t.Errorf("%s: %q is read from %s as %q, %v, want %q", c.dt, c.wire, w.Storage, raw, err, c.raw)
		}
		for name, set := range map[string]func(*onnx.Tensor){
			"bytes":  func(w *onnx.Tensor) { w.SetBytes([]byte(c.raw)) },
			"stream": func(w *onnx.Tensor) { w.SetStream(stream(c.raw)) },
		} {
			made := &onnx.Tensor{DataType: c.dt, Dims: []int64{c.n}, Storage: c.dt.TypedStorage()}
			set(made)
			m := &onnx.Model{Graph: &onnx.Graph{Initializers: []*onnx.Tensor{made}}}
			if got := string(written(t, m)); got != file {
				t.Errorf("%s from %s: written as %q, want %q", c.dt, name, got, file)
			}
			if raw, err := made.Bytes(); err != nil || string(raw) != c.raw || made.Size() != int64(len(c.raw)) {
				t.Errorf("%s from %s: %q, %v", c.dt, name, raw, err)
			}
			// Another Storage moves the values.
			made.Storage = onnx.StorageRaw
			if got, want := string(written(t, m)), lp(9, c.raw); !strings.Contains(got, want) {
				t.Errorf("%s from %s as raw_data: %q", c.dt, name, got)
			}
		}
		w.Storage = onnx.StorageRaw
		m := &onnx.Model{Graph: &onnx.Graph{Initializers: []*onnx.Tensor{w}}}
		if got, want := string(written(t, m)), lp(9, c.raw); !strings.Contains(got, want) {
			t.Errorf("%s moved to raw_data: %q", c.dt, got)
		}
	}
}

// stream is a Payload of its own bytes.
type stream string

func (s stream) Size() int64 { return int64(len(s)) }

func (s stream) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, string(s))
	return int64(n), err
}

func TestValueErrors(t *testing.T) {
	tensor := func(fields ...string) *onnx.Tensor {
		return decode(t, lp(7, lp(5, fields...))).Graph.Initializers[0]
	}
	for want, w := range map[string]*onnx.Tensor{
		"3 bytes of values where [1] of FLOAT takes 4":              tensor(vi(1, 1), vi(2, 1), lp(9, "abc")),
		"0 bytes of values where [1] of FLOAT takes 4":              tensor(vi(1, 1), vi(2, 1)),
		"values of type FLOAT are stored in int32_data":             tensor(vi(1, 1), vi(2, 1), lp(5, "\x01")),
		"int64_data is not a list of numbers: byte 1":               tensor(vi(1, 1), vi(2, 7), lp(7, "\x01\x80")),
		"int32_data has more numbers than [1] of UINT8 takes":       tensor(vi(1, 1), vi(2, 2), lp(5, "\x01\x01")),
		"uint64_data has 1 numbers where [2] of UINT32 takes 2":     tensor(vi(1, 2), vi(2, 12), lp(11, "\x01")),
		"int32_data has 3 numbers where [4] of FLOAT6E2M3 takes 4":  tensor(vi(1, 4), vi(2, 27), lp(5, "\x01\x02\x03")),
		`values are in the file "w.bin", which is not loaded`:       tensor(vi(1, 1), vi(2, 1), lp(13, lp(1, "location"), lp(2, "w.bin")), vi(14, 1)),
		"elements of type STRING have no size":                      tensor(vi(1, 1), vi(2, 8), lp(6, "a")),
		"elements of type DataType(77) have no size":                tensor(vi(1, 1), vi(2, 77), lp(9, "a")),
		"a stream of 1 bytes where [2] of UINT8 takes 2":            streamed(),
		"elements of type UINT8 do not convert to float":            floats(onnx.Uint8),
		"elements 1 to 3 are not within its 2":                      floats(onnx.Float),
		"3 strings where shape [2] has 2 (Strings)":                 texts(onnx.String, 3),
		"elements of type FLOAT are no strings (Strings)":           texts(onnx.Float, 2),
		"strings are stored in raw_data (Strings)":                  tensor(vi(1, 2), vi(2, 8), lp(9, "ab")),
		"dimension -1 is negative (Strings)":                        tensor(vi(1, math.MaxUint64), vi(2, 8)),
		"values of type FLOAT cannot be stored in int32_data (set)": misplaced(),
		"has values but no storage for them (set)":                  homeless(),
		"has unknown storage Storage(77) (set)":                     {Storage: 77, DataType: onnx.Float},
	} {
		var err error
		switch {
		case strings.HasSuffix(want, " (Strings)"):
			_, err = w.Strings()
		case strings.HasSuffix(want, " (set)"):
			m := &onnx.Model{Graph: &onnx.Graph{Initializers: []*onnx.Tensor{w}}}
			_, err = m.WriteTo(io.Discard)
		case strings.Contains(want, "elements 1 to"), strings.Contains(want, "convert"):
			err = w.ReadFloats(make([]float32, 2), 1)
		default:
			_, err = w.Bytes()
		}
		want, _, _ = strings.Cut(want, " (")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func streamed() *onnx.Tensor {
	w := &onnx.Tensor{DataType: onnx.Uint8, Dims: []int64{2}}
	w.SetStream(stream("a"))
	return w
}

func floats(dt onnx.DataType) *onnx.Tensor {
	w := &onnx.Tensor{DataType: dt, Dims: []int64{2}}
	w.SetBytes(make([]byte, 2*dt.Bits()/8))
	return w
}

func texts(dt onnx.DataType, n int) *onnx.Tensor {
	w := &onnx.Tensor{DataType: dt, Dims: []int64{2}}
	w.SetStrings(make([][]byte, n))
	return w
}

func misplaced() *onnx.Tensor {
	w := &onnx.Tensor{DataType: onnx.Float, Dims: []int64{1}, Storage: onnx.StorageInt32}
	w.SetBytes(make([]byte, 4))
	return w
}

func homeless() *onnx.Tensor {
	w := floats(onnx.Float)
	w.Storage = onnx.StorageNone
	return w
}

func TestStrings(t *testing.T) {
	w := &onnx.Tensor{Name: "s", DataType: onnx.String, Dims: []int64{2}}
	w.SetStrings([][]byte{[]byte("a"), {}})
	m := decode(t, string(written(t, &onnx.Model{Graph: &onnx.Graph{Initializers: []*onnx.Tensor{w}}})))
	got, err := m.Graph.Initializers[0].Strings()
	if err != nil || len(got) != 2 || string(got[0]) != "a" || len(got[1]) != 0 || m.Graph.Initializers[0].Size() != 1 {
		t.Errorf("%q, %v", got, err)
	}
}

// Setting no values leaves a tensor of no elements without a field, as it was.
func TestSetNothing(t *testing.T) {
	w := &onnx.Tensor{DataType: onnx.Float, Dims: []int64{0}}
	w.SetBytes(nil)
	if w.Storage != onnx.StorageNone {
		t.Errorf("storage is %s", w.Storage)
	}
	if raw, err := w.Bytes(); err != nil || len(raw) != 0 {
		t.Errorf("%v, %v", raw, err)
	}
	w.Storage = onnx.StorageRaw
	got := written(t, &onnx.Model{Graph: &onnx.Graph{Initializers: []*onnx.Tensor{w}}})
	if want := lp(7, lp(5, vi(1, 0), vi(2, 1), lp(9))); string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// All float16 and bfloat16 values go to float32 and back; those between round to the nearest, ties to even, by the
// definition in float64.
func TestHalfFloats(t *testing.T) {
	for _, dt := range []onnx.DataType{onnx.Float16, onnx.BFloat16} {
		w := &onnx.Tensor{DataType: dt, Dims: []int64{1 << 16}}
		raw := make([]byte, 2<<16)
		for i := range 1 << 16 {
			binary.LittleEndian.PutUint16(raw[2*i:], uint16(i))
		}
		w.SetBytes(raw)
		wide := make([]float32, 1<<16)
		if err := w.ReadFloats(wide, 0); err != nil {
			t.Fatal(err)
		}
		back := make([]byte, 2<<16)
		onnx.PutFloats(back, dt, wide)
		exponent, mantissa := 5, 10
		if dt == onnx.BFloat16 {
			exponent, mantissa = 8, 7
		}
		for i, v := range wide {
			if want := minifloat(uint16(i), exponent, mantissa); float64(v) != want && want == want {
				t.Fatalf("%s %04x reads as %v, want %v", dt, i, v, want)
			}
			got := binary.LittleEndian.Uint16(back[2*i:])
			if v != v {
				if x := minifloat(got, exponent, mantissa); x == x {
					t.Fatalf("%s NaN %04x came back as %04x", dt, i, got)
				}
			} else if got != uint16(i) {
				t.Fatalf("%s %04x came back as %04x", dt, i, got)
			}
		}
		checkRounding(t, dt, exponent, mantissa)
	}
}

// minifloat is the value of a float of those widths, by the definition.
func minifloat(bits uint16, exponent, mantissa int) float64 {
	sign := 1 - 2*float64(bits>>15)
	e, m := int(bits>>mantissa)&(1<<exponent-1), float64(bits&(1<<mantissa-1))
	bias := 1<<(exponent-1) - 1
	switch {
	case e == 0:
		return sign * math.Ldexp(m, 1-bias-mantissa)
	case e == 1<<exponent-1 && m == 0:
		return sign * math.Inf(1)
	case e == 1<<exponent-1:
		return math.NaN()
	}
	return sign * math.Ldexp(m+float64(int(1)<<mantissa), e-bias-mantissa)
}

// checkRounding takes the values between neighbours: the middle goes to the even one, others to the nearer.
func checkRounding(t *testing.T, dt onnx.DataType, exponent, mantissa int) {
	t.Helper()
	round := func(v float32) uint16 {
		var b [2]byte
		onnx.PutFloats(b[:], dt, []float32{v})
		return binary.LittleEndian.Uint16(b[:])
	}
	last := uint16(1<<exponent-1)<<mantissa - 1 // the largest finite one
	for low := uint16(0); low <= last; low++ {
		a := minifloat(low, exponent, mantissa)
		b := minifloat(low+1, exponent, mantissa)
		if low == last {
			b = 2*a - minifloat(low-1, exponent, mantissa) // as if the exponent went on
		}
		middle := float32(a/2 + b/2)
		for v, want := range map[float32]uint16{
			middle: low + low&1, math.Nextafter32(middle, 0): low, math.Nextafter32(middle, math.MaxFloat32): low + 1,
		} {
			if got := round(v); got != want {
				t.Fatalf("%s: %v rounds to %04x, want %04x", dt, v, got, want)
			}
			if got := round(-v); got != want|0x8000 {
				t.Fatalf("%s: %v rounds to %04x, want %04x", dt, -v, got, want|0x8000)
			}
		}
	}
}

func TestReadFloats(t *testing.T) {
	src := []float32{0, 1.5, -2, float32(math.Inf(-1)), 65504}
	for _, dt := range []onnx.DataType{onnx.Float, onnx.Double, onnx.Float16, onnx.BFloat16} {
		for _, storage := range []onnx.Storage{onnx.StorageRaw, dt.TypedStorage()} {
			raw := make([]byte, len(src)*dt.Bits()/8)
			onnx.PutFloats(raw, dt, src)
			w := &onnx.Tensor{DataType: dt, Dims: []int64{5}, Storage: storage}
			w.SetBytes(raw)
			dst := make([]float32, 3)
			if err := w.ReadFloats(dst, 1); err != nil || fmt.Sprint(dst) != "[1.5 -2 -Inf]" {
				t.Errorf("%s in %s: %v, %v", dt, storage, dst, err)
			}
			if err := w.ReadFloats(dst, 3); err == nil {
				t.Errorf("%s: read beyond the end", dt)
			}
		}
	}
	w := &onnx.Tensor{DataType: onnx.Double, Dims: []int64{2}}
	w.SetBytes(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, math.Float64bits(1e300)), math.Float64bits(0.1)))
	dst := make([]float32, 2)
	if err := w.ReadFloats(dst, 0); err != nil || !math.IsInf(float64(dst[0]), 1) || dst[1] != 0.1 {
		t.Errorf("doubles: %v, %v", dst, err)
	}
	for name, call := range map[string]func(){
		"length": func() { onnx.PutFloats(make([]byte, 3), onnx.Float, []float32{1}) },
		"type":   func() { onnx.PutFloats(make([]byte, 1), onnx.Uint8, []float32{1}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("PutFloats of a wrong %s did not panic", name)
				}
			}()
			call()
		}()
	}
}

func BenchmarkReadFloats(b *testing.B) {
	for _, dt := range []onnx.DataType{onnx.Float, onnx.Float16, onnx.BFloat16} {
		b.Run(dt.String(), func(b *testing.B) {
			w := &onnx.Tensor{DataType: dt, Dims: []int64{1 << 16}}
			w.SetBytes(bytes.Repeat([]byte{0, 0x3c}, 1<<15*dt.Bits()/8))
			dst := make([]float32, 1<<16)
			b.SetBytes(4 << 16)
			for b.Loop() {
				if err := w.ReadFloats(dst, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
