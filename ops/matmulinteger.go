package ops

import (
	"errors"
	"fmt"
	"slices"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// matMulInteger is MatMulInteger, (A − zero of A)·(B − zero of B) as int32, and QLinearMatMul, which multiplies that by the scales and
// quantises it again. A [.., M, K] may have a zero point (and scale) for each row, B [.., K, N] for each column; the dimensions
// before the last two are broadcast, and vectors are multiplied as NumPy's matmul does.
type matMulInteger struct {
	factors8
	states *states[integerProduct]
}

func newMatMulInteger(*Node) (Op, error) { return newIntegerMatMul(false), nil }
func newQLinearMatMul(*Node) (Op, error) { return newIntegerMatMul(true), nil }

func newIntegerMatMul(linear bool) Op {
	return &matMulInteger{factors8{linear: linear}, new(states[integerProduct])}
}

func (o *matMulInteger) Infer(in []Info) ([]Info, error) {
	dt, err := o.infer(in)
	if err != nil {
		return nil, err
	}
	x, y := in[0].Shape, in[o.second()].Shape
	if x == nil || y == nil {
		return []Info{{Type: dt}}, nil
	}
	if len(x) == 0 || len(y) == 0 {
		return nil, errors.New("a factor has rank 0")
	}
	inner := y[0]
	var tail Shape
	if len(x) > 1 {
		tail = append(tail, x[len(x)-2])
	}
	if len(y) > 1 {
		inner = y[len(y)-2]
		tail = append(tail, y[len(y)-1])
	}
	if k := x[len(x)-1]; k.IsKnown() && inner.IsKnown() && k != inner {
		return nil, fmt.Errorf("factors of shapes %s and %s", x, y)
	}
	outer, err := broadcastInfo([]Info{{Shape: x[:max(0, len(x)-2)]}, {Shape: y[:max(0, len(y)-2)]}})
	return []Info{{Type: dt, Shape: append(outer, tail...)}}, err
}

// Cost counts the products.
func (o *matMulInteger) Cost(in, out []Info) Cost {
	n := int64(1)
	for _, d := range out[0].Shape {
		n *= int64(d.N)
	}
	return Cost{MACs: n * int64(in[0].Shape[len(in[0].Shape)-1].N)}
}

// matrices is a product of stacks of matrices.
type matrices struct {
	m, n, k int
	out     []int // the result's shape
	a, b    []int // for each product of the result, the number of its factors
}

// newMatrices finds which matrices of stacks of shapes x and y are multiplied.
func newMatrices(x, y []int) (p matrices, err error) {
	if len(x) == 0 || len(y) == 0 {
		return p, errors.New("a factor has rank 0")
	}
	a, b := x, y
	if len(a) == 1 {
		a = []int{1, a[0]}
	}
	if len(b) == 1 {
		b = []int{b[0], 1}
	}
	p.m, p.k, p.n = a[len(a)-2], a[len(a)-1], b[len(b)-1]
	if b[len(b)-2] != p.k {
		return p, fmt.Errorf("factors of shapes %v and %v", x, y)
	}
	outer, err := broadcastInfo([]Info{{Shape: MakeShape(a[:len(a)-2]...)}, {Shape: MakeShape(b[:len(b)-2]...)}})
	if err != nil {
		return p, err
	}
	dims, _ := outer.Known()
	p.out = slices.Clone(dims)
	if len(x) > 1 {
		p.out = append(p.out, p.m)
	}
	if len(y) > 1 {
		p.out = append(p.out, p.n)
	}
	count, err := tensor.Count(dims)
	if err != nil {
		return p, err
	}
	if _, err := tensor.Count(p.out); err != nil {
		return p, err
	}
	if count > 1<<24 {
		return p, fmt.Errorf("a stack of %d matrices", count)
	}
	p.a, p.b = make([]int, count), make([]int, count)
	for i := range count {
		p.a[i], p.b[i] = broadcastIndex(i, dims, a[:len(a)-2]), broadcastIndex(i, dims, b[:len(b)-2])
	}
	return p, nil
}

// broadcastIndex returns the position in a tensor of a shape of element i of what it was broadcast to.
func broadcastIndex(i int, dims, shape []int) int {
	at, stride := 0, 1
	for k := len(dims) - 1; k >= 0; k-- {
		if s := k - len(dims) + len(shape); s >= 0 {
			if shape[s] > 1 {
				at += i % dims[k] * stride
			}
			stride *= shape[s]
		}
		i /= dims[k]
	}
	return at
}

// integerProduct holds the buffers of a run.
type integerProduct struct {
	a, b        factor8
	part, scale []float32
	acc         []int32
}

// Pack widens a constant B.
func (o *matMulInteger) Pack(_ *kernel.CPU, info []Info) (Op, []int, error) {
	if v := info[o.second()].Value; v == nil || len(v.Shape) == 0 {
		return nil, nil, nil
	}
	f, dropped, err := o.pack(info, columns)
	if f == nil || err != nil {
		return nil, nil, err
	}
	return &matMulInteger{*f, new(states[integerProduct])}, dropped, nil
}

func (o *matMulInteger) Run(c *Call) error {
	r := o.states.get()
	defer o.states.put(r)
	a := c.In[0]
	typeB, shapeB, err := o.operands(c)
	if err != nil {
		return err
	}
	mats, err := newMatrices(a.Shape, shapeB)
	if err != nil {
		return err
	}
	q, err := o.parameters(c, a.Type, typeB)
	if err != nil {
		return err
	}
	if err := q[0].lines("the first factor", mats.m, len(a.Shape) > 2); err != nil {
		return err
	}
	if err := q[1].lines("the second factor", mats.n, len(shapeB) > 2); err != nil {
		return err
	}
	r.a.set(a, q[0].zero, func(i int) int { return i / mats.k })
	return o.multiply(c, r, &mats, o.widen(c, &r.b, q[1].zero, columns), q)
}

// multiply computes all products from the widened factors r.a and b.
func (o *matMulInteger) multiply(c *Call, r *integerProduct, mats *matrices, b *factor8, q [3]quantised) error {
	y, err := c.Out(0, o.result(c), mats.out)
	if err != nil {
		return err
	}
	mn := mats.m * mats.n
	r.part, r.acc = resized(r.part, mn), resized(r.acc, mn)
	depth := exactDepth(largest(r.a.Type, q[0].zero), largest(b.Type, q[1].zero))
	for i := range mats.a {
		acc := r.acc
		if !o.linear {
			acc = tensor.Of[int32](y)[i*mn : (i+1)*mn]
		}
		clear(acc)
		multiply(c.CPU, acc, r.a.values[mats.a[i]*mats.m*mats.k:], mats.k, b.values[mats.b[i]*mats.k*mats.n:], r.part, mats.m, mats.n, mats.k, depth)
		if o.linear {
			r.requantise(y.Bytes()[i*mn:(i+1)*mn], mats, i, q, y.Type == onnx.Int8)
		}
	}
	return nil
}

// lines checks that there is one zero point for all, one for each line of a matrix, or, of a stack, perhaps for those of all.
func (q quantised) lines(what string, n int, stack bool) error {
	if z := len(q.zero); z != 1 && z != n && (!stack || n == 0 || z%n != 0) {
		return fmt.Errorf("%s has %d zero points for %d lines", what, z, n)
	}
	return nil
}

// columns tells the column of an element of the second factor, counted through all matrices.
func columns(shape []int) func(i int) int {
	k, n := shape[0], 1
	if len(shape) > 1 {
		k, n = shape[len(shape)-2], shape[len(shape)-1]
	}
	return func(i int) int { return i/(k*n)*n + i%n }
}

// requantise makes codes of product i.
func (r *integerProduct) requantise(dst []byte, p *matrices, i int, q [3]quantised, signed bool) {
	qa, qb, qy := &q[0], &q[1], &q[2]
	r.scale = resized(r.scale, p.n)
	for row := range p.m {
		sa := qa.scale[(p.a[i]*p.m+row)%len(qa.scale)]
		for col := range r.scale {
			r.scale[col] = sa * qb.scale[(p.b[i]*p.n+col)%len(qb.scale)] / qy.scale[0]
		}
		requantise(dst[row*p.n:(row+1)*p.n], r.acc[row*p.n:(row+1)*p.n], r.scale, 1, qy.zero[0], signed)
	}
}
