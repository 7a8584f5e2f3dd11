package infer

import (
	"math"
	"slices"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// factors is a product of values and a number.
type factors struct {
	values []*value
	number float64
	nodes  []*node // that compute it, but for the last
}

// close is a tolerance for numbers that exporters write with few digits.
func isClose(a, b float64) bool { return math.Abs(a-b) <= 2e-6*math.Abs(b) }

// factorise takes a tree of Mul and Div apart.
func (o *optimiser) factorise(n *node, f *factors, inverse bool) {
	for i, v := range n.in {
		inv := inverse != (n.is("Div") && i == 1)
		if c, ok := number(v); ok && v.info.Type == onnx.Float {
			if inv {
				c = 1 / c
			}
			f.number *= c
			continue
		}
		if p := o.take(v, "Mul", "Div"); p != nil && !inv {
			f.nodes = append(f.nodes, p)
			o.factorise(p, f, inv)
			continue
		}
		if inv {
			f.number = math.NaN()
		}
		f.values = append(f.values, v)
	}
}

// product recognises functions of one variable that are written as products: x·sigmoid(x), x·clip(x+3, 0, 6)/6, and so on.
func (o *optimiser) product(n *node) {
	if !n.is("Mul", "Div") || len(n.in) != 2 || n.out[0] == nil || n.out[0].info.Type != onnx.Float {
		return
	}
	f := factors{number: 1}
	o.factorise(n, &f, false)
	if len(f.values) == 0 || len(f.values) > 2 {
		return
	}
	// Each factor may be the function, and the other one its variable.
	for i, v := range f.values {
		var x *value
		if len(f.values) == 2 {
			x = f.values[1-i]
		}
		kind, attrs, arg, over := o.gate(v, x, f.number)
		if kind == "" {
			continue
		}
		op, proto := o.make(kind, 1, attrs...)
		if op == nil {
			return
		}
		o.become(n, op, proto, []*value{arg}, append(over, f.nodes...)...)
		return
	}
}

// gate returns the function that number·gate·x is, where x may be nil for number·gate.
func (o *optimiser) gate(gate, x *value, number float64) (kind string, attrs []*onnx.Attribute, arg *value, over []*node) {
	g := gate.from
	if g == nil || o.dead[g] {
		return
	}
	hard := []*onnx.Attribute{{Name: "alpha", Type: onnx.AttributeFloat, F: 1. / 6}, {Name: "beta", Type: onnx.AttributeFloat, F: 0.5}}
	a, ok := activation(g)
	switch {
	case !ok:
		return o.gelu(gate, x, number)
	case x != nil && g.in[0] == x && isClose(number, 1) && a.Kind == kernel.Sigmoid:
		return "Swish", nil, x, []*node{g}
	case x != nil && g.in[0] == x && isClose(number, 1) && a.Kind == kernel.HardSigmoid && isClose(float64(a.A), 1./6) && a.B == 0.5:
		return "HardSwish", nil, x, []*node{g}
	case a.Kind == kernel.ClipTo && a.A == 0 && a.B == 6 && isClose(number, 1./6):
		add := o.made(g.in[0], "Add")
		y, three := o.plus(add)
		switch {
		case y == nil || three != 3:
		case x == nil:
			return "HardSigmoid", hard, y, []*node{g, add}
		case x == y:
			return "HardSwish", nil, x, []*node{g, add}
		}
	}
	return "", nil, nil, nil
}

// plus returns the operands of an addition of a number.
func (o *optimiser) plus(add *node) (*value, float64) {
	if add == nil || len(add.in) != 2 {
		return nil, 0
	}
	for i, v := range add.in {
		if c, ok := number(v); ok {
			return add.in[1-i], c
		}
	}
	return nil, 0
}

// gelu recognises ½·x·(1 + erf(x/√2)).
func (o *optimiser) gelu(gate, x *value, number float64) (kind string, attrs []*onnx.Attribute, arg *value, over []*node) {
	add := o.take(gate, "Add")
	v, one := o.plus(add)
	erf := o.take(v, "Erf")
	if x == nil || erf == nil || one != 1 || !isClose(number, 0.5) {
		return
	}
	scaled := o.take(erf.in[0], "Mul", "Div")
	if scaled == nil {
		return
	}
	f := factors{number: 1}
	o.factorise(scaled, &f, false)
	if len(f.values) != 1 || f.values[0] != x || !isClose(f.number, math.Sqrt2/2) {
		return
	}
	return "Gelu", nil, x, append([]*node{add, erf, scaled}, f.nodes...)
}

// layerNorm recognises (x − mean)/√(variance + ε)·scale + bias over the last dimension.
func (o *optimiser) layerNorm(n *node) {
	if !n.is("Add") || len(n.in) != 2 || n.out[0] == nil || n.out[0].info.Type != onnx.Float {
		return
	}
	for i := range n.in {
		mul, bias := o.take(n.in[i], "Mul"), n.in[1-i]
		if mul == nil || !isVector(bias) {
			continue
		}
		for k := range mul.in {
			div, scale := o.take(mul.in[k], "Div"), mul.in[1-k]
			if div == nil || !isVector(scale) || scale.info.Value.Len() != bias.info.Value.Len() {
				continue
			}
			x, epsilon, over := o.standardised(div)
			if x == nil || len(x.info.Shape) < 1 || x.info.Shape[len(x.info.Shape)-1].N != scale.info.Value.Len() {
				continue
			}
			op, proto := o.make("LayerNormalization", 3,
				&onnx.Attribute{Name: "axis", Type: onnx.AttributeInt, I: -1}, &onnx.Attribute{Name: "epsilon", Type: onnx.AttributeFloat, F: float32(epsilon)})
			if op != nil {
				o.become(n, op, proto, []*value{x, scale, bias}, append(over, mul, div)...)
			}
			return
		}
	}
}

func isVector(v *value) bool {
	return v.constant() && v.info.Type == onnx.Float && len(v.info.Value.Shape) == 1
}

// standardised returns x and ε of (x − mean)/√(mean of (x − mean)² + ε), the means over the last dimension.
func (o *optimiser) standardised(div *node) (x *value, epsilon float64, over []*node) {
	centred := o.made(div.in[0], "Sub")
	root := o.take(div.in[1], "Sqrt")
	if centred == nil || root == nil {
		return nil, 0, nil
	}
	add := o.take(root.in[0], "Add")
	variance, epsilon := o.plus(add)
	mean2 := o.take(variance, "ReduceMean")
	if mean2 == nil || !overLast(mean2) {
		return nil, 0, nil
	}
	square := o.take(mean2.in[0], "Pow", "Mul")
	if square == nil || len(square.in) != 2 || o.difference(square.in[0]) == nil {
		return nil, 0, nil
	}
	if c, ok := number(square.in[1]); square.is("Pow") && (!ok || c != 2) || square.is("Mul") && square.in[1] != square.in[0] {
		return nil, 0, nil
	}
	x = o.difference(div.in[0])
	if x == nil || o.difference(square.in[0]) != x {
		return nil, 0, nil
	}
	return x, epsilon, []*node{centred, root, add, mean2, square}
}

// difference returns x of x − mean(x).
func (o *optimiser) difference(v *value) *value {
	sub := o.made(v, "Sub")
	if sub == nil {
		return nil
	}
	mean := o.made(sub.in[1], "ReduceMean")
	if mean == nil || mean.in[0] != sub.in[0] || !overLast(mean) {
		return nil
	}
	return sub.in[0]
}

// overLast reports whether a reduction is over the last dimension, which it keeps.
func overLast(n *node) bool {
	axes := reducedAxes(n)
	return len(axes) == 1 && (axes[0] == -1 || axes[0] == len(n.in[0].info.Shape)-1) && (&ops.Node{Node: n.Node}).Bool("keepdims", true)
}

func reducedAxes(n *node) []int {
	if len(n.in) > 1 && n.in[1] != nil {
		if n.in[1].constant() {
			axes, _ := ops.Integers(n.in[1].info.Value)
			return axes
		}
		return nil
	}
	return (&ops.Node{Node: n.Node}).Ints("axes")
}

// globalMean makes a mean over the two last of four dimensions what pooling calls it, which any layout suits.
func (o *optimiser) globalMean(n *node) {
	if !n.is("ReduceMean") || n.in[0].info.Type != onnx.Float || len(n.in[0].info.Shape) != 4 || n.out[0] == nil {
		return
	}
	axes := slices.Clone(reducedAxes(n))
	for i, a := range axes {
		if a < 0 {
			axes[i] = a + 4
		}
	}
	slices.Sort(axes)
	if !slices.Equal(axes, []int{2, 3}) {
		return
	}
	op, proto := o.make("GlobalAveragePool", 1)
	if op == nil {
		return
	}
	x := n.in[0]
	if (&ops.Node{Node: n.Node}).Bool("keepdims", true) {
		o.become(n, op, proto, []*value{x})
		return
	}
	flat, flatProto := o.make("Flatten", 1)
	if flat == nil {
		return
	}
	mean := o.g.add(n.out[0].name+" mean", ops.Info{Type: onnx.Float, Shape: ops.Shape{x.info.Shape[0], x.info.Shape[1], ops.Known(1), ops.Known(1)}})
	pool := &node{Node: proto, name: n.name, kind: proto.OpType, opset: newOpset, op: op, in: []*value{x}, out: []*value{mean}}
	mean.from = pool
	o.uses = append(o.uses, 0)
	o.uses[x.id]++
	o.g.nodes = slices.Insert(o.g.nodes, slices.Index(o.g.nodes, n), pool)
	o.become(n, flat, flatProto, []*value{mean})
}

// shuffle recognises that groups of channels are interleaved: Reshape to [N, groups, C/groups, H, W], Transpose of the two, Reshape back.
func (o *optimiser) shuffle(n *node) {
	if !n.is("Reshape") || n.out[0] == nil || n.in[0].info.Type != onnx.Float {
		return
	}
	turn := o.take(n.in[0], "Transpose")
	if turn == nil || !slices.Equal((&ops.Node{Node: turn.Node}).Ints("perm"), []int{0, 2, 1, 3, 4}) {
		return
	}
	open := o.take(turn.in[0], "Reshape")
	if open == nil {
		return
	}
	x := open.in[0]
	before, mid, after := x.info.Shape, open.out[0].info.Shape, n.out[0].info.Shape
	if len(before) != 4 || len(mid) != 5 || len(after) != 4 {
		return
	}
	// All but the batch are numbers; it is then the same, because the number of elements is.
	for i := 1; i < 4; i++ {
		if !before[i].IsKnown() || before[i] != after[i] || before[i].N == 0 {
			return
		}
	}
	if mid[3] != before[2] || mid[4] != before[3] || !mid[1].IsKnown() || !mid[2].IsKnown() || mid[1].N*mid[2].N != before[1].N {
		return
	}
	o.become(n, channelShuffle{mid[1].N}, &onnx.Node{OpType: "ChannelShuffle", Inputs: []string{"x"}, Outputs: []string{"y"}}, []*value{x}, open, turn)
}

// channelShuffle interleaves groups of channels: channel i of a group of n becomes channel i·groups + group.
type channelShuffle struct{ groups int }

// Infer implements ops.Op.
func (channelShuffle) Infer(in []ops.Info) ([]ops.Info, error) {
	return []ops.Info{{Type: in[0].Type, Shape: in[0].Shape}}, nil
}

// ChannelsLast implements ops.ChannelsLaster.
func (channelShuffle) ChannelsLast([]ops.Info) ([]bool, bool) { return []bool{true}, false }

// Run implements ops.Op.
func (o channelShuffle) Run(c *ops.Call) error {
	x := c.In[0]
	y, err := c.Out(0, x.Type, x.Shape, x.Layout)
	if err != nil {
		return err
	}
	n, ch, hw := x.Shape[0], x.Shape[1], x.Shape[2]*x.Shape[3]
	dst, src := tensor.Of[float32](y), tensor.Of[float32](x)
	if x.Layout == tensor.ChannelsLast {
		kernel.ChannelsLast(c.CPU, dst, src, n*hw, o.groups, ch/o.groups)
		return nil
	}
	shape, perm := [4]int{n, o.groups, ch / o.groups, hw}, [4]int{0, 2, 1, 3}
	kernel.Transpose(c.CPU, dst, src, shape[:], perm[:])
	return nil
}
