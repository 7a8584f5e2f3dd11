package evaluate

import (
	"context"
	"fmt"

	"github.com/effml/effml/dataset"
	"github.com/effml/effml/infer"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/modelfile"
	"github.com/effml/effml/internal/uses"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// NodeTolerance is the tolerance of the command line: what sums in another order may come to.
const NodeTolerance = 1e-4

// NodesResult is where in the graph two models begin to differ.
type NodesResult struct {
	Tolerance float64    `json:"tolerance" doc:"relative error up to which values count as equal"`
	Differ    int        `json:"differ" doc:"nodes whose values differ by more than that"`
	First     *NodeDiff  `json:"first,omitempty" doc:"the first of them in the order of A"`
	Worst     *NodeDiff  `json:"worst,omitempty" doc:"the one with the largest relative error"`
	Unmatched int        `json:"unmatched" doc:"nodes of A without a counterpart in B"`
	Nodes     []NodeDiff `json:"nodes" doc:"in the order of A; constants are left out"`
}

// NodeDiff is how what a node computes differs; of several outputs the worst counts.
type NodeDiff struct {
	OutputDiff        // of the value that the node gives
	Node       string `json:"node"`
	Op         string `json:"op"`
	Other      string `json:"other,omitempty" doc:"name of the value in B where it has another"`
}

// valuePair is a value that a node of each model computes.
type valuePair struct {
	row  int // of the result
	a, b string
}

// Memory that the values exposed at a time may take, in each model, and the samples a run where nobody says.
const (
	exposedBytes = 128 << 20
	exposedBatch = 8
)

// nodes runs both models with the values of all nodes as outputs, some at a time. Nodes are matched by the name of what they compute;
// those left over by operator, the k-th of A with the k-th of B.
func (p *couple) nodes(ctx context.Context, tolerance float64, ev job.Events) (*NodesResult, error) {
	p.a.rest()
	p.b.rest()
	for _, f := range []*modelfile.File{p.a.file, p.b.file} {
		if err := settle(f); err != nil {
			return nil, err
		}
	}
	r := &NodesResult{Tolerance: tolerance, Nodes: []NodeDiff{}}
	pairs := r.match(p.a.file.Model.Graph.Nodes, p.b.file.Model.Graph.Nodes)
	sizes, err := p.sizes(pairs)
	if err != nil {
		return nil, err
	}
	for done := 0; done < len(pairs); {
		n, bytes := 0, int64(0)
		for done+n < len(pairs) && (n == 0 || bytes+sizes[done+n] <= p.memory) {
			bytes += sizes[done+n]
			n++
		}
		stage := fmt.Sprintf("compare values %d to %d of %d", done+1, done+n, len(pairs))
		if err := p.compare(ctx, r, pairs[done:done+n], stage, ev); err != nil {
			return nil, err
		}
		done += n
	}
	r.sum()
	return r, nil
}

// settle decodes the tensors of an archive once, as every session needs them.
func settle(f *modelfile.File) error {
	if f.Archive == nil {
		return nil
	}
	for _, t := range f.Model.Tensors() {
		if t.DataType == onnx.String {
			continue
		}
		raw, err := t.Bytes()
		if err != nil {
			return err
		}
		t.SetBytes(raw)
	}
	return nil
}

// match fills in the rows of the nodes of A that have a counterpart.
func (r *NodesResult) match(a, b []*onnx.Node) (pairs []valuePair) {
	taken, byValue, byOp := map[*onnx.Node]bool{}, map[string]*onnx.Node{}, map[string][]*onnx.Node{}
	for _, n := range b {
		for _, out := range n.Outputs {
			byValue[out] = n
		}
	}
	partner, paired := make([]*onnx.Node, len(a)), map[string]bool{}
	for i, n := range a {
		if len(n.Outputs) > 0 && n.Outputs[0] != "" {
			partner[i] = byValue[n.Outputs[0]]
			taken[partner[i]] = true
		}
	}
	for _, n := range b {
		if !taken[n] {
			byOp[uses.OpName(n)] = append(byOp[uses.OpName(n)], n)
		}
	}
	for i, n := range a {
		op := uses.OpName(n)
		if op == "Constant" {
			continue
		}
		if rest := byOp[op]; partner[i] == nil && len(rest) > 0 {
			partner[i], byOp[op] = rest[0], rest[1:]
		}
		if partner[i] == nil {
			r.Unmatched++
			continue
		}
		for _, v := range counterparts(n, partner[i], len(r.Nodes)) {
			if !paired[v.b] {
				paired[v.b] = true
				pairs = append(pairs, v)
			}
		}
		r.Nodes = append(r.Nodes, NodeDiff{Node: n.Name, Op: op})
	}
	return pairs
}

// counterparts pairs the outputs of two nodes: those of one name, else those of one place.
func counterparts(a, b *onnx.Node, row int) (pairs []valuePair) {
	named := map[string]bool{}
	for _, out := range b.Outputs {
		named[out] = true
	}
	for i, out := range a.Outputs {
		switch {
		case out == "":
		case named[out]:
			pairs = append(pairs, valuePair{row, out, out})
		case i < len(b.Outputs) && b.Outputs[i] != "":
			pairs = append(pairs, valuePair{row, out, b.Outputs[i]})
		}
	}
	return pairs
}

// exposed makes a session of a model whose outputs are the named values. What comes behind them is left out.
func exposed(f *modelfile.File, names []string, threads int) (*infer.Session, error) {
	wanted := map[string]bool{}
	m, g := *f.Model, *f.Model.Graph
	g.Outputs = nil
	for _, name := range names {
		g.Outputs = append(g.Outputs, &onnx.ValueInfo{Name: name, Type: &onnx.TypeProto{Tensor: &onnx.TensorType{}}})
		wanted[name] = true
	}
	last := 0
	for i, n := range g.Nodes {
		for _, out := range n.Outputs {
			if wanted[out] {
				last = i
			}
		}
	}
	g.Nodes, m.Graph, m.TrainingInfo = g.Nodes[:last+1], &g, nil
	return newSession(&m, infer.Options{Threads: threads, Release: f.Release})
}

// sizes returns what the values take in A for a batch, as far as the model tells without running.
func (p *couple) sizes(pairs []valuePair) ([]int64, error) {
	var names []string
	for _, v := range pairs {
		names = append(names, v.a)
	}
	s, err := exposed(p.a.file, names, p.threads)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	batch := max(p.feed.from.Batch, p.feed.Batch)
	if batch == 0 {
		batch = exposedBatch
	}
	sizes := make([]int64, len(pairs))
	for i, v := range s.Outputs() {
		sizes[i] = int64(max(tensor.Width(v.Type), 1))
		for k, d := range v.Shape {
			switch {
			case d.IsKnown():
				sizes[i] *= int64(d.N)
			case k == 0:
				sizes[i] *= int64(batch)
			}
		}
	}
	return sizes, nil
}

// compare runs both models over the samples with some values as outputs.
func (p *couple) compare(ctx context.Context, r *NodesResult, pairs []valuePair, stage string, ev job.Events) error {
	var names [2][]string
	var order []int
	for i, v := range pairs {
		names[0], names[1] = append(names[0], v.a), append(names[1], v.b)
		order = append(order, i)
	}
	a, err := exposed(p.a.file, names[0], p.threads)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := exposed(p.b.file, names[1], p.threads)
	if err != nil {
		return err
	}
	defer b.Close()
	both, err := newTwins(a, b, order)
	if err != nil {
		return err
	}
	err = p.feed.each(ctx, exposedBatch, p.threads, stage, ev, func(b *dataset.Batch) error {
		_, _, err := both.run(ctx, b.Inputs)
		return err
	})
	if err != nil {
		return err
	}
	for i, v := range pairs {
		d, row := both.spans[i].diff(v.a), &r.Nodes[v.row]
		if row.Name != "" && (row.Problem != "" || d.Problem == "" && d.Relative <= row.Relative) {
			continue // another output of the node is worse
		}
		row.OutputDiff, row.Other = d, ""
		if v.b != v.a {
			row.Other = v.b
		}
	}
	return nil
}

// sum finds the first and the worst of the nodes that differ.
func (r *NodesResult) sum() {
	for i := range r.Nodes {
		n := &r.Nodes[i]
		if n.Problem == "" && float64(n.Relative) <= r.Tolerance {
			continue
		}
		r.Differ++
		if r.First == nil {
			r.First = n
		}
		if n.Problem == "" && (r.Worst == nil || n.Relative > r.Worst.Relative) {
			r.Worst = n
		}
	}
}
