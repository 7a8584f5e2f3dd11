package ops

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// einsum is Einsum: each index of the equation is a dimension of one extent; the result is the sum, over the indices that it lacks, of products
// of one element of each operand. Types: numbers; integers wrap. Operands are contracted two at a time from the left, each as a
// batched matrix product. An ellipsis stands for dimensions that broadcast.
type einsum struct {
	inputs []string // labels of each operand; ellipsis is '.'
	output string
}

const ellipsis = '.'

func newEinsum(n *Node) (Op, error) {
	if !n.Has("equation") {
		return nil, errors.New("attribute equation is missing")
	}
	equation := strings.ReplaceAll(strings.ReplaceAll(n.Text("equation", ""), " ", ""), "...", string(ellipsis))
	left, right, explicit := strings.Cut(equation, "->")
	o := &einsum{inputs: strings.Split(left, ","), output: right}
	if len(o.inputs) != len(n.Inputs) {
		return nil, fmt.Errorf("attribute equation %q has %d operands, the node %d", equation, len(o.inputs), len(n.Inputs))
	}
	for _, s := range append(slices.Clone(o.inputs), right) {
		for i, r := range s {
			if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == ellipsis && strings.IndexRune(s, r) == i) {
				return nil, fmt.Errorf("attribute equation %q is not understood at %q", equation, s[i:])
			}
		}
	}
	if !explicit {
		o.output = implicit(left)
	}
	for i, r := range o.output {
		if !strings.ContainsRune(left, r) && r != ellipsis || strings.IndexRune(o.output, r) != i {
			return nil, fmt.Errorf("attribute equation %q: index %q of the output", equation, r)
		}
	}
	return o, nil
}

// implicit returns the output of an equation without one: what the ellipses stand for, then the indices that occur once, in alphabetical
// order.
func implicit(left string) string {
	var once []rune
	for _, r := range left {
		if r != ellipsis && r != ',' && strings.Count(left, string(r)) == 1 {
			once = append(once, r)
		}
	}
	slices.Sort(once)
	if strings.ContainsRune(left, ellipsis) {
		return string(ellipsis) + string(once)
	}
	return string(once)
}

// label is an index: a letter, or −1, −2, … for what ellipses stand for, counted from the last.
type label int

// labels resolves the labels of an operand or of the output, whose ellipsis stands for a number of dimensions.
func labels(s string, dots int) []label {
	var out []label
	for _, r := range s {
		if r != ellipsis {
			out = append(out, label(r))
			continue
		}
		for k := dots; k > 0; k-- {
			out = append(out, label(-k))
		}
	}
	return out
}

// dots returns how many dimensions the ellipsis of an operand stands for.
func (o *einsum) dots(i, rank int) (int, error) {
	letters := len(o.inputs[i])
	if strings.ContainsRune(o.inputs[i], ellipsis) {
		letters--
		if rank >= letters {
			return rank - letters, nil
		}
	}
	if rank != letters {
		return 0, fmt.Errorf("input %d has rank %d for indices %q", i, rank, strings.ReplaceAll(o.inputs[i], string(ellipsis), "..."))
	}
	return 0, nil
}

func (o *einsum) Infer(in []Info) ([]Info, error) {
	dt, err := typesNumber.same(in, 0, len(in))
	if err != nil {
		return nil, err
	}
	extents := map[label]Dim{}
	most := 0
	for i := range in {
		s := in[i].Shape
		if s == nil {
			return []Info{{Type: dt}}, nil
		}
		n, err := o.dots(i, len(s))
		if err != nil {
			return nil, err
		}
		most = max(most, n)
		for k, l := range labels(o.inputs[i], n) {
			d, there := extents[l]
			switch e := s[k]; {
			case !there || d.N == 1 && l < 0 || d == Unknown:
				extents[l] = e
			case d.IsKnown() && e.IsKnown() && d.N != e.N && !(l < 0 && e.N == 1):
				return nil, fmt.Errorf("input %d has extent %d for an index that has %d elsewhere", i, e.N, d.N)
			case !d.IsKnown() && e.IsKnown() && e.N != 1:
				extents[l] = e
			}
		}
	}
	out := Info{Type: dt, Shape: Shape{}}
	for _, l := range labels(o.output, most) {
		out.Shape = append(out.Shape, extents[l])
	}
	return []Info{out}, nil
}

// Cost counts, for two operands, a multiplication for each combination of indices.
func (o *einsum) Cost(in, _ []Info) Cost {
	if len(in) < 2 {
		return Cost{}
	}
	extents := map[label]int{}
	for i := range in {
		s, ok := in[i].Shape.Known()
		if !ok {
			return Cost{}
		}
		n, err := o.dots(i, len(s))
		if err != nil {
			return Cost{}
		}
		for k, l := range labels(o.inputs[i], n) {
			extents[l] = max(extents[l], s[k])
		}
	}
	macs := int64(1)
	for _, d := range extents {
		macs *= int64(d)
	}
	return Cost{MACs: macs}
}

func (o *einsum) Run(c *Call) error { return throughFloat32(c, o) }

func (o *einsum) run(c *Call) error {
	if err := c.sameTypes(len(c.In)); err != nil {
		return err
	}
	switch dt := c.In[0].Type; dt {
	case onnx.Float:
		return contract[float32](c, o)
	case onnx.Double:
		return contract[float64](c, o)
	case onnx.Int8:
		return contract[int8](c, o)
	case onnx.Int16:
		return contract[int16](c, o)
	case onnx.Int32:
		return contract[int32](c, o)
	case onnx.Int64:
		return contract[int64](c, o)
	case onnx.Uint8:
		return contract[uint8](c, o)
	case onnx.Uint16:
		return contract[uint16](c, o)
	case onnx.Uint32:
		return contract[uint32](c, o)
	case onnx.Uint64:
		return contract[uint64](c, o)
	default:
		return typeError(dt)
	}
}

// operand is an array whose dimensions have labels; a label may be there twice, which is the diagonal.
type operand[T number] struct {
	labels  []label
	shape   []int
	strides []int
	data    []T
}

// einsumRun is one run.
type einsumRun[T number] struct {
	c       *Call
	extents map[label]int
}

func contract[T number](c *Call, o *einsum) error {
	r := einsumRun[T]{c, map[label]int{}}
	var operands []operand[T]
	most := 0
	for i, t := range c.In {
		n, err := o.dots(i, len(t.Shape))
		if err != nil {
			return err
		}
		most = max(most, n)
		x := operand[T]{labels: labels(o.inputs[i], n), shape: t.Shape, strides: make([]int, len(t.Shape)), data: elements[T](t)}
		step := 1
		for k := len(x.shape) - 1; k >= 0; k-- {
			x.strides[k] = step
			step *= x.shape[k]
		}
		for k, l := range x.labels {
			e, there := r.extents[l]
			switch d := x.shape[k]; {
			case !there || e == 1 && l < 0:
				r.extents[l] = d
			case d != e && !(d == 1 && l < 0):
				return fmt.Errorf("input %d has extent %d for an index that has %d elsewhere", i, d, e)
			}
		}
		operands = append(operands, x)
	}
	output := labels(o.output, most)
	result := operands[0]
	for i, x := range operands[1:] {
		kept := slices.Clone(output)
		for _, later := range operands[i+2:] {
			kept = append(kept, later.labels...)
		}
		var err error
		if result, err = r.multiply(result, x, kept); err != nil {
			return err
		}
	}
	shape := make([]int, len(output))
	for k, l := range output {
		shape[k] = r.extents[l]
	}
	y, err := c.Out(0, c.In[0].Type, shape)
	if err != nil {
		return err
	}
	r.sum(elements[T](y), result, output)
	return nil
}

// dense returns x as a dense array of the given labels, summed over the others. Labels of a broadcast ellipsis repeat.
func (r *einsumRun[T]) dense(x operand[T], want []label) ([]T, error) {
	out, err := r.room(want)
	if err == nil {
		r.sum(out, x, want)
	}
	return out, err
}

// room returns an array for labels.
func (r *einsumRun[T]) room(list []label) ([]T, error) {
	shape := make([]int, len(list))
	for k, l := range list {
		shape[k] = r.extents[l]
	}
	n, err := tensor.Count(shape)
	if err != nil {
		return nil, err
	}
	dt := r.c.In[0].Type
	if size := int64(n) * int64(tensor.Width(dt)); r.c.Limit > 0 && size > r.c.Limit {
		return nil, &LimitError{What: tensor.Describe(dt, shape), Bytes: size, Limit: r.c.Limit}
	}
	return make([]T, n), nil
}

// sum is dense into given memory.
func (r *einsumRun[T]) sum(dst []T, x operand[T], want []label) {
	var w walk
	w.start()
	step := 1
	for k := len(want) - 1; k >= 0; k-- {
		from := 0
		for j, l := range x.labels {
			if l == want[k] && x.shape[j] != 1 {
				from += x.strides[j]
			}
		}
		w.add(r.extents[want[k]], step, from)
		step *= r.extents[want[k]]
	}
	summed := false
	for j, l := range x.labels {
		if slices.Contains(want, l) || slices.Contains(x.labels[:j], l) {
			continue
		}
		from := 0
		for i, m := range x.labels {
			if m == l && x.shape[i] != 1 {
				from += x.strides[i]
			}
		}
		// An index that only this operand has counts as often as it is long, and so does one that broadcasts.
		w.add(r.extents[l], 0, from)
		summed = true
	}
	if summed {
		clear(dst)
	}
	for row, ok := w.rows(); ok; ok = w.next() {
		to, from := w.at[0], w.at[1]
		for i := range row.n {
			d := &dst[to+i*row.step[0]]
			if v := x.data[from+i*row.step[1]]; summed {
				*d += v
			} else {
				*d = v
			}
		}
	}
}

// multiply contracts two operands to one that has the labels that are kept.
func (r *einsumRun[T]) multiply(a, b operand[T], kept []label) (operand[T], error) {
	var batch, rows, columns, shared []label
	for i, l := range a.labels {
		switch inB := slices.Contains(b.labels, l); {
		case slices.Contains(a.labels[:i], l):
		case inB && slices.Contains(kept, l):
			batch = append(batch, l)
		case inB:
			shared = append(shared, l)
		case slices.Contains(kept, l):
			rows = append(rows, l)
		}
	}
	for i, l := range b.labels {
		if !slices.Contains(a.labels, l) && !slices.Contains(b.labels[:i], l) && slices.Contains(kept, l) {
			columns = append(columns, l)
		}
	}
	out := operand[T]{labels: slices.Concat(batch, rows, columns)}
	x, err := r.dense(a, slices.Concat(batch, rows, shared))
	if err != nil {
		return out, err
	}
	y, err := r.dense(b, slices.Concat(batch, shared, columns))
	if err != nil {
		return out, err
	}
	size := func(list []label) int {
		n := 1
		for _, l := range list {
			n *= r.extents[l]
		}
		return n
	}
	m, n, k := size(rows), size(columns), size(shared)
	if out.data, err = r.room(out.labels); err != nil {
		return out, err
	}
	out.strides = make([]int, len(out.labels))
	step := 1
	for i := len(out.labels) - 1; i >= 0; i-- {
		out.strides[i] = step
		step *= r.extents[out.labels[i]]
	}
	for _, l := range out.labels {
		out.shape = append(out.shape, r.extents[l])
	}
	if len(out.data) > 0 {
		multiplyBatch(r.c.CPU, out.data, x, y, size(batch), m, n, k)
	}
	return out, nil
}

// multiplyBatch computes dst [batch, m, n] = a [batch, m, k] · b [batch, k, n].
func multiplyBatch[T number](cpu *kernel.CPU, dst, a, b []T, batch, m, n, k int) {
	if d, ok := any(dst).([]float32); ok {
		products := make([]kernel.Product, batch)
		for i := range products {
			products[i] = kernel.Product{
				M: m, N: n, K: k, Alpha: 1, A: any(a).([]float32)[i*m*k:], LDA: k, B: any(b).([]float32)[i*k*n:], LDB: n, C: d[i*m*n:], LDC: n,
			}
		}
		kernel.GemmBatch(cpu, products)
		return
	}
	for i := range batch {
		multiplyRows(dst[i*m*n:], a[i*m*k:], b[i*k*n:], m, n, k)
	}
}

// Gradient is, for an operand, the sum over the others and what arrives; where indices occur in that operand alone all their elements get the
// same. Equations in which an operand has an index twice are not supported.
func (o *einsum) Gradient(g *Gradient) error {
	dy, _ := g.Of(0)
	names, most := make([][]label, len(o.inputs)), 0
	for i := range o.inputs {
		n, err := o.dots(i, len(g.In(i).Dims()))
		if err != nil {
			return err
		}
		names[i], most = labels(o.inputs[i], n), max(most, n)
		for k, l := range names[i] {
			if slices.Contains(names[i][:k], l) {
				return errors.New("an operand that has an index twice is not supported")
			}
		}
	}
	letters, err := letterOf(slices.Concat(append(names, labels(o.output, most))...))
	if err != nil {
		return err
	}
	// without drops dimensions of 1, which may stand for longer ones that ellipses broadcast to.
	without := func(v Value, own []label) (Value, []label) {
		var shape []int
		var kept []label
		for k, d := range v.Dims() {
			if d != 1 {
				shape, kept = append(shape, d), append(kept, own[k])
			}
		}
		return g.Reshape(v, shape), kept
	}
	text := func(list []label) string {
		var b strings.Builder
		for _, l := range list {
			b.WriteRune(letters[l])
		}
		return b.String()
	}
	for i := range o.inputs {
		if !g.Wants(i) {
			continue
		}
		v, own := without(dy, labels(o.output, most))
		operands, terms, there := []Value{v}, []string{text(own)}, own
		for k := range o.inputs {
			if k == i {
				continue
			}
			v, own := without(g.In(k), names[k])
			operands, terms, there = append(operands, v), append(terms, text(own)), append(there, own...)
		}
		_, own = without(g.In(i), names[i])
		alone := func(l label) bool { return !slices.Contains(there, l) }
		sum := g.Node("Einsum", with(attrText("equation", strings.Join(terms, ",")+"->"+text(slices.DeleteFunc(slices.Clone(own), alone)))), operands...)
		shape := slices.Clone(g.In(i).Dims())
		for k, l := range names[i] {
			if alone(l) {
				shape[k] = 1
			}
		}
		g.Set(i, g.Expand(g.Reshape(sum, shape), g.In(i).Dims()))
	}
	return nil
}

// letterOf gives each index a letter.
func letterOf(list []label) (map[label]rune, error) {
	letters, next := map[label]rune{}, 'a'
	for _, l := range list {
		if _, ok := letters[l]; ok {
			continue
		}
		switch {
		case next == 'z'+1:
			next = 'A'
		case next == 'Z'+1:
			return nil, errors.New("more than 52 indices are not supported")
		}
		letters[l] = next
		next++
	}
	return letters, nil
}
