package infer

import (
	"sync"
	"sync/atomic"

	"github.com/effml/effml/internal/mapped"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// constants returns the values of tensors of the model, several at a time: those of an archive are to be decoded, and those that a file
// does not align to be copied.
func (b *builder) constants(list []*onnx.Tensor) ([]*tensor.Tensor, error) {
	values, errs := make([]*tensor.Tensor, len(list)), make([]error, len(list))
	var next atomic.Int64
	work := func() {
		for i := next.Add(1) - 1; i < int64(len(list)); i = next.Add(1) - 1 {
			errs[i] = mapped.Guard(func() (err error) {
				values[i], err = b.values(list[i])
				return err
			})
		}
	}
	var wg sync.WaitGroup
	for range min(b.s.cpu.Threads(), len(list)) - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return values, nil
}

// constantInfo describes a tensor of the model. Without a value that is its type and shape, as far as the shape is one.
func constantInfo(t *onnx.Tensor, value *tensor.Tensor) ops.Info {
	if value != nil {
		return ops.Of(value)
	}
	info := ops.Info{Type: t.DataType, Shape: ops.Shape{}}
	for _, d := range t.Dims {
		if d < 0 {
			return ops.Info{Type: t.DataType}
		}
		info.Shape = append(info.Shape, ops.Known(int(d)))
	}
	return info
}

// values returns the values of one tensor, nil where an outline does without. Pages of the file of which a copy had to be made are given back.
func (b *builder) values(t *onnx.Tensor) (*tensor.Tensor, error) {
	if b.outline != nil && t.Size() > outlineBytes {
		return nil, nil //nolint:nilnil // it is not an error
	}
	v, view, err := tensor.View(t)
	if err == nil && !view {
		b.s.release(t)
	}
	return v, err
}
