package infer

import (
	"unsafe"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/pages"
	"github.com/effml/effml/tensor"
)

// Memory is what runners compute in. Several that take turns may share one: what only half a run needs lies in the same place for all of
// them, and what a run keeps for its second half each gets for itself, until Release.
type Memory struct {
	passing []byte
	scratch []float32
	kept    []keptMemory
	peak    int  // bytes that were kept at once since Release
	most    int  // and ever
	ragged  bool // kept is better replaced, when it is asked for again
}

// keptMemory is memory that runs share out among them.
type keptMemory struct {
	data []byte
	used int
}

// Release takes back what runs keep: none may be resumed any more, and no result be used. Runs that follow keep what they need in the same places,
// so that Memory asks for no more when they need as much. Where runs need now more and now less, and in parts of other sizes, what is held is a
// little more than the most that was ever needed. What has come to be more than twice as much as was used is let go.
func (m *Memory) Release() {
	held, _ := m.holds()
	m.Rewind(nil)
	switch m.most = max(m.most, m.peak); {
	case m.peak > 0 && held > 2*m.peak:
		clear(m.kept)
		m.kept, m.most = m.kept[:0], 0
	case held > m.most+m.most/16:
		m.ragged = true
	}
	m.peak = 0
}

// holds returns the bytes for what runs keep, and how many of them are used.
func (m *Memory) holds() (held, used int) {
	for i := range m.kept {
		held, used = held+len(m.kept[i].data), used+m.kept[i].used
	}
	return held, used
}

// join replaces what is held for runs to keep by one piece. It gives the system the memory back at once: the garbage collector would leave both for
// a while.
func (m *Memory) join() {
	for i := range m.kept {
		pages.Discard(m.kept[i].data)
	}
	clear(m.kept)
	m.kept, m.ragged = append(m.kept[:0], keptMemory{data: tensor.Buffer(m.most)}), false
}

// Bytes returns the memory that is held.
func (m *Memory) Bytes() int {
	held, _ := m.holds()
	return len(m.passing) + 4*len(m.scratch) + held
}

// keep returns n bytes until Release.
func (m *Memory) keep(n int) []byte {
	b := m.room(n)
	b.used += n
	_, used := m.holds()
	m.peak = max(m.peak, used)
	return b.data[b.used-n : b.used : b.used]
}

// room returns memory with n bytes that are free.
func (m *Memory) room(n int) *keptMemory {
	if m.ragged {
		m.join()
	}
	for i := range m.kept {
		if b := &m.kept[i]; b.used+n <= len(b.data) {
			return b
		}
	}
	m.kept = append(m.kept, keptMemory{data: tensor.Buffer(n)})
	return &m.kept[len(m.kept)-1]
}

// Mark returns what is kept at the moment, in buf where it has room, for Rewind.
func (m *Memory) Mark(buf []int) []int {
	buf = buf[:0]
	for i := range m.kept {
		buf = append(buf, m.kept[i].used)
	}
	return buf
}

// Rewind takes back what runs have kept since a Mark, as Release does all.
func (m *Memory) Rewind(mark []int) {
	for i := range m.kept {
		m.kept[i].used = 0
		if i < len(mark) {
			m.kept[i].used = mark[i]
		}
	}
}

// Reserve makes sure that n bytes can be kept without asking for more.
func (m *Memory) Reserve(n int) {
	m.room(n)
	_, used := m.holds()
	m.most = max(m.most, used+n)
}

// Needs is the memory that a run takes, in bytes.
type Needs struct {
	Passing int // of results that are needed in the half of the run only that computes them; runners that share a Memory share it
	Kept    int // until Release
	Scratch int // of operators at work, shared as well
}

// Prepare plans runs for inputs of these types, shapes and layouts, whose elements do not count. It returns the results of the first half, also without
// elements, and what a run takes. Errors are those of Run.
func (r *Runner) Prepare(in []*tensor.Tensor) (out []*tensor.Tensor, n Needs, err error) {
	defer caught(&err)
	if err := r.session.check(in); err != nil {
		return nil, n, err
	}
	bytes := int64(0)
	for _, t := range in {
		bytes += int64(t.Size())
	}
	if r.now == nil || !r.now.plan.suits(in) {
		if err := r.change(nil, in, r.session.limit(bytes)); err != nil {
			return nil, n, err
		}
	}
	pl := r.now.plan
	for _, i := range pl.outputs {
		s := &pl.slots[i]
		dims, ok := s.info.Shape.Known()
		if !ok {
			return nil, n, job.Usagef("infer: the shape %s of a result is known in the run only", s.info.Shape)
		}
		out = append(out, &tensor.Tensor{Type: s.info.Type, Shape: dims, Layout: s.layout})
	}
	return out, Needs{Passing: pl.arena, Kept: pl.kept, Scratch: 4 * pl.scratch}, nil
}

// reserve makes room for a plan.
func (m *Memory) reserve(pl *plan) {
	if pl.arena > len(m.passing) {
		pages.Discard(m.passing)
		m.passing = tensor.Buffer(pl.arena)
	}
	if pl.scratch > len(m.scratch) {
		m.scratch = as[float32](tensor.Buffer(4 * pl.scratch))
	}
}

// settle puts an instance into memory for a run.
func (x *instance) settle(m *Memory) {
	m.reserve(x.plan)
	var kept []byte
	if x.plan.kept > 0 {
		kept = m.keep(x.plan.kept)
	}
	if passing, keeping := unsafe.SliceData(m.passing), unsafe.SliceData(kept); x.passing != passing || x.keeping != keeping {
		x.passing, x.keeping = passing, keeping
		for i := range x.plan.slots {
			s := &x.plan.slots[i]
			if s.kind != slotArena {
				continue
			}
			arena := m.passing
			if s.keep {
				arena = kept
			}
			x.home[i].Move(arena[s.offset : s.offset+s.bytes : s.offset+s.bytes])
		}
	}
}

// Leave lets go of the memory that the runner shares with others, until it runs again: a run cannot be resumed, and its results are lost.
func (r *Runner) Leave() {
	for _, x := range r.kept {
		x.passing, x.keeping = nil, nil
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
	r.paused = false
}
