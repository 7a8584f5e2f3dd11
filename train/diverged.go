package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/effml/effml/infer"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// DivergedError says that the loss of a step was no finite number. The step was not done, and the last checkpoint is from before.
type DivergedError struct {
	Step  int    // from 1
	Phase string // its name
	Loss  float64
	Err   error // where the first value that is not finite is
}

func (e *DivergedError) Error() string {
	phase := ""
	if e.Phase != "" {
		phase = fmt.Sprintf(" of phase %q", e.Phase)
	}
	return fmt.Sprintf("train: step %d: the loss%s is %v: %v; a lower learning rate, a warm-up or clip-norm may help", e.Step, phase, e.Loss, e.Err)
}

// Unwrap returns where.
func (e *DivergedError) Unwrap() error { return e.Err }

func (t *trainer) diverged(ph *phase, loss float64, err error) error {
	var gradient *NonFiniteError
	if err == nil {
		err = errors.New("no value before it is")
	}
	if errors.As(err, &gradient) {
		err = fmt.Errorf("the gradient of %q is not finite", gradient.Parameter)
	}
	return &DivergedError{Step: t.step + 1, Phase: ph.Name, Loss: loss, Err: err}
}

// badElement returns the place of the first element that is not finite, −1 where there is none.
func badElement(t *tensor.Tensor) int {
	if t == nil || t.Type != onnx.Float {
		return -1
	}
	return slices.IndexFunc(tensor.Of[float32](t), func(v float32) bool { return math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) })
}

// badValue is a value with an element that is not finite.
func badValue(what string, t *tensor.Tensor) error {
	i := badElement(t)
	if i < 0 {
		return nil
	}
	return fmt.Errorf("%s has %v at element %d", what, tensor.Of[float32](t)[i], i)
}

// firstBad finds the first value that is not finite after the loss was not: in the batch, in a tensor, or among what nodes computed.
func (x *pass) firstBad(ctx context.Context, s *store) error {
	n := x.step.network
	for _, name := range sorted(n.fields) {
		if err := badValue(fmt.Sprintf("field %q of the batch", name), x.batch[name]); err != nil {
			return &job.DataError{Err: err}
		}
	}
	if err := s.firstBad(); err != nil {
		return err
	}
	defer x.step.rest()
	for _, p := range x.step.places {
		if _, err := p.forward(nil); err != nil { // what it computed is gone
			return err
		}
		if badElement(p.out) < 0 && !slices.ContainsFunc(p.seat.seen, func(t *tensor.Tensor) bool { return badElement(t) >= 0 }) {
			continue
		}
		if err := p.firstBad(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// firstBad finds a tensor that training has spoilt.
func (s *store) firstBad() error {
	for _, v := range s.values() {
		name := v.Name[len("value/"):]
		if err := badValue(fmt.Sprintf("tensor %q", name), s.tensors[name]); err != nil {
			return err
		}
	}
	return nil
}

// firstBad runs the nodes of a place again, and finds the first with a value that is not finite.
func (p *place) firstBad(ctx context.Context, n *network) error {
	g := &onnx.Graph{Name: "segment", Nodes: p.piece.nodes}
	var in []*tensor.Tensor
	add := func(name string, t *tensor.Tensor) {
		info := n.known[name]
		if v := n.inside(name); v != nil {
			g.Initializers = append(g.Initializers, v.ToONNX(name))
			return
		}
		g.Inputs = append(g.Inputs, declare(name, info))
		in = append(in, t)
	}
	for i, name := range p.piece.inputs {
		add(name, p.from[i].out)
	}
	for _, name := range p.piece.fields {
		add(name, p.rest[slices.Index(p.piece.fields, name)])
	}
	for _, name := range p.piece.parameters {
		add(name, n.parameters[name].value)
	}
	for _, name := range p.piece.constants {
		add(name, n.constants[name])
	}
	var by []*onnx.Node
	for _, x := range p.piece.nodes {
		for _, name := range x.Outputs {
			if n.known[name].Type == onnx.Float {
				g.Outputs = append(g.Outputs, &onnx.ValueInfo{Name: name, Type: &onnx.TypeProto{Tensor: &onnx.TensorType{ElemType: onnx.Float}}})
				by = append(by, x)
			}
		}
	}
	m := &onnx.Model{IRVersion: 10, OpsetImports: []*onnx.OperatorSet{{Version: n.opset}, {Domain: ops.Domain, Version: 1}}, Graph: g}
	s, err := infer.New(m, infer.Options{CPU: p.cpu, MaxBytes: maxSegment, Halves: &infer.Halves{}}) // which take any layout
	if err != nil {
		return err
	}
	defer s.Close()
	out, err := s.NewRunner().Run(ctx, in)
	if err != nil {
		return err
	}
	for i, t := range out {
		if err := badValue(fmt.Sprintf("node %q (%s): its output %q", by[i].Name, by[i].OpType, g.Outputs[i].Name), t); err != nil {
			return err
		}
	}
	return nil
}

// explain makes an error about operators without gradients name all of them that are in the way.
func (n *network) explain(err error) error {
	var some *ops.UndifferentiableError
	if !errors.As(err, &some) {
		return err
	}
	d := ops.Differentiation{Nodes: n.nodes, Opset: n.opset, Known: n.known, Seeds: map[string]string{n.loss: ""}, Wrt: sorted(n.parameters)}
	if _, all := ops.Differentiate(d); all != nil {
		err = all
	}
	return &job.ModelError{Err: fmt.Errorf("train: %w", err)}
}

// integerWeights finds weights of layers that are kept as integers, which nothing can train.
func (s *store) integerWeights() error {
	var errs []error
	for _, m := range s.models {
		if m.Frozen {
			continue
		}
		for _, n := range m.Model.Model.Graph.Nodes {
			if n.OpType != "DequantizeLinear" || len(n.Inputs) == 0 {
				continue
			}
			if t := s.tensors[full(m.Name, n.Inputs[0])]; t != nil && t.Len() > 1 {
				errs = append(errs, fmt.Errorf("train: node %q: the weight %q is %s and cannot be trained; put the numbers that it stands for in its place", n.Name, full(m.Name, n.Inputs[0]), tensor.TypeName(t.Type)))
			}
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return &job.ModelError{Err: errors.Join(errs...)}
}
