package pages

import (
	"runtime"
	"testing"
)

// TestPool finds what was put there again, also after the garbage collector ran, and never gives the same out twice.
func TestPool(t *testing.T) {
	var p Pool[[8]int]
	a, b := p.Get(), p.Get()
	if a == b {
		t.Fatal("one value for two")
	}
	p.Put(a)
	p.Put(b)
	for range 3 {
		runtime.GC()
	}
	if c := p.Get(); c != a {
		t.Error("the first is lost")
	}
	if c := p.Get(); c == a {
		t.Error("the first was given out twice")
	}
}
