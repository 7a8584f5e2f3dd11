package ops

import (
	"math"
	"slices"
	"unsafe"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

type reduceKind = kernel.ReduceOp

// reductions are the operators Reduce….
var reductions = map[string]reduceKind{
	"ReduceSum": kernel.ReduceSum, "ReduceMean": kernel.ReduceMean, "ReduceMax": kernel.ReduceMax, "ReduceMin": kernel.ReduceMin,
	"ReduceProd": kernel.ReduceProd, "ReduceL1": kernel.ReduceL1, "ReduceL2": kernel.ReduceL2, "ReduceSumSquare": kernel.ReduceSumSquare,
	"ReduceLogSum": kernel.ReduceLogSum, "ReduceLogSumExp": kernel.ReduceLogSumExp,
}

// reduction makes one element of all along some axes. Elements of float64 and of integers are added one after another, integers wrap
// around; roots and logarithms of integers are rounded towards zero. Of no elements the result is what the sum or the product
// of none gives, and the least or greatest value of the type for maximum and minimum.
type reduction struct {
	kind   reduceKind
	takes  types
	axes   []int // nil: input 1, or all
	keep   bool
	noAxes bool // without axes every element is reduced alone
}

func newReduction(n *Node) (Op, error) {
	o := &reduction{kind: reductions[n.OpType], takes: typesNumber, keep: n.Bool("keepdims", true), noAxes: n.Bool("noop_with_empty_axes", false)}
	if o.kind == kernel.ReduceMax || o.kind == kernel.ReduceMin {
		o.takes |= typesBool
	}
	if n.Opset < 18 && (n.OpType != "ReduceSum" || n.Opset < 13) {
		o.axes = n.Ints("axes")
	}
	return o, nil
}

// reduced tells of each of the dimensions whether it goes.
func (o *reduction) reduced(into []bool, axes []int) error {
	if len(axes) == 0 {
		for i := range into {
			into[i] = !o.noAxes
		}
	}
	for _, a := range axes {
		k, err := axisOf(a, len(into))
		if err != nil {
			return err
		}
		into[k] = true
	}
	return nil
}

// Infer implements Op.
func (o *reduction) Infer(in []Info) ([]Info, error) {
	if err := o.takes.check(in, 0); err != nil {
		return nil, err
	}
	if err := typesIndex.check(in, 1); err != nil {
		return nil, err
	}
	out := Info{Type: in[0].Type}
	axes, ok := axisInfo(in, o.axes, 1)
	x := in[0].Shape
	switch {
	case x == nil:
	case ok:
		gone := make([]bool, len(x))
		if err := o.reduced(gone, axes); err != nil {
			return nil, err
		}
		out.Shape = Shape{}
		for i, d := range x {
			switch {
			case !gone[i]:
				out.Shape = append(out.Shape, d)
			case o.keep:
				out.Shape = append(out.Shape, Known(1))
			}
		}
	case o.keep:
		out.Shape = unknownShape(len(x))
	}
	return inferred(o, in, out)
}

// ChannelsLast implements ChannelsLaster.
func (o *reduction) ChannelsLast(in []Info) ([]bool, bool) {
	ok := make([]bool, len(in))
	axes, isKnown := axisInfo(in, o.axes, 1)
	if !isKnown || len(in[0].Shape) != 4 || in[0].Type != onnx.Float {
		return ok, false
	}
	var gone [4]bool
	if o.reduced(gone[:], axes) != nil {
		return ok, false
	}
	// What remains must be in the order of Plain, if it is no longer of rank 4.
	ok[0] = o.keep || gone == [4]bool{} || gone[1] || gone[2] && gone[3]
	return ok, false
}

// Run implements Op.
func (o *reduction) Run(c *Call) error { return half(c, o) }

func (o *reduction) run(c *Call) error {
	w := newWork()
	defer w.free()
	x := c.In[0]
	if err := c.check(o.takes, 0, 1); err != nil {
		return err
	}
	axes, err := w.axisInput(c, o.axes, 1)
	if err != nil {
		return err
	}
	var buf [8]bool
	gone := buf[:0]
	for range x.Shape {
		gone = append(gone, false)
	}
	if err := o.reduced(gone, axes); err != nil {
		return err
	}
	shape := w.take(len(x.Shape))[:0]
	for i, d := range x.Shape {
		if !gone[i] {
			shape = append(shape, d)
		} else if o.keep {
			shape = append(shape, 1)
		}
	}
	layout := x.Layout
	if len(shape) != 4 {
		layout = tensor.Plain
	}
	out, err := c.Out(0, x.Type, shape, layout)
	if err != nil {
		return err
	}
	x, p, err := o.prepare(c, w, x, gone)
	if err != nil {
		return err
	}
	if x.Type == onnx.Float {
		kernel.Reduce(c.CPU, o.kind, elements[float32](out), elements[float32](x), p.outer, p.n, p.inner)
		return nil
	}
	n, err := numericOf(x.Type)
	if err != nil {
		return err
	}
	n.reduce(o.kind, out, x, p)
	return nil
}

// prepare sees x as outer × n × inner elements, of which the n go. Where dimensions that stay lie between some that go, it is a copy
// with those that go last. gone is put into the order of memory.
func (o *reduction) prepare(c *Call, w *work, x *tensor.Tensor, gone []bool) (*tensor.Tensor, pile, error) {
	shape := w.copyOf(x.Shape)
	physical(shape, x.Layout)
	physical(gone, x.Layout)
	p, runs, within := pile{1, 1, 1}, 0, false
	for k, n := range shape {
		switch {
		case n == 1:
		case gone[k]:
			p.n *= n
			if !within {
				runs++
			}
			within = true
		default:
			within = false
			if runs == 0 {
				p.outer *= n
			} else {
				p.inner *= n
			}
		}
	}
	if runs <= 1 {
		return x, p, nil
	}
	perm := w.take(len(shape))[:0]
	for _, last := range [...]bool{false, true} {
		for k := range shape {
			if gone[k] == last {
				perm = append(perm, k)
			}
		}
	}
	t, err := w.scratch(x.Type, shape)
	if err != nil {
		return nil, p, err
	}
	c.transpose(t, x, shape, perm, w)
	return t, pile{p.outer * p.inner, p.n, 1}, nil
}

func (numbers[T]) reduce(kind reduceKind, dst, src *tensor.Tensor, p pile) {
	d, s := elements[T](dst), elements[T](src)
	for i := range d {
		first := i/p.inner*p.n*p.inner + i%p.inner
		d[i] = reduceColumn(kind, s[min(first, len(s)):], p.n, p.inner)
	}
	if dst.Type == onnx.Bool && p.n == 0 {
		for i := range d {
			d[i] = min(d[i], 1) // the greatest of a byte
		}
	}
}

// reduceColumn reduces n elements that are step apart.
func reduceColumn[T number](kind reduceKind, s []T, n, step int) T {
	var sum T
	switch kind {
	case kernel.ReduceMax, kernel.ReduceLogSumExp:
		sum = lowest[T]()
	case kernel.ReduceMin:
		sum = highest[T]()
	case kernel.ReduceProd:
		sum = 1
	case kernel.ReduceL2:
		square := 0.0
		for i := range n {
			square += float64(s[i*step]) * float64(s[i*step])
		}
		return T(math.Sqrt(square))
	}
	for i := range n {
		x := s[i*step]
		switch kind {
		case kernel.ReduceMax, kernel.ReduceLogSumExp:
			sum = max(sum, x)
		case kernel.ReduceMin:
			sum = min(sum, x)
		case kernel.ReduceProd:
			sum *= x
		case kernel.ReduceL1:
			sum += magnitude(x)
		case kernel.ReduceSumSquare:
			sum += x * x
		default:
			sum += x
		}
	}
	switch kind {
	case kernel.ReduceMean:
		if n == 0 && !isFloat[T]() {
			return 0
		}
		return sum / T(n)
	case kernel.ReduceLogSum:
		return T(math.Log(float64(sum)))
	case kernel.ReduceLogSumExp:
		return logSumExp(s, n, step, sum)
	}
	return sum
}

// logSumExp computes log Σ exp x, where largest is the largest x.
func logSumExp[T number](s []T, n, step int, largest T) T {
	if n == 0 || math.IsInf(float64(largest), 0) {
		return largest
	}
	sum := 0.0
	for i := range n {
		sum += math.Exp(float64(s[i*step]) - float64(largest))
	}
	return T(float64(largest) + math.Log(sum))
}

// lowest is −Inf or the least integer.
func lowest[T number]() T {
	var zero T
	switch {
	case isFloat[T]():
		inf := math.Inf(-1)
		return T(inf)
	case isSigned[T]():
		v := int64(-1) << (8*unsafe.Sizeof(zero) - 1)
		return T(v)
	}
	return zero
}

// highest is +Inf or the greatest integer.
func highest[T number]() T {
	if isFloat[T]() || isSigned[T]() {
		l := lowest[T]()
		if isFloat[T]() {
			return -l
		}
		return -(l + 1)
	}
	zero := T(0)
	return zero - 1
}

// magnitude is |x|; that of the least integer is itself.
func magnitude[T number](x T) T {
	if x < 0 {
		return -x
	}
	return x
}

// Gradient shares what arrives among the elements by their part in the result; equal largest (or least) ones get equal parts.
func (o *reduction) Gradient(g *Gradient) error {
	x := g.In(0)
	axes, err := g.list(1, o.axes)
	if err != nil {
		return err
	}
	gone := make([]bool, len(x.Dims()))
	if err := o.reduced(gone, axes); err != nil {
		return err
	}
	shape, axes, n := slices.Clone(x.Dims()), nil, 1
	for i, is := range gone {
		if is {
			n, shape[i], axes = n*shape[i], 1, append(axes, i)
		}
	}
	dy, _ := g.Of(0)
	dy = g.Reshape(dy, shape)
	y := func() Value { return g.Reshape(g.Out(0), shape) }
	zero := g.Scalar(x, 0)
	var dx Value
	switch o.kind {
	case kernel.ReduceMean:
		dx = g.Scale(dy, 1/float64(max(n, 1)))
	case kernel.ReduceMax, kernel.ReduceMin:
		is := g.Cast(g.apply("Equal", x, y()), x)
		dx = g.Mul(is, g.Div(dy, g.ReduceSum(is, axes...)))
	case kernel.ReduceProd:
		dx = g.Mul(dy, g.others(x, gone))
	case kernel.ReduceL1:
		dx = g.Mul(g.apply("Sign", x), dy)
	case kernel.ReduceL2: // 0 for a norm of 0
		v := y()
		dx = g.Mul(x, g.Where(g.apply("Equal", v, zero), zero, g.Div(dy, v)))
	case kernel.ReduceSumSquare:
		dx = g.Mul(x, g.Scale(dy, 2))
	case kernel.ReduceLogSum:
		dx = g.Div(dy, g.apply("Exp", y()))
	case kernel.ReduceLogSumExp:
		dx = g.Mul(dy, g.apply("Exp", g.Sub(x, y())))
	default:
		dx = dy
	}
	g.Set(0, g.Expand(dx, x.Dims()))
	return nil
}

// others returns for each element the product of the others that it is multiplied with along the dimensions that go, however many
// are 0.
func (g *Gradient) others(x Value, gone []bool) Value {
	var perm []int
	back, shape := make([]int, len(gone)), []int{1, 1}
	for k, last := range [...]bool{false, true} {
		for i, d := range x.Dims() {
			if gone[i] == last {
				back[i] = len(perm)
				perm, shape[k] = append(perm, i), shape[k]*d
			}
		}
	}
	moved := g.Transpose(x, perm...)
	rows := g.Reshape(moved, shape)
	before := g.Node("CumProd", with(attrBool("exclusive", true)), rows, g.Ints(1))
	after := g.Node("CumProd", with(attrBool("exclusive", true), attrBool("reverse", true)), rows, g.Ints(1))
	return g.Transpose(g.Reshape(g.Mul(before, after), moved.Dims()), back...)
}
