package ops

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// TestMalformed gives the operators nodes with any attributes and inputs: they must not panic nor allocate beyond the limit, and what
// they infer must be what they compute.
func TestMalformed(t *testing.T) {
	rounds := 400
	if testing.Short() {
		rounds = 60
	}
	cpu := kernel.NewCPU(kernel.Options{Threads: 1})
	defer cpu.Close()
	for _, group := range [][]spec{arrayOps, mathOps} {
		for _, s := range group {
			r := rand.New(rand.NewPCG(1, uint64(s.since)))
			ran := 0
			for i := range rounds {
				if ok, err := malformed(r, cpu, s); err != nil {
					t.Errorf("%s, opset %d, round %d: %v", s.name, s.since, i, err)
					break
				} else if ok {
					ran++
				}
			}
			if ran == 0 && !testing.Short() {
				t.Errorf("%s: no node ran", s.name)
			}
		}
	}
}

// malformed makes one node, infers and runs it, and reports whether it ran without an error.
func malformed(r *rand.Rand, cpu *kernel.CPU, s spec) (ran bool, err error) {
	n := randomNode(r, s)
	c := &Call{CPU: cpu, Limit: 1 << 16}
	defer func() {
		if p := recover(); p != nil {
			text := ""
			for _, a := range n.Attributes {
				text += fmt.Sprintf(" %s=%v %v %q", a.Name, a.I, a.Ints, a.S)
			}
			for _, in := range c.In {
				if in == nil {
					text += " none"
				} else if v, ok := Integers(in); ok {
					text += fmt.Sprintf(" %s%v", in, v)
				} else {
					text += " " + in.String()
				}
			}
			err = fmt.Errorf("panic: %v;%s", p, text)
		}
	}()
	op, err := New(n)
	if err != nil {
		return false, nil
	}
	main := []onnx.DataType{onnx.Float, onnx.Float, onnx.Int64, onnx.Bool, onnx.Float16, onnx.String, onnx.Uint8, onnx.Int4, onnx.Double}[r.IntN(9)]
	for i := range n.Inputs {
		if n.Inputs[i] == "" {
			c.In = append(c.In, nil)
			continue
		}
		dt := main
		if i > 0 && r.IntN(3-i%2) > 0 {
			dt = onnx.Int64
		}
		shape := randomShape(r)
		if i > 0 && c.In[i-1] != nil && r.IntN(2) == 0 {
			shape = c.In[i-1].Shape
		}
		c.In = append(c.In, randomTensor(r, dt, shape))
	}
	exact, shapes := make([]Info, len(c.In)), describeAll(c.In)
	for i, in := range c.In {
		if in != nil {
			exact[i] = Of(in)
		}
	}
	some := slices.Clone(shapes)
	for i := range some {
		if r.IntN(3) == 0 {
			some[i].Shape = nil
		} else if len(some[i].Shape) > 0 && r.IntN(2) == 0 {
			some[i].Shape[r.IntN(len(some[i].Shape))] = Dim{N: -1, Name: "N"}
		}
	}
	var guesses [][]Info
	for _, in := range [][]Info{exact, describeAll(c.In), some} {
		out, err := op.Infer(in)
		if err != nil {
			out = nil
		}
		guesses = append(guesses, out)
		if l, ok := op.(ChannelsLaster); ok {
			l.ChannelsLast(in)
		}
	}
	c.Outs, c.Wanted = make([]*tensor.Tensor, len(n.Outputs)), slices.Repeat([]bool{true}, len(n.Outputs))
	if err := op.Run(c); err != nil {
		return false, nil
	}
	for i, in := range guesses {
		if in != nil { // refused are types that compute all the same
			if err := (trial{want: c.Outs}).inferred(in); err != nil {
				return false, fmt.Errorf("inference %d of %v: %w", i, describeAll(c.In), err)
			}
		}
	}
	return true, nil
}

func randomNode(r *rand.Rand, s spec) *Node {
	n := &Node{Node: &onnx.Node{OpType: s.name}, Opset: s.since + r.Int64N(s.last()-s.since+1)}
	most := s.most
	if most < 0 {
		most = 3
	}
	for range s.least + r.IntN(most-s.least+1) {
		n.Inputs = append(n.Inputs, "x")
	}
	if k := len(n.Inputs); k > s.least && r.IntN(4) == 0 {
		n.Inputs[s.least+r.IntN(k-s.least)] = ""
	}
	outs := s.outputs
	if outs < 0 {
		outs = 3
	}
	for range 1 + r.IntN(outs) {
		n.Outputs = append(n.Outputs, "y")
	}
	number := func() int64 {
		return []int64{0, 0, 1, 1, -1, -2, 2, 3, 7, 100, math.MaxInt64, math.MinInt64}[r.IntN(12)]
	}
	for _, name := range []string{"axis", "keepdims", "k", "to", "dtype", "batch_dims", "allowzero", "exclusive", "num_outputs", "start", "end", "upper", "noop_with_empty_axes"} {
		if r.IntN(3) == 0 || name == "to" || name == "axis" && r.IntN(2) == 0 {
			n.Attributes = append(n.Attributes, &onnx.Attribute{Name: name, Type: onnx.AttributeInt, I: number()})
		}
	}
	for _, name := range []string{"axes", "perm", "pads", "starts", "ends", "split", "value_ints"} {
		if r.IntN(2) == 0 {
			a := &onnx.Attribute{Name: name, Type: onnx.AttributeInts}
			for range r.IntN(4) {
				a.Ints = append(a.Ints, number())
			}
			n.Attributes = append(n.Attributes, a)
		}
	}
	for name, values := range map[string][]string{"mode": {"constant", "edge", "reflect", "wrap", "linear", "circular"}, "reduction": {"add", "mul", "none"}, "direction": {"LEFT", "RIGHT"}} {
		n.Attributes = append(n.Attributes, &onnx.Attribute{Name: name, Type: onnx.AttributeString, S: []byte(values[r.IntN(len(values))])})
	}
	slices.SortFunc(n.Attributes, func(a, b *onnx.Attribute) int { return int(a.Type) - int(b.Type) })
	return n
}

// randomShape makes a small shape, of rank 1 more often than others.
func randomShape(r *rand.Rand) []int {
	shape := make([]int, []int{0, 1, 1, 2, 3, 4}[r.IntN(6)])
	for i := range shape {
		shape[i] = []int{0, 1, 1, 2, 2, 3, 4}[r.IntN(7)]
	}
	return shape
}

// randomTensor makes a tensor with zeros and large numbers among its elements.
func randomTensor(r *rand.Rand, dt onnx.DataType, shape []int) *tensor.Tensor {
	t, err := tensor.New(dt, shape...)
	if err != nil {
		panic(err)
	}
	switch dt {
	case onnx.String:
		for i := range t.Strings() {
			t.Strings()[i] = []string{"", "1", "-2.5", "x", "nan"}[r.IntN(5)]
		}
	case onnx.Int64:
		for i := range t.Len() {
			tensor.Of[int64](t)[i] = []int64{0, 1, 1, 2, 2, 3, -1, -2, 1 << 40, math.MaxInt64, math.MinInt64}[r.IntN(11)]
		}
	case onnx.Bool:
		for i := range t.Len() {
			tensor.Of[bool](t)[i] = r.IntN(2) == 0
		}
	case onnx.Uint8, onnx.Int4:
		for i := range t.Bytes() {
			t.Bytes()[i] = byte(r.IntN(8))
		}
	default:
		v := make([]float32, t.Len())
		for i := range v {
			v[i] = []float32{0, 1, 2, -1.5, float32(math.NaN()), float32(math.Inf(1))}[r.IntN(6)]
		}
		t.SetFloats(0, v, false)
	}
	return t
}
