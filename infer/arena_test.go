package infer

import (
	"math/rand/v2"
	"testing"
)

// TestPack checks that blocks that live together do not overlap, and that the result is between the most that lives at once and a
// little more than that.
func TestPack(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var blocks []*block
		steps := 1 + r.IntN(40)
		live := make([]int, steps+1)
		for range 1 + r.IntN(60) {
			first := r.IntN(steps)
			b := &block{first: first, last: min(steps, first+r.IntN(1+r.IntN(8))), bytes: r.IntN(4) * r.IntN(1000)}
			blocks = append(blocks, b)
			for i := b.first; i <= b.last; i++ {
				live[i] += align(b.bytes)
			}
		}
		total, least := new(packing).all(blocks), 0
		for _, n := range live {
			least = max(least, n)
		}
		if total < least || total > least*3/2+4096 {
			t.Fatalf("%d bytes where %d live at once", total, least)
		}
		for i, x := range blocks {
			if x.offset%alignment != 0 || x.offset+x.bytes > total {
				t.Fatalf("block at %d of %d in %d bytes", x.offset, x.bytes, total)
			}
			for _, y := range blocks[:i] {
				if x.first <= y.last && y.first <= x.last && x.offset < y.offset+y.bytes && y.offset < x.offset+x.bytes {
					t.Fatalf("blocks %+v and %+v overlap", *x, *y)
				}
			}
		}
	}
}
