package ops

import (
	"fmt"

	"github.com/effml/effml/tensor"
)

// trilu is Trilu: the upper or lower triangle of matrices, the last two dimensions, from the k-th diagonal on; zeros elsewhere.
type trilu struct{ lower bool }

func newTrilu(n *Node) (Op, error) { return trilu{!n.Bool("upper", true)}, nil }

// Infer implements Op.
func (o trilu) Infer(in []Info) ([]Info, error) {
	if err := typesIndex.check(in, 1); err != nil {
		return nil, err
	}
	if s := in[0].Shape; s != nil && len(s) < 2 {
		return nil, rankError(0, len(s), "2 or more")
	}
	return []Info{{Type: in[0].Type, Shape: in[0].Shape}}, nil
}

// InPlace implements InPlacer.
func (trilu) InPlace() []int { return []int{0} }

// Run implements Op.
func (o trilu) Run(c *Call) error {
	w := newWork()
	defer w.free()
	x, k := c.In[0], 0
	if t := c.input(1); t != nil {
		var err error
		if k, err = w.scalarOf(t); err != nil {
			return fmt.Errorf("k: %w", err)
		}
	}
	rank := len(x.Shape)
	if rank < 2 {
		return rankError(0, rank, "2 or more")
	}
	width := tensor.Width(x.Type)
	if width == 0 {
		return typeError(x.Type)
	}
	out, err := c.Out(0, x.Type, x.Shape)
	if err != nil {
		return err
	}
	c.copyTo(out, x)
	rows, cols := x.Shape[rank-2], x.Shape[rank-1]
	k = max(-rows, min(k, cols))
	b := out.Bytes()
	for first := 0; first < len(b); first += cols * width {
		row := b[first : first+cols*width]
		at := max(0, min(first/(cols*width)%rows+k, cols)) * width // the diagonal's column
		if o.lower {
			clear(row[min(at+width, len(row)):])
			if first/(cols*width)%rows+k < 0 {
				clear(row)
			}
		} else {
			clear(row[:at])
		}
	}
	return nil
}

// reverseSequence is ReverseSequence: for each element of the batch the first elements in time, as many as input 1 says, in reverse.
type reverseSequence struct{ batch, time int }

func newReverseSequence(n *Node) (Op, error) {
	o := reverseSequence{n.Int("batch_axis", 1), n.Int("time_axis", 0)}
	if o.batch+o.time != 1 || o.batch*o.time != 0 {
		return nil, fmt.Errorf("attributes batch_axis and time_axis are %d and %d, not 0 and 1", o.batch, o.time)
	}
	return o, nil
}

// Infer implements Op.
func (o reverseSequence) Infer(in []Info) ([]Info, error) {
	if err := typesIndex.check(in, 1); err != nil {
		return nil, err
	}
	if s := in[0].Shape; s != nil && len(s) < 2 {
		return nil, rankError(0, len(s), "2 or more")
	}
	return []Info{{Type: in[0].Type, Shape: in[0].Shape}}, nil
}

// Run implements Op.
func (o reverseSequence) Run(c *Call) error {
	w := newWork()
	defer w.free()
	x := c.In[0]
	if len(x.Shape) < 2 {
		return rankError(0, len(x.Shape), "2 or more")
	}
	lengths, err := w.intsOf(c.In[1])
	if err != nil {
		return err
	}
	if len(lengths) != x.Shape[o.batch] {
		return fmt.Errorf("%d lengths for a batch of %d", len(lengths), x.Shape[o.batch])
	}
	rows, cols := x.Shape[0], x.Shape[1]
	at := w.take(rows * cols)
	for i := range at {
		place := [2]int{i / cols, i % cols}
		n := lengths[place[o.batch]]
		if n < 0 || n > x.Shape[o.time] {
			return fmt.Errorf("length %d of a sequence of %d", n, x.Shape[o.time])
		}
		if t := &place[o.time]; *t < n {
			*t = n - 1 - *t
		}
		at[i] = place[0]*cols + place[1]
	}
	out, err := c.Out(0, x.Type, x.Shape)
	if err != nil {
		return err
	}
	movingOf(x.Type).gather(out, x, at, pile{1, len(at), product(x.Shape[2:])}, 0, len(at))
	return nil
}

// Gradient is the same triangle.
func (o trilu) Gradient(g *Gradient) error {
	dy, _ := g.Of(0)
	in := []Value{dy}
	if g.Has(1) {
		in = append(in, g.In(1))
	}
	g.Set(0, g.Node("Trilu", with(attrBool("upper", !o.lower)), in...))
	return nil
}

// Gradient reverses again.
func (o reverseSequence) Gradient(g *Gradient) error {
	dy, _ := g.Of(0)
	g.Set(0, g.Node("ReverseSequence", with(attrInt("batch_axis", o.batch), attrInt("time_axis", o.time)), dy, g.In(1)))
	return nil
}
