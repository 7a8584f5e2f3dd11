package main

import (
	. "github.com/mmcloughlin/avo/build" //nolint:revive // avo's programs read like assembly so
	"github.com/mmcloughlin/avo/operand"
)

// Offsets in slideGradArgs.
const (
	gradDst, gradSrc, gradW                                       = 0, 24, 48
	gradPixels, gradCh, gradHeight                                = 72, 80, 88
	gradTapStep, gradSrcStep, gradNextStep, gradSrcRow, gradWStep = 96, 104, 112, 120, 128
)

// slideGrad emits the sums of products of a row of pixels with what each element of their windows, of a width, shows.
func (m *machine) slideGrad(width int) {
	a := m.function("slideGrad"+string(rune('0'+width)), "adds products of pixels and what their windows show, see slideGradArgs.")
	c, n := GP64(), field(a, gradCh)
	next, wStep, px := stride(a, gradNextStep), stride(a, gradWStep), stride(a, gradSrcStep)
	m.channels("channel", c, n, []int{2, 1}, func(vectors int) {
		label := "row" + string(rune('0'+vectors))
		if m.rest != nil {
			label = "rowRest"
		}
		rows, row, d := field(a, gradHeight), field(a, gradSrc), field(a, gradDst)
		ADDQ(c, row)
		ADDQ(c, d)
		Label(label)
		sums := make([][]vec, width)
		each := func(body func(j, v int, at mem)) {
			to, step := GP64(), stride(a, gradTapStep)
			MOVQ(d, to)
			for j := range sums {
				for v := range vectors {
					body(j, v, at(to, nil, 0).Offset(v*m.bytes()))
				}
				ADDQ(step, to)
			}
		}
		each(func(j, v int, from mem) {
			if v == 0 {
				sums[j] = make([]vec, vectors)
			}
			sums[j][v] = m.load(from)
		})
		p, q, left := GP64(), field(a, gradW), field(a, gradPixels)
		MOVQ(row, p)
		ADDQ(c, q)
		Label(label + "Pixel")
		x := GP64()
		MOVQ(p, x)
		var dy []vec
		for v := range vectors {
			dy = append(dy, m.load(at(q, nil, 0).Offset(v*m.bytes())))
		}
		for j := range sums {
			for v := range vectors {
				VFMADD231PS(m.operand(at(x, nil, 0).Offset(v*m.bytes())), dy[v], sums[j][v])
			}
			if j+1 < width {
				ADDQ(px, x)
			}
		}
		ADDQ(next, p)
		ADDQ(wStep, q)
		DECQ(left)
		JNZ(operand.LabelRef(label + "Pixel"))
		each(func(j, v int, to mem) { m.store(sums[j][v], to) })
		step := stride(a, gradTapStep)
		IMUL3Q(operand.I32(width), step, step)
		ADDQ(step, d)
		step = stride(a, gradSrcRow)
		ADDQ(step, row)
		DECQ(rows)
		JNZ(operand.LabelRef(label))
	})
	m.end()
}
