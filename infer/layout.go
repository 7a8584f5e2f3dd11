package infer

import (
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// layouts decides which nodes work channels-last. A value is in the layout that its node gives; where a node wants the other one the value
// is repacked, once for all who want it. Operators that are faster channels-last work so. The others that can follow what they read, and
// then change over, one after another, while that makes the sum of all repacked bytes smaller.
type layouts struct {
	b     *planner
	nodes []nodeLayout
	// of each value:
	producer []int   // the node, −1 for inputs
	readers  [][]use // by nodes that may choose
	plain    []bool  // something reads it that takes it Plain only
	last     []bool  // an output that is handed out channels-last
}

type use struct{ node, input int }

// nodeLayout is the layout of a node's operands.
type nodeLayout struct {
	last     bool // the choice
	can      bool // there is a choice, or there was none but channels-last
	fixed    bool
	in       []bool // which inputs come channels-last if last
	givesIt  bool   // outputs of rank 4 are then channels-last
	free     bool   // a transposition, which then needs not be done
	byDetour int64  // the bytes that it otherwise moves
}

func (l *nodeLayout) input(k int) tensor.Layout {
	if l.last && k < len(l.in) && l.in[k] {
		return tensor.ChannelsLast
	}
	return tensor.Plain
}

func (l *nodeLayout) output(s ops.Shape) tensor.Layout {
	if l.last && l.givesIt && len(s) == 4 {
		return tensor.ChannelsLast
	}
	return tensor.Plain
}

// maxSweeps bounds how often all nodes are looked at again.
const maxSweeps = 8

func assignLayouts(b *planner, nodes []*node) *layouts {
	l := &layouts{b: b, nodes: make([]nodeLayout, len(nodes)), producer: make([]int, len(b.known)), readers: make([][]use, len(b.known)), plain: make([]bool, len(b.known)), last: make([]bool, len(b.known))}
	b.layouts = l
	for i := range l.producer {
		l.producer[i] = -1
	}
	for i, n := range nodes {
		l.nodes[i] = l.options(n)
		for k, v := range n.in {
			switch {
			case v == nil || slices.Contains(n.dropped, k):
			case l.nodes[i].can:
				l.readers[v.id] = append(l.readers[v.id], use{i, k})
			default:
				l.plain[v.id] = true
			}
		}
		for _, v := range n.captured {
			l.plain[v.id] = true
		}
		for _, v := range n.out {
			if v != nil {
				l.producer[v.id] = i
			}
		}
	}
	l.handOut()
	for i, n := range nodes {
		if x := &l.nodes[i]; x.can && !x.fixed {
			x.last = l.follows(n, x)
		}
	}
	for sweep := range maxSweeps {
		changed := false
		for k := range nodes {
			i := k
			if sweep%2 == 0 { // what is read last decides first
				i = len(nodes) - 1 - k
			}
			changed = l.flip(nodes[i], &l.nodes[i]) || changed
		}
		if !changed {
			break
		}
	}
	return l
}

// handOut notes in which layouts outputs are asked for.
func (l *layouts) handOut() {
	p := l.b.p
	for i, v := range p.outputs {
		switch {
		case p.halves == nil || p.halves.lateOut[i] && l.edge(v) == tensor.Plain:
			l.plain[v.id] = true
		case p.halves.lateOut[i]:
			l.last[v.id] = true
		}
	}
}

// options says what layouts a node can work in.
func (l *layouts) options(n *node) (x nodeLayout) {
	in := pick(l.b.known, n.in)
	if l.b.p.s.options.NoFuse {
		return x
	}
	if n.is("Transpose") {
		return l.transposition(n, in[0])
	}
	op, ok := n.run().(ops.ChannelsLaster)
	if !ok {
		return x
	}
	var faster bool
	x.in, faster = op.ChannelsLast(in)
	for k := range x.in {
		x.in[k] = x.in[k] && k < len(in) && len(in[k].Shape) == 4
	}
	x.can = slices.Contains(x.in, true)
	x.fixed = x.can && faster
	x.last = x.fixed
	_, plain := op.(ops.PlainResulter)
	x.givesIt = !plain
	return x
}

// transposition says of a Transpose that moves the channels whether that is only a change of layout.
func (l *layouts) transposition(n *node, in ops.Info) (x nodeLayout) {
	bytes, ok := size(in)
	if len(in.Shape) != 4 || !ok || in.Type == onnx.String {
		return x
	}
	var perm []int64
	for _, a := range n.Attributes {
		if a.Name == "perm" {
			perm = a.Ints
		}
	}
	toFirst, toLast := slices.Equal(perm, []int64{0, 3, 1, 2}), slices.Equal(perm, []int64{0, 2, 3, 1})
	if toFirst || toLast {
		x = nodeLayout{can: true, in: []bool{toLast}, givesIt: toFirst, free: true, byDetour: bytes}
	}
	return x
}

// follows reports whether a node that can had better work channels-last, from where its inputs come.
func (l *layouts) follows(n *node, x *nodeLayout) bool {
	if x.free && x.givesIt {
		return true
	}
	var last, plain int64
	for k, v := range n.in {
		if k >= len(x.in) || !x.in[k] || v == nil || l.b.known[v.id].Value != nil || sameMemory(l.b.known[v.id].Shape) {
			continue
		}
		if l.produced(v) == tensor.ChannelsLast {
			last += l.bytes(v)
		} else {
			plain += l.bytes(v)
		}
	}
	return last > 0 && last >= plain
}

func (l *layouts) produced(v *value) tensor.Layout {
	if i := l.producer[v.id]; i >= 0 {
		return l.nodes[i].output(l.b.known[v.id].Shape)
	}
	return l.edge(v)
}

// bytes returns the size of a value, 1 where it is unknown.
func (l *layouts) bytes(v *value) int64 {
	n, _ := size(l.b.known[v.id])
	return max(n, 1)
}

// cost returns the bytes to repack because of a value.
func (l *layouts) cost(v *value) int64 {
	i := &l.b.known[v.id]
	if v == nil || len(i.Shape) != 4 || i.Value != nil || sameMemory(i.Shape) {
		return 0
	}
	have := l.produced(v)
	if have == tensor.ChannelsLast && l.plain[v.id] || have == tensor.Plain && l.last[v.id] {
		return l.bytes(v)
	}
	for _, u := range l.readers[v.id] {
		if l.nodes[u.node].input(u.input) != have {
			return l.bytes(v)
		}
	}
	return 0
}

// around returns the bytes moved because of a node.
func (l *layouts) around(n *node, x *nodeLayout) (sum int64) {
	if !x.last {
		sum = x.byDetour
	}
	for _, list := range [][]*value{n.in, n.out} {
		for k, v := range list {
			if v != nil && !slices.Contains(list[:k], v) {
				sum += l.cost(v)
			}
		}
	}
	return sum
}

// flip changes the layout of a node if that is better.
func (l *layouts) flip(n *node, x *nodeLayout) bool {
	if !x.can || x.fixed {
		return false
	}
	before := l.around(n, x)
	x.last = !x.last
	if l.around(n, x) < before {
		return true
	}
	x.last = !x.last
	return false
}
