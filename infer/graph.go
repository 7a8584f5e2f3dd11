package infer

import (
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
)

// graph is a graph that is being made ready: nodes in an order in which they can run.
type graph struct {
	values  []*value
	nodes   []*node
	inputs  []*value // the formal ones, then captured
	formal  int
	outputs []*value
	// captures are the values of the surrounding graph that the last inputs are.
	captures []*value
}

// value is what an edge of the graph carries.
type value struct {
	id   int
	name string
	// info is what is known before any input is. Its Value is there for constants only once the graph is built.
	info ops.Info
	from *node // nil for inputs and constants
	// stored is the model's tensor that a constant is.
	stored *onnx.Tensor
}

func (v *value) constant() bool { return v != nil && v.info.Value != nil && v.from == nil }

// node is an operator with its operands.
type node struct {
	*onnx.Node
	name     string // for people
	kind     string // the operator, with the domain where it is not ONNX's own
	opset    int64
	op       ops.Op
	packed   ops.Op // what runs in place of op, if there is such
	dropped  []int  // the inputs that packed does without
	in       []*value
	captured []*value
	bodies   []*body
	out      []*value // nil where an output is not named
	fused    int      // nodes that this one stands for beside itself
}

// is reports whether the node is one of ONNX's operators.
func (n *node) is(kinds ...string) bool { return n != nil && slices.Contains(kinds, n.kind) }

// run returns what is executed.
func (n *node) run() ops.Op {
	if n.packed != nil {
		return n.packed
	}
	return n.op
}

func (g *graph) add(name string, info ops.Info) *value {
	v := &value{id: len(g.values), name: name, info: info}
	g.values = append(g.values, v)
	return v
}

// infos lists what is known of values; nothing of those that are left out.
func infos(values []*value) []ops.Info {
	out := make([]ops.Info, len(values))
	for i, v := range values {
		if v != nil {
			out[i] = v.info
		}
	}
	return out
}

// uses counts for each value how often it is read, by nodes, their bodies, and as an output of the graph.
func (g *graph) uses() []int {
	n := make([]int, len(g.values))
	count := func(list []*value) {
		for _, v := range list {
			if v != nil {
				n[v.id]++
			}
		}
	}
	for _, x := range g.nodes {
		count(x.in)
		count(x.captured)
	}
	count(g.outputs)
	return n
}

// replace has everything that reads old read new instead.
func (g *graph) replace(old, with *value) {
	for _, n := range g.nodes {
		swap(n.in, old, with)
		swap(n.captured, old, with)
	}
	swap(g.outputs, old, with)
}

func swap(list []*value, old, with *value) {
	for i, v := range list {
		if v == old {
			list[i] = with
		}
	}
}

// prune removes the nodes that nothing depends on.
func (g *graph) prune() {
	live := make([]bool, len(g.values))
	mark := func(list []*value) {
		for _, v := range list {
			if v != nil {
				live[v.id] = true
			}
		}
	}
	mark(g.outputs)
	keep := make([]*node, 0, len(g.nodes))
	for _, n := range slices.Backward(g.nodes) {
		if slices.ContainsFunc(n.out, func(v *value) bool { return v != nil && live[v.id] }) {
			mark(n.in)
			mark(n.captured)
			keep = append(keep, n)
		}
	}
	slices.Reverse(keep)
	g.nodes = keep
}
