package infer

import (
	"slices"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// optimiser rewrites a graph into one that computes the same, but for rounding, in less time. A node that takes over others keeps the
// place of the last of them, so that the order stays right.
type optimiser struct {
	s    *Session
	g    *graph
	uses []int
	dead map[*node]bool
}

func optimise(s *Session, g *graph) {
	o := &optimiser{s: s, g: g}
	o.each(o.quantised)
	o.forward(o.fold)
	for _, pass := range []func(*node){o.identity, o.product, o.layerNorm, o.globalMean, o.shuffle, o.pad} {
		o.each(pass)
	}
	o.forward(o.affine)
	o.fuse()
	o.sweep()
}

// each calls a pass for every node, the last first, so that a pattern is seen from where it ends, and removes what became dead.
func (o *optimiser) each(pass func(*node)) {
	nodes := slices.Clone(o.g.nodes)
	slices.Reverse(nodes)
	o.over(nodes, pass)
}

// forward is each in the order of the graph, so that a chain collapses into its first node.
func (o *optimiser) forward(pass func(*node)) { o.over(slices.Clone(o.g.nodes), pass) }

func (o *optimiser) over(nodes []*node, pass func(*node)) {
	o.uses, o.dead = o.g.uses(), map[*node]bool{}
	for _, n := range nodes {
		if !o.dead[n] {
			pass(n)
		}
	}
	o.sweep()
}

func (o *optimiser) sweep() {
	o.g.nodes = slices.DeleteFunc(o.g.nodes, func(n *node) bool { return o.dead[n] })
	o.g.prune()
}

// take returns the node that computes v if it is one of kinds and nobody else reads v, or its other outputs.
func (o *optimiser) take(v *value, kinds ...string) *node {
	if n := o.made(v, kinds...); n != nil && o.uses[v.id] == 1 {
		return n
	}
	return nil
}

// made returns the node that computes v if it is one of kinds and has no other output.
func (o *optimiser) made(v *value, kinds ...string) *node {
	if v == nil || v.from == nil || !v.from.is(kinds...) || o.dead[v.from] || v.from.out[0] != v {
		return nil
	}
	for _, other := range v.from.out[1:] {
		if other != nil && o.uses[other.id] > 0 {
			return nil
		}
	}
	return v.from
}

// become makes n another operator that has taken over others.
func (o *optimiser) become(n *node, op ops.Op, proto *onnx.Node, in []*value, over ...*node) {
	for _, v := range in {
		if v != nil {
			for len(o.uses) <= v.id {
				o.uses = append(o.uses, 0)
			}
			o.uses[v.id]++
		}
	}
	o.unread(n.in)
	if n.op, n.in = op, in; proto != nil {
		n.Node, n.kind, n.opset = proto, proto.OpType, newOpset
	}
	for _, x := range over {
		n.fused += x.fused + 1
	}
}

// unread notes that values have one reader less, and removes nodes that nobody reads any more.
func (o *optimiser) unread(values []*value) {
	for _, v := range values {
		if v == nil {
			continue
		}
		o.uses[v.id]--
		n := v.from
		if n == nil || o.dead[n] || slices.ContainsFunc(n.out, func(w *value) bool { return w != nil && o.uses[w.id] > 0 }) {
			continue
		}
		o.dead[n] = true
		o.unread(n.in)
		o.unread(n.captured)
	}
}

// newOpset is the operator set of nodes that the optimiser makes.
const newOpset = 24

// make returns an operator of ONNX.
func (o *optimiser) make(kind string, inputs int, attrs ...*onnx.Attribute) (ops.Op, *onnx.Node) {
	n := &onnx.Node{OpType: kind, Inputs: slices.Repeat([]string{"x"}, inputs), Outputs: []string{"y"}, Attributes: attrs}
	op, err := ops.New(&ops.Node{Node: n, Opset: newOpset})
	if err != nil {
		return nil, nil
	}
	return op, n
}

// number returns the only element of a constant float32 or float64 tensor.
func number(v *value) (float64, bool) {
	if !v.constant() || v.info.Value.Len() != 1 {
		return 0, false
	}
	switch t := v.info.Value; t.Type {
	case onnx.Float:
		return float64(tensor.Of[float32](t)[0]), true
	case onnx.Double:
		return tensor.Of[float64](t)[0], true
	}
	return 0, false
}

// constant adds a constant.
func (o *optimiser) constant(name string, t *tensor.Tensor) *value { return o.g.add(name, ops.Of(t)) }

// fold makes the outputs of a node constants if its inputs are.
func (o *optimiser) fold(n *node) {
	if len(n.in) == 0 || slices.ContainsFunc(n.in, func(v *value) bool { return v != nil && !v.constant() }) || !o.s.fold(n) {
		return
	}
	o.dead[n] = true
	o.unread(n.in)
}

// identity skips nodes that give what they get.
func (o *optimiser) identity(n *node) {
	_, view := n.op.(ops.Viewer)
	same := n.is("Cast") && n.in[0].info.Type == n.out[0].info.Type && n.in[0].info.Type != onnx.Undefined
	if !(view && n.is("Identity", "Dropout") || same) || len(n.out) > 1 && n.out[1] != nil && o.uses[n.out[1].id] > 0 {
		return
	}
	to, from := n.out[0], n.in[0]
	o.uses[from.id] += o.uses[to.id]
	o.uses[to.id] = 0
	o.g.replace(to, from)
	o.dead[n] = true
	o.unread(n.in)
}

// activation returns the function of one variable that a node is.
func activation(n *node) (kernel.Activation, bool) {
	a, ok := n.op.(ops.Activator)
	if !ok || n.out[0] == nil || n.in[0].info.Type != onnx.Float {
		return kernel.Activation{}, false
	}
	return a.Activation(infos(n.in))
}

// fuse has operators take over additions and functions that follow them.
func (o *optimiser) fuse() {
	o.uses, o.dead = o.g.uses(), map[*node]bool{}
	place, reader := map[*node]int{}, map[*value]*node{}
	for i, n := range o.g.nodes {
		place[n] = i
		for _, v := range n.in {
			reader[v] = n
		}
	}
	// next returns the node that alone reads what n computes.
	next := func(n *node) *node {
		if n == nil || n.out[0] == nil || o.uses[n.out[0].id] != 1 || slices.ContainsFunc(n.out[1:], func(v *value) bool { return v != nil }) {
			return nil
		}
		return reader[n.out[0]]
	}
	for _, n := range o.g.nodes {
		if _, ok := n.op.(ops.Fuser); !ok || o.dead[n] || n.in[0].info.Type != onnx.Float {
			continue
		}
		add, last := next(n), n
		var addend *value
		if add != nil {
			addend = o.addend(n, add)
		}
		if other := o.maker(addend); other != nil && place[other] > place[n] && next(other) == add {
			addend = nil // that one is computed later, and will take over the addition
		}
		act := kernel.Activation{}
		if addend != nil {
			last = add
		}
		over := []*node{}
		if f := next(last); f != nil && f.in[0] == last.out[0] {
			if a, ok := activation(f); ok {
				act = a
				over = append(over, f)
			}
		}
		if addend != nil {
			over = append([]*node{add}, over...)
		}
		o.takeOver(n, over, addend, act)
	}
}

// maker returns the node of a value if it can take over what follows.
func (o *optimiser) maker(v *value) *node {
	if v == nil || v.from == nil || o.dead[v.from] || v.from.out[0] != v {
		return nil
	}
	if _, ok := v.from.op.(ops.Fuser); !ok {
		return nil
	}
	return v.from
}

// addend returns what an Add node adds to the result of n, if n can take that over.
func (o *optimiser) addend(n, add *node) *value {
	if !add.is("Add") || len(add.in) != 2 || n.is("BatchNormalization") {
		return nil
	}
	v, w := add.in[0], add.in[1]
	if w == n.out[0] {
		v, w = w, v
	}
	if v != n.out[0] || w == v || w.info.Type != onnx.Float || v.info.Shape == nil {
		return nil
	}
	if n.is("MatMul") && w.constant() && len(w.info.Shape) == 1 && w.info.Shape[0].Same(v.info.Shape[len(v.info.Shape)-1]) {
		return w
	}
	if w.constant() || len(v.info.Shape) != len(w.info.Shape) {
		return nil
	}
	for i, d := range v.info.Shape {
		if !d.Same(w.info.Shape[i]) {
			return nil
		}
	}
	return w
}

// takeOver makes the last of over the fused node, as far as the operator of n can.
func (o *optimiser) takeOver(n *node, over []*node, addend *value, act kernel.Activation) {
	for len(over) > 0 {
		op := n.op.(ops.Fuser).Fuse(addend != nil, act)
		if op != nil {
			last := over[len(over)-1]
			in := slices.Clone(n.in)
			if addend != nil {
				in = append(in, addend)
			}
			name, proto, kind, opset, fused := n.name, n.Node, n.kind, n.opset, n.fused
			o.become(last, op, nil, in)
			last.name, last.Node, last.kind, last.opset, last.fused = name, proto, kind, opset, fused+len(over)
			o.dead[n] = true
			for _, x := range over[:len(over)-1] {
				o.dead[x] = true
			}
			return
		}
		if act.Kind != kernel.None { // less, then
			act, over = kernel.Activation{}, over[:len(over)-1]
			continue
		}
		return
	}
}
