package huffman

import "math/bits"

// Adaptive binary range coder.
//
// G. N. N. Martin, "Range encoding: an algorithm for removing redundancy from a digitised message",
// Video and Data Recording Conference, 1979; the carry is propagated into the bytes already written,
// which lie in memory, so that no carry-less approximation is needed.
//
// The state is an interval [low, low+width) of 64-bit fractions. A bit whose probability of being 1 is
// p/65536 splits it at bound = ⌊width/65536⌋·p: 1 takes [0, bound), 0 takes [bound, width). Whenever
// width < 2³² the four leading bytes of low leave (big-endian) and both are shifted by 32 bits.
//
// Length: the decoder starts with 8 bytes and reads 4 more at each shift. Of the last 8 the encoder keeps
// only k = ⌈(64 − ⌊log₂ width⌋)/8⌉, the fewest that always name a number inside the interval; the bytes left
// out are zero. The decoder knows width, hence k, hence the exact length: a shorter or longer source is
// corruption.

const (
	probBits  = 16
	probOne   = 1 << probBits
	probHalf  = probOne / 2
	rangeTop  = 1 << 32
	rangeInit = 1<<64 - 1
)

// tailBytes is k, the number of the last 8 bytes that are stored when the interval has the given width.
func tailBytes(width uint64) int { return (71 - (bits.Len64(width) - 1)) / 8 }

type rangeEncoder struct {
	low, width uint64
	out        []byte
}

func newRangeEncoder(dst []byte) rangeEncoder { return rangeEncoder{width: rangeInit, out: dst} }

// bit encodes b (0 or 1) under the probability p/65536 (0 < p < 65536) that it is 1.
func (e *rangeEncoder) bit(b int, p uint32) {
	bound := (e.width >> probBits) * uint64(p)
	if b != 0 {
		e.width = bound
	} else {
		e.add(bound)
		e.width -= bound
	}
	if e.width < rangeTop {
		e.shift()
	}
}

// bits encodes the n ≤ 32 low bits of v, equally probable.
func (e *rangeEncoder) bits(v uint32, n uint) {
	e.width >>= n
	e.add(e.width * (uint64(v) & (1<<n - 1)))
	for e.width < rangeTop {
		e.shift()
	}
}

func (e *rangeEncoder) add(v uint64) {
	low, carry := bits.Add64(e.low, v, 0)
	e.low = low
	if carry != 0 {
		for i := len(e.out) - 1; ; i-- { // stops inside this stream: the coded number is below 1
			e.out[i]++
			if e.out[i] != 0 {
				break
			}
		}
	}
}

func (e *rangeEncoder) shift() {
	l := e.low
	e.out = append(e.out, byte(l>>56), byte(l>>48), byte(l>>40), byte(l>>32))
	e.low <<= 32
	e.width <<= 32
}

// finish writes the tail and returns the extended destination.
func (e *rangeEncoder) finish() []byte {
	k := tailBytes(e.width)
	unit := uint64(1) << (64 - 8*uint(k)) // k = 0 gives 0: nothing to add, nothing to write
	e.add(unit - 1)
	for i := range k {
		e.out = append(e.out, byte(e.low>>(56-8*uint(i))))
	}
	return e.out
}

type rangeDecoder struct {
	code, width uint64 // code is relative to the interval's low end
	src         []byte
	read        int // bytes taken so far, those past the end (zero) included
}

func newRangeDecoder(src []byte) rangeDecoder {
	d := rangeDecoder{width: rangeInit, src: src}
	d.code = uint64(d.word())<<32 | uint64(d.word())
	return d
}

// bit decodes one bit whose probability of being 1 is p/65536.
func (d *rangeDecoder) bit(p uint32) int {
	bound := (d.width >> probBits) * uint64(p)
	b := 0
	if d.code < bound {
		d.width = bound
		b = 1
	} else {
		d.code -= bound
		d.width -= bound
	}
	if d.width < rangeTop {
		d.shift()
	}
	return b
}

// bits decodes n ≤ 32 equally probable bits.
func (d *rangeDecoder) bits(n uint) uint32 {
	d.width >>= n
	v := min(d.code/d.width, 1<<n-1)
	d.code -= v * d.width
	for d.width < rangeTop {
		d.shift()
	}
	return uint32(v)
}

func (d *rangeDecoder) shift() {
	d.code = d.code<<32 | uint64(d.word())
	d.width <<= 32
}

func (d *rangeDecoder) word() uint32 {
	i := d.read
	d.read += 4
	if i+4 <= len(d.src) {
		s := d.src[i : i+4]
		return uint32(s[0])<<24 | uint32(s[1])<<16 | uint32(s[2])<<8 | uint32(s[3])
	}
	var w uint32
	for j := i; j < i+4; j++ {
		w <<= 8
		if j < len(d.src) {
			w |= uint32(d.src[j])
		}
	}
	return w
}

// overrun reports that more was read than any valid stream of this length allows.
func (d *rangeDecoder) overrun() bool { return d.read > len(d.src)+8 }

// finish checks that exactly the source was consumed.
func (d *rangeDecoder) finish() error {
	if want := d.read - 8 + tailBytes(d.width); want != len(d.src) {
		return &CorruptError{Offset: min(int64(want), int64(len(d.src))), Msg: "range-coded data end at the wrong place"}
	}
	return nil
}
