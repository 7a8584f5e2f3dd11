package train

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/tensor"
)

// clock measures the time of training, without what lies between.
type clock struct {
	begin, last time.Time
	mean        float64 // seconds a step, of the latest
	samples     float64 // of a step, of the latest
	steps       int
	total       time.Duration // of the epoch
}

func (c *clock) start() {
	c.last = time.Now()
	if c.begin.IsZero() {
		c.begin = c.last
	}
}

// lap ends a step.
func (c *clock) lap(samples int) {
	now := time.Now()
	d := now.Sub(c.last)
	c.last, c.total = now, c.total+d
	c.steps++
	w := max(0.02, 1/float64(c.steps)) // a mean at first, then mostly of the last 50
	c.mean += w * (d.Seconds() - c.mean)
	c.samples += w * (float64(samples) - c.samples)
}

func (c *clock) rate() float64 {
	if c.mean == 0 {
		return 0
	}
	return c.samples / c.mean
}

func (c *clock) left(steps int) time.Duration {
	return time.Duration(float64(steps) * c.mean * float64(time.Second))
}

// result describes the training as it is.
func (t *trainer) result() *Result {
	r := &Result{Epochs: t.step / t.perEpoch, Steps: t.step, Resumed: t.resumed, Metrics: t.rows, Best: t.best, Memory: t.memory, Notes: t.notes}
	for _, p := range t.store.params {
		r.Parameters += int64(p.value.Len())
	}
	averages := t.averages()
	if t.best != nil && !t.config.Last {
		averages = map[string][]float32{}
		for _, s := range t.bestWeights {
			averages[s.Name] = s.Values
		}
	}
	r.Models = t.store.export(averages)
	return r
}

// averages returns the moving averages of parameters, where a solver keeps some.
func (t *trainer) averages() map[string][]float32 {
	out := map[string][]float32{}
	for _, ph := range t.phases {
		for i, v := range ph.solver.Averages() {
			out[ph.params[i].name] = v
		}
	}
	return out
}

// snapshot copies what an evaluation is of.
func (t *trainer) snapshot() (all []Slice) {
	averages := t.averages()
	for _, s := range t.store.values() {
		name := s.Name[len("value/"):]
		v := s.Values
		if a := averages[name]; a != nil {
			v = a
		}
		all = append(all, Slice{name, s.Shape, slices.Clone(v)})
	}
	return all
}

// sums are of the steps of an epoch.
type sums struct {
	loss            []float64 // by phase
	steps           []int
	samples         int
	right, answered int
	rate            float64
}

// clear begins an epoch.
func (t *trainer) clear() {
	t.sums = sums{loss: make([]float64, len(t.phases)), steps: make([]int, len(t.phases))}
	t.clock.total = 0
}

// mean is the loss of all phases together.
func (s *sums) mean() (all float64) {
	for i, n := range s.steps {
		if n > 0 {
			all += s.loss[i] / float64(n)
		}
	}
	return all
}

// epochEnd measures where an epoch is over.
func (t *trainer) epochEnd(ctx context.Context) error {
	if t.sums.samples == 0 || t.step%t.perEpoch != 0 && t.step != t.total {
		return nil
	}
	row := Metrics{
		Epoch: t.step / t.perEpoch, Step: t.step, Rate: t.sums.rate, Loss: job.Float(t.sums.mean()), Samples: t.sums.samples,
		WallS: time.Since(t.clock.begin).Seconds(),
	}
	if s := t.clock.total.Seconds(); s > 0 {
		row.SamplesPerS = float64(t.sums.samples) / s
	}
	if t.sums.answered > 0 {
		top1 := 100 * float64(t.sums.right) / float64(t.sums.answered)
		row.Top1 = &top1
	}
	if len(t.phases) > 1 {
		row.Losses = map[string]job.Float{}
		for i, n := range t.sums.steps {
			row.Losses[t.phases[i].Name] = job.Float(t.sums.loss[i] / float64(max(n, 1)))
		}
	}
	if t.task.Check != nil && (row.Epoch%max(t.config.CheckEvery, 1) == 0 || t.step == t.total) {
		val, err := t.task.Check(ctx, &Evaluation{CPU: t.cpu, Models: t.store.export(t.averages()), Events: t.ev})
		if err != nil {
			return err
		}
		row.Val = val
		row.Best = t.best == nil || t.better(val, t.best.Val)
		t.ev.Stage("train", int64(t.total), "steps")
		t.ev.Advance(int64(t.step))
	}
	t.rows = append(t.rows, row)
	if row.Best {
		t.best, t.bestWeights = &row, t.snapshot()
	}
	t.clear()
	t.ev.Row(row)
	err := t.save(row.Best)
	t.clock.start()
	return err
}

// better reports whether a is better than b.
func (t *trainer) better(a, b *Score) bool {
	if t.config.Select == "loss" {
		return a.Loss < b.Loss
	}
	return a.Top1 > b.Top1 || a.Top1 == b.Top1 && a.Loss < b.Loss
}

// Gradient returns the gradient of a parameter, a view that may be changed; nil where nothing has computed one.
func (g *Gradients) Gradient(name string) []float32 {
	if p := g.params[name]; p != nil && p.fresh {
		return tensor.Of[float32](p.grad)
	}
	return nil
}

// Value returns a parameter, a view; nil where there is none of this name.
func (g *Gradients) Value(name string) []float32 {
	if p := g.params[name]; p != nil {
		return tensor.Of[float32](p.value)
	}
	return nil
}

// Names lists the parameters that have a gradient, sorted.
func (g *Gradients) Names() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(g.params)), func(name string) bool { return !g.params[name].fresh })
}
