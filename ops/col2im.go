package ops

import (
	"fmt"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// col2im is Col2Im: columns [N, C·∏block, L] added up to images [N, C, …], where each column is a block at one of L positions. Types:
// floating-point ones.
type col2im struct{ window *window }

func newCol2Im(n *Node) (Op, error) {
	w := &window{strides: n.Ints("strides"), dilations: n.Ints("dilations"), pads: n.Ints("pads")}
	return &col2im{w}, w.check()
}

func (o *col2im) Infer(in []Info) ([]Info, error) {
	if err := typesFloat.check(in, 0); err != nil {
		return nil, err
	}
	out := Info{Type: in[0].Type}
	image, x := dimsOf(in[1]), in[0].Shape
	if x != nil && len(x) != 3 {
		return nil, rankError(0, len(x), "3")
	}
	if image == nil {
		return []Info{out}, nil
	}
	out.Shape = append(Shape{Unknown, Unknown}, image...)
	if x == nil {
		return []Info{out}, nil
	}
	out.Shape[0] = x[0]
	if block, ok := known(in[2]); ok && x[1].IsKnown() {
		n, err := tensor.Count(block)
		if err != nil || n < 1 || x[1].N%n != 0 {
			return nil, fmt.Errorf("%d rows of blocks %v", x[1].N, block)
		}
		out.Shape[1] = Known(x[1].N / n)
	}
	return []Info{out}, nil
}

func (o *col2im) Run(c *Call) error { return throughFloat32(c, o) }

func (o *col2im) run(c *Call) error {
	x := c.In[0]
	image, ok := Integers(c.In[1])
	block, okB := Integers(c.In[2])
	if !ok || !okB || len(x.Shape) != 3 || len(image) != len(block) || len(image) == 0 {
		return fmt.Errorf("%s of blocks %v in an image of %v", x, block, image)
	}
	slides, err := o.window.slides(nil, image, block)
	if err != nil {
		return err
	}
	taps, err := tensor.Count(block)
	if err != nil || x.Shape[1]%taps != 0 {
		return fmt.Errorf("%d rows of blocks %v", x.Shape[1], block)
	}
	y, err := c.Out(0, x.Type, append([]int{x.Shape[0], x.Shape[1] / taps}, image...))
	if err != nil {
		return err
	}
	if n := outputs(slides); n != x.Shape[2] {
		return fmt.Errorf("%d columns for %d positions of blocks", x.Shape[2], n)
	}
	if y.Len() == 0 {
		return nil
	}
	switch x.Type {
	case onnx.Float:
		addBlocks(tensor.Of[float32](y), tensor.Of[float32](x), slides, taps)
	case onnx.Double:
		addBlocks(tensor.Of[float64](y), tensor.Of[float64](x), slides, taps)
	default:
		return typeError(x.Type)
	}
	return nil
}

func addBlocks[T float32 | float64](dst, src []T, slides []slide, taps int) {
	size, positionsOf := 1, outputs(slides)
	for _, s := range slides {
		size *= s.in
	}
	clear(dst)
	var at positions
	at.start(slides)
	for p := range positionsOf {
		covered := at.covered()
		for image := range len(dst) / size {
			for _, t := range covered {
				dst[image*size+t.offset] += src[(image*taps+t.kernel)*positionsOf+p]
			}
		}
		at.next()
	}
}
