package ops

import (
	"fmt"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// dropoutTrain is DropoutTrain of [Domain]: y is x/(1 − ratio) where an element is kept and 0 elsewhere, each element being dropped with the
// probability ratio. Which ones follows from input 1, the seed (an int64 scalar), from the attribute number, by which several in a network
// differ, and from the place of the element in row-major order alone: the gradient drops the same ones again instead of keeping a mask.
//
// N. Srivastava et al.: Dropout, JMLR 15, 2014. Random bits are those of SplitMix64 (G. Steele et al.: Fast Splittable Pseudorandom Number
// Generators, 2014), whose states are the places.
type dropoutTrain struct {
	ratio  float32
	number uint64
	tasks  *states[dropTask]
}

func newDropoutTrain(n *Node) (Op, error) {
	o := &dropoutTrain{ratio: n.Float("ratio", 0.5), number: uint64(n.Int("number", 0)), tasks: new(states[dropTask])}
	if !(o.ratio >= 0 && o.ratio < 1) {
		return nil, fmt.Errorf("attribute ratio is %v, not 0 to below 1", o.ratio)
	}
	return o, nil
}

func (o *dropoutTrain) Infer(in []Info) ([]Info, error) {
	if s := in[1].Shape; len(s) > 0 {
		return nil, fmt.Errorf("input 1 of shape %s is no scalar", s)
	}
	return []Info{{Type: in[0].Type, Shape: in[0].Shape}}, typesFloat.check(in, 0)
}

// InPlace lists the numbers.
func (o *dropoutTrain) InPlace() []int { return []int{0} }

// dropoutBlock is the number of elements that a thread takes at a time.
const dropoutBlock = 1 << 14

func (o *dropoutTrain) Run(c *Call) error {
	x, seed := c.In[0], c.In[1]
	if seed.Type != onnx.Int64 || seed.Len() != 1 {
		return fmt.Errorf("input 1, the seed, is %s", seed)
	}
	y, err := c.Out(0, x.Type, x.Shape)
	if err != nil {
		return err
	}
	key := mix64(mix64(uint64(tensor.Of[int64](seed)[0])) + o.number)
	if x.Type != onnx.Float && x.Type != onnx.Double {
		return typeError(x.Type)
	}
	t := o.tasks.get()
	defer o.tasks.put(t)
	*t = dropTask{x: x, y: y, key: key, limit: uint64(float64(o.ratio) * (1 << 32)), scale: 1 / (1 - float64(o.ratio))}
	c.CPU.Parallel((x.Len()+dropoutBlock-1)/dropoutBlock, t)
	*t = dropTask{}
	return nil
}

// dropTask is a run.
type dropTask struct {
	x, y       *tensor.Tensor
	key, limit uint64 // dropped is what has 32 random bits below limit
	scale      float64
}

// Piece implements [kernel.Task].
func (t *dropTask) Piece(i, _ int) {
	if t.x.Type == onnx.Float {
		dropBlock(t, i, tensor.Of[float32](t.y), tensor.Of[float32](t.x))
	} else {
		dropBlock(t, i, tensor.Of[float64](t.y), tensor.Of[float64](t.x))
	}
}

func dropBlock[T float32 | float64](t *dropTask, i int, dst, src []T) {
	scale := T(t.scale)
	for k := i * dropoutBlock; k < min((i+1)*dropoutBlock, len(src)); k++ {
		if mix64(t.key+uint64(k)*goldenGamma)>>32 < t.limit {
			dst[k] = 0
		} else {
			dst[k] = src[k] * scale
		}
	}
}

const goldenGamma = 0x9e3779b97f4a7c15

// mix64 is the finalizer of SplitMix64, after a step.
func mix64(z uint64) uint64 {
	z += goldenGamma
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Gradient drops what was dropped.
func (o *dropoutTrain) Gradient(g *Gradient) error {
	if dy, ok := g.Of(0); ok {
		g.Set(0, g.Node("DropoutTrain", g.Attributes("ratio", "number"), dy, g.In(1)))
	}
	return nil
}
