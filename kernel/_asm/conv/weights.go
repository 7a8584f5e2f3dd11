package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build" //nolint:revive // avo's programs read like assembly so
	"github.com/mmcloughlin/avo/operand"
)

// Offsets in winogradWeightsArgs.
const weightsDst, weightsSrc, weightsMatrix, weightsIn, weightsWidth, weightsPosition = 0, 24, 48, 72, 80, 88

// winogradWeights emits the transform of weights, half a vector of outputs at a time, in float64: a row of the product of the
// matrix and the weights, then that row times the matrix transposed.
func (m *machine) winogradWeights(w *winograd) {
	a := m.function(fmt.Sprintf("winogradWeights%d", w.out), "transforms weights, see winogradWeights.")
	n := w.size()
	src, dst, matrix, in := field(a, weightsSrc), field(a, weightsDst), field(a, weightsMatrix), field(a, weightsIn)
	row, position := stride(a, weightsWidth), stride(a, weightsPosition)
	row3, row5 := times(3, row), times(5, row)
	Label("channel")
	left := field(a, weightsWidth)
	Label("outputs")
	low, to := GP64(), GP64()
	MOVQ(dst, to)
	LEAQ(at(src, row3, 2), low)
	weights := append(addresses(src, row, row3, row5), at(low, nil, 0), at(low, row, 1), at(low, row, 2))
	for i := range n {
		half := make([]vec, 3)
		for k := range 3 {
			factor := m.splat64(matrix, 3*i+k)
			for j := range half {
				x := m.load64(weights[3*k+j])
				if k == 0 {
					VMULPD(factor, x, x)
					half[j] = x
				} else {
					VFMADD231PD(factor, x, half[j])
				}
			}
		}
		for j := range n {
			sum := m.splat64(matrix, 3*j)
			VMULPD(half[0], sum, sum)
			for k := 1; k < 3; k++ {
				VFMADD231PD(m.splat64(matrix, 3*j+k), half[k], sum)
			}
			m.store64(sum, at(to, nil, 0))
			ADDQ(position, to)
		}
	}
	ADDQ(operand.Imm(uint64(m.bytes()/2)), src)
	ADDQ(operand.Imm(uint64(m.bytes()/2)), dst)
	SUBQ(operand.Imm(uint64(m.lanes/2)), left)
	JNZ(operand.LabelRef("outputs"))
	LEAQ(at(src, row, 8), src)
	DECQ(in)
	JNZ(operand.LabelRef("channel"))
	m.end()
}

func (m *machine) splat64(base gpr, i int) vec {
	v := m.vec()
	VBROADCASTSD(at(base, nil, 0).Offset(8*i), v)
	return v
}

// load64 returns half a vector of float32 as a vector of float64.
func (m *machine) load64(from mem) vec {
	v := m.vec()
	VCVTPS2PD(from, v)
	return v
}

// store64 rounds a vector of float64 to float32.
func (m *machine) store64(v vec, to mem) {
	if m.wide {
		half := YMM()
		VCVTPD2PS(v, half)
		VMOVUPS(half, to)
		return
	}
	half := XMM()
	VCVTPD2PSY(v, half)
	VMOVUPS(half, to)
}
