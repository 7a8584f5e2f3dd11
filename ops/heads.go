package ops

import (
	"errors"
	"fmt"
)

// headShape is that of queries, keys or values: [B, H, S, D] however they lie in memory.
type headShape struct{ batch, heads, seq, size Dim }

// headShapeOf returns what the shape of input i means for a number of heads, 0 if no attribute says it: [B, H, S, D] or [B, S, H·D].
func headShapeOf(i int, s Shape, heads int) (headShape, error) {
	switch {
	case s == nil:
		return headShape{Unknown, Unknown, Unknown, Unknown}, nil
	case len(s) == 4:
		return headShape{s[0], s[1], s[2], s[3]}, nil
	case len(s) != 3:
		return headShape{}, fmt.Errorf("input %d has shape %s, not three or four dimensions", i, s)
	case heads == 0:
		return headShape{}, errors.New("attributes q_num_heads and kv_num_heads are needed for inputs of three dimensions")
	}
	v := headShape{s[0], Known(heads), s[1], Unknown}
	if s[2].IsKnown() {
		if s[2].N%heads != 0 {
			return headShape{}, fmt.Errorf("input %d has shape %s, of %d heads", i, s, heads)
		}
		v.size = Known(s[2].N / heads)
	}
	return v, nil
}

// heads are queries, keys or values in float32: of each sample and head the rows of its positions, size numbers each.
type heads struct {
	data                   []float32
	batch, n, seq, size    int
	byBatch, byHead, bySeq int // how far samples, heads and positions lie apart
}

// headsOf describes data [batch, n, seq, size], or [batch, seq, n, size] if seqFirst.
func headsOf(data []float32, batch, n, seq, size int, seqFirst bool) heads {
	h := heads{data: data, batch: batch, n: n, seq: seq, size: size, byBatch: n * seq * size, byHead: seq * size, bySeq: size}
	if seqFirst {
		h.byHead, h.bySeq = size, n*size
	}
	return h
}

// rows returns the rows of head i of sample b from a position on; they lie bySeq apart.
func (h *heads) rows(b, i, position int) []float32 {
	return h.data[b*h.byBatch+i*h.byHead+position*h.bySeq:]
}

// shape returns the four dimensions for a sequence of another length.
func (h *heads) shape(seq int) [4]int { return [4]int{h.batch, h.n, seq, h.size} }

// join writes the n positions of before, [batch, heads, n, size], followed by those of h into all, and returns what it has become.
func (h *heads) join(all, before []float32, n int) heads {
	out := headsOf(all, h.batch, h.n, n+h.seq, h.size, false)
	for b := range h.batch {
		for i := range h.n {
			dst, src := out.rows(b, i, 0), h.rows(b, i, 0)
			copy(dst[:n*h.size], before[(b*h.n+i)*n*h.size:])
			for t := range h.seq {
				copy(dst[(n+t)*h.size:(n+t+1)*h.size], src[t*h.bySeq:])
			}
		}
	}
	return out
}
