package weights

import (
	"errors"
	"runtime"
	"slices"
	"testing"

	"github.com/effml/effml/onnx"
)

// Every weight is seen once, in order within its lane, and lanes are contiguous, whatever the number of threads.
func TestLanes(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	type lane struct{ first, next, calls int }
	for _, n := range []int{0, 1, Chunk, Chunk + 1, 5*Chunk + 7, 20 * Chunk} {
		w := make(Floats, n)
		for i := range w {
			w[i] = float32(i)
		}
		var want []lane
		for _, threads := range []int{1, 3} {
			runtime.GOMAXPROCS(threads)
			start := func(int) *lane { return &lane{first: -1} }
			lanes, err := Lanes(w, 8, start, func(l *lane, w []float32, first int) error {
				if l.first < 0 {
					l.first, l.next = first, first
				}
				if first != l.next || w[0] != float32(first) || w[len(w)-1] != float32(first+len(w)-1) {
					return errors.New("out of order")
				}
				l.next, l.calls = first+len(w), l.calls+1
				return nil
			})
			if err != nil {
				t.Fatalf("%d weights: %v", n, err)
			}
			var got []lane
			at := 0
			for _, l := range lanes {
				got = append(got, *l)
				if n > 0 && l.first != at {
					t.Errorf("%d weights: lanes %v", n, got)
				}
				at = l.next
			}
			if at != n || len(lanes) > 8 {
				t.Errorf("%d weights: %d are seen, in %d lanes", n, at, len(lanes))
			}
			if want == nil {
				want = got
			} else if !slices.Equal(got, want) {
				t.Errorf("%d weights: lanes %v on one thread, %v on three", n, want, got)
			}
		}
	}
}

func TestLanesFail(t *testing.T) {
	broken := errors.New("broken")
	start := func(int) int { return 0 }
	for _, n := range []int{10, 9 * Chunk} {
		if _, err := Lanes(make(Floats, n), 8, start, func(_ int, _ []float32, first int) error {
			if first+Chunk >= n {
				return broken
			}
			return nil
		}); !errors.Is(err, broken) {
			t.Errorf("%d weights: %v", n, err)
		}
		if _, err := Lanes(Section{Floats{1, 2}, 1, n}, 8, start, func(int, []float32, int) error { return nil }); err == nil {
			t.Errorf("%d weights can be read of 1", n)
		}
	}
}

func TestTensor(t *testing.T) {
	want := []float32{1.5, -2, 0, 0.25}
	for _, dt := range []onnx.DataType{onnx.Float, onnx.Float16, onnx.BFloat16, onnx.Double} {
		for _, storage := range []onnx.Storage{onnx.StorageRaw, dt.TypedStorage()} {
			raw := make([]byte, 4*dt.Bits()/8)
			onnx.PutFloats(raw, dt, want)
			x := &onnx.Tensor{Name: "W", DataType: dt, Dims: []int64{2, 2}, Storage: storage}
			x.SetBytes(raw)
			src, err := Tensor(x)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]float32, 3)
			if err := src.Read(got, 1); err != nil || src.Len() != 4 || !slices.Equal(got, want[1:]) {
				t.Errorf("%v in %v: %v, %v", dt, storage, got, err)
			}
			if src.Read(got, 2) == nil {
				t.Errorf("%v: 3 weights from 2 on can be read of 4", dt)
			}
		}
	}
}
