package ops

// row returns the n numbers that a step of sequence b has in an array.
func (p *backPass[T]) row(all []T, step, b, n int) []T { return all[(step*p.batch+b)*n:][:n] }

// lstmForward computes gates, cells and activated cells, see [pass.lstm].
func (p *backPass[T]) lstmForward() {
	h := p.hidden
	timesRows(p.cpu, p.gate, 4*h, p.prev, h, p.r, p.seq*p.batch, true, nil)
	copy(p.cells, p.c)
	f, g, k := &p.acts[0], &p.acts[1], &p.acts[2]
	for step := range p.seq {
		for b := range p.batch {
			before, c := p.row(p.cells, step, b, h), p.row(p.cells, step+1, b, h)
			if _, ok := p.position(b, step); !ok {
				copy(c, before)
				continue
			}
			row, out := p.row(p.gate, step, b, 4*h), p.row(p.other, step, b, h)
			gi, gout, gf, gc := row[:h], row[h:2*h], row[2*h:3*h], row[3*h:]
			if p.p == nil {
				activate(p.cpu, f, 0, row[:3*h])
			} else {
				addProduct(gi, p.p[:h], before)
				addProduct(gf, p.p[2*h:], before)
				activate(p.cpu, f, 0, gi)
				activate(p.cpu, f, 0, gf)
			}
			if p.o.inputForget {
				for j, v := range gi {
					gf[j] = 1 - v
				}
			}
			activate(p.cpu, g, 0, gc)
			for j := range c {
				c[j] = gf[j]*before[j] + gi[j]*gc[j]
			}
			if p.p != nil {
				addProduct(gout, p.p[h:2*h], c)
				activate(p.cpu, f, 0, gout)
			}
			copy(out, c)
			activate(p.cpu, k, 0, out)
		}
	}
}

// lstmBack turns the gates of a step into the gradients of their arguments, and passes what arrives at the states on to those before.
func (p *backPass[T]) lstmBack(step int) {
	h := p.hidden
	f, g, k := &p.acts[0], &p.acts[1], &p.acts[2]
	for b := range p.batch {
		row := p.row(p.gate, step, b, 4*h)
		if _, ok := p.position(b, step); !ok {
			clear(row)
			continue
		}
		before, c, out := p.row(p.cells, step, b, h), p.row(p.cells, step+1, b, h), p.row(p.other, step, b, h)
		dh, dc := p.dh[b*h:][:h], p.dc[b*h:][:h]
		for j := range h {
			gi, gout, gf, gc := row[j], row[h+j], row[2*h+j], row[3*h+j]
			dout := dh[j] * out[j] * slopeOf(f, gout)
			dcell := dc[j] + dh[j]*gout*slopeOf(k, out[j])
			if p.p != nil {
				dcell += dout * p.p[h+j]
			}
			di, df := dcell*gc, dcell*before[j]
			if p.o.inputForget {
				di, df = di-df, 0
			}
			di, df = di*slopeOf(f, gi), df*slopeOf(f, gf)
			dc[j] = dcell * gf
			if p.p != nil {
				dc[j] += di*p.p[j] + df*p.p[2*h+j]
				p.dp[j], p.dp[h+j], p.dp[2*h+j] = p.dp[j]+di*before[j], p.dp[h+j]+dout*c[j], p.dp[2*h+j]+df*before[j]
			}
			row[j], row[h+j], row[2*h+j], row[3*h+j] = di, dout, df, dcell*gi*slopeOf(g, gc)
		}
	}
	timesRows(p.cpu, p.next, h, p.gate[step*p.batch*4*h:], 4*h, p.back[0], p.batch, false, nil)
}

// gruForward computes gates and what the reset gate is multiplied with, see [pass.gru].
func (p *backPass[T]) gruForward() {
	h, rows := p.hidden, p.seq*p.batch
	timesRows(p.cpu, p.gate, 3*h, p.prev, h, p.r, rows, true, nil)
	if p.o.linear {
		timesRows(p.cpu, p.other, h, p.prev, h, p.rh, rows, false, p.rb[:h])
	}
	for i := range rows {
		row, other, prev := p.gate[i*3*h:][:3*h], p.other[i*h:][:h], p.prev[i*h:][:h]
		activate(p.cpu, &p.acts[0], 0, row[:2*h])
		reset := row[h : 2*h]
		if p.o.linear {
			addProduct(row[2*h:], reset, other)
			continue
		}
		for j, v := range prev {
			other[j] = reset[j] * v
		}
	}
	if !p.o.linear {
		timesRows(p.cpu, p.gate[2*h:], 3*h, p.other, h, p.rh, rows, true, nil)
	}
	for i := range rows {
		activate(p.cpu, &p.acts[1], 0, p.gate[i*3*h+2*h:][:h])
	}
}

// gruBack is lstmBack of GRU.
func (p *backPass[T]) gruBack(step int) {
	h := p.hidden
	f, g := &p.acts[0], &p.acts[1]
	first := step * p.batch
	for b := range p.batch {
		row, outer, next := p.row(p.gate, step, b, 3*h), p.row(p.outer, step, b, h), p.next[b*h:][:h]
		if _, ok := p.position(b, step); !ok {
			clear(row)
			continue
		}
		other, prev, dh := p.row(p.other, step, b, h), p.row(p.prev, step, b, h), p.dh[b*h:][:h]
		for j := range h {
			z, reset, n := row[j], row[h+j], row[2*h+j]
			dn := dh[j] * (1 - z) * slopeOf(g, n)
			row[j], row[2*h+j] = dh[j]*(prev[j]-n)*slopeOf(f, z), dn
			next[j], outer[j] = dh[j]*z, dn
			if p.o.linear {
				row[h+j], outer[j] = dn*other[j]*slopeOf(f, reset), dn*reset
			}
		}
	}
	if p.o.linear {
		timesRows(p.cpu, p.next, h, p.outer[first*h:], h, p.back[1], p.batch, true, nil)
	} else {
		timesRows(p.cpu, p.tmp, h, p.outer[first*h:], h, p.back[1], p.batch, false, nil)
		for b := range p.batch {
			row, prev, next := p.row(p.gate, step, b, 3*h), p.row(p.prev, step, b, h), p.next[b*h:][:h]
			for j, d := range p.tmp[b*h:][:h] {
				reset := row[h+j]
				next[j] += d * reset
				row[h+j] = d * prev[j] * slopeOf(f, reset)
			}
		}
	}
	timesRows(p.cpu, p.next, h, p.gate[first*3*h:], 3*h, p.back[0], p.batch, true, nil)
}

// rnnForward computes the states after each step, see [pass.rnn].
func (p *backPass[T]) rnnForward() {
	timesRows(p.cpu, p.gate, p.hidden, p.prev, p.hidden, p.r, p.seq*p.batch, true, nil)
	activate(p.cpu, &p.acts[0], 0, p.gate)
}

// rnnBack is lstmBack of RNN.
func (p *backPass[T]) rnnBack(step int) {
	h := p.hidden
	for b := range p.batch {
		row := p.row(p.gate, step, b, h)
		if _, ok := p.position(b, step); !ok {
			clear(row)
			continue
		}
		for j, d := range p.dh[b*h:][:h] {
			row[j] = d * slopeOf(&p.acts[0], row[j])
		}
	}
	timesRows(p.cpu, p.next, h, p.gate[step*p.batch*h:], h, p.back[0], p.batch, false, nil)
}

// slopeOf is the derivative of a gate where it has the value y.
func slopeOf[T floating](g *gate, y T) T { return T(g.slope(float64(y), g.alpha, g.beta)) }
