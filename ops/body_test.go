package ops

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/effml/effml/internal/conformance"
	"github.com/effml/effml/internal/isa"
	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// graphBody runs a graph node after node, in the plainest way: the tests' Body, and with no captured values a whole model.
type graphBody struct {
	graph    *onnx.Graph
	nodes    []bodyNode
	known    map[string]*tensor.Tensor // initializers
	captured []string                  // names, in the order of Call.Captured
	outer    map[string]Info           // what Infer knows of captured values
}

type bodyNode struct {
	*onnx.Node
	op       Op
	captured []string
	bodies   []*graphBody
}

// newGraphBody makes a body of a graph; captured are the names that the node of the body captures.
func newGraphBody(g *onnx.Graph, opset int64, captured []string) (*graphBody, error) {
	b := &graphBody{graph: g, captured: captured, known: map[string]*tensor.Tensor{}, outer: map[string]Info{}}
	for _, t := range g.Initializers {
		v, err := tensor.FromONNX(t)
		if err != nil {
			return nil, err
		}
		b.known[t.Name] = v
	}
	for _, n := range g.Nodes {
		node, err := newBodyNode(n, opset)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", n.OpType, err)
		}
		b.nodes = append(b.nodes, *node)
	}
	return b, nil
}

func newBodyNode(n *onnx.Node, opset int64) (*bodyNode, error) {
	node := &bodyNode{Node: n}
	for _, a := range n.Attributes {
		if a.G != nil {
			node.captured = append(node.captured, freeNames(a.G)...)
		}
	}
	slices.Sort(node.captured)
	node.captured = slices.Compact(node.captured)
	bodies := map[string]Body{}
	for _, a := range n.Attributes {
		if a.G == nil {
			continue
		}
		b, err := newGraphBody(a.G, opset, node.captured)
		if err != nil {
			return node, err
		}
		bodies[a.Name] = b
		node.bodies = append(node.bodies, b)
	}
	var err error
	node.op, err = New(&Node{Node: n, Opset: opset, Bodies: bodies})
	return node, err
}

// opsetOf returns the version of a domain's operator set that a model imports.
func opsetOf(m *onnx.Model, domain string) int64 {
	for _, s := range m.OpsetImports {
		if strings.TrimPrefix(s.Domain, "ai.onnx") == strings.TrimPrefix(domain, "ai.onnx") {
			return s.Version
		}
	}
	return 0
}

func (b *graphBody) NumIn() int  { return len(b.graph.Inputs) }
func (b *graphBody) NumOut() int { return len(b.graph.Outputs) }

func (b *graphBody) Infer(in []Info) ([]Info, error) {
	env := map[string]Info{}
	for name, i := range b.outer {
		env[name] = i
	}
	for name, t := range b.known {
		env[name] = Of(t)
	}
	for i, v := range b.graph.Inputs {
		env[v.Name] = in[i]
	}
	for _, n := range b.nodes {
		for _, body := range n.bodies {
			for _, name := range n.captured {
				body.outer[name] = env[name]
			}
		}
		out, err := n.op.Infer(lookup(env, n.Inputs))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", n.OpType, err)
		}
		for i, name := range n.Outputs {
			env[name] = out[i]
		}
		delete(env, "")
	}
	return lookup(env, outputNames(b.graph)), nil
}

func (b *graphBody) Run(c *Call, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	env := map[string]*tensor.Tensor{}
	for i, name := range b.captured {
		env[name] = c.Captured[i]
	}
	for name, t := range b.known {
		env[name] = t
	}
	for i, v := range b.graph.Inputs {
		env[v.Name] = in[i]
	}
	for _, n := range b.nodes {
		call := &Call{CPU: c.CPU, In: lookup(env, n.Inputs), Captured: lookup(env, n.captured), Outs: make([]*tensor.Tensor, len(n.Outputs)), Limit: c.Limit, Seed: c.Seed}
		for _, name := range n.Outputs {
			call.Wanted = append(call.Wanted, name != "")
		}
		if s, ok := n.op.(Scratcher); ok {
			call.Scratch = make([]float32, s.Scratch(c.CPU, describeAll(call.In)))
		}
		if err := n.op.Run(call); err != nil {
			return nil, fmt.Errorf("%s: %w", n.OpType, err)
		}
		for i, name := range n.Outputs {
			env[name] = call.Outs[i]
		}
		delete(env, "")
	}
	out := lookup(env, outputNames(b.graph))
	for i, t := range out {
		out[i] = t.Clone()
	}
	return out, nil
}

func outputNames(g *onnx.Graph) (names []string) {
	for _, v := range g.Outputs {
		names = append(names, v.Name)
	}
	return names
}

// lookup returns the values of names, in order; the zero value for names that are not there.
func lookup[V any](env map[string]V, names []string) []V {
	out := make([]V, len(names))
	for i, name := range names {
		out[i] = env[name]
	}
	return out
}

// TestConformanceGraphs runs the conformance cases of several nodes, among them loops with the bodies that other operators are
// defined by.
func TestConformanceGraphs(t *testing.T) {
	dir, names := conformance.Folder(t)
	set, err := isa.FromEnv()
	if err != nil {
		t.Fatal(err)
	}
	cpu := kernel.NewCPU(kernel.Options{Threads: 2, ISA: set})
	defer cpu.Close()
	for _, name := range names {
		c, err := conformance.Read(dir, name)
		if err != nil || len(c.Model.Graph.Nodes) < 2 || len(c.Model.Functions) > 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			if strings.Contains(name, "bernoulli") {
				t.Skip("the result is left to chance")
			}
			if strings.Contains(name, "attention") && (strings.Contains(name, "bf16") || strings.Contains(name, "fp16")) {
				t.Skip("the graph rounds to 16 bits in other places than the operator that it stands for")
			}
			b, err := newGraphBody(c.Model.Graph, opsetOf(c.Model, ""), nil)
			var unsupported *UnsupportedError
			if errors.As(err, &unsupported) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range c.Sets {
				in := make([]*tensor.Tensor, b.NumIn())
				copy(in, s.Inputs)
				info, err := b.Infer(describeAll(in))
				if err != nil {
					t.Fatalf("infer: %v", err)
				}
				out, err := b.Run(&Call{CPU: cpu, Limit: 1 << 30}, in)
				if err != nil {
					t.Fatalf("run: %v", err)
				}
				if err := (trial{want: s.Outputs}).inferred(info); err != nil {
					t.Errorf("infer: %v", err)
				}
				for i, want := range s.Outputs {
					if err := conformance.Compare(out[i], want); err != nil {
						t.Errorf("output %d: %v", i, err)
					}
				}
			}
		})
	}
}
