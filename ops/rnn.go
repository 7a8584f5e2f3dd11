package ops

// rnn is a step of RNN: h' = f(x·Wᵀ + h·Rᵀ + b), with the argument of f clipped. J. Elman: Finding Structure in Time, Cognitive
// Science 14(2), 1990.
func (p *pass[T]) rnn(step int) {
	n := p.hidden
	timesRows(p.cpu, p.gates, n, p.h, n, p.r, p.batch, true, nil)
	activate(p.cpu, &p.acts[0], p.o.clip, p.gates)
	for b := range p.batch {
		if _, ok := p.position(b, step); ok {
			copy(p.h[b*n:(b+1)*n], p.gates[b*n:])
		}
	}
}
