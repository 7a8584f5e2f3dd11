package ops

import (
	"fmt"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// depthToSpace is DepthToSpace, which moves channels of x [N, C, H, W] into blocks of pixels, and its inverse SpaceToDepth. In mode
// DCR the channels are [block row, block column, C'], in CRD [C', block row, block column]. Any type.
type depthToSpace struct {
	block   int
	last    bool // CRD: blocks are the last of the channels
	inverse bool
	states  *states[blockState]
}

type blockState struct {
	shape      []int
	dims, perm [6]int
}

func newDepthToSpace(inverse bool) func(*Node) (Op, error) {
	return func(n *Node) (Op, error) {
		o := &depthToSpace{block: n.Int("blocksize", 0), inverse: inverse, states: new(states[blockState])}
		if o.block < 1 || o.block > 1<<15 {
			return nil, fmt.Errorf("attribute blocksize is %d", o.block)
		}
		switch mode := n.Text("mode", "DCR"); mode {
		case "DCR":
		case "CRD":
			o.last = true
		default:
			return nil, fmt.Errorf("attribute mode is %q", mode)
		}
		return o, nil
	}
}

func (o *depthToSpace) Infer(in []Info) ([]Info, error) {
	x, out := in[0].Shape, Info{Type: in[0].Type}
	if x == nil {
		return []Info{out}, nil
	}
	if len(x) != 4 {
		return nil, rankError(0, len(x), "4")
	}
	b := Known(o.block)
	grow := func(d Dim, by Dim) Dim { return dimProduct(d, by) }
	shrink := func(d Dim, by int, what string) (Dim, error) {
		switch {
		case by == 1:
			return d, nil
		case !d.IsKnown():
			return Unknown, nil
		case d.N%by != 0:
			return d, fmt.Errorf("%s %d is no multiple of %d", what, d.N, by)
		}
		return Known(d.N / by), nil
	}
	var err error
	out.Shape = Shape{x[0], Unknown, Unknown, Unknown}
	if !o.inverse {
		out.Shape[2], out.Shape[3] = grow(x[2], b), grow(x[3], b)
		out.Shape[1], err = shrink(x[1], o.block*o.block, "number of channels")
		return []Info{out}, err
	}
	out.Shape[1] = grow(x[1], Known(o.block*o.block))
	if out.Shape[2], err = shrink(x[2], o.block, "height"); err == nil {
		out.Shape[3], err = shrink(x[3], o.block, "width")
	}
	return []Info{out}, err
}

// ChannelsLast takes any layout.
func (o *depthToSpace) ChannelsLast([]Info) ([]bool, bool) { return []bool{true}, false }

func (o *depthToSpace) Run(c *Call) error {
	x := c.In[0]
	if len(x.Shape) != 4 {
		return rankError(0, len(x.Shape), "4")
	}
	if x.Type == onnx.String {
		return typeError(x.Type)
	}
	s := o.states.get()
	defer o.states.put(s)
	n, ch, h, w, b := x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3], o.block
	if !o.inverse && ch%(b*b) != 0 || o.inverse && (h%b != 0 || w%b != 0) {
		return fmt.Errorf("shape %v cannot be cut into blocks of %d", x.Shape, b)
	}
	// s.dims is the input with channels, or height and width, cut in two, and s.perm the order of the output.
	last := x.Layout == tensor.ChannelsLast
	if o.inverse {
		h, w = h/b, w/b
		s.shape = append(s.shape[:0], n, ch*b*b, h, w)
		s.dims, s.perm = [6]int{n, ch, h, b, w, b}, [6]int{0, 3, 5, 1, 2, 4}
		switch {
		case last:
			s.dims, s.perm = [6]int{n, h, b, w, b, ch}, [6]int{0, 1, 3, 2, 4, 5}
			if o.last {
				s.perm = [6]int{0, 1, 3, 5, 2, 4}
			}
		case o.last:
			s.perm = [6]int{0, 1, 3, 5, 2, 4}
		}
	} else {
		ch /= b * b
		s.shape = append(s.shape[:0], n, ch, h*b, w*b)
		switch {
		case last && o.last:
			s.dims, s.perm = [6]int{n, h, w, ch, b, b}, [6]int{0, 1, 4, 2, 5, 3}
		case last:
			s.dims, s.perm = [6]int{n, h, w, b, b, ch}, [6]int{0, 1, 3, 2, 4, 5}
		case o.last:
			s.dims, s.perm = [6]int{n, ch, b, b, h, w}, [6]int{0, 1, 4, 2, 5, 3}
		default:
			s.dims, s.perm = [6]int{n, b, b, ch, h, w}, [6]int{0, 3, 4, 1, 5, 2}
		}
	}
	y, err := c.Out(0, x.Type, s.shape, x.Layout)
	if err != nil || y.Len() == 0 {
		return err
	}
	switch tensor.Width(x.Type) {
	case 1:
		kernel.Transpose(c.CPU, elements[uint8](y), elements[uint8](x), s.dims[:], s.perm[:])
	case 2:
		kernel.Transpose(c.CPU, elements[uint16](y), elements[uint16](x), s.dims[:], s.perm[:])
	case 4:
		kernel.Transpose(c.CPU, elements[uint32](y), elements[uint32](x), s.dims[:], s.perm[:])
	case 8:
		kernel.Transpose(c.CPU, elements[uint64](y), elements[uint64](x), s.dims[:], s.perm[:])
	default:
		kernel.Transpose(c.CPU, elements[complex128](y), elements[complex128](x), s.dims[:], s.perm[:])
	}
	return nil
}

// Gradient is the inverse.
func (o *depthToSpace) Gradient(g *Gradient) error {
	dy, _ := g.Of(0)
	mode, op := "DCR", "SpaceToDepth"
	if o.last {
		mode = "CRD"
	}
	if o.inverse {
		op = "DepthToSpace"
	}
	g.Set(0, g.Node(op, with(attrInt("blocksize", o.block), attrText("mode", mode)), dy))
	return nil
}
