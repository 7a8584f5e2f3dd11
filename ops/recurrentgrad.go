package ops

import (
	"errors"
	"fmt"
	"slices"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// recurrentGrad is LSTMGrad, GRUGrad and RNNGrad of [Domain]: the gradients of the inputs of LSTM, GRU or RNN, whose attributes they have.
//
// Inputs 0 to 7 are those of the operator, 8 is its output Y, and 9, 10 and 11 are what arrives at Y, at the last hidden state and at the
// last cell; each may be left out. Outputs are the gradients of X, W, R, B, the initial hidden state, the initial cell and the peepholes.
//
// The gates are computed again, for all positions at once: Y has the hidden states that they need.
type recurrentGrad struct {
	*recurrent
	one *states[backPass[float32]]
	two *states[backPass[float64]]
}

// Inputs and outputs of recurrentGrad.
const (
	backY = 8 + iota
	backDY
	backDH
	backDC
)

func newRecurrentGrad(forward func(*Node) (Op, error)) func(*Node) (Op, error) {
	return func(n *Node) (Op, error) {
		o, err := forward(n)
		if err != nil {
			return nil, err
		}
		r := &recurrentGrad{o.(*recurrent), new(states[backPass[float32]]), new(states[backPass[float64]])}
		if r.clip > 0 {
			return nil, errors.New("attribute clip is not supported")
		}
		for _, acts := range r.acts {
			for _, a := range acts {
				if a.rising && a.alpha < 0 {
					return nil, fmt.Errorf("activations with attribute activation_alpha of %g are not supported", a.alpha)
				}
			}
		}
		return r, nil
	}
}

// Gradient is an operator of its own.
func (o *recurrent) Gradient(g *Gradient) error {
	attrs := append(g.Attributes("activation_alpha", "activation_beta", "activations", "clip", "direction", "hidden_size", "input_forget",
		"linear_before_reset"), attrBool("layout", o.batchFirst))
	in := make([]Value, backDC+1)
	for i := range backY {
		in[i] = g.In(i)
	}
	in[backY] = g.Out(0)
	for i := range 3 {
		in[backDY+i], _ = g.Of(i)
	}
	for i, v := range g.Nodes(g.Operator()+"Grad", len(backInputs), attrs, in...) {
		if from := backInputs[i]; g.Wants(from) {
			g.Set(from, v)
		}
	}
	return nil
}

// backInputs are the inputs that the outputs are the gradients of.
var backInputs = [...]int{0, 1, 2, 3, 5, 6, 7}

// Infer implements Op.
func (o *recurrentGrad) Infer(in []Info) ([]Info, error) {
	if len(in) != backDC+1 {
		return nil, fmt.Errorf("%d inputs, not %d", len(in), backDC+1)
	}
	out := make([]Info, len(backInputs))
	for i, from := range backInputs {
		out[i] = Info{Type: in[0].Type, Shape: in[from].Shape}
		if out[i].Shape == nil {
			out[i].Shape = Shape{Known(0)} // of an input that was left out
		}
	}
	return out, typesFloat.check(in, 0)
}

// Cost counts the products of the gates, of their gradients with the weights, and of these with the inputs.
func (o *recurrentGrad) Cost(in, out []Info) Cost {
	c := o.recurrent.Cost(in, out)
	c.MACs *= 3
	return c
}

// Scratch asks for none: the pass keeps its memory.
func (o *recurrentGrad) Scratch(*kernel.CPU, []Info) int { return 0 }

// Pack packs nothing.
func (o *recurrentGrad) Pack(*kernel.CPU, []Info) (Op, []int, error) { return nil, nil, nil }

// Run implements Op.
func (o *recurrentGrad) Run(c *Call) error { return throughFloat32(c, o) }

func (o *recurrentGrad) run(c *Call) error {
	x, r := c.In[0], c.In[2]
	if len(x.Shape) != 3 || len(r.Shape) != 3 {
		return fmt.Errorf("inputs 0 and 2 are %s and %s, not of three dimensions", x, r)
	}
	e := o.extent(x.Shape, r.Shape[2])
	if err := o.check(c.In[:backY], e); err != nil {
		return err
	}
	d := len(o.reverse)
	y, state := []int{e.seq, d, e.batch, e.hidden}, []int{d, e.batch, e.hidden}
	if o.batchFirst {
		y, state = []int{e.batch, e.seq, d, e.hidden}, []int{e.batch, d, e.hidden}
	}
	for i, want := range [][]int{y, y, state, state} {
		if t := c.In[backY+i]; t != nil && (t.Type != x.Type || !slices.Equal(t.Shape, want)) {
			return fmt.Errorf("input %d is %s, not %s", backY+i, t, tensor.Describe(x.Type, want))
		}
	}
	switch x.Type {
	case onnx.Float:
		return runRecurrentGrad(c, o, o.one, e)
	case onnx.Double:
		return runRecurrentGrad(c, o, o.two, e)
	}
	return typeError(x.Type)
}

// backPass is one direction of a run. What has a row for each step and sequence is [steps, batch, …] in the order of the steps.
type backPass[T floating] struct {
	pass[T]
	pool  []T
	xs    []T // features
	prev  []T // hidden states before each step
	gate  []T // gates, then the gradients of their arguments
	cells []T // of LSTM, [1 + steps, batch, hidden], the first before all
	other []T // of LSTM the activated cells; of GRU what the reset gate multiplies, or r ⊙ h
	outer []T // of GRU the gradients of what is multiplied with the hidden gate's part of R
	dh    []T // [batch, hidden], of the state after the step
	dc    []T
	next  []T
	dp    []T // of the peepholes
	back  [2]*factor[T]
	outs  [len(backInputs)][]T // empty where they are not asked for
	spare []T                  // [steps, batch, in]
}

func runRecurrentGrad[T floating](c *Call, o *recurrentGrad, s *states[backPass[T]], e extent) error {
	p := s.get()
	defer s.put(p)
	*p = backPass[T]{pool: p.pool, pass: pass[T]{extent: e, o: o.recurrent, cpu: c.CPU, x: realsOf[T](c.In, 0)}}
	if t := c.In[4]; t != nil {
		p.lens = tensor.Of[int32](t)
	}
	none := [1]int{}
	for i, from := range backInputs {
		if !c.wants(i) {
			continue
		}
		shape := none[:]
		if c.In[from] != nil {
			shape = c.In[from].Shape
		}
		t, err := c.Out(i, c.In[0].Type, shape)
		if err != nil {
			return err
		}
		if p.outs[i] = tensor.Of[T](t); i == 0 {
			clear(p.outs[i])
		}
	}
	for k := range o.reverse {
		p.direction(c, k)
	}
	*p = backPass[T]{pool: p.pool}
	return nil
}

// takeFrom cuts n numbers, whatever they hold, from the memory that rest is.
func takeFrom[T any](rest *[]T, n int) []T {
	s := (*rest)[:n:n]
	*rest = (*rest)[n:]
	return s
}

// direction does direction k.
func (p *backPass[T]) direction(c *Call, k int) {
	gates, _ := p.o.cell.gates()
	d, gh, n := len(p.o.reverse), gates*p.hidden, p.batch*p.hidden
	rows := p.seq * p.batch
	p.pool = resized(p.pool, rows*(p.in+gh)+4*rows*p.hidden+9*n+3*p.hidden+2*gh+gh*max(p.in, p.hidden))
	rest := p.pool
	p.spare = takeFrom(&rest, rows*p.in)
	p.prev, p.gate, p.other = takeFrom(&rest, rows*p.hidden), takeFrom(&rest, rows*gh), takeFrom(&rest, rows*p.hidden)
	p.cells, p.outer = takeFrom(&rest, rows*p.hidden+n), takeFrom(&rest, rows*p.hidden)
	p.dh, p.dc, p.next, p.dp = takeFrom(&rest, n), takeFrom(&rest, n), takeFrom(&rest, n), takeFrom(&rest, 3*p.hidden)
	p.reverse, p.acts = p.o.reverse[k], p.o.acts[k]
	p.carve(rest[:3*n+2*gh], gh)
	clear(p.dh)
	clear(p.dc)
	clear(p.dp)
	clear(p.outer)
	w, r := realsOf[T](c.In, 1)[k*gh*p.in:][:gh*p.in], realsOf[T](c.In, 2)[k*gh*p.hidden:][:gh*p.hidden]
	p.factors(realsOf[T](c.In, 1), realsOf[T](c.In, 2), k, gh)
	if b := realsOf[T](c.In, 3); b != nil {
		p.addBias(b[2*gh*k:2*gh*(k+1)], gh)
	}
	if peep := realsOf[T](c.In, 7); peep != nil {
		p.p = peep[3*p.hidden*k : 3*p.hidden*(k+1)]
	}
	p.state(realsOf[T](c.In, 5), p.h, k, d, true)
	p.state(realsOf[T](c.In, 6), p.c, k, d, true)
	p.state(realsOf[T](c.In, backDH), p.dh, k, d, true)
	p.state(realsOf[T](c.In, backDC), p.dc, k, d, true)
	p.xs, _ = p.rows(p.spare, 0, p.seq)
	p.before(realsOf[T](c.In, backY), k, d)
	timesRows(p.cpu, p.gate, gh, p.xs, p.in, p.w, rows, false, p.bias)
	p.turn(rest[3*n+2*gh:], r, gh)
	dy := realsOf[T](c.In, backDY)
	switch p.o.cell {
	case lstmCell:
		p.lstmForward()
	case gruCell:
		p.gruForward()
	default:
		p.rnnForward()
	}
	for step := p.seq - 1; step >= 0; step-- {
		p.arrive(dy, step, k, d)
		switch p.o.cell {
		case lstmCell:
			p.lstmBack(step)
		case gruCell:
			p.gruBack(step)
		default:
			p.rnnBack(step)
		}
		p.advance(step)
	}
	p.forgetEmptyGradients()
	p.deliver(k, d, gh, w)
}

// turn prepares products with R, of a GRU's hidden gate apart.
func (p *backPass[T]) turn(room, r []T, gh int) {
	of := func(rows []T, n int) *factor[T] {
		t := room[:len(rows)]
		for i := range n {
			for j := range p.hidden {
				t[j*n+i] = rows[i*p.hidden+j]
			}
		}
		room = room[len(rows):]
		return newFactor(p.cpu, t, p.hidden, n)
	}
	if p.o.cell == gruCell {
		first := gh - p.hidden
		p.back = [2]*factor[T]{of(r[:first*p.hidden], first), of(r[first*p.hidden:], p.hidden)}
		return
	}
	p.back[0] = of(r, gh)
}

// before collects the hidden states before each step: the initial ones, then those of Y.
func (p *backPass[T]) before(y []T, k, d int) {
	n := p.batch * p.hidden
	copy(p.prev, p.h)
	for step := range p.seq - 1 {
		now := p.prev[(step+1)*n:][:n]
		copy(now, p.prev[step*n:][:n]) // of sequences that have ended
		for b := range p.batch {
			if at, ok := p.at(b, step, k, d); ok {
				copy(now[b*p.hidden:][:p.hidden], y[at:])
			}
		}
	}
}

// at returns where in Y the hidden state of sequence b after a step is; false if the sequence has ended.
func (p *backPass[T]) at(b, step, k, d int) (int, bool) {
	t, ok := p.position(b, step)
	at := (t*d+k)*p.batch + b
	if p.o.batchFirst {
		at = (b*p.seq+t)*d + k
	}
	return at * p.hidden, ok
}

// arrive adds to the gradients of the hidden states what arrives at Y.
func (p *backPass[T]) arrive(dy []T, step, k, d int) {
	for b := range p.batch {
		if at, ok := p.at(b, step, k, d); ok && dy != nil {
			addTo(p.dh[b*p.hidden:][:p.hidden], dy[at:])
		}
	}
}

// advance takes the gradients of the states before a step, which next has, for those of sequences that have not ended.
func (p *backPass[T]) advance(step int) {
	for b := range p.batch {
		if _, ok := p.position(b, step); ok {
			copy(p.dh[b*p.hidden:][:p.hidden], p.next[b*p.hidden:])
		}
	}
}

// forgetEmptyGradients sets those of the states of empty sequences to zero, as the last states are zero whatever the first are.
func (p *backPass[T]) forgetEmptyGradients() {
	for b, n := range p.lens {
		if n == 0 {
			clear(p.dh[b*p.hidden:][:p.hidden])
			clear(p.dc[b*p.hidden:][:p.hidden])
		}
	}
}

// deliver computes what is asked for from the gradients of the gates' arguments.
func (p *backPass[T]) deliver(k, d, gh int, w []T) {
	rows, h := p.seq*p.batch, p.hidden
	first, dg := gh, matrix[T]{p.gate, gh, true} // first are the numbers of gates whose part of R is multiplied with the state before
	if p.o.cell == gruCell {
		first = gh - h
	}
	if dw := p.outs[1]; len(dw) > 0 {
		multiplyMatrices(p.cpu, dw[k*gh*p.in:], p.in, dg, matrix[T]{p.xs, p.in, false}, gh, p.in, rows)
	}
	if dr := p.outs[2]; len(dr) > 0 {
		dr = dr[k*gh*h:][:gh*h]
		multiplyMatrices(p.cpu, dr, h, dg, matrix[T]{p.prev, h, false}, first, h, rows)
		if p.o.cell == gruCell {
			by := p.prev
			if !p.o.linear {
				by = p.other
			}
			multiplyMatrices(p.cpu, dr[first*h:], h, matrix[T]{p.outer, h, true}, matrix[T]{by, h, false}, h, h, rows)
		}
	}
	if db := p.outs[3]; len(db) > 0 {
		db = db[2*gh*k:][:2*gh]
		clear(db)
		for i := range rows {
			addTo(db[:gh], p.gate[i*gh:])
			addTo(db[gh:][:first], p.gate[i*gh:])
			if p.o.cell == gruCell {
				addTo(db[gh+first:][:h], p.outer[i*h:])
			}
		}
	}
	if dx := p.outs[0]; len(dx) > 0 {
		multiplyMatrices(p.cpu, p.spare, p.in, matrix[T]{p.gate, gh, false}, matrix[T]{w, p.in, false}, rows, p.in, gh)
		p.spread(dx)
	}
	for i, v := range [...][]T{p.dh, p.dc} {
		if out := p.outs[4+i]; len(out) > 0 {
			p.state(out, v, k, d, false)
		}
	}
	if dp := p.outs[6]; len(dp) > 0 {
		copy(dp[3*h*k:], p.dp)
	}
}

// spread adds the gradients of the features, in the order of steps, to where they belong.
func (p *backPass[T]) spread(dx []T) {
	for step := range p.seq {
		for b := range p.batch {
			t, ok := p.position(b, step)
			if !ok {
				continue
			}
			at := t*p.batch + b
			if p.o.batchFirst {
				at = b*p.seq + t
			}
			addTo(dx[at*p.in:][:p.in], p.spare[(step*p.batch+b)*p.in:])
		}
	}
}

// matrix is a matrix whose rows are ld apart, or if turned the transpose of that.
type matrix[T floating] struct {
	data   []T
	ld     int
	turned bool
}

// multiplyMatrices computes dst [m, n] = a [m, k] · b [k, n], with rows of dst ldc apart.
func multiplyMatrices[T floating](cpu *kernel.CPU, dst []T, ldc int, a, b matrix[T], m, n, k int) {
	if d, ok := any(dst).([]float32); ok {
		kernel.Gemm(cpu, &kernel.Product{
			M: m, N: n, K: k, Alpha: 1, A: any(a.data).([]float32), LDA: a.ld, TransA: a.turned, B: any(b.data).([]float32), LDB: b.ld, TransB: b.turned,
			C: d, LDC: ldc,
		})
		return
	}
	at := func(x *matrix[T], i, j int) T {
		if x.turned {
			i, j = j, i
		}
		return x.data[i*x.ld+j]
	}
	for i := range m {
		for j := range n {
			var sum T
			for l := range k {
				sum += at(&a, i, l) * at(&b, l, j)
			}
			dst[i*ldc+j] = sum
		}
	}
}
