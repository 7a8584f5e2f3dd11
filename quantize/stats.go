package quantize

import (
	"math"

	"github.com/effml/effml/internal/weights"
)

// Stats is what a quantiser does to the weights it was made for, measured over all of them.
type Stats struct {
	Weights int     // number of weights
	Zeros   int     // weights whose value is exactly zero after quantisation
	Signal  float64 // mean of w²
	MSE     float64 // mean of (w-q)², q rounded by Round where the options name one
	SQNR    float64 // 10·log10(Signal/MSE) in dB; +Inf when nothing is lost
	Entropy float64 // zero-order entropy of the codes, bits a weight
	Levels  int     // levels in use; of groups, the most that one group uses
	Method  string  // "grid", "k-means linear", "k-means optimal", …
}

// Round rounds values in place to what the tensor's data type can hold; nil stands for float32. See [RoundTo].
type Round func(values []float32)

// Measure quantises every weight of src and reports the loss. It reads src once. A weight that is NaN or infinite is a
// *ValueError.
func Measure(src Source, q Quantizer, round Round) (Stats, error) {
	t, err := measure(src, q, round)
	if err != nil {
		return Stats{}, err
	}
	return t.stats(src.Len(), q), nil
}

const measureLanes = 8

// tally is the result of a measurement before it is divided out.
type tally struct {
	signal, noise float64
	counts        []uint32 // of the codes, from the least
	value         []float32
	codes         []int32
	even          []uint32 // counts of every other weight: neighbours that are equal do not wait for each other
}

func measure(src Source, q Quantizer, round Round) (*tally, error) {
	value := q.levels(round)
	lo, _ := q.Range()
	c := q.coder(src.Len())
	start := func(int) *tally {
		n := len(value)
		counts := make([]uint32, 2*n)
		return &tally{value: value, counts: counts[:n:n], even: counts[n:], codes: make([]int32, min(src.Len(), 4096))}
	}
	lanes, err := weights.Lanes(src, measureLanes, start, func(t *tally, w []float32, first int) error {
		for i := 0; i < len(w); i += len(t.codes) {
			part := w[i:min(len(w), i+len(t.codes))]
			c.codes(t.codes, part)
			t.add(part, lo)
		}
		if math.IsNaN(t.noise) || math.IsInf(t.signal, 0) || math.IsNaN(t.signal) {
			return finite(w, first)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	sum := lanes[0]
	for _, t := range lanes[1:] {
		sum.signal += t.signal
		sum.noise += t.noise
		for i, n := range t.counts {
			sum.counts[i] += n
		}
	}
	for _, t := range lanes {
		for i, n := range t.even {
			sum.counts[i] += n
		}
	}
	return sum, nil
}

// add accounts for some weights whose codes are in t.codes; lo is the least code.
func (t *tally) add(w []float32, lo int32) {
	codes := t.codes[:len(w)]
	var s0, s1, n0, n1 float64
	i := 0
	for ; i+1 < len(w); i += 2 {
		a, b := codes[i]-lo, codes[i+1]-lo
		x, y := float64(w[i]), float64(w[i+1])
		t.counts[a]++
		t.even[b]++
		d, e := x-float64(t.value[a]), y-float64(t.value[b])
		s0 += float64(x * x)
		s1 += float64(y * y)
		n0 += float64(d * d)
		n1 += float64(e * e)
	}
	if i < len(w) {
		a := codes[i] - lo
		x := float64(w[i])
		t.counts[a]++
		d := x - float64(t.value[a])
		s0 += float64(x * x)
		n0 += float64(d * d)
	}
	t.signal += s0 + s1
	t.noise += n0 + n1
}

func (t *tally) stats(n int, q Quantizer) Stats {
	s := Stats{Weights: n, Method: "grid", SQNR: math.Inf(1)}
	if len(q.Codebook) > 0 {
		s.Method = "k-means"
	}
	if n == 0 {
		return s
	}
	s.Signal, s.MSE = t.signal/float64(n), t.noise/float64(n)
	s.SQNR = decibel(t.signal, t.noise)
	for i, c := range t.counts {
		if c == 0 {
			continue
		}
		s.Levels++
		p := float64(c) / float64(n)
		s.Entropy -= p * math.Log2(p)
		if t.value[i] == 0 {
			s.Zeros += int(c)
		}
	}
	s.Entropy = max(0, s.Entropy) // not -0
	return s
}

// decibel returns the ratio of signal to noise; no noise is +Inf.
func decibel(signal, noise float64) float64 {
	if noise == 0 {
		return math.Inf(1)
	}
	return 10 * math.Log10(signal/noise)
}
