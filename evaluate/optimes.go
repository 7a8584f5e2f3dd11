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

// timings returns the median time of every step, the slowest first, beside the median of the whole runs.
func (o *opTimes) timings(whole float64) (rows []OpTiming) {
	for i, s := range o.steps {
		row := OpTiming{Node: s.Node, Op: s.Op, MS: spread(o.ms[i]).Median}
		if s.Shape != nil {
			row.Shape = tensor.Describe(s.Type, s.Shape)
		}
		if whole > 0 {
			row.Share = 100 * row.MS / whole
		}
		if row.MS > 0 {
			row.GFLOPS, row.GBPerS = 2*float64(s.MACs)/row.MS/1e6, float64(s.Bytes)/row.MS/1e6
		}
		rows = append(rows, row)
	}
	slices.SortStableFunc(rows, func(a, b OpTiming) int { return cmp.Compare(b.MS, a.MS) })
	return rows
}
