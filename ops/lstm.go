package ops

// lstm is a step of LSTM. S. Hochreiter, J. Schmidhuber: Long Short-Term Memory, Neural Computation 9(8), 1997, with the
// peepholes of F. Gers, J. Schmidhuber: Recurrent Nets that Time and Count, IJCNN 2000. With ⊙ the element-wise product,
//
//	i = f(x·Wiᵀ + h·Riᵀ + Pi ⊙ c + bi)    f' = f(x·Wfᵀ + h·Rfᵀ + Pf ⊙ c + bf), or 1 − i if they are coupled (input_forget)
//	c' = f' ⊙ c + i ⊙ g(x·Wcᵀ + h·Rcᵀ + bc)    o = f(x·Woᵀ + h·Roᵀ + Po ⊙ c' + bo)    h' = o ⊙ k(c')
//
// with the gates in the order i, o, f, c. Arguments of f and g are clipped; that of k is not, as in ONNX Runtime, although the
// standard can be read otherwise.
func (p *pass[T]) lstm(step int) {
	n, clip := p.hidden, p.o.clip
	timesRows(p.cpu, p.gates, 4*n, p.h, n, p.r, p.batch, true, nil)
	f, g, k := &p.acts[0], &p.acts[1], &p.acts[2]
	for b := range p.batch {
		if _, ok := p.position(b, step); !ok {
			continue
		}
		row, h, c, tmp := p.gates[b*4*n:(b+1)*4*n], p.h[b*n:(b+1)*n], p.c[b*n:(b+1)*n], p.tmp[b*n:(b+1)*n]
		gi, gout, gf, gc := row[:n], row[n:2*n], row[2*n:3*n], row[3*n:]
		if p.p == nil {
			activate(p.cpu, f, clip, row[:3*n])
		} else {
			addProduct(gi, p.p[:n], c)
			addProduct(gf, p.p[2*n:], c)
			activate(p.cpu, f, clip, gi)
			activate(p.cpu, f, clip, gf)
		}
		if p.o.inputForget {
			for j, v := range gi {
				gf[j] = 1 - v
			}
		}
		activate(p.cpu, g, clip, gc)
		for j := range c {
			c[j] = gf[j]*c[j] + gi[j]*gc[j]
		}
		if p.p != nil {
			addProduct(gout, p.p[n:2*n], c)
			activate(p.cpu, f, clip, gout)
		}
		copy(tmp, c)
		activate(p.cpu, k, 0, tmp)
		for j := range h {
			h[j] = gout[j] * tmp[j]
		}
	}
}

// addProduct adds x ⊙ y to dst.
func addProduct[T floating](dst, x, y []T) {
	for i := range dst {
		dst[i] += x[i] * y[i]
	}
}
