package deepcompress

import (
	"math"
	"path/filepath"
	"testing"
)

// A budget bounds the sum of the relative errors, and of all ways to spend it takes the fewest bits: moving noise from one tensor to
// another saves nothing.
func TestBudget(t *testing.T) {
	path := convNet().save(t)
	for _, c := range []struct {
		rule  string
		total float64
	}{{"{method: uniform, budget: 18}", 18}, {"{method: uniform, budget: 18, share: 0}", 18}, {"{method: auto, budget: 25, share: 0.5}", 25}} {
		plan := filepath.Join(t.TempDir(), "p.yaml")
		write(t, plan, "version: 1\nmin-weights: 256\nrules:\n  - "+c.rule+"\n")
		r := compress(t, Config{Input: path, PlanPath: plan, Force: true})
		var noise float64
		floors := map[string]float64{}
		for _, row := range r.Tensors {
			if row.SQNR != nil {
				noise += math.Pow(10, -float64(*row.SQNR)/10)
				floors[row.Name] = float64(*row.SQNR)
			}
		}
		if got := -10 * math.Log10(noise); got < c.total || got > c.total+0.5 {
			t.Errorf("%s: %.2f dB over all tensors", c.rule, got)
		}
		ratio := 10 * math.Log10(256*64/(32*8*9)) // of the weights of fc and conv
		switch gap := floors["conv.weight"] - floors["fc.weight"]; {
		case c.rule == "{method: uniform, budget: 18}" && math.Abs(gap-ratio) > 0.1:
			t.Errorf("%s: conv is %.2f dB above fc, want %.2f", c.rule, gap, ratio)
		case c.rule == "{method: uniform, budget: 18, share: 0}" && math.Abs(gap) > 0.1:
			t.Errorf("%s: conv is %.2f dB above fc, want none", c.rule, gap)
		}
	}
}
