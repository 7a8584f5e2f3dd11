package infer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/effml/effml/internal/mapped"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// Runner runs a session with memory of its own. It serves one goroutine at a time. After the first run for some shapes of the inputs
// it allocates no more, as far as the operators do not.
type Runner struct {
	program *program
	session *Session // nil in a body
	now     *instance
	kept    []*instance // the latest used last
	memory  *Memory
	wide    ops.Wide
	in      []*tensor.Tensor // of the run at hand
	done    <-chan struct{}
	start   time.Time // of the run, when it is profiled
	limit   int64
	paused  bool // between the halves of a run
	held    [regions]chunk
	guarded func() error
	resumed func() error
}

// maxInstances bounds the plans for which a runner keeps what a run needs.
const maxInstances = 4

// instance is a plan over a runner's memory.
type instance struct {
	plan    *plan
	slots   []*tensor.Tensor // in a run, those computed so far
	home    []*tensor.Tensor // the planned memory; of slotFree what the last run left
	calls   []ops.Call
	out     []*tensor.Tensor
	lateOut []*tensor.Tensor
	at      [regions]*byte  // where the memory is
	times   []time.Duration // when a step was over, when profiled
	current int             // the step at hand
	whole   time.Duration
}

// NewRunner returns a runner.
func (s *Session) NewRunner() *Runner { return s.NewRunnerIn(&Memory{}) }

// NewRunnerIn returns a runner in memory that it shares with others.
func (s *Session) NewRunnerIn(m *Memory) *Runner {
	r := &Runner{program: s.main, session: s, memory: m}
	r.guarded, r.resumed = r.inGuard, r.inResume
	return r
}

// Run computes the outputs, in the order of Outputs, from the inputs, in the order of Inputs. Inputs are in Plain layout and are not
// changed; outputs hold until the next Run. Errors of the model are a [*job.ModelError] around a [*NodeError], wrong inputs a
// [*job.UsageError]; when ctx ends Run returns its error before the next node.
func (r *Runner) Run(ctx context.Context, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r.session.options.Profile {
		r.start = time.Now()
	}
	if err := r.session.check(in); err != nil {
		return nil, err
	}
	r.in, r.done = append(r.in[:0], in...), ctx.Done()
	err := mapped.Guard(r.guarded)
	clear(r.in)
	if errors.Is(err, errStopped) {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	return r.now.out, nil
}

// inGuard is the run that Guard guards: a method, so that no closure is made.
func (r *Runner) inGuard() error {
	bytes := int64(0)
	for _, t := range r.in {
		bytes += int64(t.Size())
	}
	r.limit = r.session.limit(bytes)
	_, err := r.run(r.done, r.in, r.limit)
	return err
}

func (r *Runner) run(done <-chan struct{}, in []*tensor.Tensor, limit int64) ([]*tensor.Tensor, error) {
	if r.now == nil || !r.now.plan.suits(in) {
		if err := r.change(done, in, limit); err != nil {
			return nil, err
		}
	}
	x := r.now
	r.enter(false)
	for i, t := range in {
		x.slots[x.plan.inputs[i]] = t
	}
	if r.session != nil && r.session.options.Profile {
		x.begin(r.start)
	}
	if err := x.run(done, r, limit, 0, x.plan.pause); err != nil {
		return nil, err
	}
	x.finish(x.plan.outputs, x.out)
	r.leave(false)
	r.paused = r.program.halves != nil
	if x.times != nil {
		x.whole = time.Since(r.start)
	}
	return x.out, nil
}

// change makes the instance of the plan for inputs like in the one to run.
func (r *Runner) change(done <-chan struct{}, in []*tensor.Tensor, limit int64) error {
	for i, x := range r.kept {
		if x.plan.suits(in) {
			r.kept = append(slices.Delete(r.kept, i, i+1), x)
			r.now = x
			return nil
		}
	}
	pl, err := r.program.planFor(done, in, limit)
	if err != nil {
		return err
	}
	if len(r.kept) == maxInstances {
		r.kept = slices.Delete(r.kept, 0, 1)
	}
	r.now = newInstance(pl, r)
	r.kept = append(r.kept, r.now)
	return nil
}

func newInstance(pl *plan, r *Runner) *instance {
	x := &instance{plan: pl, calls: make([]ops.Call, len(pl.steps))}
	x.out, x.lateOut = make([]*tensor.Tensor, len(pl.outputs)), make([]*tensor.Tensor, len(pl.lateOutputs))
	x.slots, x.home = make([]*tensor.Tensor, len(pl.slots)), make([]*tensor.Tensor, len(pl.slots))
	for i := range pl.slots {
		s := &pl.slots[i]
		shape, _ := s.info.Shape.Known()
		switch s.kind {
		case slotConstant:
			x.slots[i] = s.value
		case slotArena:
			x.home[i] = &tensor.Tensor{Type: s.info.Type, Shape: shape, Layout: s.layout}
			x.slots[i] = x.home[i]
		case slotView: // gets its memory in the run
			x.slots[i] = &tensor.Tensor{Type: s.info.Type, Shape: shape, Layout: s.layout}
		}
	}
	for k := range pl.steps {
		s, c := &pl.steps[k], &x.calls[k]
		*c = ops.Call{
			CPU: r.program.s.cpu, In: make([]*tensor.Tensor, len(s.in)), Captured: make([]*tensor.Tensor, len(s.captured)),
			Outs: make([]*tensor.Tensor, len(s.out)), Wanted: s.wanted, Wide: &r.wide, Seed: uint64(k) + 1,
		}
	}
	return x
}

// finish collects results and, when nothing follows, lets go of what is the caller's.
func (x *instance) finish(slots []int, out []*tensor.Tensor) {
	for i, s := range slots {
		out[i] = x.slots[s]
	}
	if x.current+1 == len(x.calls) {
		for _, i := range x.plan.inputs {
			x.slots[i] = nil
		}
	}
}

// run executes some of the steps.
func (x *instance) run(done <-chan struct{}, r *Runner, limit int64, from, to int) error {
	x.current = from - 1
	err := x.all(done, r, limit, from, to)
	if err != nil && x.current >= 0 && x.current < len(x.plan.steps) && x.plan.steps[x.current].node != nil {
		err = x.plan.steps[x.current].node.at(err)
	}
	return err
}

func (x *instance) all(done <-chan struct{}, r *Runner, limit int64, from, to int) (err error) {
	defer caught(&err)
	for k := from; k < to; k++ {
		if over(done) {
			return errStopped
		}
		x.current = k
		s, c := &x.plan.steps[k], &x.calls[k]
		if s.view {
			x.slots[s.out[0]].Share(x.slots[s.in[0]])
		} else {
			c.Scratch, c.Done, c.Limit = r.memory.scratch[:s.scratch], done, limit
			if err := x.step(s, c); err != nil {
				return err
			}
		}
		if x.times != nil {
			x.times[k] = time.Since(r.start)
		}
	}
	return nil
}

// over says whether the run is to end; done may be nil.
func over(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

func (x *instance) step(s *step, c *ops.Call) error {
	for i, id := range s.in {
		if id >= 0 {
			c.In[i] = x.slots[id]
		}
	}
	for i, id := range s.captured {
		c.Captured[i] = x.slots[id]
	}
	for i, id := range s.out {
		c.Outs[i] = nil
		if id >= 0 {
			c.Outs[i] = x.home[id]
		}
	}
	if err := s.op.Run(c); err != nil {
		return err
	}
	for i, id := range s.out {
		if id < 0 {
			continue
		}
		if err := x.take(id, c.Outs[i]); err != nil {
			return fmt.Errorf("output %d: %w", i, err)
		}
	}
	return nil
}

// take stores a result, and checks that it is what the plan was made for.
func (x *instance) take(id int, t *tensor.Tensor) error {
	s := &x.plan.slots[id]
	switch {
	case t == nil:
		return errors.New("was not computed")
	case t.Layout != s.layout:
		return fmt.Errorf("%s is in layout %s, not %s", t, t.Layout, s.layout)
	case s.info.Type != 0 && t.Type != s.info.Type || !fits(t.Shape, s.info.Shape):
		return fmt.Errorf("%s was computed where %s%s was inferred", t, tensor.TypeName(s.info.Type), s.info.Shape)
	}
	switch {
	case s.kind == slotFree:
		x.home[id] = t
	case s.kind == slotGiven && t != x.home[id]:
		copy(x.home[id].Bytes(), t.Bytes())
		t = x.home[id]
	}
	x.slots[id] = t
	return nil
}

// caught turns a panic of a kernel into an error, for a deferred call.
func caught(err *error) {
	switch r := recover().(type) {
	case nil:
	case interface {
		error
		Addr() uintptr
	}: // of mapped memory, see mapped.Guard
		*err = &mapped.FaultError{Addr: r.Addr()}
	default:
		*err = fmt.Errorf("internal error: %v", r)
	}
}
