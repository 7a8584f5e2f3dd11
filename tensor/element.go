package tensor

import (
	"fmt"
	"strconv"
	"strings"
	"unsafe"

	"github.com/effml/effml/onnx"
)

// Types without a counterpart in Go hold the bits that the file format defines, in the lowest bits.
type (
	// Float16 is IEEE's binary16.
	Float16 uint16
	// BFloat16 is the upper half of a float32.
	BFloat16 uint16
	// Float8E4M3FN is S.1111.111 without infinities.
	Float8E4M3FN uint8
	// Float8E4M3FNUZ is Float8E4M3FN with one NaN and no negative zero.
	Float8E4M3FNUZ uint8
	// Float8E5M2 is the upper half of a Float16.
	Float8E5M2 uint8
	// Float8E5M2FNUZ is Float8E5M2 without infinities, with one NaN and no negative zero.
	Float8E5M2FNUZ uint8
	// Float8E8M0 is a power of two.
	Float8E8M0 uint8
	// Float4E2M1 is S.11.1 without infinities and NaN.
	Float4E2M1 uint8
	// Int4 is −8…7.
	Int4 int8
	// Uint4 is 0…15.
	Uint4 uint8
	// Int2 is −2…1.
	Int2 int8
	// Uint2 is 0…3.
	Uint2 uint8
)

// Element is the Go type of a tensor's elements; strings are reached by Strings.
type Element interface {
	float32 | float64 | int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | bool | complex64 | complex128 |
		Float16 | BFloat16 | Float8E4M3FN | Float8E4M3FNUZ | Float8E5M2 | Float8E5M2FNUZ | Float8E8M0 | Float4E2M1 |
		Int4 | Uint4 | Int2 | Uint2
}

// TypeOf returns the data type whose elements are of Go type T.
func TypeOf[T Element]() onnx.DataType {
	var zero T
	switch any(zero).(type) {
	case float32:
		return onnx.Float
	case float64:
		return onnx.Double
	case int8:
		return onnx.Int8
	case int16:
		return onnx.Int16
	case int32:
		return onnx.Int32
	case int64:
		return onnx.Int64
	case uint8:
		return onnx.Uint8
	case uint16:
		return onnx.Uint16
	case uint32:
		return onnx.Uint32
	case uint64:
		return onnx.Uint64
	case bool:
		return onnx.Bool
	case complex64:
		return onnx.Complex64
	case complex128:
		return onnx.Complex128
	case Float16:
		return onnx.Float16
	case BFloat16:
		return onnx.BFloat16
	case Float8E4M3FN:
		return onnx.Float8E4M3FN
	case Float8E4M3FNUZ:
		return onnx.Float8E4M3FNUZ
	case Float8E5M2:
		return onnx.Float8E5M2
	case Float8E5M2FNUZ:
		return onnx.Float8E5M2FNUZ
	case Float8E8M0:
		return onnx.Float8E8M0
	case Float4E2M1:
		return onnx.Float4E2M1
	case Int4:
		return onnx.Int4
	case Uint4:
		return onnx.Uint4
	case Int2:
		return onnx.Int2
	}
	return onnx.Uint2
}

// Width returns the bytes that an element takes in memory: 1 for those of 8 bits and less, 0 for strings and for types
// that a Tensor cannot hold.
func Width(dt onnx.DataType) int {
	switch dt {
	case onnx.String, onnx.Float6E2M3, onnx.Float6E3M2:
		return 0
	}
	return (dt.Bits() + 7) / 8
}

// Of returns the elements of t in memory order, a view. It panics when T is not their type: callers choose T by t.Type.
func Of[T Element](t *Tensor) []T {
	if dt := TypeOf[T](); dt != t.Type {
		panic(fmt.Sprintf("tensor: elements of %s read as %s", t, dt))
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(t.data))), t.Len())
}

// Strings returns the elements of a tensor of strings, a view.
func (t *Tensor) Strings() []string { return t.strings }

// From returns a tensor whose elements are values, which are not copied. It panics when their number is not that of shape.
func From[T Element](values []T, shape ...int) *Tensor {
	var size T
	n := len(values) * int(unsafe.Sizeof(size))
	t := &Tensor{Type: TypeOf[T](), Shape: append([]int{}, shape...), data: unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), n)}
	if t.Len() != len(values) {
		panic(fmt.Sprintf("tensor: %d values for shape %v", len(values), shape))
	}
	return t
}

// FromStrings is From for strings.
func FromStrings(values []string, shape ...int) *Tensor {
	t := &Tensor{Type: onnx.String, Shape: append([]int{}, shape...), strings: values}
	if t.Len() != len(values) {
		panic(fmt.Sprintf("tensor: %d values for shape %v", len(values), shape))
	}
	return t
}

// Scalar returns a tensor of rank 0.
func Scalar[T Element](v T) *Tensor { return From([]T{v}) }

// Describe writes a type and a shape as people do: float32[1,3,224,224].
func Describe(dt onnx.DataType, shape []int) string {
	dims := make([]string, len(shape))
	for i, d := range shape {
		dims[i] = strconv.Itoa(d)
	}
	return TypeName(dt) + "[" + strings.Join(dims, ",") + "]"
}

// TypeName is the name of a type in lower case, float32 and float64 for FLOAT and DOUBLE.
func TypeName(dt onnx.DataType) string {
	switch dt {
	case onnx.Float:
		return "float32"
	case onnx.Double:
		return "float64"
	}
	return strings.ToLower(dt.String())
}
