package infer

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/effml/effml/internal/isa"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/mapped"
	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
)

// ModelOutline is what can be told of a model without running it.
type ModelOutline struct {
	Inputs []Value // those without an initializer, with the shapes from which the others follow
	Nodes  []NodeOutline
}

// OneSample returns the shapes of the inputs with a first dimension of 1 where it is open, for [Outline].
func (o *ModelOutline) OneSample() map[string]ops.Shape {
	shapes := map[string]ops.Shape{}
	for _, v := range o.Inputs {
		if shapes[v.Name] = slices.Clone(v.Shape); len(v.Shape) > 0 && !v.Shape[0].IsKnown() {
			shapes[v.Name][0] = ops.Known(1)
		}
	}
	return shapes
}

// NodeOutline is what can be told of a node without running it.
type NodeOutline struct {
	Node    *onnx.Node // as it stands in the model: calls of one function share theirs
	Name    string     // its name, or the operator and the name of its output; of nodes in functions with the path to them
	Op      string     // with the domain where it is not ONNX's own
	Outputs []Value    // those that have a name
	Cost    ops.Cost
	Unknown error // why there is no cost; nil where there is
}

// outlineBytes is the size up to which an outline reads the values of a tensor: shapes, axes, scales and the like are smaller.
const outlineBytes = 1 << 14

// Outline describes the nodes of a model's graph as it is written, in its order: calls of functions are followed, and so is the branch of
// an If whose condition is constant; other control flow is one node, with the cost of all that its sub-graphs do. A model that cannot
// run has an outline as well: what is wrong stands at its nodes. No values are read but those of small tensors, and nothing is packed.
//
// Shapes gives inputs other shapes than the model declares, where a dimension may be open (−1) and else must agree; a dimension that
// it fixes is fixed wherever the model names it. The shapes are inferred from there, and costs are those of one run with them.
//
// MACs are the multiplications followed by an addition of convolutions, matrix products, recurrent layers and attention, as the literature
// counts them: biases, normalisation, activations, pooling and element-wise work count nothing, and a convolution counts the
// positions of its padding too. Bytes are those of a node's inputs and outputs, each once, 0
// where they are not known. What Load folds or fuses away counts.
//
// Errors: a [*job.UsageError] where shapes contradict the model.
func Outline(m *onnx.Model, shapes map[string]ops.Shape) (*ModelOutline, error) {
	if m.Graph == nil {
		return &ModelOutline{}, nil
	}
	s := &Session{options: Options{NoFuse: true}, uses: map[*onnx.Tensor]int{}, outlined: true}
	s.cpu = kernel.NewCPU(kernel.Options{Threads: 1, ISA: isa.Generic})
	defer s.cpu.Close()
	inputs, err := givenShapes(m.Graph, shapes)
	if err != nil {
		return nil, err
	}
	o := &outline{inputs: inputs, graph: &graph{}}
	err = mapped.Guard(func() (err error) {
		defer caught(&err)
		b := &builder{s: s, functions: map[functionKey]*onnx.Function{}, outline: o}
		for _, f := range m.Functions {
			b.functions[functionKey{f.Domain, f.Name, f.Overload}] = f
		}
		return b.graph(&scope{names: map[string]*value{}, graph: o.graph, opsets: opsets(m.OpsetImports)}, m.Graph, false)
	})
	var fault *mapped.FaultError
	if errors.As(err, &fault) {
		return nil, err
	}
	// What remains is an output that no node computes, or the like: the nodes are told all the same.
	for _, in := range m.Graph.Inputs {
		if shape, ok := inputs[in.Name]; ok {
			info, _ := declaredInfo(in) // what is wrong stands at the nodes
			o.Inputs = append(o.Inputs, Value{in.Name, info.Type, shape})
		}
	}
	return &o.ModelOutline, nil
}

// outline collects what a builder comes by.
type outline struct {
	ModelOutline
	inputs map[string]ops.Shape // of the main graph
	graph  *graph               // whose nodes are told
}

// givenShapes returns the shapes of the inputs.
func givenShapes(g *onnx.Graph, given map[string]ops.Shape) (map[string]ops.Shape, error) {
	shapes, fixed := map[string]ops.Shape{}, map[string]ops.Dim{}
	var names []string
	stored := map[string]bool{}
	for _, t := range g.Initializers {
		stored[t.Name] = true
	}
	for _, in := range g.Inputs {
		if stored[in.Name] {
			continue
		}
		info, _ := declaredInfo(in) // what is wrong is the builder's to say
		names = append(names, in.Name)
		want, ok := given[in.Name]
		if !ok || want == nil {
			shapes[in.Name] = info.Shape
			continue
		}
		if info.Shape != nil && len(want) != len(info.Shape) {
			return nil, job.Usagef("input %q is %s, which shape %s does not fit", in.Name, info.Shape, want)
		}
		want = slices.Clone(want)
		for i, d := range info.Shape {
			switch {
			case !want[i].IsKnown():
				want[i] = d
			case d.IsKnown() && d != want[i]:
				return nil, job.Usagef("input %q is %s, which shape %s does not fit", in.Name, info.Shape, want)
			case d.Name != "":
				fixed[d.Name] = want[i]
			}
		}
		shapes[in.Name] = want
	}
	for name := range given {
		if !slices.Contains(names, name) {
			return nil, job.Usagef("shape of input %q, which the model does not have%s", name, job.Hint(name, names))
		}
	}
	for _, s := range shapes {
		for i, d := range s {
			if to, ok := fixed[d.Name]; ok && !d.IsKnown() {
				s[i] = to
			}
		}
	}
	return shapes, nil
}

// add takes a node for which the builder has inferred out, unless there are problems: its own after those of its sub-graphs.
func (o *outline) add(written *onnx.Node, n *node, out []ops.Info, problems []*NodeError) {
	row := NodeOutline{Node: written, Name: n.name, Op: n.kind}
	for i, name := range n.Outputs {
		if name == "" {
			continue
		}
		v := Value{Name: name}
		if i < len(out) {
			v.Type, v.Shape = out[i].Type, public(out[i].Shape)
		}
		row.Outputs = append(row.Outputs, v)
	}
	switch len(problems) {
	case 0:
		row.Cost, row.Unknown = n.costOf(infos(n.in), infos(n.captured), out)
	case 1:
		row.Unknown = problems[0].Err
	default:
		row.Unknown = problems[0]
	}
	o.Nodes = append(o.Nodes, row)
}

// costOf returns what a node does, or why that cannot be told.
func (n *node) costOf(in, captured, out []ops.Info) (c ops.Cost, err error) {
	defer caught(&err)
	_, costs := n.op.(ops.Coster)
	for i, v := range n.in {
		if v == nil {
			continue
		}
		if _, ok := size(in[i]); !ok && costs {
			return c, openError(v, in[i])
		}
	}
	var bytes int64
	if known(in) && known(captured) && known(out) {
		bytes = bytesOf(in) + bytesOf(captured) + bytesOf(out)
	}
	switch {
	case len(n.bodies) > 0:
		c, err = n.bodyCost(in)
	case costs:
		for _, o := range out {
			if _, ok := size(o); !ok && !o.Missing() {
				return c, fmt.Errorf("the shape of its output, %s, is open", public(o.Shape))
			}
		}
		c = n.op.(ops.Coster).Cost(in, out)
	}
	if c.MACs < 0 {
		return ops.Cost{}, errors.New("there are more of them than can be counted")
	}
	c.Bytes = cmp.Or(c.Bytes, bytes)
	return c, err
}

// described stands for a Constant whose value an outline leaves where it is.
type described ops.Info

// Infer implements ops.Op.
func (d described) Infer([]ops.Info) ([]ops.Info, error) { return []ops.Info{ops.Info(d)}, nil }

// Run implements ops.Op.
func (d described) Run(*ops.Call) error { return errors.New("its value was not read") }

func openError(v *value, i ops.Info) error {
	name := strings.TrimPrefix(v.name, invented)
	if v.from == nil || i.Shape != nil {
		return fmt.Errorf("the shape of its input %q, %s, is open", name, public(i.Shape))
	}
	return fmt.Errorf("nothing is known of its input %q, which node %q computes", name, v.from.name)
}

// bodyCost adds up what the sub-graphs do: of an If the one that does more, of a loop the body as often as it runs.
func (n *node) bodyCost(in []ops.Info) (sum ops.Cost, err error) {
	for _, b := range n.bodies {
		c, err := b.cost()
		if err != nil {
			return sum, err
		}
		sum = ops.Cost{MACs: max(sum.MACs, c.MACs), Bytes: max(sum.Bytes, c.Bytes)}
	}
	if r, ok := n.op.(ops.Repeater); ok && sum != (ops.Cost{}) {
		times, ok := r.Repeats(in)
		if !ok {
			return ops.Cost{}, errors.New("how often its body runs is known in a run only")
		}
		if int64(times) > (1<<62)/max(sum.MACs, sum.Bytes) {
			return ops.Cost{MACs: -1}, nil
		}
		sum.MACs, sum.Bytes = sum.MACs*int64(times), sum.Bytes*int64(times)
	}
	return sum, nil
}

// cost returns what one run of a body does for the inputs that Infer was last asked about: nothing if it was not.
func (b *body) cost() (sum ops.Cost, err error) {
	if b.known == nil {
		return sum, nil
	}
	for i, n := range b.program.nodes {
		c, err := n.costOf(pick(b.known, n.in), pick(b.known, n.captured), b.outs[i])
		if err != nil {
			return sum, fmt.Errorf("node %q in it: %w", n.name, err)
		}
		if sum.MACs, sum.Bytes = sum.MACs+c.MACs, sum.Bytes+c.Bytes; sum.MACs < 0 {
			return ops.Cost{MACs: -1}, nil
		}
	}
	return sum, nil
}
