package prune

import (
	"fmt"
	"math"

	"github.com/effml/effml/internal/rewrite"
	"github.com/effml/effml/internal/weights"
	"github.com/effml/effml/onnx"
)

// Rewrite rewrites a floating-point initializer of g, which is a graph of m, as W → Mul(values, mask): mask is 1 where
// |w| ≥ threshold and 0 elsewhere, of the tensor's type and shape, and values are the weights with those below the
// threshold already +0, so that folding the product gives the very bits of [Apply]. Masked weights get no gradient, so
// they stay zero in training. It returns how many weights became zero that were not. The node is named tensor + ".prune".
// NaN is a *ValueError. Values and mask are held in memory. A graph input that offers to override W is
// dropped.
func Rewrite(m *onnx.Model, g *onnx.Graph, tensor string, threshold float64) (zeroed int, err error) {
	t, err := rewrite.Initializer(g, tensor)
	if err != nil {
		return 0, fmt.Errorf("prune: %w", err)
	}
	src, err := weights.Tensor(t)
	if err != nil {
		return 0, fmt.Errorf("prune: %w", err)
	}
	raw, err := weights.Raw(t)
	if err != nil {
		return 0, fmt.Errorf("prune: %w", err)
	}
	width := t.DataType.Bits() / 8
	one := make([]byte, width)
	onnx.PutFloats(one, t.DataType, []float32{1})
	values, mask := make([]byte, len(raw)), make([]byte, len(raw))
	parts, err := weights.Lanes(src, lanes, func(int) *int { return new(int) }, func(n *int, w []float32, first int) error {
		for i, v := range w {
			at := (first + i) * width
			switch a := math.Abs(float64(v)); {
			case a >= threshold:
				copy(values[at:at+width], raw[at:])
				copy(mask[at:], one)
			case a != a:
				return &ValueError{Index: first + i, Value: v}
			case a > 0:
				*n++
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, n := range parts {
		zeroed += *n
	}
	names := rewrite.NewNames(m)
	valuesName, maskName := names.Fresh(tensor+".values"), names.Fresh(tensor+".mask")
	rewrite.Replace(m, g, tensor, []*onnx.Tensor{
		rewrite.NewTensor(valuesName, t.DataType, t.Dims, values),
		rewrite.NewTensor(maskName, t.DataType, t.Dims, mask),
	}, []*onnx.Node{{
		OpType: "Mul", Name: names.Fresh(tensor + ".prune"), Inputs: []string{valuesName, maskName}, Outputs: []string{tensor},
	}})
	return zeroed, nil
}
