package train

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/effml/effml/infer"
	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// segment is a piece of a network ready to run forward and back, for certain shapes. Weights are inputs, so that one segment serves wherever a
// piece of the same structure occurs.
type segment struct {
	session *infer.Session
	wants   []bool // which inputs it gives gradients of
	trained []bool // which parameters
	idle    []*seat
	used    uint64 // when it was asked for last
}

// seat is what a segment needs to run at one place of a step at a time.
type seat struct {
	runner *infer.Runner
	seen   []*tensor.Tensor // of piece.also
}

// compiler makes segments, and keeps them for pieces of the same structure.
type compiler struct {
	cpu      *kernel.CPU
	memory   *infer.Memory
	segments map[string]*segment
	asked    uint64
	most     int // segments; others than those that were used last are forgotten
}

// maxSegments are enough for all blocks of a super-network in all their forms.
const maxSegments = 2048

// inside returns the value of a constant that is part of a segment, so that shapes may depend on it, or nil. Others, such as masks and running
// means, are inputs: segments whose structure is the same are then one.
func (n *network) inside(name string) *tensor.Tensor {
	const (
		integers = 1024
		floats   = 16 // such as scales
	)
	v := n.known[name].Value
	if v == nil || v.Len() > integers || v.Type == onnx.Float && v.Len() > floats {
		return nil
	}
	return v
}

// gradientOf names the gradient of a value.
func gradientOf(name string) string { return "∂" + name }

// compile returns the segment of a piece of which gradients are wanted for these inputs.
func (c *compiler) compile(n *network, p *piece, wants []bool) (*segment, error) {
	key := n.key(p, wants)
	c.asked++
	if s := c.segments[key]; s != nil {
		s.used = c.asked
		return s, nil
	}
	s := &segment{wants: wants, used: c.asked}
	d := ops.Differentiation{Nodes: p.nodes, Opset: n.opset, Known: map[string]ops.Info{}, LearnedSteps: n.learnedSteps}
	g := &onnx.Graph{Name: "segment"}
	for i, list := range [][]string{p.inputs, p.fields, p.parameters, p.constants} {
		for k, name := range list {
			d.Known[name] = n.known[name]
			if v := n.inside(name); v != nil {
				g.Initializers = append(g.Initializers, v.ToONNX(name))
				continue
			}
			d.Known[name] = ops.Info{Type: n.known[name].Type, Shape: n.known[name].Shape}
			g.Inputs = append(g.Inputs, declare(name, n.known[name]))
			if i == 0 && wants[k] || i == 2 {
				d.Wrt = append(d.Wrt, name)
			}
		}
	}
	for i, name := range append([]string{p.output}, p.also...) {
		if i > 0 && name == p.output {
			continue // it is there already
		}
		g.Outputs = append(g.Outputs, &onnx.ValueInfo{Name: name, Type: &onnx.TypeProto{Tensor: &onnx.TensorType{ElemType: n.known[name].Type}}})
	}
	halves := &infer.Halves{} // also without a way back, so that the output is kept for the segments that follow
	g.Nodes = p.nodes
	var err error
	if len(d.Wrt) > 0 {
		if halves, err = s.differentiate(n, p, d, g); err != nil {
			return nil, err
		}
	}
	m := &onnx.Model{IRVersion: 10, OpsetImports: []*onnx.OperatorSet{{Version: n.opset}, {Domain: ops.Domain, Version: 1}}, Graph: g}
	if s.session, err = infer.New(m, infer.Options{CPU: c.cpu, MaxBytes: maxSegment, Halves: halves}); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	c.forget()
	c.segments[key] = s
	return s, nil
}

// forget makes room for another segment, and for some more so that it is seldom needed.
func (c *compiler) forget() {
	if len(c.segments) < c.most {
		return
	}
	all := slices.SortedFunc(maps.Keys(c.segments), func(x, y string) int { return cmp.Compare(c.segments[x].used, c.segments[y].used) })
	for _, key := range all[:(c.most+7)/8] {
		delete(c.segments, key)
	}
}

// maxSegment bounds the memory of a segment in bytes; what a step takes as a whole is checked before.
const maxSegment = 1 << 40

// differentiate adds the way back to the graph of a segment.
func (s *segment) differentiate(n *network, p *piece, d ops.Differentiation, g *onnx.Graph) (*infer.Halves, error) {
	seed := gradientOf(p.output)
	d.Seeds = map[string]string{p.output: seed}
	d.Nodes = throughNormalisations(n, p)
	d.Known[seed] = ops.Info{Type: n.known[p.output].Type, Shape: n.known[p.output].Shape}
	back, err := ops.Differentiate(d)
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	h := &infer.Halves{Late: []string{seed}, Like: map[string]string{seed: p.output}}
	g.Inputs = append(g.Inputs, declare(seed, d.Known[seed]))
	g.Nodes = back.Nodes
	result := func(name string) bool {
		v, ok := back.Gradients[name]
		if !ok {
			return false
		}
		to := gradientOf(name)
		g.Nodes = append(g.Nodes, &onnx.Node{OpType: "Identity", Inputs: []string{v.Name}, Outputs: []string{to}})
		g.Outputs = append(g.Outputs, &onnx.ValueInfo{Name: to, Type: &onnx.TypeProto{Tensor: &onnx.TensorType{ElemType: onnx.Float}}})
		return true
	}
	s.wants = slices.Clone(s.wants)
	for i, name := range p.inputs {
		if s.wants[i] && result(name) {
			h.Like[gradientOf(name)] = name
		} else {
			s.wants[i] = false
		}
	}
	for _, name := range p.parameters {
		ok := result(name)
		s.trained = append(s.trained, ok)
		if ok {
			h.Given = append(h.Given, gradientOf(name))
		}
	}
	return h, nil
}

// declare describes a value of a known shape.
func declare(name string, info ops.Info) *onnx.ValueInfo {
	t := &onnx.TensorType{ElemType: info.Type, Shape: &onnx.Shape{}}
	for _, d := range info.Shape {
		n := int64(d.N)
		t.Shape.Dims = append(t.Shape.Dims, &onnx.Dimension{Value: &n})
	}
	return &onnx.ValueInfo{Name: name, Type: &onnx.TypeProto{Tensor: t}}
}

// key describes the structure of a piece: equal keys mean equal segments. Names are replaced by numbers in the order in which they occur.
func (n *network) key(p *piece, wants []bool) string {
	var b strings.Builder
	number := map[string]int{"": 0}
	id := func(name string) int {
		i, ok := number[name]
		if !ok {
			i = len(number)
			number[name] = i
		}
		return i
	}
	fmt.Fprintf(&b, "%d %v %v", n.opset, n.learnedSteps, wants)
	for _, list := range [][]string{p.inputs, p.fields, p.parameters, p.constants} {
		b.WriteString("\n:")
		for _, name := range list {
			info := n.known[name]
			fmt.Fprintf(&b, " %d=%d%s", id(name), info.Type, info.Shape)
			if v := n.inside(name); v != nil {
				fmt.Fprintf(&b, "=%x", v.Bytes())
			}
		}
	}
	for _, x := range p.nodes {
		fmt.Fprintf(&b, "\n%s.%s", x.Domain, x.OpType)
		for _, name := range x.Inputs {
			fmt.Fprintf(&b, " %d", id(name))
		}
		b.WriteString(" >")
		for _, name := range x.Outputs {
			fmt.Fprintf(&b, " %d", id(name))
		}
		for _, a := range x.Attributes {
			fmt.Fprintf(&b, " %s", a.Name)
			writeAttribute(&b, a)
		}
	}
	b.WriteString("\n>")
	for _, name := range append([]string{p.output}, p.also...) {
		fmt.Fprintf(&b, " %d", id(name))
	}
	return b.String()
}

func writeAttribute(b *strings.Builder, a *onnx.Attribute) {
	fmt.Fprintf(b, "=%d %v %v %q %v %q", a.I, a.F, a.Ints, a.S, a.Floats, a.Strings)
	if a.T != nil {
		if t, err := tensor.FromONNX(a.T); err == nil && t.Type != onnx.String {
			fmt.Fprintf(b, " %s%x", t, t.Bytes())
			return
		}
	}
	if a.T != nil || a.G != nil || len(a.Graphs)+len(a.Tensors) > 0 {
		fmt.Fprintf(b, " %p", a) // equal to itself only
	}
}

// borrow returns a seat, for a step.
func (s *segment) borrow(n *network, p *piece, m *infer.Memory) (*seat, error) {
	if n := len(s.idle); n > 0 {
		at := s.idle[n-1]
		s.idle = s.idle[:n-1]
		return at, nil
	}
	at := &seat{runner: s.session.NewRunnerIn(m)}
	for _, name := range p.also {
		dims, _ := n.known[name].Shape.Known()
		t, err := tensor.New(n.known[name].Type, dims...)
		if err != nil {
			return nil, fmt.Errorf("train: %q: %w", name, err)
		}
		at.seen = append(at.seen, t)
	}
	return at, nil
}

// giveBack takes a seat that a step no longer needs.
func (s *segment) giveBack(at *seat) {
	at.runner.Leave()
	s.idle = append(s.idle, at)
}
