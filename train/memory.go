package train

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/tensor"
)

// needs plans all that a step does, and returns the bytes that values between layers take.
func (s *step) needs() (int64, error) {
	scratch, gradient := 0, 0
	out := map[*place]*tensor.Tensor{}
	for i, p := range s.places {
		var in []*tensor.Tensor
		for _, f := range p.from {
			in = append(in, out[f])
		}
		in = append(in, p.rest...)
		results, n, err := p.seat.runner.Prepare(in)
		if err != nil {
			return 0, err
		}
		out[p], scratch = results[0], max(scratch, n)
		for k, q := range p.params {
			if p.segment.trained[k] && i > 0 {
				gradient = max(gradient, q.grad.Size())
			}
		}
	}
	s.rehearsed = true
	return int64(s.rehearse()) + int64(scratch) + int64(gradient), nil
}

// rehearse returns the bytes of memory that runners have at once in a step.
func (s *step) rehearse() int {
	return s.engine.compiler.memory.Rehearse(func() {
		for _, p := range s.places {
			p.seat.runner.Rehearse(false)
			p.ran()
		}
		for _, p := range slices.Backward(s.places) {
			if !p.goesBack() {
				continue
			}
			if p.recompute {
				p.seat.runner.Rehearse(false)
			}
			p.seat.runner.Rehearse(true)
			p.wentBack()
		}
		s.rest()
	})
}

// needs returns the bytes that a run before the step takes, of which the batch gets the results without elements.
func (x *teacher) needs(batch map[string]*tensor.Tensor) (int64, error) {
	var in []*tensor.Tensor
	for _, name := range x.from {
		in = append(in, batch[name])
	}
	out, scratch, err := x.runner.Prepare(in)
	if err != nil {
		return 0, err
	}
	for i, t := range out {
		batch[x.to[i]] = t
	}
	most := x.memory.Rehearse(func() {
		x.runner.Rehearse(false)
		x.runner.Rest()
	})
	return int64(most) + int64(scratch), nil
}

// foresee adds up what steps take once a phase is ready to run on a batch, and refuses where that is more than there is.
func (t *trainer) foresee(ph *phase, passes []*pass, b *Batch) error {
	m, grown := &t.memory, false
	if m.Weights == 0 {
		for _, v := range t.store.tensors {
			m.Weights += int64(v.Size())
		}
		for _, ph := range t.phases {
			for _, s := range ph.solver.State() {
				m.Solver += 4 * int64(len(s.Values))
			}
		}
		for _, q := range t.store.params {
			m.Solver += int64(q.grad.Size())
		}
	}
	n, err := activations(passes, b)
	if err != nil {
		return err
	}
	if n > m.Activations {
		m.Activations, grown = n, true
	}
	m.Total = m.Weights + m.Solver + m.Activations
	limit := t.config.MaxMemory
	if limit == 0 {
		limit = available()
	}
	if limit > 0 && m.Total > limit {
		fits, err := t.fitting(ph, passes, n, limit, b)
		if err != nil {
			return err
		}
		return m.refuse(limit, b.Samples, fits, t.config.Recompute)
	}
	if grown && t.step == t.resumed {
		t.note("a step takes %s of memory: weights %s, gradients and solver %s, values between layers %s",
			size(m.Total), size(m.Weights), size(m.Solver), size(m.Activations))
	}
	return nil
}

// activations returns the bytes that the values of passes take, which are not in memory at the same time, and the batches.
func activations(passes []*pass, b *Batch) (most int64, err error) {
	for _, x := range passes {
		n, err := x.step.needs()
		if err != nil {
			return 0, err
		}
		for _, f := range b.Fields {
			n += streamed * int64(f.Size())
		}
		for _, a := range x.aside {
			more, err := a.needs(x.batch)
			if err != nil {
				return 0, err
			}
			n += more
		}
		most = max(most, n)
	}
	return most, nil
}

// fitting returns how many samples a batch may have so that a step takes no more than the limit, given the bytes of values of the batch b; 0 where not even one.
func (t *trainer) fitting(ph *phase, passes []*pass, n, limit int64, b *Batch) (int, error) {
	room := float64(limit - t.memory.Weights - t.memory.Solver)
	for k := b.Samples; k > 0 && room > 0; {
		k = min(k-1, int(float64(k)*room/float64(n)))
		less := &Batch{Fields: map[string]*tensor.Tensor{}, Samples: k}
		for name, f := range b.Fields {
			dims := slices.Clone(f.Shape)
			if len(dims) > 0 && b.Samples > 0 && dims[0]%b.Samples == 0 {
				dims[0] = dims[0] / b.Samples * k
			}
			less.Fields[name] = &tensor.Tensor{Type: f.Type, Shape: dims}
		}
		var smaller []*pass
		for _, p := range passes {
			x, err := t.newPass(ph, p.Pass, less)
			if err != nil {
				return 0, err
			}
			smaller = append(smaller, x)
		}
		var err error
		if n, err = activations(smaller, less); err != nil {
			return 0, err
		}
		for _, x := range smaller {
			x.release()
		}
		if float64(n) <= room {
			return k, nil
		}
	}
	return 0, nil
}

// streamed is the number of batches that a stream has in memory.
const streamed = 4

// refuse says that memory does not suffice, and which batch would fit.
func (m *Memory) refuse(limit int64, samples, fits int, recompute bool) error {
	text := fmt.Sprintf("train: a step with a batch of %d takes %s of memory, and there is %s", samples, size(m.Total), size(limit))
	if fits == 0 {
		text += fmt.Sprintf("; weights, gradients and solver alone take %s", size(m.Weights+m.Solver))
	} else {
		text += fmt.Sprintf("; a batch of %d would fit", fits)
	}
	if !recompute {
		text += "; to recompute values between layers takes less"
	}
	return job.Usagef("%s", text)
}

// size writes bytes for people.
func size(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f kB", float64(n)/1e3)
}

// available returns the bytes of memory that the system can give, 0 where that is not known.
func available() int64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	free := numberAfter(text, "MemAvailable:") << 10
	limit, err := os.ReadFile("/sys/fs/cgroup/memory.max")
	if err != nil {
		return free
	}
	used, _ := os.ReadFile("/sys/fs/cgroup/memory.current")
	stat, _ := os.ReadFile("/sys/fs/cgroup/memory.stat")
	if most := numberAfter(limit, ""); most > 0 { // files that were read make way
		free = min(free, most-numberAfter(used, "")+numberAfter(stat, "inactive_file ")+numberAfter(stat, "active_file "))
	}
	return free
}

// numberAfter returns the number behind prefix in the line that begins so, 0 where there is none.
func numberAfter(text []byte, prefix string) int64 {
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		rest, ok := strings.CutPrefix(lines.Text(), prefix)
		if fields := strings.Fields(rest); ok && len(fields) > 0 {
			if n, err := strconv.ParseInt(fields[0], 10, 64); err == nil {
				return n
			}
		}
	}
	return 0
}
