package ops

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/effml/effml/onnx"
)

// mul folds Mul: the product of two tensors of one type (float, float16, bfloat16, double), broadcast as NumPy does
// (opset 7 on; before that shapes must be equal). A product of two float16 or bfloat16 is exact in float32, so it is rounded
// once.
func (c *call) mul() (*onnx.Tensor, error) {
	if err := c.arity(2, 2); err != nil {
		return nil, err
	}
	a, b := c.in[0], c.in[1]
	if a.DataType != b.DataType || c.opset < 7 && !slices.Equal(a.Dims, b.Dims) {
		return nil, errKeep
	}
	dims, err := broadcast(a.Dims, b.Dims)
	if err != nil {
		return nil, err
	}
	if a.DataType == onnx.Double {
		return c.mulDouble(dims)
	}
	x, err := floats(a)
	if err != nil {
		return nil, err
	}
	y, err := floats(b)
	if err != nil {
		return nil, err
	}
	out, raw, err := c.result(a.DataType, dims)
	if err != nil {
		return nil, err
	}
	width := a.DataType.Bits() / 8
	if slices.Equal(a.Dims, b.Dims) {
		p, q := make([]float32, block), make([]float32, block)
		return out, blocks(x.Len(), func(first, n int) error {
			if err := errors.Join(x.Read(p[:n], first), y.Read(q[:n], first)); err != nil {
				return err
			}
			for i := range n {
				p[i] *= q[i]
			}
			onnx.PutFloats(raw[first*width:(first+n)*width], a.DataType, p[:n])
			return nil
		})
	}
	p, err := all(x)
	if err != nil {
		return nil, err
	}
	q, err := all(y)
	if err != nil {
		return nil, err
	}
	eachPair(dims, a.Dims, b.Dims, func(i, j, k int) {
		onnx.PutFloats(raw[i*width:(i+1)*width], a.DataType, []float32{p[j] * q[k]})
	})
	return out, nil
}

func (c *call) mulDouble(dims []int64) (*onnx.Tensor, error) {
	x, err := c.in[0].Bytes()
	if err != nil {
		return nil, err
	}
	y, err := c.in[1].Bytes()
	if err != nil {
		return nil, err
	}
	out, raw, err := c.result(onnx.Double, dims)
	if err != nil {
		return nil, err
	}
	at := func(b []byte, i int) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:])) }
	eachPair(dims, c.in[0].Dims, c.in[1].Dims, func(i, j, k int) {
		binary.LittleEndian.PutUint64(raw[8*i:], math.Float64bits(at(x, j)*at(y, k)))
	})
	return out, nil
}

// broadcast returns the shape that two shapes have in common.
func broadcast(a, b []int64) ([]int64, error) {
	dims := make([]int64, max(len(a), len(b)))
	for i := range dims {
		x, y := dimension(a, len(dims), i), dimension(b, len(dims), i)
		switch {
		case x == y || y == 1:
			dims[i] = x
		case x == 1:
			dims[i] = y
		default:
			return nil, fmt.Errorf("shapes %v and %v do not broadcast", a, b)
		}
	}
	return dims, nil
}

// dimension returns dimension i of a shape filled up with ones in front to the given rank.
func dimension(dims []int64, rank, i int) int64 {
	if i -= rank - len(dims); i < 0 {
		return 1
	}
	return dims[i]
}

// eachPair calls do with the position of every element of shape dims and those of the two elements it is made of.
func eachPair(dims, a, b []int64, do func(i, j, k int)) {
	n := volume(dims)
	strides := func(s []int64) []int {
		out := make([]int, len(dims))
		step := 1
		for i := len(dims) - 1; i >= 0; i-- {
			if d := int(dimension(s, len(dims), i)); d != 1 {
				out[i] = step
				step *= d
			}
		}
		return out
	}
	sa, sb := strides(a), strides(b)
	at := make([]int64, len(dims))
	j, k := 0, 0
	for i := range n {
		do(i, j, k)
		for d := len(dims) - 1; d >= 0; d-- {
			at[d]++
			j, k = j+sa[d], k+sb[d]
			if at[d] < dims[d] {
				break
			}
			at[d] = 0
			j, k = j-sa[d]*int(dims[d]), k-sb[d]*int(dims[d])
		}
	}
}
