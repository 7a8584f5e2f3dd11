package ops

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// TestMatMul compares batched products with their definition.
func TestMatMul(t *testing.T) {
	cpu := newTestCPU(t)
	r := rand.New(rand.NewPCG(1, 1))
	for _, s := range []struct{ a, b, y []int }{
		{[]int{3, 4}, []int{4, 5}, []int{3, 5}},
		{[]int{4}, []int{4}, []int{}},
		{[]int{4}, []int{4, 3}, []int{3}},
		{[]int{2, 3, 4}, []int{4}, []int{2, 3}},
		{[]int{2, 3, 4}, []int{4, 2}, []int{2, 3, 2}},
		{[]int{2, 3, 4}, []int{1, 4, 2}, []int{2, 3, 2}},
		{[]int{4}, []int{2, 4, 2}, []int{2, 2}},
		{[]int{2, 1, 3, 4}, []int{5, 4, 2}, []int{2, 5, 3, 2}},
		{[]int{1, 3, 4}, []int{2, 2, 4, 1}, []int{2, 2, 3, 1}},
		{[]int{1, 17}, []int{17, 40}, []int{1, 40}},
		{[]int{2, 0}, []int{0, 3}, []int{2, 3}},
		{[]int{0, 3}, []int{3, 2}, []int{0, 2}},
	} {
		for _, dt := range []onnx.DataType{onnx.Float, onnx.Double, onnx.Float16, onnx.BFloat16} {
			a, b := small(r, dt, s.a...), small(r, dt, s.b...)
			e := example{name: "MatMul-13"}
			checkFused(t, cpu, e, []*tensor.Tensor{a, b}, slowMatMul(values(a), values(b), s.a, s.b, s.y), s.y)
		}
		ints := func(shape []int) *tensor.Tensor {
			v := make([]int32, product(shape))
			for i := range v {
				v[i] = int32(r.IntN(9) - 4)
			}
			return tensor.From(v, shape...)
		}
		a, b := ints(s.a), ints(s.b)
		x, w := make([]float64, a.Len()), make([]float64, b.Len())
		for i, v := range tensor.Of[int32](a) {
			x[i] = float64(v)
		}
		for i, v := range tensor.Of[int32](b) {
			w[i] = float64(v)
		}
		want := tensor.From(make([]int32, product(s.y)), s.y...)
		for i, v := range slowMatMul(x, w, s.a, s.b, s.y) {
			tensor.Of[int32](want)[i] = int32(v)
		}
		op, _ := New(example{name: "MatMul-9"}.node(2, 1))
		if err := (trial{cpu: cpu, op: op, in: []*tensor.Tensor{a, b}, want: []*tensor.Tensor{want}}).run(); err != nil {
			t.Errorf("int32 %v by %v: %v", s.a, s.b, err)
		}
	}
}

func slowMatMul(a, b []float64, shapeA, shapeB, shape []int) []float64 {
	if len(shapeA) == 1 {
		shapeA = []int{1, shapeA[0]}
		shape = slices.Insert(slices.Clone(shape), len(shape)-min(1, len(shapeB)-1), 1)
	}
	if len(shapeB) == 1 {
		shapeB = []int{shapeB[0], 1}
		shape = append(slices.Clone(shape), 1)
	}
	y := make([]float64, product(shape))
	for i := range y {
		at := coordinates(i, shape)
		pick := func(s []int, row, column int) int {
			k := len(s) - 2
			var p []int
			for d := range k {
				c := at[len(shape)-len(s)+d]
				if s[d] == 1 {
					c = 0
				}
				p = append(p, c)
			}
			return offset(append(p, row, column), s)
		}
		n := len(shape)
		for k := range shapeA[len(shapeA)-1] {
			y[i] += a[pick(shapeA, at[n-2], k)] * b[pick(shapeB, k, at[n-1])]
		}
	}
	return y
}

// TestMatMulBias has a product take over the addition of a vector.
func TestMatMulBias(t *testing.T) {
	cpu := newTestCPU(t)
	op, err := New(example{name: "MatMul-13"}.node(2, 1))
	if err != nil {
		t.Fatal(err)
	}
	in, _ := literals("f[2,1,2] 1 2 3 4; f[2,3] 1 0 1 0 1 1; f[3] 10 20 30")
	want, _ := literals("f[2,1,3] 11 22 33 13 24 37")
	if err := (trial{cpu: cpu, op: op.(Fuser).Fuse(true, kernel.Activation{}), in: in, want: want}).run(); err != nil {
		t.Error(err)
	}
}

// TestGemm compares Gemm with its definition for all transpositions, factors and shapes of the summand.
func TestGemm(t *testing.T) {
	cpu := newTestCPU(t)
	r := rand.New(rand.NewPCG(2, 2))
	for _, size := range [][3]int{{3, 4, 5}, {1, 33, 18}, {7, 1, 1}, {2, 3, 0}} {
		m, n, k := size[0], size[1], size[2]
		for _, trans := range [][2]int{{0, 0}, {0, 1}, {1, 0}, {1, 1}} {
			for _, factors := range [][2]float64{{1, 1}, {0.5, 2}, {1, 0}} {
				for _, summand := range [][]int{nil, {}, {1}, {n}, {1, n}, {m, 1}, {m, n}} {
					for _, dt := range []onnx.DataType{onnx.Float, onnx.Double, onnx.Float16, onnx.BFloat16} {
						shapes := [][]int{{m, k}, {k, n}}
						for i := range shapes {
							if trans[i] == 1 {
								slices.Reverse(shapes[i])
							}
						}
						in := []*tensor.Tensor{small(r, dt, shapes[0]...), small(r, dt, shapes[1]...)}
						if summand != nil {
							in = append(in, small(r, dt, summand...))
						}
						a, b := values(in[0]), values(in[1])
						y := make([]float64, m*n)
						for i := range y {
							at := coordinates(i, []int{m, n})
							for l := range k {
								p, q := []int{at[0], l}, []int{l, at[1]}
								if trans[0] == 1 {
									slices.Reverse(p)
								}
								if trans[1] == 1 {
									slices.Reverse(q)
								}
								y[i] += factors[0] * a[offset(p, shapes[0])] * b[offset(q, shapes[1])]
							}
							if summand != nil {
								p := at[2-len(summand):]
								for d := range p {
									p[d] = min(p[d], summand[d]-1)
								}
								y[i] += factors[1] * values(in[2])[offset(p, summand)]
							}
						}
						e := example{name: "Gemm-13", attributes: fmt.Sprintf("transA=%d transB=%d alpha=f%v beta=f%v", trans[0], trans[1], factors[0], factors[1])}
						checkFused(t, cpu, e, in, y, []int{m, n})
					}
				}
			}
		}
	}
}

// TestEinsum compares Einsum with a loop over all indices.
func TestEinsum(t *testing.T) {
	cpu := newTestCPU(t)
	r := rand.New(rand.NewPCG(3, 3))
	extents := map[rune]int{'a': 2, 'b': 3, 'c': 4, 'd': 5, 'i': 3, 'j': 4, 'k': 2}
	for _, equation := range []string{
		"ij,jk->ik", "ij,kj->ik", "bij,bjk->bik", "ij->ji", "ii->i", "ii", "ij", "ba", "ijk->j", "i,j->ij", "i,i", "i,i->i", "ij,ij->", "ab,bcd,d->ac",
		"abc,dc->abd", "iji,j->i", "ij,j,kj->ki", "abcd,abdk->abck", "ab,ab,ab->b", "ac,ad->a", ",ij->ij", "ij,->j",
	} {
		left, right, explicit := strings.Cut(equation, "->")
		if !explicit {
			right = implicit(left)
		}
		operands := strings.Split(left, ",")
		shapeOf := func(s string) (shape []int) {
			shape = []int{}
			for _, l := range s {
				shape = append(shape, extents[l])
			}
			return shape
		}
		var all []rune
		for _, l := range left {
			if l != ',' && !slices.Contains(all, l) {
				all = append(all, l)
			}
		}
		for _, dt := range []onnx.DataType{onnx.Float, onnx.Double, onnx.Float16} {
			var in []*tensor.Tensor
			var v [][]float64
			for _, s := range operands {
				in = append(in, small(r, dt, shapeOf(s)...))
				v = append(v, values(in[len(in)-1]))
			}
			y := make([]float64, product(shapeOf(right)))
			for i := range product(shapeOf(string(all))) {
				at := coordinates(i, shapeOf(string(all)))
				where := func(s string) int {
					var p []int
					for _, l := range s {
						p = append(p, at[slices.Index(all, l)])
					}
					return offset(p, shapeOf(s))
				}
				part := 1.0
				for k, s := range operands {
					part *= v[k][where(s)]
				}
				y[where(right)] += part
			}
			n := example{name: "Einsum-12"}.node(len(in), 1)
			n.Attributes = []*onnx.Attribute{{Name: "equation", Type: onnx.AttributeString, S: []byte(equation)}}
			op, err := New(n)
			if err != nil {
				t.Fatal(equation, err)
			}
			want := tensorOf(dt, y, shapeOf(right)...)
			if err := (trial{cpu: cpu, op: op, in: in, want: []*tensor.Tensor{want}}).run(); err != nil {
				t.Errorf("%s: %v", equation, err)
			}
		}
	}
}
