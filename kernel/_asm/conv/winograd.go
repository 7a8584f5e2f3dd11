package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build" //nolint:revive // avo's programs read like assembly so
	"github.com/mmcloughlin/avo/operand"
)

// Offsets in winogradInputArgs and winogradOutputArgs.
const (
	inDst, inSrc, inCh, inTiles                              = 0, 24, 48, 56
	inPixel, inRow, inPosition, inSrcTile, inDstTile         = 64, 72, 80, 88, 96
	outDst, outSrc, outBias, outAdd, outCh, outRows, outCols = 0, 24, 48, 72, 96, 104, 112
	outPixel, outRow, outPosition, outLo, outHi              = 120, 128, 136, 144, 148
)

// The points of F(4,3) are 0, ±p, ±q and infinity. With these the error is about twice that of a direct convolution, where the
// usual 1 and 2 give six times as much; their powers up to the third are exact in float32.
const (
	pointP = 11.0 / 16
	pointQ = 23.0 / 16
)

// winograd is the pair of one-dimensional transforms of F(out, 3), each as groups of results that have work in common.
type winograd struct {
	out    int
	input  []step
	output []step
}

// step computes some elements of a transformed vector of out+2 (input) or out (output) elements. x gives element i of the vector,
// which is a register of its own that may be changed if fresh is set.
type step struct {
	rows []int
	do   func(m *machine, x func(i int, fresh bool) vec) []vec
}

func (w *winograd) size() int { return w.out + 2 }

// f23 has the points 0, 1, −1 and infinity.
var f23 = &winograd{
	out: 2,
	input: []step{
		{[]int{0}, func(m *machine, x func(int, bool) vec) []vec { return []vec{m.sub(x(2, true), x(0, false))} }},
		{[]int{1, 2}, func(m *machine, x func(int, bool) vec) []vec {
			plus, minus := m.vec(), x(2, true)
			one := x(1, false)
			VADDPS(one, minus, plus)
			return []vec{plus, m.sub(minus, one)}
		}},
		{[]int{3}, func(m *machine, x func(int, bool) vec) []vec { return []vec{m.sub(x(3, true), x(1, false))} }},
	},
	output: []step{
		{[]int{0}, func(m *machine, x func(int, bool) vec) []vec {
			return []vec{m.add(m.add(x(0, true), x(1, false)), x(2, false))}
		}},
		{[]int{1}, func(m *machine, x func(int, bool) vec) []vec {
			return []vec{m.sub(m.add(x(3, true), x(1, false)), x(2, false))}
		}},
	},
}

// f43 follows from the polynomials ∏(x − points) and their quotients by one factor.
var f43 = &winograd{
	out: 4,
	input: []step{
		{[]int{0}, f43Edge(0)},
		{[]int{1, 2}, f43Pair(pointP, pointQ)},
		{[]int{3, 4}, f43Pair(pointQ, pointP)},
		{[]int{5}, f43Edge(1)},
	},
	output: []step{
		{[]int{0, 2}, func(m *machine, x func(int, bool) vec) []vec {
			s, t := m.add(x(1, true), x(2, false)), m.add(x(3, true), x(4, false))
			y := m.add(m.add(x(0, true), s), t)
			return []vec{y, m.addMul(m.mul(s, pointP*pointP), t, pointQ*pointQ)}
		}},
		{[]int{1, 3}, func(m *machine, x func(int, bool) vec) []vec {
			s, t := m.sub(x(1, true), x(2, false)), m.sub(x(3, true), x(4, false))
			z := m.addMul(m.addMul(x(5, true), s, math.Pow(pointP, 3)), t, math.Pow(pointQ, 3))
			return []vec{m.addMul(m.mul(s, pointP), t, pointQ), z}
		}},
	},
}

// f43Edge is x[4+k] − (p² + q²)·x[2+k] + p²q²·x[k].
func f43Edge(k int) func(m *machine, x func(int, bool) vec) []vec {
	return func(m *machine, x func(int, bool) vec) []vec {
		sum := m.addMul(x(4+k, true), x(2+k, false), -(pointP*pointP + pointQ*pointQ))
		return []vec{m.addMul(sum, x(k, false), pointP*pointP*pointQ*pointQ)}
	}
}

// f43Pair is (x₄ − q²·x₂) ± p·(x₃ − q²·x₁).
func f43Pair(p, q float64) func(m *machine, x func(int, bool) vec) []vec {
	return func(m *machine, x func(int, bool) vec) []vec {
		odd := m.addMul(x(3, true), x(1, false), -q*q)
		even := m.addMul(x(4, true), x(2, false), -q*q)
		plus := m.addMul(m.copy(even), odd, p)
		return []vec{plus, m.addMul(even, odd, -p)}
	}
}

// add changes a to a + b, sub to a − b, mul to c·a.
func (m *machine) add(a, b vec) vec { VADDPS(b, a, a); return a }
func (m *machine) sub(a, b vec) vec { VSUBPS(b, a, a); return a }

// mul returns c·a in another register.
func (m *machine) mul(a vec, c float64) vec {
	v := m.vec()
	VMULPS(m.constant(c), a, v)
	return v
}

// addMul changes s to s + c·a.
func (m *machine) addMul(s, a vec, c float64) vec {
	if c < 0 {
		VFNMADD231PS(m.constant(-c), a, s)
	} else {
		VFMADD231PS(m.constant(c), a, s)
	}
	return s
}

// constants are the numbers that the transforms multiply by, each filling a vector.
var constants struct {
	at   mem
	seen map[float32]int
}

// constant returns a vector in memory with all lanes c.
func (m *machine) constant(c float64) mem {
	x := float32(c)
	if constants.seen == nil {
		constants.seen = map[float32]int{}
	}
	at, ok := constants.seen[x]
	if !ok {
		at = 64 * len(constants.seen)
		constants.seen[x] = at
		for i := range 16 {
			DATA(at+4*i, operand.F32(x))
		}
	}
	return constants.at.Offset(at)
}

// steps returns the addresses 0·s to 5·s beyond base, which takes the registers s, 3s, 5s.
func addresses(base, s, s3, s5 gpr) []mem {
	return []mem{at(base, nil, 0), at(base, s, 1), at(base, s, 2), at(base, s3, 1), at(base, s, 4), at(base, s5, 1)}
}

// sandwich emits both transforms of a tile of which load returns element (i, j): first the columns, for a group of rows at a
// time, then these rows. Result r of row i goes to store, in order.
func (m *machine) sandwich(n int, steps []step, load func(i, j int) mem, next func(j int), store func(i, j int, v vec), row func(i int)) {
	for _, s := range steps {
		rows := make([][]vec, len(s.rows))
		for j := range n {
			for r, v := range s.do(m, func(i int, _ bool) vec { return m.load(load(i, j)) }) {
				rows[r] = append(rows[r], v)
			}
			next(j)
		}
		for r, i := range s.rows {
			row(i)
			for _, t := range steps {
				out := t.do(m, func(k int, fresh bool) vec {
					if fresh {
						return m.copy(rows[r][k])
					}
					return rows[r][k]
				})
				for k, v := range out {
					store(i, t.rows[k], v)
				}
			}
		}
	}
}

func (m *machine) winogradInput(w *winograd) {
	a := m.function(fmt.Sprintf("winogradInput%d", w.out), "transforms tiles, see winogradInput.")
	n := w.size()
	src, dst, tiles := field(a, inSrc), field(a, inDst), field(a, inTiles)
	row, pixel, position := stride(a, inRow), stride(a, inPixel), stride(a, inPosition)
	row3, row5, position3, position5 := times(3, row), times(5, row), times(3, position), times(5, position)
	Label("tile")
	c, ch := GP64(), field(a, inCh)
	m.channels("channel", c, ch, []int{1}, func(int) {
		p, to := GP64(), GP64()
		LEAQ(at(src, c, 1), p)
		column := 0
		m.sandwich(n, w.input,
			func(i, _ int) mem { return addresses(p, row, row3, row5)[i] },
			func(int) {
				if column++; column%n == 0 {
					LEAQ(at(src, c, 1), p)
				} else {
					ADDQ(pixel, p)
				}
			},
			func(_, j int, v vec) { m.storeAll(v, addresses(to, position, position3, position5)[j]) },
			func(i int) {
				MOVQ(operand.I32(i*n), to)
				IMULQ(position, to)
				ADDQ(dst, to)
				ADDQ(c, to)
			})
	})
	t := stride(a, inSrcTile)
	ADDQ(t, src)
	t = stride(a, inDstTile)
	ADDQ(t, dst)
	DECQ(tiles)
	JNZ(operand.LabelRef("tile"))
	m.end()
}

// storeAll stores all lanes, valid or not.
func (m *machine) storeAll(v vec, to mem) { VMOVUPS(v, to) }

func (m *machine) winogradOutput(w *winograd) {
	a := m.function(fmt.Sprintf("winogradOutput%d", w.out), "transforms a tile back, see winogradOutput.")
	n := w.size()
	src, position := field(a, outSrc), stride(a, outPosition)
	bounds := func() (lo, hi vec) { return m.splat(a.Offset(outLo)), m.splat(a.Offset(outHi)) }
	if m.wide { // AVX2 has no registers left for them
		lo, hi := bounds()
		bounds = func() (vec, vec) { return lo, hi }
	}
	row := GP64()
	MOVQ(operand.I32(n), row)
	IMULQ(position, row)
	row3, row5 := times(3, row), times(5, row)
	c, ch := GP64(), field(a, outCh)
	label := 0
	m.channels("channel", c, ch, []int{1}, func(int) {
		p, to, add := GP64(), GP64(), GP64()
		LEAQ(at(src, c, 1), p)
		column := 0
		skip := ""
		m.sandwich(n, w.output,
			func(i, _ int) mem { return addresses(p, row, row3, row5)[i] },
			func(int) {
				if column++; column%n == 0 {
					LEAQ(at(src, c, 1), p)
				} else {
					ADDQ(position, p)
				}
			},
			func(i, j int, v vec) {
				label++
				skip = fmt.Sprintf("skip%d", label)
				CMPQ(a.Offset(outCols), operand.Imm(uint64(j)))
				JLE(operand.LabelRef(skip))
				CMPQ(a.Offset(outRows), operand.Imm(uint64(i)))
				JLE(operand.LabelRef(skip))
				bias, pixel := field(a, outBias), stride(a, outPixel)
				VADDPS(m.operand(at(bias, c, 1)), v, v)
				IMUL3Q(operand.Imm(uint64(j)), pixel, pixel)
				TESTQ(add, add)
				JZ(operand.LabelRef(skip + "Add"))
				VADDPS(m.operand(at(add, pixel, 1)), v, v)
				Label(skip + "Add")
				lo, hi := bounds()
				m.clip(v, lo, hi)
				m.store(v, at(to, pixel, 1))
				Label(skip)
			},
			func(i int) {
				next := stride(a, outRow)
				IMUL3Q(operand.Imm(uint64(i)), next, next)
				ADDQ(c, next)
				MOVQ(a.Offset(outDst), to)
				ADDQ(next, to)
				MOVQ(a.Offset(outAdd), add)
				TESTQ(add, add)
				JZ(operand.LabelRef(fmt.Sprintf("noAdd%d%t", i, m.rest != nil)))
				ADDQ(next, add)
				Label(fmt.Sprintf("noAdd%d%t", i, m.rest != nil))
			})
	})
	m.end()
}
