package huffman

import (
	"encoding/binary"
	"math"
)

// signExtend returns the low 8·width bits of v as a signed number.
func signExtend(v uint64, width int) int64 {
	s := 64 - 8*width
	return int64(v<<s) >> s
}

// integers appends the payload of methodIntegers, or returns false if the
// differences from the mode need more than 31 bits.
func (c *valueCoder) integers(dst, raw []byte, e Elem, depth int) ([]byte, bool) {
	sym := c.symbols(len(raw)/e.Width, depth)
	mode := majority(raw, e)
	for i := range sym {
		d := signExtend(load(raw, i, e.Width)-mode, e.Width)
		if d < -math.MaxInt32 || d > math.MaxInt32 {
			return nil, false
		}
		sym[i] = int32(d)
	}
	return c.appendSymbols(binary.AppendUvarint(dst, mode), sym, worthCodes), true
}

// majority returns the commonest element if it fills more than half of a
// sample, otherwise one near the middle of the range, zero if it lies inside.
func majority(raw []byte, e Elem) uint64 {
	n := len(raw) / e.Width
	var common uint64
	lo, hi := int64(math.MaxInt64), int64(math.MinInt64)
	count, sum := 0, 0.0
	for i := range n {
		v := load(raw, i, e.Width)
		switch {
		case count == 0:
			common, count = v, 1
		case v == common:
			count++
		default:
			count--
		}
		s := signExtend(v, e.Width)
		lo, hi = min(lo, s), max(hi, s)
		sum += float64(s)
	}
	times := 0
	for i := range n {
		if load(raw, i, e.Width) == common {
			times++
		}
	}
	mask := uint64(math.MaxUint64) >> (64 - 8*e.Width)
	switch {
	case 2*times > n:
		return common
	case lo <= 0 && hi >= 0:
		return 0
	}
	return uint64(int64(math.Round(sum/float64(n)))) & mask
}

func (c *valueCoder) decodeIntegers(dst, src []byte, e Elem, depth int) error {
	mode, rest, err := cutUvarint(src)
	if err != nil {
		return err
	}
	sym := c.symbols(len(dst)/e.Width, depth)
	if err := decodeSymbols(sym, rest); err != nil {
		return err
	}
	for i, s := range sym {
		store(dst, i, e.Width, mode+uint64(int64(s)))
	}
	return nil
}

// deltas appends the payload of methodDeltas, or returns false if a difference
// needs more than 31 bits.
func (c *valueCoder) deltas(dst, raw []byte, e Elem, depth int) ([]byte, bool) {
	sym := c.symbols(len(raw)/e.Width, depth)
	before := uint64(0)
	for i := range sym {
		v := load(raw, i, e.Width)
		d := signExtend(v-before, e.Width)
		if d < -math.MaxInt32 || d > math.MaxInt32 {
			return nil, false
		}
		sym[i] = int32(d)
		before = v
	}
	return c.appendSymbols(dst, sym, worthCodes), true
}

func (c *valueCoder) decodeDeltas(dst, src []byte, e Elem, depth int) error {
	sym := c.symbols(len(dst)/e.Width, depth)
	if err := decodeSymbols(sym, src); err != nil {
		return err
	}
	v := uint64(0)
	for i, s := range sym {
		v += uint64(int64(s))
		store(dst, i, e.Width, v)
	}
	return nil
}

// minusZero returns the bits of −0, or of zero for elements that have none.
func minusZero(e Elem) uint64 {
	if e.Float && e.Width > 1 {
		return 1 << (8*e.Width - 1)
	}
	return 0
}

// sparse appends the payload of methodSparse.
func (c *valueCoder) sparse(dst, raw []byte, e Elem, depth int) []byte {
	n := len(raw) / e.Width
	sym := c.symbols(n, depth)
	rest := make([]byte, 0, len(raw))
	minus := minusZero(e)
	for i := range sym {
		switch load(raw, i, e.Width) {
		case 0:
			sym[i] = 0
		case minus:
			sym[i] = -1
		default:
			sym[i] = 1
			rest = append(rest, raw[i*e.Width:(i+1)*e.Width]...)
		}
	}
	where := c.appendSymbols(nil, sym, worthCodes)
	method, payload := c.best(rest, e, depth+1)
	dst = binary.AppendUvarint(dst, uint64(len(where)))
	dst = append(append(dst, where...), method)
	return append(dst, payload...)
}

func (c *valueCoder) decodeSparse(dst, src []byte, e Elem, depth int) error {
	n, rest, err := cutUvarint(src)
	if err != nil {
		return err
	}
	if n > uint64(len(rest)) {
		return corruptf(0, "positions of %d bytes where %d are left", n, len(rest))
	}
	sym := c.symbols(len(dst)/e.Width, depth)
	if err := decodeSymbols(sym, rest[:n]); err != nil {
		return err
	}
	some := 0
	minus := minusZero(e)
	for _, s := range sym {
		if s < -1 || s > 1 || s < 0 && minus == 0 {
			return corruptf(0, "position symbol %d", s)
		}
		if s > 0 {
			some++
		}
	}
	values := make([]byte, some*e.Width)
	if err := c.decodeNested(values, rest[n:], e, depth); err != nil {
		return err
	}
	for i, s := range sym {
		switch s {
		case 0:
			store(dst, i, e.Width, 0)
		case -1:
			store(dst, i, e.Width, minus)
		default:
			store(dst, i, e.Width, load(values, 0, e.Width))
			values = values[e.Width:]
		}
	}
	return nil
}
