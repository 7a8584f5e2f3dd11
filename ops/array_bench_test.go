package ops

import (
	"fmt"
	"strings"
	"testing"

	"github.com/effml/effml/internal/isa"
	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// BenchmarkArray runs operators on inputs as networks have them; MB/s count inputs and outputs once.
func BenchmarkArray(b *testing.B) {
	set, err := isa.FromEnv()
	if err != nil {
		b.Fatal(err)
	}
	cpu := kernel.NewCPU(kernel.Options{Threads: 2, ISA: set})
	defer cpu.Close()
	for _, e := range []example{ // shapes, or literals
		{"Add-14", "", "f[1,64,56,56]; f[1,64,56,56]", ""},
		{"Mul-14", "", "f[1,64,56,56]; f[1,64,1,1]", ""},
		{"Add-14", "", "l[1,197]; l[] 3", ""},
		{"Mod-13", "", "l[128,128]; l[] 7", ""},
		{"Where-16", "", "b[1,1,197,197]; f[1,12,197,197]; f[] 0", ""},
		{"Less-13", "", "f[1,12,197,197]; f[] 0", ""},
		{"Sin-13", "", "f[197,768]", ""},
		{"ReduceMean-18", "keepdims=0", "f[1,1280,7,7]; l[2] 2 3", ""},
		{"ReduceMax-18", "", "f[64,56,56]; l[2] 0 2", ""},
		{"ArgMax-13", "axis=1", "f[1,21,256,256]", ""},
		{"ArgMax-13", "axis=1", "f[32,1000]", ""},
		{"TopK-11", "", "f[32,1000]; l[1] 5", ""},
		{"CumSum-14", "", "f[32,1000]; i[] 1", ""},
		{"Transpose-13", "perm=0,2,1,3", "f[1,197,12,64]", ""},
		{"Transpose-13", "perm=0,2,1,3,4", "f[1,2,58,28,28]", ""},
		{"Transpose-13", "perm=0,1,3,2,4,5", "f[1,8,7,8,7,96]", ""},
		{"Concat-13", "axis=1", "f[1,256,28,28]; f[1,32,28,28]", ""},
		{"Concat-13", "axis=3", "f[1,28,28,256]; f[1,28,28,32]", ""},
		{"Slice-13", "", "f[1,56,56,96]; l[1] 3; l[1] 99; l[1] 1", ""},
		{"Slice-13", "", "f[1,56,56,96]; l[2] 0 1; l[2] 99 99; l[2] 1 2; l[2] 2 2", ""},
		{"Pad-13", "", "f[1,64,56,56]; l[8] 0 0 1 1 0 0 1 1", ""},
		{"Pad-13", "mode=reflect", "f[1,64,56,56]; l[8] 0 0 1 1 0 0 1 1", ""},
		{"Expand-13", "", "f[1,1,197,197]; l[4] 1 12 1 1", ""},
		{"Expand-13", "", "f[1,768,1,1]; l[4] 1 768 14 14", ""},
		{"Gather-13", "", "f[1000,768]; l[1,512]", ""},
		{"Gather-13", "", "f[256]; i[512,512]", ""},
		{"GatherElements-13", "axis=1", "f[512,512]; l[512,512]", ""},
		{"ScatterND-13", "", "f[512,512]; l[64,1]; f[64,512]", ""},
		{"Cast-13", "to=7", "f[512,512]", ""},
		{"Cast-13", "to=1", "u8[512,512]", ""},
		{"Cast-13", "to=10", "f[512,512]", ""},
		{"Trilu-14", "", "f[512,512]", ""},
		{"NonZero-13", "", "f[512,512]", ""},
	} {
		var in []*tensor.Tensor
		bytes := 0
		for part := range strings.SplitSeq(e.in, ";") {
			t, err := literal(part)
			if head, _, ok := strings.Cut(part, "]"); err != nil && ok { // a shape without elements
				if t, err = literal(head + ",0]"); err == nil {
					t, err = tensor.New(t.Type, t.Shape[:len(t.Shape)-1]...)
				}
				for i := 0; err == nil && i < t.Len(); i++ {
					if t.Type == onnx.Bool {
						tensor.Of[bool](t)[i] = i%61 < 30
					} else if t.Type == onnx.Float {
						tensor.Of[float32](t)[i] = float32(i%61)/16 - 1
					}
				}
			}
			if err != nil {
				b.Fatal(err)
			}
			in, bytes = append(in, t), bytes+t.Size()
		}
		outs := 1
		if strings.HasPrefix(e.name, "TopK") {
			outs = 2
		}
		op, err := New(e.node(len(in), outs))
		if err != nil {
			b.Fatal(err)
		}
		c := &Call{CPU: cpu, In: in, Outs: make([]*tensor.Tensor, outs)}
		name := fmt.Sprintf("%s/%s%s", e.name, strings.ReplaceAll(strings.ReplaceAll(e.in, " ", ""), ";", "_"), strings.ReplaceAll(e.attributes, " ", "_"))
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := op.Run(c); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(bytes))
			for _, t := range c.Outs {
				b.SetBytes(int64(bytes + t.Size()))
			}
		})
	}
}
