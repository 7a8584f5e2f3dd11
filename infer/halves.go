package infer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/mapped"
	"github.com/effml/effml/tensor"
)

// Halves makes the runs of a session stop halfway, for what needs values that others compute from its results: gradients. The first half,
// [Runner.Run], computes the outputs that do not depend on a late input, and the second, [Runner.Resume], the others. What that reads of the
// first half stays in memory in between, in the layout that it has.
//
// Early inputs may be in any layout, and early outputs are in the one in which they were computed.
type Halves struct {
	// Late lists the inputs of the second half. Their types and shapes must be declared in numbers.
	Late []string
	// Like gives late inputs and outputs the layout of an early input or output, such as a gradient that of its value. Others are Plain.
	Like map[string]string
	// Given lists late outputs that Resume writes to memory of the caller's.
	Given []string
}

// halves is Halves with values of a program in place of names.
type halves struct {
	lateIn  []bool // by input
	lateOut []bool // by output
	given   []bool // by output
	like    map[*value]*value
}

// bindHalves finds what Options.Halves names.
func (s *Session) bindHalves() error {
	want, h := s.options.Halves, &halves{like: map[*value]*value{}}
	byName := map[string]*value{}
	late := make([]bool, len(s.main.values))
	for i, v := range s.main.inputs {
		byName[s.inputs[i].Name] = v
		l := slices.Contains(want.Late, s.inputs[i].Name)
		if _, ok := v.info.Shape.Known(); l && !ok {
			return job.Usagef("infer: the shape %s of late input %q is not declared in numbers", v.info.Shape, s.inputs[i].Name)
		}
		h.lateIn, late[v.id] = append(h.lateIn, l), l
	}
	isLate := func(v *value) bool { return v != nil && late[v.id] }
	for _, n := range s.main.nodes {
		if slices.ContainsFunc(n.in, isLate) || slices.ContainsFunc(n.captured, isLate) {
			for _, v := range n.out {
				if v != nil {
					late[v.id] = true
				}
			}
		}
	}
	for i, v := range s.main.outputs {
		byName[s.outputs[i].Name] = v
		h.lateOut = append(h.lateOut, late[v.id])
		h.given = append(h.given, slices.Contains(want.Given, s.outputs[i].Name))
	}
	for name, of := range want.Like {
		if byName[name] == nil || byName[of] == nil {
			return job.Usagef("infer: %q is to be laid out like %q, but they are not both inputs or outputs", name, of)
		}
		h.like[byName[name]] = byName[of]
	}
	s.main.halves = h
	return nil
}

// half lists the outputs of a half; without halves all are of the first.
func (p *program) half(late bool) (out []*value) {
	for i, v := range p.outputs {
		if late == (p.halves != nil && p.halves.lateOut[i]) {
			out = append(out, v)
		}
	}
	return out
}

// early returns the inputs of the first half.
func (p *program) early() []*value {
	var in []*value
	for i, v := range p.inputs {
		if p.halves == nil || !p.halves.lateIn[i] {
			in = append(in, v)
		}
	}
	return in
}

// late returns the inputs of the second half.
func (p *program) late() []*value {
	return slices.DeleteFunc(slices.Clone(p.inputs), func(v *value) bool { return slices.Contains(p.early(), v) })
}

// isGiven reports whether the caller brings the memory of an output.
func (p *program) isGiven(v *value) bool {
	if p.halves == nil {
		return false
	}
	i := slices.Index(p.outputs, v)
	return i >= 0 && p.halves.lateOut[i] && p.halves.given[i]
}

// isLate reports whether input i is one of the second half.
func (p *program) isLate(i int) bool { return p.halves != nil && p.halves.lateIn[i] }

// edge returns the layout in which an input comes, or in which an output is handed out.
func (l *layouts) edge(v *value) tensor.Layout {
	h := l.b.p.halves
	if h == nil {
		return tensor.Plain
	}
	like := h.like[v]
	if i := slices.Index(l.b.p.outputs, v); like == nil && i >= 0 && h.lateOut[i] {
		return tensor.Plain
	}
	if like != nil {
		v = like
	}
	if i := l.producer[v.id]; i >= 0 {
		return l.nodes[i].output(l.b.known[v.id].Shape)
	}
	if i := slices.Index(l.b.p.early(), v); i >= 0 {
		return l.b.laid[i]
	}
	return tensor.Plain
}

// secondHalf plans what Resume does.
func (b *planner) secondHalf(nodes []*node) {
	b.pause = len(b.steps)
	for _, v := range b.p.late() {
		b.lateInputs = append(b.lateInputs, b.slot(v, b.layouts.edge(v), slot{kind: slotInput}))
	}
	for i, n := range nodes {
		if b.order[i] {
			b.step(i, n)
		}
	}
	for _, v := range b.p.half(true) {
		b.lateOutputs = append(b.lateOutputs, b.output(v))
	}
}

// accepts checks a tensor that takes the place of a slot.
func (s *slot) accepts(t *tensor.Tensor) error {
	switch {
	case t == nil:
		return errors.New("is missing")
	case t.Type != s.info.Type || !fits(t.Shape, s.info.Shape):
		return fmt.Errorf("%s in place of %s%s", t, tensor.TypeName(s.info.Type), s.info.Shape)
	case t.Layout != s.layout:
		return fmt.Errorf("%s is in layout %s, not %s", t, t.Layout, s.layout)
	}
	return nil
}

// Resume computes the outputs that depend on late inputs, after Run, for a session with Halves. Late has the late inputs, in the order of
// Inputs and in the layouts that Halves says; given has an entry for each result, in the order of Outputs: where Halves names it, Plain
// memory to write it to. Results hold until the next Run, or as long as the memory that was given; those of the first half hold no longer. Until
// then neither they nor what the first half was given may change. Errors are those of Run.
func (r *Runner) Resume(ctx context.Context, late, given []*tensor.Tensor) ([]*tensor.Tensor, error) {
	if !r.paused {
		return nil, job.Usagef("infer: there is no run to resume")
	}
	r.paused = false
	if err := r.now.bring(late, given); err != nil {
		return nil, err
	}
	r.done = ctx.Done()
	r.enter(true)
	err := mapped.Guard(r.resumed)
	r.leave(true)
	if errors.Is(err, errStopped) {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	return r.now.lateOut, nil
}

// inResume is the half of a run that Guard guards.
func (r *Runner) inResume() error {
	x := r.now
	if x.times != nil {
		r.start = time.Now().Add(-x.whole)
	}
	if err := x.run(r.done, r, r.limit, x.plan.pause, len(x.calls)); err != nil {
		return err
	}
	x.finish(x.plan.lateOutputs, x.lateOut)
	if x.times != nil {
		x.whole = time.Since(r.start)
	}
	return nil
}

// bring takes what Resume is given.
func (x *instance) bring(late, given []*tensor.Tensor) error {
	pl := x.plan
	if len(late) != len(pl.lateInputs) || len(given) != len(pl.lateOutputs) {
		return job.Usagef("infer: %d late inputs and %d places for results, where there are %d and %d", len(late), len(given), len(pl.lateInputs), len(pl.lateOutputs))
	}
	for i, t := range late {
		if err := pl.slots[pl.lateInputs[i]].accepts(t); err != nil {
			return job.Usagef("infer: late input %d: %v", i, err)
		}
		x.slots[pl.lateInputs[i]] = t
	}
	for i, t := range given {
		s := pl.lateOutputs[i]
		if pl.slots[s].kind != slotGiven {
			continue
		}
		if err := pl.slots[s].accepts(t); err != nil {
			return job.Usagef("infer: memory for result %d: %v", i, err)
		}
		x.home[s] = t
	}
	return nil
}
