package ops

import (
	"strconv"
	"strings"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// Dim is a dimension: a number, or unknown, perhaps with a name. Two dimensions of the same name are equal.
type Dim struct {
	N    int    // −1: unknown
	Name string // of an unknown dimension; "" if it has none
}

// Known makes a dimension of a number.
func Known(n int) Dim { return Dim{N: n} }

// Unknown is a dimension of which nothing is known.
var Unknown = Dim{N: -1} //nolint:gochecknoglobals // a constant that Go cannot spell

// IsKnown reports whether d is a number.
func (d Dim) IsKnown() bool { return d.N >= 0 }

// Same reports whether a and b are certainly equal.
func (d Dim) Same(e Dim) bool {
	return d.IsKnown() && d.N == e.N || !d.IsKnown() && !e.IsKnown() && d.Name != "" && d.Name == e.Name
}

// String is the number, the name or "?".
func (d Dim) String() string {
	switch {
	case d.IsKnown():
		return strconv.Itoa(d.N)
	case d.Name != "":
		return d.Name
	}
	return "?"
}

// Shape is a list of dimensions; nil means that not even the rank is known, and a scalar's is empty.
type Shape []Dim

// MakeShape returns a known shape.
func MakeShape(dims ...int) Shape {
	s := make(Shape, len(dims))
	for i, d := range dims {
		s[i] = Known(d)
	}
	return s
}

// Known returns the dimensions as numbers, and false when one of them is unknown.
func (s Shape) Known() ([]int, bool) {
	if s == nil {
		return nil, false
	}
	dims := make([]int, len(s))
	for i, d := range s {
		if !d.IsKnown() {
			return nil, false
		}
		dims[i] = d.N
	}
	return dims, true
}

// String writes the shape as [N,3,224,224]; [*] when the rank is unknown.
func (s Shape) String() string {
	if s == nil {
		return "[*]"
	}
	dims := make([]string, len(s))
	for i, d := range s {
		dims[i] = d.String()
	}
	return "[" + strings.Join(dims, ",") + "]"
}

// Info is what is known of a value before it is computed.
type Info struct {
	Type  onnx.DataType // Undefined: unknown, or an input that is left out
	Shape Shape
	// Value is the contents where they are constant.
	Value *tensor.Tensor
	// Ints are the elements, in order, of an integer tensor of rank 0 or 1 of which some are known, as arithmetic on shapes
	// produces them; nil otherwise. An unknown element may be any integer; a known one is N, which here may be negative
	// only in Value.
	Ints []Dim
}

// Missing reports whether an optional input was left out.
func (i Info) Missing() bool { return i.Type == onnx.Undefined && i.Shape == nil && i.Value == nil }

// Of describes a constant.
func Of(t *tensor.Tensor) Info {
	i := Info{Type: t.Type, Shape: MakeShape(t.Shape...), Value: t}
	if len(t.Shape) <= 1 && t.Len() <= 64 && (t.Type == onnx.Int64 || t.Type == onnx.Int32) {
		v, _ := Integers(t)
		for _, n := range v {
			if n < 0 {
				return i
			}
		}
		i.Ints = MakeShape(v...)
	}
	return i
}

// Integers returns the elements of an int32 or int64 tensor; false for another type.
func Integers(t *tensor.Tensor) ([]int, bool) {
	out := make([]int, 0, t.Len())
	switch t.Type {
	case onnx.Int64:
		for _, v := range tensor.Of[int64](t) {
			out = append(out, int(v))
		}
	case onnx.Int32:
		for _, v := range tensor.Of[int32](t) {
			out = append(out, int(v))
		}
	default:
		return nil, false
	}
	return out, true
}
