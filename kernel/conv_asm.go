//go:build amd64 && gc && !noasm

package kernel

import (
	"unsafe"

	"github.com/effml/effml/internal/isa"
)

// callConv runs a kernel on its arguments; false if the instruction set has none.
func callConv(set isa.Set, k convKernel, args unsafe.Pointer) bool {
	a := (*byte)(args)
	switch set {
	case isa.AVX512:
		convAVX512(k, a)
	case isa.AVX2:
		convAVX2(k, a)
	default:
		return false
	}
	return true
}

func convAVX512(k convKernel, a *byte) {
	switch k {
	case kernelCopySpans:
		copySpansAVX512(a)
	case kernelTapsDot:
		tapsDotAVX512(a)
	case kernelTapsSum:
		tapsSumAVX512(a)
	case kernelTapsMax:
		tapsMaxAVX512(a)
	case kernelSpreadFirst:
		spreadFirstAVX512(a)
	case kernelSpreadAll:
		spreadAllAVX512(a)
	case kernelDepthwise3x1:
		depthwise3x1AVX512(a)
	case kernelDepthwise3x2:
		depthwise3x2AVX512(a)
	case kernelDepthwise5x1:
		depthwise5x1AVX512(a)
	case kernelDepthwise5x2:
		depthwise5x2AVX512(a)
	case kernelDepthwise7x1:
		depthwise7x1AVX512(a)
	case kernelDepthwise7x2:
		depthwise7x2AVX512(a)
	case kernelSlideGrad3:
		slideGrad3AVX512(a)
	case kernelSlideGrad5:
		slideGrad5AVX512(a)
	case kernelSlideGrad7:
		slideGrad7AVX512(a)
	case kernelWinogradInput2:
		winogradInput2AVX512(a)
	case kernelWinogradInput4:
		winogradInput4AVX512(a)
	case kernelWinogradOutput2:
		winogradOutput2AVX512(a)
	case kernelWinogradOutput4:
		winogradOutput4AVX512(a)
	case kernelWinogradWeights2:
		winogradWeights2AVX512(a)
	case kernelWinogradWeights4:
		winogradWeights4AVX512(a)
	}
}

func convAVX2(k convKernel, a *byte) {
	switch k {
	case kernelCopySpans:
		copySpansAVX2(a)
	case kernelTapsDot:
		tapsDotAVX2(a)
	case kernelTapsSum:
		tapsSumAVX2(a)
	case kernelTapsMax:
		tapsMaxAVX2(a)
	case kernelSpreadFirst:
		spreadFirstAVX2(a)
	case kernelSpreadAll:
		spreadAllAVX2(a)
	case kernelDepthwise3x1:
		depthwise3x1AVX2(a)
	case kernelDepthwise3x2:
		depthwise3x2AVX2(a)
	case kernelDepthwise5x1:
		depthwise5x1AVX2(a)
	case kernelDepthwise5x2:
		depthwise5x2AVX2(a)
	case kernelDepthwise7x1:
		depthwise7x1AVX2(a)
	case kernelDepthwise7x2:
		depthwise7x2AVX2(a)
	case kernelSlideGrad3:
		slideGrad3AVX2(a)
	case kernelSlideGrad5:
		slideGrad5AVX2(a)
	case kernelSlideGrad7:
		slideGrad7AVX2(a)
	case kernelWinogradInput2:
		winogradInput2AVX2(a)
	case kernelWinogradInput4:
		winogradInput4AVX2(a)
	case kernelWinogradOutput2:
		winogradOutput2AVX2(a)
	case kernelWinogradOutput4:
		winogradOutput4AVX2(a)
	case kernelWinogradWeights2:
		winogradWeights2AVX2(a)
	case kernelWinogradWeights4:
		winogradWeights4AVX2(a)
	}
}
