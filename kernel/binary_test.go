package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

var binaryFormulas = map[BinaryOp]func(a, b float64) float64{
	Add: func(a, b float64) float64 { return a + b },
	Sub: func(a, b float64) float64 { return a - b },
	Mul: func(a, b float64) float64 { return a * b },
	Div: func(a, b float64) float64 { return a / b },
	Min: func(a, b float64) float64 { return min(a, b) }, // math.Min(−Inf, NaN) is −Inf
	Max: func(a, b float64) float64 { return max(a, b) },
	PRelu: func(a, b float64) float64 {
		if a < 0 {
			return a * b
		}
		return a
	},
	Pow: math.Pow,
}

// broadcast is a case of Binary: an output shape, and for each operand which dimensions it repeats.
type broadcast struct {
	shape   []int
	repeats [2][]bool
}

func (b broadcast) String() string { return fmt.Sprint(b.shape, b.repeats) }

// strides lays an operand out densely, without what it repeats.
func (b broadcast) strides(operand int) (strides []int, n int) {
	strides, n = make([]int, len(b.shape)), 1
	for i := len(b.shape) - 1; i >= 0; i-- {
		if !b.repeats[operand][i] {
			strides[i] = n
			n *= b.shape[i]
		}
	}
	return strides, n
}

// at is the offset of element i, in row-major order of the shape.
func (b broadcast) at(strides []int, i int) (at int) {
	for k := len(b.shape) - 1; k >= 0; k-- {
		at += i % b.shape[k] * strides[k]
		i /= b.shape[k]
	}
	return at
}

// broadcasts are lengths 0 to 130 in every mode, and random shapes.
func broadcasts(r *rand.Rand) (cases []broadcast) {
	for n := range 131 {
		for mode := range 4 {
			cases = append(cases, broadcast{[]int{1 + n%3, n}, [2][]bool{{mode == 3, mode == 1}, {n%2 == 0, mode == 2}}})
		}
	}
	for range 300 {
		var c broadcast
		for range r.IntN(6) {
			c.shape = append(c.shape, 1+r.IntN(7))
			for k := range c.repeats {
				c.repeats[k] = append(c.repeats[k], r.IntN(3) == 0)
			}
		}
		cases = append(cases, c)
	}
	cases = append(cases,
		broadcast{[]int{2, 9, 40, 60}, [2][]bool{{false, false, false, false}, {true, false, true, true}}},
		broadcast{[]int{2, 2400, 9}, [2][]bool{{false, false, false}, {false, true, false}}},
		broadcast{[]int{3, 40000}, [2][]bool{{false, false}, {false, true}}},
	)
	return cases
}

func TestBinary(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		cases := broadcasts(r)
		for op := range numBinaryOps {
			for k, b := range cases {
				sa, na := b.strides(0)
				sb, nb := b.strides(1)
				n := 1
				for _, d := range b.shape {
					n *= d
				}
				x, y, dst := newBuffer(na, k%5).fill(r, 2).sprinkle(r), newBuffer(nb, k%3).fill(r, 2).sprinkle(r), newBuffer(n, k%7)
				act, f := Activation{}, func(x float64) float64 { return x }
				switch k % 3 {
				case 1:
					act, f = Activation{Kind: ClipTo, A: -1, B: 6}, func(x float64) float64 { return formulas[ClipTo](x, -1, 6) }
				case 2:
					act, f = Activation{Kind: Neg}, func(x float64) float64 { return -x }
				}
				Binary(c, op, dst.data, x.data, y.data, b.shape, sa, sb, act)
				what := fmt.Sprintf("function %d of %s", op, b)
				dst.check(t, what)
				for i, got := range dst.data {
					u, v := x.data[b.at(sa, i)], y.data[b.at(sb, i)]
					if want := f(binaryFormulas[op](float64(u), float64(v))); ulps(got, want) > 0.5 {
						t.Fatalf("%s: element %d, of %v and %v, is %v, want %v", what, i, u, v, got, want)
					}
				}
			}
		}
	})
}

// A power of 2 everywhere takes another way, whose result may go into the operand.
func TestBinarySquareInPlace(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		x := newBuffer(1000, 0).fill(random(), 1)
		want := make([]float64, len(x.data))
		for i, v := range x.data {
			want[i] = float64(v) * float64(v)
		}
		Binary(c, Pow, x.data, x.data, []float32{2}, []int{1000}, []int{1}, []int{0}, Activation{})
		checkClose(t, "square", x.data, want, 1e-7, 0)
	})
}

func TestAffine(t *testing.T) {
	eachSet(t, func(t *testing.T, c *CPU) {
		r := random()
		for k := range 400 {
			outer, ch, inner := 1+k%3, 1+r.IntN(20), 1
			switch k % 4 {
			case 1:
				inner = k / 4
			case 2:
				ch = k / 4
			case 3:
				outer, ch = 100*(1+k%7), 1+k/4
			}
			act, f := Activation{}, func(x float64) float64 { return x }
			switch k % 5 {
			case 0:
				act, f = Activation{Kind: ClipTo, A: 0, B: float32(math.Inf(1))}, func(x float64) float64 { return math.Max(x, 0) }
			case 1:
				act, f = Activation{Kind: Abs}, math.Abs
			}
			n := outer * ch * inner
			src, dst := newBuffer(n, k%5).fill(r, 2), newBuffer(n, k%3)
			scale, shift := newBuffer(ch, 1).fill(r, 1), newBuffer(ch, 2).fill(r, 1)
			want := make([]float64, n)
			for i, x := range src.data {
				j := i / inner % ch
				want[i] = f(float64(x)*float64(scale.data[j]) + float64(shift.data[j]))
			}
			what := fmt.Sprint("Affine ", outer, ch, inner)
			Affine(c, dst.data, src.data, scale.data, shift.data, outer, ch, inner, act)
			checkClose(t, what, dst.data, want, 2e-7, 2e-6)
			dst.check(t, what)
		}
	})
}
