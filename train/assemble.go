package train

import (
	"fmt"
	"maps"
	"slices"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/score"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// assembly puts the network of a pass together: graphs of models, between fields and a loss.
type assembly struct {
	store  *store
	fields map[string]ops.Info       // of the batch
	trains func(name string) bool    // which parameters
	known  map[string]ops.Info       // of all values so far
	nodes  []*onnx.Node              // of the network
	mode   mode                      // of trained models
	own    map[string]*tensor.Tensor // constants of graphs that are not of the store, and of the loss
	aside  []*outside
	opset  int64
	logits map[string]string // by As
}

// outside is a frozen network that depends on the batch alone: it is run before the step, as inference is, and what is needed of it is a field.
type outside struct {
	member *member
	graph  *onnx.Graph
	inputs map[string]string // its input: field, or value of another that is outside
	as     func(value string) string
	values map[string]string        // names in the network: in the graph
	types  map[string]onnx.DataType // of values, by names in the network
}

// assemble returns the network of a pass, and what is to be run before it.
func assemble(s *store, p Pass, fields map[string]ops.Info, trains func(name string) bool) (*network, []*outside, error) {
	a := &assembly{
		store: s, fields: maps.Clone(fields), trains: trains, known: map[string]ops.Info{}, own: map[string]*tensor.Tensor{},
		logits: map[string]string{},
	}
	a.mode.origins = newOrigins(a.tensor)
	a.fields[seedField] = ops.Info{Type: onnx.Int64, Shape: ops.MakeShape()}
	uses := p.Uses
	if uses == nil {
		for _, m := range s.models {
			uses = append(uses, Use{Model: m.Name, As: m.Name})
		}
	}
	a.hide(uses)
	maps.Copy(a.known, a.fields)
	for _, u := range uses {
		if err := a.use(u); err != nil {
			return nil, nil, err
		}
	}
	f := NewFormula("loss")
	loss, err := p.Loss(f, &Values{known: a.known, logits: a.logits})
	if err != nil {
		return nil, nil, err
	}
	a.nodes = append(a.nodes, f.Nodes...)
	maps.Copy(a.own, f.Constants)
	n, err := a.network(loss, p)
	return n, a.needed(n), err
}

// hide takes away fields that bear the name of a value that a network computes: it is the value that counts.
func (a *assembly) hide(uses []Use) {
	for _, u := range uses {
		g := u.Graph
		if m := a.store.member(u.Model); g == nil && m != nil {
			g = m.Model.Model.Graph
		}
		if g == nil {
			continue // use says what is wrong
		}
		for _, n := range g.Nodes {
			for _, name := range n.Outputs {
				delete(a.fields, full(u.As, name))
			}
		}
	}
}

// use adds a model.
func (a *assembly) use(u Use) error {
	m := a.store.member(u.Model)
	if m == nil {
		return job.Usagef("train: there is no model %q", u.Model)
	}
	g := u.Graph
	if g == nil {
		g = m.Model.Model.Graph
	}
	as := func(value string) string { return full(u.As, value) }
	inputs, alone, err := a.bind(u, m, g)
	if err != nil {
		return err
	}
	_, logits := score.OutcomeOf(g)
	a.logits[u.As] = as(logits)
	o := &outside{member: m, graph: g, inputs: inputs, as: as, values: map[string]string{}, types: map[string]onnx.DataType{}}
	if m.Frozen && alone {
		return a.outside(o)
	}
	if a.opset != 0 && a.opset != m.opset {
		return &job.ModelError{Err: fmt.Errorf("train: models of a pass must have one operator set: %q has %d, others %d", m.Name, m.opset, a.opset)}
	}
	a.opset = m.opset
	if u.Detach {
		for _, name := range slices.Sorted(maps.Keys(inputs)) {
			to := as(name) + "/detached"
			a.nodes = append(a.nodes, &onnx.Node{OpType: "Detach", Domain: ops.Domain, Name: to, Inputs: []string{inputs[name]}, Outputs: []string{to}})
			inputs[name] = to
		}
	}
	return a.inside(o)
}

// bind finds what the inputs of a graph are. Alone says that they are fields of the batch, or made of such by networks outside.
func (a *assembly) bind(u Use, m *member, g *onnx.Graph) (inputs map[string]string, alone bool, err error) {
	inputs, alone = map[string]string{}, true
	for name := range u.Inputs {
		if !slices.ContainsFunc(g.Inputs, func(v *onnx.ValueInfo) bool { return v.Name == name }) {
			return nil, false, job.Usagef("train: model %q has no input %q", m.Name, name)
		}
	}
	for _, v := range g.Inputs {
		if a.store.tensors[full(m.Name, v.Name)] != nil { // an initializer
			continue
		}
		from, given := u.Inputs[v.Name]
		if !given {
			from = v.Name
		}
		_, field := a.fields[from]
		if _, known := a.known[from]; !known {
			return nil, false, job.Usagef("train: input %q of model %q: there is no field or value %q", v.Name, m.Name, from)
		}
		inputs[v.Name] = from
		alone = alone && (field || slices.ContainsFunc(a.aside, func(o *outside) bool { return o.values[from] != "" }))
	}
	return inputs, alone, nil
}

// outside adds a network that is run before the step.
func (a *assembly) outside(o *outside) error {
	known := map[string]ops.Info{}
	for name, from := range o.inputs {
		known[name] = a.known[from]
	}
	for _, t := range o.graph.Initializers {
		known[t.Name] = ops.Of(a.store.tensors[full(o.member.Name, t.Name)])
	}
	d, err := ops.Differentiate(ops.Differentiation{Nodes: o.graph.Nodes, Opset: o.member.opset, Known: known})
	if err != nil {
		return &job.ModelError{Err: fmt.Errorf("train: model %q: %w", o.member.Name, err)}
	}
	for _, n := range o.graph.Nodes {
		for _, name := range n.Outputs {
			if name != "" {
				o.values[o.as(name)] = name
				a.known[o.as(name)], o.types[o.as(name)] = d.Known[name], d.Known[name].Type
			}
		}
	}
	a.aside = append(a.aside, o)
	return nil
}

// inside adds the nodes of a network to the pass, under the names that values and tensors have there.
func (a *assembly) inside(o *outside) error {
	m := o.member
	tensors := map[string]bool{}
	for _, t := range o.graph.Initializers {
		tensors[t.Name] = true
		name := full(m.Name, t.Name)
		if a.store.tensors[name] == nil && a.own[name] == nil {
			v, err := tensor.FromONNX(t)
			if err != nil {
				return &job.ModelError{Err: fmt.Errorf("train: initializer %q: %w", t.Name, err)}
			}
			a.own[name] = v
		}
	}
	to := func(name string) string {
		from, input := o.inputs[name]
		switch {
		case name == "":
			return ""
		case tensors[name] || a.store.tensors[full(m.Name, name)] != nil:
			return full(m.Name, name)
		case input:
			return from
		}
		return o.as(name)
	}
	first := len(a.nodes)
	for _, n := range o.graph.Nodes {
		n, err := renamed(n, to)
		if err != nil {
			return err
		}
		if !m.Frozen {
			if n, err = a.mode.node(n); err != nil {
				return &job.ModelError{Err: err}
			}
		}
		a.nodes = append(a.nodes, n)
	}
	return a.infer(a.nodes[first:])
}

// tensor returns a tensor of the store or of the pass.
func (a *assembly) tensor(name string) *tensor.Tensor {
	if t := a.store.tensors[name]; t != nil {
		return t
	}
	return a.own[name]
}

// infer finds out the types and shapes of what nodes compute.
func (a *assembly) infer(nodes []*onnx.Node) error {
	for _, n := range nodes {
		for _, name := range n.Inputs {
			if _, known := a.known[name]; known {
				continue
			}
			if t := a.tensor(name); t != nil {
				a.known[name] = a.about(name, t)
			}
		}
	}
	d, err := ops.Differentiate(ops.Differentiation{Nodes: nodes, Opset: a.opset, Known: a.known})
	if err != nil {
		return &job.ModelError{Err: fmt.Errorf("train: %w", err)}
	}
	a.known = d.Known
	return nil
}

// about describes a tensor: with its contents where they do not change.
func (a *assembly) about(name string, t *tensor.Tensor) ops.Info {
	if a.store.changing[name] {
		return ops.Info{Type: t.Type, Shape: ops.MakeShape(t.Shape...)}
	}
	return ops.Of(t)
}

// renamed returns a node with other names of values.
func renamed(n *onnx.Node, to func(string) string) (*onnx.Node, error) {
	same := true
	for _, name := range slices.Concat(n.Inputs, n.Outputs) {
		same = same && to(name) == name
	}
	for _, at := range n.Attributes {
		if at.G != nil || len(at.Graphs) > 0 {
			return nil, &job.ModelError{Err: fmt.Errorf("train: node %q: operator %s has a sub-graph, through which nothing can be trained", n.Name, n.OpType)}
		}
	}
	if same {
		return n, nil
	}
	c := *n
	c.Inputs, c.Outputs = slices.Clone(n.Inputs), slices.Clone(n.Outputs)
	for _, list := range [][]string{c.Inputs, c.Outputs} {
		for i, name := range list {
			list[i] = to(name)
		}
	}
	return &c, nil
}

// network makes the network of the nodes.
func (a *assembly) network(loss string, p Pass) (*network, error) {
	n := &network{
		nodes: a.nodes, opset: max(a.opset, 1), parameters: map[string]*parameter{}, constants: map[string]*tensor.Tensor{}, fields: map[string]ops.Info{},
		states: map[string]part{}, changing: a.store.changing, loss: loss, known: a.known,
	}
	made := map[string]bool{}
	for _, x := range n.nodes {
		for _, name := range x.Inputs {
			if name == "" || made[name] || n.take(a, name) {
				continue
			}
			return nil, job.Usagef("train: node %q reads %q, which there is not", x.Name, name)
		}
		for _, name := range x.Outputs {
			made[name] = true
		}
	}
	if !made[loss] {
		return nil, job.Usagef("train: the loss %q is not computed in the pass", loss)
	}
	for _, s := range a.mode.states {
		if a.store.changing[s.tensor] {
			n.states[s.next] = s.part
		}
	}
	if p.Logits != "" {
		n.taps = append(n.taps, p.Logits)
	}
	return n, nil
}

// take makes what a node reads part of the network, and reports whether there is such.
func (n *network) take(a *assembly, name string) bool {
	if info, ok := a.fields[name]; ok {
		n.fields[name] = info
		return true
	}
	for _, o := range a.aside {
		if o.values[name] != "" {
			n.fields[name] = ops.Info{Type: a.known[name].Type, Shape: a.known[name].Shape}
			return true
		}
	}
	if q := a.store.params[name]; q != nil && a.trains(name) {
		n.parameters[name] = q
		return true
	}
	t := a.tensor(name)
	if t != nil {
		n.constants[name] = t
	}
	return t != nil
}

// needed drops from what is outside the values that nobody needs.
func (a *assembly) needed(n *network) []*outside {
	if n == nil {
		return nil
	}
	var out []*outside
	used := map[string]bool{}
	for name := range n.fields {
		used[name] = true
	}
	for _, o := range slices.Backward(a.aside) {
		maps.DeleteFunc(o.values, func(name, _ string) bool { return !used[name] })
		if len(o.values) == 0 {
			continue
		}
		for _, from := range o.inputs {
			used[from] = true
		}
		out = append(out, o)
	}
	slices.Reverse(out)
	return out
}

// Info returns what is known of a value of the pass, a field or a tensor; false where there is none of the name.
func (v *Values) Info(name string) (ops.Info, bool) {
	info, ok := v.known[name]
	return info, ok
}

// Logits returns the name of the first output of a use of a model, before a softmax at its end.
func (v *Values) Logits(as string) (string, bool) {
	name, ok := v.logits[as]
	return name, ok
}
