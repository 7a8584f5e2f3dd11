package infer

import (
	"cmp"
	"slices"
	"unsafe"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/pages"
	"github.com/effml/effml/tensor"
)

// Memory is what runners compute in. Several that take turns may share one: each takes what it needs for as long as it needs it. Where runners do
// the same again, from a moment at which none has any, all get the same places, and Memory asks for no more.
type Memory struct {
	data    []byte
	scratch []float32
	room    room
	outside int  // bytes that are taken beside data
	dry     bool // nothing is computed, see Rehearse
}

// chunk is memory that a runner has taken; none where it has no bytes.
type chunk struct {
	data []byte
	at   int
	n    int
}

// Regions of a run, by how long they are needed.
const (
	inFirst      = iota // in the first half; without halves until the next run, with the results
	inSecond            // in the second half
	inBetween           // from one half to the other
	firstResults        // results of the first half: until Done, or the next run
	secondResults
	regions
)

// Bytes returns the memory that is held.
func (m *Memory) Bytes() int { return len(m.data) + m.outside + 4*len(m.scratch) }

// Rehearse calls f, in which runners take memory by Runner.Rehearse as they will by running. It returns the bytes that they had at once, gaps between
// them included, which Memory will then have in one piece. None has any before or afterwards.
func (m *Memory) Rehearse(f func()) (most int) {
	before := m.room.most
	m.room.most, m.dry = 0, true
	f()
	most, m.dry = m.room.most, false
	m.room.most = max(most, before)
	return most
}

// take makes g n bytes, in the place where it is if it has as many.
func (m *Memory) take(g *chunk, n int) {
	if g.n == n {
		return
	}
	m.give(g)
	if n == 0 {
		return
	}
	first := len(m.room.taken) == 0
	g.n, g.at = n, m.room.take(n)
	if m.dry {
		return
	}
	if first && m.room.most > len(m.data) {
		pages.Discard(m.data) // the garbage collector would leave both for a while
		m.data = tensor.Buffer(m.room.most)
	}
	if end := g.at + n; end <= len(m.data) {
		g.data = m.data[g.at:end:end]
		return
	}
	m.outside += n
	g.data = tensor.Buffer(n)
}

// give takes a chunk back.
func (m *Memory) give(g *chunk) {
	if g.n == 0 {
		return
	}
	m.room.give(g.at)
	if g.data != nil && g.at+g.n > len(m.data) {
		m.outside -= g.n
		pages.Discard(g.data)
	}
	*g = chunk{}
}

// room shares bytes out: each span goes to the lowest place that is free.
type room struct {
	taken []span // by place
	most  int    // the highest end that there was
}

type span struct{ at, end int }

func (r *room) take(n int) int {
	at, i := 0, 0
	for ; i < len(r.taken) && r.taken[i].at-at < n; i++ {
		at = r.taken[i].end
	}
	end := align(at + n)
	r.taken, r.most = slices.Insert(r.taken, i, span{at, end}), max(r.most, end)
	return at
}

func (r *room) give(at int) {
	if i, ok := slices.BinarySearchFunc(r.taken, at, func(s span, at int) int { return cmp.Compare(s.at, at) }); ok {
		r.taken = slices.Delete(r.taken, i, i+1)
	}
}

// enter takes memory for a half of a run, and puts the instance there.
func (r *Runner) enter(second bool) {
	if second {
		r.take(secondResults)
		r.take(inSecond)
	} else {
		r.Done(true)
		r.memory.give(&r.held[inSecond])
		r.take(firstResults)
		r.take(inBetween)
		r.take(inFirst)
	}
	if n := r.now.plan.scratch; n > len(r.memory.scratch) && !r.memory.dry {
		r.memory.scratch = as[float32](tensor.Buffer(4 * n))
	}
}

// leave gives back what is needed no longer after a half of a run.
func (r *Runner) leave(second bool) {
	switch {
	case second:
		r.memory.give(&r.held[inSecond])
		r.memory.give(&r.held[inBetween])
	case r.program.halves != nil:
		r.memory.give(&r.held[inFirst])
	}
}

// take takes a region, and puts the instance's tensors there.
func (r *Runner) take(kind int) {
	x, g := r.now, &r.held[kind]
	r.memory.take(g, x.plan.bytes[kind])
	if at := unsafe.SliceData(g.data); at != nil && x.at[kind] != at {
		x.at[kind] = at
		for i := range x.plan.slots {
			if s := &x.plan.slots[i]; s.kind == slotArena && s.region == kind {
				x.home[i].Move(g.data[s.offset : s.offset+s.bytes : s.offset+s.bytes])
			}
		}
	}
}

// Rehearse takes and gives back memory as a half of a run does, for inputs like those of the last Prepare; see Memory.
func (r *Runner) Rehearse(second bool) {
	r.enter(second)
	r.leave(second)
}

// Done gives back the memory of the results of a half, which are lost.
func (r *Runner) Done(second bool) {
	kind := firstResults
	if second {
		kind = secondResults
	}
	r.memory.give(&r.held[kind])
}

// Forget gives back what the second half would read: before Resume there must be another Run, whose results lie where they were.
func (r *Runner) Forget() {
	r.memory.give(&r.held[inBetween])
	r.paused = false
}

// Rest gives all memory back, until the runner runs again: a run cannot be resumed, and results are lost.
func (r *Runner) Rest() {
	for i := range r.held {
		r.memory.give(&r.held[i])
	}
	r.paused = false
}

// Leave does as Rest, and the runner no longer knows where it was, so that nothing stays in memory for its sake.
func (r *Runner) Leave() {
	r.Rest()
	for _, x := range r.kept {
		clear(x.at[:])
		for i := range x.plan.slots {
			switch x.plan.slots[i].kind {
			case slotArena:
				x.home[i].Leave()
			case slotView:
				x.slots[i].Leave()
			}
		}
		for i := range x.calls {
			x.calls[i].Scratch = nil
		}
	}
}

// Prepare plans runs for inputs of these types, shapes and layouts, whose elements do not count. It returns the results of the first half, also without
// elements, and the bytes of scratch memory of operators, which runners share. Errors are those of Run.
func (r *Runner) Prepare(in []*tensor.Tensor) (out []*tensor.Tensor, scratch int, err error) {
	defer caught(&err)
	if err := r.session.check(in); err != nil {
		return nil, 0, err
	}
	bytes := int64(0)
	for _, t := range in {
		bytes += int64(t.Size())
	}
	if r.now == nil || !r.now.plan.suits(in) {
		if err := r.change(nil, in, r.session.limit(bytes)); err != nil {
			return nil, 0, err
		}
	}
	pl := r.now.plan
	for _, i := range pl.outputs {
		s := &pl.slots[i]
		dims, ok := s.info.Shape.Known()
		if !ok {
			return nil, 0, job.Usagef("infer: the shape %s of a result is known in the run only", s.info.Shape)
		}
		out = append(out, &tensor.Tensor{Type: s.info.Type, Shape: dims, Layout: s.layout})
	}
	return out, 4 * pl.scratch, nil
}
