package huffman

import (
	"encoding/binary"
	"math"
	"slices"
)

// Tokens in several bit streams. A decoder of one stream waits for each
// table look-up before it knows where the next codeword begins, about 8 cycles
// each; four independent streams keep a core busy meanwhile. Every stream codes
// one contiguous part of the tokens, ⌈n/streams⌉ long but for the last. The
// streams follow each other without padding; the lengths of all but the last
// are told in bits, and each must end where the next begins.

// manyTokens is the number from which tokens are coded in several streams:
// below, the lengths of the streams would be felt in the ratio.
const manyTokens = 4096

// logStreams returns the binary logarithm of the number of streams for n tokens.
func logStreams(n int) uint {
	if n < manyTokens || n > 1<<28 { // a stream's length must fit in 32 bits
		return 0
	}
	return 2
}

// part returns the bounds of stream i of 1<<logStreams in n tokens.
func part(n, i int, logStreams uint) (first, end int) {
	size := (n + 1<<logStreams - 1) >> logStreams
	return min(i*size, n), min((i+1)*size, n)
}

// putLengths writes the lengths of all streams but the last.
func putLengths(w *bitWriter, lengths []uint64) {
	if len(lengths) == 0 {
		return
	}
	width := fixedWidth(slices.Max(lengths) + 1)
	w.put(uint64(width), 6)
	for _, l := range lengths {
		w.put(l, width)
	}
}

// lengthsBits bounds the bits that putLengths writes for n tokens.
func lengthsBits(n int, logStreams uint) int {
	if logStreams == 0 {
		return 0
	}
	return 6 + (1<<logStreams-1)*int(fixedWidth(uint64(n)*maxCodeLen))
}

// putTokens writes the codewords of tokens. The bits that follow in total must
// be known to the caller, who reserves space for them and 8 bytes more.
func putTokens[U uint8 | uint16](w *bitWriter, tokens []U, words []uint32) {
	p := len(w.buf)
	out := w.buf[:cap(w.buf)]
	acc, n := w.acc, w.n
	for ; n >= 8; n -= 8 {
		out[p] = byte(acc)
		acc >>= 8
		p++
	}
	for len(tokens) >= 3 { // 7 + 3·15 bits are held at most
		a, b, c := words[tokens[0]], words[tokens[1]], words[tokens[2]]
		tokens = tokens[3:]
		acc |= uint64(uint16(a)) << (n & 63)
		n += uint(a >> 16)
		acc |= uint64(uint16(b)) << (n & 63)
		n += uint(b >> 16)
		acc |= uint64(uint16(c)) << (n & 63)
		n += uint(c >> 16)
		binary.LittleEndian.PutUint64(out[p:], acc)
		p += int(n >> 3)
		acc >>= n & 56
		n &= 7
	}
	w.buf, w.acc, w.n = out[:p], acc, n
	for _, t := range tokens {
		w.put(uint64(uint16(words[t])), uint(words[t]>>16))
	}
}

// putStreams writes the lengths of the streams, then the streams; space as for
// putTokens.
func putStreams[U uint8 | uint16](w *bitWriter, tokens []U, words []uint32, log uint) {
	lengths := make([]uint64, 1<<log-1)
	for i := range lengths {
		first, end := part(len(tokens), i, log)
		var even, odd uint32 // of at most 2²⁶ tokens, see logStreams
		tokens := tokens[first:end]
		for ; len(tokens) >= 2; tokens = tokens[2:] {
			even += words[tokens[0]] >> 16
			odd += words[tokens[1]] >> 16
		}
		for _, t := range tokens {
			odd += words[t] >> 16
		}
		lengths[i] = uint64(even) + uint64(odd)
	}
	putLengths(w, lengths)
	putTokens(w, tokens, words)
}

const toldByItself = -1

// stream is the state of one stream that is being decoded.
type stream struct {
	pos, end  int // in bits of the source; the last stream's end is toldByItself
	out, stop int // in bytes of the destination
}

// getTokens reads len(dst)/width tokens into dst, streams and their lengths
// included, and leaves r behind the last.
func (t *decodeTable) getTokens(r *bitReader, dst []byte, logStreams uint) error {
	var all [8]stream
	streams := all[:1<<logStreams]
	var width uint
	if logStreams > 0 {
		width = uint(r.get(6))
	}
	if width > 32 {
		return corruptf(r.offset(), "stream lengths of %d bits", width)
	}
	for i := range streams[1:] {
		streams[i].end = int(r.get(width))
	}
	pos := r.pos
	for i := range streams {
		s := &streams[i]
		s.pos = pos
		pos += s.end
		s.end = pos
		s.out, s.stop = part(len(dst)/t.width, i, logStreams)
		s.out *= t.width
		s.stop *= t.width
	}
	streams[len(streams)-1].end = toldByItself
	if pos > 8*len(r.src) {
		return corruptf(r.offset(), "streams go beyond the data")
	}
	return t.decodeStreams(r, dst, streams)
}

// decodeStreams decodes until every stream is done.
func (t *decodeTable) decodeStreams(r *bitReader, dst []byte, streams []stream) error {
	for len(streams) > 0 {
		rounds := math.MaxInt
		for i := 0; i < len(streams); i++ {
			s := &streams[i]
			// A round stays inside the stream's part of dst and of src's last word.
			n := min((s.stop-s.out)/roundBytes, (8*(len(r.src)-8)-s.pos)/roundBits)
			if n > 0 {
				rounds = min(rounds, n)
				continue
			}
			t.finish(r.src, dst, s)
			if s.end == toldByItself {
				r.pos = s.pos
			} else if s.pos != s.end {
				return corruptf(min(s.pos>>3, len(r.src)), "a stream ends at the wrong bit")
			}
			streams = slices.Delete(streams, i, i+1)
			i--
		}
		if len(streams) > 0 {
			t.fillMulti()
			t.rounds(r.src, dst, streams, rounds)
		}
	}
	return nil
}

// rounds decodes lookupsARound look-ups from every stream, n times over.
func (t *decodeTable) rounds(src, dst []byte, streams []stream, n int) {
	multi := (*[1 << tableBits]uint64)(t.multi)
	const mask = 1<<tableBits - 1
	for ; n > 0; n-- {
		for i := range streams {
			s := &streams[i]
			v := binary.LittleEndian.Uint64(src[s.pos>>3:]) >> (uint(s.pos) & 7)
			out := dst[s.out:]
			var sum uint64 // bits consumed, bytes emitted << 8

			e := multi[v&mask]
			binary.LittleEndian.PutUint64(out, e)
			e >>= 48
			v >>= e & 63
			sum += e

			e = multi[v&mask]
			binary.LittleEndian.PutUint64(out[sum>>8:], e)
			e >>= 48
			v >>= e & 63
			sum += e

			e = multi[v&mask]
			binary.LittleEndian.PutUint64(out[sum>>8:], e)
			e >>= 48
			v >>= e & 63
			sum += e

			e = multi[v&mask]
			binary.LittleEndian.PutUint64(out[sum>>8:], e)
			e >>= 48
			v >>= e & 63
			sum += e

			e = multi[v&mask]
			binary.LittleEndian.PutUint64(out[sum>>8:], e)
			e >>= 48
			sum += e

			s.out += int(sum >> 8)
			s.pos += int(sum & 0xff)
			if e == 0 { // a codeword longer than the table's index comes next
				t.one(src, dst, s)
			}
		}
	}
}

// one decodes one token.
func (t *decodeTable) one(src, dst []byte, s *stream) {
	value, length := t.long(loadBits(src, s.pos))
	dst[s.out] = byte(value)
	if t.width == 2 {
		dst[s.out+1] = byte(value >> 8)
	}
	s.out += t.width
	s.pos += int(length)
}

// finish decodes the rest of a stream one by one.
func (t *decodeTable) finish(src, dst []byte, s *stream) {
	for s.out < s.stop && s.pos < 8*len(src) {
		t.one(src, dst, s)
	}
	if s.out < s.stop {
		s.pos = 8*len(src) + 1 // the data end too early
	}
}
