package huffman

import (
	"encoding/binary"
	"math/bits"
)

// Bit order throughout the package's static coders: the first bit is the least
// significant bit of the first byte (as in RFC 1951), numbers are written least
// significant bit first, and unused bits of the last byte are zero.

// bitWriter appends bit fields to buf.
type bitWriter struct {
	buf []byte
	acc uint64 // n bits that are not in buf yet
	n   uint   // below 32 between calls
}

// put writes the low width ≤ 32 bits of v, whose other bits must be zero.
func (w *bitWriter) put(v uint64, width uint) {
	w.acc |= v << (w.n & 63)
	w.n += width
	if w.n >= 32 {
		w.buf = binary.LittleEndian.AppendUint32(w.buf, uint32(w.acc))
		w.acc >>= 32
		w.n -= 32
	}
}

// finish pads to a whole byte with zeros and returns the buffer.
func (w *bitWriter) finish() []byte {
	for ; w.n > 0; w.n -= min(w.n, 8) {
		w.buf = append(w.buf, byte(w.acc))
		w.acc >>= 8
	}
	return w.buf
}

// putGamma writes v < 2³² in Elias' γ code of v+1: k zeros, a one, then the k
// bits below the leading one of v+1.
func (w *bitWriter) putGamma(v uint64) {
	k := uint(bits.Len64(v+1)) - 1
	w.put(0, k)
	w.put(1, 1)
	w.put(v+1-1<<k, k) // the leading one is implied
}

// gammaBits returns the width of v in putGamma.
func gammaBits(v uint64) int { return 2*bits.Len64(v+1) - 1 }

// bitReader reads bit fields of src. Reading past the end yields zeros and
// leaves pos beyond the end, which over reports.
type bitReader struct {
	src []byte
	pos int // in bits
}

// peek returns the next 57 bits or more (the bits above are undefined).
func (r *bitReader) peek() uint64 {
	return loadBits(r.src, r.pos)
}

// get reads a field of width ≤ 32 bits.
func (r *bitReader) get(width uint) uint64 {
	v := r.peek() & (1<<width - 1)
	r.pos += int(width)
	return v
}

// gamma reads what putGamma wrote. A number above 2³²−1 leaves the reader over.
func (r *bitReader) gamma() uint64 {
	k := uint(bits.TrailingZeros64(r.peek() | 1<<40))
	if k > 32 {
		r.pos = 8*len(r.src) + 1
		return 0
	}
	r.pos += int(k) + 1
	return r.get(k) + 1<<k - 1
}

// over reports whether more bits were read than there are.
func (r *bitReader) over() bool { return r.pos > 8*len(r.src) }

// offset is the byte that pos lies in, for errors.
func (r *bitReader) offset() int { return min(r.pos>>3, len(r.src)) }

// close checks that the bits after pos up to the next byte are zero and
// returns the number of bytes read.
func (r *bitReader) close() (int, error) {
	if r.over() {
		return 0, corruptf(len(r.src), "the data end too early")
	}
	if rest := uint(-r.pos & 7); rest > 0 && r.get(rest) != 0 {
		return 0, corruptf(r.offset()-1, "padding bits are not zero")
	}
	return r.pos >> 3, nil
}

// loadBits returns at least 57 bits of src from bit pos on, zeros past the end.
func loadBits(src []byte, pos int) uint64 {
	if i := pos >> 3; i+8 <= len(src) {
		return binary.LittleEndian.Uint64(src[i:]) >> (uint(pos) & 7)
	}
	return loadTail(src, pos)
}

// loadTail is loadBits near the end, apart so that loadBits is inlined.
func loadTail(src []byte, pos int) uint64 {
	var v uint64
	for j := len(src) - 1; j >= pos>>3; j-- {
		v = v<<8 | uint64(src[j])
	}
	return v >> (uint(pos) & 7)
}
