package infer

import (
	"sync"
	"sync/atomic"

	"github.com/effml/effml/internal/mapped"
	"github.com/effml/effml/onnx"
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

// values returns the values of one tensor. Pages of the file of which a copy had to be made are given back.
func (b *builder) values(t *onnx.Tensor) (*tensor.Tensor, error) {
	v, view, err := tensor.View(t)
	if err == nil && !view {
		b.s.release(t)
	}
	return v, err
}
