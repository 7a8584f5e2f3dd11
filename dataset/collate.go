package dataset

import (
	"fmt"
	"slices"
	"sync"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// Batch is some samples, put together. It and its tensors are valid until the next one is asked for.
type Batch struct {
	Len     int                       // samples; fewer than the tensors have where the batch was filled up
	Samples []int                     // their numbers in the Part
	Number  int                       // of the batch in its epoch, from 0; of those without a good sample there are none
	Fields  map[string]*tensor.Tensor // by name, with the lengths and offsets that collation adds
	Inputs  []*tensor.Tensor          // of a Feed, in the order of the model's inputs
	Labels  []int64                   // of a Feed with labels

	slots   []slot
	columns []stack
	pending sync.WaitGroup
}

// slot is one sample of a batch that is being made.
type slot struct {
	sample int // number in the Part
	err    error
	shapes [][]int          // by field
	values []*tensor.Tensor // by field: of those that are not put in their place at once
}

// stack is the tensor of a field whose samples have one shape, which the first of them to be ready decides.
type stack struct {
	mu    sync.Mutex
	set   bool
	shape []int // of one sample
	out   *tensor.Tensor
}

// early says whether samples of the field are written to the batch as they come.
func early(f Field) bool {
	return (f.Collate == Stack || f.Collate == Join) && f.Type != onnx.String
}

// place returns the bytes of sample k of n, or nil where it has another shape than the others.
func (s *stack) place(k, n int, dt onnx.DataType, shape []int) (*tensor.Tensor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.set {
		full := append([]int{n}, shape...)
		if s.out == nil || !s.out.Reuse(dt, full, tensor.Plain) {
			if _, err := tensor.Count(full); err != nil {
				return nil, err
			}
			out, err := tensor.New(dt, full...)
			if err != nil {
				return nil, err
			}
			s.out = out
		}
		s.set, s.shape = true, append(s.shape[:0], shape...)
	}
	if s.out.Type != dt || !slices.Equal(s.shape, shape) {
		return nil, nil //nolint:nilnil // nowhere to put it, which finish reports in the order of samples
	}
	size := s.out.Size() / n
	return over(s.out.Bytes()[k*size:][:size], dt, shape), nil
}

// finish drops bad samples and puts the others together; fill repeats the last one up to the full size. Good lists the slots
// of good samples, which are not none.
func (b *Batch) finish(fields []Field, good []int, fill bool) error {
	b.Len, b.Samples, b.Labels = len(good), b.Samples[:0], b.Labels[:0]
	for _, k := range good {
		b.Samples = append(b.Samples, b.slots[k].sample)
	}
	if fill {
		for len(good) < len(b.slots) {
			good = append(good, good[len(good)-1])
		}
	}
	for i, f := range fields {
		first := b.slots[good[0]].shapes[i]
		for _, k := range good {
			if s := &b.slots[k]; !fits(f, first, s.shapes[i]) {
				return &mismatch{s.sample, fmt.Errorf("field %s has the shape %v, sample %d before it %v; preprocess.crop or another collation makes one batch of them", f.Name, s.shapes[i], b.Samples[0], first)}
			}
		}
		if early(f) {
			b.Fields[f.Name] = b.columns[i].compact(f, good)
			continue
		}
		values := make([]*tensor.Tensor, len(good))
		for n, k := range good {
			values[n] = b.slots[k].values[i]
		}
		if err := b.join(f, values); err != nil {
			return fmt.Errorf("field %s: %w", f.Name, err)
		}
	}
	return nil
}

// mismatch is a sample that does not go with the others.
type mismatch struct {
	sample int
	err    error
}

func (m *mismatch) Error() string { return m.err.Error() }

// fits says whether samples of two shapes go together.
func fits(f Field, a, b []int) bool {
	if f.Collate == Pad || f.Collate == Ragged {
		return len(a) > 0 && len(a) == len(b) && slices.Equal(a[1:], b[1:])
	}
	return slices.Equal(a, b) && (f.Collate != Join || len(a) > 0)
}

// compact moves the good samples together and returns the tensor of them.
func (s *stack) compact(f Field, good []int) *tensor.Tensor {
	size := s.out.Size() / max(s.out.Shape[0], 1)
	data := s.out.Bytes()
	// Places that repeat a sample lie behind all others, and a sample only ever moves forward.
	for to, from := range good {
		if to != from {
			copy(data[to*size:][:size], data[from*size:][:size])
		}
	}
	shape := append([]int{len(good)}, s.shape...)
	if f.Collate == Join {
		shape = append([]int{len(good) * s.shape[0]}, s.shape[1:]...)
	}
	return over(data[:len(good)*size], s.out.Type, shape)
}

// join makes the tensor of a field whose samples are not of one size, or are texts.
func (b *Batch) join(f Field, values []*tensor.Tensor) error {
	n := len(values)
	first := values[0]
	if first.Type == onnx.String {
		if f.Collate == Pad || f.Collate == Ragged {
			return fmt.Errorf("texts cannot be collated by %s", f.Collate)
		}
		var texts []string
		for _, v := range values {
			texts = append(texts, v.Strings()...)
		}
		shape := append([]int{n}, first.Shape...)
		if f.Collate == Join {
			shape = append([]int{n * first.Shape[0]}, first.Shape[1:]...)
		}
		b.Fields[f.Name] = tensor.FromStrings(texts, shape...)
		return nil
	}
	longest, offsets, lengths := 0, make([]int64, n+1), make([]int64, n)
	for i, v := range values {
		if v.Type != first.Type {
			return fmt.Errorf("%s beside %s", v, first)
		}
		lengths[i] = int64(v.Shape[0])
		offsets[i+1] = offsets[i] + lengths[i]
		longest = max(longest, v.Shape[0])
	}
	rest := first.Shape[1:]
	shape, extra := append([]int{int(offsets[n])}, rest...), tensor.From(offsets, n+1)
	suffix := OffsetsSuffix
	if f.Collate == Pad {
		shape, extra, suffix = append([]int{n, longest}, rest...), tensor.From(lengths, n), LengthSuffix
	}
	out, err := tensor.New(first.Type, shape...)
	if err != nil {
		return err
	}
	data := out.Bytes()
	for _, v := range values {
		used := copy(data, v.Bytes())
		if f.Collate == Pad {
			used = len(out.Bytes()) / n
		}
		data = data[used:]
	}
	b.Fields[f.Name], b.Fields[f.Name+suffix] = out, extra
	return nil
}
