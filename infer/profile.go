package infer

import (
	"time"

	"github.com/effml/effml/onnx"
)

// OpTime is what a step of a run took.
type OpTime struct {
	Node  string // its name; several that were fused bear the first one's
	Op    string // the operator; of what a plan adds a word in lower case or an arrow with a layout
	Type  onnx.DataType
	Shape []int // of the first output
	Time  time.Duration
	MACs  int64
	Bytes int64 // read and written, each operand once
}

// begin makes room for the times of a run.
func (x *instance) begin(start time.Time) {
	if x.times == nil {
		x.times = make([]time.Duration, len(x.plan.steps)+1)
	}
	x.times[len(x.plan.steps)] = time.Since(start)
}

// Profile returns what the steps of the last run took, in their order, if the session was made with Options.Profile. The first entry is
// what a run does before them, and the last what it does after; the times add up to that of the run.
func (r *Runner) Profile() []OpTime {
	x := r.now
	if x == nil || x.times == nil {
		return nil
	}
	before := x.times[len(x.plan.steps)]
	rows := []OpTime{{Op: "start", Time: before}}
	for k, s := range x.plan.steps {
		o := OpTime{Op: s.kind, Time: x.times[k] - before, MACs: s.cost.MACs, Bytes: s.cost.Bytes}
		before = x.times[k]
		if s.node != nil {
			o.Node = s.node.name
		}
		if t := x.slots[s.out[0]]; t != nil {
			o.Type, o.Shape = t.Type, append([]int{}, t.Shape...)
		}
		rows = append(rows, o)
	}
	return append(rows, OpTime{Op: "end", Time: x.whole - before})
}
