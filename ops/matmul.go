package ops

import (
	"errors"
	"fmt"
	"slices"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// matMul is MatMul: products of the matrices that the last two dimensions of a and b are; the others broadcast. A vector a is a row, and a
// vector b a column, whose dimension the result lacks. Types: floating-point ones, and integers of 32 and 64 bits, which wrap.
//
// In [Domain] it has the attributes transA and transB, for matrices (not vectors) that are stored transposed.
type matMul struct {
	fused
	transA, transB bool
	packed         *kernel.Packed
	kn             [2]int // of packed
	states         *states[products]
}

// products is what a run needs.
type products struct {
	shape    []int // of the result
	a, b     []int // batch dimensions
	products []kernel.Product
	epilogue kernel.Epilogue
	m, k, n  int
	batches  int
}

const matMulTypes = typesFloat | typesIndex | 1<<onnx.Uint32 | 1<<onnx.Uint64

func newMatMul(*Node) (Op, error) { return &matMul{states: new(states[products])}, nil }

func newTurnedMatMul(n *Node) (Op, error) {
	return &matMul{transA: n.Bool("transA", false), transB: n.Bool("transB", false), states: new(states[products])}, nil
}

func (o *matMul) Infer(in []Info) ([]Info, error) {
	dt, err := matMulTypes.same(in, 0, 2)
	if err != nil {
		return nil, err
	}
	out := Info{Type: dt}
	a, b := in[0].Shape, in[1].Shape
	if b == nil && o.packed != nil {
		b = MakeShape(o.kn[:]...)
	}
	if a == nil || b == nil {
		return []Info{out}, nil
	}
	if len(a) == 0 || len(b) == 0 {
		return nil, fmt.Errorf("operands of shapes %s and %s: a scalar has no product", a, b)
	}
	vectorA, vectorB := len(a) == 1, len(b) == 1
	if o.transA && vectorA || o.transB && vectorB {
		return nil, fmt.Errorf("operands of shapes %s and %s: a vector is not transposed", a, b)
	}
	a, b = turnedLast(a, o.transA), turnedLast(b, o.transB)
	if vectorA {
		a = Shape{Known(1), a[0]}
	}
	if vectorB {
		b = Shape{b[0], Known(1)}
	}
	if k, l := a[len(a)-1], b[len(b)-2]; k.IsKnown() && l.IsKnown() && k.N != l.N {
		return nil, fmt.Errorf("operands of shapes %s and %s: %d columns and %d rows", in[0].Shape, in[1].Shape, k.N, l.N)
	}
	if out.Shape, err = broadcastInfo([]Info{{Shape: a[:len(a)-2]}, {Shape: b[:len(b)-2]}}); err != nil {
		return nil, err
	}
	if !vectorA {
		out.Shape = append(out.Shape, a[len(a)-2])
	}
	if !vectorB {
		out.Shape = append(out.Shape, b[len(b)-1])
	}
	return []Info{out}, o.infer(in, out)
}

// turnedLast exchanges the last two dimensions if they are to be.
func turnedLast(s Shape, turn bool) Shape {
	if turn {
		s = slices.Clone(s)
		n := len(s)
		s[n-1], s[n-2] = s[n-2], s[n-1]
	}
	return s
}

// Cost counts a multiplication for each element of the result and of the dimension that is summed over.
func (o *matMul) Cost(in, out []Info) Cost {
	y, ok := out[0].Shape.Known()
	a, okA := in[0].Shape.Known()
	if !ok || !okA || len(a) == 0 {
		return Cost{}
	}
	k := a[len(a)-1]
	if o.transA {
		k = a[len(a)-2]
	}
	return Cost{MACs: int64(product(y)) * int64(k)}
}

// Fuse takes over an addition of a tensor of the result's shape, or of a vector along its last dimension, and a function.
func (o *matMul) Fuse(add bool, act kernel.Activation) Op { return fuseInto(o, add, act) }

// Pack packs a constant matrix b, unless a is known to be a single row: then b is read once, where it is.
func (o *matMul) Pack(cpu *kernel.CPU, info []Info) (Op, []int, error) {
	b := info[1].Value
	if b == nil || b.Type != onnx.Float || len(b.Shape) != 2 || o.packed != nil || o.transA || o.transB {
		return nil, nil, nil
	}
	if a, ok := info[0].Shape.Known(); ok && (len(a) == 1 || len(a) > 1 && product(a[:len(a)-1]) == 1) {
		return nil, nil, nil
	}
	p := *o
	p.kn = [2]int(b.Shape)
	p.packed = kernel.Pack(cpu, tensor.Of[float32](b), p.kn[1], p.kn[0], p.kn[1], false)
	return &p, []int{1}, nil
}

// PackedBytes is the memory that a packed matrix takes.
func (o *matMul) PackedBytes() int64 {
	if o.packed == nil {
		return 0
	}
	return int64(o.packed.Bytes())
}

func (o *matMul) Run(c *Call) error { return throughFloat32(c, o) }

func (o *matMul) run(c *Call) error {
	a, b := c.In[0], c.In[1]
	shapeB := o.kn[:]
	if o.packed == nil {
		shapeB = b.Shape
		if a.Type != b.Type {
			return c.sameTypes(2)
		}
	}
	p := o.states.get()
	defer o.states.put(p)
	if err := p.plan(a.Shape, shapeB, o.transA, o.transB); err != nil {
		return err
	}
	y, err := c.Out(0, a.Type, p.shape)
	if err != nil {
		return err
	}
	switch a.Type {
	case onnx.Float:
		return o.floats(c, p, y)
	case onnx.Double:
		multiplyAll[float64](o, p, y, a, b)
		return o.finish(c, y, y)
	case onnx.Int32:
		multiplyAll[int32](o, p, y, a, b)
	case onnx.Int64:
		multiplyAll[int64](o, p, y, a, b)
	case onnx.Uint32:
		multiplyAll[uint32](o, p, y, a, b)
	case onnx.Uint64:
		multiplyAll[uint64](o, p, y, a, b)
	default:
		return typeError(a.Type)
	}
	if o.add || o.act.Kind != kernel.None {
		return typeError(a.Type)
	}
	return nil
}

// plan computes the shape of the result and how the batches of the operands go together.
func (p *products) plan(a, b []int, transA, transB bool) error {
	if len(a) == 0 || len(b) == 0 || transA && len(a) == 1 || transB && len(b) == 1 {
		return fmt.Errorf("operands of shapes %v and %v have no product", a, b)
	}
	p.m, p.n, p.k = 1, 1, a[len(a)-1]
	rowsOfB := b[0]
	batchA, batchB := a[:0], b[:0]
	if len(a) > 1 {
		p.m, batchA = a[len(a)-2], a[:len(a)-2]
	}
	if len(b) > 1 {
		rowsOfB, p.n, batchB = b[len(b)-2], b[len(b)-1], b[:len(b)-2]
	}
	if transA {
		p.m, p.k = p.k, p.m
	}
	if transB {
		rowsOfB, p.n = p.n, rowsOfB
	}
	if p.k != rowsOfB {
		return fmt.Errorf("operands of shapes %v and %v: %d columns and %d rows", a, b, p.k, rowsOfB)
	}
	if one := len(batchB) == 0 || product(batchB) == 1 && len(batchB) <= len(batchA); one && !transA {
		// One b for all: their rows are those of one matrix.
		p.shape = append(p.shape[:0], batchA...)
		p.a, p.b = p.a[:0], p.b[:0]
		p.batches = 1
		rows := p.m * product(batchA)
		p.finishShape(len(a) > 1, len(b) > 1)
		p.m = rows
		return nil
	}
	if err := p.join(batchA, batchB); err != nil {
		return fmt.Errorf("operands of shapes %v and %v do not broadcast", a, b)
	}
	p.batches = product(p.shape)
	p.finishShape(len(a) > 1, len(b) > 1)
	return nil
}

func (p *products) finishShape(rows, columns bool) {
	if rows {
		p.shape = append(p.shape, p.m)
	}
	if columns {
		p.shape = append(p.shape, p.n)
	}
}

// join broadcasts batch dimensions: p.shape is the result, p.a and p.b are the steps, in matrices.
func (p *products) join(a, b []int) error {
	rank := max(len(a), len(b))
	p.shape, p.a, p.b = resized(p.shape, rank), resized(p.a, rank), resized(p.b, rank)
	stepA, stepB := 1, 1
	for i := rank - 1; i >= 0; i-- {
		da, db := 1, 1
		if k := i - (rank - len(a)); k >= 0 {
			da = a[k]
		}
		if k := i - (rank - len(b)); k >= 0 {
			db = b[k]
		}
		if da != db && da != 1 && db != 1 {
			return fmt.Errorf("dimensions %d and %d", da, db)
		}
		p.shape[i], p.a[i], p.b[i] = da, 0, 0
		if da == 1 {
			p.shape[i] = db
		}
		if da != 1 {
			p.a[i] = stepA
		}
		if db != 1 {
			p.b[i] = stepB
		}
		stepA, stepB = stepA*da, stepB*db
	}
	return nil
}

// matrices returns which matrices of a and b make matrix i of the result.
func (p *products) matrices(i int) (a, b int) {
	for d := len(p.a) - 1; d >= 0; d-- {
		k := i % p.shape[d]
		i /= p.shape[d]
		a, b = a+k*p.a[d], b+k*p.b[d]
	}
	return a, b
}

func (o *matMul) floats(c *Call, p *products, y *tensor.Tensor) error {
	a, dst := tensor.Of[float32](c.In[0]), tensor.Of[float32](y)
	if len(dst) == 0 {
		return nil
	}
	p.epilogue = kernel.Epilogue{Act: o.act}
	if t := c.In[len(c.In)-1]; o.add && t != nil && t.Type == onnx.Float && !slices.Equal(t.Shape, y.Shape) &&
		t.Len() == p.n && len(t.Shape) > 0 && t.Shape[len(t.Shape)-1] == p.n {
		p.epilogue.Bias = tensor.Of[float32](t)
	} else {
		add, err := o.addend(c, y)
		if err != nil {
			return err
		}
		p.epilogue.Add = add
	}
	if o.packed != nil {
		o.packed.Gemm(c.CPU, p.m, a, p.k, dst, p.n, &p.epilogue, p.n)
		p.epilogue = kernel.Epilogue{}
		return nil
	}
	b := tensor.Of[float32](c.In[1])
	p.products = resized(p.products, p.batches)
	lda, ldb := p.k, p.n
	if o.transA {
		lda = p.m
	}
	if o.transB {
		ldb = p.k
	}
	for i := range p.products {
		ma, mb := p.matrices(i)
		q := kernel.Product{
			TransA: o.transA, TransB: o.transB, M: p.m, N: p.n, K: p.k, Alpha: 1, A: a[ma*p.m*p.k:], LDA: lda, B: b[mb*p.k*p.n:], LDB: ldb,
			C: dst[i*p.m*p.n:], LDC: p.n, Epilogue: p.epilogue,
		}
		if q.Add != nil {
			q.Add = q.Add[i*p.m*p.n:]
		}
		p.products[i] = q
	}
	kernel.GemmBatch(c.CPU, p.products)
	clear(p.products)
	p.epilogue = kernel.Epilogue{}
	return nil
}

func multiplyAll[T number](o *matMul, p *products, y, a, b *tensor.Tensor) {
	dst, x, w := elements[T](y), elements[T](a), elements[T](b)
	for i := range p.batches {
		ma, mb := p.matrices(i)
		multiplyTurned(dst[i*p.m*p.n:], x[ma*p.m*p.k:], w[mb*p.k*p.n:], p, o.transA, o.transB)
	}
}

// multiplyTurned computes a product of matrices that may be stored transposed.
func multiplyTurned[T number](dst, a, b []T, p *products, transA, transB bool) {
	if !transA && !transB {
		multiplyRows(dst, a, b, p.m, p.n, p.k)
		return
	}
	stepA, nextA, stepB, nextB := 1, p.k, p.n, 1 // along k, and along m or n
	if transA {
		stepA, nextA = p.m, 1
	}
	if transB {
		stepB, nextB = 1, p.k
	}
	for i := range p.m {
		for j := range p.n {
			var sum T
			for l := range p.k {
				sum += a[i*nextA+l*stepA] * b[j*nextB+l*stepB]
			}
			dst[i*p.n+j] = sum
		}
	}
}

// multiplyRows computes dst [m, n] = a [m, k] · b [k, n].
func multiplyRows[T number](dst, a, b []T, m, n, k int) {
	for i := range m {
		row := dst[i*n:][:n]
		clear(row)
		for l, v := range a[i*k:][:k] {
			for j, u := range b[l*n:][:n] {
				row[j] += v * u
			}
		}
	}
}

// Gradient is products of what arrives with the operands. Of one matrix for all of a batch it is one product over all of that.
func (o *matMul) Gradient(g *Gradient) error {
	dy, _ := g.Of(0)
	a, b := g.In(0), g.In(1)
	x, w := a.Dims(), b.Dims()
	if o.transA || o.transB {
		return errors.New("attributes transA and transB are not supported")
	}
	if len(x) == 1 {
		x = []int{1, x[0]}
	}
	if len(w) == 1 {
		w = []int{w[0], 1}
	}
	m, k, n := x[len(x)-2], x[len(x)-1], w[len(w)-1]
	if product(w) == k*n && len(w) <= len(x) {
		rows := m * product(x[:len(x)-2])
		a, b, dy = g.Reshape(a, []int{rows, k}), g.Reshape(b, []int{k, n}), g.Reshape(dy, []int{rows, n})
		if g.Wants(0) {
			g.Set(0, g.Reshape(g.Node("Gemm", with(attrBool("transB", true)), dy, b), g.In(0).Dims()))
		}
		if g.Wants(1) {
			g.Set(1, g.Reshape(g.Node("Gemm", with(attrBool("transA", true)), a, dy), g.In(1).Dims()))
		}
		return nil
	}
	full, err := broadcastInfo([]Info{{Shape: MakeShape(x[:len(x)-2]...)}, {Shape: MakeShape(w[:len(w)-2]...)}})
	if err != nil {
		return err
	}
	outer, _ := full.Known()
	dy = g.Reshape(dy, append(slices.Clone(outer), m, n))
	a, b = g.Reshape(a, x), g.Reshape(b, w)
	if g.Wants(0) {
		g.Set(0, g.Reshape(g.SumTo(g.Node("MatMul", with(attrBool("transB", true)), dy, b), x), g.In(0).Dims()))
	}
	if g.Wants(1) {
		g.Set(1, g.Reshape(g.SumTo(g.Node("MatMul", with(attrBool("transA", true)), a, dy), w), g.In(1).Dims()))
	}
	return nil
}
