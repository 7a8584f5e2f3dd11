package ops

// gru is a step of GRU. K. Cho et al.: Learning Phrase Representations using RNN Encoder–Decoder, EMNLP 2014.
//
//	z = f(x·Wzᵀ + h·Rzᵀ + bz)    r = f(x·Wrᵀ + h·Rrᵀ + br)
//	n = g(x·Whᵀ + (r ⊙ h)·Rhᵀ + bh), or, if linear before reset, g(x·Whᵀ + r ⊙ (h·Rhᵀ + Rbh) + Wbh)
//	h' = (1 − z) ⊙ n + z ⊙ h
//
// with the gates in the order z, r, h. Arguments of f and g are clipped.
func (p *pass[T]) gru(step int) {
	n, clip := p.hidden, p.o.clip
	timesRows(p.cpu, p.gates, 3*n, p.h, n, p.r, p.batch, true, nil)
	if p.o.linear {
		timesRows(p.cpu, p.tmp, n, p.h, n, p.rh, p.batch, false, p.rb[:n])
	}
	for b := range p.batch {
		row := p.gates[b*3*n : (b+1)*3*n]
		activate(p.cpu, &p.acts[0], clip, row[:2*n])
		r, tmp, h := row[n:2*n], p.tmp[b*n:(b+1)*n], p.h[b*n:(b+1)*n]
		if p.o.linear {
			addProduct(row[2*n:], r, tmp)
			continue
		}
		for j := range tmp {
			tmp[j] = r[j] * h[j]
		}
	}
	if !p.o.linear {
		timesRows(p.cpu, p.gates[2*n:], 3*n, p.tmp, n, p.rh, p.batch, true, nil)
	}
	for b := range p.batch {
		if _, ok := p.position(b, step); !ok {
			continue
		}
		row, h := p.gates[b*3*n:(b+1)*3*n], p.h[b*n:(b+1)*n]
		z, next := row[:n], row[2*n:]
		activate(p.cpu, &p.acts[1], clip, next)
		for j := range h {
			h[j] = (1-z[j])*next[j] + z[j]*h[j]
		}
	}
}
