package train

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/effml/effml/internal/job"
)

// What PyTorch 2.15 gives in 12 steps with the schedulers named.
var fromPyTorch = []struct {
	name     string
	schedule Schedule
	want     [12]float64
}{
	{"LambdaLR", Schedule{Rate: 0.1}, [12]float64{.1, .1, .1, .1, .1, .1, .1, .1, .1, .1, .1, .1}},
	{
		"StepLR(4, 0.1)",
		Schedule{Kind: Steps, Rate: 0.1, Every: 4},
		[12]float64{0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01, 0.001, 0.001, 0.001, 0.001},
	},
	{
		"MultiStepLR([3, 7], 0.5)",
		Schedule{Kind: MultiStep, Rate: 0.1, Milestones: []int{3, 7}, Factor: 0.5},
		[12]float64{0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.025, 0.025, 0.025, 0.025, 0.025},
	},
	{
		"ExponentialLR(0.9)",
		Schedule{Kind: Exponential, Rate: 0.1, Factor: 0.9},
		[12]float64{0.1, 0.09, 0.081, 0.0729, 0.06561, 0.059049, 0.0531441, 0.04782969, 0.043046721, 0.0387420489, 0.034867844, 0.0313810596},
	},
	{
		"CosineAnnealingLR(12, 0.01)",
		Schedule{Kind: Cosine, Rate: 0.1, End: 0.01},
		[12]float64{0.1, 0.0984666622, 0.0939711432, 0.0868198052, 0.0775, 0.066646857, 0.055, 0.043353143, 0.0325, 0.0231801948, 0.0160288568, 0.0115333378},
	},
	{
		"OneCycleLR(0.1)",
		Schedule{Kind: OneCycle, Rate: 0.1},
		[12]float64{0.004, 0.0349789654, 0.0879285159, 0.0994415435, 0.093301297, 0.0811745654, 0.0647378998, 0.0462637103, 0.0283060998, 0.013347753, 0.00345669874, 4e-07},
	},
	{
		"OneCycleLR(0.1, 0.4, linear, 10, 100)",
		Schedule{Kind: OneCycle, Rate: 0.1, Up: 0.4, Linear: true, Divide: 10, DivideEnd: 100},
		[12]float64{0.01, 0.0336842105, 0.0573684211, 0.0810526316, 0.097225, 0.08335, 0.069475, 0.0556, 0.041725, 0.02785, 0.013975, 0.0001},
	},
	{
		"OneCycleLR(0.1, three_phase)",
		Schedule{Kind: OneCycle, Rate: 0.1, ThreePhase: true},
		[12]float64{0.004, 0.0349789654, 0.0879285159, 0.0945018892, 0.0462142393, 0.00539479276, 0.00381516932, 0.00312246189, 0.00210846699, 0.0010634768, 0.000286657019, 4e-07},
	},
	{
		"SequentialLR(LinearLR(0.2, 4), CosineAnnealingLR(8))",
		Schedule{Kind: Cosine, Rate: 0.1, Warmup: 4, WarmupFrom: 0.2},
		[12]float64{0.02, 0.04, 0.06, 0.08, 0.1, 0.0961939766, 0.0853553391, 0.0691341716, 0.05, 0.0308658284, 0.0146446609, 0.00380602337},
	},
	{
		"SequentialLR(LinearLR(0.2, 4), StepLR(3, 0.5))",
		Schedule{Kind: Steps, Rate: 0.1, Every: 3, Factor: 0.5, Warmup: 4, WarmupFrom: 0.2},
		[12]float64{0.02, 0.04, 0.06, 0.08, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025},
	},
}

func TestSchedules(t *testing.T) {
	for _, c := range fromPyTorch {
		if err := c.schedule.Validate(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		for step, want := range c.want {
			if got := c.schedule.RateAt(Position{step, 1, 12}); math.Abs(got-want) > 1e-8*want {
				t.Errorf("%s, step %d: %.9g, want %.9g", c.name, step, got, want)
			}
		}
	}
}

// OneCycleLR turns the momentum the other way.
func TestCycledMomentum(t *testing.T) {
	s := Schedule{Kind: OneCycle, Rate: 0.1, Momentum: []float64{0.85, 0.95}}
	for step, want := range []float64{
		0.95, 0.917730244, 0.862574463, 0.850558459, 0.85669873, 0.86882551, 0.885262241, 0.903736505, 0.921694187, 0.936652594, 0.946543687, 0.95,
	} {
		if got, ok := s.MomentumAt(Position{step, 1, 12}); !ok || math.Abs(got-want) > 1e-8 {
			t.Errorf("step %d: %.9g, want %.9g", step, got, want)
		}
	}
	if _, ok := (Schedule{Rate: 0.1}).MomentumAt(Position{0, 1, 1}); ok {
		t.Error("a constant schedule says a momentum")
	}
}

// Epochs of several steps: milestones change the rate at their beginning, cosine at every step.
func TestScheduleInEpochs(t *testing.T) {
	s := Schedule{Kind: MultiStep, Rate: 1, Milestones: []int{1, 2}}
	for step, want := range []float64{1, 1, 1, 0.1, 0.1, 0.1, 0.01} {
		if got := s.RateAt(Position{step, 3, 9}); math.Abs(got-want) > 1e-15 {
			t.Errorf("step %d: %v, want %v", step, got, want)
		}
	}
	c := Schedule{Kind: Cosine, Rate: 1, Warmup: 0.5}
	for step, want := range map[int]float64{0: 0.01, 1: 0.505, 2: 1, 5: 0.5, 8: 0, 100: 0} { // 2 steps of warm-up, then 6
		if got := c.RateAt(Position{step, 4, 8}); math.Abs(got-want) > 1e-15 {
			t.Errorf("cosine, step %d: %v, want %v", step, got, want)
		}
	}
}

// Whatever the numbers, a valid schedule gives a rate.
func TestScheduleIsFinite(t *testing.T) {
	for _, c := range fromPyTorch {
		for total := range 8 {
			for step := range total + 2 {
				for _, per := range []int{0, 1, 3} {
					if r := c.schedule.RateAt(Position{step, per, total}); !(r >= 0 && r <= c.schedule.Rate) {
						t.Errorf("%s, step %d of %d: %v", c.name, step, total, r)
					}
				}
			}
		}
	}
}

func TestBadSchedules(t *testing.T) {
	for _, c := range []struct {
		schedule Schedule
		want     string
	}{
		{Schedule{}, "rate: 0 is out of range"},
		{Schedule{Rate: math.NaN()}, "rate: NaN is out of range"},
		{Schedule{Rate: 1, Kind: "cosin"}, `kind: "cosin" is unknown; did you mean "cosine"?`},
		{Schedule{Rate: 1, Kind: Steps}, "every: 0 is out of range"},
		{Schedule{Rate: 1, Kind: MultiStep, Milestones: []int{3, 1}}, "milestones: [3 1] are no ascending epochs"},
		{Schedule{Rate: 1, Kind: OneCycle, Up: 0.6, ThreePhase: true}, "up: 0.6"},
		{Schedule{Rate: 1, Kind: OneCycle, Momentum: []float64{0.9}}, "momentum: [0.9]"},
		{Schedule{Rate: 1, Momentum: []float64{0.8, 0.9}}, "momentum: [0.8 0.9]"},
		{Schedule{Rate: 1, Warmup: -1, WarmupFrom: 2}, "schedule.warmup-from: 2"},
	} {
		err := c.schedule.Validate()
		var usage *job.UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %s", c.schedule, err, c.want)
		}
	}
	if err := (Schedule{Rate: -1, End: -1}).Validate(); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("not all problems at once: %v", err)
	}
}
