package huffman

import (
	"math"
	"math/bits"
	"slices"
)

// D. Huffman, "A Method for the Construction of Minimum-Redundancy Codes",
// Proc. IRE 40(9), 1952; used for codes and gaps by S. Han, H. Mao and W. Dally,
// "Deep Compression", ICLR 2016, section 4.
//
// A payload is one string of bits that begins with its form (2 bits):
//
//	0 constant  symbol − min in ⌈log₂(max−min+1)⌉ bits
//	1 raw       every symbol − min in as many bits
//	2 direct    a codeword for every symbol
//	3 joint     one more bit: 0 pairs, a codeword for two symbols;
//	            1 split, a codeword for a symbol's magnitude and its other bits raw
//
// The coded forms go on with the binary logarithm of the number of streams
// (2 bits), what the form needs, a code table (prefixCode.put), the lengths of
// the streams, the streams, and the rest of the form. A payload of no symbols, or
// of a range of one symbol, has no bytes.
//
// Deviations from the textbook: pairs go below one bit a symbol, and split
// serves ranges for which a table would be larger than what it saves.
const (
	formConstant = iota
	formRaw
	formDirect
	formJoint
)

// Symbol is a type of symbol that AppendHuffman codes.
type Symbol interface{ ~uint8 | ~int32 }

// maxAlphabet is the widest span of symbols that one code table may tell.
const maxAlphabet = 1 << 16

// AppendHuffman appends the Huffman payload of sym, whose symbols lie in lo…hi,
// to dst. It takes the smallest of the forms above, so never more than 9 bits
// beyond a fixed width. A symbol outside the range is an error of the program:
// AppendHuffman panics with a *RangeError.
func AppendHuffman[T Symbol](dst []byte, sym []T, lo, hi T) []byte {
	dst, err := appendHuffman(dst, sym, lo, hi)
	if err != nil {
		panic(err)
	}
	return dst
}

// extent returns the least and the greatest symbol, by way of counts if symbols
// are bytes.
func extent[T Symbol](sym []T, lo, hi T, counts *byteCounts) (a, b T, err error) {
	p := Params{int32(lo), int32(hi)}
	if lo > hi {
		return lo, hi, &RangeError{Index: -1, Params: p}
	}
	if len(sym) == 0 {
		return lo, lo, nil
	}
	if tokens, ok := any(sym).([]byte); ok {
		counts.add(tokens)
		first, last := counts.bounds()
		a, b = T(first), T(last)
	} else {
		a, b = sym[0], sym[0]
		c, d := a, b // two of each, as a comparison waits for the one before
		for i := 0; i+1 < len(sym); i += 2 {
			a, b = min(a, sym[i]), max(b, sym[i])
			c, d = min(c, sym[i+1]), max(d, sym[i+1])
		}
		a, b = min(a, c, sym[len(sym)-1]), max(b, d, sym[len(sym)-1])
	}
	if a < lo || b > hi {
		i := slices.IndexFunc(sym, func(s T) bool { return s < lo || s > hi })
		return a, b, &RangeError{Index: i, Symbol: int32(sym[i]), Params: p}
	}
	return a, b, nil
}

// appendHuffman is AppendHuffman but for the panic.
func appendHuffman[T Symbol](dst []byte, sym []T, lo, hi T) ([]byte, error) {
	var counts byteCounts
	a, b, err := extent(sym, lo, hi, &counts)
	if err != nil || len(sym) == 0 || lo == hi {
		return dst, err
	}
	width := fixedWidth(Params{int32(lo), int32(hi)}.levels())
	w := &bitWriter{buf: dst}
	if a == b {
		w.put(formConstant, 2)
		putFixed(w, sym[:1], lo, width)
		return w.finish(), nil
	}
	best := plan{bits: 2 + len(sym)*int(width)}
	base := uint32(int32(a) - int32(lo))
	span := uint32(int32(b) - int32(a))
	if span < 256 {
		tokens, off := byteTokens(sym, a, &counts)
		best = planBytes(tokens, off, &counts, base, best)
	} else {
		if span < maxAlphabet {
			best = planWide(sym, a, base, best)
		}
		best = planSplit(sym, lo, hi, best)
	}
	if best.write == nil {
		w.put(formRaw, 2)
		putFixed(w, sym, lo, width)
		return w.finish(), nil
	}
	w.buf = slices.Grow(w.buf, best.bits/8+16)
	best.write(w)
	return w.finish(), nil
}

// plan is a way to write a payload.
type plan struct {
	bits  int // of the payload, or a bound a few bits above
	write func(*bitWriter)
}

// byteTokens returns off + sym − a, of which none exceeds 255: sym itself where
// its type allows, which counts has counted then, and will have else.
func byteTokens[T Symbol](sym []T, a T, counts *byteCounts) (tokens []byte, off byte) {
	if b, ok := any(sym).([]byte); ok {
		return b, byte(a)
	}
	tokens = make([]byte, len(sym))
	for i, s := range sym {
		tokens[i] = byte(s - a)
	}
	counts.add(tokens)
	return tokens, 0
}

// planBytes plans the forms for tokens of one byte, of which off, the least,
// stands for the symbol base above the range. It returns the best of them and of
// other.
func planBytes(tokens []byte, off byte, counts *byteCounts, base uint32, other plan) plan {
	n, log := len(tokens), logStreams(len(tokens))
	code, body := newPrefixCode(counts.all[off:])
	head := 4 + gammaBits(uint64(base)) + lengthsBits(n, log)
	table := code.putBits()
	direct := plan{bits: head + table + int(body)}
	direct.write = func(w *bitWriter) {
		w.put(formDirect|uint64(log)<<2, 4)
		w.putGamma(uint64(base))
		code.put(w)
		words := make([]uint32, 256)
		code.codewords(words[off:])
		lengths := make([]uint64, 1<<log-1)
		for i := range lengths {
			for s, n := range counts.quarter[i] {
				lengths[i] += uint64(n) * uint64(words[s]>>16)
			}
		}
		putLengths(w, lengths)
		putTokens(w, tokens, words)
	}
	// Two symbols share a codeword where one codeword each wastes more than
	// 1/100 and than the larger table would cost: the trial and the decoder,
	// which meets codewords longer than its table more often, are slower.
	levels := int(code.sym[len(code.sym)-1]) + 1
	waste := float64(body) - entropy(counts.all[:])
	if levels <= maxPairLevels && waste > max(float64(body)/100, float64(len(code.sym)*len(code.sym))) {
		other = planPairs(tokens, off, base, levels, other)
	}
	if direct.bits < other.bits {
		return direct
	}
	return other
}

// byteCounts says how often each byte occurs in each quarter of the tokens (see
// part) and in all.
type byteCounts struct {
	quarter [4][256]uint32
	all     [256]uint32
}

// add counts tokens. Four counters for equal tokens keep one that repeats from
// waiting for itself.
func (c *byteCounts) add(tokens []byte) {
	var quarter [4][]byte
	for i := range quarter {
		first, end := part(len(tokens), i, 2)
		quarter[i] = tokens[first:end]
	}
	last := quarter[3]
	x, y, z := quarter[0][:len(last)], quarter[1][:len(last)], quarter[2][:len(last)]
	for i, t := range last {
		c.quarter[0][x[i]]++
		c.quarter[1][y[i]]++
		c.quarter[2][z[i]]++
		c.quarter[3][t]++
	}
	for i, q := range quarter[:3] {
		for _, t := range q[len(last):] {
			c.quarter[i][t]++
		}
	}
	for i := range c.all {
		c.all[i] = c.quarter[0][i] + c.quarter[1][i] + c.quarter[2][i] + c.quarter[3][i]
	}
}

// bounds returns the least and the greatest byte that was counted.
func (c *byteCounts) bounds() (a, b byte) {
	for c.all[a] == 0 {
		a++
	}
	for b = 255; c.all[b] == 0; {
		b--
	}
	return a, b
}

// entropy returns the zero-order entropy in bits of all that was counted.
func entropy(counts []uint32) float64 {
	var total, sum float64
	for _, n := range counts {
		total += float64(n)
		sum += xlog2(float64(n))
	}
	return xlog2(total) - sum
}

// xlog2 returns x·log₂x, 0 for 0.
func xlog2(x float64) float64 {
	if x == 0 {
		return 0
	}
	return x * math.Log2(x)
}

// maxPairLevels bounds the alphabet of pairs to 4096.
const maxPairLevels = 64

// planPairs plans a codeword for every two tokens, each below off + levels,
// levels ≤ 64. An odd last token follows raw.
//
// After the form: γ of the first token, levels−1 (6 bits), table of the pairs
// first·levels + second − (the least such number), γ of that number, streams.
func planPairs(tokens []byte, off byte, base uint32, levels int, other plan) plan {
	n := len(tokens) / 2
	pairs := make([]uint16, n)
	counts, odd := make([]uint32, levels*levels), make([]uint32, levels*levels)
	for i := range pairs {
		p := uint16(tokens[2*i]-off)*uint16(levels) + uint16(tokens[2*i+1]-off)
		pairs[i] = p
		counts, odd = odd, counts // the commonest pair does not wait for itself
		counts[p]++
	}
	for p, n := range odd {
		counts[p] += n
	}
	least := slices.IndexFunc(counts, func(n uint32) bool { return n > 0 })
	if counts[least] == uint32(n) {
		return other // one pair over and over
	}
	code, body := newPrefixCode(counts[least:])
	log := logStreams(n)
	p := plan{bits: 5 + gammaBits(uint64(base)) + 6 + gammaBits(uint64(least)) + code.putBits() + lengthsBits(n, log) + int(body) + 6}
	if p.bits >= other.bits {
		return other
	}
	p.write = func(w *bitWriter) {
		w.put(formJoint|uint64(log)<<3, 5)
		w.putGamma(uint64(base))
		w.put(uint64(levels-1), 6)
		w.putGamma(uint64(least))
		code.put(w)
		words := make([]uint32, len(counts))
		code.codewords(words[least:])
		putStreams(w, pairs, words, log)
		if len(tokens)&1 > 0 {
			w.put(uint64(tokens[len(tokens)-1]-off), fixedWidth(uint64(levels)))
		}
	}
	return p
}

// planWide plans the direct form for symbols that span more than a byte.
func planWide[T Symbol](sym []T, a T, base uint32, other plan) plan {
	tokens := make([]uint16, len(sym))
	counts := make([]uint32, maxAlphabet)
	for i, s := range sym {
		t := uint16(int32(s) - int32(a))
		tokens[i] = t
		counts[t]++
	}
	used := 0
	for _, n := range counts {
		if n > 0 {
			used++
		}
	}
	if used > 1<<maxCodeLen {
		return other // more symbols than codewords: split or raw serve
	}
	code, body := newPrefixCode(counts)
	log := logStreams(len(sym))
	p := plan{bits: 4 + gammaBits(uint64(base)) + code.putBits() + lengthsBits(len(sym), log) + int(body)}
	if p.bits >= other.bits {
		return other
	}
	p.write = func(w *bitWriter) {
		w.put(formDirect|uint64(log)<<2, 4)
		w.putGamma(uint64(base))
		code.put(w)
		words := make([]uint32, maxAlphabet)
		code.codewords(words)
		putStreams(w, tokens, words, log)
	}
	return p
}

// A split tells v in a token of its magnitude, which is Huffman coded, and extra
// raw bits, as the hybrid integers of JPEG XL (ISO/IEC 18181-1) do: v
// below 2^exp is its own token; above, a token stands for the position of the
// leading one and the top bits below it, and the rest is extra.
type split struct{ exp, top uint }

// splits are the choices of an encoder; every token fits in a byte.
var splits = [...]split{{4, 1}, {5, 2}, {7, 2}}

// token returns the token of v and the number of its extra bits.
func (s split) token(v uint32) (token, extra uint) {
	if v>>s.exp == 0 {
		return uint(v), 0
	}
	lead := uint(bits.Len32(v)) - 1
	extra = lead - s.top
	return 1<<s.exp + (lead-s.exp)<<s.top + uint(v>>extra)&(1<<s.top-1), extra
}

// value is the inverse of token but for the extra bits, which are zero. A token
// that no value has yields ok = false.
func (s split) value(token uint) (v uint32, extra uint, ok bool) {
	if token>>s.exp == 0 {
		return uint32(token), 0, true
	}
	token -= 1 << s.exp
	lead := s.exp + token>>s.top
	if lead > 31 {
		return 0, 0, false
	}
	extra = lead - s.top
	return uint32(1<<s.top|token&(1<<s.top-1)) << extra, extra, true
}

// fold maps the symbols of a range to small numbers by their distance from 0,
// or from the end of the range that is nearest to 0.
type fold struct{ lo, hi, centre int64 }

func newFold(lo, hi int32) fold {
	return fold{int64(lo), int64(hi), int64(min(max(0, lo), hi))}
}

func (f fold) value(s int64) uint32 {
	d := s - f.centre
	switch {
	case f.centre == f.lo:
		return uint32(d)
	case f.centre == f.hi:
		return uint32(-d)
	default:
		return uint32(d<<1 ^ d>>63)
	}
}

func (f fold) symbol(v uint32) int64 {
	switch {
	case f.centre == f.lo:
		return f.centre + int64(v)
	case f.centre == f.hi:
		return f.centre - int64(v)
	default:
		return f.centre + (int64(v>>1) ^ -int64(v&1))
	}
}

// planSplit plans the split form.
//
// After the form: the number of the split (2 bits), γ of the first token,
// table, streams, then the extra bits of all symbols.
func planSplit[T Symbol](sym []T, lo, hi T, other plan) plan {
	f := newFold(int32(lo), int32(hi))
	n, log := len(sym), logStreams(len(sym))
	for which, s := range splits {
		var hist [256]uint32
		rest := 0
		for _, v := range sym {
			token, extra := s.token(f.value(int64(v)))
			hist[token]++
			rest += int(extra)
		}
		least := slices.IndexFunc(hist[:], func(n uint32) bool { return n > 0 })
		if hist[least] == uint32(n) {
			continue // one magnitude only: raw is as good
		}
		code, body := newPrefixCode(hist[least:])
		p := plan{bits: 7 + gammaBits(uint64(least)) + code.putBits() + lengthsBits(n, log) + int(body) + rest}
		if p.bits >= other.bits {
			continue
		}
		p.write = func(w *bitWriter) {
			w.put(formJoint|1<<2|uint64(log)<<3|uint64(which)<<5, 7)
			w.putGamma(uint64(least))
			code.put(w)
			words := make([]uint32, 256)
			code.codewords(words[least:])
			tokens := make([]byte, n)
			for i, v := range sym {
				token, _ := s.token(f.value(int64(v)))
				tokens[i] = byte(token)
			}
			putStreams(w, tokens, words, log)
			for _, v := range sym {
				u := f.value(int64(v))
				_, extra := s.token(u)
				w.put(uint64(u)&(1<<extra-1), extra)
			}
		}
		other = p
	}
	return other
}
