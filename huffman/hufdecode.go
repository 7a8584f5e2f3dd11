package huffman

import "slices"

// DecodeHuffman fills dst from the payload at the start of src, made by
// AppendHuffman for as many symbols of the same range, and returns the number of
// bytes it took. Bytes after the payload are left alone.
func DecodeHuffman[T Symbol](dst []T, src []byte, lo, hi T) (n int, err error) {
	if lo > hi {
		return 0, &RangeError{Index: -1, Params: Params{int32(lo), int32(hi)}}
	}
	if len(dst) == 0 || lo == hi {
		fill(dst, lo)
		return 0, nil
	}
	r := &bitReader{src: src}
	switch r.get(2) {
	case formConstant:
		if err = getFixed(r, dst[:1], lo, hi); err == nil {
			fill(dst[1:], dst[0])
		}
	case formRaw:
		err = getFixed(r, dst, lo, hi)
	case formDirect:
		err = getDirect(r, dst, lo, hi)
	case formJoint:
		if r.get(1) == 0 {
			err = getPairs(r, dst, lo, hi)
		} else {
			err = getSplit(r, dst, lo, hi)
		}
	}
	if err != nil {
		return 0, err
	}
	return r.close()
}

func fill[T Symbol](dst []T, v T) {
	for i := range dst {
		dst[i] = v
	}
}

// span returns the width of lo…hi.
func span[T Symbol](lo, hi T) uint32 { return uint32(int32(hi) - int32(lo)) }

// checkLength refuses n codewords in fewer bits, before memory is taken for them.
func checkLength(r *bitReader, n int) error {
	if left := 8*len(r.src) - r.pos; n > left {
		return corruptf(r.offset(), "%d bits cannot hold %d codewords", max(left, 0), n)
	}
	return nil
}

// getBase reads the number of the first used symbol and checks it.
func getBase(r *bitReader, limit uint32) (uint32, error) {
	base := r.gamma()
	if base > uint64(limit) || r.over() {
		return 0, corruptf(r.offset(), "first symbol %d is beyond %d", base, limit)
	}
	return uint32(base), nil
}

func getDirect[T Symbol](r *bitReader, dst []T, lo, hi T) error {
	log := uint(r.get(2))
	base, err := getBase(r, span(lo, hi))
	if err != nil {
		return err
	}
	code, err := readPrefixCode(r, int(min(span(lo, hi)-base, maxAlphabet-1)))
	if err != nil {
		return err
	}
	if err := checkLength(r, len(dst)); err != nil {
		return err
	}
	first := T(int32(lo) + int32(base))
	if code.sym[len(code.sym)-1] > 255 {
		tokens := make([]byte, 2*len(dst))
		if err := newDecodeTable(code, code.sym, 2, len(dst)).getTokens(r, tokens, log); err != nil {
			return err
		}
		for i := range dst {
			dst[i] = T(int32(first) + (int32(tokens[2*i]) | int32(tokens[2*i+1])<<8))
		}
		return nil
	}
	return viaBytes(dst, first, func(tokens []byte, offset uint16) error {
		values := make([]uint16, len(code.sym))
		for i, s := range code.sym {
			values[i] = s + offset
		}
		return newDecodeTable(code, values, 1, len(tokens)).getTokens(r, tokens, log)
	})
}

// viaBytes has decode fill a byte for every symbol of dst, namely symbol − first
// + offset.
func viaBytes[T Symbol](dst []T, first T, decode func(tokens []byte, offset uint16) error) error {
	if tokens, ok := any(dst).([]byte); ok {
		return decode(tokens, uint16(first))
	}
	tokens := make([]byte, len(dst))
	if err := decode(tokens, 0); err != nil {
		return err
	}
	dst = dst[:len(tokens)]
	for i, t := range tokens {
		dst[i] = first + T(t)
	}
	return nil
}

func getPairs[T Symbol](r *bitReader, dst []T, lo, hi T) error {
	log := uint(r.get(2))
	base, err := getBase(r, span(lo, hi))
	if err != nil {
		return err
	}
	levels := uint16(r.get(6)) + 1
	if uint64(base)+uint64(levels)-1 > uint64(span(lo, hi)) {
		return corruptf(r.offset(), "%d levels from symbol %d go beyond %d", levels, base, span(lo, hi))
	}
	least, err := getBase(r, uint32(levels)*uint32(levels)-1)
	if err != nil {
		return err
	}
	code, err := readPrefixCode(r, int(levels)*int(levels)-1-int(least))
	if err != nil {
		return err
	}
	if err := checkLength(r, len(dst)/2); err != nil {
		return err
	}
	return viaBytes(dst, T(int32(lo)+int32(base)), func(tokens []byte, offset uint16) error {
		values := make([]uint16, len(code.sym))
		for i, s := range code.sym {
			pair := s + uint16(least)
			values[i] = pair/levels + offset | (pair%levels+offset)<<8
		}
		n := len(tokens) &^ 1
		if err := newDecodeTable(code, values, 2, n/2).getTokens(r, tokens[:n], log); err != nil {
			return err
		}
		return getFixed(r, tokens[n:], byte(offset), byte(offset+levels-1))
	})
}

func getSplit[T Symbol](r *bitReader, dst []T, lo, hi T) error {
	log := uint(r.get(2))
	which := r.get(2)
	if which >= uint64(len(splits)) {
		return corruptf(0, "unknown split %d", which)
	}
	least, err := getBase(r, 255)
	if err != nil {
		return err
	}
	code, err := readPrefixCode(r, 255-int(least))
	if err != nil {
		return err
	}
	if err := checkLength(r, len(dst)); err != nil {
		return err
	}
	values := make([]uint16, len(code.sym))
	for i, s := range code.sym {
		values[i] = s + uint16(least)
	}
	tokens := make([]byte, len(dst))
	if err := newDecodeTable(code, values, 1, len(dst)).getTokens(r, tokens, log); err != nil {
		return err
	}
	f := newFold(int32(lo), int32(hi))
	for i, t := range tokens {
		v, extra, ok := splits[which].value(uint(t))
		s := f.symbol(v | uint32(r.get(extra)))
		if !ok || s < f.lo || s > f.hi {
			return corruptf(r.offset(), "symbol outside %d…%d", lo, hi)
		}
		dst[i] = T(s)
	}
	return nil
}

// huffmanCoder is the Coder of AppendHuffman.
type huffmanCoder struct{}

func (huffmanCoder) Name() string { return "huffman" }
func (huffmanCoder) ID() byte     { return 1 }

func (huffmanCoder) Encode(dst []byte, sym []int32, _ []int, p Params) ([]byte, error) {
	return appendHuffman(dst, sym, p.Min, p.Max)
}

func (huffmanCoder) Decode(dst []int32, src []byte, _ []int, p Params) error {
	n, err := DecodeHuffman(dst, src, p.Min, p.Max)
	if err == nil && n != len(src) {
		return corruptf(n, "%d bytes too many", len(src)-n)
	}
	return err
}

// NewPricer prices a symbol at the length of its codeword in the optimal code of
// sample. Symbols that the sample lacks cost what one that occurs once would.
func (huffmanCoder) NewPricer(sample []int32, _ []int, p Params) Pricer {
	price := staticPricer{other: min(float64(fixedWidth(uint64(len(sample))+1)), maxCodeLen)}
	if len(sample) == 0 {
		price.other = float64(fixedWidth(p.levels()))
		return price
	}
	lo, hi := slices.Min(sample), slices.Max(sample)
	if span(lo, hi) >= 1<<maxCodeLen {
		return price
	}
	price.lo = lo
	price.length = make([]uint8, span(lo, hi)+1)
	if lo == hi {
		return price
	}
	counts := make([]uint32, len(price.length))
	for _, s := range sample {
		counts[s-lo]++
	}
	code, _ := newPrefixCode(counts)
	for i, s := range code.sym {
		price.length[s] = code.len[i]
	}
	for i := range price.length {
		if counts[i] == 0 {
			price.length[i] = uint8(price.other)
		}
	}
	return price
}

// staticPricer knows the length of every symbol from lo on.
type staticPricer struct {
	lo     int32
	length []uint8
	other  float64
}

func (s staticPricer) Price(sym int32) float64 {
	if i := int64(sym) - int64(s.lo); i >= 0 && i < int64(len(s.length)) {
		return float64(s.length[i])
	}
	return s.other
}

func (staticPricer) Advance(int32) {}
