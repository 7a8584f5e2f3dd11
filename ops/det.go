package ops

import (
	"fmt"
	"math"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// determinant is Det: of square matrices, the last two dimensions, by elimination with partial pivoting in float64 (G. H. Golub,
// C. F. Van Loan, Matrix Computations, 4th edition, section 3.4).
type determinant struct{}

func newDet(*Node) (Op, error) { return determinant{}, nil }

// Infer implements Op.
func (determinant) Infer(in []Info) ([]Info, error) {
	if err := typesFloat.check(in, 0); err != nil {
		return nil, err
	}
	out := Info{Type: in[0].Type}
	if s := in[0].Shape; s != nil {
		k := len(s) - 2
		if k < 0 || s[k].IsKnown() && s[k+1].IsKnown() && s[k] != s[k+1] {
			return nil, fmt.Errorf("input 0 of shape %s is not of square matrices", s)
		}
		out.Shape = s[:k:k]
	}
	return []Info{out}, nil
}

// Run implements Op.
func (o determinant) Run(c *Call) error { return half(c, o) }

func (determinant) run(c *Call) error {
	x := c.In[0]
	k := len(x.Shape) - 2
	if k < 0 || x.Shape[k] != x.Shape[k+1] {
		return fmt.Errorf("input 0 of shape %v is not of square matrices", x.Shape)
	}
	out, err := c.Out(0, x.Type, x.Shape[:k])
	if err != nil {
		return err
	}
	num, err := numericOf(x.Type)
	if err != nil {
		return err
	}
	n := x.Shape[k]
	m := make([]float64, n*n)
	for i := range out.Len() {
		num.loadFloats(m, x, i*n*n)
		num.storeFloats(out, i, []float64{det(m, n)})
	}
	return nil
}

// det returns the determinant of an n×n matrix, which it overwrites.
func det(m []float64, n int) float64 {
	product := 1.0
	for k := range n {
		pivot := k
		for i := k + 1; i < n; i++ {
			if math.Abs(m[i*n+k]) > math.Abs(m[pivot*n+k]) {
				pivot = i
			}
		}
		if m[pivot*n+k] == 0 {
			return 0
		}
		if pivot != k {
			product = -product
			for j := range n {
				m[k*n+j], m[pivot*n+j] = m[pivot*n+j], m[k*n+j]
			}
		}
		product *= m[k*n+k]
		for i := k + 1; i < n; i++ {
			f := m[i*n+k] / m[k*n+k]
			for j := k; j < n; j++ {
				m[i*n+j] -= f * m[k*n+j]
			}
		}
	}
	return product
}

// typesReal are the types that convert to real numbers.
const typesReal = typesNumber | typesBool | typesFloat8 | 1<<onnx.Int4 | 1<<onnx.Uint4 | 1<<onnx.Int2 | 1<<onnx.Uint2 | 1<<onnx.Float4E2M1 | 1<<onnx.Float8E8M0

func (numbers[T]) loadFloats(buf []float64, src *tensor.Tensor, first int) {
	for i, x := range elements[T](src)[first : first+len(buf)] {
		buf[i] = float64(x)
	}
}

func (numbers[T]) storeFloats(dst *tensor.Tensor, first int, buf []float64) {
	d := elements[T](dst)[first:]
	for i, x := range buf {
		d[i] = T(x)
	}
}

func (numbers[T]) loadInts(buf []int64, src *tensor.Tensor, first int) {
	for i, x := range elements[T](src)[first : first+len(buf)] {
		buf[i] = int64(x)
	}
}

func (numbers[T]) storeInts(dst *tensor.Tensor, first int, buf []int64) {
	d := elements[T](dst)[first:]
	for i, x := range buf {
		d[i] = T(x)
	}
}
