package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// slowTranspose follows the definition index by index.
func slowTranspose[T any](src []T, shape, perm []int) []T {
	strides, n := make([]int, len(shape)), 1
	for i := len(shape) - 1; i >= 0; i-- {
		strides[i] = n
		n *= shape[i]
	}
	dst := make([]T, n)
	for i := range dst {
		rest, at := i, 0
		for k := len(perm) - 1; k >= 0; k-- {
			at += rest % shape[perm[k]] * strides[perm[k]]
			rest /= shape[perm[k]]
		}
		dst[i] = src[at]
	}
	return dst
}

func testTranspose[T Element](t *testing.T, c *CPU, value func(i int) T) {
	t.Helper()
	r := rand.New(rand.NewPCG(3, 4))
	cases := []struct{ shape, perm []int }{
		{nil, nil},
		{[]int{0, 3}, []int{1, 0}},
		{[]int{300, 200}, []int{1, 0}},
		{[]int{1, 3, 40, 50}, []int{0, 2, 3, 1}},
		{[]int{2, 30, 40, 3}, []int{0, 3, 1, 2}},
		{[]int{1, 10, 12, 2, 58}, []int{0, 1, 2, 4, 3}},
		{[]int{2, 7, 12, 64}, []int{0, 2, 1, 3}},
		{[]int{5, 2, 33}, []int{0, 2, 1}},
		{[]int{70, 70, 5}, []int{2, 1, 0}},
	}
	for range 60 {
		rank := 1 + r.IntN(6)
		shape := make([]int, rank)
		for i := range shape {
			shape[i] = 1 + r.IntN(9)
		}
		cases = append(cases, struct{ shape, perm []int }{shape, r.Perm(rank)})
	}
	for rows := 1; rows < 40; rows += 3 {
		for cols := 1; cols < 40; cols++ {
			cases = append(cases, struct{ shape, perm []int }{[]int{rows, cols}, []int{1, 0}})
		}
	}
	for _, k := range cases {
		n := 1
		for _, d := range k.shape {
			n *= d
		}
		src, dst := make([]T, n+2), make([]T, n+2)
		for i := range src {
			src[i], dst[i] = value(i), value(-1)
		}
		Transpose(c, dst[1:n+1], src[1:n+1], k.shape, k.perm)
		want := slices.Concat([]T{value(-1)}, slowTranspose(src[1:n+1], k.shape, k.perm), []T{value(-1)})
		if !slices.Equal(dst, want) {
			t.Fatalf("Transpose of %T %v by %v is wrong, or wrote outside", src, k.shape, k.perm)
		}
	}
}

func TestTranspose(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		testTranspose(t, c, func(i int) uint8 { return uint8(i * 7) })
		testTranspose(t, c, func(i int) int16 { return int16(i) })
		testTranspose(t, c, func(i int) float32 { return float32(i) })
		testTranspose(t, c, func(i int) float64 { return float64(i) })
		testTranspose(t, c, func(i int) complex128 { return complex(float64(i), 1) })
	})
}

// Bits travel unchanged: those of signalling NaNs too.
func TestChannelsLastKeepsBits(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		for _, s := range []struct{ n, ch, hw int }{{1, 3, 50}, {2, 17, 33}, {1, 64, 64}, {3, 2, 100}, {1, 100, 2}, {2, 4, 10000}} {
			n := s.n * s.ch * s.hw
			src, last, back := newBuffer(n, 1), newBuffer(n, 2), newBuffer(n, 0)
			for i := range src.data {
				src.data[i] = math.Float32frombits(r.Uint32())
			}
			what := fmt.Sprint("channels ", s)
			ChannelsLast(c, last.data, src.data, s.n, s.ch, s.hw)
			last.check(t, what)
			want := slowTranspose(src.data, []int{s.n, s.ch, s.hw}, []int{0, 2, 1})
			ChannelsFirst(c, back.data, last.data, s.n, s.ch, s.hw)
			back.check(t, what)
			for i, x := range want {
				if math.Float32bits(x) != math.Float32bits(last.data[i]) || math.Float32bits(src.data[i]) != math.Float32bits(back.data[i]) {
					t.Fatalf("%s: bits of element %d changed", what, i)
				}
			}
		}
	})
}

func TestCopyRows(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		for _, s := range []struct{ rows, n, dst, src int }{
			{0, 5, 5, 5}, {3, 0, 5, 5}, {1, 7, 0, 0}, {5, 7, 9, 8}, {5, 7, 7, 7}, {6, 3, 3, 0}, {1000, 40, 41, 100}, {700, 64, 66, 64}, {90, 130, 140, 0}, {1, 100000, 0, 0}, {50000, 2, 3, 2},
		} {
			src, dst := make([]uint16, max(0, s.rows-1)*s.src+s.n), make([]uint16, max(0, s.rows-1)*s.dst+s.n+3)
			for i := range src {
				src[i] = uint16(i%65521 + 1)
			}
			want := slices.Clone(dst)
			for r := range s.rows {
				for i := range s.n {
					want[r*s.dst+i] = src[r*s.src+i]
				}
			}
			CopyRows(c, dst, src, s.rows, s.n, s.dst, s.src)
			if !slices.Equal(dst, want) {
				t.Errorf("CopyRows %+v is wrong", s)
			}
		}
	})
}

func TestJoin(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		for _, s := range []struct {
			rows  int
			parts []int
		}{{0, []int{4}}, {9, nil}, {9, []int{0, 0}}, {1, []int{5, 3}}, {70, []int{1, 0, 2, 129}}, {700, []int{128, 4, 0, 260}}, {3000, []int{64, 64}}, {500, []int{64, 6, 2}}} {
			var parts []Part
			var want []byte
			for k, n := range s.parts {
				data := make([]byte, s.rows*n+k)
				for i := range data {
					data[i] = byte(i*7 + k)
				}
				parts = append(parts, Part{Data: data, N: n})
			}
			for r := range s.rows {
				for _, p := range parts {
					want = append(want, p.Data[r*p.N:][:p.N]...)
				}
			}
			dst := make([]byte, len(want)+8)
			Join(c, dst, parts, s.rows)
			if !slices.Equal(dst[:len(want)], want) || slices.Max(dst[len(want):]) != 0 {
				t.Errorf("Join of %d rows of %v is wrong", s.rows, s.parts)
			}
		}
	})
}
