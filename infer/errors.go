package infer

import (
	"errors"
	"fmt"
	"strings"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/mapped"
	"github.com/effml/effml/ops"
)

// GraphError lists the nodes that keep a model from running: operators that are not supported and nodes that are malformed.
// It comes wrapped in a [job.ModelError].
type GraphError struct{ Problems []*NodeError }

func (e *GraphError) Error() string {
	const most = 40
	var b strings.Builder
	fmt.Fprintf(&b, "the model cannot be run because of %d of its nodes:", len(e.Problems))
	for i, p := range e.Problems {
		if i == most {
			fmt.Fprintf(&b, "\n  and %d more", len(e.Problems)-most)
			break
		}
		b.WriteString("\n  " + p.Error())
	}
	return b.String()
}

// Unwrap returns the problems.
func (e *GraphError) Unwrap() []error {
	errs := make([]error, len(e.Problems))
	for i, p := range e.Problems {
		errs[i] = p
	}
	return errs
}

// NodeError says which node something went wrong at.
type NodeError struct {
	Node  string // its name, or the operator and the name of its output; of nodes in functions and sub-graphs with the path to them
	Op    string // with the domain where it is not ONNX's own
	Opset int64
	Err   error
}

func (e *NodeError) Error() string {
	var unsupported *ops.UnsupportedError
	if errors.As(e.Err, &unsupported) { // which names the operator itself
		return fmt.Sprintf("node %q: %v", e.Node, e.Err)
	}
	return fmt.Sprintf("node %q (%s): %v", e.Node, e.Op, e.Err)
}

// Unwrap returns the cause.
func (e *NodeError) Unwrap() error { return e.Err }

// errStopped ends a run whose context is over.
var errStopped = errors.New("infer: the run was stopped")

// at adds a node to an error, unless it is none of the model's.
func (n *node) at(err error) error {
	var fault *mapped.FaultError
	if err == nil || errors.Is(err, errStopped) || errors.As(err, &fault) {
		return err
	}
	return &job.ModelError{Err: &NodeError{Node: n.name, Op: n.kind, Opset: n.opset, Err: plain(err)}}
}

// plain removes the type by which commands tell exit codes from an error that gets it again.
func plain(err error) error {
	if m, ok := err.(*job.ModelError); ok { //nolint:errorlint // only the outermost
		return m.Err
	}
	return err
}
