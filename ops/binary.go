package ops

import (
	"errors"
	"fmt"
	"math"
	"math/bits"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// binaryKind is a function of two numbers.
type binaryKind uint8

const (
	kindAdd binaryKind = iota
	kindSub
	kindMul
	kindDiv // of integers: towards zero
	kindMin // NaN if either is
	kindMax
	kindPow
	kindMod  // with the sign of the divisor
	kindFmod // with the sign of the dividend
	kindShiftLeft
	kindShiftRight
	kindAnd
	kindOr
	kindXor
	kindEqual
	kindLess
	kindLessOrEqual
	kindGreater
	kindGreaterOrEqual
)

// kernels are the kinds for which package kernel has a function.
var kernels = [...]kernel.BinaryOp{
	kindAdd: kernel.Add, kindSub: kernel.Sub, kindMul: kernel.Mul, kindDiv: kernel.Div, kindMin: kernel.Min, kindMax: kernel.Max,
	kindPow: kernel.Pow,
}

// arithmetic is an element-wise function of two tensors, or of any number taken from the left, of one type and broadcast as
// NumPy does: Add, Sub, Mul, Div, Min, Max, Sum, Mean, Pow, Mod, BitShift, Bitwise…, And, Or, Xor. Integers wrap around; division of
// integers by zero is an error, and shifts by the width of the type or more give zero. 0 to a negative power is 0 for integers.
//
// The exponents of Pow may be of another type than the base: then both are computed as float64, and the result is converted as
// Cast does.
type arithmetic struct {
	kind  binaryKind
	takes types
	count *tensor.Tensor // divide by it, a float32; nil for no division
}

func arithmeticOf(kind binaryKind, takes types) func(*Node) (Op, error) {
	return func(n *Node) (Op, error) { return &arithmetic{kind: kind, takes: takes}, allThere(n) }
}

func newMean(n *Node) (Op, error) {
	return &arithmetic{takes: typesFloat, count: tensor.Scalar(float32(len(n.Inputs)))}, allThere(n)
}

func newMod(n *Node) (Op, error) {
	if n.Bool("fmod", false) {
		return &arithmetic{kind: kindFmod, takes: typesNumber}, nil
	}
	// Without fmod ONNX speaks of integers only. Since opset 28 floats are taken too, with the sign of the divisor; runtimes do so
	// before as well.
	return &arithmetic{kind: kindMod, takes: typesNumber}, nil
}

func newBitShift(n *Node) (Op, error) {
	switch d := n.Text("direction", ""); d {
	case "LEFT":
		return &arithmetic{kind: kindShiftLeft, takes: typesInteger}, nil
	case "RIGHT":
		return &arithmetic{kind: kindShiftRight, takes: typesInteger}, nil
	default:
		return nil, fmt.Errorf("attribute direction is %q, neither LEFT nor RIGHT", d)
	}
}

// Infer implements Op.
func (o *arithmetic) Infer(in []Info) ([]Info, error) {
	dt := inputAt(in, 0).Type
	if o.kind == kindPow {
		for i := range in {
			if err := o.takes.check(in, i); err != nil {
				return nil, err
			}
		}
	} else {
		var err error
		if dt, err = o.takes.same(in, 0, len(in)); err != nil {
			return nil, err
		}
	}
	shape, err := broadcastInfo(in)
	if err != nil {
		return nil, err
	}
	out := Info{Type: dt, Shape: shape}
	if len(in) == 2 && typesIndex.has(dt) && shape != nil && len(shape) <= 1 {
		if e := mapDims(dimsOf(in[0]), dimsOf(in[1]), o.dims); e != nil {
			out = intsInfo(dt, shape, e)
		}
	}
	return inferred(o, in, out)
}

// dims computes with dimensions as far as they are known and the result may be a dimension.
func (o *arithmetic) dims(a, b Dim) Dim {
	x, y := a.N, b.N
	if a.IsKnown() && b.IsKnown() {
		hi, product := bits.Mul64(uint64(x), uint64(y))
		switch {
		case o.kind == kindAdd && x < math.MaxInt32 && y < math.MaxInt32:
			return Known(x + y)
		case o.kind == kindSub && x >= y:
			return Known(x - y)
		case o.kind == kindMul && hi == 0 && product < 1<<62:
			return Known(int(product))
		case o.kind == kindDiv && y != 0:
			return Known(x / y)
		case (o.kind == kindMod || o.kind == kindFmod) && y != 0:
			return Known(x % y)
		case o.kind == kindMin:
			return Known(min(x, y))
		case o.kind == kindMax:
			return Known(max(x, y))
		}
		return Unknown
	}
	neutral := 1
	switch o.kind {
	case kindAdd:
		neutral = 0
		fallthrough
	case kindMul:
		if x == neutral {
			return b
		}
		if y == neutral {
			return a
		}
	case kindSub:
		neutral = 0
		if a.Same(b) {
			return Known(0)
		}
		fallthrough
	case kindDiv:
		if y == neutral {
			return a
		}
	}
	return Unknown
}

// ChannelsLast implements ChannelsLaster.
func (o *arithmetic) ChannelsLast(in []Info) ([]bool, bool) { return layoutBlind(in, 0), false }

// layoutBlind is ChannelsLast of element-wise operators: all inputs from the given one on may come in any layout if they have
// at most rank 4 and float32.
func layoutBlind(in []Info, from int) []bool {
	ok := make([]bool, len(in))
	for i := range in {
		if in[i].Shape == nil || len(in[i].Shape) > 4 || i >= from && in[i].Type != onnx.Float {
			return make([]bool, len(in))
		}
		ok[i] = true
	}
	return ok
}

// InPlace implements InPlacer.
func (o *arithmetic) InPlace() []int { return []int{0, 1} }

// Run implements Op.
func (o *arithmetic) Run(c *Call) error { return half(c, o) }

func (o *arithmetic) run(c *Call) error {
	w := newWork()
	defer w.free()
	if len(c.In) == 2 && c.In[0].Type != c.In[1].Type {
		return o.mixedPower(c)
	}
	shape, err := o.shape(w, c.In)
	if err != nil {
		return err
	}
	first := c.In[0]
	out, err := c.Out(0, first.Type, shape, layoutOf(c.In))
	if err != nil {
		return err
	}
	if len(c.In) == 1 {
		c.copyTo(out, first)
	}
	for i := 1; i < len(c.In); i++ {
		if err := o.apply(c, w, out, first, c.In[i]); err != nil {
			return err
		}
		first = out
	}
	if o.count == nil {
		return nil
	}
	divisor := o.count
	if out.Type != onnx.Float {
		if divisor, err = w.scratch(out.Type, nil); err != nil {
			return err
		}
		if err := convert(divisor, o.count, conversion{}); err != nil {
			return err
		}
	}
	divide := arithmetic{kind: kindDiv}
	return divide.apply(c, w, out, out, divisor)
}

// shape is the shape that all operands have in common.
func (o *arithmetic) shape(w *work, in []*tensor.Tensor) ([]int, error) {
	if len(in) <= 3 {
		a, err := w.align(in...)
		return a.logical, err
	}
	rest, err := o.shape(w, in[1:])
	if err != nil {
		return nil, err
	}
	a, err := w.align(in[0], &tensor.Tensor{Shape: rest})
	return a.logical, err
}

// apply computes out = o(a, b), where out has the shape and layout that all operands are broadcast to and may be a.
func (o *arithmetic) apply(c *Call, w *work, out, a, b *tensor.Tensor) error {
	if a.Type != b.Type {
		return fmt.Errorf("elements of types %s and %s", tensor.TypeName(a.Type), tensor.TypeName(b.Type))
	}
	// Out takes part in the alignment so that all get its shape; its strides are dense.
	al, err := w.align(out, a, b)
	if err != nil {
		return err
	}
	al.strides = [3][]int{al.strides[1], al.strides[2]}
	if out.Type == onnx.Float && int(o.kind) < len(kernels) {
		kernel.Binary(c.CPU, kernels[o.kind], elements[float32](out), elements[float32](a), elements[float32](b),
			al.shape, al.strides[0], al.strides[1], kernel.Activation{})
		return nil
	}
	n, err := numericOf(out.Type)
	if err != nil {
		return err
	}
	w.walkAligned(&al)
	return n.binary(o.kind, out, a, b, &w.walk)
}

// mixedPower is Pow of exponents of another type than the base.
func (o *arithmetic) mixedPower(c *Call) error {
	if o.kind != kindPow {
		return fmt.Errorf("elements of types %s and %s", tensor.TypeName(c.In[0].Type), tensor.TypeName(c.In[1].Type))
	}
	wide := Call{CPU: c.CPU, Outs: make([]*tensor.Tensor, 1), Limit: c.Limit}
	for _, t := range c.In {
		d, err := tensor.New(onnx.Double, t.Shape...)
		if err != nil {
			return err
		}
		d.Layout = t.Layout
		if err := convert(d, t, conversion{}); err != nil {
			return err
		}
		wide.In = append(wide.In, d)
	}
	if err := o.run(&wide); err != nil {
		return err
	}
	r := wide.Outs[0]
	out, err := c.Out(0, c.In[0].Type, r.Shape, r.Layout)
	if err != nil {
		return err
	}
	return convert(out, r, conversion{})
}

var errDivision = errors.New("division of an integer by zero")

func (numbers[T]) binary(kind binaryKind, dst, a, b *tensor.Tensor, w *walk) error {
	d, p, q := elements[T](dst), elements[T](a), elements[T](b)
	if (kind == kindDiv || kind == kindMod || kind == kindFmod) && !isFloat[T]() {
		for _, x := range q {
			if x == 0 && len(d) > 0 {
				return errDivision
			}
		}
	}
	row, ok := w.rows()
	for ; ok; ok = w.next() {
		i, j := w.at[1], w.at[2]
		for k := range row.n {
			d[w.at[0]+k] = combine(kind, p[i], q[j])
			i, j = i+row.step[1], j+row.step[2]
		}
	}
	return nil
}

// combine computes one element.
func combine[T number](kind binaryKind, x, y T) T {
	switch kind {
	case kindAdd:
		return x + y
	case kindSub:
		return x - y
	case kindMul:
		return x * y
	case kindDiv:
		return x / y
	case kindMin:
		return min(x, y)
	case kindMax:
		return max(x, y)
	}
	if isFloat[T]() {
		switch kind {
		case kindPow:
			return T(math.Pow(float64(x), float64(y)))
		case kindMod:
			r := math.Mod(float64(x), float64(y))
			if r != 0 && (r < 0) != (y < 0) {
				r += float64(y)
			} else if r == 0 {
				r = math.Copysign(0, float64(y))
			}
			return T(r)
		}
		return T(math.Mod(float64(x), float64(y)))
	}
	return combineIntegers(kind, x, y)
}

// combineIntegers is the part of combine for functions of integers.
func combineIntegers[T number](kind binaryKind, x, y T) T {
	// The low bits of the result are those of the same operation on 64 bits.
	i, j := int64(x), int64(y)
	switch kind {
	case kindMod, kindFmod:
		r := x - x/y*y
		if kind == kindMod && r != 0 && (r < 0) != (y < 0) {
			r += y
		}
		return r
	case kindPow:
		return power(x, y)
	case kindShiftLeft:
		return T(i << uint64(j))
	case kindShiftRight:
		if isSigned[T]() {
			return T(i >> uint64(j))
		}
		return T(uint64(i) >> uint64(j))
	case kindAnd:
		return T(i & j)
	case kindOr:
		return T(i | j)
	}
	return T(i ^ j)
}

// isSigned reports whether T has negative numbers.
func isSigned[T number]() bool {
	zero := T(0)
	return zero-1 < 0
}

// power computes xʸ of integers.
func power[T number](x, y T) T {
	if y < 0 {
		switch {
		case x == 1:
			return 1
		case x+1 == 0:
			return 1 - 2*(y-y/2*2)*(y-y/2*2)
		}
		return 0
	}
	result := T(1)
	for ; y > 0; y /= 2 {
		if y-y/2*2 != 0 {
			result *= x
		}
		x *= x
	}
	return result
}

// Gradient is that of the function, summed where an operand was broadcast. Of equal operands of Min and Max each gets half, as in
// PyTorch; Mod is straight through for the dividend of fmod and refused otherwise.
func (o *arithmetic) Gradient(g *Gradient) error {
	dy, _ := g.Of(0)
	switch o.kind {
	case kindAdd:
		n := 1.0
		if o.count != nil {
			n = float64(g.Inputs())
		}
		dy = g.Scale(dy, 1/n)
		for i := range g.Inputs() {
			if g.Wants(i) {
				g.SetSum(i, dy)
			}
		}
	case kindMin, kindMax:
		o.extremeGradient(g, dy)
	case kindSub, kindMul, kindDiv, kindPow:
		for i := range 2 {
			if g.Wants(i) {
				g.SetSum(i, o.partial(g, dy, i))
			}
		}
	default:
		return fmt.Errorf("it is not differentiable")
	}
	return nil
}

// partial is the gradient of operand i before broadcasting is undone.
func (o *arithmetic) partial(g *Gradient, dy Value, i int) Value {
	a, b := g.In(0), g.In(1)
	switch {
	case o.kind == kindSub && i == 0:
		return dy
	case o.kind == kindSub:
		return g.Neg(dy)
	case o.kind == kindMul:
		return g.Mul(dy, g.In(1-i))
	case o.kind == kindDiv && i == 0:
		return g.Div(dy, b)
	case o.kind == kindDiv:
		return g.Neg(g.Div(g.Mul(dy, g.Out(0)), b))
	}
	b = g.Cast(b, a)
	if n, ok := numberOf(b.Value); i == 0 && ok && n == 2 && len(b.Dims()) <= len(a.Dims()) {
		return g.Mul(dy, g.Scale(a, 2))
	}
	if i == 0 { // b·a^(b−1), and 0 where b is 0
		slope := g.Mul(b, g.Node("Pow", nil, a, g.Sub(b, g.Scalar(a, 1))))
		zero := g.Scalar(a, 0)
		return g.Mul(dy, g.Where(g.Node("Equal", nil, b, zero), zero, slope))
	}
	// y·log a, and 0 where a is 0
	zero := g.Scalar(a, 0)
	log := g.Where(g.Node("Equal", nil, a, zero), zero, g.Node("Log", nil, a))
	return g.Cast(g.Mul(g.Mul(dy, g.Out(0)), log), g.In(1))
}

// extremeGradient shares what arrives among the operands that are equal to the result.
func (o *arithmetic) extremeGradient(g *Gradient, dy Value) {
	y := g.Out(0)
	is := make([]Value, g.Inputs())
	count := g.Scalar(y, 0)
	for i := range is {
		is[i] = g.Cast(g.Node("Equal", nil, g.In(i), y), y)
		count = g.Add(count, is[i])
	}
	dy = g.Div(dy, count)
	for i := range is {
		if g.Wants(i) {
			g.SetSum(i, g.Mul(dy, is[i]))
		}
	}
}
