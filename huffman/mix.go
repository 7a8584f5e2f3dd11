package huffman

import (
	_ "embed"
	"math/bits"
)

// The mixing coder: bytes, bit by bit from the top, under a logistic mixture of
// many adaptive predictions (M. Mahoney, "Adaptive weighing of context models
// for lossless data compression", Florida Institute of Technology CS-2005-16;
// the arrangement follows his lpaq1, 2007). Deviations: a bit history is a pair
// of counts instead of a state of a hand-made table; a matcher goes on behind a
// mismatch; there is a text that every coder has seen before the first byte.
// About 1 MB/s both ways.
//
// A payload is one range-coded stream of 8 bits a byte. Everything below is
// integer arithmetic that a decoder must follow exactly; adaptive, stretch and
// squash are defined in adaptive.go.
//
// Contexts. Eight numbers ctx[i] are formed before each byte (see contexts) and
// completed by i+1 in their top byte. Each names a bucket of 16 bytes in one
// hash table, for the first four bits of a byte as it is, for the last four
// after its bits 48 and above were combined by exclusive or with c0, a one and
// the bits known. Byte 0 of the bucket is a check, byte c0 (c0 mod 2^(k−4) with a
// leading one in the second half) the history of the bit to come: counts of
// zeros and of ones, four bits each.
//
// Inputs, in order: stretch(maps[i][history]) for the eight contexts; the two
// matchers (see mixmatch.go); an order-0 and an order-1 probability, indexed by
// c0 and (last byte, c0).
//
// Mixture. Two sets of weights, one chosen by the matchers' lengths, one by c0,
// give d₁ and d₂ = Σ input·weight / 65536, each clipped to ±2047; the prediction
// is q = squash((d₁+d₂)/2), then averaged with a refinement of it (see refine).
//
// Learning, after bit b: weight += (input·((65536b − squash(d))·20>>4) + 8192) >> 14
// in both sets; every probability used moves; every history becomes
// mixHistory[b][history].

const (
	mixContexts = 8
	mixInputs   = mixContexts + 4
	mixWeight   = 6500 // initial weight of every input, of 65536
	mixRate     = 20
	mixTrust    = 6    // bits that the first probability of a history counts for
	mixLimit    = 255  // of the probabilities of histories
	mixLimit0   = 1023 // of order 0
	mixLimit1   = 255  // of order 1
	mixMaxLog   = 19   // the hash table has at most 2^19 buckets
)

// mixText is what a coder with stride 0 has seen before the first byte: names
// and nodes as ONNX files hold them. It is part of the format.
//
//go:embed prime.bin
var mixText []byte

// AppendMix appends the payload of src to dst. stride says what the bytes are:
// 0 a file's structure, names, text; s > 0 an array with s bytes an element or
// row. It takes memory of 128–256 bytes a byte of src, at most 8 MB, and 1.5 MB
// beside.
func AppendMix(dst, src []byte, stride int) []byte {
	if len(src) == 0 {
		return dst
	}
	m := newMixModel(len(src), stride)
	m.rangeCoder = newRangeEncoder(dst)
	for _, b := range src {
		m.code(b, true)
	}
	return m.flush()
}

// DecodeMix fills dst from src, which AppendMix made from as many bytes with
// the same stride. It consumes src exactly; anything else is a *CorruptError.
func DecodeMix(dst, src []byte, stride int) error {
	if len(dst) == 0 {
		if len(src) > 0 {
			return corruptf(0, "%d bytes for nothing", len(src))
		}
		return nil
	}
	m := newMixModel(len(dst), stride)
	m.rangeCoder = newRangeDecoder(src)
	for i := range dst {
		dst[i] = m.code(0, true)
		if m.overrun() {
			return corruptf(len(src), "mixed data end early")
		}
	}
	return m.close()
}

type mixBucket [16]byte

type mixModel struct {
	rangeCoder
	stride int
	past   []byte // text and data so far
	last8  uint64 // the last eight bytes, the latest lowest
	kinds  uint64 // the kinds of the last bytes, four bits each
	word   uint32 // hash of the letters since the last other byte
	before uint32 // the word before

	table []mixBucket
	shift int // hash to bucket number
	ctx   [mixContexts]uint64
	slot  [mixContexts]*mixBucket

	maps   [mixContexts][256]adaptive
	order0 [256]adaptive
	order1 []adaptive
	match  [2]matcher

	in       [mixInputs]int32
	byMatch  [64][mixInputs]int32
	byBits   [256][mixInputs]int32
	refined  [256][33]uint16
	refining *uint16
}

func newMixModel(n, stride int) *mixModel {
	m := &mixModel{stride: stride}
	var text []byte
	if stride == 0 {
		text = mixText
	}
	total := n + len(text)
	l := min(max(bits.Len(uint(8*total)), 8), mixMaxLog)
	m.table = make([]mixBucket, 1<<l)
	m.shift = 64 - l
	for s := range 256 {
		n0, n1 := uint32(s>>4), uint32(s&15)
		p := (327680*n1 + 65536) / (5*(n0+n1) + 2)
		a := newAdaptive(min(max(p, 64), 65536-64), mixTrust)
		for i := range m.maps {
			m.maps[i][s] = a
		}
	}
	m.order1 = make([]adaptive, 65536)
	for i := range m.order1 {
		m.order1[i] = newAdaptive(probHalf, 0)
	}
	copy(m.order0[:], m.order1)
	for j := range mixInputs {
		for i := range m.byMatch {
			m.byMatch[i][j] = mixWeight
		}
		for i := range m.byBits {
			m.byBits[i][j] = mixWeight
		}
	}
	for i := range m.refined {
		for k := range m.refined[i] {
			m.refined[i][k] = uint16(squash(int32(k-16) * 128))
		}
	}
	m.match[0].init(total, 6)
	m.match[1].init(total, 28)
	m.past = make([]byte, 0, total)
	m.contexts()
	for _, b := range text {
		m.code(b, false)
	}
	return m
}

// mixHistory[b] maps a history (zeros<<4 | ones) to the one after bit b: its
// count grows up to 15, the other's, if above 2, becomes its bit length.
var mixHistory = func() (t [2][256]uint8) {
	for s := range 256 {
		for b := range 2 {
			n := [2]int{s >> 4, s & 15}
			n[b] = min(n[b]+1, 15)
			if n[1-b] > 2 {
				n[1-b] = bits.Len(uint(n[1-b]))
			}
			t[b][s] = uint8(n[0]<<4 | n[1])
		}
	}
	return t
}()

// contexts forms the contexts of the next byte.
func (m *mixModel) contexts() {
	c := m.last8
	if m.stride == 0 {
		m.ctx = [mixContexts]uint64{
			c & 0xff,
			c & 0xffff,
			c & 0xffffff,
			c & 0xffffffff,
			c & 0xffffffffffff,
			uint64(m.word)<<8 | c&0xff,
			m.kinds & 0xffffffffffff,
			uint64(m.before)<<24&^(0xff<<56) ^ uint64(m.word)<<8 | c&0xff,
		}
	} else {
		n, s := len(m.past), m.stride
		col := uint64(n%s) & 0xffff
		up, up2, up3 := m.back(s), m.back(2*s), m.back(s+1)
		left, left2 := c&0xff, c>>8&0xff
		m.ctx = [mixContexts]uint64{
			col,
			col<<8 | up,
			col<<16 | up<<8 | up2,
			col<<8 | left,
			col<<16 | left<<8 | up,
			col<<16 | left<<8 | left2,
			c & 0xffffff,
			up<<16 | up3<<8 | left,
		}
	}
	for i := range m.ctx {
		m.ctx[i] |= uint64(i+1) << 56
		m.slot[i] = m.find(m.ctx[i])
	}
}

// back returns the byte that lies k before the next one, 0 before the first.
func (m *mixModel) back(k int) uint64 {
	if k > 0 && k <= len(m.past) {
		return uint64(m.past[len(m.past)-k])
	}
	return 0
}

// find returns the bucket of a context: of the two that differ in the lowest
// bit of their number the one whose check fits, otherwise the one whose first
// history counts fewer bits (the first, if equal), cleared.
func (m *mixModel) find(ctx uint64) *mixBucket {
	h := ctx * 0x9E3779B97F4A7C15
	h ^= h >> 29
	h *= 0xBF58476D1CE4E5B9
	k, check := h>>m.shift, byte(h>>8)
	a, b := &m.table[k], &m.table[k^1]
	switch {
	case a[0] == check:
		return a
	case b[0] == check:
		return b
	case a[1]>>4+a[1]&15 > b[1]>>4+b[1]&15:
		a = b
	}
	*a = mixBucket{check}
	return a
}

// code codes one byte, or only learns it, and returns it.
func (m *mixModel) code(b byte, coded bool) byte {
	c0 := 1
	last := int(m.last8&0xff) << 8
	for k := range 8 {
		node := c0
		if k >= 4 {
			node = c0&(1<<(k-4)-1) | 1<<(k-4)
		}
		if k == 4 {
			for i, c := range m.ctx {
				m.slot[i] = m.find(c ^ uint64(c0)<<48)
			}
		}
		bit := int(b >> (7 - k) & 1)
		bit = m.bitOf(bit, coded, c0, last|c0, node, k)
		c0 = c0<<1 | bit
	}
	m.append(byte(c0))
	return byte(c0)
}

// bitOf codes bit k of a byte: c0 holds those before it, order1 them and the last
// byte, node their place in the buckets.
func (m *mixModel) bitOf(bit int, coded bool, c0, order1, node, k int) int {
	in := &m.in
	for i := range m.slot {
		in[i] = m.maps[i][m.slot[i][node&15]].stretch()
	}
	in[mixContexts] = m.match[0].predict(c0, k)
	in[mixContexts+1] = m.match[1].predict(c0, k)
	in[mixContexts+2] = m.order0[c0&255].stretch()
	in[mixContexts+3] = m.order1[order1].stretch()
	wa := &m.byMatch[m.match[0].class()<<2|m.match[1].coarse()]
	wb := &m.byBits[c0&255]
	var sa, sb int64
	for i := range in {
		sa += int64(in[i]) * int64(wa[i])
		sb += int64(in[i]) * int64(wb[i])
	}
	da := int32(min(max(sa>>16, -2047), 2047))
	db := int32(min(max(sb>>16, -2047), 2047))
	p := m.refine((da+db)>>1, c0)
	if coded {
		bit = m.bit(bit, p)
	}
	ea := (int32(bit<<16) - int32(squash(da))) * mixRate >> 4
	eb := (int32(bit<<16) - int32(squash(db))) * mixRate >> 4
	for i := range in {
		wa[i] += (in[i]*ea + 1<<13) >> 14
		wb[i] += (in[i]*eb + 1<<13) >> 14
	}
	*m.refining += uint16((int32(bit*65535) - int32(*m.refining)) >> 6)
	next := &mixHistory[bit&1]
	for i := range m.slot {
		h := &m.slot[i][node&15]
		m.maps[i][*h].update(bit, mixLimit)
		*h = next[*h]
	}
	m.match[0].update(bit)
	m.match[1].update(bit)
	m.order0[c0].update(bit, mixLimit0)
	m.order1[order1].update(bit, mixLimit1)
	return bit
}

// refine averages squash(d) with what came of predictions like it: refined[c0]
// holds probabilities at d = −2048, −1920, … 2048 and is read by linear
// interpolation; the nearer of the two neighbours will learn the bit.
func (m *mixModel) refine(d int32, c0 int) uint32 {
	at := uint32(d + 2048)
	i, f := at>>7, at&127
	r := &m.refined[c0]
	q := (uint32(r[i])*(128-f) + uint32(r[i+1])*f) >> 7
	m.refining = &r[i+f>>6]
	return min(max((squash(d)+q)>>1, 1), 1<<probBits-1)
}

// append takes a finished byte into the state of all models.
func (m *mixModel) append(c byte) {
	m.past = append(m.past, c)
	m.last8 = m.last8<<8 | uint64(c)
	m.kinds = m.kinds<<4 | kindOf(c)
	if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 128 {
		m.word = (m.word + uint32(c)) * 0x2F0B4C47
	} else if m.word != 0 {
		m.before, m.word = m.word, 0
	}
	m.match[0].append(m.past)
	m.match[1].append(m.past)
	m.contexts()
}

// kindOf sorts bytes into kinds below 16.
func kindOf(c byte) uint64 {
	switch {
	case c >= '0' && c <= '9':
		return 1
	case c >= 'a':
		return 2
	case c >= 'A':
		return 3
	case c >= ' ':
		return 4 + uint64(c&3)
	case c == '\n':
		return 8
	}
	return 9 + uint64(c&3)
}
