package ops

import (
	"fmt"
	"slices"

	"github.com/effml/effml/onnx"
)

// gather folds Gather: out[…, i…, …] = data[…, indices[i…], …] along an axis (0 by default). Data are of any type of whole
// bytes, indices int32 or int64, negative ones counted from the end.
func (c *call) gather() (*onnx.Tensor, error) {
	if err := c.arity(2, 2); err != nil {
		return nil, err
	}
	data, indices := c.in[0], c.in[1]
	if data.DataType.Bits()%8 != 0 || data.DataType.Bits() == 0 || indices.DataType != onnx.Int32 && indices.DataType != onnx.Int64 {
		return nil, errKeep
	}
	axis, err := c.axis(0, len(data.Dims))
	if err != nil {
		return nil, err
	}
	raw, err := data.Bytes()
	if err != nil {
		return nil, err
	}
	index, err := newIntegers(indices)
	if err != nil {
		return nil, err
	}
	out, dst, err := c.result(data.DataType, slices.Concat(data.Dims[:axis], indices.Dims, data.Dims[axis+1:]))
	if err != nil {
		return nil, err
	}
	if len(dst) > 0 && len(raw) == 0 {
		return nil, fmt.Errorf("%d indices into an empty axis", index.n)
	}
	levels := int(data.Dims[axis])
	row := volume(data.Dims[axis+1:]) * data.DataType.Bits() / 8
	at := 0
	for first := 0; first < len(raw); first += levels * row {
		for i := range index.n {
			p := index.at(i)
			if p < 0 {
				p += int64(levels)
			}
			if p < 0 || p >= int64(levels) {
				return nil, fmt.Errorf("index %d at position %d is outside of %d", index.at(i), i, levels)
			}
			from := first + int(p)*row
			at += copy(dst[at:], raw[from:from+row])
		}
	}
	return out, nil
}
