package huffman

import "fmt"

// choice is the smallest payload so far.
type choice struct {
	method  byte
	payload []byte
}

func (b *choice) offer(method byte, payload []byte) {
	if len(payload) < len(b.payload) {
		b.method, b.payload = method, payload
	}
}

// best returns the method and payload of the fewest bytes for a chunk of whole
// elements. Nested chunks (depth > 0) have no palette: theirs holds distinct
// values only.
func (c *valueCoder) best(raw []byte, e Elem, depth int) (byte, []byte) {
	if len(raw) == 0 {
		return methodStored, nil
	}
	drop, equal := commonZeros(raw, e.Width)
	switch {
	case equal && drop == 8*e.Width:
		return methodZero, nil
	case equal:
		return methodConstant, raw[:e.Width]
	}
	b := choice{methodStored, raw}
	n := len(raw) / e.Width
	small := n <= 1<<12
	found := c.offerPalette(&b, raw, e, depth, small)
	if e.Float && e.Width > 1 {
		if c.effort > 0 || !found {
			c.offerFloats(&b, raw, e, drop, depth)
		}
	} else {
		if p, ok := c.integers(nil, raw, e, depth); ok {
			b.offer(methodIntegers, p)
		}
		if p, ok := c.deltas(nil, raw, e, depth); ok && (small || c.effort > 0) {
			b.offer(methodDeltas, p)
		}
	}
	if c.effort > 0 && mixPays(raw, e, len(b.payload), c.effort) {
		b.offer(methodMix, AppendMix(nil, raw, e.Width))
	}
	return b.method, b.payload
}

// mixPays reports whether the mixing coder is worth its time: it is on little;
// on more, at the highest effort, if a sample promises fewer bytes than best.
func mixPays(raw []byte, e Elem, best, effort int) bool {
	const sample = 1 << 13
	if len(raw) <= 2*sample || effort < 2 {
		return len(raw) <= 2*sample
	}
	n := len(AppendMix(nil, raw[:sample], e.Width))
	return n*len(raw) < best*(sample+sample/50)
}

// offerPalette offers grid and palette where values repeat and reports whether
// nothing else is likely to be smaller.
func (c *valueCoder) offerPalette(b *choice, raw []byte, e Elem, depth int, small bool) bool {
	if depth > 0 && !e.Float || !small && depth == 0 && !repeats(raw, e) {
		return false
	}
	limit := paletteMax
	if c.effort > 0 {
		limit = paletteMaxSlow
	}
	keys, ranks, ok := c.distinct(raw, e, limit, depth)
	if !ok {
		return false
	}
	if e == (Elem{4, true}) {
		if step, ok := gridStep(keys); ok {
			sym := ranks
			if c.effort > 0 {
				sym = append([]int32(nil), ranks...)
			}
			b.offer(methodGrid, c.grid(nil, keys, sym, step, depth))
			if c.effort == 0 {
				return true
			}
			ranks = sym
		}
	}
	if depth > 0 || 2*len(keys) > len(ranks) {
		return false
	}
	few := 16*len(keys) <= len(ranks)
	b.offer(methodPalette, c.palette(nil, keys, ranks, e, depth))
	return few
}

// offerFloats offers planes and, where zeros are frequent, sparse.
func (c *valueCoder) offerFloats(b *choice, raw []byte, e Elem, drop, depth int) {
	n := len(raw) / e.Width
	zeros := 0
	for i := range n {
		if load(raw, i, e.Width)&^minusZero(e) == 0 {
			zeros++
		}
	}
	if 64*zeros > n && depth < valueDepth {
		b.offer(methodSparse, c.sparse(nil, raw, e, depth))
		if c.effort == 0 {
			return
		}
	}
	b.offer(methodPlanes, c.planes(make([]byte, 0, len(raw)), raw, e, drop, depth))
}

// DescribeValues names the methods used in src, an output of AppendValues, each
// once in order of appearance: "constant", "planes", "palette 121". It reads
// headers only and does not verify what they stand for.
func DescribeValues(src []byte) (string, error) {
	words := ""
	seen := map[string]bool{}
	for at, last := 0, len(src) == 0; !last; {
		method, payload, rest, err := cutChunk(src[at:])
		if err != nil {
			return "", fmt.Errorf("huffman: values, chunk at byte %d: %w", at, err)
		}
		last = method >= valueTail
		w, err := describe(method&^(valueLast|valueTail), payload, 0)
		if err != nil {
			return "", fmt.Errorf("huffman: values, chunk at byte %d: %w", at, err)
		}
		if !seen[w] {
			if words != "" {
				words += ", "
			}
			words += w
			seen[w] = true
		}
		at = len(src) - len(rest)
	}
	return words, nil
}

// describe names the method of one chunk.
func describe(method byte, payload []byte, depth int) (string, error) {
	switch method {
	case methodStored:
		return "stored", nil
	case methodZero:
		return "zero", nil
	case methodConstant:
		return "constant", nil
	case methodPlanes:
		return describePlanes(payload)
	case methodPalette:
		k, _, err := cutUvarint(payload)
		return fmt.Sprintf("palette %d", k), err
	case methodGrid:
		return "grid", nil
	case methodSparse:
		n, rest, err := cutUvarint(payload)
		if err != nil || n >= uint64(len(rest)) || depth > valueDepth {
			return "", corruptf(0, "bad sparse values")
		}
		w, err := describe(rest[n], rest[n+1:], depth+1)
		return "sparse " + w, err
	case methodIntegers:
		return "integers", nil
	case methodDeltas:
		return "deltas", nil
	case methodMix:
		return "mix", nil
	}
	return "", corruptf(0, "unknown method %d", method)
}

// describePlanes names the type that the dropped bits tell.
func describePlanes(payload []byte) (string, error) {
	if len(payload) < 2 {
		return "", corruptf(0, "planes without a header")
	}
	switch payload[1] {
	case 13:
		return "float16 planes", nil
	case 16:
		return "bfloat16 planes", nil
	case 0:
		return "planes", nil
	}
	return fmt.Sprintf("planes less %d bits", payload[1]), nil
}
