package train

import (
	"fmt"
	"math"
	"regexp"
	"slices"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/kernel"
)

// Kinds of solvers.
const (
	SGD     = "sgd"
	Adam    = "adam"
	AdamW   = "adamw"
	RMSProp = "rmsprop"
	LAMB    = "lamb"
)

// SolverConfig says how gradients change parameters. Zero values are the defaults.
type SolverConfig struct {
	Kind      string  `yaml:"kind,omitempty" json:"kind,omitempty" doc:"sgd (the default), adam, adamw, rmsprop or lamb"`
	Momentum  float64 `yaml:"momentum,omitempty" json:"momentum,omitempty" doc:"of sgd and rmsprop"`
	Nesterov  bool    `yaml:"nesterov,omitempty" json:"nesterov,omitempty" doc:"sgd: look ahead by the momentum"`
	Beta1     float64 `yaml:"beta1,omitempty" json:"beta1,omitempty" doc:"adam, adamw, lamb: how much of the mean of gradients is kept (default 0.9)"`
	Beta2     float64 `yaml:"beta2,omitempty" json:"beta2,omitempty" doc:"adam, adamw, lamb: the same of their squares (default 0.999); of rmsprop (default 0.99)"`
	Epsilon   float64 `yaml:"epsilon,omitempty" json:"epsilon,omitempty" doc:"what is added to the root of the mean square (default 1e-8, of lamb 1e-6)"`
	Decay     float64 `yaml:"decay,omitempty" json:"decay,omitempty" doc:"weight decay"`
	OnlyDecay string  `yaml:"only-decay,omitempty" json:"only-decay,omitempty" doc:"what decays: all (the default), or weights: neither biases nor normalisation"`
	ClipNorm  float64 `yaml:"clip-norm,omitempty" json:"clip-norm,omitempty" doc:"scale all gradients together so that their norm is at most this"`
	Average   float64 `yaml:"average,omitempty" json:"average,omitempty" doc:"keep an exponential moving average of the parameters, of which this part stays in every step, 0.999 say"`
	Groups    []Group `yaml:"groups,omitempty" json:"groups,omitempty" doc:"other settings for some parameters; the first group that matches counts"`
}

// Group sets apart the parameters whose names match.
type Group struct {
	Match  string   `yaml:"match" json:"match" doc:"regular expression, found anywhere in the name of the tensor"`
	Rate   *float64 `yaml:"rate,omitempty" json:"rate,omitempty" doc:"factor of the learning rate; 0 leaves the parameters as they are"`
	Decay  *float64 `yaml:"decay,omitempty" json:"decay,omitempty" doc:"weight decay instead of the solver's"`
	Frozen bool     `yaml:"frozen,omitempty" json:"frozen,omitempty" doc:"leave the parameters as they are, without computing their gradients"`
}

// Validate reports all problems of c at once, as a [*job.UsageError].
func (c SolverConfig) Validate() error {
	p := job.Problems{Prefix: "solver."}
	part := func(name string, v float64) {
		p.Check(v >= 0 && v < 1, "%s: %v is out of range, it must be 0 to below 1", name, v)
	}
	positive := func(name string, v float64) {
		p.Check(v >= 0 && !math.IsInf(v, 1), "%s: %v is out of range, it must not be negative", name, v)
	}
	kinds := []string{SGD, Adam, AdamW, RMSProp, LAMB}
	p.Check(c.Kind == "" || slices.Contains(kinds, c.Kind), "kind: %q is unknown%s", c.Kind, job.Hint(c.Kind, kinds))
	part("momentum", c.Momentum)
	part("beta1", c.Beta1)
	part("beta2", c.Beta2)
	part("average", c.Average)
	positive("epsilon", c.Epsilon)
	positive("decay", c.Decay)
	positive("clip-norm", c.ClipNorm)
	plain := c.Kind == "" || c.Kind == SGD
	p.Check(c.Momentum == 0 || plain || c.Kind == RMSProp, "momentum: %s has none; it has beta1", c.Kind)
	p.Check(!c.Nesterov || plain && c.Momentum > 0, "nesterov: only sgd with a momentum has it")
	p.Check(c.OnlyDecay == "" || c.OnlyDecay == "all" || c.OnlyDecay == "weights", "only-decay: %q is neither all nor weights", c.OnlyDecay)
	for i, g := range c.Groups {
		_, err := regexp.Compile(g.Match)
		p.Check(err == nil && g.Match != "", "groups[%d].match: %q is no regular expression: %v", i, g.Match, err)
		p.Check(g.Rate == nil || *g.Rate >= 0 && !math.IsInf(*g.Rate, 1), "groups[%d].rate: it must not be negative", i)
		p.Check(g.Decay == nil || *g.Decay >= 0 && !math.IsInf(*g.Decay, 1), "groups[%d].decay: it must not be negative", i)
	}
	return p.Err()
}

// kernel returns what does the updates; momentum replaces the configured one.
func (c SolverConfig) kernel(momentum float64) kernel.Solver {
	beta1, beta2, epsilon := orDefault(c.Beta1, 0.9), orDefault(c.Beta2, 0.999), orDefault(c.Epsilon, 1e-8)
	switch c.Kind {
	case Adam, AdamW:
		return kernel.Adam{Beta1: beta1, Beta2: beta2, Epsilon: epsilon, Decoupled: c.Kind == AdamW}
	case RMSProp:
		return kernel.RMSProp{Alpha: orDefault(c.Beta2, 0.99), Epsilon: epsilon, Momentum: momentum}
	case LAMB:
		return kernel.LAMB{Beta1: beta1, Beta2: beta2, Epsilon: orDefault(c.Epsilon, 1e-6)}
	}
	return kernel.SGD{Momentum: momentum, Nesterov: c.Nesterov}
}

// Parameter is a tensor that training changes. The slices have one length.
type Parameter struct {
	Name     string
	Shape    []int
	Values   []float32
	Gradient []float32
	Mask     []float32 // nil, or 0 where the value is and stays 0

	fresh *bool // if there is one: whether there is a gradient. Without, a step leaves the parameter and its state as they are
}

// idle reports whether there is no gradient.
func (p *Parameter) idle() bool { return p.fresh != nil && !*p.fresh }

// Solver changes parameters by their gradients.
type Solver struct {
	cpu    *kernel.CPU
	config SolverConfig
	params []solved
	steps  int // done
	// momentum of steps from now on.
	momentum float64
}

// solved is a parameter with its settings and state.
type solved struct {
	Parameter
	rate, decay float64
	state       [][]float32
	average     []float32 // nil without SolverConfig.Average
	number      []float32 // of the steps in which there was a gradient, one element; nil where it does not matter
}

// step returns the number of the step at hand, of the parameter.
func (p *solved) step(steps int) int {
	if p.number == nil {
		return steps
	}
	p.number[0]++
	return int(p.number[0])
}

// NewSolver returns a solver for parameters, whose slices it keeps. The average begins as the parameters are now. Errors are those of Validate, and
// groups that match no parameter.
func NewSolver(c *kernel.CPU, config SolverConfig, params []Parameter) (*Solver, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	s := &Solver{cpu: c, config: config, momentum: config.Momentum}
	states := config.kernel(config.Momentum).States()
	matched := make([]bool, len(config.Groups))
	for _, p := range params {
		v := solved{Parameter: p, rate: 1, decay: config.Decay}
		if config.OnlyDecay == "weights" && len(p.Shape) < 2 {
			v.decay = 0
		}
		if i := config.group(p.Name); i >= 0 {
			g := config.Groups[i]
			matched[i] = true
			if g.Rate != nil {
				v.rate = *g.Rate
			}
			if g.Decay != nil {
				v.decay = *g.Decay
			}
			if g.Frozen {
				v.rate = 0
			}
		}
		if v.rate > 0 {
			for range states {
				v.state = append(v.state, make([]float32, len(p.Values)))
			}
			if p.fresh != nil && slices.Contains([]string{Adam, AdamW, LAMB}, config.Kind) {
				v.number = make([]float32, 1)
			}
		}
		if config.Average > 0 {
			v.average = slices.Clone(p.Values)
		}
		s.params = append(s.params, v)
	}
	if i := slices.Index(matched, false); i >= 0 {
		return nil, job.Usagef("solver.groups[%d].match: no parameter's name matches %q, or an earlier group took it", i, config.Groups[i].Match)
	}
	return s, nil
}

// group returns the number of the first group that matches name, −1 where none does. The configuration is valid.
func (c SolverConfig) group(name string) int {
	return slices.IndexFunc(c.Groups, func(g Group) bool { return regexp.MustCompile(g.Match).MatchString(name) })
}

// Frozen says whether the configuration, which is valid, leaves a parameter as it is.
func (c SolverConfig) Frozen(name string) bool {
	i := c.group(name)
	return i >= 0 && c.Groups[i].Frozen
}

// NonFiniteError names the first parameter whose gradient has a NaN or an infinity.
type NonFiniteError struct {
	Parameter string
	Step      int // that could not be done, from 1
}

func (e *NonFiniteError) Error() string {
	return fmt.Sprintf("train: step %d: the gradient of %s is not finite", e.Step, e.Parameter)
}

// SetMomentum replaces the momentum of sgd and rmsprop, as a schedule does. Where there was none it stays so.
func (s *Solver) SetMomentum(momentum float64) {
	if s.config.Momentum > 0 {
		s.momentum = momentum
	}
}

// Step changes all parameters, with a learning rate and a factor of the gradients (1/n where they are the sums over n parts of a batch). It returns the
// norm of all gradients together before clipping, or 0 where nothing is clipped. A norm that is not finite is a [*NonFiniteError], and nothing
// is changed. Gradients are of no use afterwards.
func (s *Solver) Step(rate, scale float64) (norm float64, err error) {
	if s.config.ClipNorm > 0 {
		if norm, err = s.norm(scale); err != nil {
			return norm, err
		}
		scale *= min(1, s.config.ClipNorm/(norm+1e-6)) // as PyTorch's clip_grad_norm_
	}
	s.steps++
	solver := s.config.kernel(s.momentum)
	if s.config.Momentum > 0 && s.momentum == 0 { // the state is there nevertheless
		solver = s.config.kernel(math.SmallestNonzeroFloat64)
	}
	for i := range s.params {
		p := &s.params[i]
		if p.rate > 0 && !p.idle() {
			solver.Update(s.cpu, kernel.Step{
				Weights: p.Values, Gradient: p.Gradient, Mask: p.Mask, State: p.state,
				Rate: rate * p.rate, Decay: p.decay, Scale: scale, Number: p.step(s.steps),
			})
		}
		if p.average != nil {
			kernel.Average(s.cpu, p.average, p.Values, s.config.Average)
		}
	}
	return norm, nil
}

// norm is that of all gradients that count.
func (s *Solver) norm(scale float64) (float64, error) {
	var sum float64
	for _, p := range s.params {
		if p.rate > 0 && !p.idle() {
			sum += kernel.SumSquares(s.cpu, p.Gradient)
		}
		if math.IsNaN(sum) || math.IsInf(sum, 0) {
			return sum, &NonFiniteError{Parameter: p.Name, Step: s.steps + 1}
		}
	}
	return math.Sqrt(sum) * scale, nil
}

// Steps returns the number of steps done.
func (s *Solver) Steps() int { return s.steps }

// Averages returns the moving averages of the parameters, in their order, or nil. They are views.
func (s *Solver) Averages() [][]float32 {
	if s.config.Average == 0 {
		return nil
	}
	all := make([][]float32, len(s.params))
	for i, p := range s.params {
		all[i] = p.average
	}
	return all
}

// State returns views of all that the solver keeps between steps, besides the number of steps.
func (s *Solver) State() (all []Slice) {
	for _, p := range s.params {
		for k, v := range p.state {
			all = append(all, Slice{fmt.Sprintf("solver.%d/%s", k, p.Name), p.Shape, v})
		}
		if p.number != nil {
			all = append(all, Slice{"steps/" + p.Name, []int{1}, p.number})
		}
		if p.average != nil {
			all = append(all, Slice{"average/" + p.Name, p.Shape, p.average})
		}
	}
	return all
}

// Resume sets the number of steps done. The slices that State returns are to be filled as well.
func (s *Solver) Resume(steps int) { s.steps = steps }
