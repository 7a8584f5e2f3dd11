package archive

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/effml/effml/onnx"
)

// sampleModel has something of everything: packed tensors of several blocks and
// groups, lossless ones, strings, tied and external tensors, an attribute's.
func sampleModel() (*onnx.Model, Options) { return sampleOf(blockUnits + 3000) }

// sampleOf is sampleModel with n weights in its largest tensor.
func sampleOf(n int) (*onnx.Model, Options) {
	w := laplace(11, n)
	external := floatTensor("external", onnx.Float, w[:500], 500)
	external.Storage = onnx.StorageExternal
	external.External = &onnx.ExternalData{Location: "x.data", HasOffset: true, Offset: 64, HasLength: true, Length: 2000}
	text := &onnx.Tensor{Name: "text", DataType: onnx.String, Dims: []int64{2, 2}}
	text.SetStrings([][]byte{[]byte("a"), nil, []byte("long enough to be seen"), []byte("\x00\xff")})
	m := initializers(
		floatTensor("grid", onnx.Float, w, int64(len(w)/8), 8),
		floatTensor("books", onnx.Float16, w[:4000], 40, 100),
		floatTensor("bias", onnx.Float, w[:40], 40),
		floatTensor("tied", onnx.Float, w[:40], 5, 8),
		text, external,
	)
	m.Graph.Nodes = []*onnx.Node{{Name: "c", OpType: "Constant", Outputs: []string{"k"}, Attributes: []*onnx.Attribute{
		{Name: "value", Type: onnx.AttributeTensor, T: floatTensor("", onnx.Double, w[:100], 100)},
	}}}
	grid := gridPack(w, 0.4)
	book := levels(1, 4000, Packed{Codebook: books(1, 4, 16), Origin: repeat(3, 4), Group: 1000, Min: -3, Max: 12})
	return m, Options{
		Effort: 1, Provenance: map[string]string{"made": "for tests"},
		Extra: []Section{{ID: SectionClassNames, Data: AppendStrings(nil, []string{"cat", "dog"})}},
		Pack: func(ref onnx.TensorRef) (*Packed, error) {
			switch ref.Name {
			case "grid":
				return grid, nil
			case "books":
				return book, nil
			}
			return nil, nil
		},
	}
}

// decodeAll returns everything that an archive decodes to.
func decodeAll(data []byte) ([]byte, error) {
	r, err := ReadOptions{Threads: 1}.NewReader(data)
	if err != nil {
		return nil, err
	}
	m, err := r.Model()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if _, err := m.WriteTo(&b); err != nil {
		return nil, err
	}
	for _, ref := range m.Tensors() {
		if ref.Storage != onnx.StorageExternal {
			continue
		}
		raw, err := ref.Bytes() // these are not in the encoding
		if err != nil {
			return nil, err
		}
		b.Write(raw)
	}
	p, err := r.Provenance()
	fmt.Fprint(&b, p)
	return b.Bytes(), err
}

// corrupt damages a copy of data in one of the ways that files get damaged, or
// several; the result differs from data.
func corrupt(r *rand.Rand, data []byte) []byte {
	for {
		out := bytes.Clone(data)
		for range 1 + r.IntN(3)*r.IntN(2) {
			at := r.IntN(len(out))
			n := 1 + r.IntN(min(len(out)-at, 1<<r.IntN(12)))
			switch r.IntN(8) {
			case 0, 1:
				out[at] ^= 1 << r.IntN(8)
			case 2:
				out[at] = byte(r.Uint32())
			case 3:
				out = out[:at+1]
			case 4:
				clear(out[at : at+n])
			case 5:
				to := r.IntN(len(out) - n + 1)
				copy(out[to:to+n], bytes.Clone(out[at:at+n]))
			case 6:
				out = append(out[:at:at], out[at+n:]...)
			case 7:
				out = append(out[:at+n:at+n], out[at:]...)
			}
			if len(out) == 0 {
				break
			}
		}
		if !bytes.Equal(out, data) {
			return out
		}
	}
}

// allocated runs fn and returns the bytes it took from the heap in all.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestCorruptions damages an archive at random, $EFFML_CORRUPTIONS times. Each time
// opening or verifying must say so, decoding must fail or give what the sound
// archive gives, nothing may panic, and no more memory may be taken than twice
// what decoding the sound archive takes.
func TestCorruptions(t *testing.T) {
	n := 150
	if testing.Short() {
		n = 60
	}
	if s := os.Getenv("EFFML_CORRUPTIONS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	m, o := sampleModel()
	data, _ := pack(t, m, o)
	want, err := decodeAll(data)
	if err != nil {
		t.Fatal(err)
	}
	honest := allocated(func() { _, _ = decodeAll(data) })
	r := rand.New(rand.NewPCG(42, uint64(n)))
	opened, harmless := 0, 0
	for i := range n {
		bad := corrupt(r, data)
		var got []byte
		var err error
		if used := allocated(func() { got, err = decodeAll(bad) }); used > 2*honest {
			t.Errorf("corruption %d: decoding took %d bytes, the sound archive %d", i, used, honest)
		}
		if err == nil && !bytes.Equal(got, want) {
			t.Fatalf("corruption %d was decoded into something else", i)
		}
		rd, err := NewReader(bad)
		if err != nil {
			continue
		}
		opened++
		damage, err := rd.Verify(context.Background(), 1, nil)
		if err != nil || len(damage) == 0 {
			t.Fatalf("corruption %d was not found: %v", i, err)
		}
		if got != nil {
			harmless++
		}
	}
	t.Logf("%d corruptions of %d bytes: %d refused at once, %d found by verifying, of which %d touch no value", n, len(data), n-opened, opened, harmless)
}

// TestDamageIsNamed: verifying names the damaged tensor and block, and the others
// can still be read.
func TestDamageIsNamed(t *testing.T) {
	m, o := sampleModel()
	data, _ := pack(t, m, o)
	r := open(t, data)
	for i := range r.Len() {
		for b := range r.records[i].lengths {
			at := r.records[i].offsets[b+1] - 1
			bad := bytes.Clone(data)
			bad[at] ^= 0x10
			rd := open(t, bad)
			damage, err := rd.Verify(context.Background(), 2, nil)
			if err != nil {
				t.Fatal(err)
			}
			name := r.name(i)
			// The last bits of a payload may mean nothing; the file's sum sees them.
			if len(damage) == 2 && (damage[0].Tensor != name || damage[0].Block != b || damage[0].Offset != r.records[i].offsets[b]) || len(damage) < 1 || len(damage) > 2 {
				t.Errorf("tensor %q, block %d: damage %v", name, b, damage)
			}
			for j := range r.Len() {
				if own := &r.records[j]; j == i || own.same == i {
					continue
				}
				if err := rd.Decode(context.Background(), j, make([]byte, rd.Size(j))); err != nil {
					t.Errorf("damage to tensor %d keeps tensor %d from being read: %v", i, j, err)
				}
			}
		}
	}
}
