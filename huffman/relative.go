package huffman

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// relativeCoder is the sparse form of S. Han, H. Mao and W. Dally, "Deep
// Compression", ICLR 2016: sections 2 (relative index, figure 2) and 4 (Huffman
// coding of both streams). Each non-zero becomes an entry of its code and the
// number of zeros before it; where more than 2^width−1 zeros lie between, filler
// entries of code 0 bridge them, each 2^width positions long. Symbol 0 is what
// every unlisted position holds.
//
// Payload: the number of entries as a uvarint; if there are any, the width (one
// byte), the bytes of the gaps' payload as a uvarint, that payload, and the
// payload of the codes (both of AppendHuffman; gaps in 0…2^width−1, codes in the
// range of the symbols widened to 0).
//
// Deviation: the paper fixes the width (8 bits for convolutions, 5 for fully
// connected layers); the default here is the width of 1…8 that needs the fewest
// bits, since Huffman coding makes short gaps cheap in a wide field too.
type relativeCoder struct {
	width uint // of a gap in bits, 0 for the best
}

// maxGapWidth is the widest gap in bits.
const maxGapWidth = 8

// RelativeCoder returns the relative coder with gaps of width bits, 1…8, as in
// the paper; 0 leaves the width to the encoder. The payload tells the width: any
// relative coder decodes it.
func RelativeCoder(width int) (Coder, error) {
	if width < 0 || width > maxGapWidth {
		return nil, fmt.Errorf("huffman: gap width %d is outside 0…%d", width, maxGapWidth)
	}
	return relativeCoder{uint(width)}, nil
}

func (relativeCoder) Name() string { return "relative" }
func (relativeCoder) ID() byte     { return 2 }

// withZero widens p to hold the code of a filler.
func withZero(p Params) Params { return Params{min(p.Min, 0), max(p.Max, 0)} }

func (c relativeCoder) Encode(dst []byte, sym []int32, _ []int, p Params) ([]byte, error) {
	if err := checkSymbols(sym, p); err != nil || len(sym) == 0 {
		return dst, err
	}
	width := c.width
	if width == 0 {
		width = bestGapWidth(sym)
	}
	gaps, codes := relativeEntries(sym, width)
	dst = binary.AppendUvarint(dst, uint64(len(codes)))
	if len(codes) == 0 {
		return dst, nil
	}
	packed := AppendHuffman(nil, gaps, 0, byte(1<<width-1))
	dst = append(dst, byte(width))
	dst = binary.AppendUvarint(dst, uint64(len(packed)))
	dst = append(dst, packed...)
	q := withZero(p)
	return AppendHuffman(dst, codes, q.Min, q.Max), nil
}

// relativeEntries returns the gap and the code of every entry.
func relativeEntries(sym []int32, width uint) (gaps []byte, codes []int32) {
	gap := 0
	for _, s := range sym {
		if s == 0 {
			gap++
			continue
		}
		for ; gap>>width > 0; gap -= 1 << width {
			gaps = append(gaps, byte(1<<width-1))
			codes = append(codes, 0)
		}
		gaps = append(gaps, byte(gap))
		codes = append(codes, s)
		gap = 0
	}
	return gaps, codes
}

func (relativeCoder) Decode(dst []int32, src []byte, _ []int, p Params) error {
	if err := checkDecode(dst, src, p); err != nil || len(dst) == 0 {
		return err
	}
	h, err := readRelativeHeader(src)
	if err != nil {
		return err
	}
	if h.entries > uint64(len(dst)) {
		return corruptf(0, "%d entries for %d symbols", h.entries, len(dst))
	}
	gaps, codes := make([]byte, h.entries), dst[len(dst)-int(h.entries):]
	if h.entries > 0 {
		n, err := DecodeHuffman(gaps, src[h.gaps:h.codes], 0, byte(1<<h.width-1))
		if err == nil && n != h.codes-h.gaps {
			err = corruptf(n, "%d bytes too many for the gaps", h.codes-h.gaps-n)
		}
		if err != nil {
			return shifted(err, h.gaps)
		}
		if err := (huffmanCoder{}).Decode(codes, src[h.codes:], nil, withZero(p)); err != nil {
			return shifted(err, h.codes)
		}
	}
	// Codes lie at the end of dst and move towards its start: no position is
	// written before the code there was read.
	pos, spare := 0, len(dst)-len(codes)
	for i, g := range gaps {
		if spare -= int(g); spare < 0 {
			return corruptf(h.gaps, "entry %d lies beyond the last symbol", i)
		}
		code := codes[i]
		clear(dst[pos : pos+int(g)])
		pos += int(g) + 1
		dst[pos-1] = code
	}
	clear(dst[pos:])
	if p.Min > 0 || p.Max < 0 {
		if err := checkSymbols(dst, p); err != nil {
			return corruptf(0, "a zero where symbols are in %d…%d", p.Min, p.Max)
		}
	}
	return nil
}

// Parts counts the header and the gaps as positions.
func (relativeCoder) Parts(src []byte) (codes, positions int, err error) {
	if len(src) == 0 {
		return 0, 0, nil
	}
	h, err := readRelativeHeader(src)
	return len(src) - h.codes, h.codes, err
}

// relativeHeader says where the parts of a payload begin.
type relativeHeader struct {
	entries     uint64
	width       uint
	gaps, codes int
}

func readRelativeHeader(src []byte) (h relativeHeader, err error) {
	entries, n := binary.Uvarint(src)
	if n <= 0 {
		return h, corruptf(0, "no number of entries")
	}
	h.entries = entries
	if entries == 0 {
		if n < len(src) {
			return h, corruptf(n, "%d bytes too many", len(src)-n)
		}
		h.gaps, h.codes = n, n
		return h, nil
	}
	if n == len(src) || src[n] == 0 || src[n] > maxGapWidth {
		return h, corruptf(n, "no gap width of 1…%d", maxGapWidth)
	}
	h.width = uint(src[n])
	size, m := binary.Uvarint(src[n+1:])
	h.gaps = n + 1 + m
	if m <= 0 || size > uint64(len(src)-h.gaps) {
		return h, corruptf(n+1, "gaps go beyond the data")
	}
	h.codes = h.gaps + int(size)
	return h, nil
}

// shifted adds by to the offset of a corrupt part's error.
func shifted(err error, by int) error {
	var c *CorruptError
	if errors.As(err, &c) {
		return &CorruptError{Offset: c.Offset + by, Msg: c.Msg}
	}
	return err
}

// bestGapWidth returns the width that needs the fewest bits: gaps at the lengths
// of their Huffman code, codes at their entropy.
func bestGapWidth(sym []int32) uint {
	var short [1024]uint32 // by gap
	var long []int
	gap, nonZero := 0, 0
	for _, s := range sym {
		if s == 0 {
			gap++
			continue
		}
		if gap < len(short) {
			short[gap]++
		} else {
			long = append(long, gap)
		}
		gap = 0
		nonZero++
	}
	best, least := uint(1), math.Inf(1)
	for width := uint(1); width <= maxGapWidth; width++ {
		counts := make([]uint32, 1<<width)
		fillers := uint32(0)
		add := func(gap int, times uint32) {
			f := uint32(gap>>width) * times
			counts[gap&(1<<width-1)] += times
			counts[1<<width-1] += f
			fillers += f
		}
		for gap, times := range short {
			add(gap, times)
		}
		for _, gap := range long {
			add(gap, 1)
		}
		// The entropy of the codes, but for a part that no filler changes.
		bits := xlog2(float64(nonZero)+float64(fillers)) - xlog2(float64(fillers))
		if bits += huffmanBits(counts); bits < least {
			best, least = width, bits
		}
	}
	return best
}

// huffmanBits returns the bits of a code table and all codewords.
func huffmanBits(counts []uint32) float64 {
	used := 0
	for _, n := range counts {
		if n > 0 {
			used++
		}
	}
	if used < 2 {
		return 8
	}
	code, body := newPrefixCode(counts)
	return float64(code.putBits()) + float64(body)
}
