package huffman

import (
	"math/bits"
	"slices"
)

// Canonical, length-limited prefix codes.
//
// Lengths: L. Larmore and D. Hirschberg, "A fast algorithm for optimal
// length-limited Huffman codes", JACM 37(3), 1990 (package-merge), here as plain
// lists: O(limit·n) time and bits. Codewords: canonical as in RFC 1951, section
// 3.2.2 (shorter first, then by symbol), sent least significant bit first after
// reversal, so that a decoder indexes its table with the next bits as they lie.
//
// Deviation from RFC 1951: the table is not Huffman coded itself. Codes of
// quantised weights have one peak, so the length of a symbol is told as a step
// from that of its neighbour; see prefixCode.put.

// maxCodeLen is the longest codeword of the format in bits.
const maxCodeLen = 15

// prefixCode is a complete code: symbol sym[i] has a codeword of len[i] bits,
// and Σ 2^−len = 1. Symbols ascend, and there are two or more.
type prefixCode struct {
	sym []uint16
	len []uint8
}

// newPrefixCode returns the optimal code for symbols that occur counts[symbol]
// times, and the bits that all of them take. Between 2 and 2¹⁵ counts are not 0.
func newPrefixCode(counts []uint32) (c prefixCode, total uint64) {
	used := 0
	for _, n := range counts {
		if n > 0 {
			used++
		}
	}
	c.sym = make([]uint16, 0, used)
	weights := make([]uint32, 0, used)
	for s, n := range counts {
		if n > 0 {
			c.sym = append(c.sym, uint16(s))
			weights = append(weights, n)
		}
	}
	c.len = codeLengths(weights, maxCodeLen)
	for i, n := range weights {
		total += uint64(n) * uint64(c.len[i])
	}
	return c, total
}

// codeLengths returns the lengths, none above limit, of an optimal prefix code
// for 2 ≤ len(weights) ≤ 2^limit symbols by package-merge. Of equal weights the
// symbol that comes first gets the longer codeword.
func codeLengths(weights []uint32, limit int) []uint8 {
	n := len(weights)
	order := make([]uint64, n) // weight, then symbol: ascending
	for i, w := range weights {
		order[i] = uint64(w)<<16 | uint64(i)
	}
	slices.Sort(order)
	need := 2*n - 2
	prev, cur := make([]uint64, 0, need+1), make([]uint64, 0, need+1)
	for _, o := range order {
		prev = append(prev, o>>16)
	}
	isLeaf := make([]bool, need*limit) // list l lies at l·need; list 0 holds leaves only
	for l := 1; l < limit; l++ {
		cur = cur[:0]
		leaf, pack := 0, 0
		for flags := isLeaf[l*need : (l+1)*need]; len(cur) < need; {
			merged := uint64(1 << 63)
			if pack+1 < len(prev) {
				merged = prev[pack] + prev[pack+1]
			}
			if leaf < n && order[leaf]>>16 <= merged {
				flags[len(cur)] = true
				cur = append(cur, order[leaf]>>16)
				leaf++
			} else if pack+1 < len(prev) {
				cur = append(cur, merged)
				pack += 2
			} else {
				break
			}
		}
		prev, cur = cur, prev
	}
	lens := make([]uint8, n)
	for l := limit - 1; l >= 0 && need > 0; l-- {
		leaves := need
		if l > 0 {
			leaves = 0
			for _, f := range isLeaf[l*(2*n-2):][:need] {
				if f {
					leaves++
				}
			}
		}
		for _, o := range order[:leaves] {
			lens[o&0xffff]++
		}
		need = 2 * (need - leaves)
	}
	return lens
}

// The table on the wire, symbols from 0 upward, ends when Σ 2^−len reaches 1:
//
//	0              the length of the used symbol before
//	10             one step on in the direction of the last step (at first: shorter)
//	110            one step in the other direction
//	1110 γ(k)      k+1 symbols that are not used
//	1111 l(4)      length l
//
// The first used symbol has its length as 4 bits without a prefix; the caller
// makes symbol 0 the first one.
func (c prefixCode) put(w *bitWriter) {
	w.put(uint64(c.len[0]), 4)
	down := true
	for i := 1; i < len(c.sym); i++ {
		if gap := int(c.sym[i]) - int(c.sym[i-1]) - 1; gap > 0 {
			w.put(0b0111, 4)
			w.putGamma(uint64(gap - 1))
		}
		switch step := int(c.len[i]) - int(c.len[i-1]); {
		case step == 0:
			w.put(0, 1)
		case step == 1 && !down || step == -1 && down:
			w.put(0b01, 2)
		case step == 1 || step == -1:
			w.put(0b011, 3)
			down = !down
		default:
			w.put(0b1111|uint64(c.len[i])<<4, 8)
			down = step < 0
		}
	}
}

// putBits returns the number of bits that put writes.
func (c prefixCode) putBits() int {
	var w bitWriter
	c.put(&w)
	return 8*len(w.buf) + int(w.n)
}

// readPrefixCode reads what put wrote; no symbol may exceed last.
func readPrefixCode(r *bitReader, last int) (prefixCode, error) {
	var c prefixCode
	length, sym, down := int(r.get(4)), 0, true
	for kraft := 0; ; sym++ {
		if length < 1 || length > maxCodeLen {
			return c, corruptf(r.offset(), "codeword of %d bits", length)
		}
		if sym > last || r.over() {
			return c, corruptf(r.offset(), "code table goes beyond symbol %d", last)
		}
		c.sym = append(c.sym, uint16(sym))
		c.len = append(c.len, uint8(length))
		kraft += 1 << (maxCodeLen - length)
		if kraft == 1<<maxCodeLen {
			return c, nil
		}
		if kraft > 1<<maxCodeLen {
			return c, corruptf(r.offset(), "code is oversubscribed")
		}
		if r.peek()&0b1111 == 0b0111 {
			r.pos += 4
			sym += int(min(r.gamma(), 1<<17)) + 1
		}
		switch v := r.peek(); {
		case v&1 == 0:
			r.pos++
		case v&0b11 == 0b01:
			r.pos += 2
			length += step(down)
		case v&0b111 == 0b011:
			r.pos += 3
			down = !down
			length += step(down)
		default:
			if v&0b1111 == 0b0111 {
				return c, corruptf(r.offset(), "two gaps in a row in a code table")
			}
			r.pos += 8
			next := int(v >> 4 & 15)
			down = next < length
			length = next
		}
	}
}

func step(down bool) int {
	if down {
		return -1
	}
	return 1
}

// canonical holds what the codewords of a code follow from.
type canonical struct {
	order []uint16               // indices into prefixCode.sym, by length, then symbol
	first [maxCodeLen + 2]uint32 // first codeword of each length, most significant bit first
	start [maxCodeLen + 2]int    // where the length begins in order
}

func newCanonical(c prefixCode) canonical {
	var k canonical
	var count [maxCodeLen + 1]int
	for _, l := range c.len {
		count[l]++
	}
	for l := 1; l <= maxCodeLen; l++ {
		k.first[l+1] = (k.first[l] + uint32(count[l])) << 1
		k.start[l+1] = k.start[l] + count[l]
	}
	k.order = make([]uint16, len(c.len))
	at := k.start
	for i, l := range c.len {
		k.order[at[l]] = uint16(i)
		at[l]++
	}
	return k
}

// each calls f with the index of every symbol in canonical order and its
// codeword, reversed to be sent least significant bit first.
func (k *canonical) each(f func(i int, length uint, word uint32)) {
	for l := 1; l <= maxCodeLen; l++ {
		word := k.first[l]
		for _, i := range k.order[k.start[l]:k.start[l+1]] {
			f(int(i), uint(l), bits.Reverse32(word)>>(32-l))
			word++
		}
	}
}

// codewords sets words[symbol] = codeword | length<<16 for every used symbol.
func (c prefixCode) codewords(words []uint32) {
	k := newCanonical(c)
	k.each(func(i int, length uint, word uint32) { words[c.sym[i]] = word | uint32(length)<<16 })
}

// A decodeTable resolves the next bits of a stream to as many tokens as they
// hold. A token is width ≤ 2 bytes of output. An entry packs
//
//	bits 0…47 up to 6 bytes of output, 48…55 the bits consumed, 56…63 the bytes
//
// and is 0 where the codeword is longer than the index.
type decodeTable struct {
	multi  []uint64 // 1<<tableBits entries, or nil as yet
	single []uint32 // value | length<<16 of the first token; 1<<bits entries
	bits   uint     // width of the index of single
	width  int
	values []uint16 // by symbol index
	canonical
}

const (
	tableBits     = 11 // 16 KiB of entries: half of a level-1 cache
	lookupsARound = 5  // 5·11 ≤ 57 bits that one load delivers
	roundBits     = lookupsARound*tableBits + maxCodeLen
	maxEmit       = 6                         // bytes of output an entry
	roundBytes    = lookupsARound*maxEmit + 2 // with what the last store writes beyond
)

// newDecodeTable builds the table for about n tokens; symbol i of c stands for
// the width bytes of values[i]. Few tokens get a smaller table: building one
// costs about 3 ns an entry.
func newDecodeTable(c prefixCode, values []uint16, width, n int) *decodeTable {
	t := &decodeTable{width: width, values: values, canonical: newCanonical(c)}
	t.bits = uint(min(max(bits.Len(uint(n))-3, 6), tableBits))
	t.single = make([]uint32, 1<<t.bits)
	t.each(func(i int, length uint, word uint32) {
		e := uint32(values[i]) | uint32(length)<<16
		if length <= t.bits {
			for j := uint(word); j < uint(len(t.single)); j += 1 << length {
				t.single[j] = e
			}
		}
	})
	return t
}

// fillMulti builds multi when the first long stretch needs it.
func (t *decodeTable) fillMulti() {
	if t.multi != nil {
		return
	}
	t.multi = make([]uint64, 1<<tableBits)
	for i := range t.single {
		t.multi[i] = t.entry(uint(i))
	}
	for n := len(t.single); n < len(t.multi); n *= 2 {
		copy(t.multi[n:], t.multi[:n])
	}
}

// entry returns the multi entry of index i.
func (t *decodeTable) entry(i uint) uint64 {
	var e uint64
	var used, n uint
	for n+uint(t.width) <= maxEmit {
		s := t.single[i]
		length := uint(s >> 16)
		if length == 0 || used+length > t.bits {
			break
		}
		e |= uint64(s&0xffff) << (8 * n)
		n += uint(t.width)
		used += length
		i >>= length
	}
	return e | uint64(used)<<48 | uint64(n)<<56
}

// long resolves a codeword that may exceed the table: v begins with it.
func (t *decodeTable) long(v uint64) (value uint16, length uint) {
	if s := t.single[v&(1<<t.bits-1)]; s != 0 {
		return uint16(s), uint(s >> 16)
	}
	word := uint32(bits.Reverse16(uint16(v))) >> (16 - maxCodeLen)
	for l := t.bits + 1; ; l++ {
		// A complete code holds every word of maxCodeLen bits: the loop ends.
		k := word>>(maxCodeLen-l) - t.first[l]
		if int(k) < t.start[l+1]-t.start[l] {
			return t.values[t.order[t.start[l]+int(k)]], l
		}
	}
}
