package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/effml/effml/internal/isa"
)

// The generator of the micro-kernels knows these.
func TestTileLayout(t *testing.T) {
	var x tile
	for i, f := range []struct{ is, want uintptr }{
		{unsafe.Offsetof(x.a), 0},
		{unsafe.Offsetof(x.lda), 8},
		{unsafe.Offsetof(x.offsets), 16},
		{unsafe.Offsetof(x.segments), 24},
		{unsafe.Offsetof(x.k), 32},
		{unsafe.Offsetof(x.b), 40},
		{unsafe.Offsetof(x.ldb), 48},
		{unsafe.Offsetof(x.c), 56},
		{unsafe.Offsetof(x.ldc), 64},
		{unsafe.Offsetof(x.bias), 72},
		{unsafe.Offsetof(x.add), 80},
		{unsafe.Offsetof(x.addStride), 88},
		{unsafe.Offsetof(x.lo), 96},
		{unsafe.Offsetof(x.hi), 100},
		{unsafe.Offsetof(x.alpha), 104},
		{unsafe.Offsetof(x.beta), 108},
		{unsafe.Offsetof(x.flags), 112},
		{unsafe.Offsetof(x.columns), 116},
		{unsafe.Offsetof(x.ahead), 120},
		{unsafe.Offsetof(x.step), 128},
		{unsafe.Offsetof(x.keep), 136},
	} {
		if f.is != f.want {
			t.Errorf("field %d of tile at %d, the generator thinks at %d", i, f.is, f.want)
		}
	}
}

// oracle computes p in float64, and for each element how much rounding the sum may suffer.
func (p *Product) oracle() (want, slack []float64) {
	want, slack = make([]float64, p.M*p.N), make([]float64, p.M*p.N)
	for i := range p.M {
		for j := range p.N {
			var sum, size float64
			for k := range p.K {
				a, b := i*p.LDA+k, k*p.LDB+j
				if p.TransA {
					a = k*p.LDA + i
				}
				if p.TransB {
					b = j*p.LDB + k
				}
				x := float64(p.A[a]) * float64(p.B[b])
				sum += x
				size += math.Abs(x)
			}
			plus := func(x float64) {
				sum += x
				size += math.Abs(x)
			}
			sum, size = sum*float64(p.Alpha), size*math.Abs(float64(p.Alpha))
			if p.Beta != 0 {
				plus(float64(p.Beta) * float64(p.C[i*p.LDC+j]))
			}
			if p.Bias != nil {
				plus(float64(p.Bias[j]))
			}
			if p.Add != nil {
				plus(float64(p.Add[i*p.LDC+j]))
			}
			want[i*p.N+j] = oracleAct(p.Act, sum)
			slack[i*p.N+j] = size*float64(p.K+8)/(1<<24) + 0x1p-22*math.Abs(want[i*p.N+j])
		}
	}
	return want, slack
}

// oracleAct is written without the code under test for the functions that the tests of products use.
func oracleAct(a Activation, x float64) float64 {
	switch a.Kind {
	case ClipTo:
		if x < float64(a.A) {
			return float64(a.A)
		}
		if x > float64(a.B) {
			return float64(a.B)
		}
	case Sigmoid:
		return 1 / (1 + math.Exp(-x))
	}
	return x
}

// checkProduct compares c, rows of n with distance ldc, and fails too where anything between the rows has changed.
func checkProduct(t *testing.T, what string, c buffer, m, n, ldc int, want, slack []float64, between float32) {
	t.Helper()
	c.check(t, what)
	for i, got := range c.data {
		row, col := i/ldc, i%ldc
		if col >= n || row >= m {
			if math.Float32bits(got) != math.Float32bits(between) {
				t.Fatalf("%s: wrote between rows, at [%d, %d]", what, row, col)
			}
			continue
		}
		w, s := want[row*n+col], slack[row*n+col]
		g := float64(got)
		if math.IsNaN(w) && math.IsNaN(g) || g == w || math.Abs(g-w) <= s {
			continue
		}
		t.Fatalf("%s: [%d, %d] is %v, want %v ± %v", what, row, col, got, w, s)
	}
}

// randomProduct returns a product with random strides in guarded buffers. Between rows of C is the number between.
func randomProduct(r *rand.Rand, m, n, k int, between float32) (p *Product, c buffer) {
	matrix := func(rows, cols int, trans bool) (buffer, int) {
		if trans {
			rows, cols = cols, rows
		}
		ld := cols + r.IntN(3)*r.IntN(20)
		return newBuffer(max(0, (rows-1)*ld+cols), r.IntN(16)).fill(r, 1), ld
	}
	p = &Product{M: m, N: n, K: k, Alpha: 1, TransA: r.IntN(2) == 0, TransB: r.IntN(2) == 0}
	a, lda := matrix(m, k, p.TransA)
	b, ldb := matrix(k, n, p.TransB)
	c, ldc := matrix(m, n, false)
	p.A, p.LDA, p.B, p.LDB, p.C, p.LDC = a.data, lda, b.data, ldb, c.data, ldc
	for i := range c.data {
		if i%ldc >= n {
			c.data[i] = between
		}
	}
	if r.IntN(2) == 0 {
		p.Alpha, p.Beta = float32(r.NormFloat64()), float32(r.IntN(3)-1)*0.5
	}
	if r.IntN(2) == 0 {
		p.Bias = newBuffer(n, r.IntN(16)).fill(r, 1).data
	}
	switch r.IntN(3) {
	case 0:
		p.Add = slices.Clone(p.C)
	case 1:
		if p.Beta == 0 {
			p.Add = p.C
		}
	}
	switch r.IntN(3) {
	case 0:
		p.Act = Activation{Kind: ClipTo, A: -0.5, B: 1}
	case 1:
		p.Act = Activation{Kind: Sigmoid}
	}
	return p, c
}

func productSizes(r *rand.Rand) [][3]int {
	var sizes [][3]int
	for m := range 16 {
		sizes = append(sizes, [3]int{m, 1 + r.IntN(100), r.IntN(40)})
	}
	for n := range 36 {
		sizes = append(sizes, [3]int{1 + r.IntN(30), n, r.IntN(20)})
	}
	for k := range 10 {
		sizes = append(sizes, [3]int{1 + r.IntN(30), 1 + r.IntN(70), k})
	}
	sizes = append(sizes, [][3]int{
		{49, 160, 960},
		{1, 1000, 1030},
		{130, 1, 513},
		{1, 1, 2000},
		{197, 130, 257},
		{60, 330, 430},
		{17, 180, 1601},
		{45, 701, 401},
		{14, 65, 770},
		{33, 1025, 48},
		{128, 96, 1024},
		{3, 48, 256},
		{1, 33, 64},
	}...)
	if testing.Short() {
		return slices.DeleteFunc(sizes, func(s [3]int) bool { return s[0]*s[1]*s[2] > 40000 })
	}
	return append(sizes, [][3]int{{5, 40, 4100}, {128, 96, 100}, {197, 130, 57}, {205, 300, 64}, {64, 3136, 6}, {300, 40, 30}}...)
}

func TestGemm(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		for _, size := range productSizes(r) {
			for range 1 + 2*min(1, 20000/(size[0]*size[1]*size[2]+1)) {
				p, out := randomProduct(r, size[0], size[1], size[2], 77)
				what := fmt.Sprintf("%v A%v B%v α %v β %v act %v", size, p.TransA, p.TransB, p.Alpha, p.Beta, p.Act.Kind)
				want, slack := p.oracle()
				if p.Beta == 0 && (p.Add == nil || len(p.C) > 0 && &p.Add[0] != &p.C[0]) {
					for i := range p.C {
						if i%p.LDC < p.N {
							p.C[i] = float32(math.NaN()) // not read
						}
					}
				}
				Gemm(c, p)
				checkProduct(t, what, out, p.M, p.N, p.LDC, want, slack, 77)
			}
		}
	})
}

func TestPackedGemm(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		for _, size := range productSizes(r) {
			p, out := randomProduct(r, size[0], size[1], size[2], 77)
			for p.TransA {
				p, out = randomProduct(r, size[0], size[1], size[2], 77)
			}
			p.Alpha, p.Beta = 1, 0
			want, slack := p.oracle()
			b := Pack(c, p.B, p.LDB, p.K, p.N, p.TransB)
			b.Gemm(c, p.M, p.A, p.LDA, p.C, p.LDC, &p.Epilogue, p.LDC)
			checkProduct(t, fmt.Sprint(size, p.TransB), out, p.M, p.N, p.LDC, want, slack, 77)
			if least := 4 * p.K * p.N; b.Bytes() < least || b.Bytes() > least+4*p.K*tileWidth(c.set) {
				t.Errorf("%v: %d bytes packed", size, b.Bytes())
			}
		}
	})
}

// Rows of several segments are what convolutions are made of.
func TestRowsOfSegments(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		for _, size := range [][4]int{ // rows, columns, segments, elements of a segment
			{14, 64, 3, 9}, {7, 33, 3, 96}, {28, 16, 9, 200}, {5, 40, 2, 700}, {56, 5, 7, 21}, {1, 1, 1, 1}, {17, 48, 5, 256}, {3, 8, 11, 3},
		} {
			m, n, segments, k := size[0], size[1], size[2], size[3]
			lda := r.IntN(2 * k)
			offsets := make([]int, segments)
			for s := range offsets {
				offsets[s] = r.IntN(1000)
			}
			x := newBuffer((m-1)*lda+slices.Max(offsets)+k, 3).fill(r, 1)
			p := &Product{M: m, N: n, K: segments * k, Alpha: 1, LDA: segments * k, LDB: n, LDC: n + 3}
			for i := range m {
				for _, offset := range offsets {
					p.A = append(p.A, x.data[i*lda+offset:][:k]...)
				}
			}
			p.B = newBuffer(p.K*n, 0).fill(r, 1).data
			p.Bias = newBuffer(n, 0).fill(r, 1).data
			p.Act = Activation{Kind: ClipTo, A: 0, B: float32(math.Inf(1))}
			want, slack := p.oracle()
			out := newBuffer(m*(n+3), 5)
			b := Pack(c, p.B, n, p.K, n, false)
			block := rowBlock{m: m, a: x.data, lda: lda, offsets: offsets, k: k, dst: out.data, ldc: n + 3, ep: p.Epilogue}
			half := b.panels() / 2
			b.rows(&block, half, b.panels())
			b.rows(&block, 0, half)
			checkProduct(t, fmt.Sprint(size), out, m, n, n+3, want, slack, math.Float32frombits(guard))
		}
	})
}

// Special numbers give what the formula gives; padding must not let them into other elements.
func TestGemmSpecials(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		inf, nan := float32(math.Inf(1)), float32(math.NaN())
		for _, size := range [][3]int{{5, 40, 9}, {1, 33, 20}, {20, 7, 300}, {40, 1, 50}, {1, 20, 600}} {
			for _, x := range []float32{inf, -inf, nan, 1e-42} {
				p, out := randomProduct(r, size[0], size[1], size[2], 77)
				p.A[r.IntN(len(p.A))], p.B[r.IntN(len(p.B))] = x, x
				p.Act = Activation{Kind: ClipTo, A: -2, B: 2}
				want, slack := p.oracle()
				for i := range slack {
					if math.IsInf(slack[i], 0) || math.IsNaN(slack[i]) {
						slack[i] = 0
					}
				}
				Gemm(c, p)
				checkProduct(t, fmt.Sprint(size, x), out, p.M, p.N, p.LDC, want, slack, 77)
			}
		}
	})
}

// The bits depend neither on threads nor, for packed operands, on how many rows are multiplied at once.
func TestGemmThreads(t *testing.T) {
	for set := isa.Generic; set <= isa.Best(); set++ {
		r := random()
		for _, size := range [][3]int{{49, 160, 260}, {131, 77, 100}, {1, 500, 300}, {70, 1, 900}, {256, 160, 120}, {40, 90, 2500}, {45, 701, 401}} {
			if testing.Short() && size[0] > 70 {
				continue
			}
			p, _ := randomProduct(r, size[0], size[1], size[2], 0)
			p.Add, p.TransA, p.LDA = nil, false, size[2]
			p.A = newBuffer(size[0]*size[2], 0).fill(r, 1).data
			before := slices.Clone(p.C)
			var want, wantPacked []float32
			for _, threads := range []int{1, 2, 7} {
				c := NewCPU(Options{Threads: threads, ISA: set})
				copy(p.C, before)
				Gemm(c, p)
				b := Pack(c, p.B, p.LDB, p.K, p.N, p.TransB)
				packed := make([]float32, p.M*p.N)
				b.Gemm(c, p.M, p.A, p.LDA, packed, p.N, nil, 0)
				if want == nil {
					want, wantPacked = slices.Clone(p.C), packed
				}
				if !slices.Equal(want, p.C) || !slices.Equal(wantPacked, packed) {
					t.Errorf("%v %v: other bits with %d threads", set, size, threads)
				}
				alone := make([]float32, p.N)
				for i := range p.M {
					b.Gemm(c, 1, p.A[i*p.LDA:], p.LDA, alone, p.N, nil, 0)
					if !slices.Equal(alone, packed[i*p.N:][:p.N]) {
						t.Fatalf("%v %v: other bits of row %d alone", set, size, i)
					}
				}
				c.Close()
			}
		}
	}
}

func TestGemmBatch(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		for _, size := range [][3]int{{20, 30, 64}, {1, 50, 9}, {70, 60, 50}} {
			products, wants, slacks, outs := make([]Product, 9), make([][]float64, 9), make([][]float64, 9), make([]buffer, 9)
			for i := range products {
				p, out := randomProduct(r, size[0], size[1], size[2], 77)
				products[i], outs[i] = *p, out
				wants[i], slacks[i] = p.oracle()
			}
			GemmBatch(c, products)
			for i, p := range products {
				checkProduct(t, fmt.Sprint(size, i), outs[i], p.M, p.N, p.LDC, wants[i], slacks[i], 77)
			}
		}
	})
}

func TestGemv(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		for _, size := range [][2]int{
			{1, 0}, {0, 5}, {3, 1}, {4, 7}, {5, 8}, {7, 15}, {9, 16}, {2, 17}, {6, 31}, {4, 32}, {8, 33}, {13, 100}, {10, 84}, {1000, 1280}, {37, 9000},
		} {
			n, k := size[0], size[1]
			ldw := k + r.IntN(5)
			w, x := newBuffer(n*ldw, r.IntN(16)).fill(r, 1), newBuffer(k, r.IntN(16)).fill(r, 1)
			out := newBuffer(n, r.IntN(16))
			p := &Product{M: n, N: 1, K: k, Alpha: 1, A: w.data, LDA: ldw, B: x.data, LDB: 1, LDC: 1}
			want, slack := p.oracle()
			var ep Epilogue
			if r.IntN(2) == 0 {
				ep = Epilogue{Bias: newBuffer(n, 0).fill(r, 1).data, Add: newBuffer(n, 0).fill(r, 1).data, Act: Activation{Kind: ClipTo, A: -1, B: 1}}
				for i := range want {
					want[i] = oracleAct(ep.Act, want[i]+float64(ep.Bias[i])+float64(ep.Add[i]))
					slack[i] += 0x1p-20
				}
			}
			Gemv(c, out.data, w.data, ldw, x.data, n, k, &ep)
			checkProduct(t, fmt.Sprint(size), out, n, 1, 1, want, slack, 77)
		}
	})
}

// After the first calls, which leave their memory behind for others, products allocate nothing.
func TestGemmAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector drops pooled memory at random")
	}
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		for _, size := range [][3]int{{14, 70, 30}, {300, 40, 64}, {150, 700, 400}, {1, 300, 50}, {90, 1, 50}} {
			p, _ := randomProduct(r, size[0], size[1], size[2], 0)
			p.TransA, p.LDA, p.A = false, p.K, make([]float32, p.M*p.K)
			b := Pack(c, p.B, p.LDB, p.K, p.N, p.TransB)
			batch := []Product{*p, *p}
			batch[1].C = slices.Clone(p.C)
			for what, f := range map[string]func(){
				"Gemm":        func() { Gemm(c, p) },
				"GemmBatch":   func() { GemmBatch(c, batch) },
				"Packed.Gemm": func() { b.Gemm(c, p.M, p.A, p.LDA, p.C, p.LDC, &p.Epilogue, p.LDC) },
				"Gemv":        func() { Gemv(c, p.C[:1], p.A, p.K, p.A, 1, p.K, nil) },
			} {
				if n := testing.AllocsPerRun(10, f); n > 0 {
					t.Errorf("%s of %v: %v allocations", what, size, n)
				}
			}
		}
	})
}
