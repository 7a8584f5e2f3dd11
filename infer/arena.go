package infer

import (
	"cmp"
	"slices"
	"unsafe"

	"github.com/effml/effml/ops"
)

// alignment of tensors in the arena, in bytes.
const alignment = 64

// as sees bytes as elements of another type.
func as[T uint16 | uint32 | uint64 | float32](b []byte) []T {
	var v T
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/int(unsafe.Sizeof(v)))
}

// block is memory of the arena from the step that writes it to the last that reads it, by the slots that share it.
type block struct {
	slots       []int
	first, last int
	bytes       int
	offset      int
}

// place gives every slot of the arena an offset.
func (b *planner) place() {
	blocks := b.blocks()
	var passing, kept []*block
	for _, x := range blocks {
		switch {
		case x == nil:
		case b.keeps(x):
			kept = append(kept, x)
		default:
			passing = append(passing, x)
		}
	}
	b.arena, b.kept = pack(passing), pack(kept)
	for _, x := range slices.Concat(passing, kept) {
		for _, i := range x.slots {
			b.slots[i].offset, b.slots[i].keep = x.offset, b.keeps(x)
		}
	}
}

// keeps reports whether a block is needed after the half of a run that writes it.
func (b *planner) keeps(x *block) bool {
	return b.p.halves != nil && (x.last == len(b.steps) || x.first < b.pause && x.last >= b.pause)
}

// blocks finds out which slots can share memory because one is computed in the place of the other, and how long it is needed; by slot,
// nil where a slot is not the first of its block.
func (b *planner) blocks() []*block {
	end := len(b.steps)
	read := func(i, step int) {
		for ; i >= 0; i = b.slots[i].of {
			b.slots[i].last = max(b.slots[i].last, step)
			if b.slots[i].kind != slotView {
				return
			}
		}
	}
	for k, s := range b.steps {
		for _, i := range s.in {
			read(i, k)
		}
		for _, i := range s.captured {
			read(i, k)
		}
		for _, i := range s.out {
			read(i, k) // what nobody reads is written all the same
		}
	}
	for _, i := range b.outputs {
		read(i, b.pause)
	}
	for _, i := range b.lateOutputs {
		read(i, end)
	}
	blocks := make([]*block, len(b.slots))
	owner := make([]*block, len(b.slots))
	for k, s := range b.steps {
		for j, i := range s.out {
			if i < 0 || b.slots[i].kind != slotArena {
				continue
			}
			if x := b.inPlace(&s, k, owner); j == 0 && x != nil {
				x.slots, x.last, owner[i] = append(x.slots, i), max(x.last, b.slots[i].last), x
				continue
			}
			blocks[i] = &block{slots: []int{i}, first: k, last: b.slots[i].last, bytes: b.slots[i].bytes}
			owner[i] = blocks[i]
		}
	}
	return blocks
}

// root returns the slot that has the memory of a view.
func (b *planner) root(i int) int {
	for i >= 0 && b.slots[i].kind == slotView {
		i = b.slots[i].of
	}
	return i
}

// inPlace returns the block of an input that output 0 may take: of its type, shape and layout, and not needed after this step nor by
// it in another form or as an input of another kind.
func (b *planner) inPlace(s *step, k int, owner []*block) *block {
	op, ok := s.op.(ops.InPlacer)
	if !ok || b.p.s.options.NoFuse {
		return nil
	}
	out := &b.slots[s.out[0]]
	for _, j := range op.InPlace() {
		if j >= len(s.in) || s.in[j] < 0 {
			continue
		}
		in := &b.slots[s.in[j]]
		x := owner[max(b.root(s.in[j]), 0)]
		if x == nil || x.last > k || in.info.Type != out.info.Type || in.layout != out.layout || !slices.Equal(in.info.Shape, out.info.Shape) {
			continue
		}
		free := true
		for l, i := range s.in {
			if i >= 0 && owner[b.root(i)] == x && (i != s.in[j] || !slices.Contains(op.InPlace(), l)) {
				free = false
			}
		}
		if free {
			return x
		}
	}
	return nil
}

// pack gives the blocks offsets so that no two that live at the same time overlap, and returns the bytes that they take: the largest
// first, each into the smallest gap that is left between those that it overlaps in time. (Y. Pisarchyk, J. Lee: Efficient Memory
// Management for Deep Neural Net Inference, 2020, greedy by size.)
func pack(blocks []*block) int {
	slices.SortStableFunc(blocks, func(x, y *block) int { return cmp.Compare(y.bytes, x.bytes) })
	total := 0
	var placed, near []*block // by offset
	for _, x := range blocks {
		near = near[:0]
		for _, y := range placed {
			if x.first <= y.last && y.first <= x.last {
				near = append(near, y)
			}
		}
		best, gap, end := -1, 0, 0
		for _, y := range near {
			if free := y.offset - end; free >= x.bytes && (best < 0 || free < gap) {
				best, gap = end, free
			}
			end = max(end, align(y.offset+y.bytes))
		}
		if best < 0 {
			best = end
		}
		x.offset = best
		total = max(total, x.offset+x.bytes)
		at, _ := slices.BinarySearchFunc(placed, x.offset, func(y *block, offset int) int { return cmp.Compare(y.offset, offset) })
		placed = slices.Insert(placed, at, x)
	}
	return align(total)
}

func align(n int) int { return (n + alignment - 1) / alignment * alignment }
