package deepcompress

import (
	"github.com/effml/effml/internal/uses"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/quantize"
)

// sums says what the first operator that takes t as a weight sums over, as far as is known: errors are to cancel in those
// sums (see [quantize.Balanced]).
func sums(t *onnx.Tensor, list []uses.Use) quantize.Sums {
	for _, u := range list {
		if c, _ := judge(u); c != classWeight || u.Node == nil || u.Node.Inputs[u.Input] != t.Name {
			continue // reads another arrangement of the values
		}
		if s := sumsOf(u, t.Dims); s != (quantize.Sums{}) {
			return s
		}
	}
	return quantize.Sums{}
}

func sumsOf(u uses.Use, dims []int64) quantize.Sums {
	row := quantize.Sums{Row: count(dims[1:])} // one output for each index of the first axis
	last := int(dims[len(dims)-1])
	switch u.Node.OpType {
	case "Conv", "FusedConv", "DeformConv":
		if len(dims) > 2 {
			row.Kernel = count(dims[2:])
		}
		return row
	case "Gemm", "FusedGemm":
		transposed := integer(u.Node, "transA") != 0
		if u.Input == 1 {
			transposed = integer(u.Node, "transB") == 0
		}
		if transposed {
			return quantize.Sums{Columns: last}
		}
		return row
	case "MatMul", "FusedMatMul":
		if len(dims) != 2 || integer(u.Node, "transA") != 0 || integer(u.Node, "transB") != 0 {
			return quantize.Sums{}
		}
		if u.Input == 1 {
			return quantize.Sums{Columns: last}
		}
		return row
	case "LSTM", "GRU", "RNN": // [directions, gates·hidden, inputs]
		return quantize.Sums{Row: last}
	}
	return quantize.Sums{}
}

func count(dims []int64) int {
	n := 1
	for _, d := range dims {
		n *= int(d)
	}
	return n
}

// integer returns an attribute of n; 0 where it is not there.
func integer(n *onnx.Node, name string) int64 {
	for _, a := range n.Attributes {
		if a.Name == name {
			return a.I
		}
	}
	return 0
}
