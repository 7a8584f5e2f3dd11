package huffman

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// kraft returns Σ 2^(limit−len).
func kraft(lens []uint8, limit int) int {
	sum := 0
	for _, l := range lens {
		sum += 1 << (limit - int(l))
	}
	return sum
}

func cost(weights []uint32, lens []uint8) uint64 {
	var sum uint64
	for i, w := range weights {
		sum += uint64(w) * uint64(lens[i])
	}
	return sum
}

// cheapest tries all lengths 1…limit for every weight and returns the least cost
// of those that a prefix code can have.
func cheapest(weights []uint32, limit int) uint64 {
	best := ^uint64(0)
	lens := make([]uint8, len(weights))
	var try func(i, room int)
	try = func(i, room int) {
		if i == len(lens) {
			best = min(best, cost(weights, lens))
			return
		}
		for l := 1; l <= limit; l++ {
			if need := 1 << (limit - l); need <= room {
				lens[i] = uint8(l)
				try(i+1, room-need)
			}
		}
	}
	try(0, 1<<limit)
	return best
}

type weightHeap []uint64

func (h weightHeap) Len() int           { return len(h) }
func (h weightHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h weightHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *weightHeap) Push(x any)        { *h = append(*h, x.(uint64)) }
func (h *weightHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

// textbook returns the cost of Huffman's own construction, without a limit.
func textbook(weights []uint32) uint64 {
	var h weightHeap
	for _, w := range weights {
		h = append(h, uint64(w))
	}
	heap.Init(&h)
	var sum uint64
	for len(h) > 1 {
		merged := heap.Pop(&h).(uint64) + heap.Pop(&h).(uint64)
		sum += merged
		heap.Push(&h, merged)
	}
	return sum
}

func TestCodeLengthsAreTheExhaustiveOptimum(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		weights := make([]uint32, 2+rng.IntN(5))
		for i := range weights {
			weights[i] = 1 + uint32(rng.IntN(1<<rng.IntN(12)))
		}
		limit := 3 + rng.IntN(3)
		lens := codeLengths(weights, limit)
		if got, want := cost(weights, lens), cheapest(weights, limit); got != want {
			t.Fatalf("weights %v, limit %d: lengths %v cost %d, optimum %d", weights, limit, lens, got, want)
		}
	}
}

func TestCodeLengthsFormACompleteOrderedCode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 600).Draw(t, "n")
		shift := rapid.IntRange(0, 31).Draw(t, "shift")
		weights := make([]uint32, n)
		seed := rapid.Uint64().Draw(t, "seed")
		rng := rand.New(rand.NewPCG(seed, 1))
		for i := range weights {
			weights[i] = 1 + rng.Uint32()>>rng.IntN(shift+1)
		}
		lens := codeLengths(weights, maxCodeLen)
		if k := kraft(lens, maxCodeLen); k != 1<<maxCodeLen {
			t.Fatalf("Kraft sum %d/%d", k, 1<<maxCodeLen)
		}
		for i := range weights {
			for j := range weights {
				if weights[i] > weights[j] && lens[i] > lens[j] {
					t.Fatalf("weight %d has a longer codeword than %d", weights[i], weights[j])
				}
			}
		}
		got, free := cost(weights, lens), textbook(weights)
		if got < free || int(slices.Max(lens)) < maxCodeLen && got != free {
			t.Fatalf("cost %d, without limit %d", got, free)
		}
	})
}

func TestCodeLengthsOfEveryCodeword(t *testing.T) {
	for _, n := range []int{1<<maxCodeLen - 1, 1 << maxCodeLen} {
		lens := codeLengths(slices.Repeat([]uint32{7}, n), maxCodeLen)
		if k := kraft(lens, maxCodeLen); k != 1<<maxCodeLen {
			t.Errorf("%d symbols: Kraft sum %d", n, k)
		}
	}
}

// The example of RFC 1951, section 3.2.2.
func TestCodewordsOfRFC1951(t *testing.T) {
	c := prefixCode{sym: []uint16{0, 1, 2, 3, 4, 5, 6, 7}, len: []uint8{3, 3, 3, 3, 3, 2, 4, 4}}
	words := make([]uint32, 8)
	c.codewords(words)
	for s, want := range []string{"010", "011", "100", "101", "110", "00", "1110", "1111"} {
		got := ""
		for i := range words[s] >> 16 {
			got += string('0' + rune(words[s]>>i&1)) // sent from the low bit on
		}
		if got != want {
			t.Errorf("symbol %d: codeword %s, want %s", s, got, want)
		}
	}
}

func TestPrefixCodeOnTheWire(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for trial := range 200 {
		counts := make([]uint32, 2+rng.IntN(1<<rng.IntN(15)))
		for i := range counts {
			if trial%3 > 0 || rng.IntN(10) == 0 {
				counts[i] = uint32(rng.IntN(1 << rng.IntN(20)))
			}
		}
		counts[0], counts[len(counts)-1] = 1, 1+rng.Uint32N(9)
		code, _ := newPrefixCode(counts)
		var w bitWriter
		w.put(1, 3)
		code.put(&w)
		w.put(1, 1)
		r := bitReader{src: w.finish(), pos: 3}
		got, err := readPrefixCode(&r, len(counts)-1)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.sym, code.sym) || !slices.Equal(got.len, code.len) {
			t.Fatal("another code came back")
		}
		if r.pos != 3+code.putBits() || r.get(1) != 1 {
			t.Fatal("wrong number of bits consumed")
		}
		r.pos = 3
		if _, err := readPrefixCode(&r, len(counts)-2); err == nil {
			t.Fatal("a symbol beyond the last was accepted")
		}
	}
}

func TestReadPrefixCodeRefuses(t *testing.T) {
	bitsOf := func(fields ...uint64) []byte { // value, width, value, width, …
		var w bitWriter
		for i := 0; i < len(fields); i += 2 {
			w.put(fields[i], uint(fields[i+1]))
		}
		return w.finish()
	}
	for name, src := range map[string][]byte{
		"nothing":        {},
		"length 0":       bitsOf(0, 4),
		"stepped to 0":   bitsOf(1, 4, 0b01, 2),
		"stepped to 16":  bitsOf(15, 4, 0b011, 3),
		"oversubscribed": bitsOf(2, 4, 0, 1, 0, 1, 0b01, 2),
		"ends too early": bitsOf(15, 4),
		"two gaps":       bitsOf(2, 4, 0b0111, 4, 1, 1, 0b0111, 4, 1, 1),
		"endless gap":    bitsOf(2, 4, 0b0111, 4, 0, 32, 0, 32),
	} {
		if c, err := readPrefixCode(&bitReader{src: src}, 65535); err == nil {
			t.Errorf("%s: accepted as %v", name, c)
		}
	}
}

// Every stream count of the format is decoded, also those that no encoder here
// chooses, and tables of every width.
func TestStreamCounts(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for _, width := range []int{1, 2} {
		for log := uint(0); log <= 3; log++ {
			for _, n := range []int{1, 2, 3, 7, 8, 9, 50, 500, 5000, 20000} {
				tokens, counts := make([]uint16, n), make([]uint32, 256)
				for i := range tokens {
					tokens[i] = uint16(min(rng.ExpFloat64()*float64(1+n%40), 255))
					counts[tokens[i]]++
				}
				counts[0], counts[255] = counts[0]+1, counts[255]+1
				code, body := newPrefixCode(counts)
				words := make([]uint32, 256)
				code.codewords(words)
				w := bitWriter{buf: make([]byte, 0, body/8+100)}
				putStreams(&w, tokens, words, log)
				r := bitReader{src: w.finish()}
				dst := make([]byte, width*n)
				if err := newDecodeTable(code, code.sym, width, n).getTokens(&r, dst, log); err != nil {
					t.Fatalf("width %d, %d streams, %d tokens: %v", width, 1<<log, n, err)
				}
				for i, want := range tokens {
					if got := dst[width*i]; uint16(got) != want || width == 2 && dst[2*i+1] != 0 {
						t.Fatalf("width %d, %d streams, %d tokens: token %d is %d, want %d", width, 1<<log, n, i, got, want)
					}
				}
				if used, err := r.close(); err != nil || used != len(r.src) {
					t.Fatalf("%d of %d bytes used, %v", used, len(r.src), err)
				}
			}
		}
	}
}
