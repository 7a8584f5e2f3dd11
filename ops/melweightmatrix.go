package ops

import (
	"fmt"
	"math"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// melWeightMatrix is MelWeightMatrix: [dft_length/2 + 1, num_mel_bins] of triangular filters whose corners are spaced evenly on the mel
// scale, mel(f) = 2595·log₁₀(1 + f/700), between two frequencies (S. Stevens, J. Volkmann, E. Newman, 1937).
type melWeightMatrix struct{ dt onnx.DataType }

func newMelWeightMatrix(n *Node) (Op, error) {
	dt := onnx.DataType(n.Int("output_datatype", int(onnx.Float)))
	if tensor.Width(dt) == 0 || dt == onnx.Bool || dt == onnx.Complex64 || dt == onnx.Complex128 {
		return nil, fmt.Errorf("attribute output_datatype is %s", dt)
	}
	return &melWeightMatrix{dt}, nil
}

func (o *melWeightMatrix) Infer(in []Info) ([]Info, error) {
	out := Info{Type: o.dt, Shape: Shape{Unknown, Unknown}}
	if in[0].Value != nil && in[1].Value != nil {
		bins, err := scalar(in[0].Value)
		length, err2 := scalar(in[1].Value)
		if err != nil || err2 != nil || bins < 0 || length < 0 {
			return nil, fmt.Errorf("%s mel bins for a transform of length %s", in[0].Value, in[1].Value)
		}
		out.Shape = MakeShape(length/2+1, bins)
	}
	return []Info{out}, nil
}

func (o *melWeightMatrix) Run(c *Call) error {
	var whole [3]int
	var edges [2]float32
	for i := range whole {
		v, err := scalar(c.In[i])
		if err != nil || v < 0 || v > 1<<30 {
			return fmt.Errorf("input %d is %s, not one integer that makes sense", i, c.In[i])
		}
		whole[i] = v
	}
	for i := range edges {
		if t := c.In[3+i]; t.Len() != 1 || !t.Floats(edges[i:i+1], 0) {
			return fmt.Errorf("input %d is %s, not one number", 3+i, t)
		}
	}
	bins, length, rate := whole[0], whole[1], whole[2]
	y, err := c.Out(0, o.dt, []int{length/2 + 1, bins})
	if err != nil {
		return err
	}
	mel := func(f float32) float64 { return 2595 * math.Log10(1+float64(f)/700) }
	step := (mel(edges[1]) - mel(edges[0])) / float64(bins+2)
	corner := func(i int) int {
		f := 700 * (math.Pow(10, (mel(edges[0])+float64(i)*step)/2595) - 1)
		return int(max(0, min(math.Floor(float64(length+1)*f/float64(max(rate, 1))), float64(length/2))))
	}
	v := make([]float64, y.Len())
	for i := range bins {
		low, mid, high := corner(i), corner(i+1), corner(i+2)
		if low == mid {
			v[mid*bins+i] = 1
		}
		for j := low; j <= mid && low < mid; j++ {
			v[j*bins+i] = float64(j-low) / float64(mid-low)
		}
		for j := mid; j < high; j++ {
			v[j*bins+i] = float64(high-j) / float64(high-mid)
		}
	}
	return convert(y, tensor.From(v, y.Shape...), conversion{})
}
