package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build" //nolint:revive // avo's programs read like assembly so
	"github.com/mmcloughlin/avo/operand"
)

// group is the number of neighbouring output pixels that are computed together, so that they share weights and input.
const group = 4

// Offsets in rowArgs.
const (
	rowDst, rowSrc, rowW, rowBias           = 0, 24, 48, 72
	rowPixels, rowCh, rowHeight             = 96, 104, 112
	rowDstStep, rowSrcStep, rowPitch, rowWt = 120, 128, 136, 144
	rowLo, rowHi                            = 152, 156
)

// depthwise emits the kernel of output pixels of a row that lie inside the image. Groups that do not fit move back and
// compute some pixels again.
func (m *machine) depthwise(width, step int) {
	name := fmt.Sprintf("depthwise%dx%d", width, step)
	a := m.function(name, "computes a row, see depthwiseRow.")
	src, dst, left := field(a, rowSrc), field(a, rowDst), field(a, rowPixels)
	pixel := stride(a, rowSrcStep)
	pixel3 := times(3, pixel)
	lo, hi := m.splat(a.Offset(rowLo)), m.splat(a.Offset(rowHi))
	CMPQ(left, operand.Imm(group))
	JLT(operand.LabelRef("single"))
	for _, pixels := range []int{group, 1} {
		label := "group"
		if pixels == 1 {
			label = "single"
			Label(label)
		}
		SUBQ(operand.Imm(uint64(pixels)), left)
		Label(label + "Loop")
		c, n := GP64(), field(a, rowCh)
		m.channels(label, c, n, []int{1}, func(int) {
			m.depthwiseGroup(a, width, step, pixels, c, src, pixel, pixel3, dst, lo, hi)
		})
		TESTQ(left, left)
		JZ(operand.LabelRef("end"))
		next := GP64()
		MOVQ(operand.I32(pixels), next)
		if pixels > 1 {
			CMPQ(left, operand.Imm(1))
			JEQ(operand.LabelRef("last"))
			CMPQ(left, next)
			CMOVQLT(left, next)
		}
		SUBQ(next, left)
		m.advance(a, next, src, pixel, dst, step)
		JMP(operand.LabelRef(label + "Loop"))
		if pixels > 1 { // one pixel alone is faster than a whole group again
			Label("last")
			next = GP64()
			MOVQ(operand.I32(pixels), next)
			m.advance(a, next, src, pixel, dst, step)
		}
	}
	Label("end")
	m.end()
}

// advance moves on by a number of pixels.
func (m *machine) advance(a mem, pixels, src, pixel, dst gpr, step int) {
	t := GP64()
	MOVQ(pixel, t)
	IMULQ(pixels, t)
	LEAQ(at(src, t, step), src)
	t = stride(a, rowDstStep)
	IMULQ(pixels, t)
	ADDQ(t, dst)
}

// depthwiseGroup emits one vector of channels of neighbouring output pixels.
func (m *machine) depthwiseGroup(a mem, width, step, pixels int, c, src, pixel, pixel3, dst gpr, lo, hi vec) {
	label := fmt.Sprintf("rows%dm%t", pixels, m.rest != nil)
	bias := field(a, rowBias)
	sums := make([]vec, pixels)
	for r := range sums {
		if r == 0 {
			sums[0] = m.load(at(bias, c, 1))
		} else {
			sums[r] = m.copy(sums[0])
		}
	}
	p, w, wStep, pitch, rows := GP64(), field(a, rowW), stride(a, rowWt), stride(a, rowPitch), field(a, rowHeight)
	LEAQ(at(src, c, 1), p)
	ADDQ(c, w)
	Label(label)
	// Each input pixel is loaded once and serves all outputs of the group that see it.
	weights := make([]vec, width)
	for k := range weights {
		weights[k] = m.load(at(w, nil, 0))
		ADDQ(wStep, w)
	}
	q := GP64()
	MOVQ(p, q)
	for j := range (pixels-1)*step + width {
		if j > 0 && j%4 == 0 {
			LEAQ(at(q, pixel, 4), q)
		}
		x := m.load([]mem{at(q, nil, 0), at(q, pixel, 1), at(q, pixel, 2), at(q, pixel3, 1)}[j%4])
		for r := range pixels {
			if k := j - r*step; k >= 0 && k < width {
				VFMADD231PS(x, weights[k], sums[r])
			}
		}
	}
	ADDQ(pitch, p)
	DECQ(rows)
	JNZ(operand.LabelRef(label))
	MOVQ(dst, p)
	ADDQ(c, p)
	dstStep := stride(a, rowDstStep)
	for r := range sums {
		m.clip(sums[r], lo, hi)
		m.store(sums[r], at(p, nil, 0))
		if r < pixels-1 {
			ADDQ(dstStep, p)
		}
	}
}
