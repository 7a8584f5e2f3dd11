package huffman

import "math/bits"

// fixedCoder writes each symbol in as many bits as the range needs: nothing if
// the range holds one symbol only.
//
// Payload: for each symbol, symbol − Min in ⌈log₂(Max−Min+1)⌉ bits.
type fixedCoder struct{}

func (fixedCoder) Name() string { return "fixed" }
func (fixedCoder) ID() byte     { return 0 }

func (fixedCoder) Encode(dst []byte, sym []int32, _ []int, p Params) ([]byte, error) {
	if err := checkSymbols(sym, p); err != nil {
		return dst, err
	}
	w := bitWriter{buf: dst}
	putFixed(&w, sym, p.Min, fixedWidth(p.levels()))
	return w.finish(), nil
}

func (fixedCoder) Decode(dst []int32, src []byte, _ []int, p Params) error {
	if err := checkDecode(dst, src, p); err != nil {
		return err
	}
	r := bitReader{src: src}
	if err := getFixed(&r, dst, p.Min, p.Max); err != nil {
		return err
	}
	return closeExactly(&r)
}

// fixedWidth returns ⌈log₂ levels⌉.
func fixedWidth(levels uint64) uint { return uint(bits.Len64(levels - 1)) }

// putFixed writes sym−lo in width bits each.
func putFixed[T Symbol](w *bitWriter, sym []T, lo T, width uint) {
	if width == 0 {
		return
	}
	for _, s := range sym {
		w.put(uint64(uint32(int32(s)-int32(lo))), width)
	}
}

// getFixed reads what putFixed wrote for the range lo…hi.
func getFixed[T Symbol](r *bitReader, dst []T, lo, hi T) error {
	span := uint64(int64(hi) - int64(lo))
	width := fixedWidth(span + 1)
	if left := uint64(max(8*len(r.src)-r.pos, 0)); width > 0 && uint64(len(dst)) > left/uint64(width) {
		return corruptf(len(r.src), "%d bits cannot hold %d symbols of %d bits", left, len(dst), width)
	}
	mask, pos := uint64(1)<<width-1, r.pos
	for i := range dst {
		v := loadBits(r.src, pos) & mask
		if v > span {
			return corruptf(pos>>3, "symbol %d is outside %d…%d", int64(lo)+int64(v), lo, hi)
		}
		dst[i] = lo + T(v)
		pos += int(width)
	}
	r.pos = pos
	return nil
}

// closeExactly closes r and requires that nothing is left.
func closeExactly(r *bitReader) error {
	n, err := r.close()
	if err == nil && n != len(r.src) {
		return corruptf(n, "%d bytes too many", len(r.src)-n)
	}
	return err
}
