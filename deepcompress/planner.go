package deepcompress

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/effml/effml/archive"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/modelfile"
	"github.com/effml/effml/internal/uses"
	"github.com/effml/effml/onnx"
)

// largeTensor is the number of weights from which tensors are planned one at a time: then package quantize uses all processors for
// one, and its memory is taken once.
const largeTensor = 1 << 20

// planner applies a plan to the tensors of a model.
type planner struct {
	plan          *Plan
	only, exclude []pattern
	seed          uint64
	threads       int
	file          *modelfile.File
	events        job.Events
}

// run decides about every tensor of m, in the order of m.Tensors(). first tells of each tensor the first one with the
// same values (its own index where there is none): those are decided together.
func (p *planner) run(ctx context.Context, m *onnx.Model) (decisions []decision, first []int, err error) {
	refs := m.Tensors()
	trace := uses.Trace(m)
	decisions = make([]decision, len(refs))
	var total int64
	for i, ref := range refs {
		decisions[i] = decisionFor(ref, trace)
		total += decisions[i].bytes
	}
	p.events.Stage("plan", total, "B")
	if first, err = archive.Ties(ctx, refs, p.file.Release); err != nil {
		return nil, nil, err
	}
	for i, f := range first {
		if f != i {
			decisions[f].join(&decisions[i])
		}
	}
	if err := p.assign(decisions, first); err != nil {
		return nil, nil, err
	}
	shareBudgets(decisions, first)
	if err := p.fit(ctx, decisions, first); err != nil {
		return nil, nil, err
	}
	for i := range decisions {
		d := &decisions[i]
		if f := first[i]; f != i {
			d.reason = fmt.Sprintf("same values as %s", decisions[f].name)
			d.packed = decisions[f].packed
			d.rule = decisions[f].rule
		}
		d.resolve()
	}
	return decisions, first, nil
}

// join makes d bear what o must bear, because the two are stored once.
func (d *decision) join(o *decision) {
	d.ops, d.nodes = append(d.ops, o.ops...), append(d.nodes, o.nodes...)
	if o.class > d.class {
		d.class, d.reason = o.class, fmt.Sprintf("%s (of %s, which has the same values)", o.reason, o.name)
	}
}

// assign finds the rule of each tensor and the reason of those that have none. It reports rules, and patterns of only and
// exclude, that select nothing.
func (p *planner) assign(decisions []decision, first []int) error {
	hits := make([]int, len(p.plan.Rules))
	onlyHits, excludeHits := make([]int, len(p.only)), make([]int, len(p.exclude))
	var errs []error
	for i := range decisions {
		d := &decisions[i]
		for k := range p.plan.Rules {
			r := &p.plan.Rules[k]
			if !r.matches(d) {
				continue
			}
			hits[k]++
			if d.rule == nil {
				d.rule = r
			}
		}
		only, exclude := d.selected(p.only, onlyHits), d.selected(p.exclude, excludeHits)
		if first[i] != i {
			continue
		}
		switch r := d.rule; {
		case d.class == classKept && r != nil && r.Tensor != "" && r.Keep == "" && d.ref.DataType.IsFloat():
			errs = append(errs, fmt.Errorf("plan %s: line %d: tensor %q must keep every bit: %s", p.plan.source, r.line, d.name, d.reason))
		case d.class == classKept:
		case exclude:
			d.reason = "excluded"
		case len(p.only) > 0 && !only:
			d.reason = "not among those selected"
		case r != nil && r.Tensor != "" && r.Keep == "":
			d.reason = "" // named by the plan, whatever uses it
		case d.class == classUnknown:
			d.skipped = d.weights >= p.plan.MinWeights && len(p.plan.Rules) > 0
		case r == nil && len(p.plan.Rules) == 0:
			d.reason = "the plan keeps every bit"
		case r == nil:
			d.reason = "no rule of the plan selects it"
		case r.Keep != "":
			d.reason = "the plan keeps it"
		case d.weights < p.plan.MinWeights:
			d.reason = fmt.Sprintf("fewer than %d weights: nothing to gain", p.plan.MinWeights)
		}
	}
	return usage(append(errs, p.unmatched(hits, onlyHits, excludeHits)...))
}

// selected reports whether a pattern matches the name of d or of a node that uses it, and counts matches by pattern.
func (d *decision) selected(patterns []pattern, hits []int) (matched bool) {
	for i, p := range patterns {
		if p.match(d.name) || slices.ContainsFunc(d.nodes, p.match) {
			hits[i]++
			matched = true
		}
	}
	return matched
}

func (p *planner) unmatched(rules, only, exclude []int) (errs []error) {
	for i, n := range rules {
		if r := &p.plan.Rules[i]; n == 0 && p.plan.user && !r.Optional {
			errs = append(errs, fmt.Errorf("plan %s: %s: %s matches no tensor of this model", p.plan.source, r.at(i), r.selector()))
		}
	}
	for i, n := range only {
		if n == 0 {
			errs = append(errs, fmt.Errorf("only: %q matches no tensor and no node that uses one", p.only[i].text))
		}
	}
	for i, n := range exclude {
		if n == 0 {
			errs = append(errs, fmt.Errorf("exclude: %q matches no tensor and no node that uses one", p.exclude[i].text))
		}
	}
	return errs
}

// selector writes what r selects for a message.
func (r *Rule) selector() string {
	var parts []string
	for _, s := range [][2]string{
		{"tensor", r.Tensor}, {"graph", r.Graph}, {"name", r.Name}, {"node", r.Node}, {"op", strings.Join(r.Op, ", ")},
	} {
		if s[1] != "" {
			parts = append(parts, fmt.Sprintf("%s %q", s[0], s[1]))
		}
	}
	return strings.Join(parts, ", ")
}

// shareBudgets turns the budget of a rule into a floor for each of its tensors.
//
// The relative error of a layer's weights is about that of its output, whatever its size, and errors of layers add up. Where
// noise D may be spent on tensors of n_i weights, bits Σ -½·n_i·log₂ d_i are fewest for d_i = D·n_i/Σn (reverse water-filling: T. M.
// Cover, J. A. Thomas, "Elements of Information Theory", 2nd ed., section 10.3.3). We deviate in that all layers are taken to
// be equally sensitive, as nothing tells them apart without data, and in that a power of n_i below 1 hedges against that.
func shareBudgets(decisions []decision, first []int) {
	shares := map[*Rule]float64{}
	for i := range decisions {
		if d := &decisions[i]; d.hasBudget() && first[i] == i {
			shares[d.rule] += d.share()
		}
	}
	for i := range decisions {
		if d := &decisions[i]; d.hasBudget() && first[i] == i {
			r := *d.rule
			r.SQNR, r.Budget, r.Share = math.Ceil(100*(r.Budget-10*math.Log10(d.share()/shares[d.rule])))/100, 0, nil
			d.rule = &r
		}
	}
}

func (d *decision) hasBudget() bool { return d.reason == "" && d.rule != nil && d.rule.Budget != 0 }

func (d *decision) share() float64 {
	power := 1.0
	if d.rule.Share != nil {
		power = *d.rule.Share
	}
	return math.Pow(float64(d.weights), power)
}

// fit chooses levels for the tensors that are to be packed: the large ones one after another, then the rest in parallel.
func (p *planner) fit(ctx context.Context, decisions []decision, first []int) error {
	one := func(d *decision) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := d.fit(p.seed)
		p.events.Advance(d.bytes)
		return err
	}
	var small []*decision
	for i := range decisions {
		switch d := &decisions[i]; {
		case d.reason != "" || first[i] != i:
			p.events.Advance(d.bytes)
		case d.weights < largeTensor:
			small = append(small, d)
		default:
			if err := one(d); err != nil {
				return err
			}
		}
	}
	var g errgroup.Group
	g.SetLimit(p.threads)
	for _, d := range small {
		g.Go(func() error { return one(d) })
	}
	return g.Wait()
}

// strictErrors lists the weights that are skipped.
func strictErrors(decisions []decision, first []int) error {
	var errs []error
	for i := range decisions {
		if d := &decisions[i]; d.skipped && first[i] == i {
			errs = append(errs, fmt.Errorf("tensor %q: %s", d.name, d.reason))
		}
	}
	if errs == nil {
		return nil
	}
	return &job.ModelError{Err: fmt.Errorf("deepcompress: strict: %d weights would be skipped: %w", len(errs), errors.Join(errs...))}
}

func threads(n int) int {
	if n > 0 {
		return n
	}
	return runtime.GOMAXPROCS(0)
}
