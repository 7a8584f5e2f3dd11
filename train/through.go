package train

import (
	"math"
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// throughNormalisations returns the nodes of a piece with each ReLU and ReLU6 that alone reads what a normalisation in training gives as part of that: then
// it takes no passes of its own over memory.
func throughNormalisations(n *network, p *piece) []*onnx.Node {
	readers, seen := map[string][]*onnx.Node{}, append([]string{p.output}, p.also...)
	for _, x := range p.nodes {
		for _, name := range x.Inputs {
			readers[name] = append(readers[name], x)
		}
	}
	var nodes []*onnx.Node
	gone := map[*onnx.Node]bool{}
	for _, x := range p.nodes {
		if gone[x] {
			continue
		}
		if x.Domain == ops.Domain && x.OpType == "BatchNormalizationTrain" {
			if r := readers[x.Outputs[0]]; len(r) == 1 && !slices.Contains(seen, x.Outputs[0]) {
				if hi, ok := n.rectifies(r[0]); ok {
					x, gone[r[0]] = through(x, r[0].Outputs[0], hi), true
				}
			}
		}
		nodes = append(nodes, x)
	}
	return nodes
}

// through returns a normalisation that limits what it gives to 0 to hi.
func through(n *onnx.Node, output string, hi float32) *onnx.Node {
	f := *n
	f.Outputs = slices.Clone(n.Outputs)
	f.Outputs[0] = output
	f.Attributes = append(slices.Clone(n.Attributes),
		&onnx.Attribute{Name: "kind", Type: onnx.AttributeString, S: []byte("Clip")}, &onnx.Attribute{Name: "alpha", Type: onnx.AttributeFloat},
		&onnx.Attribute{Name: "beta", Type: onnx.AttributeFloat, F: hi})
	return &f
}

// rectifies reports whether a node is a ReLU, or a ReLU6, whose upper limit it returns.
func (n *network) rectifies(x *onnx.Node) (hi float32, ok bool) {
	limit := func(i int) float32 {
		if i >= len(x.Inputs) {
			return float32(math.NaN())
		}
		t := n.known[x.Inputs[i]].Value
		if t == nil || t.Type != onnx.Float || t.Len() != 1 {
			return float32(math.NaN())
		}
		return tensor.Of[float32](t)[0]
	}
	switch {
	case x.OpType == "Relu":
		return float32(math.Inf(1)), true
	case x.OpType == "Clip" && limit(1) == 0 && limit(2) == 6:
		return 6, true
	}
	return 0, false
}
