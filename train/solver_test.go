package train

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/effml/effml/internal/isa"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/kernel"
)

func testCPU(t testing.TB, threads int) *kernel.CPU {
	c := kernel.NewCPU(kernel.Options{Threads: threads, ISA: isa.Best()})
	t.Cleanup(c.Close)
	return c
}

// two is a weight and a bias of one element each, 1 with a gradient of 2.
func two() []Parameter {
	return []Parameter{
		{Name: "fc.weight", Shape: []int{1, 1}, Values: []float32{1}, Gradient: []float32{2}},
		{Name: "fc.bias", Shape: []int{1}, Values: []float32{1}, Gradient: []float32{2}},
	}
}

func ptr(v float64) *float64 { return &v }

// One step of rate 0.1, by hand.
func TestSolverSettings(t *testing.T) {
	for _, c := range []struct {
		name         string
		config       SolverConfig
		scale        float64
		weight, bias float64
	}{
		{"plain", SolverConfig{}, 1, 0.8, 0.8},
		{"scaled", SolverConfig{}, 0.5, 0.9, 0.9},
		{"decay", SolverConfig{Decay: 1}, 1, 0.7, 0.7},
		{"decay of weights", SolverConfig{Decay: 1, OnlyDecay: "weights"}, 1, 0.7, 0.8},
		{"group", SolverConfig{Decay: 1, Groups: []Group{{Match: `\.bias$`, Rate: ptr(2), Decay: ptr(0)}}}, 1, 0.7, 0.6},
		{"first group", SolverConfig{Groups: []Group{{Match: "fc.w", Rate: ptr(0)}, {Match: "^fc", Rate: ptr(3)}}}, 1, 1, 0.4},
		{"frozen", SolverConfig{Decay: 1, Groups: []Group{{Match: "weight", Frozen: true}}}, 1, 1, 0.7},
		{"adam", SolverConfig{Kind: Adam}, 1, 0.9, 0.9},
		{"adamw", SolverConfig{Kind: AdamW, Decay: 1, OnlyDecay: "weights"}, 1, 0.8, 0.9},
		{"rmsprop", SolverConfig{Kind: RMSProp, Beta2: 0.75}, 1, 0.8, 0.8},
		{"lamb", SolverConfig{Kind: LAMB}, 1, 0.9, 0.9},
		// The norm of both gradients is 2√2.
		{"clipped", SolverConfig{ClipNorm: math.Sqrt2}, 1, 0.9, 0.9},
		{"clipped after scaling", SolverConfig{ClipNorm: math.Sqrt2}, 0.5, 0.9, 0.9},
		{"short enough", SolverConfig{ClipNorm: 3}, 1, 0.8, 0.8},
		{"a frozen one does not count", SolverConfig{ClipNorm: 1, Groups: []Group{{Match: "weight", Frozen: true}}}, 1, 1, 0.9},
	} {
		params := two()
		s, err := NewSolver(testCPU(t, 1), c.config, params)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if _, err := s.Step(0.1, c.scale); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if w, b := float64(params[0].Values[0]), float64(params[1].Values[0]); math.Abs(w-c.weight) > 1e-6 || math.Abs(b-c.bias) > 1e-6 {
			t.Errorf("%s: weight %v, bias %v; want %v, %v", c.name, w, b, c.weight, c.bias)
		}
	}
}

func TestSolverMask(t *testing.T) {
	p := Parameter{Name: "w", Shape: []int{2, 2}, Values: []float32{1, 0, 2, 0}, Gradient: make([]float32, 4), Mask: []float32{1, 0, 1, 0}}
	s, err := NewSolver(testCPU(t, 1), SolverConfig{Momentum: 0.9, Decay: 0.1}, []Parameter{p})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		copy(p.Gradient, []float32{1, -3, 2, 4})
		if _, err := s.Step(0.1, 1); err != nil {
			t.Fatal(err)
		}
	}
	if p.Values[1] != 0 || p.Values[3] != 0 || p.Values[0] == 1 || s.State()[0].Values[1] != 0 {
		t.Errorf("weights %v, momentum %v", p.Values, s.State()[0].Values)
	}
}

func TestSolverAverage(t *testing.T) {
	params := two()
	s, err := NewSolver(testCPU(t, 1), SolverConfig{Average: 0.5}, params)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []float64{0.9, 0.75} { // of 1, 0.8, 0.6
		if _, err := s.Step(0.1, 1); err != nil {
			t.Fatal(err)
		}
		if got := float64(s.Averages()[1][0]); math.Abs(got-want) > 1e-6 {
			t.Errorf("average %v, want %v", got, want)
		}
	}
}

// A gradient that is not finite stops the run before it spoils anything.
func TestSolverNonFinite(t *testing.T) {
	params := two()
	s, err := NewSolver(testCPU(t, 1), SolverConfig{ClipNorm: 1, Momentum: 0.9}, params)
	if err != nil {
		t.Fatal(err)
	}
	params[1].Gradient[0] = float32(math.Inf(1))
	_, err = s.Step(0.1, 1)
	var bad *NonFiniteError
	if !errors.As(err, &bad) || bad.Parameter != "fc.bias" || bad.Step != 1 || params[0].Values[0] != 1 || s.Steps() != 0 {
		t.Errorf("%v, weight %v", err, params[0].Values[0])
	}
}

// Stopped and resumed with the state copied, a solver goes on as if nothing had been. Any number of threads gives the same bits.
func TestSolverResume(t *testing.T) {
	for _, config := range []SolverConfig{
		{Momentum: 0.9, Nesterov: true, Decay: 1e-4, ClipNorm: 1, Average: 0.9},
		{Kind: AdamW, Decay: 0.1},
		{Kind: LAMB, ClipNorm: 5},
		{Kind: RMSProp, Momentum: 0.9, Average: 0.99},
	} {
		var whole []float32
		for _, threads := range []int{1, 2, 7} {
			for _, stop := range []int{-1, 3} {
				const n = 40_000
				p := Parameter{Name: "w", Shape: []int{n, 1}, Values: make([]float32, n), Gradient: make([]float32, n)}
				for i := range p.Values {
					p.Values[i] = float32(math.Sin(float64(i)))
				}
				s, err := NewSolver(testCPU(t, threads), config, []Parameter{p})
				if err != nil {
					t.Fatal(err)
				}
				for step := range 6 {
					if step == stop {
						kept := s.State()
						if s, err = NewSolver(testCPU(t, threads), config, []Parameter{p}); err != nil {
							t.Fatal(err)
						}
						for i, v := range s.State() {
							if v.Name != kept[i].Name {
								t.Fatalf("state %s, before %s", v.Name, kept[i].Name)
							}
							copy(v.Values, kept[i].Values)
						}
						s.Resume(step)
					}
					for i := range p.Gradient {
						p.Gradient[i] = float32(math.Cos(float64(i * step)))
					}
					if _, err := s.Step(0.01, 1); err != nil {
						t.Fatal(err)
					}
				}
				got := p.Values
				for _, a := range s.Averages() {
					got = append(got, a...)
				}
				if whole == nil {
					whole = got
				}
				if !slices.Equal(got, whole) {
					t.Errorf("%+v: %d threads, stopped before step %d: other bits", config, threads, stop)
				}
			}
		}
	}
}

// A schedule's momentum replaces the solver's, even if it is 0 for a while.
func TestSetMomentum(t *testing.T) {
	params := two()
	s, err := NewSolver(testCPU(t, 1), SolverConfig{Momentum: 0.5}, params)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct{ momentum, want float64 }{{0.5, 0.8}, {0, 0.6}, {1, 0.2}} { // s = 2, 2, 4
		s.SetMomentum(c.momentum)
		if _, err := s.Step(0.1, 1); err != nil {
			t.Fatal(err)
		}
		if got := float64(params[0].Values[0]); math.Abs(got-c.want) > 1e-6 {
			t.Errorf("step %d: %v, want %v", i, got, c.want)
		}
	}
}

func TestBadSolvers(t *testing.T) {
	for _, c := range []struct {
		config SolverConfig
		want   string
	}{
		{SolverConfig{Kind: "adma"}, `kind: "adma" is unknown; did you mean "adam"?`},
		{SolverConfig{Momentum: 1}, "momentum: 1 is out of range"},
		{SolverConfig{Kind: Adam, Momentum: 0.9}, "momentum: adam has none"},
		{SolverConfig{Nesterov: true}, "nesterov: only sgd with a momentum"},
		{SolverConfig{Decay: math.NaN()}, "decay: NaN"},
		{SolverConfig{OnlyDecay: "biases"}, "only-decay"},
		{SolverConfig{Groups: []Group{{Match: "["}}}, `groups[0].match: "[" is no regular expression`},
		{SolverConfig{Groups: []Group{{Match: "conv"}}}, `groups[0].match: no parameter's name matches "conv"`},
	} {
		_, err := NewSolver(testCPU(t, 1), c.config, two())
		var usage *job.UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %s", c.config, err, c.want)
		}
	}
}

// Five steps as torch.optim of PyTorch 2.15 does them in float64, with the gradient sin(3t + i).
func TestSolversAsPyTorch(t *testing.T) {
	for _, c := range []struct {
		name   string
		config SolverConfig
		rate   float64
		want   [3]float64
	}{
		{"SGD", SolverConfig{Momentum: 0.9, Decay: 0.05}, 0.1, [3]float64{0.937907673, -2.06637018, 0.252582165}},
		{"SGD, nesterov", SolverConfig{Momentum: 0.9, Decay: 0.05, Nesterov: true}, 0.1, [3]float64{0.946855812, -2.06885595, 0.176872228}},
		{"Adam", SolverConfig{Kind: Adam, Decay: 0.05}, 0.1, [3]float64{0.780517749, -2.09507901, 0.35289192}},
		{"AdamW", SolverConfig{Kind: AdamW, Decay: 0.05, Beta1: 0.8, Beta2: 0.9, Epsilon: 1e-3}, 0.1, [3]float64{0.928069488, -2.08794913, 0.360022928}},
		{"RMSprop", SolverConfig{Kind: RMSProp, Decay: 0.05}, 0.01, [3]float64{0.865590895, -2.04445508, 0.414173177}},
		{"RMSprop, momentum", SolverConfig{Kind: RMSProp, Momentum: 0.9, Beta2: 0.9, Epsilon: 1e-3}, 0.01, [3]float64{0.944984535, -2.0849178, 0.415346455}},
		{"clip_grad_norm_", SolverConfig{ClipNorm: 1}, 0.1, [3]float64{1.02201154, -2.05023588, 0.42370334}},
	} {
		p := Parameter{Name: "w", Shape: []int{3}, Values: []float32{1, -2, 0.5}, Gradient: make([]float32, 3)}
		s, err := NewSolver(testCPU(t, 1), c.config, []Parameter{p})
		if err != nil {
			t.Fatal(err)
		}
		for step := range 5 {
			for i := range p.Gradient {
				p.Gradient[i] = float32(math.Sin(float64(3*step + i)))
			}
			if _, err := s.Step(c.rate, 1); err != nil {
				t.Fatal(err)
			}
		}
		for i, want := range c.want {
			if got := float64(p.Values[i]); math.Abs(got-want) > 2e-6*math.Abs(want) {
				t.Errorf("%s: weight %d is %.9g, want %.9g", c.name, i, got, want)
			}
		}
	}
}

// A parameter without a gradient stays as it is, with its momentum, and for Adam a step is the first in which it has one.
func TestSolverWithoutGradient(t *testing.T) {
	for _, c := range []struct {
		config SolverConfig
		want   float64 // after a step without and a step with a gradient of 2
	}{
		{SolverConfig{Momentum: 0.5, Decay: 1}, 0.7},
		{SolverConfig{Kind: Adam}, 0.9},
		{SolverConfig{Kind: LAMB}, 0.9},
	} {
		fresh := false
		params := two()[:1]
		params[0].fresh = &fresh
		s, err := NewSolver(testCPU(t, 1), c.config, params)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []float64{1, c.want} {
			fresh = i == 1
			if _, err := s.Step(0.1, 1); err != nil {
				t.Fatal(err)
			}
			if got := float64(params[0].Values[0]); math.Abs(got-want) > 1e-6 {
				t.Errorf("%s, step %d: %v, want %v", c.config.Kind, i, got, want)
			}
		}
	}
}
