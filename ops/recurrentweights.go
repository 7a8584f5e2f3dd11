package ops

import (
	"slices"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// factor is a matrix [n, k] that rows are multiplied with: float32 packed, float64 as it is.
type factor[T floating] struct {
	packed *kernel.Packed
	rows   []T
	n, k   int
}

// newFactor makes a factor of n rows of k numbers.
func newFactor[T floating](cpu *kernel.CPU, rows []T, n, k int) *factor[T] {
	f := &factor[T]{rows: rows, n: n, k: k}
	if r, ok := any(rows).([]float32); ok {
		f.packed = kernel.Pack(cpu, r, k, k, n, true)
	}
	return f
}

// timesRows computes C = A·Wᵀ + bias, or adds A·Wᵀ to C: A [m, k], C [m, n], with lda and ldc between rows.
func timesRows[T floating](cpu *kernel.CPU, c []T, ldc int, a []T, lda int, w *factor[T], m int, add bool, bias []T) {
	if m == 0 {
		return
	}
	if w.packed != nil {
		ep := kernel.Epilogue{Bias: any(bias).([]float32)}
		dst := any(c).([]float32)
		if add {
			ep.Add = dst
		}
		w.packed.Gemm(cpu, m, any(a).([]float32), lda, dst, ldc, &ep, ldc)
		return
	}
	for i := range m {
		for j := range w.n {
			var sum T
			for l, v := range a[i*lda : i*lda+w.k] {
				sum += v * w.rows[j*w.k+l]
			}
			if add {
				sum += c[i*ldc+j]
			}
			if bias != nil {
				sum += bias[j]
			}
			c[i*ldc+j] = sum
		}
	}
}

// recurrentWeights are constant W and R, packed.
type recurrentWeights struct {
	in, hidden int
	w, r, rh   []*factor[float32] // of each direction; rh is the part of R for the hidden gate of a GRU
}

// Pack packs constant W and R of float32.
func (o *recurrent) Pack(cpu *kernel.CPU, info []Info) (Op, []int, error) {
	w, r := info[1].Value, info[2].Value
	gates, _ := o.cell.gates()
	d := len(o.reverse)
	if w == nil || r == nil || w.Type != onnx.Float || r.Type != onnx.Float || len(w.Shape) != 3 || len(r.Shape) != 3 {
		return nil, nil, nil
	}
	in, hidden := w.Shape[2], r.Shape[2]
	e := extent{in: in, hidden: hidden}
	gh := gates * hidden
	if !slices.Equal(w.Shape, []int{d, gh, in}) || !slices.Equal(r.Shape, []int{d, gh, hidden}) || in == 0 || hidden == 0 {
		return nil, nil, nil // Run says what is wrong
	}
	p := *o
	p.packed = &recurrentWeights{in: in, hidden: hidden}
	pass := pass[float32]{extent: e, o: o, cpu: cpu}
	for k := range d {
		pass.factors(tensor.Of[float32](w), tensor.Of[float32](r), k, gh)
		p.packed.w, p.packed.r, p.packed.rh = append(p.packed.w, pass.w), append(p.packed.r, pass.r), append(p.packed.rh, pass.rh)
	}
	return &p, []int{1, 2}, nil
}

// factors sets the factors of direction k, from those that are packed or from W and R of all directions.
func (p *pass[T]) factors(w, r []T, k, gh int) {
	if ready := p.o.packed; ready != nil {
		p.w, p.r, p.rh = any(ready.w[k]).(*factor[T]), any(ready.r[k]).(*factor[T]), any(ready.rh[k]).(*factor[T])
		return
	}
	r = r[k*gh*p.hidden : (k+1)*gh*p.hidden]
	p.w = newFactor(p.cpu, w[k*gh*p.in:(k+1)*gh*p.in], gh, p.in)
	if p.o.cell != gruCell {
		p.r = newFactor(p.cpu, r, gh, p.hidden)
		return
	}
	reset := gh - p.hidden
	p.r, p.rh = newFactor(p.cpu, r[:reset*p.hidden], reset, p.hidden), newFactor(p.cpu, r[reset*p.hidden:], p.hidden, p.hidden)
}
