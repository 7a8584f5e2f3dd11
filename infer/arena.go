package infer

import (
	"cmp"
	"math"
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

// place gives every slot of the arena a region and an offset there. What is needed in one half only goes to where something that passes between the
// halves is not yet or no longer, if there is room.
func (b *planner) place() {
	var lists [regions][]*block
	for _, x := range b.blocks() {
		if x != nil {
			kind := b.region(x)
			lists[kind] = append(lists[kind], x)
		}
	}
	set := func(kind int, blocks []*block) {
		for _, x := range blocks {
			for _, i := range x.slots {
				b.slots[i].offset, b.slots[i].region = x.offset, kind
			}
		}
	}
	for _, kind := range []int{firstResults, secondResults, inBetween} {
		b.bytes[kind] = new(packing).all(lists[kind])
		set(kind, lists[kind])
	}
	shared := &packing{placed: byOffset(lists[inBetween])}
	for _, kind := range []int{inFirst, inSecond} {
		bySize(lists[kind])
		var own []*block
		for _, x := range lists[kind] {
			if b.bytes[inBetween] > 0 && shared.put(x, b.bytes[inBetween]) {
				set(inBetween, []*block{x})
			} else {
				own = append(own, x)
			}
		}
		b.bytes[kind] = new(packing).all(own)
		set(kind, own)
	}
}

// region returns where a block goes.
func (b *planner) region(x *block) int {
	given := func(outputs []int) bool {
		return slices.ContainsFunc(outputs, func(i int) bool { return slices.Contains(x.slots, b.root(i)) })
	}
	switch {
	case b.p.halves == nil:
		return inFirst
	case x.last == len(b.steps) && x.first >= b.pause:
		return secondResults
	case x.first < b.pause && given(b.outputs):
		return firstResults
	case x.first >= b.pause:
		return inSecond
	case x.last >= b.pause:
		return inBetween
	}
	return inFirst
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
		if x == nil || x.last > k || x.first < b.pause && b.pause <= k && out.last == len(b.steps) || in.info.Type != out.info.Type || in.layout != out.layout || !slices.Equal(in.info.Shape, out.info.Shape) {
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

// packing gives blocks offsets so that no two that live at the same time overlap.
type packing struct {
	placed []*block // by offset
	near   []*block
	total  int
}

// all packs blocks, and returns the bytes that they take: the largest first, each into the smallest gap that is left between those that it overlaps
// in time. (Y. Pisarchyk, J. Lee: Efficient Memory Management for Deep Neural Net Inference, 2020, greedy by size.)
func (p *packing) all(blocks []*block) int {
	bySize(blocks)
	for _, x := range blocks {
		p.put(x, math.MaxInt)
	}
	return align(p.total)
}

// put finds a place for a block below limit, and reports whether there is one.
func (p *packing) put(x *block, limit int) bool {
	p.near = p.near[:0]
	for _, y := range p.placed {
		if x.first <= y.last && y.first <= x.last {
			p.near = append(p.near, y)
		}
	}
	best, gap, end := -1, 0, 0
	for _, y := range p.near {
		if free := y.offset - end; free >= x.bytes && (best < 0 || free < gap) {
			best, gap = end, free
		}
		end = max(end, align(y.offset+y.bytes))
	}
	if best < 0 {
		best = end
	}
	if best > limit-x.bytes {
		return false
	}
	x.offset = best
	p.total = max(p.total, x.offset+x.bytes)
	at, _ := slices.BinarySearchFunc(p.placed, x.offset, func(y *block, offset int) int { return cmp.Compare(y.offset, offset) })
	p.placed = slices.Insert(p.placed, at, x)
	return true
}

func bySize(blocks []*block) {
	slices.SortStableFunc(blocks, func(x, y *block) int { return cmp.Compare(y.bytes, x.bytes) })
}

func byOffset(blocks []*block) []*block {
	return slices.SortedStableFunc(slices.Values(blocks), func(x, y *block) int { return cmp.Compare(x.offset, y.offset) })
}

func align(n int) int { return (n + alignment - 1) / alignment * alignment }
