package train

import (
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/effml/effml/zoo"
)

// TestGarbage runs steps of a small MobileNetV2, with the garbage collector in between, and counts the bytes that each takes anew.
func TestGarbage(t *testing.T) {
	if testing.Short() {
		t.Skip("the collector takes its time")
	}
	net, err := zoo.Find("mobilenet_v2")
	if err != nil {
		t.Fatal(err)
	}
	m, err := net.Build(zoo.Options{Input: [3]int{3, 32, 32}, Classes: 10}, rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	n, batch := crossEntropyOf(t, m, 2, 10)
	s, err := NewEngine(testCPU(t, 2)).compile(n)
	if err != nil {
		t.Fatal(err)
	}
	step := func() {
		if _, err := s.run(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		for range 2 { // which empties what it may
			runtime.GC()
		}
	}
	const warm, steps = 3, 5
	for range warm {
		step()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range steps {
		step()
	}
	runtime.ReadMemStats(&after)
	if got := (after.TotalAlloc - before.TotalAlloc) / steps; got > 64<<10 {
		t.Errorf("%d bytes a step", got)
	} else {
		t.Logf("%d bytes a step", got)
	}
}
