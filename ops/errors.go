package ops

import (
	"fmt"
	"slices"
	"strings"
)

// LimitError refuses a tensor that is larger than memory is meant for.
type LimitError struct {
	What         string // type and shape
	Bytes, Limit int64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%s takes %d bytes, over the limit of %d", e.What, e.Bytes, e.Limit)
}

// UnsupportedError says that there is no such operator here.
type UnsupportedError struct {
	Domain, Name string
	Opset        int64
	Supported    [2]int64 // the operator sets in which the operator is known; zeros for none
	Detail       string   // what of the operator is not supported, if it is only a part
}

func (e *UnsupportedError) Error() string {
	name := e.Name
	if e.Domain != "" {
		name = e.Domain + "." + e.Name
	}
	var b strings.Builder
	fmt.Fprintf(&b, "operator %s of opset %d is not supported", name, e.Opset)
	switch {
	case e.Detail != "":
		b.WriteString(": " + e.Detail)
	case e.Supported[1] > 0:
		fmt.Fprintf(&b, "; supported is opset %d to %d", e.Supported[0], e.Supported[1])
	}
	return b.String()
}

// UndifferentiableError lists the nodes that a gradient would have to flow through and cannot.
type UndifferentiableError struct{ Nodes []UndifferentiableNode }

// UndifferentiableNode is a node without a gradient.
type UndifferentiableNode struct {
	Node     string // its name, or else its first output
	Operator string // with the domain where it is not ONNX's own
	Err      error  // why, where it is not the operator as such
}

func (e *UndifferentiableError) Error() string {
	lines := make([]string, len(e.Nodes))
	for i, n := range e.Nodes {
		lines[i] = fmt.Sprintf("node %q: operator %s has no gradient", n.Node, n.Operator)
		if n.Err != nil {
			lines[i] = fmt.Sprintf("node %q: gradient of %s: %v", n.Node, n.Operator, n.Err)
		}
	}
	return strings.Join(lines, "\n")
}

func (e *UndifferentiableError) orNil() error {
	if len(e.Nodes) == 0 {
		return nil
	}
	slices.Reverse(e.Nodes) // as the program has them
	return e
}
