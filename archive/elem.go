package archive

import (
	"math"

	"github.com/effml/effml/huffman"
	"github.com/effml/effml/onnx"
)

// Values are coded in units, docs/format.md §5.1: an element for types of whole
// bytes, a real number for complex types, a byte for smaller types and for
// strings.

// elemOf returns the unit of a data type; ok is false for types that this version
// cannot code.
func elemOf(dt onnx.DataType) (e huffman.Elem, ok bool) {
	switch bits := dt.Bits(); {
	case dt == onnx.Undefined || dt == onnx.String:
		return huffman.Elem{Width: 1}, true
	case dt == onnx.Complex64:
		return huffman.Elem{Width: 4, Float: true}, true
	case dt == onnx.Complex128:
		return huffman.Elem{Width: 8, Float: true}, true
	case bits == 16 || bits == 32 || bits == 64:
		return huffman.Elem{Width: bits / 8, Float: dt.IsFloat()}, true
	case bits > 0 && bits <= 8:
		return huffman.Elem{Width: 1}, true
	}
	return huffman.Elem{}, false
}

// product returns the number of elements of a shape; ok is false if a dimension
// is negative or the product does not fit.
func product(dims []int64) (n int64, ok bool) {
	n = 1
	zero := false
	for _, d := range dims {
		switch {
		case d < 0:
			return 0, false
		case d == 0:
			zero = true
		case n > math.MaxInt64/d:
			ok = true // overflows, unless another dimension is zero
			n = math.MaxInt64
		default:
			n *= d
		}
	}
	if zero {
		return 0, true
	}
	return n, !ok
}

// byteSize returns how many bytes the values of a type and shape take in the raw
// layout: sub-byte elements are packed, the last byte filled up. Strings and
// undefined types have no such size: ok is false unless there are no elements.
func byteSize(dt onnx.DataType, dims []int64) (n int64, ok bool) {
	n, ok = product(dims)
	if !ok || n == 0 {
		return 0, ok
	}
	bits := int64(dt.Bits())
	if bits == 0 || n > (math.MaxInt64-7)/bits {
		return 0, false
	}
	return (n*bits + 7) / 8, true
}

// rowLength returns the length of a row for coders that look at neighbours,
// docs/format.md §5.3: the product of all dimensions but the first.
func rowLength(dims []int64) int64 {
	if len(dims) < 2 {
		return 1
	}
	n, ok := product(dims[1:])
	if !ok || n < 1 {
		return 1
	}
	return n
}

// blockShape returns the shape that a coder is told for the n weights from first
// on: rows, if the block consists of whole ones.
func blockShape(first int64, n int, row int64) []int {
	if row > 1 && first%row == 0 && int64(n)%row == 0 {
		return []int{n / int(row), int(row)}
	}
	return []int{n}
}

// packedBlock returns the number of weights a block of a packed tensor holds:
// whole rows, if there are several blocks and at least one row fits.
func packedBlock(weights, row int64) int {
	if weights <= blockUnits || row > blockUnits {
		return blockUnits
	}
	return int(blockUnits / row * row)
}
