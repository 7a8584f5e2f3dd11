package infer

import (
	"unsafe"

	"github.com/effml/effml/tensor"
)

// Memory is what runners compute in. Several that take turns may share one: what only half a run needs lies in the same place for all of
// them, and what a run keeps for its second half each gets for itself, until Release.
type Memory struct {
	passing []byte
	scratch []float32
	kept    []byte
	used    int      // of kept
	more    [][]byte // beyond kept
	moreLen int
}

// Release takes back what runs keep: none may be resumed any more, and no result be used. Memory asks for no more once it had as much
// as it needs between two calls.
func (m *Memory) Release() {
	if m.moreLen > 0 {
		m.kept = tensor.Buffer(len(m.kept) + m.moreLen)
		m.more, m.moreLen = nil, 0
	}
	m.used = 0
}

// Bytes returns the memory that is held.
func (m *Memory) Bytes() int { return len(m.passing) + 4*len(m.scratch) + len(m.kept) + m.moreLen }

// keep returns n bytes until Release.
func (m *Memory) keep(n int) []byte {
	if m.used+n <= len(m.kept) {
		m.used += n
		return m.kept[m.used-n : m.used : m.used]
	}
	b := tensor.Buffer(n)
	m.more, m.moreLen = append(m.more, b), m.moreLen+n
	return b
}

// reserve makes room for a plan.
func (m *Memory) reserve(pl *plan) {
	if pl.arena > len(m.passing) {
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
