package ops

import (
	"fmt"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// affineGrid is AffineGrid: the grid for GridSample that reads an image of the given size [N, C, (D,) H, W] through affine maps
// theta [N, 2, 3] or [N, 3, 4]. Types: floating-point ones.
type affineGrid struct{ align bool }

func newAffineGrid(n *Node) (Op, error) { return &affineGrid{n.Bool("align_corners", false)}, nil }

func (o *affineGrid) Infer(in []Info) ([]Info, error) {
	if err := typesFloat.check(in, 0); err != nil {
		return nil, err
	}
	out := Info{Type: in[0].Type}
	theta := in[0].Shape
	if theta != nil && len(theta) != 3 {
		return nil, rankError(0, len(theta), "3")
	}
	size := dimsOf(in[1])
	if size == nil {
		return []Info{out}, nil
	}
	if len(size) != 4 && len(size) != 5 {
		return nil, fmt.Errorf("size has %d elements, not 4 or 5", len(size))
	}
	out.Shape = append(Shape{size[0]}, size[2:]...)
	out.Shape = append(out.Shape, Known(len(size)-2))
	return []Info{out}, nil
}

func (o *affineGrid) Run(c *Call) error { return throughFloat32(c, o) }

func (o *affineGrid) run(c *Call) error {
	theta := c.In[0]
	size, ok := Integers(c.In[1])
	r := len(size) - 2
	if !ok || r != 2 && r != 3 || len(theta.Shape) != 3 || theta.Shape[0] != size[0] || theta.Shape[1] != r || theta.Shape[2] != r+1 {
		return fmt.Errorf("theta of shape %v for an image of %v", theta.Shape, size)
	}
	shape := append([]int{size[0]}, size[2:]...)
	y, err := c.Out(0, theta.Type, append(shape, r))
	if err != nil {
		return err
	}
	switch theta.Type {
	case onnx.Float:
		spanGrid(o, tensor.Of[float32](y), tensor.Of[float32](theta), size[2:])
	case onnx.Double:
		spanGrid(o, tensor.Of[float64](y), tensor.Of[float64](theta), size[2:])
	default:
		return typeError(theta.Type)
	}
	return nil
}

func spanGrid[T float32 | float64](o *affineGrid, dst, theta []T, dims []int) {
	r := len(dims)
	at := make([]float64, r+1) // x, y, …: the last dimension's first
	at[r] = 1
	for i := range len(dst) / r {
		rest := i
		for d := r - 1; d >= 0; d-- {
			k, n := float64(rest%dims[d]), float64(dims[d])
			rest /= dims[d]
			switch {
			case !o.align:
				at[r-1-d] = (2*k+1)/n - 1
			case dims[d] > 1:
				at[r-1-d] = 2*k/(n-1) - 1
			default:
				at[r-1-d] = -1
			}
		}
		rows := theta[rest*r*(r+1):]
		for k := range r {
			sum := 0.0
			for j, v := range rows[k*(r+1):][:r+1] {
				sum += float64(v) * at[j]
			}
			dst[i*r+k] = T(sum)
		}
	}
}
