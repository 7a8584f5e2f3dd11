package train

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"slices"
	"unsafe"

	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	dense "gorgonia.org/tensor"
)

// stage is a segment of a network in its place in a step: what Gorgonia sees as one operator with one output. Arrays are float32 in the order
// in which a segment keeps them in memory.
//
// Gradients of parameters do not pass through Gorgonia: a stage adds them to where the parameters keep them. A Gorgonia node a parameter
// would take longer than the arithmetic of small networks.
type stage interface {
	fmt.Stringer
	// shape is that of the output, empty for a scalar.
	shape() []int
	// forward computes the output, which stays valid until the next forward.
	forward(in [][]float32) ([]float32, error)
	// differentiable says which inputs backward gives gradients of.
	differentiable() []bool
	// trains reports whether the stage has parameters, so that it runs back whatever its inputs are.
	trains() bool
	// backward adds to the gradients of the parameters, and returns the gradients of the differentiable inputs (nil for others), which stay valid
	// until the next backward. It follows forward.
	backward(grad []float32) ([][]float32, error)
}

// adapter makes stages the operators of an expression graph.
type adapter struct {
	graph *gorgonia.ExprGraph
	count uint64
	// roots are scalars that nothing reads. Differentiating with respect to them makes gradients reach the stages where the way back ends.
	roots gorgonia.Nodes
}

func newAdapter() *adapter { return &adapter{graph: gorgonia.NewGraph()} }

// input adds a node for an array that is there before the step. What it holds may change between steps.
func (a *adapter) input(name string, shape []int, data []float32) *gorgonia.Node {
	var m memory
	return gorgonia.NodeFromAny(a.graph, m.of(shape, data), gorgonia.WithName(name))
}

// apply adds a stage that reads inputs.
func (a *adapter) apply(s stage, inputs ...*gorgonia.Node) (*gorgonia.Node, error) {
	a.count++
	op := &forwardOp{stageOp: stageOp{stage: s, id: a.count}}
	if len(inputs) == 0 && !s.trains() { // Gorgonia has no operators without inputs
		inputs = append(inputs, a.input(fmt.Sprintf("start%d", a.count), nil, []float32{0}))
	}
	if s.trains() && !slices.Contains(s.differentiable(), true) {
		root := gorgonia.NewScalar(a.graph, gorgonia.Float32, gorgonia.WithName(fmt.Sprintf("root%d", len(a.roots))), gorgonia.WithValue(float32(0)))
		a.roots, inputs, op.rooted = append(a.roots, root), append(slices.Clone(inputs), root), true
	}
	op.node(inputs, s.shape())
	n, err := gorgonia.ApplyOp(op, inputs...)
	if err != nil {
		return nil, fmt.Errorf("train: %s as an operator of Gorgonia: %w", s, err)
	}
	return n, nil
}

// compile differentiates the scalar loss and returns the machine that runs a step: all stages forward, then back.
func (a *adapter) compile(loss *gorgonia.Node) (machine gorgonia.VM, err error) {
	defer func() { // Gorgonia panics where it meets a graph it did not foresee
		if r := recover(); r != nil {
			err = fmt.Errorf("train: compile the expression graph: %v", r)
		}
	}()
	if len(a.roots) > 0 {
		if _, err := gorgonia.Grad(loss, a.roots...); err != nil {
			return nil, fmt.Errorf("train: differentiate the expression graph: %w", err)
		}
	}
	return gorgonia.NewTapeMachine(a.graph), nil
}

// stageOp is what the operators of a stage have in common. They bring the memory of their results themselves, so Gorgonia allocates none.
type stageOp struct {
	stage  stage
	id     uint64
	kind   byte // tells the operators of a stage apart
	rooted bool // the last input is a root
	typ    hm.Type
	result []int
	memory memory
	arrays [][]float32
}

// node notes what the operator is applied to. Types are concrete, for with type variables Gorgonia fails to unify scalar children.
func (o *stageOp) node(children gorgonia.Nodes, result []int) {
	types := make([]hm.Type, 0, len(children)+1)
	for _, c := range children {
		types = append(types, c.Type())
	}
	o.typ, o.result = hm.NewFnType(append(types, typeOf(len(result)))...), result
	o.arrays = make([][]float32, len(children))
}

// typeOf is what Gorgonia calls the type of a float32 array of n dimensions.
func typeOf(n int) hm.Type {
	if n == 0 {
		return dense.Float32
	}
	return gorgonia.TensorType{Dims: n, Of: dense.Float32}
}

func (o *stageOp) Arity() int           { return len(o.arrays) }
func (o *stageOp) Type() hm.Type        { return o.typ }
func (o *stageOp) ReturnsPtr() bool     { return true }
func (o *stageOp) CallsExtern() bool    { return false }
func (o *stageOp) OverwritesInput() int { return -1 }
func (o *stageOp) String() string       { return o.stage.String() }

func (o *stageOp) InferShape(...gorgonia.DimSizer) (dense.Shape, error) {
	return dense.Shape(slices.Clone(o.result)), nil
}

// WriteHash writes the number of the operator: Gorgonia merges nodes that hash alike, and equal stages at two places are two.
func (o *stageOp) WriteHash(h hash.Hash) {
	var b [9]byte
	binary.LittleEndian.PutUint64(b[:], o.id)
	b[8] = o.kind
	_, _ = h.Write(b[:])
}

func (o *stageOp) Hashcode() uint32 {
	h := fnv.New32a()
	o.WriteHash(h)
	return h.Sum32()
}

// read collects the arrays of the first n children.
func (o *stageOp) read(values []gorgonia.Value, n int) ([][]float32, error) {
	for i, v := range values[:n] {
		switch data := v.Data().(type) {
		case []float32:
			o.arrays[i] = data
		case float32:
			o.arrays[i] = []float32{data}
		default:
			return nil, fmt.Errorf("train: input %d of %s is %T", i, o.stage, data)
		}
	}
	return o.arrays[:n], nil
}

// forwardOp runs a stage.
type forwardOp struct{ stageOp }

func (o *forwardOp) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	in, err := o.read(values, min(len(values), len(o.stage.differentiable())))
	if err != nil {
		return nil, err
	}
	out, err := o.stage.forward(in)
	if err != nil {
		return nil, err
	}
	return o.memory.of(o.result, out), nil
}

// DiffWRT implements [gorgonia.SDOp].
func (o *forwardOp) DiffWRT(int) []bool {
	d := make([]bool, len(o.arrays))
	copy(d, o.stage.differentiable())
	if o.rooted {
		d[len(d)-1] = true
	}
	return d
}

// SymDiff adds the operator that runs the stage back. The gradient of the first differentiable input is its value; others are picked from what it left.
func (o *forwardOp) SymDiff(inputs gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	out := make(gorgonia.Nodes, len(inputs))
	back := &backwardOp{stageOp: stageOp{stage: o.stage, id: o.id, kind: 1}, first: -1}
	for i, differentiable := range o.DiffWRT(len(inputs)) {
		if !differentiable {
			continue
		}
		var op interface {
			gorgonia.Op
			node(gorgonia.Nodes, []int)
		} = back
		from := grad
		if back.first < 0 {
			back.first, back.rooted = i, o.rooted
		} else {
			op, from = &pickOp{stageOp: stageOp{stage: o.stage, id: o.id, kind: byte(1 + i)}, back: back, input: i}, out[back.first]
		}
		op.node(gorgonia.Nodes{from}, inputs[i].Shape())
		n, err := gorgonia.ApplyOp(op, from)
		if err != nil {
			return nil, err
		}
		out[i] = n
	}
	return out, nil
}

// backwardOp runs a stage back.
type backwardOp struct {
	stageOp
	first int
	grads [][]float32
}

func (o *backwardOp) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	in, err := o.read(values, 1)
	if err != nil {
		return nil, err
	}
	if o.grads, err = o.stage.backward(in[0]); err != nil {
		return nil, err
	}
	if o.rooted {
		return o.memory.of(nil, []float32{0}), nil
	}
	return o.memory.of(o.result, o.grads[o.first]), nil
}

func (o *backwardOp) String() string { return o.stage.String() + ", back" }

// pickOp is another gradient that backward has left.
type pickOp struct {
	stageOp
	back  *backwardOp
	input int
}

func (o *pickOp) Do(...gorgonia.Value) (gorgonia.Value, error) {
	if o.input >= len(o.back.grads) {
		return nil, errors.New("train: a gradient was asked for before the stage ran back")
	}
	return o.memory.of(o.result, o.back.grads[o.input]), nil
}

func (o *pickOp) String() string { return fmt.Sprintf("%s, back to input %d", o.stage, o.input) }

// memory is a Gorgonia value over an array, remade only when the array moves.
type memory struct {
	value gorgonia.Value
	at    *float32
	size  int
}

func (m *memory) of(shape []int, data []float32) gorgonia.Value {
	if len(shape) == 0 {
		s, ok := m.value.(*gorgonia.F32)
		if !ok {
			s = new(gorgonia.F32)
			m.value = s
		}
		*s = gorgonia.F32(data[0])
		return s
	}
	if at := unsafe.SliceData(data); m.value == nil || m.size != len(data) || m.at != at {
		m.value, m.size, m.at = dense.New(dense.WithShape(shape...), dense.WithBacking(data)), len(data), at
	}
	return m.value
}
