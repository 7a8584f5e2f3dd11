package score

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestMetrics compares with counting over sorted answers and with the definition of cross-entropy.
func TestMetrics(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, classes := range []int{1, 2, 5, 6, 100} {
		var logits, probabilities, logs Metrics
		top1, top5, loss := 0, 0, 0.0
		for range 20 {
			const n = 7
			x, p, l, labels := make([]float32, n*classes), make([]float32, n*classes), make([]float32, n*classes), make([]int64, n)
			for i := range n {
				row := x[i*classes : (i+1)*classes]
				sum := 0.0
				for c := range row {
					row[c] = float32(r.NormFloat64() * 3)
					sum += math.Exp(float64(row[c]))
				}
				labels[i] = int64(r.IntN(classes))
				rank := 0
				for c := range row {
					q := math.Exp(float64(row[c])) / sum
					p[i*classes+c], l[i*classes+c] = float32(q), float32(math.Log(q))
					if row[c] > row[labels[i]] {
						rank++
					}
				}
				if rank == 0 {
					top1++
				}
				if rank < 5 {
					top5++
				}
				loss -= math.Log(math.Exp(float64(row[labels[i]])) / sum)
			}
			for _, in := range []struct {
				m      *Metrics
				scores []float32
				what   Outcome
			}{{&logits, x, Logits}, {&probabilities, p, Probabilities}, {&logs, l, LogProbabilities}} {
				if err := in.m.Add(n, in.scores, in.what, labels, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, m := range []Metrics{logits, probabilities, logs} {
			if m.Samples != 140 || m.Top1 != top1 || m.Top5 != top5 || math.Abs(m.Loss-loss) > 1e-4*(1+loss) {
				t.Errorf("%d classes: %d, %d, %g of %d, want %d, %d, %g", classes, m.Top1, m.Top5, m.Loss, m.Samples, top1, top5, loss)
			}
			diagonal, all := 0, 0
			for i, n := range m.Confusion {
				all += n
				if i%(classes+1) == 0 {
					diagonal += n
				}
			}
			if diagonal != top1 || all != 140 {
				t.Errorf("%d classes: confusion has %d on the diagonal of %d", classes, diagonal, all)
			}
		}
	}
}

func TestPredictOrder(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		scores []float32
		want   [5]int
	}{
		{[]float32{1, 3, 2}, [5]int{1, 2, 0, -1, -1}},
		{[]float32{1, 1, 1, 1, 1, 1}, [5]int{0, 1, 2, 3, 4}},
		{[]float32{nan, 1, nan, 2}, [5]int{3, 1, 0, 2, -1}},
		{[]float32{0, 1, 2, 3, 4, 5, 6}, [5]int{6, 5, 4, 3, 2}},
	} {
		if got := predict(c.scores, Logits, 0).Best; got != c.want {
			t.Errorf("%v: %v, want %v", c.scores, got, c.want)
		}
	}
}

func TestMetricsErrors(t *testing.T) {
	for _, labels := range [][]int64{{0, 3}, {-1, 0}, {0, 0, 0, 0}} {
		if err := new(Metrics).Add(2, make([]float32, 6), Logits, labels, nil); err == nil {
			t.Errorf("labels %v are accepted", labels)
		}
	}
	var m Metrics
	two := []int64{0, 1}
	if m.Add(2, make([]float32, 6), Logits, two, nil) != nil || m.Add(2, make([]float32, 8), Logits, two, nil) == nil {
		t.Error("another number of classes is accepted")
	}
	var order []int
	tell := func(i int, p Prediction) { order = append(order, i, p.Label) }
	if err := m.Add(2, make([]float32, 6), Logits, []int64{2, 1}, tell); err != nil || !slices.Equal(order, []int{0, 2, 1, 1}) {
		t.Errorf("told of %v, %v", order, err)
	}
	m, order = Metrics{}, nil
	if err := m.Add(2, []float32{0, 1, 3, 2}, Logits, nil, func(_ int, p Prediction) { order = append(order, p.Best[0], p.Label) }); err != nil || m.Samples != 2 || m.Loss != 0 || !slices.Equal(order, []int{1, -1, 0, -1}) {
		t.Errorf("without labels: %v, %+v, %v", order, m, err)
	}
}
