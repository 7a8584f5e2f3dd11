package zoo

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/onnx"
)

// Network is an architecture.
type Network struct {
	Name   string `json:"name"`
	Source string `json:"source" doc:"where it is from"`
	// Input is [C, H, W] of the input "input" [N, C, H, W], where N is open; Classes the length K of the output "logits" [N, K]. Options change both.
	Input   [3]int `json:"input" doc:"channels, height and width"`
	Classes int    `json:"classes"`
	// Scalable: Options.Width may scale the numbers of channels.
	Scalable bool `json:"scalable" doc:"takes a width multiplier"`
	// Parameters are what training changes, without the running statistics of normalisation; MACs are the multiplications followed by an addition of
	// convolutions and matrix products, for one sample. Both with the zero Options.
	Parameters int64 `json:"parameters" doc:"what training changes, without the running statistics of normalisation"`
	MACs       int64 `json:"macs" doc:"for one sample"`

	weights initial
	build   func(b *builder, x value, o Options) value
}

// Options change a network. The zero value of each is what the source has.
type Options struct {
	Classes int
	Input   [3]int  // [C, H, W]
	Width   float64 // factor of the numbers of channels
}

// Find returns the network of a name, in which capital letters and punctuation do not count, or a [*job.UsageError] that suggests one.
func Find(name string) (Network, error) {
	var names []string
	for _, n := range Networks() {
		if plainName(n.Name) == plainName(name) {
			return n, nil
		}
		names = append(names, n.Name)
	}
	return Network{}, job.Usagef("zoo: there is no network %q%s", name, job.Hint(name, names))
}

func plainName(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("-_. ", r) {
			return -1
		}
		return r
	}, strings.ToLower(s))
}

// complete replaces the zero values of options.
func (n Network) complete(o Options) Options {
	o.Classes, o.Width = cmp.Or(o.Classes, n.Classes), cmp.Or(o.Width, 1)
	for i, d := range o.Input {
		o.Input[i] = cmp.Or(d, n.Input[i])
	}
	return o
}

// Build returns the network with weights drawn from rng: the same state of rng gives the same bytes. Options that the network cannot have are a
// [*job.UsageError].
func (n Network) Build(o Options, rng *rand.Rand) (*onnx.Model, error) {
	o = n.complete(o)
	switch {
	case o.Width != 1 && !n.Scalable:
		return nil, job.Usagef("zoo: %s has no width multiplier; MobileNets have", n.Name)
	case !(o.Width >= 0.01 && o.Width <= 100):
		return nil, job.Usagef("zoo: width %v is out of range, it must be 0.01 to 100", o.Width)
	}
	for _, v := range append(o.Input[:], o.Classes) {
		if v < 1 || v > 1<<16 {
			return nil, job.Usagef("zoo: %d classes, input %v: numbers must be 1 to %d", o.Classes, o.Input, 1<<16)
		}
	}
	b := newBuilder(n.Name, n.weights, rng)
	m := b.model(n.build(b, b.input(o.Input), o))
	if b.err != nil {
		return nil, job.Usagef("zoo: %s with input %dx%dx%d: %w", n.Name, o.Input[0], o.Input[1], o.Input[2], b.err)
	}
	return m, nil
}

// Spec is a network with options, of which none is left out, and the seed of its weights.
type Spec struct {
	Network
	Options Options
	Seed    uint64
}

// Parse reads NAME[,KEY=VALUE…], as it follows "zoo:". Keys are classes, size (height and width of the input), input (CxHxW), width (the
// multiplier) and seed, 1 by default. Errors are a [*job.UsageError].
func Parse(text string) (Spec, error) {
	name, rest, _ := strings.Cut(text, ",")
	s := Spec{Seed: 1}
	var err error
	if s.Network, err = Find(name); err != nil {
		return s, err
	}
	for _, pair := range strings.FieldsFunc(rest, func(r rune) bool { return r == ',' }) {
		key, v, _ := strings.Cut(pair, "=")
		switch key {
		case "classes":
			s.Options.Classes, err = strconv.Atoi(v)
		case "size":
			s.Options.Input[1], err = strconv.Atoi(v)
			s.Options.Input[2] = s.Options.Input[1]
		case "input":
			_, err = fmt.Sscanf(v+"\n", "%dx%dx%d\n", &s.Options.Input[0], &s.Options.Input[1], &s.Options.Input[2])
		case "width":
			s.Options.Width, err = strconv.ParseFloat(v, 64)
		case "seed":
			s.Seed, err = strconv.ParseUint(v, 10, 64)
		default:
			return s, job.Usagef("zoo: unknown key %q in %q%s", key, text, job.Hint(key, []string{"classes", "input", "seed", "size", "width"}))
		}
		if err != nil {
			return s, job.Usagef("zoo: %q in %q: write classes=10, size=96, input=3x96x96, width=0.5 or seed=1", pair, text)
		}
	}
	s.Options = s.complete(s.Options)
	return s, nil
}

// Model builds the network of a Spec.
func (s Spec) Model() (*onnx.Model, error) {
	return s.Build(s.Options, rand.New(rand.NewPCG(s.Seed, 0)))
}
