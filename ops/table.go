package ops

import (
	"fmt"
	"slices"
)

// spec says how to make an operator.
type spec struct {
	name string
	// The operator sets in which it exists as it is implemented here; until 0 means the newest. Opset 7 is the oldest that is there as a
	// whole. Older ones count where the operator was then what it was in opset 7, or what New makes of the difference.
	since, until int64
	least, most  int // inputs; most −1 means any number
	outputs      int // at most; −1 means any number
	make         func(*Node) (Op, error)
}

// newest is the latest version of ONNX's operator set that these operators were compared with.
const newest = 28

func (s spec) last() int64 {
	if s.until == 0 {
		return newest
	}
	return s.until
}

// New makes the operator of a node. An operator that is not known here, or not in this operator set, is an
// *UnsupportedError; other errors say which attribute or which number of inputs is wrong.
func New(n *Node) (Op, error) {
	if n.Domain == Domain {
		return newTraining(n)
	}
	unsupported := &UnsupportedError{Domain: n.Domain, Name: n.OpType, Opset: n.Opset}
	if n.Domain != "" && n.Domain != "ai.onnx" {
		return nil, unsupported
	}
	for _, group := range groups {
		for _, s := range group {
			if s.name != n.OpType {
				continue
			}
			if n.Opset >= s.since && n.Opset <= s.last() {
				return s.build(n)
			}
			if unsupported.Supported[0] == 0 || s.since < unsupported.Supported[0] {
				unsupported.Supported[0] = s.since
			}
			unsupported.Supported[1] = max(unsupported.Supported[1], s.last())
		}
	}
	return nil, unsupported
}

func (s spec) build(n *Node) (Op, error) {
	if len(n.Inputs) < s.least || slices.Contains(n.Inputs[:s.least], "") {
		return nil, fmt.Errorf("%s needs %d inputs and has %d", s.name, s.least, present(n.Inputs))
	}
	if s.most >= 0 && len(n.Inputs) > s.most {
		return nil, fmt.Errorf("%s takes at most %d inputs and has %d", s.name, s.most, len(n.Inputs))
	}
	if s.outputs >= 0 && len(n.Outputs) > s.outputs {
		return nil, fmt.Errorf("%s gives at most %d outputs and has %d", s.name, s.outputs, len(n.Outputs))
	}
	op, err := s.make(n)
	if err == nil && n.Opset < 7 {
		err = testOnly(n)
	}
	if err == nil {
		err = n.Err()
	}
	if err != nil {
		return nil, err
	}
	return alongAxis(n, op), nil
}

func present(names []string) (n int) {
	for _, name := range names {
		if name != "" {
			n++
		}
	}
	return n
}

// groups are the operators, by what they are for; a table a file table_*.go.
var groups = [...][]spec{networkOps, arrayOps, mathOps, quantisedOps, controlOps}

// Supported lists the names of all operators, in alphabetical order.
func Supported() []string {
	var names []string
	for _, group := range groups {
		for _, s := range group {
			names = append(names, s.name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
