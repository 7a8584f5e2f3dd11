package pages

import (
	"sync"
	"sync/atomic"
)

// Pool keeps what computations need beside their operands for the next ones: one for as long as the Pool is there, so that computations that follow each
// other allocate nothing whatever the garbage collector does, and others for a while. The zero value is empty and makes zero values.
type Pool[T any] struct {
	one  atomic.Pointer[T]
	more sync.Pool
}

// Get takes one out, or makes one.
func (p *Pool[T]) Get() *T {
	if v := p.one.Swap(nil); v != nil {
		return v
	}
	if v, ok := p.more.Get().(*T); ok {
		return v
	}
	return new(T)
}

// Put brings one back.
func (p *Pool[T]) Put(v *T) {
	if !p.one.CompareAndSwap(nil, v) {
		p.more.Put(v)
	}
}
