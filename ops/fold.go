package ops

import (
	"errors"
	"fmt"
	"slices"

	"github.com/effml/effml/internal/mapped"
	"github.com/effml/effml/internal/rewrite"
	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
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
// also a graph input, from IR version 4 on), of operator sets or element types that foldable does not list, and nodes
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
	takes := foldable[n.OpType]
	if takes == nil {
		return nil, errKeep
	}
	f := folding{Node: &Node{Node: n, Opset: max(opset, 7)}, opset: opset}
	have := int64(0) // bytes of the inputs
	for _, name := range n.Inputs {
		t := constants[name]
		if t == nil && name != "" {
			return nil, errKeep
		}
		f.in = append(f.in, t)
		if t != nil {
			size, err := t.ByteSize()
			if err != nil {
				return nil, errKeep
			}
			have += size
		}
	}
	if !takes(&f) {
		return nil, errKeep
	}
	return f.run(most*have + most - 1)
}

// most is how many times the bytes of its inputs a result may take.
const most = 16

// folding is a node with its inputs, nil for an optional one that is left out.
type folding struct {
	*Node
	in    []*onnx.Tensor
	opset int64
}

// run computes the output of a node that foldable takes; errKeep if it is larger than the limit.
func (f *folding) run(limit int64) (*onnx.Tensor, error) {
	op, err := New(f.Node)
	var unsupported *UnsupportedError
	if errors.As(err, &unsupported) {
		return nil, errKeep
	}
	if err != nil {
		return nil, err
	}
	// One thread, that of the guard against faults.
	c := &Call{CPU: kernel.NewCPU(kernel.Options{Threads: 1}), Outs: make([]*tensor.Tensor, 1), Limit: limit}
	defer c.CPU.Close()
	for _, t := range f.in {
		var v *tensor.Tensor
		if t != nil {
			if v, err = tensor.FromONNX(t); err != nil {
				return nil, err
			}
		}
		c.In = append(c.In, v)
	}
	err = op.Run(c)
	var large *LimitError
	if errors.As(err, &large) {
		return nil, errKeep
	}
	if err != nil {
		return nil, err
	}
	return c.Outs[0].ToONNX(f.Outputs[0]), nil
}

// is reports whether input i is there, and of a type of the set.
func (f *folding) is(i int, takes types) bool {
	return i < len(f.in) && f.in[i] != nil && takes.has(f.in[i].DataType)
}

// typesSingle are the floating-point types of at most 32 bits, typesCode what of integers scales apply to.
const (
	typesSingle = typesHalf | 1<<onnx.Float
	typesCode   = typesInteger&^(1<<onnx.Int64|1<<onnx.Uint64) | 1<<onnx.Int4 | 1<<onnx.Uint4
)

// foldable says of which nodes Fold knows the bits that a runtime computes.
var foldable = map[string]func(f *folding) bool{
	// Two tensors of one floating-point type; before opset 7 broadcasting was another.
	"Mul": func(f *folding) bool {
		return len(f.in) == 2 && f.is(0, typesFloat) && f.is(1, 1<<f.in[0].DataType) && (f.opset >= 7 || slices.Equal(f.in[0].Dims, f.in[1].Dims))
	},
	// Data of whole bytes.
	"Gather": func(f *folding) bool {
		return len(f.in) == 2 && f.is(0, typesAny) && f.in[0].DataType.Bits() > 0 && f.in[0].DataType.Bits()%8 == 0 && f.is(1, typesIndex)
	},
	// Integers of 4 to 32 bits to the type of the scale.
	"DequantizeLinear": func(f *folding) bool {
		return (len(f.in) == 2 || len(f.in) == 3 && (f.in[2] == nil || f.is(2, typesCode))) && f.is(0, typesCode) && f.is(1, typesSingle) && !f.Has("output_dtype")
	},
	// To the same type, among the floating-point ones, and to larger integers.
	"Cast": func(f *folding) bool {
		to := onnx.DataType(f.Int("to", 0))
		if len(f.in) != 1 || !f.is(0, typesAny) {
			return false
		}
		from := f.in[0].DataType
		return from == to && from.Bits() > 0 || f.is(0, typesSingle) && typesFloat.has(to) || f.is(0, typesCode) && typesIndex.has(to) && from.Bits() < to.Bits()
	},
}

// nodeName is the node's name, or its operator and position where it has none.
func nodeName(n *onnx.Node, i int) string {
	if n.Name != "" {
		return n.Name
	}
	return fmt.Sprintf("%s_%d", n.OpType, i)
}
