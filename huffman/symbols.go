package huffman

import (
	"encoding/binary"
	"slices"
)

// appendSymbols appends "symbols" (see values.go) by the coder that takes the
// fewest bytes among those that effort allows.
func (c *valueCoder) appendSymbols(dst []byte, sym []int32) []byte {
	p := Params{slices.Min(sym), slices.Max(sym)}
	start := len(dst)
	head := func(id byte) []byte {
		out := append(dst[:start], id)
		out = binary.AppendVarint(out, int64(p.Min))
		return binary.AppendUvarint(out, p.levels()-1)
	}
	best := []byte(nil)
	for _, coder := range c.coders(sym) {
		out, err := coder.Encode(c.trial[:0], sym, []int{len(sym)}, p)
		if err != nil {
			continue // impossible: p is the range
		}
		c.trial = out
		if best == nil || len(out) < len(best) {
			dst = append(head(coder.ID()), out...)
			best = dst[len(dst)-len(out):]
		}
	}
	return dst
}

// coders returns the coders worth trying.
func (c *valueCoder) coders(sym []int32) []Coder {
	if c.effort >= 2 {
		return Coders()
	}
	zeros := 0
	for _, s := range sym {
		if s == 0 {
			zeros++
		}
	}
	switch {
	case 4*zeros > 3*len(sym):
		return []Coder{contextCoder{}}
	case c.effort >= 1 || len(sym) < 1<<12:
		return []Coder{huffmanCoder{}, contextCoder{}}
	}
	return []Coder{huffmanCoder{}}
}

// decodeSymbols fills sym from "symbols"; it consumes src exactly.
func decodeSymbols(sym []int32, src []byte) error {
	if len(src) == 0 {
		return corruptf(0, "symbols are missing")
	}
	coder, err := ByID(src[0])
	if err != nil {
		return corruptf(0, "unknown coder %d", src[0])
	}
	lo, n := binary.Varint(src[1:])
	if n <= 0 {
		return corruptf(1, "bad least symbol")
	}
	span, rest, err := cutUvarint(src[1+n:])
	if err != nil {
		return err
	}
	hi := lo + int64(min(span, 1<<32))
	if lo != int64(int32(lo)) || hi != int64(int32(hi)) {
		return corruptf(1, "symbols from %d to %d", lo, hi)
	}
	return coder.Decode(sym, rest, []int{len(sym)}, Params{int32(lo), int32(hi)})
}
