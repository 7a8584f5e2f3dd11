package ops

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/effml/effml/internal/rewrite"
	"github.com/effml/effml/internal/weights"
	"github.com/effml/effml/onnx"
)

// call is a node with its inputs; an optional input that is left out is nil.
type call struct {
	node  *onnx.Node
	in    []*onnx.Tensor
	opset int64
}

// arity reports errKeep unless there are least to most inputs, the first least of them present: checking graphs is the
// task of onnx.Check.
func (c *call) arity(least, most int) error {
	if len(c.in) < least || len(c.in) > most || slices.Contains(c.in[:least], nil) {
		return errKeep
	}
	return nil
}

// integer returns an integer attribute or its default.
func (c *call) integer(name string, def int64) int64 {
	for _, a := range c.node.Attributes {
		if a.Name == name {
			return a.I
		}
	}
	return def
}

func (c *call) has(attribute string) bool {
	return slices.ContainsFunc(c.node.Attributes, func(a *onnx.Attribute) bool { return a.Name == attribute })
}

// axis returns an attribute that names an axis, negative ones counted from the end.
func (c *call) axis(def int64, rank int) (int, error) {
	a := c.integer("axis", def)
	if a < 0 {
		a += int64(rank)
	}
	if a < 0 || a >= int64(rank) {
		return 0, fmt.Errorf("axis %d of a tensor of rank %d", c.integer("axis", def), rank)
	}
	return int(a), nil
}

// most is how many times the bytes of its inputs a result may take.
const most = 16

// result returns a tensor of the given type and shape without values, and the bytes it takes; errKeep where they are too many.
func (c *call) result(dt onnx.DataType, dims []int64) (*onnx.Tensor, []byte, error) {
	out := &onnx.Tensor{DataType: dt, Dims: slices.Clone(dims)}
	size, err := out.ByteSize()
	if err != nil {
		return nil, nil, errKeep
	}
	var have int64
	for _, t := range c.in {
		if t == nil {
			continue
		}
		n, err := t.ByteSize()
		if err != nil {
			return nil, nil, errKeep
		}
		have += n
	}
	if size/most > have {
		return nil, nil, errKeep
	}
	raw := make([]byte, size)
	out.SetBytes(raw)
	return out, raw, nil
}

// volume returns the product of dimensions that are known to fit.
func volume(dims []int64) int {
	n := 1
	for _, d := range dims {
		n *= int(d)
	}
	return n
}

// integers are the elements of a tensor of integers.
type integers struct {
	raw    []byte
	bits   int
	signed bool
	n      int
}

// newIntegers returns the elements of a tensor of integers, uint64 apart, or errKeep for other types.
func newIntegers(t *onnx.Tensor) (integers, error) {
	v := integers{bits: t.DataType.Bits()}
	switch t.DataType {
	case onnx.Int4, onnx.Int8, onnx.Int16, onnx.Int32, onnx.Int64:
		v.signed = true
	case onnx.Uint4, onnx.Uint8, onnx.Uint16, onnx.Uint32:
	default:
		return v, errKeep
	}
	var err error
	if v.raw, err = t.Bytes(); err != nil {
		return v, err
	}
	n, err := t.NumElements()
	v.n = int(n)
	return v, err
}

// at returns element i. Elements of 4 bits fill bytes from the low half up.
func (v integers) at(i int) int64 {
	var u uint64
	switch v.bits {
	case 4:
		u = uint64(v.raw[i/2] >> (4 * (i % 2)) & 15)
	case 8:
		u = uint64(v.raw[i])
	case 16:
		u = uint64(binary.LittleEndian.Uint16(v.raw[2*i:]))
	case 32:
		u = uint64(binary.LittleEndian.Uint32(v.raw[4*i:]))
	case 64:
		u = binary.LittleEndian.Uint64(v.raw[8*i:])
	}
	if v.signed {
		return int64(u) << (64 - v.bits) >> (64 - v.bits)
	}
	return int64(u)
}

// floats returns the values of a float, float16 or bfloat16 tensor to be read block by block, or errKeep for other types.
func floats(t *onnx.Tensor) (weights.Source, error) {
	switch t.DataType {
	case onnx.Float, onnx.Float16, onnx.BFloat16:
		return weights.Tensor(t)
	}
	return nil, errKeep
}

// all returns the values of a source.
func all(src weights.Source) ([]float32, error) {
	v := make([]float32, src.Len())
	return v, src.Read(v, 0)
}

// block is how many elements are computed at once.
const block = 1 << 14

// blocks calls do for n elements, a block at a time.
func blocks(n int, do func(first, n int) error) error {
	for first := 0; first < n; first += block {
		if err := do(first, min(block, n-first)); err != nil {
			return err
		}
	}
	return nil
}

// renamed returns t under a name that evaluate gives it.
func renamed(t *onnx.Tensor) (*onnx.Tensor, error) {
	raw, err := t.Bytes()
	if err != nil {
		return nil, err
	}
	return rewrite.NewTensor("", t.DataType, t.Dims, raw), nil
}
