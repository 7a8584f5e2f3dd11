package archive

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/effml/effml/onnx"
)

// levels packs n weights with random codes by the given tables.
func levels(seed uint64, n int, p Packed) *Packed {
	codes := make([]int32, n)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range codes {
		if r.IntN(3) > 0 { // 0 is common
			codes[i] = p.Min + int32(r.IntN(int(p.Max-p.Min)+1))
		}
	}
	p.Codes = func(dst []int32, first int64) error {
		copy(dst, codes[first:first+int64(len(dst))])
		return nil
	}
	return &p
}

// slowValue is what the documentation of Packed says.
func slowValue(p *Packed, i int64) float32 {
	g := int64(0)
	if p.Group > 0 {
		g = i / int64(p.Group)
	}
	var code [1]int32
	if err := p.Codes(code[:], i); err != nil {
		panic(err)
	}
	if p.Codebook == nil {
		return float32(float64(p.Step[g]) * float64(code[0])) // exact in float64, rounded once
	}
	k := int(code[0])
	if p.Origin != nil {
		k += p.Origin[g]
	}
	return p.Codebook[g][k]
}

func books(seed uint64, groups, k int) [][]float32 {
	r := rand.New(rand.NewPCG(seed, 2))
	list := make([][]float32, groups)
	for g := range list {
		list[g] = make([]float32, k)
		for i := range list[g] {
			list[g][i] = float32(r.NormFloat64())
		}
	}
	return list
}

func repeat[T any](v T, n int) []T {
	list := make([]T, n)
	for i := range list {
		list[i] = v
	}
	return list
}

// TestPacked packs tensors in every way the options allow, and compares what comes
// back with a slow reading of the definition.
func TestPacked(t *testing.T) {
	const big = 3 * blockUnits / 2
	for _, c := range []struct {
		name string
		dt   onnx.DataType
		dims []int64
		p    Packed
	}{
		{"grid", onnx.Float, []int64{40, 50}, Packed{Step: []float32{0.013}, Min: -9, Max: 7}},
		{"grid of float16", onnx.Float16, []int64{40, 50}, Packed{Step: []float32{0.013}, Min: -9, Max: 7}},
		{"grid of bfloat16", onnx.BFloat16, []int64{2000}, Packed{Step: []float32{1e-3}, Min: -9, Max: 700}},
		{"grid of double", onnx.Double, []int64{2000}, Packed{Step: []float32{1e-3}, Min: -1, Max: 1}},
		{"codebook", onnx.Float, []int64{30, 2, 3, 3}, Packed{Codebook: books(1, 1, 16), Origin: []int{5}, Min: -5, Max: 10}},
		{"codebook without origin", onnx.Float, []int64{300}, Packed{Codebook: books(1, 1, 4), Max: 3}},
		{"grids by channel", onnx.Float, []int64{7, 11, 13}, Packed{Step: []float32{1, 2, 3, 4, 5, 6, 7}, Group: 143, Min: -3, Max: 3}},
		{"codebooks by block", onnx.Float, []int64{1000}, Packed{Codebook: books(2, 8, 9), Origin: repeat(4, 8), Group: 128, Min: -4, Max: 4}},
		{"only zeros", onnx.Float, []int64{500, 3}, Packed{Step: []float32{1}}},
		{"one weight", onnx.Float, []int64{}, Packed{Step: []float32{0.5}, Min: 3, Max: 3}},
		{"many blocks", onnx.Float, []int64{big + 1000}, Packed{Step: []float32{0.01}, Min: -20, Max: 20}},
		{"many blocks of rows", onnx.Float, []int64{big / 700, 100, 7}, Packed{Step: []float32{0.01}, Min: -2, Max: 2}},
		{"long rows", onnx.Float16, []int64{2, big / 2}, Packed{Step: repeat(float32(0.01), 2*big/blockUnits), Group: blockUnits / 2, Min: -2, Max: 2}},
		{"large codes", onnx.Float, []int64{300}, Packed{Step: []float32{1e-9}, Min: math.MinInt32, Max: math.MinInt32 + 5}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, _ := product(c.dims)
			p := levels(1, int(n), c.p)
			if c.name == "large codes" {
				p.Codes = func(dst []int32, first int64) error {
					for i := range dst {
						dst[i] = p.Min + int32(first+int64(i))%6
					}
					return nil
				}
			}
			m := initializers(floatTensor("w", c.dt, laplace(9, int(n)), c.dims...))
			data, s := pack(t, m, Options{Pack: func(onnx.TensorRef) (*Packed, error) { return p, nil }})
			if n > 20 && s.Tensors[0].Form != "packed" {
				t.Errorf("form %q", s.Tensors[0].Form)
			}
			checkPacked(t, data, p, c.dt, n, s)
		})
	}
}

func checkPacked(t *testing.T, data []byte, p *Packed, dt onnx.DataType, n int64, s *Sizes) {
	t.Helper()
	r := open(t, data)
	want := make([]float32, n)
	nonZero := int64(0)
	for i := range want {
		want[i] = slowValue(p, int64(i))
		if want[i] != 0 {
			nonZero++
		}
	}
	raw := make([]byte, r.Size(0))
	onnx.PutFloats(raw, dt, want)
	got := make([]byte, r.Size(0))
	if err := r.Decode(context.Background(), 0, got); err != nil {
		t.Fatal(err)
	}
	if s.Tensors[0].Form != "packed" {
		return // the original values, which other tests look at
	}
	if !bytes.Equal(got, raw) {
		t.Fatal("other values")
	}
	if s.Tensors[0].NonZero != nonZero || s.Tensors[0].Weights != n {
		t.Errorf("%d of %d are not zero, reported %d of %d", nonZero, n, s.Tensors[0].NonZero, s.Tensors[0].Weights)
	}
	floats := make([]float32, n)
	if err := r.Floats(context.Background(), 0, floats); err != nil {
		t.Fatal(err)
	}
	back := make([]byte, len(raw))
	onnx.PutFloats(back, dt, floats)
	if !bytes.Equal(back, raw) {
		t.Error("Floats gives other values")
	}
	checkCodes(t, r.Packed(0), p, n)
}

// checkCodes compares the codes, block by block.
func checkCodes(t *testing.T, q *PackedTensor, p *Packed, n int64) {
	t.Helper()
	if q == nil {
		t.Fatal("no packed tensor")
	}
	tables := q.Quantiser()
	if fmt.Sprint(tables.Step, tables.Codebook, tables.Group, tables.Min, tables.Max) != fmt.Sprint(p.Step, p.Codebook, p.Group, p.Min, p.Max) {
		t.Errorf("tables %v, want %v", tables, *p)
	}
	next := int64(0)
	for b := range q.Blocks() {
		first, count := q.Block(b)
		if first != next {
			t.Fatalf("block %d begins at %d instead of %d", b, first, next)
		}
		next += int64(count)
		got, want := make([]int32, count), make([]int32, count)
		if err := q.Codes(got, b); err != nil {
			t.Fatal(err)
		}
		if err := p.Codes(want, first); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("block %d: other codes", b)
		}
	}
	if next != n {
		t.Errorf("blocks hold %d of %d weights", next, n)
	}
	if err := q.Codes(make([]int32, 1<<20), 0); err == nil {
		t.Error("codes of another length than the block's were taken")
	}
}

// TestCoders: each coder alone works, is named, and none is better than the choice
// among all.
func TestCoders(t *testing.T) {
	p := levels(4, 5000, Packed{Step: []float32{0.1}, Min: -7, Max: 8})
	m := initializers(floatTensor("w", onnx.Float, laplace(5, 5000), 50, 100))
	o := Options{Pack: func(onnx.TensorRef) (*Packed, error) { return p, nil }}
	_, all := pack(t, m, o)
	for _, name := range []string{"fixed", "huffman", "relative", "context"} {
		o.Coders = []string{name}
		data, s := pack(t, m, o)
		if s.Tensors[0].Method != name || s.Tensors[0].Form != "packed" {
			t.Errorf("%s: %+v", name, s.Tensors[0])
		}
		if s.Codes+s.Positions < all.Codes+all.Positions {
			t.Errorf("%s takes %d bytes, the choice %d", name, s.Codes+s.Positions, all.Codes+all.Positions)
		}
		if got, err := open(t, data).Sizes(); err != nil || got.Codes != s.Codes || got.Positions != s.Positions || got.Tensors[0].Method != name {
			t.Errorf("%s: sizes read %+v, written %+v", name, got, s)
		}
		checkPacked(t, data, p, onnx.Float, 5000, s)
	}
}

// TestCodersOfTensor: a tensor's own list of coders comes before that of the options.
func TestCodersOfTensor(t *testing.T) {
	p := levels(4, 5000, Packed{Step: []float32{0.1}, Min: -7, Max: 8, Coders: []string{"fixed"}})
	m := initializers(floatTensor("w", onnx.Float, laplace(5, 5000), 50, 100))
	o := Options{Coders: []string{"huffman"}, Pack: func(onnx.TensorRef) (*Packed, error) { return p, nil }}
	if _, s := pack(t, m, o); s.Tensors[0].Method != "fixed" {
		t.Errorf("coded by %s", s.Tensors[0].Method)
	}
	for _, bad := range [][]string{{}, {"morse"}} {
		p.Coders = bad
		if _, err := Write(context.Background(), &bytes.Buffer{}, m, o); err == nil {
			t.Errorf("coders %q were taken", bad)
		}
	}
}

// TestNeverGrows: packing that gains nothing is dropped, and the tensor keeps its
// own values.
func TestNeverGrows(t *testing.T) {
	constant := repeat(float32(1)/3, 3*blockUnits)
	few := make([]float32, 4000)
	for i := range few {
		few[i] = float32(i%3) * 0.7
	}
	for _, c := range []struct {
		name    string
		weights []float32
		p       Packed
	}{
		{"a constant", constant, Packed{Step: []float32{1}, Min: -100, Max: 100}},
		{"few values", few, Packed{Step: []float32{1}, Min: -100, Max: 100}},
		{"large codebook", laplace(1, 16), Packed{Codebook: books(1, 1, 64), Max: 63}},
	} {
		p := levels(3, len(c.weights), c.p)
		m := initializers(floatTensor("w", onnx.Float, c.weights, int64(len(c.weights))))
		data, s := pack(t, m, Options{Effort: 1, Pack: func(onnx.TensorRef) (*Packed, error) { return p, nil }})
		if s.Tensors[0].Form != "lossless" || s.Codebooks != 0 {
			t.Errorf("%s: %+v", c.name, s.Tensors[0])
			continue
		}
		got := make([]float32, len(c.weights))
		if err := open(t, data).Floats(context.Background(), 0, got); err != nil {
			t.Fatal(err)
		}
		for i, v := range got {
			if v != c.weights[i] {
				t.Fatalf("%s: weight %d is %v instead of %v", c.name, i, v, c.weights[i])
			}
		}
		if open(t, data).Packed(0) != nil {
			t.Errorf("%s: codes of a tensor without", c.name)
		}
	}
}

// TestSharedTable: equal tables are stored once.
func TestSharedTable(t *testing.T) {
	p := levels(4, 5000, Packed{Codebook: books(1, 1, 200), Origin: []int{100}, Min: -100, Max: 99})
	m := initializers(floatTensor("a", onnx.Float, laplace(5, 5000), 5000), floatTensor("b", onnx.Float, laplace(6, 5000), 5000))
	data, s := pack(t, m, Options{Pack: func(onnx.TensorRef) (*Packed, error) { return p, nil }})
	if s.Tensors[0].Codebooks == 0 || s.Tensors[1].Codebooks != 0 || s.Codebooks > 850 {
		t.Errorf("codebooks take %d, of the tensors %d and %d", s.Codebooks, s.Tensors[0].Codebooks, s.Tensors[1].Codebooks)
	}
	got, err := open(t, data).Sizes()
	if err != nil {
		t.Fatal(err)
	}
	checkSizes(t, got, int64(len(data)))
	checkPacked(t, data, p, onnx.Float, 5000, s)
}

// TestHopeless: the estimate that spares the lossless coding is on the safe side.
func TestHopeless(t *testing.T) {
	bytesOf := func(f func(i int) uint32, n int) []byte {
		var b []byte
		for i := range n {
			b = binary.LittleEndian.AppendUint32(b, f(i))
		}
		return b
	}
	r := rand.New(rand.NewPCG(1, 1))
	random := bytesOf(func(int) uint32 { return r.Uint32() }, 1<<18)
	two := bytesOf(func(int) uint32 { return uint32(r.IntN(2)) }, 1<<18)
	for _, c := range []struct {
		name   string
		raw    []byte
		budget int
		want   bool
	}{
		{"nothing", nil, 10, true},
		{"random, 8 bits each", random, 1 << 18, true},
		{"random, all bits", random, 4 << 18, false},
		{"two values, a bit each", two, 1<<15 + 100, false},
		{"two values, half a bit each", two, 1 << 14, true},
		{"a constant", make([]byte, 4<<18), 10, false},
	} {
		if got := hopeless(c.raw, 4, c.budget); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// TestModelOfPacked: the model that a reader gives has the packed values, those of
// large tensors made when they are written.
func TestModelOfPacked(t *testing.T) {
	const n = 2*blockUnits + 77
	p := levels(8, n, Packed{Step: []float32{0.25}, Min: -7, Max: 7})
	w := floatTensor("w", onnx.Float, laplace(5, n), n)
	w.Storage = onnx.StorageFloat
	data, _ := pack(t, initializers(w), Options{Pack: func(onnx.TensorRef) (*Packed, error) { return p, nil }})
	r := open(t, data)
	m, err := r.Model()
	if err != nil {
		t.Fatal(err)
	}
	back, err := onnx.Decode(encodeModel(t, m))
	if err != nil {
		t.Fatal(err)
	}
	got := back.Graph.Initializers[0]
	if got.Storage != onnx.StorageFloat {
		t.Errorf("storage %v", got.Storage)
	}
	one := make([]float32, 1)
	for _, i := range []int64{0, 1, blockUnits - 1, blockUnits, n - 1} {
		if err := got.ReadFloats(one, i); err != nil || one[0] != slowValue(p, i) {
			t.Errorf("weight %d is %v instead of %v, %v", i, one[0], slowValue(p, i), err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	if m, err = r.ModelContext(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := m.WriteTo(&bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Errorf("a model whose context ended: %v", err)
	}
}

func TestReaderArguments(t *testing.T) {
	ctx := context.Background()
	ints := &onnx.Tensor{Name: "ints", DataType: onnx.Int64, Dims: []int64{1}}
	ints.SetBytes(make([]byte, 8))
	data, _ := pack(t, initializers(floatTensor("a", onnx.Float, laplace(1, 10), 10), floatTensor("none", onnx.Float, nil, 0), ints), Options{})
	r := open(t, data)
	if err := r.Decode(ctx, 0, make([]byte, 39)); err == nil || !strings.Contains(err.Error(), `"a"`) {
		t.Errorf("decode into 39 bytes: %v", err)
	}
	if err := r.Decode(ctx, 1, nil); err != nil {
		t.Errorf("decode nothing: %v", err)
	}
	if err := r.Floats(ctx, 2, make([]float32, 1)); err == nil || !strings.Contains(err.Error(), "INT64") {
		t.Errorf("floats of integers: %v", err)
	}
	if i, err := r.Index("ints"); i != 2 || err != nil {
		t.Errorf("index %d, %v", i, err)
	}
	if _, err := r.Index("no"); err == nil {
		t.Error("found a tensor that is not there")
	}
	if r.Len() != 3 || r.Version() != Version || r.Close() != nil {
		t.Errorf("%d tensors, version %d", r.Len(), r.Version())
	}
}
