package ops

import (
	"fmt"
	"slices"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// recurrent is what LSTM, GRU and RNN have in common: a cell that is applied to one position of the sequences after another,
// forward, in reverse or both.
//
// T positions, B sequences, I features, H hidden numbers, D directions, G gates. X is [T, B, I], W [D, G·H, I], R [D, G·H, H],
// B [D, 2·G·H] of the input's and the state's bias, Y [T, D, B, H], states [D, B, H]; with the attribute layout 1 the batch
// comes first: X [B, T, I], Y [B, T, D, H], states [B, D, H]. Sequences may have lengths of their own: Y is then zero behind
// their end, where reverse directions begin; the last states of an empty sequence are zero too, as in ONNX Runtime.
type recurrent struct {
	cell        cell
	reverse     []bool   // a direction each
	acts        [][]gate // of each direction
	clip        float64  // 0: none
	hidden      int      // 0: not said
	batchFirst  bool
	linear      bool // linear_before_reset of GRU
	inputForget bool // of LSTM
	packed      *recurrentWeights
}

type cell uint8

const (
	rnnCell cell = iota
	gruCell
	lstmCell
)

// gates returns the number of gates, and of states that outlive a step.
func (c cell) gates() (gates, states int) {
	switch c {
	case gruCell:
		return 3, 1
	case lstmCell:
		return 4, 2
	}
	return 1, 1
}

// newRecurrent reads the attributes; names are the default activations of a direction.
func newRecurrent(n *Node, c cell, names ...string) (Op, error) {
	o := &recurrent{
		cell: c, clip: float64(n.Float("clip", 0)), hidden: n.Int("hidden_size", 0),
		linear: n.Bool("linear_before_reset", false), inputForget: n.Bool("input_forget", false),
	}
	switch d := n.Text("direction", "forward"); d {
	case "forward":
		o.reverse = []bool{false}
	case "reverse":
		o.reverse = []bool{true}
	case "bidirectional":
		o.reverse = []bool{false, true}
	default:
		return nil, fmt.Errorf("attribute direction is %q", d)
	}
	if n.Opset >= 14 {
		o.batchFirst = n.Bool("layout", false)
	}
	if o.clip < 0 {
		return nil, fmt.Errorf("attribute clip is %g", o.clip)
	}
	var err error
	o.acts, err = n.gates(names, len(o.reverse))
	return o, err
}

func newRNN(n *Node) (Op, error)  { return newRecurrent(n, rnnCell, "Tanh") }
func newGRU(n *Node) (Op, error)  { return newRecurrent(n, gruCell, "Sigmoid", "Tanh") }
func newLSTM(n *Node) (Op, error) { return newRecurrent(n, lstmCell, "Sigmoid", "Tanh", "Tanh") }

func (o *recurrent) Infer(in []Info) ([]Info, error) {
	seq, batch, hidden := Unknown, Unknown, Unknown
	for i, rank := range []int{3, 3, 3} {
		if s := in[i].Shape; s != nil && len(s) != rank {
			return nil, fmt.Errorf("input %d has rank %d, not %d", i, len(s), rank)
		}
	}
	if x := in[0].Shape; x != nil {
		seq, batch = x[0], x[1]
		if o.batchFirst {
			seq, batch = batch, seq
		}
	}
	if o.hidden > 0 {
		hidden = Known(o.hidden)
	}
	if r := in[2].Shape; r != nil {
		if hidden.IsKnown() && r[2].IsKnown() && r[2] != hidden {
			return nil, fmt.Errorf("input 2 is for %s hidden numbers, attribute hidden_size says %s", r[2], hidden)
		}
		hidden = sharper(r[2], hidden)
	}
	d := Known(len(o.reverse))
	y, state := Shape{seq, d, batch, hidden}, Shape{d, batch, hidden}
	if o.batchFirst {
		y, state = Shape{batch, seq, d, hidden}, Shape{batch, d, hidden}
	}
	_, states := o.cell.gates()
	out := []Info{{Type: in[0].Type, Shape: y}}
	for range states {
		out = append(out, Info{Type: in[0].Type, Shape: slices.Clone(state)})
	}
	return out, nil
}

// Cost counts the products with W and R.
func (o *recurrent) Cost(in, _ []Info) Cost {
	x, w, r := in[0].Shape, in[1].Shape, in[2].Shape
	return Cost{MACs: int64(x[0].N) * int64(x[1].N) * int64(w[0].N) * int64(w[1].N) * int64(w[2].N+r[2].N)}
}

// extent are the sizes of a run: positions, sequences, features, hidden numbers.
type extent struct{ seq, batch, in, hidden int }

// block is how many positions are multiplied by W at once: they need not all be in memory.
func (e extent) block(gates int) int {
	return max(1, min(e.seq, 1<<20/max(1, e.batch*(gates*e.hidden+e.in))))
}

// scratch returns how many numbers a run needs beside its inputs and outputs.
func (e extent) scratch(gates int) int {
	return e.block(gates)*e.batch*(gates*e.hidden+e.in) + 3*e.batch*e.hidden + 2*gates*e.hidden
}

// Scratch implements Scratcher.
func (o *recurrent) Scratch(_ *kernel.CPU, in []Info) int {
	x, ok := in[0].Shape.Known()
	if !ok || len(x) != 3 || in[0].Type == onnx.Double {
		return 0
	}
	gates, _ := o.cell.gates()
	if o.packed != nil {
		return o.extent(x, o.packed.hidden).scratch(gates)
	}
	r, ok := in[2].Shape.Known()
	if !ok || len(r) != 3 {
		return 0
	}
	return o.extent(x, r[2]).scratch(gates)
}

func (o *recurrent) extent(x []int, hidden int) extent {
	if o.batchFirst {
		return extent{x[1], x[0], x[2], hidden}
	}
	return extent{x[0], x[1], x[2], hidden}
}

func (o *recurrent) Run(c *Call) error {
	var hidden int
	x := c.In[0]
	switch r := c.In[2]; {
	case len(x.Shape) != 3 || r != nil && len(r.Shape) != 3:
		return fmt.Errorf("inputs 0 and 2 are %s and %s, not of three dimensions", x, r)
	case o.packed != nil:
		hidden = o.packed.hidden
	default:
		hidden = r.Shape[2]
	}
	e := o.extent(x.Shape, hidden)
	if err := o.check(c.In, e); err != nil {
		return err
	}
	switch x.Type {
	case onnx.Float, onnx.Float16, onnx.BFloat16:
		return runRecurrent(o, c, e, c.Scratch)
	case onnx.Double:
		return runRecurrent[float64](o, c, e, nil)
	}
	return fmt.Errorf("input 0 is of type %s, not a floating-point type", x.Type)
}

// check compares the shapes and types of all inputs with what the extent asks for.
func (o *recurrent) check(in []*tensor.Tensor, e extent) error {
	gates, _ := o.cell.gates()
	d, state := len(o.reverse), []int{len(o.reverse), e.batch, e.hidden}
	if o.batchFirst {
		state = []int{e.batch, d, e.hidden}
	}
	want := [][]int{in[0].Shape, {d, gates * e.hidden, e.in}, {d, gates * e.hidden, e.hidden}, {d, 2 * gates * e.hidden}, {e.batch}, state, state, {d, 3 * e.hidden}}
	for i, t := range in {
		if t == nil {
			continue
		}
		dt := in[0].Type
		if i == 4 {
			dt = onnx.Int32
		}
		if t.Type != dt || !slices.Equal(t.Shape, want[i]) {
			return fmt.Errorf("input %d is %s, not %s", i, t, tensor.Describe(dt, want[i]))
		}
	}
	if o.packed != nil && in[0].Type != onnx.Float {
		return fmt.Errorf("input 0 is %s, the weights are float", in[0])
	}
	if e.in == 0 || e.hidden == 0 || o.packed != nil && e.in != o.packed.in {
		return fmt.Errorf("input 0 is %s, of %d features", in[0], e.in)
	}
	if o.hidden > 0 && o.hidden != e.hidden {
		return fmt.Errorf("input 2 is for %d hidden numbers, attribute hidden_size says %d", e.hidden, o.hidden)
	}
	if len(in) > 4 && in[4] != nil {
		for _, n := range tensor.Of[int32](in[4]) {
			if n < 0 || int(n) > e.seq {
				return fmt.Errorf("a sequence length is %d, of at most %d", n, e.seq)
			}
		}
	}
	return nil
}

// pass is one direction of a run.
type pass[T floating] struct {
	extent
	o        *recurrent
	cpu      *kernel.CPU
	reverse  bool
	acts     []gate
	lens     []int32 // nil: all are seq
	x, p     []T     // features; peepholes of this direction
	w, r, rh *factor[T]
	bias     []T // of the product with W
	rb       []T // of the product with R, for the hidden gate of a linear GRU
	h, c     []T // states [batch, hidden]
	tmp      []T // [batch, hidden]
	gates    []T // [batch, gates, hidden]
}

// realsOf returns the elements of an optional input, converted where they are not of type T.
func realsOf[T floating](in []*tensor.Tensor, i int) []T {
	if i >= len(in) || in[i] == nil {
		return nil
	}
	t := in[i]
	if t.Type == tensor.TypeOf[T]() {
		return tensor.Of[T](t)
	}
	out := make([]T, t.Len())
	if f, ok := any(out).([]float32); ok {
		t.Floats(f, 0)
	}
	return out
}

func runRecurrent[T floating](o *recurrent, c *Call, e extent, scratch []T) error {
	gates, states := o.cell.gates()
	d := len(o.reverse)
	shapeY, shape := []int{e.seq, d, e.batch, e.hidden}, []int{d, e.batch, e.hidden}
	if o.batchFirst {
		shapeY, shape = []int{e.batch, e.seq, d, e.hidden}, []int{e.batch, d, e.hidden}
	}
	outs := make([][]T, 1+states) // nil where nobody asks
	for i := range outs {
		if !c.wants(i) {
			continue
		}
		s := shape
		if i == 0 {
			s = shapeY
		}
		t, err := c.Out(i, c.In[0].Type, s)
		if err != nil {
			return err
		}
		if t.Type == tensor.TypeOf[T]() {
			outs[i] = tensor.Of[T](t)
		} else {
			outs[i] = make([]T, t.Len())
		}
	}
	if n := e.scratch(gates); len(scratch) < n {
		scratch = make([]T, n)
	}
	p := pass[T]{extent: e, o: o, cpu: c.CPU, x: realsOf[T](c.In, 0)}
	if len(c.In) > 4 && c.In[4] != nil {
		p.lens = tensor.Of[int32](c.In[4])
		clear(outs[0])
	}
	w, r, bias, peep := realsOf[T](c.In, 1), realsOf[T](c.In, 2), realsOf[T](c.In, 3), realsOf[T](c.In, 7)
	initial := [2][]T{realsOf[T](c.In, 5), realsOf[T](c.In, 6)}
	gh := gates * e.hidden
	for k := range d {
		p.reverse, p.acts = o.reverse[k], o.acts[k]
		p.factors(w, r, k, gh)
		if peep != nil {
			p.p = peep[3*e.hidden*k : 3*e.hidden*(k+1)]
		}
		rest := p.carve(scratch, gh)
		if bias != nil {
			p.addBias(bias[2*gh*k:2*gh*(k+1)], gh)
		}
		p.state(initial[0], p.h, k, d, true)
		p.state(initial[1], p.c, k, d, true)
		p.run(outs[0], rest, k, d)
		p.forgetEmpty()
		p.state(outs[1], p.h, k, d, false)
		if states == 2 {
			p.state(outs[2], p.c, k, d, false)
		}
	}
	for i, v := range outs {
		if f, ok := any(v).([]float32); ok && v != nil && c.In[0].Type != onnx.Float {
			c.Outs[i].SetFloats(0, f, false)
		}
	}
	return nil
}

// carve cuts the buffers of a direction from scratch, sets them to zero, and returns the rest.
func (p *pass[T]) carve(scratch []T, gh int) []T {
	n := p.batch * p.hidden
	clear(scratch[:3*n+2*gh])
	for _, b := range []*[]T{&p.h, &p.c, &p.tmp} {
		*b, scratch = scratch[:n:n], scratch[n:]
	}
	p.bias, p.rb, scratch = scratch[:gh], scratch[gh:2*gh], scratch[2*gh:]
	return scratch
}

// addBias adds the two biases of each gate, but keeps that of the state of a linear GRU's hidden gate.
func (p *pass[T]) addBias(b []T, gh int) {
	copy(p.bias, b[:gh])
	n := gh
	if p.o.linear {
		n = gh - p.hidden
		copy(p.rb, b[gh+n:])
	}
	for i, v := range b[gh : gh+n] {
		p.bias[i] += v
	}
}

// state copies the state of direction k out of (in) or into a tensor of all directions.
func (p *pass[T]) state(all, one []T, k, d int, in bool) {
	if all == nil {
		return
	}
	for b := range p.batch {
		at := (k*p.batch + b) * p.hidden
		if p.o.batchFirst {
			at = (b*d + k) * p.hidden
		}
		src, dst := one[b*p.hidden:(b+1)*p.hidden], all[at:at+p.hidden]
		if in {
			src, dst = dst, src
		}
		copy(dst, src)
	}
}

// forgetEmpty sets the states of empty sequences to zero.
func (p *pass[T]) forgetEmpty() {
	for b, n := range p.lens {
		if n == 0 {
			clear(p.h[b*p.hidden : (b+1)*p.hidden])
			clear(p.c[b*p.hidden : (b+1)*p.hidden])
		}
	}
}

// position returns where sequence b is at a step, and false when it has ended.
func (p *pass[T]) position(b, step int) (int, bool) {
	n := p.seq
	if p.lens != nil {
		n = int(p.lens[b])
	}
	if p.reverse {
		return n - 1 - step, step < n
	}
	return step, step < n
}

// run goes through the sequences and writes the hidden states to y, if it is not nil, as direction k of d.
func (p *pass[T]) run(y, scratch []T, k, d int) {
	n, _ := p.o.cell.gates()
	gh := n * p.hidden
	block := p.extent.block(n)
	for first := 0; first < p.seq; first += block {
		steps := min(block, p.seq-first)
		x, rest := p.rows(scratch, first, steps)
		xw := rest[:steps*p.batch*gh]
		timesRows(p.cpu, xw, gh, x, p.in, p.w, steps*p.batch, false, p.bias)
		for s := range steps {
			p.gates = xw[s*p.batch*gh : (s+1)*p.batch*gh]
			switch p.o.cell {
			case lstmCell:
				p.lstm(first + s)
			case gruCell:
				p.gru(first + s)
			default:
				p.rnn(first + s)
			}
			p.emit(y, first+s, k, d)
		}
	}
}

// rows returns the features of all sequences at steps first, first+1, … [steps, batch, in], and what is left of scratch.
func (p *pass[T]) rows(scratch []T, first, steps int) (x, rest []T) {
	n := steps * p.batch * p.in
	if !p.o.batchFirst && !p.reverse && p.lens == nil {
		return p.x[first*p.batch*p.in:][:n], scratch
	}
	x, rest = scratch[:n], scratch[n:]
	for s := range steps {
		for b := range p.batch {
			dst := x[(s*p.batch+b)*p.in:][:p.in]
			t, ok := p.position(b, first+s)
			if !ok {
				clear(dst)
				continue
			}
			at := t*p.batch + b
			if p.o.batchFirst {
				at = b*p.seq + t
			}
			copy(dst, p.x[at*p.in:])
		}
	}
	return x, rest
}

// emit copies the hidden states after a step to y.
func (p *pass[T]) emit(y []T, step, k, d int) {
	if y == nil {
		return
	}
	for b := range p.batch {
		t, ok := p.position(b, step)
		if !ok {
			continue
		}
		at := (t*d+k)*p.batch + b
		if p.o.batchFirst {
			at = (b*p.seq+t)*d + k
		}
		copy(y[at*p.hidden:(at+1)*p.hidden], p.h[b*p.hidden:])
	}
}
