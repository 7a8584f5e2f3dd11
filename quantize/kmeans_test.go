package quantize

import (
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/effml/effml/internal/weights"
	"github.com/google/go-cmp/cmp"
)

func TestSortedKeys(t *testing.T) {
	all := samples()
	all["signs"] = []float32{0, float32(math.Copysign(0, -1)), 0, -1e-45, 1e-45}
	all["many"] = laplace(weights.Chunk*2+777, 1, 9)
	for name, w := range all {
		want := make([]uint32, len(w))
		for i, v := range w {
			want[i] = key(v)
			if got := unkey(want[i]); math.Float32bits(got) != math.Float32bits(v) {
				t.Fatalf("%s: key of %v comes back as %v", name, v, got)
			}
		}
		slices.Sort(want)
		got, err := sortedKeys(Floats(w))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: not sorted as slices.Sort does (%v)", name, err)
		}
		// The in-place sort, on a scratch so small that buckets are cut several times.
		for i, v := range w {
			got[i] = key(v)
		}
		radixSort(got, make([]uint32, 200))
		if !slices.Equal(got, want) {
			t.Errorf("%s: the in-place sort differs", name)
		}
	}
	for i, k := range []float32{-3, -1e-45, float32(math.Copysign(0, -1)), 0, 1e-45, 3} {
		if i > 0 && key(k) <= key([]float32{-3, -1e-45, float32(math.Copysign(0, -1)), 0, 1e-45}[i-1]) {
			t.Errorf("key of %v is out of order", k)
		}
	}
}

func TestOptimalIsExact(t *testing.T) {
	for name, w := range samples() {
		if name == "huge" {
			continue // squares of it drown the differences
		}
		w = w[:min(len(w), 120)]
		for _, k := range []int{2, 3, 5, 8} {
			for _, zero := range []bool{false, true} {
				want := bruteForce(w, k, zero)
				q, s, err := Optimal(Floats(w), k, 4*len(w), zero)
				if err != nil {
					t.Fatalf("%s, k=%d: %v", name, k, err)
				}
				got := s.MSE * float64(len(w))
				// The codebook is float32: half a unit in the last place of each weight's level is allowed for.
				slack := 1e-9 * want
				for _, v := range w {
					slack += math.Pow(float64(v)*0x1p-23, 2) + math.Pow(math.SmallestNonzeroFloat32, 2)
				}
				if got > want+slack+1e-300 || got < want*(1-1e-9)-slack {
					t.Errorf("%s, k=%d, zero=%v: squared error %v, optimum %v (levels %v)", name, k, zero, got, want, q.Codebook)
				}
				if len(q.Codebook) > k || zero && q.Codebook[q.Origin] != 0 {
					t.Errorf("%s, k=%d, zero=%v: codebook %v, origin %d", name, k, zero, q.Codebook, q.Origin)
				}
			}
		}
	}
}

// Optimal with few bins is within 1 % of the exact optimum, and k-means from every start not far from it.
func TestKMeansNearOptimum(t *testing.T) {
	w := laplace(150_000, 0.005, 5)
	for _, k := range []int{8, 32, 256} {
		if testing.Short() && k > 32 {
			t.Skip("256 levels take a second")
		}
		_, best, err := Optimal(Floats(w), k, 1<<15, false)
		if err != nil {
			t.Fatal(err)
		}
		limits := map[Init]float64{InitLinear: 1.1, InitDensity: 1.2, InitRandom: 1.3, InitOptimal: 1.001}
		if k == 256 {
			limits = map[Init]float64{InitLinear: 4, InitDensity: 8, InitRandom: 8, InitOptimal: 1.01}
		}
		for init, limit := range limits {
			_, s, err := KMeans(Floats(w), KMeansOptions{K: k, Init: init, Rand: rand.New(rand.NewPCG(1, 2))})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("k=%d %s: MSE %.4g, %.4f of the optimum", k, s.Method, s.MSE, s.MSE/best.MSE)
			if s.MSE > limit*best.MSE || s.MSE < 0.9999*best.MSE {
				t.Errorf("k=%d %v: MSE %v, optimum %v", k, init, s.MSE, best.MSE)
			}
		}
	}
}

// From the same start a fixed number of rounds gives what a textbook's Lloyd gives.
func TestLloydAgainstTextbook(t *testing.T) {
	w := laplace(4000, 0.05, 11)
	for _, rounds := range []int{1, 2, 10} {
		c := make([]float64, 8)
		lo, hi := float64(slices.Min(w)), float64(slices.Max(w))
		for i := range c {
			c[i] = lo + (hi-lo)*float64(i)/7
		}
		want := naiveLloyd(w, c, rounds)
		// Iterations counts from the means of the first assignment.
		_, s, err := KMeans(Floats(w), KMeansOptions{K: 8, Iterations: rounds})
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(s.MSE/want-1) > 0.02 && s.MSE > want {
			t.Errorf("%d rounds: MSE %v, a textbook's Lloyd has %v", rounds, s.MSE, want)
		}
	}
}

// Of every result: levels ascend, statistics are those of a plain loop, codes are nearest levels, zero is kept.
func TestKMeansInvariants(t *testing.T) {
	for name, w := range samples() {
		if name == "huge" {
			w = w[2:4] // prefix sums that hold ±MaxFloat32 cannot tell 0 from 1
		}
		for _, k := range []int{2, 3, 16, 256} {
			for _, init := range []Init{InitLinear, InitDensity, InitRandom, InitOptimal} {
				for _, zero := range []bool{false, true} {
					o := KMeansOptions{K: k, Init: init, KeepZero: zero, Rand: rand.New(rand.NewPCG(1, uint64(k)))}
					q, s, err := KMeans(Floats(w), o)
					if err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					checkBook(t, w, q, s, o)
				}
			}
		}
	}
}

func checkBook(t *testing.T, w []float32, q Quantizer, s Stats, o KMeansOptions) {
	t.Helper()
	if len(q.Codebook) == 0 || len(q.Codebook) > o.K || !slices.IsSorted(q.Codebook) {
		t.Fatalf("%v: codebook of %d levels %v", o, len(q.Codebook), q.Codebook)
	}
	codes, out := make([]int32, len(w)), make([]float32, len(w))
	q.Codes(codes, w)
	q.Values(out, codes)
	lo, hi := q.Range()
	distinct := map[float32]bool{}
	for i, v := range w {
		distinct[v] = true
		d := float64(v) - float64(out[i])
		if codes[i] < lo || codes[i] > hi || d*d != distance(v, q.Codebook) {
			t.Fatalf("%v: weight %v has code %d and value %v of %v", o, v, codes[i], out[i], q.Codebook)
		}
		if v == 0 && o.KeepZero && (codes[i] != 0 || out[i] != 0) {
			t.Fatalf("%v: zero has code %d and value %v", o, codes[i], out[i])
		}
	}
	checkStats(t, w, codes, out, s)
	if zero := slices.Index(q.Codebook, 0); o.KeepZero && zero < 0 || zero >= 0 && zero != q.Origin {
		t.Errorf("%v: zero is level %d of %v, origin %d", o, zero, q.Codebook, q.Origin)
	}
	if !o.KeepZero && len(distinct) <= o.K && (s.MSE != 0 || !math.IsInf(s.SQNR, 1)) {
		t.Errorf("%v: %d distinct weights, yet MSE %v, SQNR %v", o, len(distinct), s.MSE, s.SQNR)
	}
}

func checkStats(t *testing.T, w []float32, codes []int32, out []float32, s Stats) {
	t.Helper()
	n := float64(len(w))
	counts := map[int32]float64{}
	zeros := 0
	for i, c := range codes {
		counts[c]++
		if out[i] == 0 {
			zeros++
		}
	}
	entropy := 0.0
	for _, c := range counts {
		entropy -= c / n * math.Log2(c/n)
	}
	signal, noise := squaredError(w, make([]float32, len(w))), squaredError(w, out)
	alike := func(a, b float64) bool { return a == b || math.Abs(a-b) <= 1e-9*math.Abs(b) }
	if s.Weights != len(w) || s.Zeros != zeros || s.Levels != len(counts) || !alike(s.Signal, signal/n) || !alike(s.MSE, noise/n) ||
		math.Abs(s.Entropy-entropy) > 1e-9 || !alike(s.SQNR, decibel(signal, noise)) {
		t.Fatalf("statistics %+v; by a plain loop %d zeros, %d levels, signal %v, MSE %v, entropy %v",
			s, zeros, len(counts), signal/n, noise/n, entropy)
	}
}

// The histogram that stands for more than 8 M weights gives nearly what the sorted weights give.
func TestHistogramAgainstSort(t *testing.T) {
	w := laplace(100_000, 0.005, 6)
	for _, w := range [][]float32{w, pruned(w, 0.01)} {
		for _, zero := range []bool{false, true} {
			for _, k := range []int{2, 32, 128} {
				o := KMeansOptions{K: k, Init: InitOptimal, KeepZero: zero}
				var mse [2]float64
				for i, limit := range []int{sortLimit, 0} {
					l, err := newLine(Floats(w), limit, zero)
					if err != nil {
						t.Fatal(err)
					}
					q, s, err := finish(Floats(w), l, newOptimum(l, 0, zero).partition(k).lloyd(l, o), o)
					if err != nil {
						t.Fatal(err)
					}
					if k == 32 {
						checkBook(t, w, q, s, o)
					}
					mse[i] = s.MSE
				}
				if math.Abs(mse[1]/mse[0]-1) > 5e-3 {
					t.Errorf("k=%d, zero=%v: MSE %v on the histogram, %v sorted", k, zero, mse[1], mse[0])
				}
			}
		}
	}
}

func TestSameForAnyThreads(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	w := laplace(weights.Chunk*3+12345, 0.01, 8)
	type result struct {
		Q Quantizer
		S Stats
	}
	var want []result
	for _, threads := range []int{1, 2, 7} {
		runtime.GOMAXPROCS(threads)
		var got []result
		add := func(q Quantizer, s Stats, err error) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, result{q, s})
		}
		add(KMeans(Floats(w), KMeansOptions{K: 32, KeepZero: true}))
		add(Optimal(Floats(w), 20, 0, false))
		add(Uniform(Floats(w), 33, GridOptions{}))
		l, err := newLine(Floats(w), 0, false)
		if err != nil {
			t.Fatal(err)
		}
		o := KMeansOptions{K: 16}
		add(finish(Floats(w), l, startAt(l, o).lloyd(l, o), o))
		g, s, err := Groups(Floats(w), 300_000, func(src Source) (Quantizer, Stats, error) {
			return ForSQNR(src, 20, FloorOptions{Method: SharedLevels})
		})
		add(g.Q[len(g.Q)-1], s, err)
		if want == nil {
			want = got
		} else if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%d threads: %s", threads, d)
		}
	}
}

func TestKMeansRefuses(t *testing.T) {
	nan := append(laplace(weights.Chunk+10, 1, 1), float32(math.NaN()))
	inf := []float32{1, float32(math.Inf(-1)), 2}
	var v *ValueError
	for _, limit := range []int{sortLimit, 0} {
		if _, err := newLine(Floats(nan), limit, false); !errors.As(err, &v) || v.Index != len(nan)-1 {
			t.Errorf("NaN: %v", err)
		}
	}
	if _, _, err := Optimal(Floats(inf), 4, 0, true); !errors.As(err, &v) || v.Index != 1 || v.Error() != "quantize: weight 1 is -Inf" {
		t.Errorf("infinity: %v", err)
	}
	if _, err := Measure(Floats(inf), Quantizer{Step: 1, Min: -1, Max: 1}, nil); !errors.As(err, &v) {
		t.Errorf("measuring infinity: %v", err)
	}
	for _, o := range []KMeansOptions{{K: 1}, {K: 257}, {K: 4, Init: 9}, {K: 4, Init: InitRandom}, {K: 4, Iterations: -1}} {
		if _, _, err := KMeans(Floats(inf), o); err == nil || errors.As(err, &v) {
			t.Errorf("%+v is accepted: %v", o, err)
		}
	}
	if _, _, err := Optimal(Floats(inf), 300, 0, true); err == nil || errors.As(err, &v) {
		t.Errorf("300 levels: %v", err)
	}
	if q, s, err := KMeans(Floats(nil), KMeansOptions{K: 2}); err != nil || q.Codebook != nil || s.Weights != 0 {
		t.Errorf("no weights: %v, %v, %v", q, s, err)
	}
	if q, s, err := Optimal(Floats(nil), 2, 0, false); err != nil || q.Codebook != nil || s.Levels != 0 {
		t.Errorf("no weights: %v, %v, %v", q, s, err)
	}
	broken := errors.New("broken")
	for _, n := range []int{10, sortLimit + 1} {
		if _, _, err := KMeans(failing{n, broken}, KMeansOptions{K: 2}); !errors.Is(err, broken) {
			t.Errorf("a source that fails: %v", err)
		}
	}
	if _, err := sortedKeys(new(changing)); !errors.Is(err, errChanged) {
		t.Errorf("a source that changes: %v", err)
	}
}

type failing struct {
	n   int
	err error
}

func (f failing) Len() int                  { return f.n }
func (f failing) Read([]float32, int) error { return f.err }

// changing gives other weights on each reading.
type changing struct{ reads float32 }

func (c *changing) Len() int { return fewKeys + 1 }

func (c *changing) Read(dst []float32, _ int) error {
	c.reads++
	for i := range dst {
		dst[i] = c.reads
	}
	return nil
}

func TestInitNames(t *testing.T) {
	for i := InitLinear; i <= InitOptimal; i++ {
		if got, err := ParseInit(i.String()); err != nil || got != i {
			t.Errorf("%v parses as %v, %v", i, got, err)
		}
	}
	if _, err := ParseInit("forgy"); err == nil || Init(9).String() != "init(9)" {
		t.Errorf("an unknown name is accepted, or %v", Init(9))
	}
}

// Outliers at both ends must not cost the bulk its digits.
func TestKMeansWithOutliers(t *testing.T) {
	w := laplace(20_000, 0.005, 13)
	_, want, err := Optimal(Floats(w), 14, 0, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int{sortLimit, 0} {
		l, err := newLine(Floats(append([]float32{-3e7, 2e7}, w...)), limit, false)
		if err != nil {
			t.Fatal(err)
		}
		o := KMeansOptions{K: 16}
		_, s, err := finish(Floats(w), l, newOptimum(l, 0, false).partition(16).lloyd(l, o), o)
		if err != nil {
			t.Fatal(err)
		}
		if s.MSE > 1.02*want.MSE {
			t.Errorf("limit %d: MSE %v of the bulk, %v without the outliers", limit, s.MSE, want.MSE)
		}
	}
}
