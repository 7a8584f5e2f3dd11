package huffman

import (
	"encoding/binary"
	"slices"
)

// palette codes elements that take few distinct values.
//
//	count    uvarint: distinct values, K, at least 1
//	origin   uvarint: the value (by rank) that is symbol 0: zero if it occurs, otherwise the commonest
//	length   uvarint: bytes of the following
//	values   the K values, ascending (by order below), as "values"
//	symbols  rank − origin
//
// Order: floating-point numbers by their value with −0 below +0 (the bits, with
// those of negative numbers inverted), integers as unsigned numbers after the
// top bit is inverted.
const (
	paletteMax     = 1 << 12
	paletteMaxSlow = 1 << 14 // with effort above 0
)

// rankKey maps an element to an unsigned number in the palette's order; rankValue
// is its inverse.
func rankKey(v uint64, e Elem) uint64 {
	top := uint64(1) << (8*e.Width - 1)
	if e.Float && v&top != 0 {
		return ^v & (top<<1 - 1)
	}
	return v ^ top
}

func rankValue(k uint64, e Elem) uint64 {
	top := uint64(1) << (8*e.Width - 1)
	if e.Float && k&top == 0 {
		return ^k & (top<<1 - 1)
	}
	return k ^ top
}

// distinct returns the sorted keys of all elements and the rank of each
// element, or false if there are more than limit.
func (c *valueCoder) distinct(raw []byte, e Elem, limit, depth int) (keys []uint64, ranks []int32, ok bool) {
	n := len(raw) / e.Width
	ranks = c.symbols(n, depth)
	seen := newKeySet(min(limit, n))
	for i := range ranks {
		slot, fresh := seen.add(rankKey(load(raw, i, e.Width), e))
		if fresh && len(seen.order) > limit {
			return nil, nil, false
		}
		ranks[i] = slot
	}
	keys = slices.Clone(seen.order)
	slices.Sort(keys)
	rank := make([]int32, len(keys))
	for i, k := range keys {
		slot, _ := seen.add(k)
		rank[slot] = int32(i)
	}
	for i, r := range ranks {
		ranks[i] = rank[r]
	}
	return keys, ranks, true
}

// keySet numbers distinct keys in order of appearance.
type keySet struct {
	slots []int32 // number + 1
	order []uint64
	shift int
}

func newKeySet(most int) *keySet {
	l := 4
	for 1<<l < 2*most+2 {
		l++
	}
	return &keySet{slots: make([]int32, 1<<l), shift: 64 - l}
}

func (s *keySet) add(k uint64) (number int32, fresh bool) {
	h := k * 0x9E3779B97F4A7C15 >> s.shift
	for {
		switch i := s.slots[h]; {
		case i == 0:
			s.order = append(s.order, k)
			s.slots[h] = int32(len(s.order))
			return int32(len(s.order)) - 1, true
		case s.order[i-1] == k:
			return i - 1, false
		}
		h = (h + 1) & uint64(len(s.slots)-1)
	}
}

// repeats guesses from at most 512 elements whether values repeat often enough
// for a palette.
func repeats(raw []byte, e Elem) bool {
	n := len(raw) / e.Width
	samples := min(n, 512)
	set := newKeySet(samples)
	for i := range samples {
		set.add(load(raw, i*(n/samples), e.Width))
	}
	return len(set.order) < samples-samples/128
}

func (c *valueCoder) palette(dst []byte, keys []uint64, ranks []int32, e Elem, depth int) []byte {
	count := make([]int, len(keys))
	for _, r := range ranks {
		count[r]++
	}
	origin, found := slices.BinarySearch(keys, rankKey(0, e))
	if !found {
		origin = 0
		for i, k := range count {
			if k > count[origin] {
				origin = i
			}
		}
	}
	values := make([]byte, len(keys)*e.Width)
	for i, k := range keys {
		store(values, i, e.Width, rankValue(k, e))
	}
	method, payload := c.best(values, e, depth+1)
	dst = binary.AppendUvarint(dst, uint64(len(keys)))
	dst = binary.AppendUvarint(dst, uint64(origin))
	dst = binary.AppendUvarint(dst, uint64(len(payload)+1))
	dst = append(append(dst, method), payload...)
	for i := range ranks {
		ranks[i] -= int32(origin)
	}
	return c.appendSymbols(dst, ranks, worthCodes)
}

func (c *valueCoder) decodePalette(dst, src []byte, e Elem, depth int) error {
	var head [3]uint64
	rest := src
	for i := range head {
		var err error
		if head[i], rest, err = cutUvarint(rest); err != nil {
			return err
		}
	}
	n := len(dst) / e.Width
	if head[0] < 1 || head[0] > uint64(n) || head[1] >= head[0] || head[2] > uint64(len(rest)) {
		return corruptf(0, "palette of %d values from %d in %d bytes", head[0], head[1], head[2])
	}
	values := make([]byte, int(head[0])*e.Width)
	if err := c.decodeNested(values, rest[:head[2]], e, depth); err != nil {
		return err
	}
	ranks := c.symbols(n, depth)
	if err := decodeSymbols(ranks, rest[head[2]:]); err != nil {
		return err
	}
	for i, r := range ranks {
		r += int32(head[1])
		if r < 0 || int(r) >= int(head[0]) {
			return corruptf(0, "value %d of a palette of %d", r, head[0])
		}
		store(dst, i, e.Width, load(values, int(r), e.Width))
	}
	return nil
}
