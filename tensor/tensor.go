package tensor

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/effml/effml/internal/pages"
	"github.com/effml/effml/onnx"
)

// Tensor is an array of elements of one type.
type Tensor struct {
	Type   onnx.DataType
	Shape  []int  // empty for a scalar
	Layout Layout // the order of the elements in memory

	data    []byte   // Len() elements, and after Reuse perhaps room for more
	strings []string // of a tensor of strings, in place of data
}

// Layout is the order of a tensor's elements in memory.
type Layout uint8

// The layouts.
const (
	// Plain is row-major in the order of Shape.
	Plain Layout = iota
	// ChannelsLast is for a rank of 4: Shape says [N, C, H, W] and the elements are row-major as [N, H, W, C].
	ChannelsLast
)

// String names the layout.
func (l Layout) String() string { return [...]string{"plain", "channels-last"}[l] }

// New returns a tensor of zeros, in Plain layout, aligned to 64 bytes.
func New(t onnx.DataType, shape ...int) (*Tensor, error) {
	n, err := Count(shape)
	if err != nil {
		return nil, err
	}
	out := &Tensor{Type: t, Shape: slices.Clone(shape)}
	if t == onnx.String {
		out.strings = make([]string, n)
		return out, nil
	}
	size := Width(t)
	if size == 0 {
		return nil, fmt.Errorf("tensor: elements of type %s are not supported", t)
	}
	hi, total := bits.Mul64(uint64(n), uint64(size))
	if hi != 0 || total > maxBytes {
		return nil, fmt.Errorf("tensor: shape %v of %s has more bytes than can be counted", slices.Clone(shape), t)
	}
	out.data = Buffer(int(total))
	return out, nil
}

// maxBytes bounds what is asked of the allocator, which panics above what an address can be.
const maxBytes = 1 << 46

// Buffer returns n zero bytes aligned to 64.
func Buffer(n int) []byte { return pages.Buffer(n) }

// Count returns the number of elements of a shape, or an error when a dimension is negative or the product too large.
//
// Errors here and in New hold a copy of the shape, which thereby never leaves the caller's stack: operators make shapes in each run.
func Count(shape []int) (int, error) {
	n, zero := uint64(1), false
	for _, d := range shape {
		if d < 0 {
			return 0, fmt.Errorf("tensor: dimension %d of shape %v is negative", d, slices.Clone(shape))
		}
		zero = zero || d == 0
	}
	if zero {
		return 0, nil
	}
	for _, d := range shape {
		hi, lo := bits.Mul64(n, uint64(d))
		if hi != 0 || lo > maxBytes {
			return 0, fmt.Errorf("tensor: shape %v has more elements than memory can hold", slices.Clone(shape))
		}
		n = lo
	}
	return int(n), nil
}

// Len returns the number of elements.
func (t *Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Size returns the bytes that the elements take in memory; strings count 16 bytes each and their contents.
func (t *Tensor) Size() int {
	if t.Type != onnx.String {
		return t.Len() * Width(t.Type)
	}
	n := 0
	for _, s := range t.strings {
		n += 16 + len(s)
	}
	return n
}

// Bytes returns the elements as bytes in memory order, a view. A tensor of strings has none.
func (t *Tensor) Bytes() []byte {
	if t.Type == onnx.String {
		return nil
	}
	return t.data[:t.Len()*Width(t.Type)]
}

// View returns a tensor of another shape over the same elements. It panics when the number of elements differs, or when t is
// not Plain: a programmer's mistake.
func (t *Tensor) View(shape ...int) *Tensor {
	v := &Tensor{Type: t.Type, Shape: slices.Clone(shape), data: t.data, strings: t.strings}
	if v.Len() != t.Len() || t.Layout != Plain {
		panic(fmt.Sprintf("tensor: view of %s %v as %v", t.Layout, t.Shape, shape))
	}
	return v
}

// Clone returns a copy with elements of its own.
func (t *Tensor) Clone() *Tensor {
	c := &Tensor{Type: t.Type, Shape: slices.Clone(t.Shape), Layout: t.Layout, strings: slices.Clone(t.strings)}
	if t.Type != onnx.String {
		c.data = Buffer(len(t.Bytes()))
		copy(c.data, t.Bytes())
	}
	return c
}

// Physical returns the shape in the order of memory: [N, H, W, C] of ChannelsLast, else Shape itself.
func (t *Tensor) Physical() []int {
	if t.Layout == ChannelsLast {
		s := t.Shape
		return []int{s[0], s[2], s[3], s[1]}
	}
	return t.Shape
}

// Capacity returns the bytes that Reuse can draw on.
func (t *Tensor) Capacity() int { return len(t.data) }

// Reuse gives t a type, a shape and a layout over the memory that it has, and reports whether that was enough; the
// elements are then whatever was there. The shape is copied into the slice that t holds. Strings never fit.
func (t *Tensor) Reuse(dt onnx.DataType, shape []int, layout Layout) bool {
	n := Width(dt)
	for _, d := range shape {
		n *= d
	}
	if dt == onnx.String || n > len(t.data) || t.data == nil {
		return false
	}
	t.Type, t.Layout, t.Shape = dt, layout, append(t.Shape[:0], shape...)
	return true
}

// Over returns a tensor whose elements are data, in memory order; nothing is copied. Data must hold at least the elements
// that the shape says and begin where this processor can read them; it panics otherwise.
func Over(data []byte, dt onnx.DataType, shape []int, layout Layout) *Tensor {
	t := &Tensor{Type: dt, Shape: slices.Clone(shape), Layout: layout, data: data}
	if w := Width(dt); w == 0 || t.Len()*w > len(data) || !readable(data, w) {
		panic(fmt.Sprintf("tensor: %d bytes over %s %v", len(data), dt, shape))
	}
	return t
}

// Share makes the elements of src those of t as well, which keeps its own type, shape and layout: a view that can be moved
// to other memory without allocating. It panics when src has too few bytes: a programmer's mistake.
func (t *Tensor) Share(src *Tensor) {
	if n := t.Len(); n*Width(t.Type) > len(src.data) || n > len(src.strings) && t.Type == onnx.String {
		panic(fmt.Sprintf("tensor: %s over the elements of %s", t, src))
	}
	t.data, t.strings = src.data, src.strings
}

// Move makes data the elements of t, in memory order. It panics when they are too few: a programmer's mistake.
func (t *Tensor) Move(data []byte) {
	if t.Len()*Width(t.Type) > len(data) {
		panic(fmt.Sprintf("tensor: %d bytes for %s", len(data), t))
	}
	t.data = data
}

// Leave lets go of the elements of t, which has none until the next call of Move or Share.
func (t *Tensor) Leave() { t.data, t.strings = nil, nil }

// String describes the tensor without its elements, such as "float32[1,3,224,224]".
func (t *Tensor) String() string { return Describe(t.Type, t.Shape) }
