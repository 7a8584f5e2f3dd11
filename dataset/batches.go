package dataset

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/mapped"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// Options says how samples are batched. The batches are the same for any Workers and Ahead.
type Options struct {
	Batch    int  // samples a batch, 0: 1, or what the model insists on
	Workers  int  // goroutines that decode, 0: GOMAXPROCS
	Ahead    int  // batches that are made ahead, 0: 2; together with the one in use they bound the memory
	DropLast bool // leave out a last batch that is not full
	Fill     bool // repeat the last sample in a batch that is not full; always so where the model insists on a size

	Shuffle bool // in an order that Seed and Epoch decide
	Seed    uint64
	Epoch   int
	First   int // begin with this batch of the epoch, from 0: what comes is as if those before had been read

	Augment    bool        // apply the Spec's Augment
	Transforms []Transform // applied to every sample before it is augmented and preprocessed

	SkipBad int             // so many samples may be broken, or have a label that there is not; they are left out
	Skipped func(err error) // is told about each of them, in order
}

// Batches yields the samples of p in batches of its fields, images preprocessed as the Spec says. The sequence ends with the
// first error, which is ctx's where ctx has ended; whatever was started for it has ended when it ends.
func (p *Part) Batches(ctx context.Context, o Options) iter.Seq2[*Batch, error] {
	f := &Feed{Part: p, Preprocess: p.set.Spec.Preprocess}
	return f.Batches(ctx, o)
}

// Batches yields the samples as [Part.Batches] does, with the inputs of the model and the labels.
func (f *Feed) Batches(ctx context.Context, o Options) iter.Seq2[*Batch, error] {
	return func(yield func(*Batch, error) bool) {
		l, err := newLoader(f, o)
		if err != nil {
			yield(nil, err)
			return
		}
		l.run(ctx, yield)
	}
}

// loader makes the batches of one pass.
type loader struct {
	Options
	feed    *Feed
	fields  []Field // that are needed
	images  []string
	augment *Augment // nil: none
	before  Preprocess
	pipe    *pipeline
	order   []int // numbers in the Part
	skipped int
	number  int // of the batch that is dealt out next
}

func newLoader(f *Feed, o Options) (*loader, error) {
	l := &loader{Options: o, feed: f, before: f.Preprocess, augment: &f.set.Spec.Augment}
	if f.Batch > 0 {
		if l.Batch != 0 && l.Batch != f.Batch {
			return nil, job.Usagef("batch: the model takes exactly %d samples at a time, not %d", f.Batch, l.Batch)
		}
		l.Batch, l.Fill = f.Batch, true
	}
	if o.Batch < 0 || o.Workers < 0 || o.Ahead < 0 || o.SkipBad < 0 || o.First < 0 {
		return nil, job.Usagef("batch, workers, ahead, first and skip-bad must not be negative")
	}
	l.Batch = max(l.Batch, 1)
	if l.Workers == 0 {
		l.Workers = runtime.GOMAXPROCS(0)
	}
	if l.Ahead == 0 {
		l.Ahead = 2
	}
	if !o.Augment {
		l.augment = &Augment{}
	}
	l.pipe = newPipeline(l.augment.after(l.before))
	l.fields = f.Fields
	if f.Inputs != nil {
		l.fields = slices.DeleteFunc(slices.Clone(f.Fields), func(x Field) bool { return x.Name != f.Labels && !f.uses(x.Name) })
	}
	for i := range l.fields { // of a Feed with numbers they are not the Part's own

		if slices.Contains(f.numbers, l.fields[i].Name) {
			l.fields[i].Type = onnx.Float
		}
	}
	l.images = names(fieldsOfKind(l.fields, Image))
	l.order = make([]int, f.Len())
	for i := range l.order {
		l.order[i] = i
	}
	if o.Shuffle {
		r := rand.New(rand.NewPCG(o.Seed, uint64(o.Epoch)))
		r.Shuffle(len(l.order), func(i, j int) { l.order[i], l.order[j] = l.order[j], l.order[i] })
	}
	if l.DropLast {
		l.order = l.order[:len(l.order)/l.Batch*l.Batch]
	}
	if err := l.checkLabels(); err != nil {
		return nil, err
	}
	l.number = o.First
	l.order = l.order[min(o.First*l.Batch, len(l.order)):]
	return l, nil
}

// uses says whether an input is fed from a field.
func (f *Feed) uses(field string) bool {
	return slices.ContainsFunc(f.Sources, func(s string) bool {
		return s == field || s == field+LengthSuffix || s == field+OffsetsSuffix
	})
}

// checkLabels looks for labels out of range before anything is decoded, where the source knows them.
func (l *loader) checkLabels() error {
	source, ok := l.feed.source.(labelled)
	if !ok || len(fieldsOfKind(l.fields, Label)) == 0 {
		return nil
	}
	bad := 0
	for _, i := range l.order {
		if err := l.labelError(source.label(l.feed.order[i])); err != nil {
			if bad++; bad > l.SkipBad {
				return l.sampleError(i, err)
			}
		}
	}
	return nil
}

// labelError says what is wrong with a label.
func (l *loader) labelError(v int64) error {
	n, of := l.feed.outputs, "the model tells %d classes apart"
	if n == 0 {
		n, of = len(l.feed.Classes()), "there are %d classes"
	}
	if v < 0 || n > 0 && v >= int64(n) {
		return fmt.Errorf("label %d is out of range, "+of, v, n)
	}
	return nil
}

func (l *loader) sampleError(i int, err error) error {
	return &job.DataError{Err: fmt.Errorf("%s: %w", l.feed.SampleName(i), err)}
}

// task is some slots of a batch.
type task struct {
	batch  *Batch
	lo, hi int
}

// run makes batches in the background: one goroutine deals out the slots of batches in order, Workers fill them, and the
// caller's goroutine puts each batch together once its slots are full. Batches are used again, Ahead+1 of them.
func (l *loader) run(parent context.Context, yield func(*Batch, error) bool) {
	ctx, cancel := context.WithCancel(parent)
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	free, ready, tasks := make(chan *Batch, l.Ahead+1), make(chan *Batch, l.Ahead+1), make(chan task)
	for range l.Ahead + 1 {
		free <- &Batch{Fields: map[string]*tensor.Tensor{}, columns: make([]stack, len(l.fields))}
	}
	group.Go(func() { l.deal(ctx, free, ready, tasks) })
	for range l.Workers {
		group.Go(func() {
			s := Sample{}
			for t := range tasks {
				for k := t.lo; k < t.hi && ctx.Err() == nil; k++ {
					t.batch.slots[k].err = l.fill(t.batch, k, s)
				}
				t.batch.pending.Done()
			}
		})
	}
	for b := range ready {
		b.pending.Wait()
		if ctx.Err() != nil {
			break
		}
		ok, err := l.collate(b)
		if err != nil {
			yield(nil, err)
			return
		}
		if ok && !yield(b, nil) {
			return
		}
		free <- b
	}
	if err := parent.Err(); err != nil {
		yield(nil, err)
	}
}

// deal gives out the slots of all batches.
func (l *loader) deal(ctx context.Context, free <-chan *Batch, ready chan<- *Batch, tasks chan<- task) {
	defer close(tasks)
	defer close(ready)
	piece := max(l.Batch/(4*l.Workers), 1)
	for rest := l.order; len(rest) > 0; {
		var b *Batch
		select {
		case b = <-free:
		case <-ctx.Done():
			return
		}
		n := min(l.Batch, len(rest))
		b.reset(rest[:n], len(l.fields), l.size(n))
		b.Number = l.number
		l.number++
		rest = rest[n:]
		b.pending.Add((n + piece - 1) / piece)
		ready <- b // has room for all batches
		for lo := 0; lo < n; lo += piece {
			select {
			case tasks <- task{b, lo, min(lo+piece, n)}:
			case <-ctx.Done():
				b.pending.Done()
			}
		}
	}
}

// size returns the slots of a batch of n samples.
func (l *loader) size(n int) int {
	if l.Fill {
		return l.Batch
	}
	return n
}

// reset prepares b for samples, in slots of which the last may stay empty.
func (b *Batch) reset(samples []int, fields, slots int) {
	for len(b.slots) < slots {
		b.slots = append(b.slots, slot{shapes: make([][]int, fields), values: make([]*tensor.Tensor, fields)})
	}
	b.slots = b.slots[:slots]
	for i, n := range samples {
		b.slots[i].sample = n
	}
	b.Len = len(samples)
	for i := range b.columns {
		b.columns[i].set = false
	}
	clear(b.Fields)
}

// fill makes the sample of slot k. The map s is used again and again.
func (l *loader) fill(b *Batch, k int, s Sample) error {
	clear(s)
	slot := &b.slots[k]
	err := mapped.Guard(func() error { return l.make(b, k, s) })
	if err != nil {
		return l.sampleError(slot.sample, err)
	}
	return nil
}

func (l *loader) make(b *Batch, k int, s Sample) error {
	slot := &b.slots[k]
	if err := l.feed.source.Read(l.feed.order[slot.sample], s); err != nil {
		return err
	}
	if l.Transforms != nil || !l.augment.IsZero() {
		r := sampleRand(l.Seed, l.Epoch, slot.sample)
		for _, change := range l.Transforms {
			if err := change(s, r); err != nil {
				return err
			}
		}
		if err := l.augment.apply(s, l.images, &l.before, r); err != nil {
			return err
		}
	}
	for _, name := range l.feed.numbers {
		t, err := l.pipe.numbers(s[name])
		if err != nil {
			return fmt.Errorf("field %s: %w", name, err)
		}
		s[name] = t
	}
	// Nothing may go wrong once a field is in its place, so all are checked first.
	types := make([]onnx.DataType, len(l.fields))
	for i, f := range l.fields {
		t := s[f.Name]
		if t == nil {
			return fmt.Errorf("it has no field %s", f.Name)
		}
		types[i], slot.shapes[i] = t.Type, t.Shape
		switch f.Kind {
		case Image:
			shape, err := l.pipe.output(t)
			if err != nil {
				return fmt.Errorf("field %s: %w", f.Name, err)
			}
			types[i], slot.shapes[i] = onnx.Float, shape
		case Label:
			if t.Type != onnx.Int64 || t.Len() != 1 {
				return fmt.Errorf("field %s is %s, a class is int64[]", f.Name, t)
			}
			if err := l.labelError(tensor.Of[int64](t)[0]); err != nil {
				return err
			}
		}
		if t.Type != f.Type && f.Kind != Image {
			return fmt.Errorf("field %s is of type %s, it should be %s", f.Name, tensor.TypeName(t.Type), tensor.TypeName(f.Type))
		}
	}
	for i, f := range l.fields {
		if err := l.put(b, k, i, f, s[f.Name], types[i]); err != nil {
			return fmt.Errorf("field %s: %w", f.Name, err)
		}
	}
	return nil
}

// put writes field i of slot k where it belongs.
func (l *loader) put(b *Batch, k, i int, f Field, t *tensor.Tensor, dt onnx.DataType) error {
	slot := &b.slots[k]
	to := t
	var err error
	switch {
	case early(f):
		if to, err = b.columns[i].place(k, len(b.slots), dt, slot.shapes[i]); to == nil {
			return err
		}
	case f.Kind == Image:
		if to, err = tensor.New(dt, slot.shapes[i]...); err != nil {
			return err
		}
	}
	if f.Kind == Image {
		if err := l.pipe.run(tensor.Of[float32](to), t); err != nil {
			return err
		}
	} else if to != t {
		copy(to.Bytes(), t.Bytes())
	}
	slot.values[i] = to
	return nil
}

// sampleRand returns the randomness of one sample, which depends on nothing but its arguments.
func sampleRand(seed uint64, epoch, sample int) *rand.Rand {
	// The second word differs from those that shuffle, which are epochs.
	return rand.New(rand.NewPCG(seed, 1<<63|uint64(epoch)<<40^uint64(sample)))
}

// collate finishes a batch whose slots are full. It reports false for one without a good sample.
func (l *loader) collate(b *Batch) (bool, error) {
	good := make([]int, 0, len(b.slots))
	for k := range b.Len {
		err := b.slots[k].err
		if err == nil {
			good = append(good, k)
			continue
		}
		if l.skipped++; l.skipped > l.SkipBad {
			return false, err
		}
		if l.Skipped != nil {
			l.Skipped(err)
		}
	}
	if len(good) == 0 {
		return false, nil
	}
	if err := b.finish(l.fields, good, l.Fill); err != nil {
		var odd *mismatch
		if errors.As(err, &odd) {
			return false, l.sampleError(odd.sample, odd.err)
		}
		return false, &job.DataError{Err: err}
	}
	if l.feed.Labels != "" {
		b.Labels = append(b.Labels, tensor.Of[int64](b.Fields[l.feed.Labels])[:b.Len]...)
	}
	b.Inputs = b.Inputs[:0]
	for i, in := range l.feed.Inputs {
		t, err := convert(b.Fields[l.feed.Sources[i]], in)
		if err != nil {
			return false, job.Usagef("input %q: %w", in.Name, err)
		}
		b.Inputs = append(b.Inputs, t)
	}
	return true, nil
}
