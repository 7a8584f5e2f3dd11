package huffman

import (
	"encoding/binary"
	"slices"
)

const (
	symbolsSample = 1 << 12
	worthCodes    = 99 // the symbols are all there is
	worthPlanes   = 97 // they are a fifth of the bytes
)

// appendSymbols appends "symbols" (see values.go) by the coder that takes the
// fewest bytes among those that effort allows. worth is the share of Huffman's
// bytes, in percent, that another coder's must stay below to be worth its time
// on many symbols.
func (c *valueCoder) appendSymbols(dst []byte, sym []int32, worth int) []byte {
	p := Params{slices.Min(sym), slices.Max(sym)}
	start := len(dst)
	head := func(id byte) []byte {
		out := append(dst[:start], id)
		out = binary.AppendVarint(out, int64(p.Min))
		return binary.AppendUvarint(out, p.levels()-1)
	}
	best := []byte(nil)
	for _, coder := range c.coders(sym, worth) {
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
func (c *valueCoder) coders(sym []int32, worth int) []Coder {
	if c.effort >= 2 {
		return Coders()
	}
	zeros := 0
	for _, s := range sym {
		if s == 0 {
			zeros++
		}
	}
	switch both := []Coder{huffmanCoder{}, contextCoder{}}; {
	case 4*zeros > 3*len(sym):
		return both[1:]
	case len(sym) <= symbolsSample || c.effort > 0 && c.clustered(sym, worth):
		return both
	default:
		return both[:1]
	}
}

// clustered reports whether on the first symbols the context coder beats
// Huffman codes clearly, as it does where neighbours tell something.
func (c *valueCoder) clustered(sym []int32, worth int) bool {
	sym = sym[:symbolsSample]
	p := Params{slices.Min(sym), slices.Max(sym)}
	var size [2]int
	for i, coder := range []Coder{contextCoder{}, huffmanCoder{}} {
		out, err := coder.Encode(c.trial[:0], sym, []int{len(sym)}, p)
		if err != nil {
			return false // impossible: p is the range
		}
		c.trial = out
		size[i] = len(out)
	}
	return 100*size[0] < worth*size[1]
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
