package train

import (
	"slices"
	"strings"
	"testing"
)

// TestFrozenBeginning computes the gradients of the last layer alone, and those of all layers: the last one's are the same.
func TestFrozenBeginning(t *testing.T) {
	task := resnet(t, 8)
	last := func(name string) bool { return strings.HasPrefix(name, "linear.") }
	gradients := func(trains func(string) bool) (loss float32, of [][]float32) {
		s, err := newStore(task.Models)
		if err != nil {
			t.Fatal(err)
		}
		for b, err := range task.Streams[task.Phases[0].Stream].Batches(t.Context(), 0, 0) {
			if err != nil {
				t.Fatal(err)
			}
			n, _, err := assemble(s, task.Phases[0].Passes[0], fieldsOf(b), trains)
			if err != nil {
				t.Fatal(err)
			}
			x, err := NewEngine(testCPU(t, 2)).compile(n)
			if err != nil {
				t.Fatal(err)
			}
			if loss, err = x.run(t.Context(), b.Fields); err != nil {
				t.Fatal(err)
			}
			break
		}
		for _, name := range s.order {
			if last(name) {
				of = append(of, s.params[name].gradient())
			} else if !trains(name) && s.params[name].fresh {
				t.Errorf("%s has a gradient", name)
			}
		}
		return loss, of
	}
	want, all := gradients(func(string) bool { return true })
	loss, of := gradients(last)
	if loss != want || len(of) != 2 || !slices.EqualFunc(of, all, slices.Equal) {
		t.Errorf("the loss is %v where it is %v with all layers trained; %d gradients", loss, want, len(of))
	}
}
