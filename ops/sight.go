package ops

import (
	"fmt"
	"math"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// sightWindow is how far a query sees.
type sightWindow struct {
	causal      bool
	left, right int // keys before and behind the query's own; −1: no bound
}

// sight is which keys each query of a run may see, and what the mask adds to their scores: numbers, or −∞ where a bool is false.
type sight struct {
	sightWindow
	heads, queries, keys int
	past                 int            // keys before those of this call
	valid                []int64        // keys of each sample that count, nil: all
	mask                 *tensor.Tensor // broadcast to [batch, heads, queries, keys]; the last axis may be shorter; nil: none
}

// read takes the mask and the numbers of valid keys from inputs 3 and 6.
func (s *sight) read(c *Call, batch int) error {
	s.mask, s.valid = c.input(3), nil
	if m := s.mask; m != nil {
		full := [...]int{batch, s.heads, s.queries, s.keys}
		ok := len(m.Shape) >= 1 && len(m.Shape) <= len(full) && (typesHalf | 1<<onnx.Float | typesBool).has(m.Type)
		for i, d := range m.Shape {
			want := full[max(0, len(full)-len(m.Shape)+i)]
			last := i == len(m.Shape)-1
			ok = ok && (d == want || d == 1 && !last || last && d < want)
		}
		if !ok {
			return fmt.Errorf("mask is %s, for scores %v", m, full)
		}
	}
	if t := c.input(6); t != nil {
		if t.Type != onnx.Int64 || len(t.Shape) != 1 || t.Shape[0] != batch || s.past > 0 {
			return fmt.Errorf("nonpad_kv_seqlen is %s, of a batch of %d with %d past keys", t, batch, s.past)
		}
		s.valid = tensor.Of[int64](t)
	}
	return nil
}

// rangeOf returns the keys lo to hi−1 that causality, window and the number of valid keys let a query of sample b see.
func (s *sight) rangeOf(b, query int) (lo, hi int) {
	hi = s.keys
	at := query + s.past
	if s.valid != nil {
		n := s.valid[b]
		hi = int(max(0, min(n, int64(s.keys))))
		at = query + int(n) - s.queries
	}
	if s.causal {
		hi = min(hi, at+1)
	}
	if s.right >= 0 {
		hi = min(hi, at+s.right+1)
	}
	if s.left >= 0 {
		lo = at - s.left
	}
	lo = max(0, min(lo, s.keys))
	return lo, max(lo, hi)
}

// bias adds the mask to the scores of a query and makes those of keys out of its sight −∞. It returns the keys lo to hi−1 beyond
// which all are out of sight, and whether any is in sight.
func (s *sight) bias(row []float32, b, head, query int) (lo, hi int, seen bool) {
	lo, hi = s.rangeOf(b, query)
	if s.mask == nil {
		hide(row[:lo])
		hide(row[hi:])
		return lo, hi, lo < hi
	}
	first, n := s.maskRow(b, head, query)
	hi = max(lo, min(hi, n))
	hide(row[:lo])
	hide(row[hi:])
	bools, hidden := s.mask.Type == onnx.Bool, float32(math.Inf(-1))
	var buf [64]float32
	for part := row[lo:hi]; len(part) > 0; {
		add := buf[:min(len(buf), len(part))]
		s.mask.Floats(add, first+hi-len(part))
		for i, v := range add {
			if bools && v == 0 || !bools && v == hidden {
				part[i] = hidden
				continue
			}
			if !bools {
				part[i] += v
			}
			seen = true
		}
		part = part[len(add):]
	}
	return lo, hi, seen
}

// maskRow returns where the row of the mask for a query begins, and its length.
func (s *sight) maskRow(b, head, query int) (first, n int) {
	shape := s.mask.Shape
	at := [...]int{b, head, query}
	last := len(shape) - 1
	stride := shape[last]
	for i := last - 1; i >= 0; i-- {
		if shape[i] > 1 {
			first += at[len(at)-last+i] * stride
		}
		stride *= shape[i]
	}
	return first, shape[last]
}

// hide makes scores −∞.
func hide(scores []float32) {
	for i := range scores {
		scores[i] = float32(math.Inf(-1))
	}
}
