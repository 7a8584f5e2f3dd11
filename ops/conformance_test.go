package ops

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/effml/effml/internal/conformance"
	"github.com/effml/effml/internal/isa"
	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// TestConformance runs the cases of the folder EFFML_CONFORMANCE that are one node of ONNX's own domain, in every way that an
// executor may: inferring from constants and from shapes only, with and without packing, Plain and channels-last.
func TestConformance(t *testing.T) {
	dir, names := conformance.Folder(t)
	set, err := isa.FromEnv()
	if err != nil {
		t.Fatal(err)
	}
	cpu := kernel.NewCPU(kernel.Options{Threads: 2, ISA: set})
	defer cpu.Close()
	type tally struct{ passed, failed, skipped int }
	counts := map[string]*tally{}
	for _, name := range names {
		c, err := conformance.Read(dir, name)
		var unsupported *conformance.UnsupportedError
		if err != nil && !errors.As(err, &unsupported) {
			t.Error(err)
			continue
		}
		if len(c.Model.Graph.Nodes) != 1 {
			continue
		}
		op := c.Model.Graph.Nodes[0].OpType
		if counts[op] == nil {
			counts[op] = &tally{}
		}
		t.Run(name, func(t *testing.T) {
			defer func() {
				switch {
				case t.Failed():
					counts[op].failed++
				case t.Skipped():
					counts[op].skipped++
				default:
					counts[op].passed++
				}
			}()
			if unsupported != nil {
				t.Skip(unsupported)
			}
			testCase(t, cpu, c)
		})
	}
	total := tally{}
	for _, op := range slices.Sorted(maps.Keys(counts)) {
		n := counts[op]
		if n.passed+n.failed > 0 {
			t.Logf("%-26s %4d passed %4d failed %4d skipped", op, n.passed, n.failed, n.skipped)
		}
		total.passed, total.failed, total.skipped = total.passed+n.passed, total.failed+n.failed, total.skipped+n.skipped
	}
	t.Logf("%-26s %4d passed %4d failed %4d skipped", "all", total.passed, total.failed, total.skipped)
}

// testCase runs all sets of a case of one node.
func testCase(t *testing.T, cpu *kernel.CPU, c *conformance.Case) {
	n := c.Model.Graph.Nodes[0]
	if n.OpType == "Bernoulli" {
		t.Skip("the result is left to chance")
	}
	node, err := newBodyNode(n, opsetOf(c.Model, n.Domain))
	op := node.op
	var unsupported *UnsupportedError
	if errors.As(err, &unsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range c.Sets {
		values := map[string]*tensor.Tensor{}
		for _, o := range c.Model.Graph.Initializers {
			if values[o.Name], err = tensor.FromONNX(o); err != nil {
				t.Fatal(err)
			}
		}
		for k, v := range s.Inputs {
			values[c.Model.Graph.Inputs[k].Name] = v
		}
		trial := trial{cpu: cpu, op: op}
		for _, name := range n.Inputs {
			trial.in = append(trial.in, values[name])
		}
		for _, name := range n.Outputs {
			var want *tensor.Tensor
			for k, v := range s.Outputs {
				if name != "" && c.Model.Graph.Outputs[k].Name == name {
					want = v
				}
			}
			trial.want = append(trial.want, want)
		}
		if err := trial.run(); err != nil {
			t.Errorf("set %d: %v", i, err)
		}
	}
}

// trial is an operator with inputs, nil where they are left out, and the outputs that belong to them, nil where they are not asked for.
type trial struct {
	cpu      *kernel.CPU
	op       Op
	in, want []*tensor.Tensor
}

// run executes the operator in all ways.
func (r trial) run() error {
	constants, shapes := make([]Info, len(r.in)), make([]Info, len(r.in))
	for i, t := range r.in {
		if t != nil {
			constants[i], shapes[i] = Of(t), describe(t)
		}
	}
	for _, way := range []struct {
		name string
		in   []Info
	}{{"of constants", constants}, {"of shapes", shapes}} {
		out, err := r.op.Infer(slices.Clone(way.in))
		if err != nil {
			return fmt.Errorf("infer %s: %w", way.name, err)
		}
		if err := r.inferred(out); err != nil {
			return fmt.Errorf("infer %s: %w", way.name, err)
		}
	}
	if err := r.compute(r.op, nil, nil); err != nil {
		return err
	}
	if l, ok := r.op.(ChannelsLaster); ok {
		last, _ := l.ChannelsLast(constants)
		if slices.ContainsFunc(r.in, func(t *tensor.Tensor) bool { return canBeLast(t) }) && slices.Contains(last, true) {
			if err := r.compute(r.op, last, nil); err != nil {
				return fmt.Errorf("channels-last: %w", err)
			}
		}
	}
	if p, ok := r.op.(Packer); ok {
		return r.packed(p, constants)
	}
	return nil
}

// packed runs what the operator becomes when all inputs but the first are constant.
func (r trial) packed(p Packer, info []Info) error {
	info = slices.Clone(info)
	info[0].Value, info[0].Ints = nil, nil
	op, dropped, err := p.Pack(r.cpu, info)
	if err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	if op == nil {
		return nil
	}
	if err := r.compute(op, nil, dropped); err != nil {
		return fmt.Errorf("packed: %w", err)
	}
	if l, ok := op.(ChannelsLaster); ok {
		if last, _ := l.ChannelsLast(info); slices.Contains(last, true) {
			if err := r.compute(op, last, dropped); err != nil {
				return fmt.Errorf("packed, channels-last: %w", err)
			}
		}
	}
	return nil
}

// inferred compares what was inferred with the outputs.
func (r trial) inferred(out []Info) error {
	for i, want := range r.want {
		if want == nil {
			continue
		}
		if i >= len(out) {
			return fmt.Errorf("nothing of output %d", i)
		}
		o := out[i]
		if o.Type != want.Type && o.Type != onnx.Undefined {
			return fmt.Errorf("output %d is %s, not %s", i, o.Type, want.Type)
		}
		if o.Shape != nil && len(o.Shape) != len(want.Shape) {
			return fmt.Errorf("output %d has shape %s, not %v", i, o.Shape, want.Shape)
		}
		for k, d := range o.Shape {
			if d.IsKnown() && d.N != want.Shape[k] {
				return fmt.Errorf("output %d has shape %s, not %v", i, o.Shape, want.Shape)
			}
		}
		if o.Value != nil {
			if err := conformance.Compare(o.Value, want); err != nil {
				return fmt.Errorf("value of output %d: %w", i, err)
			}
		}
		if o.Ints != nil {
			v, ok := Integers(want)
			if !ok || len(v) != len(o.Ints) {
				return fmt.Errorf("elements %v of output %d, which is %s", o.Ints, i, want)
			}
			for k, d := range o.Ints {
				if d.IsKnown() && d.N != v[k] {
					return fmt.Errorf("elements %v of output %d, not %v", o.Ints, i, v)
				}
			}
		}
	}
	return nil
}

// compute runs the operator once, with inputs as channelsLast says, without those that are dropped, and compares.
func (r trial) compute(op Op, channelsLast []bool, dropped []int) error {
	c := &Call{CPU: r.cpu, Limit: 1 << 30}
	last := false
	for i, t := range r.in {
		switch {
		case slices.Contains(dropped, i):
			t = nil
		case i < len(channelsLast) && channelsLast[i] && canBeLast(t):
			t, last = relayout(t, tensor.ChannelsLast), true
		case t != nil:
			t = t.Clone() // so that a change of it shows
		}
		c.In = append(c.In, t)
	}
	info := describeAll(c.In)
	if s, ok := op.(Scratcher); ok {
		c.Scratch = make([]float32, s.Scratch(r.cpu, info))
	}
	for _, want := range r.want {
		c.Outs, c.Wanted = append(c.Outs, nil), append(c.Wanted, want != nil)
	}
	before := make([]*tensor.Tensor, len(c.In))
	for i, t := range c.In {
		if t != nil {
			before[i] = t.Clone()
		}
	}
	if err := op.Run(c); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	for i, t := range before {
		if t != nil && !(bytes.Equal(t.Bytes(), c.In[i].Bytes()) && slices.Equal(t.Strings(), c.In[i].Strings())) {
			return fmt.Errorf("run changes input %d", i)
		}
	}
	for i, want := range r.want {
		if want == nil {
			continue
		}
		got := c.Outs[i]
		if got != nil && last && (len(got.Shape) == 4) != (got.Layout == tensor.ChannelsLast) {
			return fmt.Errorf("output %d, %s, is %s", i, got, got.Layout)
		}
		if got != nil {
			got = relayout(got, tensor.Plain)
		}
		if err := conformance.Compare(got, want); err != nil {
			return fmt.Errorf("output %d: %w", i, err)
		}
	}
	return nil
}

// canBeLast reports whether an executor would give the value in the layout channels-last.
func canBeLast(t *tensor.Tensor) bool { return t != nil && len(t.Shape) == 4 && t.Type == onnx.Float }

// relayout returns a copy of t in another layout.
func relayout(t *tensor.Tensor, to tensor.Layout) *tensor.Tensor {
	if t.Layout == to {
		return t
	}
	out := t.Clone()
	out.Layout = to
	n, c, hw, w := t.Shape[0], t.Shape[1], t.Shape[2]*t.Shape[3], tensor.Width(t.Type)
	for i := range n {
		for j := range c {
			for k := range hw {
				plain, last := ((i*c+j)*hw+k)*w, ((i*hw+k)*c+j)*w
				if to == tensor.Plain {
					copy(out.Bytes()[plain:plain+w], t.Bytes()[last:])
				} else {
					copy(out.Bytes()[last:last+w], t.Bytes()[plain:])
				}
			}
		}
	}
	return out
}
