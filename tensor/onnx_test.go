package tensor

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"
	"unsafe"

	"github.com/effml/effml/onnx"
)

// Values of a file begin at any byte.
func TestViewAnywhere(t *testing.T) {
	want := []float32{1, -2.5, float32(math.Inf(1)), 1e-40, 0}
	for skip := range 8 {
		file := make([]byte, skip+4*len(want)+3)
		for i, v := range want {
			binary.LittleEndian.PutUint32(file[skip+4*i:], math.Float32bits(v))
		}
		raw := file[skip:][:4*len(want)]
		o := &onnx.Tensor{Name: "w", DataType: onnx.Float, Dims: []int64{int64(len(want))}}
		o.SetBytes(raw)
		x, view, err := View(o)
		if err != nil {
			t.Fatal(err)
		}
		if got := Of[float32](x); !slices.Equal(got, want) {
			t.Errorf("%d bytes from the start: %v", skip, got)
		}
		if same := unsafe.SliceData(x.Bytes()) == unsafe.SliceData(raw); view != same {
			t.Errorf("%d bytes from the start: a view is %v, the same bytes %v", skip, view, same)
		}
		if want := readable(raw, 4); view != want {
			t.Errorf("%d bytes from the start: a view is %v, want %v", skip, view, want)
		}
	}
}
