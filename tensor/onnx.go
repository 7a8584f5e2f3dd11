package tensor

import (
	"fmt"
	"runtime"
	"unsafe"

	"github.com/effml/effml/onnx"
)

// FromONNX returns the values of a tensor of a model. Where they lie in the file as they would in memory the result is a
// view of the (memory-mapped, read-only) file: do not write to it.
func FromONNX(o *onnx.Tensor) (*Tensor, error) {
	t, _, err := View(o)
	return t, err
}

// readable says whether this processor can read elements of the given width where data begin: amd64 and arm64 do so
// anywhere, and in a model's file elements begin anywhere.
func readable(data []byte, width int) bool {
	const anywhere = runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64"
	return anywhere || uintptr(unsafe.Pointer(unsafe.SliceData(data)))%uintptr(min(width, 8)) == 0
}

// View is FromONNX that also tells whether the elements are the bytes that o gave, and no copy of them.
func View(o *onnx.Tensor) (t *Tensor, view bool, err error) {
	shape := make([]int, len(o.Dims))
	for i, d := range o.Dims {
		shape[i] = int(d)
	}
	if _, err := Count(shape); err != nil {
		return nil, false, fmt.Errorf("tensor %q: %w", o.Name, err)
	}
	if o.DataType == onnx.String {
		text, err := o.Strings()
		if err != nil {
			return nil, false, err
		}
		out := &Tensor{Type: onnx.String, Shape: shape, strings: make([]string, len(text))}
		for i, s := range text {
			out.strings[i] = string(s)
		}
		return out, false, nil
	}
	w := Width(o.DataType)
	if w == 0 {
		return nil, false, fmt.Errorf("tensor %q: elements of type %s are not supported", o.Name, o.DataType)
	}
	raw, err := o.Bytes()
	if err != nil {
		return nil, false, err
	}
	t = &Tensor{Type: o.DataType, Shape: shape, data: raw}
	switch bits := o.DataType.Bits(); {
	case bits < 8:
		t.data = unpack(raw, t.Len(), bits, o.DataType == onnx.Int4 || o.DataType == onnx.Int2)
	case !readable(raw, w):
		t.data = Buffer(len(raw))
		copy(t.data, raw)
	default:
		view = true
	}
	return t, view, nil
}

// unpack spreads n elements of 2 or 4 bits, the first in the lowest bits of a byte, to a byte each.
func unpack(raw []byte, n, bits int, signed bool) []byte {
	out := Buffer(n)
	per, mask := 8/bits, byte(1)<<bits-1
	for i := range out {
		v := raw[i/per] >> (i % per * bits) & mask
		if signed {
			v = byte(int8(v<<(8-bits)) >> (8 - bits))
		}
		out[i] = v
	}
	return out
}

// ToONNX returns a tensor for a model, with the values in raw form. They are shared with t where no conversion is needed.
// A tensor that is not Plain is a programmer's mistake and panics.
func (t *Tensor) ToONNX(name string) *onnx.Tensor {
	if t.Layout != Plain {
		panic("tensor: ToONNX of " + t.Layout.String())
	}
	o := &onnx.Tensor{Name: name, DataType: t.Type, Dims: make([]int64, len(t.Shape))}
	for i, d := range t.Shape {
		o.Dims[i] = int64(d)
	}
	switch bits := t.Type.Bits(); {
	case t.Type == onnx.String:
		text := make([][]byte, len(t.strings))
		for i, s := range t.strings {
			text[i] = []byte(s)
		}
		o.SetStrings(text)
	case bits < 8:
		o.SetBytes(pack(t.Bytes(), bits))
	default:
		o.SetBytes(t.Bytes())
	}
	return o
}

// pack is the inverse of unpack.
func pack(values []byte, bits int) []byte {
	per, mask := 8/bits, byte(1)<<bits-1
	out := make([]byte, (len(values)+per-1)/per)
	for i, v := range values {
		out[i/per] |= v & mask << (i % per * bits)
	}
	return out
}
