package infer

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/effml/effml/tensor"
)

// TestMemory takes and gives back at random: nobody gets what another has, and the same again, after a rehearsal or not, is in one piece.
func TestMemory(t *testing.T) {
	for seed := range uint64(20) {
		m := &Memory{}
		play := func(check bool) {
			r := rand.New(rand.NewPCG(seed, 1))
			live := map[*chunk]byte{}
			list := make([]chunk, 12)
			for range 200 {
				i := r.IntN(len(list))
				g := &list[i]
				for x := range live {
					for _, b := range x.data {
						if check && b != live[x] {
							t.Fatalf("seed %d: memory that is taken was written to", seed)
						}
					}
				}
				m.take(g, r.IntN(3)*r.IntN(2000))
				if delete(live, g); g.n > 0 && check {
					live[g] = byte(1 + r.IntN(255))
					for k := range g.data {
						g.data[k] = live[g]
					}
				} else {
					r.IntN(255)
				}
			}
			for i := range list {
				m.give(&list[i])
			}
			if len(m.room.taken) > 0 {
				t.Fatalf("seed %d: %v is still taken", seed, m.room.taken)
			}
		}
		most := 0
		if seed%2 == 0 {
			most = m.Rehearse(func() { play(false) })
		}
		for range 3 {
			play(true)
		}
		if held := m.Bytes(); m.outside != 0 || held != m.room.most || seed%2 == 0 && held != most {
			t.Errorf("seed %d: %d bytes are held, %d beside, where %d were foreseen and the most was %d", seed, held, m.outside, most, m.room.most)
		}
	}
}

// TestHalvesGiveBack looks at what a runner has after each half: what the second half read it has no longer.
func TestHalvesGiveBack(t *testing.T) {
	src, memory := rand.New(rand.NewPCG(1, 2)), &Memory{}
	r := session(t, reluConvolution(), Options{Halves: &Halves{Late: []string{"dz"}, Like: map[string]string{"dz": "z", "dx": "x"}, Given: []string{"db"}}}).NewRunnerIn(memory)
	has := func(want ...int) {
		t.Helper()
		for i, c := range r.held {
			if (c.n > 0) != slices.Contains(want, i) {
				t.Errorf("region %d has %d bytes", i, c.n)
			}
		}
	}
	for range 2 {
		out, err := r.Run(t.Context(), []*tensor.Tensor{gaussian(src, 2, 8, 6, 5), gaussian(src, 8, 8, 3, 3)})
		if err != nil {
			t.Fatal(err)
		}
		dz := gaussian(src, 2, 8, 6, 5)
		dz.Layout = out[0].Layout
		has(firstResults)
		if _, err := r.Resume(t.Context(), []*tensor.Tensor{dz}, []*tensor.Tensor{nil, floats([]int{1, 8, 1, 1}, 0)}); err != nil {
			t.Fatal(err)
		}
		has(firstResults, secondResults)
		r.Done(false)
		has(secondResults)
		r.Done(true)
		has()
	}
	if len(memory.room.taken) > 0 {
		t.Errorf("%v is still taken", memory.room.taken)
	}
}
