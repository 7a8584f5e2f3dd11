package kernel

import (
	"math"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/effml/effml/internal/isa"
)

// CPU runs kernels: on an instruction set, with a number of threads. It may be used from several goroutines at once; the
// threads then serve whoever came first and the others compute alone. Close it when it is no longer needed.
type CPU struct {
	set     isa.Set
	threads int
	spin    time.Duration // how long who waits keeps its processor

	busy    atomic.Bool // the workers belong to a call of Parallel
	closing atomic.Bool
	workers []worker
	done    chan struct{} // the last worker to leave tells a caller that sleeps

	job job
}

// worker is a goroutine that helps. It watches for work for a while before it sleeps: to wake it costs more than a piece.
type worker struct {
	asleep atomic.Bool
	wake   chan struct{}
	_      [48]byte
}

// spinTime is longer than what lies between two calls of Parallel when a network runs, and too short to be felt as load afterwards.
const spinTime = 100 * time.Microsecond

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
	c := &CPU{set: o.ISA, threads: o.Threads, workers: make([]worker, o.Threads-1), done: make(chan struct{}, 1)}
	if o.Threads <= runtime.GOMAXPROCS(0) {
		c.spin = spinTime // otherwise watching would keep others from working
	}
	c.job.shares = make([]share, o.Threads)
	for i := range c.workers {
		c.workers[i].wake = make(chan struct{}, 1)
		go c.help(i + 1)
	}
	return c
}

// Close ends the threads. No kernel may be running.
func (c *CPU) Close() {
	c.closing.Store(true)
	c.rouse(len(c.workers))
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

// Parallel runs pieces 0 to n-1 of a task, and returns when all are done. Each worker begins with a share of its own, the first worker with
// the first pieces, so that what is cut alike in one call and the next stays in the caches of the same processor; who is done helps
// the others. So which worker does a piece is left to chance. A panic of a piece on another goroutine reaches the caller. It allocates
// nothing. A call from within a piece, or while another call has the workers, runs its pieces on the calling goroutine alone.
func (c *CPU) Parallel(n int, t Task) {
	if n <= 1 || n > math.MaxInt32 || c.threads == 1 || !c.busy.CompareAndSwap(false, true) {
		for i := range n {
			t.Piece(i, 0)
		}
		return
	}
	j := &c.job
	j.begin(n, t)
	c.rouse(min(n-1, len(c.workers)))
	j.work(0)
	c.finish()
	failure := j.failure
	j.task, j.failure = nil, nil
	c.busy.Store(false)
	if failure != nil {
		panic(failure)
	}
}

// rouse wakes those of the first n workers that sleep.
func (c *CPU) rouse(n int) {
	for i := range c.workers[:n] {
		if w := &c.workers[i]; w.asleep.Load() && w.asleep.CompareAndSwap(true, false) {
			w.wake <- struct{}{}
		}
	}
}

// help is the life of a worker.
func (c *CPU) help(id int) {
	debug.SetPanicOnFault(true) // operands may lie in a mapped file; the caller hears of the fault as of any panic
	w, j := &c.workers[id-1], &c.job
	last := uint64(0) // the job that it did
	for wait := newWait(c.spin); !c.closing.Load(); {
		switch {
		case j.join(&last):
			j.work(id)
			c.leave()
			wait = newWait(c.spin)
		case !wait.more():
			w.asleep.Store(true)
			// Work that came before that is still to be seen here; who brings work later wakes.
			if !j.news(last) && !c.closing.Load() || !w.asleep.CompareAndSwap(true, false) {
				<-w.wake
			}
			wait = newWait(c.spin)
		}
	}
}

// finish shuts the job and waits for the workers that are at it.
func (c *CPU) finish() {
	j := &c.job
	if j.state.And(^uint64(open))&members == 0 {
		return
	}
	for wait := newWait(c.spin); wait.more(); {
		if j.state.Load()&members == 0 {
			return
		}
	}
	if j.state.Or(sleeper)&members != 0 {
		<-c.done
	}
}

// leave ends a worker's part in a job. The last one wakes a caller that sleeps.
func (c *CPU) leave() {
	if s := c.job.state.Add(^uint64(0)); s&members == 0 && s&sleeper != 0 {
		c.done <- struct{}{}
	}
}

// job is one call of Parallel, then the next.
type job struct {
	state   atomic.Uint64 // how many workers are at it, flags, and the number of the job
	_       [56]byte
	shares  []share // of each worker
	task    Task
	lock    sync.Mutex
	failure any
}

// The parts of a state.
const (
	members = 1<<16 - 1
	open    = 1 << 16 // workers may join
	sleeper = 1 << 17 // the caller waits for the last worker to leave
	number  = 1 << 18
)

// news reports whether there is another job than the last one to join.
func (j *job) news(last uint64) bool {
	s := j.state.Load()
	return s&open != 0 && s/number != last
}

// join makes the worker a member of a job that is open and not its last one.
func (j *job) join(last *uint64) bool {
	for {
		s := j.state.Load()
		if s&open == 0 || s/number == *last {
			return false
		}
		if j.state.CompareAndSwap(s, s+1) {
			*last = s / number
			return true
		}
	}
}

// begin opens the next job. There are no members.
func (j *job) begin(n int, t Task) {
	j.task = t
	for i := range j.shares {
		k := len(j.shares)
		j.shares[i].give(n*i/k, n*(i+1)/k)
	}
	j.state.Store((j.state.Load()/number+1)*number | open)
}

func (j *job) work(worker int) {
	defer func() {
		if r := recover(); r != nil {
			j.lock.Lock()
			defer j.lock.Unlock()
			if j.failure == nil {
				j.failure = r
			}
		}
	}()
	for i, ok := j.shares[worker].first(); ok; i, ok = j.shares[worker].first() {
		j.task.Piece(i, worker)
	}
	for k := 1; k < len(j.shares); k++ {
		other := &j.shares[(worker+k)%len(j.shares)]
		for i, ok := other.last(); ok; i, ok = other.last() {
			j.task.Piece(i, worker)
		}
	}
}

// share is the pieces that a worker begins with and that nobody has taken yet: it takes the first, others the last.
type share struct {
	pieces atomic.Uint64 // the first in the upper half, the one after the last in the lower
	_      [56]byte
}

func (s *share) give(from, to int) { s.pieces.Store(uint64(from)<<32 | uint64(to)) }

func (s *share) first() (piece int, ok bool) {
	v := s.pieces.Load()
	for v>>32 < v&math.MaxUint32 {
		if s.pieces.CompareAndSwap(v, v+1<<32) {
			return int(v >> 32), true
		}
		v = s.pieces.Load()
	}
	return 0, false
}

func (s *share) last() (piece int, ok bool) {
	v := s.pieces.Load()
	for v>>32 < v&math.MaxUint32 {
		if s.pieces.CompareAndSwap(v, v-1) {
			return int(v&math.MaxUint32) - 1, true
		}
		v = s.pieces.Load()
	}
	return 0, false
}

// wait counts the rounds of somebody who watches for something.
type wait struct {
	rounds int
	limit  time.Duration
	since  time.Time
}

func newWait(limit time.Duration) wait { return wait{limit: limit} }

// more waits for a moment, unless time is up. It looks at the clock, and lets other goroutines run, now and then.
func (w *wait) more() bool {
	if w.limit == 0 {
		return false
	}
	pause(1)
	const often = 32
	w.rounds++
	switch {
	case w.rounds%often != 0:
	case w.rounds == often:
		w.since = time.Now()
	default:
		runtime.Gosched()
		return time.Since(w.since) < w.limit
	}
	return true
}
