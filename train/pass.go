package train

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/effml/effml/infer"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// pass is a Pass that is ready to run on batches of one shape.
type pass struct {
	Pass
	step   *step
	fields map[string]ops.Info // of the batch
	aside  []*teacher
	batch  map[string]*tensor.Tensor // what the step reads
}

// teacher is a network that is run before a step.
type teacher struct {
	*outside
	session *infer.Session
	memory  infer.Memory
	runner  *infer.Runner
	from    []string // fields, by input
	to      []string // fields, by output
	in      []*tensor.Tensor
}

// newPass makes a pass ready.
func (t *trainer) newPass(ph *phase, p Pass, b *Batch) (*pass, error) {
	fields := fieldsOf(b)
	n, aside, err := assemble(t.store, p, fields, ph.trains)
	if err != nil {
		return nil, err
	}
	n.learnedSteps = ph.LearnedSteps
	x := &pass{Pass: p, fields: fields, batch: maps.Clone(b.Fields)}
	if x.step, err = t.engine.compile(n); err != nil {
		return nil, n.explain(err)
	}
	for _, o := range aside {
		s, err := t.newTeacher(o)
		if err != nil {
			return nil, err
		}
		x.aside = append(x.aside, s)
	}
	return x, nil
}

// newTeacher makes a network ready that is run before steps.
func (t *trainer) newTeacher(o *outside) (*teacher, error) {
	m, g := *o.member.Model.Model, *o.graph
	m.Graph, g.Outputs = &g, nil
	x := &teacher{outside: o, to: slices.Sorted(maps.Keys(o.values))}
	for _, name := range x.to {
		g.Outputs = append(g.Outputs, &onnx.ValueInfo{Name: o.values[name], Type: &onnx.TypeProto{Tensor: &onnx.TensorType{ElemType: o.types[name]}}})
	}
	g.Inputs = slices.Clone(g.Inputs)
	for i, v := range g.Inputs { // any batch will do
		if v.Type != nil && v.Type.Tensor != nil {
			g.Inputs[i] = &onnx.ValueInfo{Name: v.Name, Type: &onnx.TypeProto{Tensor: &onnx.TensorType{ElemType: v.Type.Tensor.ElemType}}}
		}
	}
	var err error
	if x.session, err = infer.New(&m, infer.Options{CPU: t.cpu, MaxBytes: maxSegment}); err != nil {
		return nil, err
	}
	for _, v := range x.session.Inputs() {
		x.from = append(x.from, o.inputs[v.Name])
	}
	x.runner = x.session.NewRunnerIn(&x.memory)
	return x, nil
}

// run computes what is needed of a teacher.
func (x *teacher) run(ctx context.Context, batch map[string]*tensor.Tensor) error {
	x.in = x.in[:0]
	for _, name := range x.from {
		x.in = append(x.in, batch[name])
	}
	out, err := x.runner.Run(ctx, x.in)
	for i, v := range out {
		batch[x.to[i]] = v
	}
	return err
}

// takes reports whether the pass was made for batches like this one.
func (x *pass) takes(b *Batch) bool {
	for name, info := range x.step.network.fields {
		if _, own := x.fields[name]; !own { // of a teacher, or the seed
			continue
		}
		f := b.Fields[name]
		if f == nil || f.Type != info.Type || !slices.Equal(ops.MakeShape(f.Shape...), info.Shape) {
			return false
		}
	}
	return true
}

// run computes the loss of a batch and adds its gradients to those of the parameters.
func (x *pass) run(ctx context.Context, t *trainer, b *Batch) (float64, error) {
	maps.Copy(x.batch, b.Fields)
	x.batch[seedField] = t.seed
	for _, a := range x.aside {
		if err := a.run(ctx, x.batch); err != nil {
			return 0, err
		}
	}
	loss, err := x.step.run(ctx, x.batch)
	if err != nil {
		return 0, err
	}
	if x.Logits != "" {
		return float64(loss), x.count(t, b)
	}
	return float64(loss), nil
}

// count compares the answers of a step with the labels.
func (x *pass) count(t *trainer, b *Batch) error {
	logits, labels := x.step.tap(x.Logits), b.Fields[x.Labels]
	if logits == nil || labels == nil || labels.Type != onnx.Int64 || logits.Len()%max(labels.Len(), 1) != 0 || labels.Len() != logits.Shape[0] {
		return job.Usagef("train: the accuracy of %q (%v) by the labels %q (%v) cannot be told", x.Logits, logits, x.Labels, labels)
	}
	numbers, classes := tensor.Of[float32](logits), logits.Len()/labels.Len()
	for i, label := range tensor.Of[int64](labels) {
		if label < 0 || int(label) >= classes {
			return &job.DataError{Err: fmt.Errorf("train: batch %d: label %d of sample %d is out of range, the model tells %d classes apart", b.Number, label, i, classes)}
		}
		row, best := numbers[i*classes:][:classes], 0
		for c, v := range row {
			if v > row[best] {
				best = c
			}
		}
		if best == int(label) {
			t.sums.right++
		}
		t.sums.answered++
	}
	return nil
}

// release gives up what makes the pass ready to run, for other passes to use.
func (x *pass) release() {
	x.step.release()
	for _, a := range x.aside {
		a.session.Close()
	}
}

// rand returns the source of what is random in a phase at this step.
func (t *trainer) rand(ph *phase, what uint64) *rand.Rand {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s %d %d", ph.Name, t.step, what)
	return rand.New(rand.NewPCG(t.config.Seed, h.Sum64()))
}
