package ops

import (
	"errors"
	"fmt"
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// rotaryEmbedding is RotaryEmbedding: pairs of numbers of a head are turned by an angle that depends on the position. J. Su et al.:
// RoFormer, arXiv:2104.09864. X is [B, heads, S, D] or [B, S, heads·D]; of D, the first rotary_embedding_dim numbers (0: all) are
// turned, the rest is copied. Pairs are neighbours if interleaved, else numbers of the two halves. Cosines and sines are [B, S, R/2],
// or [positions, R/2] with position_ids [B, S].
type rotaryEmbedding struct {
	heads, size int
	interleaved bool
}

func newRotaryEmbedding(n *Node) (Op, error) {
	o := &rotaryEmbedding{n.Int("num_heads", 0), n.Int("rotary_embedding_dim", 0), n.Bool("interleaved", false)}
	if o.heads < 0 || o.size < 0 || o.size%2 != 0 {
		return nil, fmt.Errorf("attributes num_heads and rotary_embedding_dim are %d and %d", o.heads, o.size)
	}
	return o, nil
}

func (o *rotaryEmbedding) Infer(in []Info) ([]Info, error) {
	if s := in[0].Shape; s != nil && len(s) != 4 && (len(s) != 3 || o.heads == 0) {
		return nil, fmt.Errorf("input 0 has shape %s; it needs four dimensions, or three and the attribute num_heads", s)
	}
	return []Info{{Type: in[0].Type, Shape: in[0].Shape}}, nil
}

func (o *rotaryEmbedding) Run(c *Call) error {
	x := c.In[0]
	heads := o.heads
	var batch, seq, size int
	switch s := x.Shape; {
	case len(s) == 4:
		batch, heads, seq, size = s[0], s[1], s[2], s[3]
	case len(s) == 3 && heads > 0 && s[2]%heads == 0:
		batch, seq, size = s[0], s[1], s[2]/heads
	default:
		return fmt.Errorf("input 0 is %s, of %d heads", x, heads)
	}
	turned := o.size
	if turned == 0 {
		turned = size
	}
	if turned > size || turned%2 != 0 {
		return fmt.Errorf("%d of %d numbers are to be turned in pairs", turned, size)
	}
	cos, sin, row, err := o.angles(c, batch, seq, turned/2)
	if err != nil {
		return err
	}
	y, err := c.Out(0, x.Type, x.Shape)
	if err != nil {
		return err
	}
	src, err := decoded(nil, x)
	if err != nil {
		return err
	}
	for i := range batch * heads * seq {
		b, t := i/heads/seq, i%seq
		if len(x.Shape) == 3 {
			t = i / heads % seq
		}
		at := row(b*seq+t) * turned / 2
		o.turn(src[i*size:][:turned], cos[at:][:turned/2], sin[at:][:turned/2])
	}
	y.SetFloats(0, src, false)
	return nil
}

// angles returns the tables and which of their rows belongs to a position of the batch.
func (o *rotaryEmbedding) angles(c *Call, batch, seq, half int) (cos, sin []float32, row func(i int) int, err error) {
	dt := c.In[0].Type
	if dt != onnx.Float && dt != onnx.Float16 && dt != onnx.BFloat16 {
		return nil, nil, nil, fmt.Errorf("input 0 is %s, not float, float16 or bfloat16", c.In[0])
	}
	want, row := []int{batch, seq, half}, func(i int) int { return i }
	if ids := c.input(3); ids != nil {
		if len(c.In[1].Shape) != 2 || ids.Type != onnx.Int64 || !slices.Equal(ids.Shape, []int{batch, seq}) {
			return nil, nil, nil, fmt.Errorf("position_ids are %s for a table %s", ids, c.In[1])
		}
		want = []int{c.In[1].Shape[0], half}
		positions := tensor.Of[int64](ids)
		for _, p := range positions {
			if p < 0 || p >= int64(want[0]) {
				return nil, nil, nil, fmt.Errorf("position %d is not in a table of %d", p, want[0])
			}
		}
		row = func(i int) int { return int(positions[i]) }
	}
	if !slices.Equal(c.In[1].Shape, want) || !slices.Equal(c.In[2].Shape, want) {
		return nil, nil, nil, fmt.Errorf("tables are %s and %s, not of shape %v", c.In[1], c.In[2], want)
	}
	cos, errCos := decoded(nil, c.In[1])
	sin, errSin := decoded(nil, c.In[2])
	return cos, sin, row, errors.Join(errCos, errSin)
}

// turn turns the pairs of x.
func (o *rotaryEmbedding) turn(x, cos, sin []float32) {
	for i := range cos {
		a, b := i, i+len(cos)
		if o.interleaved {
			a, b = 2*i, 2*i+1
		}
		p, q := x[a], x[b]
		x[a], x[b] = cos[i]*p-sin[i]*q, sin[i]*p+cos[i]*q
	}
}
