package quantize

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/effml/effml/internal/weights"
	"github.com/effml/effml/onnx"
)

// ratioOf is the SQNR of a step by a plain float64 loop.
func ratioOf(w []float32, step float64, o GridOptions) float64 {
	out := make([]float32, len(w))
	for i, v := range w {
		n := min(math.Floor(math.Abs(float64(v))/step+0.5-float64(o.DeadZone)), float64(o.Limit))
		out[i] = float32(math.Copysign(n*step, float64(v)))
	}
	if o.Round != nil {
		o.Round(out)
	}
	return decibel(squaredError(w, make([]float32, len(w))), squaredError(w, out))
}

func TestGridCodes(t *testing.T) {
	q := Quantizer{Step: 0.5, Min: -3, Max: 4}
	w := []float32{0, 0.24, 0.25, -0.25, -0.26, 0.74, 0.75, 9, -9, float32(math.Inf(1)), float32(math.Inf(-1)), 1e-45, -1.75}
	want := []int32{0, 0, 1, -1, -1, 1, 2, 4, -3, 4, -3, 0, -3}
	got := make([]int32, len(w))
	q.Codes(got, w)
	if !slices.Equal(got, want) {
		t.Errorf("codes %v, want %v", got, want)
	}
	q.DeadZone = 0.2
	q.Codes(got[:4], []float32{0.34, 0.36, -0.36, 0.84})
	if !slices.Equal(got[:4], []int32{0, 1, -1, 1}) {
		t.Errorf("codes %v with a dead zone", got[:4])
	}
	nan := make([]int32, 1)
	q.Codes(nan, []float32{float32(math.NaN())})
	if nan[0] < q.Min || nan[0] > q.Max {
		t.Errorf("NaN has code %d", nan[0])
	}
	(Quantizer{}).Codes(nan, []float32{3})
	if nan[0] != 0 {
		t.Errorf("the zero quantiser gives code %d", nan[0])
	}
	values := make([]float32, 3)
	(Quantizer{Codebook: []float32{1, 2}, Origin: 1}).Values(values, []int32{-9, 0, 9})
	if !slices.Equal(values, []float32{1, 2, 2}) {
		t.Errorf("values %v", values)
	}
}

// Codes of a codebook are the nearest levels however the weights are looked up.
func TestCodebookCodes(t *testing.T) {
	books := [][]float32{
		{-1, 0, 1},
		{5},
		{-1e-3, 0, 1e-3, 2e-3, 7, 1e6},
		{-math.MaxFloat32, -1, 0, math.MaxFloat32},
		{1e-45, 3e-45, 4e-45},
		{0.1, 0.10000001, 0.10000002},
	}
	w := append(laplace(9000, 0.01, 1), 5, 1e6, -1e6, math.MaxFloat32, -math.MaxFloat32, 1e-45, 2e-45, 0.1, 0.10000001, 0.5, -0.5)
	for _, book := range books {
		w := append(slices.Clone(w), book...)
		for i := range book[1:] { // the boundaries themselves and their neighbours
			m := float32((float64(book[i]) + float64(book[i+1])) / 2)
			w = append(w, m, math.Nextafter32(m, -9), math.Nextafter32(m, 9))
		}
		q := Quantizer{Codebook: book}
		codes, few := make([]int32, len(w)), make([]int32, 1)
		q.Codes(codes, w)
		for i, v := range w {
			if d := float64(v) - float64(book[codes[i]]); d*d != distance(v, book) {
				t.Fatalf("%v: %v has level %v", book, v, book[codes[i]])
			}
			if q.Codes(few, w[i:i+1]); few[0] != codes[i] {
				t.Fatalf("%v: %v has code %d alone, %d among many", book, v, few[0], codes[i])
			}
		}
	}
}

func TestUniformHoldsTheFloor(t *testing.T) {
	half, err := RoundTo(onnx.Float16)
	if err != nil {
		t.Fatal(err)
	}
	all := samples()
	all["many"] = laplace(200_000, 0.02, 2)
	delete(all, "huge")
	for name, w := range all {
		for _, floor := range []float64{-3, 8, 20, 35, 50} {
			for _, o := range []GridOptions{{}, {DeadZone: 0.15}, {Round: half}} {
				if o.Round != nil && (name == "heavy" || name == "denormal" || name == "offset") {
					continue // float16 cannot hold them
				}
				q, s, err := Uniform(Floats(w), floor, o)
				if err != nil {
					t.Errorf("%s, %v dB, %+v: %v", name, floor, o, err)
					continue
				}
				codes, out := make([]int32, len(w)), make([]float32, len(w))
				q.Codes(codes, w)
				q.Values(out, codes)
				if o.Round != nil {
					o.Round(out)
				}
				checkStats(t, w, codes, out, s)
				if s.SQNR < floor {
					t.Errorf("%s: %v dB where %v were asked for", name, s.SQNR, floor)
				}
				if lo, hi := q.Range(); lo < -maxCode || hi > maxCode || lo > 0 || hi < 0 || len(w) > 1 && (lo != slices.Min(codes) && lo != 0 || hi != slices.Max(codes) && hi != 0) {
					t.Errorf("%s: codes %d to %d have the range %d to %d", name, slices.Min(codes), slices.Max(codes), lo, hi)
				}
				o.Limit = maxCode
				if name == "laplace" || name == "many" || name == "pruned" || name == "uniform" {
					coarser := 1.05 // few weights: the ratio does not fall steadily
					if name == "many" {
						coarser = 1.005
					}
					if r := ratioOf(w, float64(q.Step)*coarser, o); r >= floor && floor > 0 {
						t.Errorf("%s: step %v holds %v dB, and so does one %v coarser: %v dB", name, q.Step, floor, coarser, r)
					}
				}
			}
		}
	}
}

// On a small tensor no step that is much coarser holds the floor: tried one by one.
func TestUniformIsCoarsest(t *testing.T) {
	w := laplace(300, 0.02, 21)
	for _, floor := range []float64{6, 12, 25} {
		q, _, err := Uniform(Floats(w), floor, GridOptions{})
		if err != nil {
			t.Fatal(err)
		}
		best := 0.0
		for s := 0.001; s < 1; s *= 1.001 {
			if ratioOf(w, s, GridOptions{Limit: maxCode}) >= floor {
				best = s
			}
		}
		if float64(q.Step) < 0.9*best {
			t.Errorf("%v dB: step %v, the coarsest is %v", floor, q.Step, best)
		}
	}
}

func TestUniformSpecialTensors(t *testing.T) {
	all := samples()
	for name, step := range map[string]float32{"zero": 1, "constant": 0.7, "sign": 0.5, "one": 0.3} {
		q, s, err := Uniform(Floats(all[name]), 90, GridOptions{})
		if err != nil || q.Step != step || !math.IsInf(s.SQNR, 1) {
			t.Errorf("%s: step %v, %v dB, %v", name, q.Step, s.SQNR, err)
		}
	}
	if q, s, err := Uniform(Floats(nil), 20, GridOptions{}); err != nil || s.Weights != 0 || q.Step != 1 {
		t.Errorf("no weights: %v, %v, %v", q, s, err)
	}
	if _, s, err := Uniform(Floats(all["huge"]), 30, GridOptions{}); err != nil || s.SQNR < 30 {
		t.Errorf("huge: %v dB, %v", s.SQNR, err)
	}
}

func TestUniformRefuses(t *testing.T) {
	w := laplace(30_000, 0.02, 3)
	var floor *FloorError
	for _, w := range [][]float32{w, w[:1000]} {
		if _, _, err := Uniform(Floats(w), 200, GridOptions{}); !errors.As(err, &floor) || floor.Want != 200 || floor.Got < 75 || floor.Got > 120 {
			t.Errorf("200 dB: %v", err)
		}
		_, s, err := Uniform(Floats(w), 20, GridOptions{Limit: 31})
		if err != nil || s.Levels > 63 {
			t.Errorf("31 codes a side: %d levels, %v", s.Levels, err)
		}
		if _, _, err := Uniform(Floats(w), 40, GridOptions{Limit: 15}); !errors.As(err, &floor) || floor.Got < 10 {
			t.Errorf("40 dB within 15 codes a side: %v", err)
		}
	}
	bf, err := RoundTo(onnx.BFloat16)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Uniform(Floats(w), 80, GridOptions{Round: bf}); !errors.As(err, &floor) || floor.Got > 60 {
		t.Errorf("80 dB in bfloat16: %v", err)
	}
	if _, _, err := Uniform(Floats([]float32{0.3, -0.3}), 90, GridOptions{Round: bf}); !errors.As(err, &floor) {
		t.Errorf("90 dB of 0.3 in bfloat16: %v", err)
	}
	var value *ValueError
	if _, _, err := Uniform(Floats(append(w, float32(math.NaN()))), 20, GridOptions{}); !errors.As(err, &value) || value.Index != len(w) {
		t.Errorf("NaN: %v", err)
	}
	if _, _, err := Grid(Floats([]float32{1, float32(math.Inf(1))}), 1, GridOptions{}); !errors.As(err, &value) || value.Index != 1 {
		t.Errorf("infinity: %v", err)
	}
	for _, o := range []GridOptions{{Limit: -1}, {Limit: 40000}, {DeadZone: -0.1}, {DeadZone: 0.6}, {DeadZone: float32(math.NaN())}} {
		if _, _, err := Uniform(Floats(w), 20, o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
		if _, _, err := Grid(Floats(w), 1, o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
	for _, step := range []float32{0, -1, float32(math.NaN()), float32(math.Inf(1))} {
		if _, _, err := Grid(Floats(w), step, GridOptions{}); err == nil {
			t.Errorf("step %v is accepted", step)
		}
	}
	if _, _, err := Uniform(Floats(w), math.NaN(), GridOptions{}); err == nil {
		t.Error("a floor of NaN is accepted")
	}
}

func TestGrid(t *testing.T) {
	w := laplace(5000, 0.02, 5)
	for _, step := range []float32{1e-45, 1e-6, 0.001, 0.03, 7, 3e38} {
		q, s, err := Grid(Floats(w), step, GridOptions{Limit: 1000})
		if err != nil || q.Step != step || q.Max > 1000 || q.Min < -1000 {
			t.Errorf("step %v: %v, %v", step, q, err)
		}
		want := ratioOf(w, float64(step), GridOptions{Limit: 1000})
		if math.Abs(s.SQNR-want) > 1e-4 && s.SQNR != want {
			t.Errorf("step %v: %v dB, by a plain loop %v", step, s.SQNR, want)
		}
	}
}

func TestForSQNR(t *testing.T) {
	w := laplace(3000, 0.02, 6)
	for _, zero := range []bool{false, true} {
		for _, floor := range []float64{3, 15, 24, 33} {
			q, s, err := ForSQNR(Floats(w), floor, FloorOptions{Method: SharedLevels, KeepZero: zero})
			if err != nil || s.SQNR < floor {
				t.Fatalf("%v dB: %v, %v", floor, s.SQNR, err)
			}
			if k := len(q.Codebook); k > 2 {
				if _, less, err := Optimal(Floats(w), k-1, maxBins, zero); err != nil || less.SQNR >= floor {
					t.Errorf("%v dB, zero=%v: %d levels, though %d hold %v dB", floor, zero, k, k-1, less.SQNR)
				}
			}
			b, s, err := ForSQNR(Floats(w), floor, FloorOptions{Method: SharedLevels, KeepZero: zero, Bits: true})
			if err != nil || s.SQNR < floor || len(b.Codebook) < len(q.Codebook) || len(b.Codebook) >= 2*len(q.Codebook) && len(b.Codebook) > 2 ||
				len(b.Codebook)&(len(b.Codebook)-1) != 0 {
				t.Errorf("%v dB in whole bits: %d levels, %d without; %v dB, %v", floor, len(b.Codebook), len(q.Codebook), s.SQNR, err)
			}
		}
	}
	var floor *FloorError
	if _, _, err := ForSQNR(Floats(w), 90, FloorOptions{Method: SharedLevels}); !errors.As(err, &floor) || floor.Got < 40 {
		t.Errorf("90 dB: %v", err)
	}
	g, _, err := ForSQNR(Floats(w), 20, FloorOptions{})
	if u, _, uerr := Uniform(Floats(w), 20, GridOptions{}); err != nil || uerr != nil || g.Step != u.Step {
		t.Errorf("a grid of step %v, Uniform has %v: %v, %v", g.Step, u.Step, err, uerr)
	}
	if _, _, err := ForSQNR(Floats(w), math.NaN(), FloorOptions{}); err == nil {
		t.Error("a floor of NaN is accepted")
	}
	if _, _, err := ForSQNR(Floats(w), 20, FloorOptions{Method: 7}); err == nil {
		t.Error("method 7 is accepted")
	}
	if _, s, err := ForSQNR(Floats(nil), 20, FloorOptions{Method: SharedLevels}); err != nil || s.Weights != 0 {
		t.Errorf("no weights: %v", err)
	}
	var v *ValueError
	if _, _, err := ForSQNR(Floats([]float32{float32(math.NaN())}), 20, FloorOptions{Method: SharedLevels}); !errors.As(err, &v) {
		t.Errorf("NaN: %v", err)
	}
}

func TestGroups(t *testing.T) {
	w := laplace(1003, 0.01, 7)
	for i := range w[:500] {
		w[i] *= 50
	}
	fit := func(src Source) (Quantizer, Stats, error) { return KMeans(src, KMeansOptions{K: 8, KeepZero: true}) }
	for _, size := range []int{0, 32, 100, 500, 1003, 5000} {
		g, s, err := Groups(Floats(w), size, fit)
		if err != nil {
			t.Fatal(err)
		}
		out := make([]float32, len(w))
		for first := 0; first < len(w); first += 77 { // in pieces that cut across the groups
			n := min(77, len(w)-first)
			codes := make([]int32, n)
			g.Codes(codes, w[first:first+n], first)
			g.Values(out[first:first+n], codes, first)
		}
		if got := squaredError(w, out) / float64(len(w)); math.Abs(got-s.MSE) > 1e-9*got {
			t.Errorf("groups of %d: MSE %v, by a plain loop %v", size, s.MSE, got)
		}
		if want := (len(w) + max(1, size) - 1) / max(1, size); size > 0 && size < len(w) && len(g.Q) != want || size == 0 && len(g.Q) != 1 {
			t.Errorf("groups of %d: %d quantisers", size, len(g.Q))
		}
		if lo, hi := g.Range(); lo < -7 || hi > 7 || lo > 0 || hi < 0 {
			t.Errorf("groups of %d: codes %d to %d", size, lo, hi)
		}
	}
	w[730] = float32(math.Inf(1))
	var v *ValueError
	if _, _, err := Groups(Floats(w), 100, fit); !errors.As(err, &v) || v.Index != 730 {
		t.Errorf("infinity: %v", err)
	}
	var f *FloorError
	_, _, err := Groups(Floats(w[:200]), 100, func(src Source) (Quantizer, Stats, error) { return Uniform(src, 300, GridOptions{}) })
	if !errors.As(err, &f) {
		t.Errorf("300 dB: %v", err)
	}
	if _, _, err := Groups(Floats(w), -1, fit); err == nil {
		t.Error("groups of -1 weights are accepted")
	}
}

func TestSources(t *testing.T) {
	s := Section(Floats([]float32{1, 2, 3, 4}), 1, 2)
	v := make([]float32, 2)
	if err := s.Read(v, 0); err != nil || s.Len() != 2 || !slices.Equal(v, []float32{2, 3}) {
		t.Errorf("section reads %v, %v", v, err)
	}
	for _, first := range []int{-1, 1, 3} {
		if s.Read(v, first) == nil || Floats(v[:1]).Read(v, first) == nil {
			t.Errorf("2 weights from %d on can be read of 2", first)
		}
	}
	big := laplace(weights.Chunk+5, 1, 4)
	raw := make([]byte, 2*len(big))
	onnx.PutFloats(raw, onnx.Float16, big)
	tensor := &onnx.Tensor{Name: "W", DataType: onnx.Float16, Dims: []int64{int64(len(big))}}
	tensor.SetBytes(raw)
	src, err := TensorSource(tensor)
	if err != nil {
		t.Fatal(err)
	}
	half, err := RoundTo(onnx.Float16)
	if err != nil {
		t.Fatal(err)
	}
	half(big)
	a, _, err := KMeans(src, KMeansOptions{K: 16})
	if err != nil {
		t.Fatal(err)
	}
	if b, _, err := KMeans(Floats(big), KMeansOptions{K: 16}); err != nil || !slices.Equal(a.Codebook, b.Codebook) {
		t.Errorf("a float16 tensor shares %v, its values %v (%v)", a.Codebook, b.Codebook, err)
	}
	if _, err := TensorSource(&onnx.Tensor{DataType: onnx.Int64}); err == nil {
		t.Error("an integer tensor is a source of weights")
	}
	if _, err := TensorSource(&onnx.Tensor{DataType: onnx.Float, Dims: []int64{5}}); err == nil {
		t.Error("a tensor without its values is a source of weights")
	}
	if _, err := TensorSource(&onnx.Tensor{DataType: onnx.Float, Dims: []int64{-5}}); err == nil {
		t.Error("a tensor of negative length is a source of weights")
	}
	if r, err := RoundTo(onnx.Float); r != nil || err != nil {
		t.Error("float32 is rounded")
	}
	if _, err := RoundTo(onnx.Int8); err == nil {
		t.Error("rounding to int8 is accepted")
	}
}

// FuzzQuantize tries any weights: every function ends with a result that keeps its promises or with a typed error.
func FuzzQuantize(f *testing.F) {
	for _, w := range samples() {
		raw := make([]byte, 4*min(len(w), 300))
		onnx.PutFloats(raw, onnx.Float, w[:min(len(w), 300)])
		f.Add(raw, uint8(16), 20.0, true)
		f.Add(raw, uint8(2), 45.0, false)
	}
	f.Add([]byte{0, 0, 0xc0, 0x7f}, uint8(2), 20.0, false)
	f.Fuzz(func(t *testing.T, raw []byte, k uint8, floor float64, zero bool) {
		raw = raw[:min(len(raw)&^3, 1024)]
		w := make([]float32, len(raw)/4)
		tensor := &onnx.Tensor{DataType: onnx.Float, Dims: []int64{int64(len(w))}}
		tensor.SetBytes(raw)
		if err := tensor.ReadFloats(w, 0); err != nil {
			t.Fatal(err)
		}
		bad := finite(w, 0)
		for _, init := range []Init{InitLinear, InitDensity, InitOptimal} {
			q, s, err := KMeans(Floats(w), KMeansOptions{K: max(2, int(k)), Init: init, KeepZero: zero})
			if (err == nil) != (bad == nil) {
				t.Fatalf("k-means: %v, weights: %v", err, bad)
			}
			if err == nil && (len(q.Codebook) > max(2, int(k)) || !slices.IsSorted(q.Codebook) || s.Weights != len(w)) {
				t.Fatalf("%v, %v", q, s)
			}
		}
		_, s, err := Uniform(Floats(w), floor, GridOptions{})
		var low *FloorError
		switch {
		case errors.As(err, &low):
		case math.IsNaN(floor) && err != nil:
		case (err == nil) != (bad == nil):
			t.Fatalf("uniform: %v, weights: %v", err, bad)
		case err == nil && !(s.SQNR >= floor):
			t.Fatalf("%v dB where %v were asked for", s.SQNR, floor)
		}
	})
}
