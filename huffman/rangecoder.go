package huffman

import "math/bits"

// Adaptive binary range coding, after G. N. N. Martin, "Range encoding: an
// algorithm for removing redundancy from a digitised message", Video and Data
// Recording Conference, 1979. Deviation: a carry is added to the bytes already
// written, which lie in memory, so no digit is ever held back.
//
// The state is an interval [low, low+width) of 64-bit fractions; width begins
// as 2⁶⁴−1. A bit that is 1 with probability p/65536 splits it at
// bound = ⌊width/65536⌋·p: a 1 keeps [0, bound), a 0 keeps [bound, width).
// While width < 2³² the four leading bytes of low leave, the most significant
// first, and low and width move up by 32 bits.
//
// The decoder starts with 8 bytes and takes 4 more at each such move. Of the
// last 8 the encoder keeps only the leading k = ⌈(64 − ⌊log₂ width⌋)/8⌉, with
// which some number inside the interval can always be written; those left out
// are zero. The decoder knows width, so it knows the exact length of the data,
// and any other length is corruption.
const (
	probBits  = 16
	probHalf  = 1 << (probBits - 1)
	rangeFull = 1<<64 - 1
	rangeLow  = 1 << 32
)

// rangeCoder encodes or decodes bits; both directions run through the same
// methods, so that a model is written once. The bits passed while decoding are
// ignored, those returned while encoding are those passed.
type rangeCoder struct {
	decoding bool
	low      uint64 // encoder: low end of the interval; decoder: the code minus it
	width    uint64
	buf      []byte // encoder: all output; decoder: the source
	read     int    // decoder: bytes taken, including those (zero) past the end
}

func newRangeEncoder(dst []byte) rangeCoder { return rangeCoder{width: rangeFull, buf: dst} }

func newRangeDecoder(src []byte) rangeCoder {
	c := rangeCoder{decoding: true, width: rangeFull, buf: src}
	c.low = c.word() << 32
	c.low |= c.word()
	return c
}

// bit codes b, which is 1 with probability p/65536, 0 < p < 65536. It has no
// branch on b: the bits of an adaptive coder are hard to predict.
func (c *rangeCoder) bit(b int, p uint32) int {
	bound := c.width >> probBits * uint64(p)
	if c.decoding {
		_, one := bits.Sub64(c.low, bound, 0)
		keep := -one
		c.low -= bound &^ keep
		c.width = bound&keep | (c.width-bound)&^keep
		b = int(one)
	} else {
		keep := -uint64(b)
		low, carry := bits.Add64(c.low, bound&^keep, 0)
		c.low = low
		c.width = bound&keep | (c.width-bound)&^keep
		if carry != 0 {
			c.carry()
		}
	}
	if c.width < rangeLow {
		c.shift()
	}
	return b
}

// carry adds one to the number that the bytes already written make; it stops
// before the first of them because the coded number is below 1.
func (c *rangeCoder) carry() {
	for i := len(c.buf) - 1; ; i-- {
		c.buf[i]++
		if c.buf[i] != 0 {
			return
		}
	}
}

func (c *rangeCoder) shift() {
	c.width <<= 32
	l := c.low
	c.low <<= 32
	if c.decoding {
		c.low |= c.word()
	} else {
		c.buf = append(c.buf, byte(l>>56), byte(l>>48), byte(l>>40), byte(l>>32))
	}
}

// word takes the decoder's next four bytes.
func (c *rangeCoder) word() uint64 {
	var w uint64
	for i := c.read; i < c.read+4; i++ {
		w <<= 8
		if i < len(c.buf) {
			w |= uint64(c.buf[i])
		}
	}
	c.read += 4
	return w
}

// tail returns k of the comment at the top.
func (c *rangeCoder) tail() int { return (72 - bits.Len64(c.width)) / 8 }

// flush ends encoding and returns the output.
func (c *rangeCoder) flush() []byte {
	k := c.tail()
	low, carry := bits.Add64(c.low, 1<<(64-8*k)-1, 0)
	if carry != 0 {
		c.carry()
	}
	for i := range k {
		c.buf = append(c.buf, byte(low>>(56-8*i)))
	}
	return c.buf
}

// overrun reports that decoding has read what no encoder can have left out.
func (c *rangeCoder) overrun() bool { return c.read > len(c.buf)+8 }

// close ends decoding and checks that the whole source was consumed, no more.
func (c *rangeCoder) close() error {
	if n := c.read - 8 + c.tail(); n != len(c.buf) {
		return corruptf(min(n, len(c.buf)), "range-coded data of %d bytes, expected %d", len(c.buf), n)
	}
	return nil
}
