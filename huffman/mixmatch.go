package huffman

import "math/bits"

const (
	matchCheck  = 64   // longest match that is verified
	matchLimit  = 1023 // of the probabilities
	matchMisses = 8    // of the last 16 predicted bytes, more end a match
)

// matcher predicts that what followed the last occurrence of the latest least
// bytes will follow again, and stays at its place behind a mismatch, so that it
// survives the counter in a name.
type matcher struct {
	least int
	head  []int32 // hash of least bytes → the place behind their last occurrence, 0 for none
	shift int
	at    int    // the place in the past of the byte predicted; 0 for none
	long  int    // bytes matched since the last mismatch
	miss  uint32 // one bit for each byte predicted, 1 for wrong, the latest lowest
	next  int    // the byte predicted with a one above its bits; 0 for none
	bit   int    // the bit predicted
	used  *adaptive
	maps  [32][16]adaptive // that the prediction is right, by length and by miss and "first bit"
}

func (t *matcher) init(n, least int) {
	l := min(max(bits.Len(uint(n)), 6), 18)
	t.least, t.head, t.shift = least, make([]int32, 1<<l), 32-l
	for l := range uint32(len(t.maps)) {
		t.maps[l][0] = newAdaptive(65536-65536/(2*l+3), 6)
		t.maps[l][1] = t.maps[l][0]
		for k := 2; k < 16; k++ {
			t.maps[l][k] = newAdaptive(65536-65536/(l+3), 6)
		}
	}
}

// append looks for what may follow past, whose last byte is new.
func (t *matcher) append(past []byte) {
	n := len(past)
	if t.at > 0 {
		t.miss <<= 1
		t.long++
		if past[t.at] != past[n-1] {
			t.miss |= 1
			t.long = 0
		}
		t.at++
		if bits.OnesCount32(t.miss&0xffff) > matchMisses {
			t.at, t.long = 0, 0
		}
	}
	if n >= t.least {
		h := uint32(0)
		for _, b := range past[n-t.least:] {
			h = (h + uint32(b) + 1) * 0x2F0B4C47
			h ^= h >> 15
		}
		h = h * 0x9E3779B1 >> t.shift
		if c := int(t.head[h]); t.long < t.least && c > 0 {
			l := 0
			for l < matchCheck && l < c && past[c-1-l] == past[n-1-l] {
				l++
			}
			if l >= t.least {
				t.at, t.long, t.miss = c, l, 0
			}
		}
		t.head[h] = int32(n)
	}
	t.next = 0
	if t.at > 0 {
		t.next = int(past[t.at]) | 256
	}
}

// predict returns the input for bit k of a byte whose bits so far are c0: 0
// unless they are as predicted.
func (t *matcher) predict(c0, k int) int32 {
	t.used = nil
	if t.next>>(8-k) != c0 {
		return 0
	}
	l := t.long
	if l >= 16 {
		l = min(16+(l-16)>>2, 31)
	}
	m := int(t.miss&7) << 1
	if k == 0 {
		m |= 1
	}
	t.used = &t.maps[l][m]
	t.bit = t.next >> (7 - k) & 1
	if t.bit == 0 {
		return -t.used.stretch()
	}
	return t.used.stretch()
}

// class is 0 without a prediction, otherwise the bit length of the match's
// length, at most 7; coarse is 0, or 1, 2, 3 for lengths of 0, to 15, above.
func (t *matcher) class() int {
	if t.used == nil {
		return 0
	}
	return min(bits.Len(uint(t.long)), 7)
}

func (t *matcher) coarse() int {
	switch {
	case t.used == nil:
		return 0
	case t.long == 0:
		return 1
	case t.long < 16:
		return 2
	}
	return 3
}

// update teaches the probability used whether the bit predicted came.
func (t *matcher) update(bit int) {
	if t.used != nil {
		t.used.update(positive(1-(bit^t.bit)), matchLimit)
	}
}
