package huffman

import (
	"math"
	"math/bits"
)

// The context coder: adaptive binary coding of quantised weights, in the manner
// of CABAC (D. Marpe, H. Schwarz, T. Wiegand, IEEE Trans. Circuits and Systems
// for Video Technology 13(7), 2003, section III) and of its use on networks
// (S. Wiedemann et al., "DeepCABAC", IEEE J. Selected Topics in Signal
// Processing 14(4), 2020). Deviations: each bin of significance and magnitude
// mixes two adaptive probabilities in the logistic domain, one chosen by the
// neighbours' magnitudes and one by running means of row and column; magnitudes
// are coded as bit length (unary) and mantissa.
//
// Payload: two header bytes, then one range-coded stream.
//
//	byte 0  bit 0: sparse; bits 1–2: row of ctxRates; bits 3–7: row of ctxRatio
//	byte 1  share of non-zeros, z: (z+½)/256
//
// The symbols form rows of width = the product of shape[1:] symbols; the block is
// one row if shape has fewer than two dimensions or the row would not be shorter
// than the block. Magnitudes count up to ctxCap in all that follows. The symbol
// at position j of its row has the contexts
//
//	near  = bucket(8a + 4b + 2c)
//	scale = bucket((R + C[j]) >> 5)
//
// where a, b, c are the three magnitudes before it in the row, the nearest first
// (0 where there is none), and R and C are running means of 256·magnitude over
// the row and the column, advanced by a symbol of magnitude v as
//
//	R += 32v − R>>3   C[j] += 32v − C[j]>>3   A += 16v − A>>6
//
// A>>2 is such a mean over all symbols; R starts each row as A>>2. At first R,
// all of C and A>>2 are the mean that the header tells (see init).
//
// A symbol of magnitude v with n = bit length of v is coded as the bins
// "n > 0", "n > 1", … until one is 0 or n has the bit length of the largest
// magnitude allowed (bin number min(n, 15)); the bits of v below the leading
// one, from the top: the first four by an adaptive probability of (n, bits so
// far), the others by ½; the sign, if both signs are possible in the range, by
// an adaptive probability with the index s + 3t + 9·⌊T[j]/3⌋, where s and t tell
// the signs of the two symbols before in the row, the nearest first (0 for zero
// or none, 1 plus, 2 minus), and T[j] counts the column's signs: it starts at 4
// and goes up by one for a plus, down for a minus, within 0…8.
//
// A bin b has two adaptive probabilities, of (bin, near) and of (bin, scale), and
// two weights of its number. With x, y their stretch, it is coded under p =
// squash((x·w₁ + y·w₂) >> 16); then w₁ += (x·(65536b − p) + 8192) >> 14, w₂ likewise,
// and both probabilities move, with the limits of the header's row of ctxRates.
// The probabilities of mantissa and sign are used as they are (adaptive.prob) and
// have the limit ctxLimit.
//
// In sparse payloads each four symbols (the last block may be shorter) begin
// with a bin ctxFlag that says whether any is non-zero, with near = bucket(4·sum
// of the four magnitudes before the block, without regard to row ends) and scale
// as for the block's first symbol. If none is, nothing else follows. Otherwise,
// until the first non-zero, bin "n > 0" is replaced by bin ctxUnseen + symbols
// left in the block, and is left out (it must be 1) when none is left.

// contextCoder is the "context" Coder. It pays most where magnitudes cluster
// (trained filters, pruned rows); of shape it uses the first dimension, rows.
type contextCoder struct{}

func (contextCoder) Name() string { return "context" }
func (contextCoder) ID() byte     { return 3 }

const (
	ctxBuckets = 24
	ctxUnary   = 16 // bins for the bit length
	ctxFlag    = 16 // bin: a block holds a non-zero
	ctxUnseen  = 16 // + symbols left in the block
	ctxBins    = 20
	ctxBlock   = 4    // symbols in a block of a sparse payload
	ctxCap     = 4095 // largest magnitude that contexts see
	ctxTilt    = 8
	ctxTrust   = 8          // bits that an initial probability counts for
	ctxLimit   = 512        // of mantissa and sign
	ctxWeight  = 32768      // initial weight of both mixed inputs, of 65536
	ctxHeader  = 2          // bytes
	ctxProbMin = 64         // initial probabilities are at least this,
	ctxProbMax = 65536 - 64 // and at most this, of 65536
)

// ctxRates holds the limits of the (near, scale) probabilities.
var ctxRates = [4][2]uint32{{1023, 128}, {32, 512}, {512, 32}, {1023, 1023}}

// ctxRatio[i] is 65536·(1 − 2^(−i/3)): the ratio of the geometric distribution
// whose mean magnitude of non-zeros is 2^(i/3).
var ctxRatio = [32]uint16{
	0, 13520, 24251, 32768, 39528, 44893, 49152, 52532, 55215, 57344, 59034,
	60375, 61440, 62285, 62956, 63488, 63911, 64246, 64512, 64723, 64891, 65024,
	65130, 65213, 65280, 65333, 65375, 65408, 65434, 65455, 65472, 65485,
}

// ctxShape is the header of a payload.
type ctxShape struct {
	sparse         bool
	rates          byte // row of ctxRates
	ratio, nonzero byte
}

func (h ctxShape) bytes() [ctxHeader]byte {
	b := h.rates<<1 | h.ratio<<3
	if h.sparse {
		b |= 1
	}
	return [ctxHeader]byte{b, h.nonzero}
}

func parseShape(b []byte) ctxShape {
	return ctxShape{sparse: b[0]&1 != 0, rates: b[0] >> 1 & 3, ratio: b[0] >> 3, nonzero: b[1]}
}

// analyse chooses a header for the symbols.
func analyse(sym []int32) ctxShape {
	var nonzero, sum uint64
	for _, s := range sym {
		m := uint64(magnitude(s))
		sum += m
		if m != 0 {
			nonzero++
		}
	}
	var h ctxShape
	if nonzero == 0 {
		return ctxShape{sparse: true, rates: 1}
	}
	h.nonzero = byte(min(256*nonzero/uint64(len(sym)), 255))
	// The row of ctxRatio nearest to 1 − 1/mean: compare nonzero/sum with the means of neighbours.
	rest, _ := bits.Div64((sum-nonzero)>>48, (sum-nonzero)<<16, sum)
	for h.ratio < 31 && uint64(ctxRatio[h.ratio])+uint64(ctxRatio[h.ratio+1]) < 2*rest {
		h.ratio++
	}
	h.sparse = h.nonzero < 128
	if h.nonzero < 64 {
		h.rates = 1
	}
	return h
}

// Encode implements Coder. Rate: 10–20 million dense, 40 and more million
// sparse symbols a second.
func (contextCoder) Encode(dst []byte, sym []int32, shape []int, p Params) ([]byte, error) {
	if err := checkSymbols(sym, p); err != nil {
		return dst, err
	}
	if len(sym) == 0 {
		return dst, nil
	}
	h := analyse(sym)
	b := h.bytes()
	m := newContextModel(h, shape, len(sym), p)
	m.rangeCoder = newRangeEncoder(append(dst, b[:]...))
	m.code(sym)
	return m.flush(), nil
}

// Decode implements Coder.
func (contextCoder) Decode(dst []int32, src []byte, shape []int, p Params) error {
	if err := checkDecode(dst, src, p); err != nil || len(dst) == 0 {
		return err
	}
	if len(src) < ctxHeader {
		return corruptf(len(src), "no room for the header")
	}
	m := newContextModel(parseShape(src), shape, len(dst), p)
	m.rangeCoder = newRangeDecoder(src[ctxHeader:])
	m.code(dst)
	if err := m.close(); err != nil {
		return err
	}
	if checkSymbols(dst, p) != nil {
		return corruptf(len(src), "a symbol is out of range")
	}
	return nil
}

// Parts implements the interface of that name. Significance and values share
// one arithmetic stream and cannot be told apart: all bytes are codes.
func (contextCoder) Parts(src []byte) (codes, positions int, err error) {
	return len(src), 0, nil
}

// contextModel is the model of one block and the scan position in it.
type contextModel struct {
	rangeCoder
	near, scale [ctxBins][ctxBuckets]adaptive
	weights     [ctxBins][2]int32
	mantissa    [33][16]adaptive
	sign        [27]adaptive
	limits      [2]uint32
	sparse      bool
	params      Params
	length      int // bits of the largest magnitude allowed

	width    int
	j        int      // position in the row
	col      []uint32 // C
	row, all uint32   // R and A
	a, b, c  uint32   // magnitudes before
	sa, sb   int      // signs of the two symbols before in the row
	tilt     []byte   // T
}

func newContextModel(h ctxShape, shape []int, n int, p Params) *contextModel {
	m := &contextModel{sparse: h.sparse, params: p, limits: ctxRates[h.rates]}
	m.length = bits.Len32(max(magnitude(p.Min), magnitude(p.Max)))
	m.width = rowWidth(shape, n)
	m.init(h)
	return m
}

// rowWidth returns the symbols in a row of a block of n.
func rowWidth(shape []int, n int) int {
	if len(shape) < 2 {
		return n
	}
	width := 1
	for _, d := range shape[1:] {
		d = max(d, 1)
		if d > (n-1)/width {
			return n
		}
		width *= d
	}
	return width
}

// init sets every probability as a two-sided geometric distribution of the
// header's ratio r would have it: "n > 0" has the header's share of non-zeros,
// "n > x" has r^(2^(x−1)), and a mantissa bit worth 2^h has r^(2^h)/(1 + r^(2^h)).
func (m *contextModel) init(h ctxShape) {
	share := uint32(h.nonzero)<<8 + 128
	var power [34]uint64 // r^(2^i) of 65536
	power[0] = uint64(ctxRatio[h.ratio])
	for i := 1; i < len(power); i++ {
		power[i] = power[i-1] * power[i-1] >> 16
	}
	start := func(p uint64) adaptive {
		return newAdaptive(min(max(uint32(p), ctxProbMin), ctxProbMax), ctxTrust)
	}
	for b := range ctxBins {
		s := start(uint64(share))
		switch {
		case b == ctxFlag:
			s = start(uint64(4 * share))
		case b > 0 && b < ctxUnary:
			s = start(power[b-1])
		}
		for c := range ctxBuckets {
			m.near[b][c], m.scale[b][c] = s, s
		}
		m.weights[b] = [2]int32{ctxWeight, ctxWeight}
	}
	for n := range m.mantissa {
		for v := 1; v < 16; v++ {
			if at := n - 1 - bits.Len(uint(v)); at >= 0 {
				m.mantissa[n][v] = start(power[at] << 16 / (65536 + power[at]))
			}
		}
	}
	for i := range m.sign {
		m.sign[i] = start(probHalf)
	}
	mean := 256 * share / (65536 - uint32(ctxRatio[h.ratio]))
	m.all, m.row = mean<<2, mean
	m.col, m.tilt = make([]uint32, m.width), make([]byte, m.width)
	for i := range m.col {
		m.col[i], m.tilt[i] = mean, ctxTilt/2
	}
}

// bucket returns 2h + the bit of e below its leading one (e itself below 2), h
// being the bit length of e/2; at most ctxBuckets−1.
func bucket(e uint32) uint32 {
	h := bits.Len32(e >> 1)
	return min(uint32(2*h)+e>>(max(h, 1)-1)&1, ctxBuckets-1)
}

func magnitude(s int32) uint32 {
	sign := s >> 31
	return uint32((s ^ sign) - sign)
}

// nearContext and the two after it return the contexts of the next symbol.
func (m *contextModel) nearContext() uint32 { return bucket(8*m.a + 4*m.b + 2*m.c) }

func (m *contextModel) scaleContext() uint32 { return bucket((m.row + m.col[m.j]) >> 5) }

func (m *contextModel) signContext() int { return m.sa + 3*m.sb + 9*int(m.tilt[m.j]/3) }

// signOf returns 0 for zero, 1 for positive, 2 for negative.
func signOf(s int32) int {
	return int(uint32(-s)&^uint32(s)>>31 | uint32(s)>>31<<1)
}

// blockContext returns the near context of the block flag at symbol i.
func blockContext(sym []int32, i int) uint32 {
	e := uint32(0)
	for _, s := range sym[max(i-ctxBlock, 0):i] {
		e += min(magnitude(s), ctxCap)
	}
	return bucket(4 * e)
}

// advance moves past symbol s.
func (m *contextModel) advance(s int32) {
	v := min(magnitude(s), ctxCap)
	m.row += 32*v - m.row>>3
	m.all += 16*v - m.all>>6
	c := &m.col[m.j]
	*c += 32*v - *c>>3
	m.a, m.b, m.c = v, m.a, m.b
	m.sa, m.sb = signOf(s), m.sa
	t := &m.tilt[m.j]
	switch {
	case s > 0:
		*t = min(*t+1, ctxTilt)
	case s < 0 && *t > 0:
		*t--
	}
	if m.j++; m.j == m.width {
		m.j, m.a, m.b, m.c, m.sa, m.sb = 0, 0, 0, 0, 0, 0
		m.row = m.all >> 2
	}
}

// code runs over all symbols; it reads them while encoding and sets them while
// decoding.
func (m *contextModel) code(sym []int32) {
	for i := 0; i < len(sym); {
		if i&1023 == 0 && m.overrun() {
			return // close will tell
		}
		if m.sparse {
			i += m.block(sym, i)
			continue
		}
		s := m.symbol(sym[i], 0)
		sym[i] = s
		m.advance(s)
		i++
	}
}

// block codes the block at symbol i of a sparse payload and returns its length.
func (m *contextModel) block(sym []int32, i int) int {
	n := min(ctxBlock, len(sym)-i)
	some := 0
	if !m.decoding {
		for _, s := range sym[i : i+n] {
			if s != 0 {
				some = 1
			}
		}
	}
	if m.mixed(some, ctxFlag, blockContext(sym, i), m.scaleContext()) == 0 {
		for k := range n {
			sym[i+k] = 0
			m.advance(0)
		}
		return n
	}
	seen := false
	for k := range n {
		bin := uint32(0)
		if !seen {
			bin = ctxUnseen + uint32(n-1-k)
		}
		s := m.symbol(sym[i+k], bin)
		seen = seen || s != 0
		sym[i+k] = s
		m.advance(s)
	}
	return n
}

// symbol codes s and returns it; bin is the number of its first bin.
func (m *contextModel) symbol(s int32, bin uint32) int32 {
	near, scale := m.nearContext(), m.scaleContext()
	mag := magnitude(s)
	length := bits.Len32(mag)
	if bin != ctxUnseen && m.mixed(positive(length), bin, near, scale) == 0 {
		return 0
	}
	n := 1
	for n < m.length && m.mixed(positive(length-n), uint32(min(n, ctxUnary-1)), near, scale) != 0 {
		n++
	}
	v := uint32(1)
	for k := n - 2; k >= 0; k-- {
		bit := int(mag >> k & 1)
		if v < 16 {
			bit = m.plain(bit, &m.mantissa[n][v])
		} else {
			bit = m.bit(bit, probHalf)
		}
		v = v<<1 | uint32(bit)
	}
	switch {
	case int64(v) > int64(m.params.Max):
		return -int32(v)
	case -int64(v) < int64(m.params.Min):
		return int32(v)
	case m.plain(int(uint32(s)>>31), &m.sign[m.signContext()]) != 0:
		return -int32(v)
	}
	return int32(v)
}

// positive returns 1 for n > 0, else 0.
func positive(n int) int { return int(uint(-n) >> 63) }

// mixed codes a bit under the mixture of its two probabilities.
func (m *contextModel) mixed(b int, bin, near, scale uint32) int {
	x, y, w := &m.near[bin][near], &m.scale[bin][scale], &m.weights[bin]
	sx, sy := x.stretch(), y.stretch()
	p := squash(mix2(sx, w[0], sy, w[1]))
	b = m.bit(b, p)
	e := int32(b<<probBits) - int32(p)
	w[0] += (sx*e + 1<<13) >> 14
	w[1] += (sy*e + 1<<13) >> 14
	x.update(b, m.limits[0])
	y.update(b, m.limits[1])
	return b
}

// mix2 returns the weighted sum of two inputs.
func mix2(x, v, y, w int32) int32 { return int32((int64(x)*int64(v) + int64(y)*int64(w)) >> 16) }

// plain codes a bit under one adaptive probability.
func (m *contextModel) plain(b int, a *adaptive) int {
	b = m.bit(b, a.prob())
	a.update(b, ctxLimit)
	return b
}

// NewPricer implements Pricing: prices come from the adaptive model itself, as
// sample's header starts it. Deviation: a sparse payload's block flags need the
// symbols to come, so zeros are priced one by one.
func (contextCoder) NewPricer(sample []int32, shape []int, p Params) Pricer {
	h := analyse(sample)
	h.sparse = false
	return contextPricer{newContextModel(h, shape, max(len(sample), 1), p)}
}

type contextPricer struct{ m *contextModel }

// Price returns the bits of sym after those advanced over; +Inf outside the
// range.
func (c contextPricer) Price(sym int32) float64 {
	m := c.m
	if sym < m.params.Min || sym > m.params.Max {
		return math.Inf(1)
	}
	near, scale := m.nearContext(), m.scaleContext()
	mag := magnitude(sym)
	length := bits.Len32(mag)
	price := 0.0
	for n := 0; n <= length && n < max(m.length, 1); n++ {
		bin := min(n, ctxUnary-1)
		w := &m.weights[bin]
		q := squash(mix2(m.near[bin][near].stretch(), w[0], m.scale[bin][scale].stretch(), w[1]))
		price += bitPrice(length > n, q)
	}
	for k := length - 2; k >= 0; k-- {
		if v := mag >> (k + 1); v < 16 {
			price += bitPrice(mag>>k&1 != 0, m.mantissa[length][v].prob())
		} else {
			price++
		}
	}
	if sym != 0 && int64(mag) <= int64(m.params.Max) && -int64(mag) >= int64(m.params.Min) {
		price += bitPrice(sym < 0, m.sign[m.signContext()].prob())
	}
	return price
}

// Advance implements Pricer; a symbol outside the range counts as the nearest inside.
func (c contextPricer) Advance(sym int32) {
	c.m.rangeCoder = newRangeEncoder(c.m.buf[:0])
	c.m.advance(c.m.symbol(min(max(sym, c.m.params.Min), c.m.params.Max), 0))
}

// bitPrice returns the bits of a bit that is 1 with probability p/65536.
func bitPrice(b bool, p uint32) float64 {
	if !b {
		p = 1<<probBits - p
	}
	return probBits - math.Log2(float64(p))
}
