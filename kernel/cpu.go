package kernel

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/effml/effml/internal/isa"
)

// CPU runs kernels: on an instruction set, with a number of threads. It may be used from several goroutines at once; the
// threads then serve whoever came first and the others compute alone. Close it when it is no longer needed.
type CPU struct {
	set     isa.Set
	threads int
	busy    atomic.Bool // the workers belong to a call of Parallel
	start   []chan *job // a worker each
	closed  sync.Once
}

// Options chooses what a CPU is.
type Options struct {
	Threads int     // 0: GOMAXPROCS
	ISA     isa.Set // used as given: [isa.FromEnv] chooses
}

// NewCPU starts the threads. It panics when the processor lacks the instruction set.
func NewCPU(o Options) *CPU {
	if o.ISA > isa.Best() {
		panic("kernel: this processor has no " + o.ISA.String())
	}
	if o.Threads <= 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	c := &CPU{set: o.ISA, threads: o.Threads}
	for w := 1; w < o.Threads; w++ {
		ch := make(chan *job)
		c.start = append(c.start, ch)
		go func() {
			for j := range ch {
				j.work(w)
				j.done.Done()
			}
		}()
	}
	return c
}

// Close ends the threads. No kernel may be running.
func (c *CPU) Close() {
	c.closed.Do(func() {
		for _, ch := range c.start {
			close(ch)
		}
	})
}

// ISA returns the instruction set.
func (c *CPU) ISA() isa.Set { return c.set }

// Threads returns the number of threads: worker numbers are below it.
func (c *CPU) Threads() int { return c.threads }

// Task is work that is cut into pieces. Pieces of one task run at the same time, so they must not write to the same memory.
type Task interface {
	// Piece does piece i on behalf of worker, which runs one piece at a time.
	Piece(i, worker int)
}

// Parallel runs pieces 0 to n-1 of a task and returns when all are done. Which worker does which piece is left to chance.
// A panic of a piece on another goroutine reaches the caller.
func (c *CPU) Parallel(n int, t Task) {
	if n <= 1 || c.threads == 1 || !c.busy.CompareAndSwap(false, true) {
		for i := range n {
			t.Piece(i, 0)
		}
		return
	}
	j := &job{task: t, n: int64(n)}
	for _, ch := range c.start {
		j.done.Add(1)
		ch <- j
	}
	j.work(0)
	j.done.Wait()
	c.busy.Store(false)
	if j.failure != nil {
		panic(j.failure)
	}
}

// job is one call of Parallel.
type job struct {
	task    Task
	n       int64
	next    atomic.Int64
	done    sync.WaitGroup
	once    sync.Once
	failure any
}

func (j *job) work(worker int) {
	defer func() {
		if r := recover(); r != nil {
			j.once.Do(func() { j.failure = r })
		}
	}()
	for i := j.next.Add(1) - 1; i < j.n; i = j.next.Add(1) - 1 {
		j.task.Piece(int(i), worker)
	}
}
