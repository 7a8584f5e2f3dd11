package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"

	"github.com/effml/effml/internal/isa"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/kernel"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// Run trains. When ctx ends the step under way is finished, a checkpoint is written, and the result so far is returned beside ctx's error; so it is
// beside a [*DivergedError]. Given the same task, configuration and instruction set the weights are the same bit for bit, for any number of threads,
// and whether or not the training was interrupted and resumed.
func Run(ctx context.Context, c Config, task *Task, ev Events) (*Result, error) {
	timer := job.Start(Schema, c.Seed, c.Threads)
	t, err := newTrainer(c, task, ev)
	if err != nil {
		return nil, err
	}
	defer t.close()
	err = t.resume()
	if err == nil {
		err = t.train(ctx)
	}
	if err != nil && !t.began {
		return nil, err
	}
	r := t.result()
	r.Command = c.Command
	timer.Fill(&r.Common)
	return r, err
}

// Validate reports all problems of c at once, as a [*job.UsageError].
func (c Config) Validate() error {
	var p job.Problems
	p.Check(c.Epochs >= 0, "epochs: %d is out of range, it must not be negative", c.Epochs)
	p.Check(c.Steps >= 0, "steps: %d is out of range, it must not be negative", c.Steps)
	p.Check((c.Epochs > 0) != (c.Steps > 0), "epochs, steps: give one of them")
	p.Check(c.Threads >= 0, "threads: %d is out of range, it must not be negative", c.Threads)
	p.Check(c.CheckEvery >= 0, "check-every: %d is out of range, it must not be negative", c.CheckEvery)
	p.Check(c.Select == "" || c.Select == "top1" || c.Select == "loss", "select: %q is neither top1 nor loss", c.Select)
	p.Check(c.MaxMemory >= 0, "max-memory: %d is out of range, it must not be negative", c.MaxMemory)
	p.Check(c.Checkpoints.Every >= 0, "checkpoints.every: %d is out of range, it must not be negative", c.Checkpoints.Every)
	p.Check(c.Checkpoints.Keep >= 0, "checkpoints.keep: %d is out of range, it must not be negative", c.Checkpoints.Keep)
	p.Check(!c.Checkpoints.Resume || c.Checkpoints.Folder != "", "checkpoints: to resume, name their folder")
	return p.Err()
}

// trainer is a run.
type trainer struct {
	config  Config
	task    *Task
	ev      Events
	cpu     *kernel.CPU
	engine  *Engine
	store   *store
	phases  []*phase
	cursors map[string]*cursor

	perEpoch, total int
	step            int // done
	began           bool
	resumed         int
	sums            sums
	rows            []Metrics
	best            *Metrics
	bestWeights     []Slice
	seed            *tensor.Tensor
	memory          Memory
	notes           []string
	clock           clock
	depends         map[string]string // see fingerprints
}

// phase is a Phase in a run.
type phase struct {
	Phase
	number int
	trains func(name string) bool
	solver *Solver
	params []*parameter
	passes []*pass // of Passes, for batches of one shape
}

// NoEvents is an [Events] that ignores everything.
func NoEvents() Events { return noEvents{job.Discard} }

type noEvents struct{ job.Events }

func (noEvents) Step(Progress) {}
func (noEvents) Row(Metrics)   {}

func newTrainer(c Config, task *Task, ev Events) (*trainer, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	set, err := isa.FromEnv()
	if err != nil {
		return nil, &job.UsageError{Err: err}
	}
	if ev == nil {
		ev = NoEvents()
	}
	t := &trainer{config: c, task: task, ev: ev, cursors: map[string]*cursor{}, seed: tensor.Scalar(int64(0)), notes: []string{}}
	if t.store, err = newStore(task.Models); err != nil {
		return nil, err
	}
	if err := t.store.integerWeights(); err != nil {
		return nil, err
	}
	t.tellStale()
	t.cpu = kernel.NewCPU(kernel.Options{Threads: c.Threads, ISA: set})
	t.engine = NewEngine(t.cpu)
	t.engine.Recompute = c.Recompute
	if err := t.addPhases(); err != nil {
		t.close()
		return nil, err
	}
	first := t.phases[0]
	t.perEpoch = max(1, task.Streams[first.Stream].PerEpoch()/first.Accumulate)
	if t.total = c.Steps; t.total == 0 {
		t.total = c.Epochs * t.perEpoch
	}
	t.clear()
	return t, nil
}

func (t *trainer) close() {
	for _, c := range t.cursors {
		c.close()
	}
	t.cpu.Close()
}

// addPhases checks the phases of the task and makes their solvers.
func (t *trainer) addPhases() error {
	if len(t.task.Phases) == 0 {
		return job.Usagef("train: the task has no phases")
	}
	names := map[string]bool{}
	for i, p := range t.task.Phases {
		stream := t.task.Streams[p.Stream]
		if stream == nil {
			return job.Usagef("train: phase %q: there is no stream %q", p.Name, p.Stream)
		}
		if names[p.Name] {
			return job.Usagef("train: two phases are called %q", p.Name)
		}
		names[p.Name] = true
		if p.Every < 0 || p.Accumulate < 0 {
			return job.Usagef("train: phase %q: every and accumulate must not be negative", p.Name)
		}
		p.Every, p.Accumulate = max(p.Every, 1), max(p.Accumulate, 1)
		if (len(p.Passes) == 0) == (p.Sample == nil) {
			return job.Usagef("train: phase %q: it must have either passes or something that samples them", p.Name)
		}
		if err := p.Schedule.Validate(); err != nil {
			return err
		}
		if t.cursors[p.Stream] == nil {
			t.cursors[p.Stream] = &cursor{name: p.Stream, stream: stream}
		}
		ph := &phase{Phase: p, number: i}
		if err := t.addSolver(ph); err != nil {
			return err
		}
		t.phases = append(t.phases, ph)
	}
	return nil
}

// addSolver finds the parameters of a phase.
func (t *trainer) addSolver(p *phase) error {
	match, err := regexp.Compile(p.Parameters)
	if err != nil {
		return job.Usagef("train: phase %q: parameters: %w", p.Name, err)
	}
	if err := p.Phase.Solver.Validate(); err != nil {
		return err
	}
	p.trains = func(name string) bool { return match.MatchString(name) && !p.Phase.Solver.Frozen(name) }
	var list []Parameter
	for _, name := range t.store.order {
		if match.MatchString(name) {
			q := t.store.params[name]
			list, p.params = append(list, q.solved()), append(p.params, q)
		}
	}
	if !slices.ContainsFunc(t.store.order, p.trains) {
		return &job.ModelError{Err: fmt.Errorf("train: phase %q: no tensor can be trained", p.Name)}
	}
	p.solver, err = NewSolver(t.cpu, p.Phase.Solver, list)
	return err
}

// train does the steps that are left.
func (t *trainer) train(ctx context.Context) error {
	t.ev.Stage("train", int64(t.total), "steps")
	t.ev.Advance(int64(t.step))
	t.began = true
	t.clock.start()
	for {
		if err := t.epochEnd(ctx); err != nil {
			if ctx.Err() != nil { // in an evaluation, which is made again
				err = errors.Join(err, t.save(false))
			}
			return err
		}
		if t.step == t.total {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return errors.Join(err, t.save(false))
		}
		if err := t.one(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		if n := t.config.Checkpoints.Every; n > 0 && t.step%n == 0 && t.step%t.perEpoch != 0 {
			if err := t.save(false); err != nil {
				return err
			}
		}
	}
}

// one does a step.
func (t *trainer) one(ctx context.Context) error {
	p := Progress{Rate: -1, Top1: -1}
	samples := 0
	for _, ph := range t.phases {
		if t.step%ph.Every != 0 {
			continue
		}
		at := Position{Step: t.step, PerEpoch: t.perEpoch, Total: t.total}
		rate := ph.Schedule.RateAt(at)
		if momentum, ok := ph.Schedule.MomentumAt(at); ok {
			ph.solver.SetMomentum(momentum)
		}
		loss, n, err := t.gradients(ctx, ph)
		if err != nil {
			return err
		}
		if ph.Hook != nil {
			if err := ph.Hook(&Gradients{Step: t.step, Rate: rate, Loss: loss, params: t.store.params}); err != nil {
				return err
			}
		}
		if _, err := ph.solver.Step(rate, 1/float64(ph.Accumulate)); err != nil {
			return t.diverged(ph, loss, err)
		}
		for _, q := range ph.params {
			q.clear()
		}
		if p.Rate < 0 {
			p.Rate = rate
		}
		p.Loss += loss
		samples += n
		t.sums.loss[ph.number] += loss
		t.sums.steps[ph.number]++
	}
	t.step++
	t.sums.samples += samples
	t.sums.rate = max(p.Rate, 0)
	t.clock.lap(samples)
	t.tell(p)
	return nil
}

// tell passes on how far the training is.
func (t *trainer) tell(p Progress) {
	p.Step, p.Steps = t.step, t.total
	p.Epoch, p.Epochs = (t.step-1)/t.perEpoch+1, (t.total+t.perEpoch-1)/t.perEpoch
	p.Batch, p.Batches = (t.step-1)%t.perEpoch+1, t.perEpoch
	p.MeanLoss = t.sums.mean()
	if t.sums.answered > 0 {
		p.Top1 = 100 * float64(t.sums.right) / float64(t.sums.answered)
	}
	p.SamplesPerS = t.clock.rate()
	p.Left = t.clock.left(t.total - t.step)
	t.ev.Step(p)
	t.ev.Advance(1)
}

// gradients computes the loss of a phase and adds its gradients up.
func (t *trainer) gradients(ctx context.Context, ph *phase) (loss float64, samples int, err error) {
	for _, q := range ph.params {
		q.clear()
	}
	for part := range ph.Accumulate {
		b, err := t.cursors[ph.Stream].take(ctx)
		if err != nil {
			return 0, 0, err
		}
		samples += b.Samples
		passes, err := t.passes(ph, b)
		if err != nil {
			return 0, 0, err
		}
		for i, x := range passes {
			tensor.Of[int64](t.seed)[0] = t.random(ph, part*len(passes)+i)
			v, err := x.run(ctx, t, b)
			if err != nil {
				return 0, 0, err
			}
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return 0, 0, t.diverged(ph, v, x.firstBad(ctx, t.store))
			}
			loss += v
		}
		if ph.Sample != nil {
			for _, x := range passes {
				x.release()
			}
		}
	}
	return loss / float64(ph.Accumulate), samples, nil
}

// random returns a seed for a pass, which depends on the step and not on what came before.
func (t *trainer) random(ph *phase, pass int) int64 {
	r := t.rand(ph, uint64(pass)+1)
	return r.Int64()
}

// passes returns what a phase computes of a batch.
func (t *trainer) passes(ph *phase, b *Batch) ([]*pass, error) {
	list := ph.Passes
	if ph.Sample != nil {
		var err error
		if list, err = ph.Sample(t.rand(ph, 0), t.step); err != nil {
			return nil, err
		}
	} else if ph.passes != nil && ph.passes[0].takes(b) {
		return ph.passes, nil
	}
	var out []*pass
	for _, p := range list {
		x, err := t.newPass(ph, p, b)
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	if ph.Sample == nil || t.memory.Total == 0 {
		if err := t.foresee(ph, out, b); err != nil {
			return nil, err
		}
	}
	if ph.Sample == nil {
		for _, x := range ph.passes {
			x.release()
		}
		ph.passes = out
	}
	return out, nil
}

// fieldsOf describes the fields of a batch.
func fieldsOf(b *Batch) map[string]ops.Info {
	out := make(map[string]ops.Info, len(b.Fields))
	for name, f := range b.Fields {
		out[name] = ops.Info{Type: f.Type, Shape: ops.MakeShape(f.Shape...)}
	}
	return out
}
