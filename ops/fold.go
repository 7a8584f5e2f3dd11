package ops

import (
	"errors"
	"fmt"
	"slices"

	"github.com/effml/effml/internal/mapped"
	"github.com/effml/effml/internal/rewrite"
	"github.com/effml/effml/onnx"
)

// errKeep says that a node is none that folding evaluates: the graph keeps it.
var errKeep = errors.New("not evaluated")

// A FoldError names the node whose inputs are not what its operator takes.
type FoldError struct {
	Graph, Node, Op string
	Err             error
}

func (e *FoldError) Error() string {
	return fmt.Sprintf("ops: fold %s node %q of graph %q: %v", e.Op, e.Node, e.Graph, e.Err)
}

// Unwrap returns the cause.
func (e *FoldError) Unwrap() error { return e.Err }

// Fold evaluates every Mul, Gather, DequantizeLinear and Cast whose inputs are all initializers of its own graph, and
// puts the result into the graph as an initializer of the output's name, at the place of the first initializer that
// nothing else needs; node after node, so that chains fold. Values are the bits that a runtime computes in IEEE
// arithmetic. It returns the number of nodes that are gone.
//
// Kept as they are: nodes of other domains, inside functions, with an input that the caller may override (an initializer that is
// also a graph input, from IR version 4 on) or of element types that the operator's file does not list, and nodes
// whose result would take more than 16 times the bytes of what they read, which is no way to make a file smaller.
// Inputs that contradict the operator (a code outside its codebook, shapes that do not broadcast) are a *FoldError;
// m is then partly folded but valid. Results are held in memory. A fault on mapped memory is an error.
func Fold(m *onnx.Model) (folded int, err error) {
	err = mapped.Guard(func() error {
		return rewrite.Graphs(m, func(g *onnx.Graph) error {
			n, err := foldGraph(m, g)
			folded += n
			return err
		})
	})
	return folded, err
}

func foldGraph(m *onnx.Model, g *onnx.Graph) (int, error) {
	constants := map[string]*onnx.Tensor{}
	for _, t := range g.Initializers {
		constants[t.Name] = t
	}
	if m.IRVersion >= 4 {
		for _, v := range g.Inputs {
			delete(constants, v.Name)
		}
	}
	uses := countUses(g)
	opset := rewrite.Opset(m)
	done := map[*onnx.Node]bool{}
	var failed error
	for i, n := range g.Nodes {
		out, err := evaluate(n, constants, opset)
		if errors.Is(err, errKeep) {
			continue
		}
		if err != nil {
			failed = &FoldError{Graph: g.Name, Node: nodeName(n, i), Op: n.OpType, Err: err}
			break
		}
		done[n] = true
		constants[out.Name] = out
		var old []string
		for _, name := range n.Inputs {
			if uses[name]--; uses[name] == 0 && name != "" {
				old = append(old, name)
				delete(constants, name)
			}
		}
		rewrite.Exchange(m, g, old, []*onnx.Tensor{out})
	}
	if len(done) > 0 {
		g.Nodes = slices.DeleteFunc(slices.Clone(g.Nodes), func(n *onnx.Node) bool { return done[n] })
	}
	return len(done), failed
}

// countUses counts how often each name is read, by nodes of the graph and of its sub-graphs and as a graph output.
func countUses(g *onnx.Graph) map[string]int {
	uses := map[string]int{}
	// A sub-graph that gives a name another meaning cannot exist: names are unique within nesting.
	_ = rewrite.Graphs(&onnx.Model{Graph: g}, func(sub *onnx.Graph) error {
		for _, n := range sub.Nodes {
			for _, name := range n.Inputs {
				uses[name]++
			}
		}
		for _, v := range sub.Outputs {
			uses[v.Name]++
		}
		return nil
	})
	return uses
}

// evaluate returns the value of a node with constant inputs, named as its output, or errKeep.
func evaluate(n *onnx.Node, constants map[string]*onnx.Tensor, opset int64) (*onnx.Tensor, error) {
	if n.Domain != "" && n.Domain != "ai.onnx" || len(n.Outputs) != 1 || n.Outputs[0] == "" {
		return nil, errKeep
	}
	in := make([]*onnx.Tensor, len(n.Inputs))
	for i, name := range n.Inputs {
		if in[i] = constants[name]; in[i] == nil && name != "" {
			return nil, errKeep
		}
	}
	c := call{node: n, in: in, opset: opset}
	var out *onnx.Tensor
	var err error
	switch n.OpType {
	case "Cast":
		out, err = c.cast()
	case "DequantizeLinear":
		out, err = c.dequantizeLinear()
	case "Gather":
		out, err = c.gather()
	case "Mul":
		out, err = c.mul()
	default:
		err = errKeep
	}
	if err != nil {
		return nil, err
	}
	out.Name = n.Outputs[0]
	return out, nil
}

// nodeName is the node's name, or its operator and position where it has none.
func nodeName(n *onnx.Node, i int) string {
	if n.Name != "" {
		return n.Name
	}
	return fmt.Sprintf("%s_%d", n.OpType, i)
}
