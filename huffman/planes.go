package huffman

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// planes cuts each floating-point number of 8w bits into sign, key (the
// exponent with or without leading bits of the mantissa, top bits), rest and
// drop (low bits that are zero in all elements). Only keys are worth coding in
// trained weights; sign and rest are noise and stored.
//
//	top     1 byte: bits of the key, 1…30
//	drop    1 byte: bits that are zero, top + drop < 8w
//	stored  ⌈n·(8w−top−drop)/8⌉ bytes: sign above rest of each element, packed from the lowest bit up
//	first   uvarint: the greatest key
//	symbols first − key, as "symbols"; or, with coder ID planesBytes, uvarint
//	        the greatest symbol (at most 255) and an AppendHuffman[uint8] payload
const planesBytes = 0xff

// exponentBits returns the width of an IEEE exponent; for 16 bits there are two.
func exponentBits(width int) int {
	switch width {
	case 8:
		return 11
	case 4:
		return 8
	}
	return 5
}

// planesOf is the shape of a cut.
type planesOf struct{ width, top, drop int }

func (s planesOf) stored() int           { return 8*s.width - s.top - s.drop }
func (s planesOf) storedBytes(n int) int { return (n*s.stored() + 7) / 8 }

func (s planesOf) key(v uint64) uint64 { return v >> (8*s.width - 1 - s.top) & (1<<s.top - 1) }

// rest returns sign and rest.
func (s planesOf) rest(v uint64) uint64 {
	r := s.stored() - 1
	return v>>(8*s.width-1)<<r | v>>s.drop&(1<<r-1)
}

// join is the inverse of key and rest.
func (s planesOf) join(key, rest uint64) uint64 {
	r := s.stored() - 1
	return rest>>r<<(8*s.width-1) | key<<(8*s.width-1-s.top) | rest&(1<<r-1)<<s.drop
}

// planes appends the payload of raw, whose elements have the given number of
// low zero bits in common.
func (c *valueCoder) planes(dst, raw []byte, e Elem, drop, depth int) []byte {
	s := planesOf{e.Width, 0, drop}
	s.top = c.planesTop(raw, e, drop)
	n := len(raw) / e.Width
	dst = append(dst, byte(s.top), byte(s.drop))
	at := len(dst)
	dst = append(dst, make([]byte, s.storedBytes(n)+8)...)
	if s == (planesOf{4, 8, 0}) {
		return c.planesFast(dst, at, raw, depth)
	}
	w := bitWriter{buf: dst[:at]}
	keys := c.symbols(n, depth)
	first := int32(0)
	r := uint(s.stored())
	for i := range keys {
		v := load(raw, i, e.Width)
		keys[i] = int32(s.key(v))
		first = max(first, keys[i])
		x := s.rest(v)
		if r > 32 {
			w.put(x&math.MaxUint32, 32)
			w.put(x>>32, r-32)
		} else {
			w.put(x, r)
		}
	}
	dst = binary.AppendUvarint(w.finish(), uint64(first))
	for i := range keys {
		keys[i] = first - keys[i]
	}
	return c.appendSymbols(dst, keys, worthPlanes)
}

// planesFast is planes for whole float32 numbers with the exponent as key: dst
// has room from at for three bytes an element and eight more.
func (c *valueCoder) planesFast(dst []byte, at int, raw []byte, depth int) []byte {
	n := len(raw) / 4
	keys := c.keys(n)
	first := byte(0)
	out := dst[at:]
	for i := range keys {
		v := binary.LittleEndian.Uint32(raw[4*i:])
		k := byte(v >> 23)
		keys[i] = k
		first = max(first, k)
		binary.LittleEndian.PutUint32(out[3*i:], v>>31<<23|v&(1<<23-1))
	}
	last := byte(0)
	for i, k := range keys {
		k = first - k
		keys[i] = k
		last = max(last, k)
	}
	dst = binary.AppendUvarint(dst[:at+3*n], uint64(first))
	if c.effort == 0 {
		dst = append(dst, planesBytes)
		dst = binary.AppendUvarint(dst, uint64(last))
		return AppendHuffman(dst, keys, 0, last)
	}
	sym := c.symbols(n, depth)
	for i, k := range keys {
		sym[i] = int32(k)
	}
	return c.appendSymbols(dst, sym, worthPlanes)
}

// keys returns n bytes of scratch.
func (c *valueCoder) keys(n int) []byte {
	if cap(c.bytes) < n {
		c.bytes = make([]byte, n)
	}
	return c.bytes[:n]
}

// planesTop chooses the bits of the key by the entropy of the key plus the bits
// stored, over some 4,096 elements evenly spaced.
func (c *valueCoder) planesTop(raw []byte, e Elem, drop int) int {
	most := min(exponentBits(e.Width)+4, 8*e.Width-drop-1)
	least := min(exponentBits(e.Width), most)
	if c.effort == 0 && e.Width != 2 {
		return least
	}
	n := len(raw) / e.Width
	s := planesOf{e.Width, most, drop}
	counts := make([]int, 1<<most)
	samples := 0
	for i := 0; i < n; i += max(n/4096, 1) {
		counts[s.key(load(raw, i, e.Width))]++
		samples++
	}
	best, price := least, math.Inf(1)
	for top := most; top >= least; top-- {
		h, seen := 0.0, 0.0
		for _, k := range counts {
			if k > 0 {
				seen++
				h -= float64(float64(k) * math.Log2(float64(k)/float64(samples))) // not fused: the same choice everywhere
			}
		}
		// The entropy of a sample is too small by about (seen−1)/(2·ln 2) bits
		// (G. Miller, 1955), and a key costs some 6 bits of code table.
		h = (h + (seen-1)/(2*math.Ln2)) / float64(samples)
		if p := float64((h-float64(top))*float64(n)) + float64(6*seen); p < price {
			best, price = top, p
		}
		for i := range len(counts) / 2 {
			counts[i] = counts[2*i] + counts[2*i+1]
		}
		counts = counts[:len(counts)/2]
	}
	return best
}

func (c *valueCoder) decodePlanes(dst, src []byte, e Elem, depth int) error {
	if len(src) < 2 {
		return corruptf(0, "planes without a header")
	}
	s := planesOf{e.Width, int(src[0]), int(src[1])}
	n := len(dst) / e.Width
	if s.top < 1 || s.top > 30 || s.top+s.drop >= 8*e.Width {
		return corruptf(0, "planes of %d and %d bits of %d", s.top, s.drop, 8*e.Width)
	}
	stored := s.storedBytes(n)
	if stored > len(src)-2 {
		return corruptf(2, "planes of %d bytes where %d are left", stored, len(src)-2)
	}
	first, rest, err := cutUvarint(src[2+stored:])
	if err != nil {
		return err
	}
	if first>>s.top != 0 {
		return corruptf(2+stored, "key %d of %d bits", first, s.top)
	}
	if len(rest) > 0 && rest[0] == planesBytes {
		return c.joinFast(dst, src[2:2+stored], rest[1:], s, byte(min(first, 255)))
	}
	keys := c.symbols(n, depth)
	if err := decodeSymbols(keys, rest); err != nil {
		return err
	}
	r := bitReader{src: src[2 : 2+stored]}
	width := uint(s.stored())
	for i, k := range keys {
		if k < 0 || uint64(k) > first {
			return corruptf(2+stored, "key %d below the greatest, %d", k, first)
		}
		var x uint64
		if width > 32 {
			x = r.get(32)
			x |= r.get(width-32) << 32
		} else {
			x = r.get(width)
		}
		store(dst, i, e.Width, s.join(first-uint64(k), x))
	}
	return nil
}

// joinFast decodes the keys as bytes.
func (c *valueCoder) joinFast(dst, stored, src []byte, s planesOf, first byte) error {
	if s != (planesOf{4, 8, 0}) {
		return corruptf(0, "byte keys in other planes than 8 of 32 bits")
	}
	last, rest, err := cutUvarint(src)
	if err != nil {
		return err
	}
	if last > uint64(first) {
		return corruptf(0, "key %d below the greatest, %d", last, first)
	}
	n := len(dst) / 4
	keys := c.keys(n)
	used, err := DecodeHuffman(keys, rest, 0, byte(last))
	if err != nil {
		return err
	}
	if used != len(rest) {
		return corruptf(used, "%d bytes behind the keys", len(rest)-used)
	}
	for i, k := range keys {
		var x uint32
		if 3*i+4 <= len(stored) {
			x = binary.LittleEndian.Uint32(stored[3*i:])
		} else {
			x = uint32(stored[3*i]) | uint32(stored[3*i+1])<<8 | uint32(stored[3*i+2])<<16
		}
		binary.LittleEndian.PutUint32(dst[4*i:], x>>23&1<<31|uint32(first-k)<<23|x&(1<<23-1))
	}
	return nil
}

// commonZeros returns how many low bits are zero in all elements (all bits if
// the elements are), and whether all elements are equal.
func commonZeros(raw []byte, width int) (drop int, equal bool) {
	n := len(raw) / width
	first := load(raw, 0, width)
	or, diff := uint64(0), uint64(0)
	for i := range n {
		v := load(raw, i, width)
		or |= v
		diff |= v ^ first
		if i&255 == 255 && or&1 != 0 && diff != 0 {
			return 0, false
		}
	}
	return min(bits.TrailingZeros64(or), 8*width), diff == 0
}
