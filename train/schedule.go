package train

import (
	"math"
	"slices"

	"github.com/effml/effml/internal/job"
)

// Kinds of schedules.
const (
	Constant    = "constant"    // η
	Steps       = "step"        // η·factor^⌊e/every⌋
	MultiStep   = "multi-step"  // η·factor^(number of milestones ≤ e)
	Exponential = "exponential" // η·factor^e
	Cosine      = "cosine"      // end + (η − end)·(1 + cos πx)/2
	OneCycle    = "one-cycle"   // up to η and down again
)

// Schedule says how the learning rate changes, as PyTorch's schedulers do: e counts whole epochs, and x is the part that is over of all
// steps; cosine and one-cycle move with every step. Warm-up comes before; the schedule then begins as if the steps behind it were all there are.
//
// Sources: I. Loshchilov, F. Hutter: SGDR, 2017, equation 5, without restarts. L. N. Smith, N. Topin: Super-Convergence, 2019, in the form of
// PyTorch's OneCycleLR.
type Schedule struct {
	Kind       string    `yaml:"kind,omitempty" json:"kind,omitempty" doc:"constant (the default), step, multi-step, exponential, cosine or one-cycle"`
	Rate       float64   `yaml:"rate" json:"rate" doc:"learning rate, of one-cycle the largest"`
	Every      int       `yaml:"every,omitempty" json:"every,omitempty" doc:"step: epochs between changes"`
	Milestones []int     `yaml:"milestones,omitempty" json:"milestones,omitempty" doc:"multi-step: epochs at whose beginning the rate changes"`
	Factor     float64   `yaml:"factor,omitempty" json:"factor,omitempty" doc:"step, multi-step, exponential: what the rate is multiplied by (default 0.1)"`
	End        float64   `yaml:"end,omitempty" json:"end,omitempty" doc:"cosine: the rate after the last step"`
	Up         float64   `yaml:"up,omitempty" json:"up,omitempty" doc:"one-cycle: part of the steps in which the rate rises (default 0.3)"`
	Divide     float64   `yaml:"divide,omitempty" json:"divide,omitempty" doc:"one-cycle: rate / the first rate (default 25)"`
	DivideEnd  float64   `yaml:"divide-end,omitempty" json:"divide-end,omitempty" doc:"one-cycle: the first rate / the last rate (default 10,000)"`
	Linear     bool      `yaml:"linear,omitempty" json:"linear,omitempty" doc:"one-cycle: straight lines instead of half cosines"`
	ThreePhase bool      `yaml:"three-phase,omitempty" json:"three-phase,omitempty" doc:"one-cycle: back to the first rate as fast as up, then to the last"`
	Momentum   []float64 `yaml:"momentum,omitempty" json:"momentum,omitempty" doc:"one-cycle: [smallest, largest] momentum, which falls where the rate rises"`
	Warmup     float64   `yaml:"warmup,omitempty" json:"warmup,omitempty" doc:"epochs in which the rate first rises in a straight line, whatever the kind"`
	WarmupFrom float64   `yaml:"warmup-from,omitempty" json:"warmup-from,omitempty" doc:"part of the rate with which the warm-up begins (default 0.01)"`
}

// Position is a step of a run.
type Position struct {
	Step     int // from 0
	PerEpoch int // steps
	Total    int // steps
}

// Validate reports all problems of s at once, as a [*job.UsageError].
func (s Schedule) Validate() error {
	p := job.Problems{Prefix: "schedule."}
	kinds := []string{Constant, Steps, MultiStep, Exponential, Cosine, OneCycle}
	p.Check(s.Kind == "" || slices.Contains(kinds, s.Kind), "kind: %q is unknown%s", s.Kind, job.Hint(s.Kind, kinds))
	p.Check(s.Rate > 0 && !math.IsInf(s.Rate, 1), "rate: %v is out of range, it must be above 0", s.Rate)
	p.Check(s.Kind != Steps || s.Every > 0, "every: %d is out of range, it must be 1 or more", s.Every)
	p.Check(s.Kind != MultiStep || len(s.Milestones) > 0 && s.Milestones[0] >= 0 && slices.IsSorted(s.Milestones), "milestones: %v are no ascending epochs", s.Milestones)
	p.Check(s.Factor >= 0 && s.Factor <= 1e6, "factor: %v is out of range, it must be 0 to 1,000,000", s.Factor)
	p.Check(s.End >= 0 && !math.IsInf(s.End, 1), "end: %v is out of range, it must not be negative", s.End)
	p.Check(s.Up >= 0 && s.Up <= 1 && !(s.ThreePhase && s.Up > 0.5), "up: %v is out of range, it must be 0 to 1, or 0.5 with three phases", s.Up)
	p.Check(s.Divide >= 0 && !math.IsInf(s.Divide, 1), "divide: %v is out of range, it must be above 0", s.Divide)
	p.Check(s.DivideEnd >= 0 && !math.IsInf(s.DivideEnd, 1), "divide-end: %v is out of range, it must be above 0", s.DivideEnd)
	pair := len(s.Momentum) == 2 && s.Momentum[0] >= 0 && s.Momentum[0] <= s.Momentum[1] && s.Momentum[1] < 1
	p.Check(len(s.Momentum) == 0 || s.Kind == OneCycle && pair, "momentum: %v is out of range, one-cycle takes [smallest, largest] of 0 to below 1", s.Momentum)
	p.Check(s.Warmup >= 0 && s.Warmup <= 1e6, "warmup: %v is out of range, it must be 0 to 1,000,000 epochs", s.Warmup)
	p.Check(s.WarmupFrom >= 0 && s.WarmupFrom <= 1, "warmup-from: %v is out of range, it must be 0 to 1", s.WarmupFrom)
	return p.Err()
}

func orDefault(v, otherwise float64) float64 {
	if v == 0 {
		return otherwise
	}
	return v
}

// RateAt returns the learning rate of the step at p.
func (s Schedule) RateAt(p Position) float64 {
	warmup := int(math.Round(s.Warmup * float64(p.PerEpoch)))
	if p.Step < warmup {
		from := orDefault(s.WarmupFrom, 0.01)
		return s.Rate * (from + (1-from)*float64(p.Step)/float64(warmup))
	}
	p.Step -= warmup
	p.Total -= warmup
	epoch, factor := float64(p.Step/max(p.PerEpoch, 1)), orDefault(s.Factor, 0.1)
	switch s.Kind {
	case Steps:
		return s.Rate * math.Pow(factor, math.Floor(epoch/float64(s.Every)))
	case MultiStep:
		passed, _ := slices.BinarySearch(s.Milestones, int(epoch)+1)
		return s.Rate * math.Pow(factor, float64(passed))
	case Exponential:
		return s.Rate * math.Pow(factor, epoch)
	case Cosine:
		return between(s.Rate, s.End, float64(p.Step)/float64(max(p.Total, 1)), false)
	case OneCycle:
		first := s.Rate / orDefault(s.Divide, 25)
		return s.cycle(p, first, s.Rate, first/orDefault(s.DivideEnd, 1e4))
	}
	return s.Rate
}

// MomentumAt returns the momentum of the step at p, and whether the schedule says one.
func (s Schedule) MomentumAt(p Position) (momentum float64, says bool) {
	if s.Kind != OneCycle || len(s.Momentum) != 2 {
		return 0, false
	}
	warmup := min(p.Step, int(math.Round(s.Warmup*float64(p.PerEpoch))))
	p.Step -= warmup
	p.Total -= warmup
	return s.cycle(p, s.Momentum[1], s.Momentum[0], s.Momentum[1]), true
}

// cycle goes from first to peak to last; with three phases back to first in between.
func (s Schedule) cycle(p Position, first, peak, last float64) float64 {
	up := orDefault(s.Up, 0.3) * float64(p.Total)
	phases := []struct{ end, from, to float64 }{{up - 1, first, peak}, {float64(p.Total - 1), peak, last}}
	if s.ThreePhase {
		phases = append(phases[:1], []struct{ end, from, to float64 }{{2*up - 2, peak, first}, {float64(p.Total - 1), first, last}}...)
	}
	begin, at := 0.0, float64(p.Step)
	for _, ph := range phases {
		if at <= ph.end {
			return between(ph.from, ph.to, (at-begin)/(ph.end-begin), s.Linear)
		}
		begin = ph.end
	}
	return last
}

// between goes from a (at x = 0) to b (at 1) by half a cosine or a straight line.
func between(a, b, x float64, straight bool) float64 {
	if math.IsNaN(x) { // a phase of no length
		return b
	}
	x = min(max(x, 0), 1)
	if straight {
		return a + (b-a)*x
	}
	return b + (a-b)*(1+math.Cos(math.Pi*x))/2
}
