package evaluate

import (
	"cmp"
	"slices"

	"github.com/effml/effml/infer"
	"github.com/effml/effml/tensor"
)

// opTimes collects the times of the steps of several runs.
type opTimes struct {
	steps []infer.OpTime
	ms    [][]float64 // of each step, a number a run
}

func (o *opTimes) add(profile []infer.OpTime) {
	if o.steps == nil {
		o.steps, o.ms = profile, make([][]float64, len(profile))
	}
	for i := range min(len(profile), len(o.ms)) {
		o.ms[i] = append(o.ms[i], ms(profile[i].Time))
	}
}

// timings returns the median time of every step, and of all steps of an operator together, the slowest first, beside the median of the
// whole runs.
func (o *opTimes) timings(whole float64) (steps, kinds []OpTiming) {
	at := map[string]int{}
	var work []infer.OpTime // of each kind together
	for i, s := range o.steps {
		row := OpTiming{Node: s.Node, Op: s.Op, MS: spread(o.ms[i]).Median}
		if s.Shape != nil {
			row.Shape = tensor.Describe(s.Type, s.Shape)
		}
		row.rate(s, whole)
		steps = append(steps, row)
		k, ok := at[s.Op]
		if !ok {
			k = len(kinds)
			at[s.Op], kinds, work = k, append(kinds, OpTiming{Op: s.Op}), append(work, infer.OpTime{})
		}
		kinds[k].Nodes++
		kinds[k].MS += row.MS
		work[k].MACs += s.MACs
		work[k].Bytes += s.Bytes
	}
	for k := range kinds {
		kinds[k].rate(work[k], whole)
	}
	for _, rows := range [][]OpTiming{steps, kinds} {
		slices.SortStableFunc(rows, func(a, b OpTiming) int { return cmp.Compare(b.MS, a.MS) })
	}
	return steps, kinds
}

// rate computes from the work that was done and the time of the whole run what follows from the time.
func (t *OpTiming) rate(work infer.OpTime, whole float64) {
	if whole > 0 {
		t.Share = 100 * t.MS / whole
	}
	if t.MS > 0 {
		t.GFLOPS, t.GBPerS = 2*float64(work.MACs)/t.MS/1e6, float64(work.Bytes)/t.MS/1e6
	}
}
