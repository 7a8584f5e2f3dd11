package deepcompress

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"

	"gopkg.in/yaml.v3"

	"github.com/effml/effml/configs"
	"github.com/effml/effml/internal/document"
	"github.com/effml/effml/internal/job"
)

// PlanVersion is the version of plan documents that this package reads and writes.
const PlanVersion = 1

// Plan says what happens to the tensors of a model. For each tensor the first rule that matches it decides; a tensor
// that no rule matches is kept. Whatever the rules say, tensors that must not lose precision (see [Roles]) are kept.
type Plan struct {
	Version       int      `yaml:"version" doc:"1"`
	Description   string   `yaml:"description,omitempty"`
	Effort        int      `yaml:"effort" doc:"time for tensors that are stored without loss: 0 fast, 1, 2 smallest"`
	Coders        []string `yaml:"coders,omitempty,flow" doc:"coders to choose from; all where empty"`
	StripMetadata bool     `yaml:"strip-metadata" doc:"drop doc strings and exporter traces"`
	MinWeights    int64    `yaml:"min-weights,omitempty" doc:"tensors with fewer weights are kept"`
	Rules         []Rule   `yaml:"rules"`

	source string // for messages: preset or file name
	user   bool   // a file: each rule must match something
}

// Rule selects tensors and says what happens to them. A selector that is absent selects all; all that are present
// must agree.
type Rule struct {
	Tensor   string     `yaml:"tensor,omitempty" doc:"the tensor with exactly this name"`
	Graph    string     `yaml:"graph,omitempty" doc:"tensors of this graph or function"`
	Name     string     `yaml:"name,omitempty" doc:"tensors whose name matches this glob or /regular expression/"`
	Node     string     `yaml:"node,omitempty" doc:"tensors used by a node whose name matches"`
	Op       StringList `yaml:"op,omitempty,flow" doc:"tensors used by an operator of one of these types"`
	Optional bool       `yaml:"optional,omitempty" doc:"matching nothing is no error"`

	Keep    string     `yaml:"keep,omitempty" doc:"lossless: keep every bit"`
	Method  string     `yaml:"method,omitempty" doc:"uniform (a grid), kmeans (a codebook) or auto (the smaller one)"`
	Bits    int        `yaml:"bits,omitempty" doc:"2^bits levels, 1 to 16; kmeans to 8"`
	Levels  int        `yaml:"levels,omitempty" doc:"number of levels of kmeans, 2 to 256"`
	SQNR    float64    `yaml:"sqnr,omitempty" doc:"floor of the signal-to-quantisation-noise ratio in dB; the fewest levels that hold it"`
	Budget  float64    `yaml:"budget,omitempty" doc:"floor in dB for all tensors of this rule together, as if their errors added up at the output; larger tensors get larger shares of the noise"`
	Share   *float64   `yaml:"share,omitempty" doc:"a tensor's share of the budget is in proportion to its weights to this power, 0 (equal) to 1 (the default)"`
	Step    float64    `yaml:"step,omitempty" doc:"distance of two levels of a grid"`
	Dead    float64    `yaml:"dead-zone,omitempty" doc:"uniform: a code begins at (n-1/2+dead-zone) steps: more zeros, fewer bytes; 0 to 1/2"`
	Balance bool       `yaml:"balance,omitempty" doc:"uniform: round so that errors cancel within each kernel and each output, not each weight to its nearest level"`
	Init    string     `yaml:"init,omitempty" doc:"kmeans: linear, density, random or optimal"`
	Group   Group      `yaml:"group,omitempty" doc:"weights that share levels: tensor, channel (same first index) or a number"`
	Prune   *PruneRule `yaml:"prune,omitempty,flow" doc:"set small weights to zero first"`
	Coder   string     `yaml:"coder,omitempty" doc:"use this coder"`

	line       int
	name, node pattern
}

// PruneRule says which weights become zero; one field is set.
type PruneRule struct {
	Keep      float64 `yaml:"keep,omitempty" doc:"fraction of weights to keep, the largest; 0 to 1"`
	Threshold float64 `yaml:"threshold,omitempty" doc:"weights below this magnitude become zero"`
	Sigma     float64 `yaml:"sigma,omitempty" doc:"threshold in standard deviations of the tensor"`
}

// Group is the number of consecutive weights that share levels: 0 is the whole tensor, -1 an output channel (all
// weights with the same first index).
type Group int64

// GroupChannel is one group for each output channel.
const GroupChannel Group = -1

// UnmarshalYAML reads "tensor", "channel" or a number of at least 16.
func (g *Group) UnmarshalYAML(n *yaml.Node) error {
	switch n.Value {
	case "tensor":
		*g = 0
	case "channel":
		*g = GroupChannel
	default:
		v, err := strconv.ParseInt(n.Value, 10, 40)
		if err != nil || n.Kind != yaml.ScalarNode || v < 16 {
			return fmt.Errorf("line %d: group %q must be tensor, channel or a number of weights from 16", n.Line, n.Value)
		}
		*g = Group(v)
	}
	return nil
}

// MarshalYAML is the inverse of UnmarshalYAML.
func (g Group) MarshalYAML() (any, error) {
	switch {
	case g == 0:
		return "tensor", nil
	case g == GroupChannel:
		return "channel", nil
	}
	return int64(g), nil
}

// StringList is a list that may be written as one string.
type StringList []string

// UnmarshalYAML reads a string or a list of strings.
func (l *StringList) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*l = StringList{n.Value}
		return nil
	}
	return n.Decode((*[]string)(l))
}

// LoadPreset returns the plan of a preset.
func LoadPreset(name string) (*Plan, error) {
	if name == "" {
		name = DefaultPreset
	}
	if err := checkPreset(name); err != nil {
		return nil, usage([]error{err})
	}
	doc, err := configs.Preset(name)
	if err != nil {
		return nil, fmt.Errorf("deepcompress: preset %s: %w", name, err)
	}
	return parsePlan(doc, "preset "+name, false)
}

// LoadPlan reads a plan file. Mistakes in it are reported all at once with their lines, as a [*job.UsageError].
func LoadPlan(path string) (*Plan, error) {
	doc, err := os.ReadFile(path)
	if err != nil {
		return nil, usage([]error{fmt.Errorf("read plan: %w", err)})
	}
	return parsePlan(doc, path, true)
}

func parsePlan(doc []byte, source string, user bool) (*Plan, error) {
	p := &Plan{source: source, user: user}
	if err := document.Decode(doc, p); err != nil {
		return nil, usage([]error{fmt.Errorf("plan %s: %w", source, err)})
	}
	p.setLines(doc)
	if errs := p.check(); len(errs) > 0 {
		for i, err := range errs {
			errs[i] = fmt.Errorf("plan %s: %w", source, err)
		}
		return nil, usage(errs)
	}
	return p, nil
}

// setLines notes where each rule stands. Node.Decode would forget KnownFields, so the document is read once more.
func (p *Plan) setLines(doc []byte) {
	var at struct {
		Rules []yaml.Node `yaml:"rules"`
	}
	if yaml.Unmarshal(doc, &at) != nil {
		return
	}
	for i := range min(len(p.Rules), len(at.Rules)) {
		p.Rules[i].line = at.Rules[i].Line
	}
}

// check reports everything that is wrong with p and prepares its patterns.
func (p *Plan) check() (errs []error) {
	if p.Version != PlanVersion {
		return []error{fmt.Errorf("version: %d is not supported, this build reads version %d", p.Version, PlanVersion)}
	}
	if p.Effort < 0 || p.Effort > 2 {
		errs = append(errs, fmt.Errorf("effort: %d is out of range, it must be 0 to 2", p.Effort))
	}
	if p.MinWeights < 0 {
		errs = append(errs, fmt.Errorf("min-weights: %d is negative", p.MinWeights))
	}
	for _, c := range p.Coders {
		if err := checkCoder(c); err != nil {
			errs = append(errs, fmt.Errorf("coders: %w", err))
		}
	}
	for i := range p.Rules {
		r := &p.Rules[i]
		for _, err := range r.check() {
			errs = append(errs, fmt.Errorf("%s: %w", r.at(i), err))
		}
	}
	return errs
}

// at names rule number i in a message.
func (r *Rule) at(i int) string {
	if r.line > 0 {
		return fmt.Sprintf("line %d: rules[%d]", r.line, i)
	}
	return fmt.Sprintf("rules[%d]", i)
}

func (r *Rule) check() (errs []error) {
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	var err error
	if r.Name != "" {
		if r.name, err = newPattern(r.Name); err != nil {
			add("name: %w", err)
		}
	}
	if r.Node != "" {
		if r.node, err = newPattern(r.Node); err != nil {
			add("node: %w", err)
		}
	}
	if r.Coder != "" {
		if err := checkCoder(r.Coder); err != nil {
			add("coder: %w", err)
		}
	}
	if r.Keep != "" {
		if r.Keep != "lossless" {
			add("keep: %q must be lossless", r.Keep)
		}
		if r.Method != "" || r.Bits != 0 || r.Levels != 0 || r.SQNR != 0 || r.Budget != 0 || r.Share != nil || r.Step != 0 || r.Dead != 0 || r.Balance || r.Init != "" || r.Group != 0 || r.Prune != nil || r.Coder != "" {
			add("keep: lossless leaves nothing to say about method, bits, levels, sqnr, budget, step, dead-zone, balance, init, group, prune or coder")
		}
		return errs
	}
	if r.Prune != nil {
		errs = append(errs, r.Prune.check()...)
	}
	return append(errs, r.checkMethod()...)
}

func (r *Rule) checkMethod() (errs []error) {
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	maxBits := 16
	switch r.Method {
	case "uniform":
	case "kmeans", "auto":
		maxBits = 8
	case "":
		add("method: missing; it must be uniform, kmeans or auto, or say keep: lossless")
		return errs
	default:
		add("method: %q must be uniform, kmeans or auto%s", r.Method, job.Hint(r.Method, []string{"uniform", "kmeans", "auto"}))
		return errs
	}
	set := 0
	for _, given := range []bool{r.Bits != 0, r.Levels != 0, r.SQNR != 0, r.Budget != 0, r.Step != 0} {
		if given {
			set++
		}
	}
	if set != 1 {
		add("give one of bits, levels, sqnr, budget and step")
	}
	if r.Bits < 0 || r.Bits > maxBits {
		add("bits: %d is out of range, it must be 1 to %d", r.Bits, maxBits)
	}
	if r.Levels != 0 && (r.Levels < 2 || r.Levels > 256) {
		add("levels: %d is out of range, it must be 2 to 256", r.Levels)
	}
	if r.Levels != 0 && r.Method != "kmeans" {
		add("levels: only kmeans has a number of levels; use bits or step")
	}
	if !(r.SQNR >= 0 && r.SQNR <= 120) {
		add("sqnr: %v is out of range, it must be above 0 and at most 120 dB", r.SQNR)
	}
	if !(r.Budget >= 0 && r.Budget <= 120) {
		add("budget: %v is out of range, it must be above 0 and at most 120 dB", r.Budget)
	}
	if r.Share != nil && (r.Budget == 0 || !(*r.Share >= 0 && *r.Share <= 1)) {
		add("share: %v must be 0 to 1, and needs a budget", *r.Share)
	}
	if r.Step != 0 && !(float32(r.Step) > 0 && float32(r.Step) <= math.MaxFloat32) {
		add("step: %v is out of range, it must be a positive number", r.Step)
	}
	if r.Step != 0 && r.Method != "uniform" {
		add("step: only method uniform has a step")
	}
	if !(r.Dead >= 0 && r.Dead <= 0.5) {
		add("dead-zone: %v is out of range, it must be 0 to 0.5", r.Dead)
	}
	if r.Dead != 0 && r.Method == "kmeans" {
		add("dead-zone: kmeans has none")
	}
	if r.Balance && r.Method == "kmeans" {
		add("balance: only grids can be balanced")
	}
	switch r.Init {
	case "", "linear", "density", "random", "optimal":
	default:
		add("init: %q must be linear, density, random or optimal", r.Init)
	}
	if r.Init != "" && r.Method == "uniform" {
		add("init: method uniform has none")
	}
	return errs
}

func (p *PruneRule) check() (errs []error) {
	set := 0
	for _, v := range []float64{p.Keep, p.Threshold, p.Sigma} {
		if v != 0 {
			set++
		}
		if !(v >= 0) || math.IsInf(v, 0) {
			errs = append(errs, fmt.Errorf("prune: %v is out of range, it must be a positive number", v))
		}
	}
	if set != 1 {
		errs = append(errs, errors.New("prune: give one of keep, threshold and sigma"))
	}
	if p.Keep > 1 {
		errs = append(errs, fmt.Errorf("prune.keep: %v is out of range, it must be a fraction up to 1", p.Keep))
	}
	return errs
}

func checkPreset(name string) error {
	if name == "" {
		return nil
	}
	if name == "max" {
		return errors.New("preset max retrains, and retraining is not part of compress without --data; take small, or paper")
	}
	names := configs.Presets()
	for _, n := range names {
		if n == name {
			return nil
		}
	}
	return fmt.Errorf("preset %q is unknown%s", name, job.Hint(name, names))
}
