package zoo

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/effml/effml/onnx"
)

// Versions that the models declare: the oldest with all operators that are used, so that other programs read them.
const (
	opset     = 17
	irVersion = 8
)

// builder makes a graph. Its layers add nodes and return what these compute. Nodes and their values have the name of the layer; a name that is there
// already gets a number. The first thing that cannot be stays in err, and what follows is of no use.
type builder struct {
	graph *onnx.Graph
	initial
	rng   *rand.Rand
	taken map[string]int
	err   error
}

// value is an activation [N, c, h, w], or [N, c] behind flatten, where h and w are 1.
type value struct {
	name    string
	c, h, w int
}

func newBuilder(name string, weights initial, rng *rand.Rand) *builder {
	if weights.epsilon == 0 { // PyTorch's
		weights.momentum, weights.epsilon = 0.9, 1e-5
	}
	return &builder{graph: &onnx.Graph{Name: name}, initial: weights, rng: rng, taken: map[string]int{}}
}

func (b *builder) input(dims [3]int) value {
	b.graph.Inputs = []*onnx.ValueInfo{info("input", dims[:]...)}
	return value{"input", dims[0], dims[1], dims[2]}
}

// model ends with x [N, c] as the output.
func (b *builder) model(x value) *onnx.Model {
	last := b.graph.Nodes[len(b.graph.Nodes)-1]
	last.Outputs[0] = "logits"
	b.graph.Outputs = []*onnx.ValueInfo{info("logits", x.c)}
	return &onnx.Model{IRVersion: irVersion, ProducerName: "effml", Graph: b.graph, OpsetImports: []*onnx.OperatorSet{{Version: opset}}}
}

func info(name string, dims ...int) *onnx.ValueInfo {
	shape := &onnx.Shape{Dims: []*onnx.Dimension{{Param: "N"}}}
	for _, d := range dims {
		v := int64(d)
		shape.Dims = append(shape.Dims, &onnx.Dimension{Value: &v})
	}
	return &onnx.ValueInfo{Name: name, Type: &onnx.TypeProto{Tensor: &onnx.TensorType{ElemType: onnx.Float, Shape: shape}}}
}

// node adds a node that computes a value like like.
func (b *builder) node(op, name string, like value, inputs []string, attributes ...*onnx.Attribute) value {
	if n := b.taken[name]; n > 0 {
		b.taken[name]++
		name = fmt.Sprintf("%s_%d", name, n)
	}
	b.taken[name]++
	if b.err == nil && (like.c < 1 || like.h < 1 || like.w < 1) {
		b.err = fmt.Errorf("nothing is left behind layer %s: take a larger input", name)
	}
	b.graph.Nodes = append(b.graph.Nodes, &onnx.Node{Name: name, OpType: op, Inputs: inputs, Outputs: []string{name}, Attributes: attributes})
	like.name = name
	return like
}

func integer(name string, v int) *onnx.Attribute {
	return &onnx.Attribute{Name: name, Type: onnx.AttributeInt, I: int64(v)}
}

func float(name string, v float32) *onnx.Attribute {
	return &onnx.Attribute{Name: name, Type: onnx.AttributeFloat, F: v}
}

func integers(name string, v ...int) *onnx.Attribute {
	a := &onnx.Attribute{Name: name, Type: onnx.AttributeInts}
	for _, v := range v {
		a.Ints = append(a.Ints, int64(v))
	}
	return a
}

// tensor adds an initializer, unless there is one of the name, and returns its name.
func (b *builder) tensor(name string, dt onnx.DataType, raw []byte, dims ...int) string {
	if b.taken["initializer "+name] > 0 {
		return name
	}
	b.taken["initializer "+name]++
	t := &onnx.Tensor{Name: name, DataType: dt}
	for _, d := range dims {
		t.Dims = append(t.Dims, int64(d))
	}
	t.SetBytes(raw)
	b.graph.Initializers = append(b.graph.Initializers, t)
	return name
}

// fill adds a float32 initializer with numbers of next.
func (b *builder) fill(name string, next func() float64, dims ...int) string {
	n := 1
	for _, d := range dims {
		n *= d
	}
	if b.err != nil { // sizes may be nonsense
		return name
	}
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(next())
	}
	raw := make([]byte, 4*n)
	onnx.PutFloats(raw, onnx.Float, values)
	return b.tensor(name, onnx.Float, raw, dims...)
}

// constant adds a float32 initializer of equal numbers.
func (b *builder) constant(name string, v float64, dims ...int) string {
	return b.fill(name, func() float64 { return v }, dims...)
}

// int64s adds an initializer of int64.
func (b *builder) int64s(name string, v ...int) string {
	var raw []byte
	for _, v := range v {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	return b.tensor(name, onnx.Int64, raw, len(v))
}
