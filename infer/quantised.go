package infer

import (
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// codes is a quantised tensor: what a DequantizeLinear reads or a QuantizeLinear makes.
type codes struct{ values, scale, zero *value }

// dequantised returns the codes behind a value; per is the axis along which scales may vary, −1 for none.
func (o *optimiser) dequantised(v *value, per int) (c codes, ok bool) {
	n := o.made(v, "DequantizeLinear")
	if n == nil {
		return c, false
	}
	c = o.parameters(n)
	axis := (&ops.Node{Node: n.Node}).Int("axis", 1)
	if c.values == nil || c.scale.info.Value.Len() != 1 && (axis != per || len(c.scale.info.Value.Shape) != 1) {
		return c, false
	}
	return c, true
}

// parameters returns the operands of a QuantizeLinear or DequantizeLinear whose scale and zero point are constant, with a zero
// point of 0 where there is none.
func (o *optimiser) parameters(n *node) (c codes) {
	attrs := &ops.Node{Node: n.Node}
	if len(n.in) < 2 || !n.in[1].constant() || n.in[1].info.Type != onnx.Float || attrs.Int("block_size", 0) != 0 || attrs.Int("output_dtype", 0) != 0 {
		return c
	}
	c = codes{values: n.in[0], scale: n.in[1]}
	if len(n.in) > 2 && n.in[2] != nil {
		if c.zero = n.in[2]; !c.zero.constant() {
			return codes{}
		}
		return c
	}
	dt := onnx.Uint8
	if n.is("DequantizeLinear") {
		dt = n.in[0].info.Type
	}
	zero, err := tensor.New(dt, c.scale.info.Value.Shape...)
	if err != nil {
		return codes{}
	}
	c.zero = o.constant("zero", zero)
	return c
}

// quantised has a convolution or product of dequantised numbers whose result is quantised again computed with the codes: exactly, as
// runtimes that work in integers do, where sums of float32 might fall on the other side of a half.
func (o *optimiser) quantised(n *node) {
	if !n.is("QuantizeLinear") || n.out[0] == nil {
		return
	}
	y := o.parameters(n)
	if y.values == nil || y.scale.info.Value.Len() != 1 {
		return
	}
	var over []*node
	v := n.in[0]
	if relu := o.take(v, "Relu"); relu != nil && isLeast(y.zero.info.Value) { // what is negative becomes the least code anyway
		over, v = append(over, relu), relu.in[0]
	}
	p := o.take(v, "Conv", "MatMul")
	if p == nil {
		return
	}
	x, okX := o.dequantised(p.in[0], -1)
	per := -1
	if p.is("Conv") {
		per = 0
	}
	w, okW := o.dequantised(p.in[1], per)
	if !okX || !okW || !is8(x) || !is8(w) || !is8(codes{values: n.out[0]}) {
		return
	}
	in := []*value{x.values, x.scale, x.zero, w.values, w.scale, w.zero, y.scale, y.zero}
	if len(p.in) > 2 && p.in[2] != nil {
		b, ok := o.dequantised(p.in[2], 0)
		if !ok || !isBias(b, x, w) {
			return
		}
		in = append(in, b.values)
	}
	kind := "QLinear" + p.kind
	op, proto := o.make(kind, len(in), p.Attributes...)
	if op == nil {
		return
	}
	o.become(n, op, proto, in, append(over, p)...)
	n.name = p.name
}

func is8(c codes) bool {
	dt := c.values.info.Type
	return dt == onnx.Uint8 || dt == onnx.Int8
}

// isLeast reports whether a zero point is the least code of its type.
func isLeast(t *tensor.Tensor) bool {
	if t.Len() != 1 {
		return false
	}
	switch t.Type {
	case onnx.Uint8:
		return t.Bytes()[0] == 0
	case onnx.Int8:
		return t.Bytes()[0] == 0x80
	}
	return false
}

// isBias reports whether the codes of a bias are in units of the product's.
func isBias(b, x, w codes) bool {
	if b.values.info.Type != onnx.Int32 || !b.values.constant() || slices.ContainsFunc(b.zero.info.Value.Bytes(), func(b byte) bool { return b != 0 }) {
		return false
	}
	sb, sx, sw := tensor.Of[float32](b.scale.info.Value), tensor.Of[float32](x.scale.info.Value)[0], tensor.Of[float32](w.scale.info.Value)
	for i, s := range sb {
		if !isClose(float64(s), float64(sx)*float64(sw[i%len(sw)])) {
			return false
		}
	}
	return len(sb) == len(sw) || len(sw) == 1
}
