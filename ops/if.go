package ops

import (
	"fmt"

	"github.com/effml/effml/onnx"
)

// ifOp is If: the outputs of the graph then_branch where the condition holds, else of else_branch.
type ifOp struct{ then, otherwise Body }

func newIf(n *Node) (Op, error) {
	then, _, err := n.body("then_branch")
	if err != nil {
		return nil, err
	}
	otherwise, _, err := n.body("else_branch")
	if err != nil {
		return nil, err
	}
	for name, b := range map[string]Body{"then_branch": then, "else_branch": otherwise} {
		if b.NumIn() != 0 || b.NumOut() != len(n.Outputs) {
			return nil, fmt.Errorf("graph %q has %d inputs and %d outputs; the node has %d outputs", name, b.NumIn(), b.NumOut(), len(n.Outputs))
		}
	}
	return &ifOp{then, otherwise}, nil
}

// branch returns the body that runs under a condition.
func (o *ifOp) branch(cond bool) Body {
	if cond {
		return o.then
	}
	return o.otherwise
}

func (o *ifOp) Infer(in []Info) ([]Info, error) {
	if in[0].Type != onnx.Undefined && in[0].Type != onnx.Bool {
		return nil, fmt.Errorf("condition is of type %s, not bool", in[0].Type)
	}
	if in[0].Value != nil {
		cond, err := truth(in[0].Value)
		if err != nil {
			return nil, err
		}
		return o.branch(cond).Infer(nil)
	}
	then, err := o.then.Infer(nil)
	if err != nil {
		return nil, fmt.Errorf("then_branch: %w", err)
	}
	otherwise, err := o.otherwise.Infer(nil)
	if err != nil {
		return nil, fmt.Errorf("else_branch: %w", err)
	}
	out := make([]Info, len(then))
	for i := range out {
		if out[i], err = unite(then[i], otherwise[i]); err != nil {
			return nil, fmt.Errorf("output %d %w", i, err)
		}
	}
	return out, nil
}

func (o *ifOp) Run(c *Call) error {
	cond, err := truth(c.In[0])
	if err != nil {
		return err
	}
	out, err := o.branch(cond).Run(c, nil)
	if err != nil {
		return err
	}
	copy(c.Outs, out)
	return nil
}
