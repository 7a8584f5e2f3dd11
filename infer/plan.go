package infer

import (
	"fmt"
	"slices"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// plan says how a program runs for inputs of certain types and shapes. It does not change once it is made.
type plan struct {
	in       []ops.Info
	laid     []tensor.Layout // of the inputs
	inputs   []int           // slots of the program's inputs
	outputs  []int
	slots    []slot
	steps    []step
	bytes    [regions]int // of the arena
	scratch  int          // float32s
	repacks  int
	computed int // steps that are nodes

	// Of the second half, if there are two:
	pause       int // the first step
	lateInputs  []int
	lateOutputs []int

	repackBytes, macs int64
}

// slot is a tensor of a run: a value in a layout.
type slot struct {
	kind   slotKind
	info   ops.Info
	layout tensor.Layout
	value  *tensor.Tensor // of a constant
	of     int            // of a view: the slot whose memory it shares
	region int            // of the arena
	offset int            // there
	bytes  int
	last   int // the last step that reads it
}

type slotKind uint8

const (
	slotInput    slotKind = iota
	slotConstant          // not to be written to
	slotArena
	slotView
	slotGiven // memory of the caller
	slotFree  // memory of the run, because the shape is known then only, or because the operator brings it
)

// step is a node to run, or what the plan adds.
type step struct {
	node     *node // for errors; of what the plan adds, the node that it is for
	op       ops.Op
	kind     string
	in       []int // slots; −1 is none
	captured []int
	out      []int
	wanted   []bool
	scratch  int
	view     bool // slot out[0] gets the memory of slot in[0]; op is nil
	cost     ops.Cost
}

// arena returns the bytes of all regions.
func (pl *plan) arena() (sum int64) {
	for _, n := range pl.bytes {
		sum += int64(n)
	}
	return sum
}

// suits reports whether the plan is for inputs like these.
func (pl *plan) suits(in []*tensor.Tensor) bool {
	for i, t := range in {
		want := &pl.in[i]
		if want.Type != t.Type || len(want.Shape) != len(t.Shape) || pl.laid[i] != t.Layout {
			return false
		}
		for k, d := range t.Shape {
			if want.Shape[k].N != d {
				return false
			}
		}
	}
	return true
}

// planner makes a plan.
type planner struct {
	*plan
	p       *program
	known   []ops.Info // by value
	outs    map[*node][]ops.Info
	layouts *layouts
	slotOf  map[place]int
	order   []bool // which nodes are of the second half
}

type place struct {
	value  int
	layout tensor.Layout
}

func newPlan(p *program, known []ops.Info, outs [][]ops.Info, laid []tensor.Layout, limit int64) (*plan, error) {
	b := &planner{plan: &plan{laid: laid}, p: p, known: known, outs: map[*node][]ops.Info{}, slotOf: map[place]int{}}
	for i, n := range p.nodes {
		b.outs[n] = outs[i]
	}
	nodes := b.needed()
	for _, n := range nodes {
		for _, v := range n.out {
			if v == nil {
				continue
			}
			if size, ok := size(known[v.id]); ok && size > limit {
				i := known[v.id]
				return nil, n.at(&ops.LimitError{What: tensor.TypeName(i.Type) + i.Shape.String(), Bytes: size, Limit: limit})
			}
		}
	}
	b.layouts = assignLayouts(b, nodes)
	for i, v := range p.early() {
		b.plan.in = append(b.plan.in, known[v.id])
		b.inputs = append(b.inputs, b.slot(v, laid[i], slot{kind: slotInput}))
	}
	for i, n := range nodes {
		if !b.order[i] {
			b.step(i, n)
		}
	}
	for _, v := range p.half(false) {
		b.outputs = append(b.outputs, b.output(v))
	}
	b.secondHalf(nodes)
	b.place()
	if n := b.arena(); n > limit {
		return nil, &job.ModelError{Err: fmt.Errorf("infer: the values of the graph take %d bytes at once, over the limit of %d", n, limit)}
	}
	return b.plan, nil
}

// needed lists the nodes to run: those whose results are not known and on which an output depends. Those on which no output of the
// first half depends are of the second.
func (b *planner) needed() []*node {
	all, first := b.behind(b.p.outputs), map[*node]bool{}
	for _, n := range b.behind(b.p.half(false)) {
		first[n] = true
	}
	for _, n := range all {
		b.order = append(b.order, !first[n])
	}
	return all
}

// behind lists the nodes to run for some values.
func (b *planner) behind(values []*value) []*node {
	live := make([]bool, len(b.known))
	mark := func(list []*value) {
		for _, v := range list {
			if v != nil && b.known[v.id].Value == nil {
				live[v.id] = true
			}
		}
	}
	mark(values)
	var nodes []*node
	for _, n := range slices.Backward(b.p.nodes) {
		if slices.ContainsFunc(n.out, func(v *value) bool { return v != nil && live[v.id] }) {
			nodes = append(nodes, n)
			mark(n.in)
			mark(n.captured)
		}
	}
	slices.Reverse(nodes)
	return nodes
}

// slot adds a slot for a value in a layout.
func (b *planner) slot(v *value, layout tensor.Layout, s slot) int {
	s.info, s.layout, s.last = b.known[v.id], layout, -1
	if n, ok := size(s.info); ok {
		s.bytes = int(n)
	}
	b.slots = append(b.slots, s)
	i := len(b.slots) - 1
	b.slotOf[place{v.id, layout}] = i
	return i
}

// read returns the slot of a value in a layout for a node that reads it, and adds what it takes to bring it there.
func (b *planner) read(v *value, layout tensor.Layout, n *node) int {
	if v == nil {
		return -1
	}
	if i, ok := b.slotOf[place{v.id, layout}]; ok {
		return i
	}
	if c := b.known[v.id].Value; c != nil {
		return b.slot(v, layout, slot{kind: slotConstant, value: b.p.relaid(c, layout)})
	}
	other := tensor.Plain
	if layout == tensor.Plain {
		other = tensor.ChannelsLast
	}
	from, ok := b.slotOf[place{v.id, other}]
	if !ok {
		return -1 // the result of a constant that nobody needs
	}
	if _, ok := size(b.known[v.id]); ok && sameMemory(b.known[v.id].Shape) {
		return b.view(v, layout, from, n)
	}
	to := b.slot(v, layout, b.home(v, nil))
	b.repacks++
	b.repackBytes += int64(b.slots[to].bytes)
	b.steps = append(b.steps, step{
		node: n, op: repack{layout}, kind: "→" + layout.String(), in: []int{from}, out: []int{to}, wanted: []bool{true},
		cost: ops.Cost{Bytes: 2 * int64(b.slots[to].bytes)},
	})
	return to
}

// view adds a slot over the memory of another.
func (b *planner) view(v *value, layout tensor.Layout, from int, n *node) int {
	to := b.slot(v, layout, slot{kind: slotView, of: from})
	b.steps = append(b.steps, step{node: n, kind: "view", view: true, in: []int{from}, out: []int{to}})
	return to
}

// home returns the kind of slot for a value that a node computes: in the arena if the size is known.
func (b *planner) home(v *value, n *node) slot {
	i := b.known[v.id]
	if _, ok := size(i); !ok || i.Type == onnx.String || n != nil && len(n.bodies) > 0 {
		return slot{kind: slotFree}
	}
	if n != nil && b.p.isGiven(v) && b.layouts.edge(v) == tensor.Plain {
		return slot{kind: slotGiven}
	}
	return slot{kind: slotArena}
}

// step adds a node.
func (b *planner) step(i int, n *node) {
	l := &b.layouts.nodes[i]
	s := step{node: n, op: n.run(), kind: n.kind}
	for k, v := range n.in {
		if slices.Contains(n.dropped, k) {
			v = nil
		}
		s.in = append(s.in, b.read(v, l.input(k), n))
	}
	if to := n.out[0]; to != nil && b.viewable(n, l) {
		layout := l.output(b.known[to.id].Shape)
		b.view(to, layout, s.in[0], n)
		return
	}
	for _, v := range n.captured {
		s.captured = append(s.captured, b.read(v, tensor.Plain, n))
	}
	for _, v := range n.out {
		if v == nil {
			s.out, s.wanted = append(s.out, -1), append(s.wanted, false)
			continue
		}
		s.out = append(s.out, b.slot(v, l.output(b.known[v.id].Shape), b.home(v, n)))
		s.wanted = append(s.wanted, true)
	}
	in, out := pick(b.known, n.in), pick(b.known, n.out)
	if sc, ok := s.op.(ops.Scratcher); ok && known(in) {
		s.scratch = sc.Scratch(b.p.s.cpu, in)
		b.scratch = max(b.scratch, s.scratch)
	}
	if c, ok := n.op.(ops.Coster); ok && known(in) && known(out) {
		s.cost = c.Cost(in, b.outs[n])
		b.macs += s.cost.MACs
	}
	if s.cost.Bytes == 0 {
		s.cost.Bytes = bytesOf(in) + bytesOf(out)
	}
	b.computed++
	b.steps = append(b.steps, s)
}

// viewable reports whether the first output of a node can share the memory of its first input.
func (b *planner) viewable(n *node, l *nodeLayout) bool {
	if b.p.s.options.NoFuse || b.home(n.out[0], n).kind != slotArena || slices.ContainsFunc(n.out[1:], func(v *value) bool { return v != nil }) {
		return false
	}
	if l.free {
		return l.last
	}
	_, ok := n.op.(ops.Viewer)
	in, _ := size(b.known[n.in[0].id])
	out, _ := size(b.known[n.out[0].id])
	return ok && in == out && b.known[n.in[0].id].Type == b.known[n.out[0].id].Type
}

// output returns the slot of an output of the program, in memory that the run has written.
func (b *planner) output(v *value) int {
	var n *node
	if len(b.p.nodes) > 0 {
		n = b.p.nodes[len(b.p.nodes)-1]
	}
	layout := b.layouts.edge(v)
	i := b.read(v, layout, n)
	home, kind := b.home(v, nil), b.slots[b.root(i)].kind
	if b.p.isGiven(v) {
		home.kind = slotGiven
	}
	if kind == slotInput || kind == slotConstant || home.kind == slotGiven && b.slots[i].kind != slotGiven {
		to := b.slot(v, layout, home)
		b.slotOf[place{v.id, layout}] = i
		b.steps = append(b.steps, step{node: n, op: repack{layout}, kind: "copy", in: []int{i}, out: []int{to}, wanted: []bool{true}})
		i = to
	}
	return i
}

// known reports whether all types and shapes are numbers.
func known(in []ops.Info) bool {
	return !slices.ContainsFunc(in, func(i ops.Info) bool {
		_, ok := i.Shape.Known()
		return !ok && !i.Missing()
	})
}

func bytesOf(in []ops.Info) (sum int64) {
	for _, i := range in {
		n, _ := size(i)
		sum += n
	}
	return sum
}

// sameMemory reports whether a tensor of that shape is the same in both layouts.
func sameMemory(s ops.Shape) bool {
	return len(s) == 4 && (s[1].N == 1 || s[2].N == 1 && s[3].N == 1 || slices.ContainsFunc(s, func(d ops.Dim) bool { return d.N == 0 }))
}

// relaid returns a constant in a layout.
func (p *program) relaid(t *tensor.Tensor, layout tensor.Layout) *tensor.Tensor {
	if t.Layout == layout {
		return t
	}
	c := &ops.Call{CPU: p.s.cpu, In: []*tensor.Tensor{t}, Outs: make([]*tensor.Tensor, 1)}
	if err := (repack{layout}).Run(c); err != nil {
		return t // a constant that exists can be copied
	}
	return c.Outs[0]
}

// repack copies a tensor, into a layout.
type repack struct{ to tensor.Layout }

// Infer implements ops.Op.
func (repack) Infer(in []ops.Info) ([]ops.Info, error) { return in[:1], nil }

// Run implements ops.Op.
func (o repack) Run(c *ops.Call) error {
	x := c.In[0]
	y, err := c.Out(0, x.Type, x.Shape, o.to)
	switch {
	case err != nil:
		return err
	case x.Layout == o.to:
		copy(y.Strings(), x.Strings())
		copy(y.Bytes(), x.Bytes())
		return nil
	case len(x.Shape) != 4:
		return fmt.Errorf("%s has no channels", x)
	}
	d, s, sh := y.Bytes(), x.Bytes(), x.Shape
	n, ch, hw := sh[0], sh[1], sh[2]*sh[3]
	if o.to == tensor.Plain {
		ch, hw = hw, ch
	}
	switch tensor.Width(x.Type) {
	case 1:
		kernel.ChannelsLast(c.CPU, d, s, n, ch, hw)
	case 2:
		kernel.ChannelsLast(c.CPU, as[uint16](d), as[uint16](s), n, ch, hw)
	case 4:
		kernel.ChannelsLast(c.CPU, as[uint32](d), as[uint32](s), n, ch, hw)
	case 8:
		kernel.ChannelsLast(c.CPU, as[uint64](d), as[uint64](s), n, ch, hw)
	default:
		return fmt.Errorf("%s in two layouts", x)
	}
	return nil
}
