package train

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/effml/effml/dataset"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/zoo"
)

// resnet is a small ResNet-20 and data for it.
func resnet(t testing.TB, batch int) *Task {
	t.Helper()
	n, err := zoo.Find("resnet-20")
	if err != nil {
		t.Fatal(err)
	}
	m, err := n.Build(zoo.Options{Input: [3]int{3, 16, 16}}, rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	p, err := dataset.NewPart(blobs(64, 10, 1, 3, 16, 16), dataset.Spec{Inputs: map[string]string{m.Graph.Inputs[0].Name: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	feed, err := p.Bind([]dataset.Input{{Name: m.Graph.Inputs[0].Name, Type: onnx.Float}}, 10)
	if err != nil {
		t.Fatal(err)
	}
	task, err := Supervised{Model: m, Train: feed, Batch: batch, Solver: SolverConfig{Momentum: 0.9}, Schedule: Schedule{Rate: 0.05}}.Task()
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// TestRecompute computes the same bits in less memory.
func TestRecompute(t *testing.T) {
	run := func(recompute bool) *Result {
		r, err := Run(t.Context(), Config{Steps: 3, Recompute: recompute, Threads: 2}, resnet(t, 32), nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	kept, again := run(false), run(true)
	if !bytes.Equal(bits(kept.Models[""]), bits(again.Models[""])) {
		t.Error("other weights")
	}
	if again.Memory.Activations*5 > kept.Memory.Activations*4 {
		t.Errorf("%d bytes where all that is kept takes %d", again.Memory.Activations, kept.Memory.Activations)
	}
	t.Logf("%d bytes where all that is kept takes %d", again.Memory.Activations, kept.Memory.Activations)
}

// TestForeseen compares what was foreseen with what steps then held.
func TestForeseen(t *testing.T) {
	x, err := newTrainer(Config{Steps: 3, Threads: 2}, resnet(t, 32), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer x.close()
	if err := x.train(t.Context()); err != nil {
		t.Fatal(err)
	}
	held := int64(x.engine.compiler.memory.Bytes())
	if said := x.memory.Activations; said < held || said > held+held/4 {
		t.Errorf("%d bytes were foreseen, %d are held", said, held)
	}
}

// TestFreedOnTheWayBack compares a step's memory with that of a step whose outputs and gradients of segments stay until it is over.
func TestFreedOnTheWayBack(t *testing.T) {
	task := resnet(t, 32)
	x, err := newTrainer(Config{Steps: 1, Threads: 2}, task, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer x.close()
	if err := x.train(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, m := x.phases[0].passes[0].step, x.engine.compiler.memory
	all := m.Rehearse(func() {
		for _, p := range s.places {
			p.seat.runner.Rehearse(false)
		}
		for _, p := range slices.Backward(s.places) {
			p.seat.runner.Rehearse(true)
		}
		s.rest()
	})
	if most := s.rehearse(); most > all-all/32 {
		t.Errorf("%d bytes at once, where there are %d without giving back", most, all)
	}
}

// TestTooLittleMemory refuses, and says which batch would fit: it does.
func TestTooLittleMemory(t *testing.T) {
	r, err := Run(t.Context(), Config{Steps: 1}, resnet(t, 32), nil)
	if err != nil {
		t.Fatal(err)
	}
	limit := r.Memory.Total - r.Memory.Activations/2
	_, err = Run(t.Context(), Config{Steps: 1, MaxMemory: limit}, resnet(t, 32), nil)
	var usage *job.UsageError
	if !errors.As(err, &usage) || !strings.Contains(err.Error(), size(r.Memory.Total)) {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(err.Error(), "a batch of 32")
	_, rest, _ = strings.Cut(rest, "a batch of ")
	n := 0
	if _, err := fmt.Sscan(rest, &n); err != nil || n < 8 || n > 16 {
		t.Fatalf("%v: a batch of %d", err, n)
	}
	if _, err := Run(t.Context(), Config{Steps: 1, MaxMemory: limit}, resnet(t, n), nil); err != nil {
		t.Errorf("with a batch of %d: %v", n, err)
	}
	if _, err = Run(t.Context(), Config{Steps: 1, MaxMemory: 1000}, resnet(t, 32), nil); err == nil || !strings.Contains(err.Error(), "alone take") {
		t.Error(err)
	}
}
