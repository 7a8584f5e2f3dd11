package deepcompress

import (
	"fmt"
	"slices"

	"github.com/effml/effml/internal/uses"
)

// class says how free the pipeline is with a tensor.
type class uint8

const (
	classWeight  class = iota // used as a weight everywhere: may lose precision
	classUnknown              // some use is not known to bear it: only a plan that names the tensor changes it
	classKept                 // must keep every bit
)

// weightInputs says at which inputs an operator takes weights: factors of long sums of products, in which errors of many weights
// average out. -1 stands for all inputs.
var weightInputs = map[string][]int{
	"Conv": {1}, "ConvTranspose": {1}, "DeformConv": {1}, "Gemm": {0, 1}, "MatMul": {0, 1}, "Einsum": {-1},
	"Gather": {0}, "LSTM": {1, 2}, "GRU": {1, 2}, "RNN": {1, 2},
	"com.microsoft.FusedConv": {1}, "com.microsoft.NhwcFusedConv": {1}, "com.microsoft.FusedGemm": {0, 1},
	"com.microsoft.FusedMatMul": {0, 1}, "com.microsoft.FusedMatMulActivation": {0, 1}, "com.microsoft.GemmFastGelu": {1},
	"com.microsoft.TransposeMatMul": {0, 1}, "com.microsoft.GemmFloat8": {0, 1},
	"com.microsoft.Attention": {1}, "com.microsoft.LongformerAttention": {1, 4}, "com.microsoft.MoE": {2, 4, 6},
	"com.microsoft.EmbedLayerNormalization": {2, 3, 4},
	"com.ms.internal.nhwc.Conv":             {1}, "com.ms.internal.nhwc.ConvTranspose": {1},
}

// biasInputs are inputs that are added to the result.
var biasInputs = map[string]int{
	"Conv": 2, "ConvTranspose": 2, "DeformConv": 3, "Gemm": 2, "LSTM": 3, "GRU": 3, "RNN": 3,
	"com.microsoft.FusedConv": 2, "com.microsoft.FusedGemm": 2, "com.microsoft.Attention": 2, "com.ms.internal.nhwc.Conv": 2,
}

// normalisations have only inputs, beside the first, that must keep their precision.
var normalisations = map[string]bool{
	"BatchNormalization": true, "InstanceNormalization": true, "LayerNormalization": true, "GroupNormalization": true,
	"RMSNormalization": true, "com.microsoft.SkipLayerNormalization": true, "com.microsoft.GroupNorm": true,
	"com.microsoft.SkipSimplifiedLayerNormalization": true, "SimplifiedLayerNormalization": true,
	"com.microsoft.SimplifiedLayerNormalization": true, "com.microsoft.BiasGelu": true, "PRelu": true,
}

// judge classifies one use; the reason is for a table's cell.
func judge(u uses.Use) (class, string) {
	if u.Node == nil {
		return classKept, "output of the graph"
	}
	op := u.Op()
	if inputs := weightInputs[op]; slices.Contains(inputs, u.Input) || slices.Contains(inputs, -1) {
		return classWeight, ""
	}
	if bias, ok := biasInputs[op]; ok && bias == u.Input {
		return classKept, "bias of " + op
	}
	switch {
	case normalisations[op] && u.Input > 0:
		return classKept, "parameter of " + op
	case isQuantisation(u.Node.OpType):
		return classKept, "parameter of " + op
	case op == "LSTM" || op == "GRU" || op == "RNN":
		return classKept, "initial state or peephole of " + op
	case op == "If" || op == "Loop" || op == "Scan":
		return classKept, "state of " + op
	}
	return classUnknown, fmt.Sprintf("input %d of %s is not known to bear a loss", u.Input, op)
}

// isQuantisation reports whether all inputs of an operator are already quantised or are parameters of that.
func isQuantisation(op string) bool {
	switch op {
	case "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger",
		"MatMulNBits", "QAttention", "QGemm", "QLinearAdd", "QLinearMul", "GatherBlockQuantized":
		return true
	}
	return false
}
