package ops

import (
	"errors"
	"fmt"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// dropout is Dropout: the identity, or in training mode (an input from opset 12 on) elements are 0 with the probability ratio and
// the others scaled by 1/(1 − ratio). Output 1 says which are kept; before opset 10 it has the type of the input.
//
// The elements are chosen as ONNX's reference implementation does, by the Mersenne twister with the attribute seed, or with the
// run's seed in its absence.
type dropout struct {
	ratio    float32
	seed     int
	seeded   bool
	training bool // it may be told to train
	maskType onnx.DataType
	mask     bool
}

func newDropout(n *Node) (Op, error) {
	o := &dropout{
		ratio: n.Float("ratio", 0.5), seed: n.Int("seed", 0), seeded: n.Has("seed"), training: n.Opset >= 12,
		maskType: onnx.Bool, mask: len(n.Outputs) > 1 && n.Outputs[1] != "",
	}
	if n.Opset < 10 {
		o.maskType = onnx.Undefined
	}
	if n.Opset < 12 && len(n.Inputs) > 1 {
		return nil, fmt.Errorf("until opset 11 there is 1 input")
	}
	return o, nil
}

func (o *dropout) Infer(in []Info) ([]Info, error) {
	for i := 1; i < len(in); i++ {
		if s := in[i].Shape; len(s) > 1 {
			return nil, fmt.Errorf("input %d of shape %s is no scalar", i, s)
		}
	}
	out := []Info{{Type: in[0].Type, Shape: in[0].Shape}}
	if o.mask {
		mask := Info{Type: o.maskType, Shape: in[0].Shape}
		if o.maskType == onnx.Undefined {
			mask.Type = in[0].Type
		}
		out = append(out, mask)
	}
	return out, typesFloat.check(in, 0)
}

// ChannelsLast takes any layout where nothing is chosen by position.
func (o *dropout) ChannelsLast(in []Info) ([]bool, bool) {
	ok := make([]bool, len(in))
	ok[0] = len(in) < 3 && !o.mask
	return ok, false
}

// InPlace lists the numbers.
func (o *dropout) InPlace() []int { return []int{0} }

func (o *dropout) Run(c *Call) error { return throughFloat32(c, o) }

func (o *dropout) run(c *Call) error {
	x := c.In[0]
	ratio := float64(o.ratio)
	if t := c.input(1); t != nil {
		v, err := numbersOf(nil, t)
		if err != nil || len(v) != 1 {
			return fmt.Errorf("input 1, the ratio, is %s", t)
		}
		ratio = v[0]
	}
	train := false
	if t := c.input(2); t != nil {
		var err error
		if train, err = truth(t); err != nil {
			return fmt.Errorf("input 2: %w", err)
		}
	}
	if train && !(ratio >= 0 && ratio < 1) {
		return fmt.Errorf("ratio is %v", ratio)
	}
	var kept []bool
	if train && ratio > 0 {
		kept = o.choose(c, x.Len(), ratio)
	}
	y, err := c.Out(0, x.Type, x.Shape, x.Layout)
	if err != nil {
		return err
	}
	switch {
	case kept == nil:
		c.copyTo(y, x)
	case x.Type == onnx.Float:
		drop(tensor.Of[float32](y), tensor.Of[float32](x), kept, float32(1/(1-ratio)))
	case x.Type == onnx.Double:
		drop(tensor.Of[float64](y), tensor.Of[float64](x), kept, 1/(1-ratio))
	default:
		return typeError(x.Type)
	}
	if !o.mask || !c.wants(1) {
		return nil
	}
	return o.giveMask(c, kept)
}

// giveMask stores which elements are kept, nil for all.
func (o *dropout) giveMask(c *Call, kept []bool) error {
	x, dt := c.In[0], o.maskType
	if dt == onnx.Undefined {
		dt = x.Type
	}
	mask, err := c.Out(1, dt, x.Shape)
	if err != nil {
		return err
	}
	for i := range mask.Len() {
		all := kept == nil || kept[i]
		switch dt {
		case onnx.Bool:
			tensor.Of[bool](mask)[i] = all
		default: // no training in these versions: all are kept
			mask.SetFloats(i, []float32{1}, false)
		}
	}
	return nil
}

// choose returns which of n elements are kept.
func (o *dropout) choose(c *Call, n int, ratio float64) []bool {
	seed := uint32(o.seed)
	if !o.seeded {
		seed = uint32(c.Seed)
	}
	rng := newTwister(seed)
	kept := make([]bool, n)
	for i := range kept {
		kept[i] = rng.float64() >= ratio
	}
	return kept
}

func drop[T float32 | float64](dst, src []T, kept []bool, scale T) {
	for i, v := range src {
		if kept[i] {
			dst[i] = v * scale
		} else {
			dst[i] = 0
		}
	}
}

// twister is the generator MT19937. M. Matsumoto, T. Nishimura: Mersenne Twister, ACM TOMACS 8(1), 1998; seeding as of their
// revision of 2002.
type twister struct {
	state [624]uint32
	at    int
}

func newTwister(seed uint32) *twister {
	t := &twister{at: 624}
	t.state[0] = seed
	for i := 1; i < len(t.state); i++ {
		last := t.state[i-1]
		t.state[i] = 1812433253*(last^last>>30) + uint32(i)
	}
	return t
}

func (t *twister) uint32() uint32 {
	const n, m = 624, 397
	if t.at == n {
		for i := range t.state {
			y := t.state[i]&0x80000000 | t.state[(i+1)%n]&0x7fffffff
			t.state[i] = t.state[(i+m)%n] ^ y>>1 ^ y&1*0x9908b0df
		}
		t.at = 0
	}
	y := t.state[t.at]
	t.at++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

// float64 returns a number of [0, 1) with 53 random bits.
func (t *twister) float64() float64 {
	a, b := t.uint32()>>5, t.uint32()>>6
	return (float64(a)*(1<<26) + float64(b)) / (1 << 53)
}

// Gradient drops what was dropped.
func (o *dropout) Gradient(g *Gradient) error {
	dy, _ := g.Of(0)
	if !g.Has(2) {
		g.Set(0, dy)
		return nil
	}
	training := g.In(2).Value
	if training == nil {
		return errors.New("input 2, whether it is training, is not constant")
	}
	train, err := truth(training)
	if err != nil || !train {
		g.Set(0, dy)
		return err
	}
	one := g.Scalar(dy, 1)
	kept := g.Sub(one, g.Scalar(dy, float64(o.ratio)))
	if g.Has(1) {
		kept = g.Sub(one, g.Reshape(g.Cast(g.In(1), dy), nil))
	}
	g.Set(0, g.Where(g.Out(1), g.Div(dy, kept), g.Scalar(dy, 0)))
	return nil
}
