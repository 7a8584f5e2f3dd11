package train

import (
	"fmt"
	"maps"
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// parameter is a Parameter as networks see it: float32 tensors in Plain layout.
type parameter struct {
	name  string
	value *tensor.Tensor
	grad  *tensor.Tensor // the sum of the gradients since the last call of clear
	fresh bool           // there was any
}

// newParameter returns a parameter with a value, which it keeps.
func newParameter(name string, value *tensor.Tensor) (*parameter, error) {
	grad, err := tensor.New(onnx.Float, value.Shape...)
	if err != nil || value.Type != onnx.Float || value.Layout != tensor.Plain {
		return nil, fmt.Errorf("train: %q is %s and cannot be trained", name, value)
	}
	return &parameter{name: name, value: value, grad: grad}, nil
}

// solved returns the parameter for a Solver.
func (p *parameter) solved() Parameter {
	return Parameter{Name: p.name, Shape: p.value.Shape, Values: tensor.Of[float32](p.value), Gradient: tensor.Of[float32](p.grad), fresh: &p.fresh}
}

// clear sets the gradient to 0.
func (p *parameter) clear() { p.fresh = false }

// gradient returns the elements of the gradient.
func (p *parameter) gradient() []float32 {
	g := tensor.Of[float32](p.grad)
	if !p.fresh {
		clear(g)
		p.fresh = true
	}
	return g
}

// network is what a step computes: a graph of which all shapes are known.
type network struct {
	nodes      []*onnx.Node // in an order in which they can run
	opset      int64        // of ONNX's own operators
	parameters map[string]*parameter
	constants  map[string]*tensor.Tensor
	fields     map[string]ops.Info // of a batch
	states     map[string]part     // of constants: what replaces them after a step, by its name
	changing   map[string]bool     // constants that differ from step to step
	// learnedSteps is ops.Differentiation.LearnedSteps.
	learnedSteps bool
	taps         []string // values to see, beside the loss
	loss         string   // a scalar

	known map[string]ops.Info // of every value; before infer of as many as somebody knows
}

// infer finds out the types and shapes of all values.
func (n *network) infer() error {
	if n.known == nil {
		n.known = map[string]ops.Info{}
	}
	for name, info := range n.fields {
		n.known[name] = info
	}
	for name, p := range n.parameters {
		n.known[name] = ops.Info{Type: p.value.Type, Shape: ops.MakeShape(p.value.Shape...)}
	}
	for name, t := range n.constants {
		n.known[name] = ops.Of(t)
		if n.changing[name] {
			n.known[name] = ops.Info{Type: t.Type, Shape: ops.MakeShape(t.Shape...)}
		}
	}
	d, err := ops.Differentiate(ops.Differentiation{Nodes: n.nodes, Opset: n.opset, Known: n.known})
	if err != nil {
		return fmt.Errorf("train: %w", err)
	}
	n.known = d.Known
	if info := n.known[n.loss]; info.Type != onnx.Float || len(info.Shape) > 0 || info.Shape == nil {
		return fmt.Errorf("train: the loss %q is %s%s, not a float32 scalar", n.loss, tensor.TypeName(info.Type), info.Shape)
	}
	return nil
}

// piece is a part of a network with one value that others need, the output.
type piece struct {
	nodes      []*onnx.Node
	inputs     []string // outputs of other pieces
	fields     []string
	parameters []string
	constants  []string
	output     string
	also       []string // values of the piece that are to be seen: states and taps
}

// cut divides a network into at most about limit pieces. A piece ends where nothing but one value is alive, normally the output of a block. Where
// depends on the nodes nearby alone, so that a block is the same piece in whatever network it is. What depends on no field, such as a masked
// weight, is computed in each piece that needs it.
func (n *network) cut(limit int) ([]*piece, error) {
	c := &cutter{network: n, made: map[string]int{}, last: map[string]int{}}
	c.classify()
	c.lives()
	var ends []int
	for least := leastPiece; ; least += least / 2 {
		if ends = c.ends(least); len(ends) <= limit {
			break
		}
	}
	pieces, from := make([]*piece, 0, len(ends)), 0
	for _, to := range ends {
		p, err := c.piece(from, to)
		if err != nil {
			return nil, err
		}
		pieces, from = append(pieces, p), to
	}
	return pieces, nil
}

// leastPiece is the number of nodes from which a piece is worth what it costs.
const leastPiece = 6

// cutter is the state of cut.
type cutter struct {
	*network
	fixed  map[string]*onnx.Node // by output, the nodes that depend on no field
	moving []*onnx.Node          // the others on which something depends that is asked for
	made   map[string]int        // by value: the node of moving that computes it
	last   map[string]int        // by value: the last that reads it
	asked  map[string]bool       // values to be seen
	alive  []alive               // what is alive after a node of moving
}

type alive struct{ values, bytes int }

// classify separates the nodes that depend on no field, and drops those that nobody needs.
func (c *cutter) classify() {
	c.fixed = map[string]*onnx.Node{}
	varies := map[string]bool{}
	for name := range c.fields {
		varies[name] = true
	}
	c.asked = map[string]bool{}
	for _, name := range c.taps {
		c.asked[name] = true
	}
	for name := range c.states {
		c.asked[name] = true
	}
	needed := maps.Clone(c.asked)
	needed[c.loss] = true
	for _, n := range c.nodes {
		moves := slices.ContainsFunc(n.Inputs, func(name string) bool { return varies[name] })
		for _, name := range n.Outputs {
			if moves {
				varies[name] = true
			} else {
				c.fixed[name] = n
			}
		}
	}
	for _, n := range slices.Backward(c.nodes) {
		if !slices.ContainsFunc(n.Outputs, func(name string) bool { return needed[name] }) {
			continue
		}
		for _, name := range n.Inputs {
			needed[name] = true
		}
		if varies[n.Outputs[0]] {
			c.moving = append(c.moving, n)
		}
	}
	slices.Reverse(c.moving)
}

// lives finds out from where to where each value is needed.
func (c *cutter) lives() {
	for i, n := range c.moving {
		for _, name := range n.Outputs {
			c.made[name] = i
		}
		for _, name := range n.Inputs {
			if _, ok := c.made[name]; ok {
				c.last[name] = i
			}
		}
	}
	c.alive = make([]alive, len(c.moving))
	for name, last := range c.last {
		size := 0
		if dims, ok := c.known[name].Shape.Known(); ok {
			n, _ := tensor.Count(dims)
			size = n * tensor.Width(c.known[name].Type)
		}
		for i := c.made[name]; i < last; i++ {
			c.alive[i].values++
			c.alive[i].bytes += size
		}
	}
}

// outputs lists the values of the nodes from…to−1 that later ones need.
func (c *cutter) outputs(from, to int) []string {
	var out []string
	for _, n := range c.moving[from:to] {
		for _, name := range n.Outputs {
			if c.last[name] >= to || name == c.loss {
				out = append(out, name)
			}
		}
	}
	return out
}

// ends lists where pieces of at least so many nodes end.
func (c *cutter) ends(least int) (ends []int) {
	for from := 0; from < len(c.moving); {
		from = c.end(from, least)
		ends = append(ends, from)
	}
	return ends
}

// end returns where the piece that begins with a node ends: the first place that is narrow, or else, a long way behind, any that is
// possible. What is left for the last piece is not small.
func (c *cutter) end(from, least int) int {
	const patience = 3
	for to := from + least; to <= len(c.moving)-2*least; to++ {
		if (c.narrow(to) || to-from >= patience*least) && len(c.outputs(from, to)) == 1 {
			return to
		}
	}
	return len(c.moving)
}

// narrow reports whether before a node is a good place to cut: one value is alive, a layer with weights or a branch begins, and it does not get much
// narrower soon, as it does within the blocks of MobileNets.
func (c *cutter) narrow(to int) bool {
	const soon = 8
	if !c.begins(to) {
		return false
	}
	for next := to + 1; next < min(to+soon, len(c.moving)); next++ {
		if c.begins(next) {
			return 3*c.alive[next-1].bytes >= 2*c.alive[to-1].bytes
		}
	}
	return true
}

// begins reports whether one value is alive before a node and a layer with weights or a branch begins there.
func (c *cutter) begins(to int) bool {
	return c.alive[to-1].values == 1 && (slices.Contains(layers, c.moving[to].OpType) || c.alive[to].values > 1)
}

// layers are the operators that begin a layer.
var layers = []string{"Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum", "LSTM", "GRU", "RNN", "Attention"}

// piece makes a piece of the nodes from…to−1, and of what they need that depends on no field.
func (c *cutter) piece(from, to int) (*piece, error) {
	p, seen := &piece{}, map[string]bool{"": true}
	var need func(name string)
	add := func(n *onnx.Node) {
		for _, name := range n.Inputs {
			need(name)
		}
		p.nodes = append(p.nodes, n)
		for _, name := range n.Outputs {
			seen[name] = true
		}
	}
	need = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		if n := c.fixed[name]; n != nil {
			add(n)
		} else if c.parameters[name] != nil {
			p.parameters = append(p.parameters, name)
		} else if _, ok := c.network.fields[name]; ok {
			p.fields = append(p.fields, name)
		} else if c.constants[name] != nil {
			p.constants = append(p.constants, name)
		} else {
			p.inputs = append(p.inputs, name)
		}
	}
	for _, n := range c.moving[from:to] {
		add(n)
		for _, name := range n.Outputs { // in this order, so that what is equal looks equal
			if c.asked[name] {
				p.also = append(p.also, name)
			}
		}
	}
	out := c.outputs(from, to)
	if len(out) != 1 {
		return nil, fmt.Errorf("train: the part of the network from node %q on has %d results", c.moving[from].Name, len(out))
	}
	p.output = out[0]
	return p, nil
}
