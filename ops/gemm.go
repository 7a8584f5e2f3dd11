package ops

import (
	"fmt"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// gemm is Gemm: y = alpha·op(a)·op(b) + beta·c with op(a) [M, K], op(b) [K, N] and c broadcast to [M, N]. Types: floating-point
// ones, and integers of 32 and 64 bits, for which alpha and beta are rounded towards 0.
type gemm struct {
	fused
	alpha, beta    float32
	transA, transB bool
	packed         *kernel.Packed
	bias           []float32 // of packed: beta·c, nil for none
	kn             [2]int    // of packed
	states         *states[products]
}

func newGemm(n *Node) (Op, error) {
	if n.Opset < 11 && (len(n.Inputs) < 3 || n.Inputs[2] == "") {
		return nil, fmt.Errorf("until opset 10 there must be 3 inputs")
	}
	return &gemm{
		alpha: n.Float("alpha", 1), beta: n.Float("beta", 1), transA: n.Bool("transA", false), transB: n.Bool("transB", false),
		states: new(states[products]),
	}, nil
}

func (o *gemm) Infer(in []Info) ([]Info, error) {
	own := in[:o.own(len(in))]
	dt, err := matMulTypes.same(own, 0, len(own))
	if err != nil {
		return nil, err
	}
	for i, s := range []Shape{in[0].Shape, in[1].Shape} {
		if s != nil && len(s) != 2 {
			return nil, rankError(i, len(s), "2")
		}
	}
	m, k := turned(in[0].Shape, o.transA)
	l, n := turned(in[1].Shape, o.transB)
	if o.packed != nil {
		l, n = Known(o.kn[0]), Known(o.kn[1])
	}
	if k.IsKnown() && l.IsKnown() && k.N != l.N {
		return nil, fmt.Errorf("operands of shapes %s and %s: %d columns and %d rows", in[0].Shape, in[1].Shape, k.N, l.N)
	}
	out := Info{Type: dt, Shape: Shape{m, n}}
	if len(own) > 2 {
		if err := broadcastsTo(own[2].Shape, out.Shape); err != nil {
			return nil, fmt.Errorf("input 2: %w", err)
		}
	}
	return []Info{out}, o.infer(in, out)
}

// turned returns the rows and columns of a matrix that may be transposed.
func turned(s Shape, trans bool) (rows, columns Dim) {
	switch {
	case s == nil:
		return Unknown, Unknown
	case trans:
		return s[1], s[0]
	}
	return s[0], s[1]
}

// Cost counts a multiplication for each element of the result and of the dimension that is summed over.
func (o *gemm) Cost(in, out []Info) Cost {
	y, ok := out[0].Shape.Known()
	_, k := turned(in[0].Shape, o.transA)
	if !ok || !k.IsKnown() {
		return Cost{}
	}
	return Cost{MACs: int64(product(y)) * int64(k.N)}
}

// Fuse takes over an addition and a function.
func (o *gemm) Fuse(add bool, act kernel.Activation) Op { return fuseInto(o, add, act) }

// Pack packs a constant b. A transposed one stays where it is if op(a) is known to be one row: its rows are then read in place.
func (o *gemm) Pack(cpu *kernel.CPU, info []Info) (Op, []int, error) {
	b, own := info[1].Value, info[:o.own(len(info))]
	m, _ := turned(info[0].Shape, o.transA)
	if b == nil || b.Type != onnx.Float || len(b.Shape) != 2 || o.packed != nil || o.alpha != 1 || o.transA && !(m.IsKnown() && m.N == 1) {
		return nil, nil, nil
	}
	if m.IsKnown() && m.N == 1 && o.transB {
		return nil, nil, nil
	}
	p := *o
	p.kn = [2]int(b.Shape)
	if o.transB {
		p.kn[0], p.kn[1] = p.kn[1], p.kn[0]
	}
	dropped := []int{1}
	if len(own) > 2 && !own[2].Missing() {
		v := own[2].Value
		if v == nil || v.Type != onnx.Float || v.Len() != 1 && (v.Len() != p.kn[1] || v.Shape[len(v.Shape)-1] != p.kn[1]) {
			return nil, nil, nil
		}
		src := tensor.Of[float32](v)
		p.bias = make([]float32, p.kn[1])
		for i := range p.bias {
			p.bias[i] = o.beta * src[i%len(src)]
		}
		dropped = append(dropped, 2)
	}
	p.packed = kernel.Pack(cpu, tensor.Of[float32](b), b.Shape[1], p.kn[0], p.kn[1], o.transB)
	return &p, dropped, nil
}

// PackedBytes is the memory that a packed matrix and its bias take.
func (o *gemm) PackedBytes() int64 {
	if o.packed == nil {
		return 0
	}
	return int64(o.packed.Bytes() + 4*len(o.bias))
}

func (o *gemm) Run(c *Call) error { return throughFloat32(c, o) }

func (o *gemm) run(c *Call) error {
	p := o.states.get()
	defer o.states.put(p)
	if err := o.plan(c, p); err != nil {
		return err
	}
	y, err := c.Out(0, c.In[0].Type, p.shape)
	if err != nil {
		return err
	}
	switch y.Type {
	case onnx.Float:
		return o.floats(c, p, y)
	case onnx.Double:
		if err := gemmNumbers[float64](c, o, p, y); err != nil {
			return err
		}
		return o.finish(c, y, y)
	case onnx.Int32:
		err = gemmNumbers[int32](c, o, p, y)
	case onnx.Int64:
		err = gemmNumbers[int64](c, o, p, y)
	case onnx.Uint32:
		err = gemmNumbers[uint32](c, o, p, y)
	case onnx.Uint64:
		err = gemmNumbers[uint64](c, o, p, y)
	default:
		return typeError(y.Type)
	}
	if o.add || o.act.Kind != kernel.None {
		return typeError(y.Type)
	}
	return err
}

// plan checks the operands.
func (o *gemm) plan(c *Call, p *products) error {
	a := c.In[0].Shape
	if len(a) != 2 {
		return rankError(0, len(a), "2")
	}
	p.m, p.k = a[0], a[1]
	if o.transA {
		p.m, p.k = p.k, p.m
	}
	rowsOfB, n := o.kn[0], o.kn[1]
	if o.packed == nil {
		b := c.In[1].Shape
		if len(b) != 2 {
			return rankError(1, len(b), "2")
		}
		if err := c.sameTypes(o.own(len(c.In))); err != nil {
			return err
		}
		rowsOfB, n = b[0], b[1]
		if o.transB {
			rowsOfB, n = n, rowsOfB
		}
	}
	p.n = n
	if p.k != rowsOfB {
		return fmt.Errorf("%d columns of input 0 and %d rows of input 1", p.k, rowsOfB)
	}
	p.shape = append(p.shape[:0], p.m, p.n)
	return nil
}

func (o *gemm) floats(c *Call, p *products, y *tensor.Tensor) error {
	add, err := o.addend(c, y)
	dst, a := tensor.Of[float32](y), tensor.Of[float32](c.In[0])
	if err != nil || len(dst) == 0 {
		return err
	}
	p.epilogue = kernel.Epilogue{Bias: o.bias, Add: add, Act: o.act}
	if o.packed != nil {
		o.packed.Gemm(c.CPU, p.m, a, p.k, dst, p.n, &p.epilogue, p.n)
		p.epilogue = kernel.Epilogue{}
		return nil
	}
	beta := float32(0)
	var summand *tensor.Tensor
	if o.own(len(c.In)) > 2 {
		summand = c.In[2]
	}
	switch {
	case summand == nil || o.beta == 0:
	case o.beta == 1 && summand.Len() == p.n && len(summand.Shape) > 0 && summand.Shape[len(summand.Shape)-1] == p.n:
		p.epilogue.Bias = tensor.Of[float32](summand)
	default:
		// The result begins as beta·c; if what is added lies there too, it must have been added before.
		w := newWork()
		defer w.free()
		al, err := w.align(y, summand)
		if err != nil || product(al.logical) != len(dst) {
			return fmt.Errorf("input 2 of shape %v does not broadcast to %v", summand.Shape, p.shape)
		}
		scale := c.scratch(1)
		scale[0], beta = o.beta, 1
		kernel.Binary(c.CPU, kernel.Mul, dst, tensor.Of[float32](summand), scale, al.shape, al.strides[1], w.take(2), kernel.Activation{})
	}
	b := tensor.Of[float32](c.In[1])
	q := kernel.Product{
		TransA: o.transA, TransB: o.transB, M: p.m, N: p.n, K: p.k, Alpha: o.alpha, Beta: beta,
		A: a, LDA: c.In[0].Shape[1], B: b, LDB: c.In[1].Shape[1], C: dst, LDC: p.n, Epilogue: p.epilogue,
	}
	if p.m == 1 && o.transB && o.alpha == 1 && beta == 0 {
		kernel.Gemv(c.CPU, dst, b, p.k, a, p.n, p.k, &p.epilogue)
	} else {
		p.products = append(p.products[:0], q)
		kernel.Gemm(c.CPU, &p.products[0])
		clear(p.products)
	}
	p.epilogue = kernel.Epilogue{}
	return nil
}

// gemmNumbers is the definition, but for what is fused.
func gemmNumbers[T number](c *Call, o *gemm, p *products, y *tensor.Tensor) error {
	a, b, dst := elements[T](c.In[0]), elements[T](c.In[1]), elements[T](y)
	multiplyTurned(dst, a, b, p, o.transA, o.transB)
	for i := range dst {
		dst[i] *= T(o.alpha)
	}
	if o.own(len(c.In)) < 3 || c.In[2] == nil {
		return nil
	}
	w := newWork()
	defer w.free()
	al, err := w.align(y, c.In[2])
	if err != nil || product(al.logical) != len(dst) {
		return fmt.Errorf("input 2 of shape %v does not broadcast to %v", c.In[2].Shape, p.shape)
	}
	w.walkAligned(&al)
	summand := elements[T](c.In[2])
	for row, ok := w.rows(); ok; ok = w.next() {
		for k := range row.n {
			dst[w.at[0]+k*row.step[0]] += T(o.beta) * summand[w.at[2]+k*row.step[2]]
		}
	}
	return nil
}

// Gradient is products of what arrives with the operands, turned as they are.
func (o *gemm) Gradient(g *Gradient) error {
	dy, _ := g.Of(0)
	times := func(a, b Value, transA, transB bool) Value {
		return g.Node("Gemm", with(attrFloat("alpha", o.alpha), attrBool("transA", transA), attrBool("transB", transB)), a, b)
	}
	if g.Wants(0) {
		if o.transA {
			g.Set(0, times(g.In(1), dy, o.transB, true))
		} else {
			g.Set(0, times(dy, g.In(1), false, !o.transB))
		}
	}
	if g.Wants(1) {
		if o.transB {
			g.Set(1, times(dy, g.In(0), true, o.transA))
		} else {
			g.Set(1, times(g.In(0), dy, !o.transA, false))
		}
	}
	if g.Wants(2) {
		g.SetSum(2, g.Scale(dy, float64(o.beta)))
	}
	return nil
}
