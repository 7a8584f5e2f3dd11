package huffman

// Adaptive probabilities and their logistic mixing, shared by the context coder
// and the mixing coder. All of it is integer arithmetic and part of the file
// format; >> of a negative number rounds down everywhere.
//
// The logistic domain has 192 units to a natural unit: squash(d) ≈
// 65536/(1+exp(−d/192)) for −2047 ≤ d ≤ 2047, and stretch is its inverse.
// (M. Mahoney, "Adaptive weighing of context models for lossless data
// compression", Florida Institute of Technology CS-2005-16.)

// squashAnchors holds squash(64·i); between two of them squash is linear
// (rounded down), and squash(−d) = 65536 − squash(d).
var squashAnchors = [33]uint16{
	32768, 38179, 43303, 47911, 51865, 55124, 57724, 59743, 61278, 62428, 63279,
	63903, 64357, 64687, 64925, 65097, 65221, 65310, 65374, 65420, 65453, 65476,
	65493, 65505, 65514, 65520, 65525, 65528, 65530, 65532, 65533, 65534, 65534,
}

// squashTable[d+2048] is squash(d).
var squashTable = func() (t [4096]uint16) {
	for d := range 2048 {
		i, f := d>>6, uint32(d&63)
		v := (uint32(squashAnchors[i])*(64-f) + uint32(squashAnchors[i+1])*f) >> 6
		t[2048+d] = uint16(v)
		t[2048-d] = uint16(65536 - v)
	}
	t[0] = t[1]
	return t
}()

// squash returns a probability of 65536 that never is 0 or 65536.
func squash(d int32) uint32 { return uint32(squashTable[min(max(d, -2047), 2047)+2048]) }

// stretchTable[p] is, for a probability p of 4096, the least d with
// squash(d) ≥ 16p+8, at most 2047.
var stretchTable = func() (t [4096]int16) {
	d := int32(-2047)
	for p := range t {
		for d < 2047 && squash(d) < uint32(16*p+8) {
			d++
		}
		t[p] = int16(d)
	}
	return t
}()

// adaptive is an adaptive probability that a bit is 1: 22 bits of it, then 10
// bits that count the bits seen, up to a limit.
type adaptive uint32

// newAdaptive returns the state of probability p/65536 as if it came from n
// bits.
func newAdaptive(p, n uint32) adaptive { return adaptive(p<<16 | n) }

// adaptRate[n] is the weight of a new bit after n others, ⌊131072/(2n+3)⌋ of
// 65536.
var adaptRate = func() (t [1024]int32) {
	for n := range t {
		t[n] = int32(131072 / (2*n + 3))
	}
	return t
}()

// update moves the probability towards bit b.
func (a *adaptive) update(b int, limit uint32) {
	s := uint32(*a)
	n := s & 1023
	p := int64(s >> 10)
	p += ((int64(b) << 22) - p) * int64(adaptRate[n]) >> 16
	if n < limit {
		n++
	}
	*a = adaptive(uint32(p)<<10 | n)
}

// prob returns the probability of 65536, kept off 0 and 1.
func (a adaptive) prob() uint32 { return min(max(uint32(a>>16), 32), 65536-32) }

func (a adaptive) stretch() int32 { return int32(stretchTable[a>>20]) }
