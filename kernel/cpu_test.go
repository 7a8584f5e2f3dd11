package kernel

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/effml/effml/internal/isa"
)

// countTask counts how often each piece ran, and on behalf of workers of which there are too many.
type countTask struct {
	cpu    *CPU
	runs   []atomic.Int32
	active []atomic.Int32
	wrong  atomic.Int32
	nested bool
	delay  time.Duration
}

func (t *countTask) Piece(i, worker int) {
	if t.active[worker].Add(1) != 1 {
		t.wrong.Add(1)
	}
	t.runs[i].Add(1)
	if t.delay > 0 {
		time.Sleep(t.delay)
	}
	if t.nested {
		inner := &countTask{cpu: t.cpu, runs: make([]atomic.Int32, 3), active: make([]atomic.Int32, 1)}
		t.cpu.Parallel(3, inner) // alone, as worker 0
		t.wrong.Add(inner.bad())
	}
	t.active[worker].Add(-1)
}

func (t *countTask) bad() int32 {
	bad := t.wrong.Load()
	for i := range t.runs {
		if t.runs[i].Load() != 1 {
			bad++
		}
	}
	return bad
}

func TestParallel(t *testing.T) {
	for _, threads := range []int{1, 2, 3, 7, 16} {
		c := NewCPU(Options{Threads: threads})
		for n := range 100 {
			task := &countTask{cpu: c, runs: make([]atomic.Int32, n), active: make([]atomic.Int32, threads), nested: n%3 == 0}
			if n%40 == 7 {
				task.delay = 200 * time.Microsecond // longer than anyone watches
			}
			c.Parallel(n, task)
			if bad := task.bad(); bad != 0 {
				t.Errorf("%d threads, %d pieces: %d mistakes", threads, n, bad)
			}
			if n%20 == 0 {
				time.Sleep(time.Millisecond) // all go to sleep
			}
		}
		c.Close()
		c.Close()
	}
}

func TestParallelFromManyGoroutines(t *testing.T) {
	c := NewCPU(Options{Threads: 2})
	defer c.Close()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 300 {
				task := &countTask{cpu: c, runs: make([]atomic.Int32, 9), active: make([]atomic.Int32, 2)}
				c.Parallel(9, task)
				if bad := task.bad(); bad != 0 {
					t.Errorf("%d mistakes", bad)
				}
			}
		})
	}
	wg.Wait()
}

// Workers end with their CPU.
func TestClose(t *testing.T) {
	before := runtime.NumGoroutine()
	for i := range 20 {
		c := NewCPU(Options{Threads: 4})
		if i%2 == 0 {
			time.Sleep(300 * time.Microsecond)
		}
		c.Close()
	}
	for range 1000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%d goroutines, before %d", runtime.NumGoroutine(), before)
}

type panicTask struct{ at int }

func (t panicTask) Piece(i, _ int) {
	if i == t.at {
		panic("piece")
	}
}

func TestParallelPanics(t *testing.T) {
	c := NewCPU(Options{Threads: 2})
	defer c.Close()
	for at := range 50 {
		func() {
			defer func() {
				if r := recover(); r != "piece" {
					t.Errorf("recovered %v", r)
				}
			}()
			c.Parallel(50, panicTask{at})
		}()
	}
	task := &countTask{cpu: c, runs: make([]atomic.Int32, 9), active: make([]atomic.Int32, 2)}
	if c.Parallel(9, task); task.bad() != 0 {
		t.Error("does not work after a panic")
	}
}

func TestParallelAllocations(t *testing.T) {
	c := NewCPU(Options{Threads: 2})
	defer c.Close()
	task := &panicTask{at: -1}
	if n := testing.AllocsPerRun(100, func() { c.Parallel(10, task) }); n > 0 {
		t.Errorf("%v allocations a call", n)
	}
}

func TestNewCPURefusesWhatIsMissing(t *testing.T) {
	if isa.Best() == isa.AVX512 {
		t.Skip("this processor has every instruction set")
	}
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	NewCPU(Options{Threads: 1, ISA: isa.AVX512})
}

func BenchmarkParallel(b *testing.B) {
	for _, bench := range []struct {
		name string
		n    int
	}{{"pieces=2", 2}, {"pieces=16", 16}} {
		b.Run(bench.name, func(b *testing.B) {
			c := NewCPU(Options{Threads: 2})
			defer c.Close()
			task := &panicTask{at: -1}
			b.ReportAllocs()
			for b.Loop() {
				c.Parallel(bench.n, task)
			}
		})
	}
}
