package infer

import (
	"math"
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// scaling is y = x·scale + shift for each channel.
type scaling struct {
	x            *value
	scale, shift []float64 // an element for all, or one for each channel; nil for 1 and 0
}

// affine folds what scales and shifts the channels of a convolution or product into its weights and bias.
func (o *optimiser) affine(n *node) {
	if n.out[0] == nil || n.out[0].info.Type != onnx.Float {
		return
	}
	s, ok := o.scaling(n)
	if !ok {
		return
	}
	p := o.take(s.x, "Conv", "ConvTranspose", "Gemm")
	if p == nil || len(p.in) < 2 || !p.in[1].constant() || p.in[1].info.Type != onnx.Float {
		return
	}
	w := p.in[1].info.Value
	ch := channelsOf(p, w)
	if ch.count == 0 || s.scale != nil && len(s.scale) != 1 && len(s.scale) != ch.count || s.shift != nil && len(s.shift) != 1 && len(s.shift) != ch.count {
		return
	}
	bias := make([]float32, ch.count)
	if len(p.in) > 2 && p.in[2] != nil {
		b := p.in[2]
		if !b.constant() || b.info.Type != onnx.Float || b.info.Value.Len() != ch.count {
			return
		}
		copy(bias, tensor.Of[float32](b.info.Value))
	}
	proto := &onnx.Node{OpType: p.OpType, Name: p.Node.Name, Inputs: []string{"x", "w", "b"}, Outputs: []string{"y"}, Attributes: p.Attributes}
	op, err := ops.New(&ops.Node{Node: proto, Opset: p.opset})
	if err != nil {
		return
	}
	weights := p.in[1]
	if s.scale != nil {
		t, err := tensor.New(onnx.Float, w.Shape...)
		if err != nil {
			return
		}
		dst := tensor.Of[float32](t)
		for i, v := range tensor.Of[float32](w) {
			dst[i] = float32(float64(v) * element(s.scale, ch.of(i), 1))
		}
		weights = o.constant(weights.name, t)
	}
	for i, v := range bias {
		bias[i] = float32(float64(v)*element(s.scale, i, 1) + element(s.shift, i, 0))
	}
	b := o.constant(p.name+" bias", tensor.From(bias, len(bias)))
	opset, name := p.opset, p.name
	o.become(n, op, proto, []*value{p.in[0], weights, b}, p)
	n.opset, n.name = opset, name
}

func element(list []float64, i int, none float64) float64 {
	switch len(list) {
	case 0:
		return none
	case 1:
		return list[0]
	}
	return list[i]
}

// channels says which output channel an element of the weights belongs to: (i / inner) mod n, plus n for each group before it.
type channels struct{ count, inner, n, group int }

func (c channels) of(i int) int { return i/c.inner%c.n + i/c.group*c.n }

// channelsOf returns the output channels of the weights of a Conv, ConvTranspose or Gemm; none if the node does more than
// multiply with them and add a bias.
func channelsOf(p *node, w *tensor.Tensor) channels {
	if w.Len() == 0 || len(w.Shape) < 2 {
		return channels{}
	}
	attrs := &ops.Node{Node: p.Node}
	inner := w.Len() / w.Shape[0]
	switch p.kind {
	case "Conv":
		return channels{w.Shape[0], inner, w.Shape[0], w.Len()}
	case "ConvTranspose": // [in, out / groups, …]
		groups := attrs.Int("group", 1)
		if groups < 1 || w.Shape[0]%groups != 0 {
			return channels{}
		}
		return channels{w.Shape[1] * groups, inner / w.Shape[1], w.Shape[1], w.Len() / groups}
	}
	if attrs.Float("alpha", 1) != 1 || attrs.Float("beta", 1) != 1 || len(w.Shape) != 2 {
		return channels{}
	}
	if attrs.Bool("transB", false) {
		return channels{w.Shape[0], inner, w.Shape[0], w.Len()}
	}
	return channels{w.Shape[1], 1, w.Shape[1], w.Len()}
}

// scaling returns what a node does to each channel of its input, if that is all it does.
func (o *optimiser) scaling(n *node) (s scaling, ok bool) {
	if n.is("BatchNormalization") {
		return o.normalisation(n)
	}
	if !n.is("Mul", "Add", "Sub", "Div") || len(n.in) != 2 {
		return s, false
	}
	x, c := n.in[0], n.in[1]
	if x.constant() && n.is("Mul", "Add") {
		x, c = c, x
	}
	if x.constant() || !c.constant() || c.info.Type != onnx.Float {
		return s, false
	}
	list := perChannel(c.info.Value, x.info.Shape)
	if list == nil {
		return s, false
	}
	s.x = x
	switch n.kind {
	case "Mul":
		s.scale = list
	case "Add":
		s.shift = list
	case "Sub":
		for i := range list {
			list[i] = -list[i]
		}
		s.shift = list
	case "Div":
		for i := range list {
			list[i] = 1 / list[i]
		}
		s.scale = list
	}
	return s, true
}

// perChannel returns the elements of a constant that broadcasts along no dimension but the second of a shape.
func perChannel(c *tensor.Tensor, shape ops.Shape) []float64 {
	if len(shape) < 2 || len(c.Shape) > len(shape) || c.Len() == 0 {
		return nil
	}
	for i, d := range c.Shape {
		if at := i + len(shape) - len(c.Shape); d != 1 && at != 1 {
			return nil
		}
	}
	return wide(c)
}

func wide(c *tensor.Tensor) []float64 {
	list := make([]float64, c.Len())
	for i, v := range tensor.Of[float32](c) {
		list[i] = float64(v)
	}
	return list
}

// normalisation is scaling for a BatchNormalization that does not train.
func (o *optimiser) normalisation(n *node) (s scaling, ok bool) {
	attrs := &ops.Node{Node: n.Node}
	if len(n.in) != 5 || attrs.Bool("training_mode", false) || slices.ContainsFunc(n.out[1:], func(v *value) bool { return v != nil }) {
		return s, false
	}
	var list [4][]float64
	for i, v := range n.in[1:] {
		if !v.constant() || v.info.Type != onnx.Float || v.info.Value.Len() != n.in[1].info.Value.Len() {
			return s, false
		}
		list[i] = wide(v.info.Value)
	}
	s = scaling{x: n.in[0], scale: list[0], shift: list[1]}
	for i := range s.scale {
		s.scale[i] /= math.Sqrt(list[3][i] + float64(attrs.Float("epsilon", 1e-5)))
		s.shift[i] -= list[2][i] * s.scale[i]
	}
	return s, true
}

// pad folds zeros around an image into the convolution or the average that reads it.
func (o *optimiser) pad(n *node) {
	if !n.is("Conv", "AveragePool") {
		return
	}
	attrs := &ops.Node{Node: n.Node}
	p := o.take(n.in[0], "Pad")
	if p == nil || attrs.Text("auto_pad", "NOTSET") != "NOTSET" || p.in[0].info.Type != onnx.Float || p.in[0].info.Shape == nil {
		return
	}
	rank := len(p.in[0].info.Shape)
	add := zeros(p, rank)
	if add == nil || rank < 3 {
		return
	}
	pads := attrs.Ints("pads")
	if pads == nil {
		pads = make([]int, 2*(rank-2))
	}
	if len(pads) != 2*(rank-2) {
		return
	}
	if n.is("AveragePool") && (attrs.Bool("ceil_mode", false) || !attrs.Bool("count_include_pad", false) && slices.ContainsFunc(pads, func(p int) bool { return p != 0 })) {
		return
	}
	sum := &onnx.Attribute{Name: "pads", Type: onnx.AttributeInts}
	for i, d := range pads {
		sum.Ints = append(sum.Ints, int64(d+add[i]))
	}
	proto := &onnx.Node{OpType: n.OpType, Name: n.Node.Name, Inputs: n.Node.Inputs, Outputs: n.Node.Outputs, Attributes: []*onnx.Attribute{sum}}
	if n.is("AveragePool") {
		proto.Attributes = append(proto.Attributes, &onnx.Attribute{Name: "count_include_pad", Type: onnx.AttributeInt, I: 1})
	}
	for _, a := range n.Attributes {
		if !slices.ContainsFunc(proto.Attributes, func(b *onnx.Attribute) bool { return a.Name == b.Name }) && a.Name != "auto_pad" {
			proto.Attributes = append(proto.Attributes, a)
		}
	}
	op, err := ops.New(&ops.Node{Node: proto, Opset: n.opset})
	if err != nil {
		return
	}
	in := slices.Clone(n.in)
	in[0] = p.in[0]
	opset := n.opset
	o.become(n, op, proto, in, p)
	n.opset = opset
}

// zeros returns how many zeros a Pad puts before and after the dimensions from the third on, the befores first; nil if it does
// anything else.
func zeros(p *node, rank int) []int {
	attrs := &ops.Node{Node: p.Node}
	pads, axes := attrs.Ints("pads"), []int(nil)
	if attrs.Text("mode", "constant") != "constant" || attrs.Float("value", 0) != 0 {
		return nil
	}
	if len(p.in) > 1 {
		ok := p.in[1].constant()
		if ok {
			pads, ok = ops.Integers(p.in[1].info.Value)
		}
		if len(p.in) > 2 && p.in[2] != nil {
			v, known := number(p.in[2])
			ok = ok && known && v == 0
		}
		if len(p.in) > 3 && p.in[3] != nil && ok {
			if ok = p.in[3].constant(); ok {
				axes, ok = ops.Integers(p.in[3].info.Value)
			}
		}
		if !ok {
			return nil
		}
	}
	if axes == nil {
		for i := range rank {
			axes = append(axes, i)
		}
	}
	if len(pads) != 2*len(axes) {
		return nil
	}
	out := make([]int, 2*(rank-2))
	for i, a := range axes {
		if a < 0 {
			a += rank
		}
		before, after := pads[i], pads[len(axes)+i]
		switch {
		case a < 0 || a >= rank || before < 0 || after < 0:
			return nil
		case a >= 2:
			out[a-2], out[rank-4+a] = before, after
		case before != 0 || after != 0:
			return nil
		}
	}
	return out
}
