package infer

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// gradientCase is a node to differentiate. Its outputs are named y, y1, …; its inputs are those of a trial, float64 tensors of random
// numbers, or constants of the trial.
type gradientCase struct {
	name   string       // default: the operator
	node   string       // as nd has it
	more   []*onnx.Node // that come after it, for a program
	opset  int64        // default: 20
	value  func(*rand.Rand) float64
	trials []gradientTrial
	// condition is what the error of float32 may be more than usual. Default: 1.
	condition float64
}

// gradientTrial is a node's attributes, constant inputs and the shapes of the others.
type gradientTrial struct {
	shapes    string // "2,3;3" for [2, 3] and [3]
	attrs     []*onnx.Attribute
	constants map[string]*tensor.Tensor
}

type constantInput struct {
	name string
	t    *tensor.Tensor
}

// trial makes a gradientTrial of attributes and constantInputs.
func trial(shapes string, with ...any) gradientTrial {
	t := gradientTrial{shapes: shapes, constants: map[string]*tensor.Tensor{}}
	for _, w := range with {
		switch w := w.(type) {
		case *onnx.Attribute:
			t.attrs = append(t.attrs, w)
		case constantInput:
			t.constants[w.name] = w.t
		}
	}
	return t
}

// trials makes trials of shapes alone.
func trials(shapes ...string) []gradientTrial {
	var out []gradientTrial
	for _, s := range shapes {
		out = append(out, trial(s))
	}
	return out
}

func fixed(name string, v ...int64) constantInput {
	return constantInput{name, tensor.From(v, len(v))}
}

func fixedAs(name string, shape []int, v ...int64) constantInput {
	return constantInput{name, tensor.From(v, shape...)}
}

// gradientProgram is a program with its derivative, for inputs of one type.
type gradientProgram struct {
	model, derivative *onnx.Model
	in                []*tensor.Tensor // of model; of derivative followed by seeds
	seeds             []*tensor.Tensor
	wrt               []string
	given             []int // the inputs that are differentiated
	outputs           int
}

func anyNumber(r *rand.Rand) float64 { return r.NormFloat64() }

// newGradientProgram differentiates a trial of a case, with random numbers of r.
func newGradientProgram(t *testing.T, c *gradientCase, tr *gradientTrial, r *rand.Rand) *gradientProgram {
	t.Helper()
	n := nd(c.node, tr.attrs...)
	opset, value := c.opset, c.value
	if opset == 0 {
		opset = 20
	}
	if value == nil {
		value = anyNumber
	}
	p := &gradientProgram{}
	known, g := map[string]ops.Info{}, &onnx.Graph{Name: "g"}
	for _, name := range slices.Sorted(maps.Keys(tr.constants)) {
		known[name] = ops.Of(tr.constants[name])
		g.Initializers = append(g.Initializers, tr.constants[name].ToONNX(name))
	}
	nodes, shapes, computed := append([]*onnx.Node{n}, c.more...), strings.Split(tr.shapes, ";"), []string{""}
	var names []string
	for _, n := range nodes {
		names, computed = append(names, n.Inputs...), append(computed, n.Outputs...)
	}
	for _, name := range names {
		if _, ok := known[name]; ok || slices.Contains(computed, name) {
			continue
		}
		x := randomDoubles(r, parseShape(t, shapes[0]), value)
		shapes = shapes[1:]
		known[name] = ops.Info{Type: onnx.Double, Shape: ops.MakeShape(x.Shape...)}
		p.in, p.wrt = append(p.in, x), append(p.wrt, name)
		g.Inputs = append(g.Inputs, describeValue(name, onnx.Double, x.Shape))
	}
	d := ops.Differentiation{Nodes: nodes, Opset: opset, Known: known, Seeds: map[string]string{}, Wrt: p.wrt}
	p.model = &onnx.Model{IRVersion: 10, OpsetImports: []*onnx.OperatorSet{{Version: opset}, {Domain: ops.Domain, Version: 1}}, Graph: g}
	g.Nodes = d.Nodes
	for _, out := range computed {
		if strings.HasPrefix(out, "y") {
			g.Outputs = append(g.Outputs, typed(onnx.Double, out))
		}
	}
	p.differentiate(t, d, r)
	return p
}

func parseShape(t *testing.T, s string) []int {
	t.Helper()
	shape := []int{}
	for _, d := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' }) {
		n, err := strconv.Atoi(d)
		if err != nil {
			t.Fatal(err)
		}
		shape = append(shape, n)
	}
	return shape
}

func randomDoubles(r *rand.Rand, shape []int, value func(*rand.Rand) float64) *tensor.Tensor {
	x, err := tensor.New(onnx.Double, shape...)
	if err != nil {
		panic(err)
	}
	for i := range x.Len() {
		tensor.Of[float64](x)[i] = value(r)
	}
	return x
}

func describeValue(name string, dt onnx.DataType, shape []int) *onnx.ValueInfo {
	dims := make([]any, len(shape))
	for i, d := range shape {
		dims[i] = d
	}
	if len(dims) == 0 {
		return &onnx.ValueInfo{Name: name, Type: &onnx.TypeProto{Tensor: &onnx.TensorType{ElemType: dt, Shape: &onnx.Shape{}}}}
	}
	return typed(dt, name, dims...)
}

// differentiate makes the derivative, a model with the outputs and then the gradients, of those inputs that have one.
func (p *gradientProgram) differentiate(t *testing.T, d ops.Differentiation, r *rand.Rand) {
	t.Helper()
	g := p.model.Graph
	all := *g
	shapes, err := ops.Differentiate(d) // without seeds: tells the shapes
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range g.Outputs {
		shape, ok := shapes.Known[out.Name].Shape.Known()
		if !ok {
			t.Fatalf("shape of %s is %s", out.Name, shapes.Known[out.Name].Shape)
		}
		seed := randomDoubles(r, shape, anyNumber)
		d.Seeds[out.Name] = "d" + out.Name
		d.Known["d"+out.Name] = ops.Info{Type: onnx.Double, Shape: ops.MakeShape(shape...)}
		p.seeds = append(p.seeds, seed)
		all.Inputs = append(slices.Clone(all.Inputs), describeValue("d"+out.Name, onnx.Double, shape))
	}
	p.outputs = len(g.Outputs)
	derivative, err := ops.Differentiate(d)
	if err != nil {
		t.Fatal(err)
	}
	all.Nodes, all.Outputs = slices.Clone(derivative.Nodes), slices.Clone(g.Outputs)
	for i, name := range p.wrt {
		if v, ok := derivative.Gradients[name]; ok {
			all.Nodes = append(all.Nodes, &onnx.Node{OpType: "Identity", Inputs: []string{v.Name}, Outputs: []string{"gradient " + name}})
			all.Outputs = append(all.Outputs, typed(onnx.Double, "gradient "+name))
			p.given = append(p.given, i)
		}
	}
	p.derivative = &onnx.Model{IRVersion: 10, OpsetImports: p.model.OpsetImports, Graph: &all}
}

// narrowed is the program on float32.
func (p *gradientProgram) narrowed() *gradientProgram {
	q := *p
	q.model, q.derivative, q.in, q.seeds = narrowModel(p.model), narrowModel(p.derivative), narrowAll(p.in), narrowAll(p.seeds)
	return &q
}

func narrowAll(in []*tensor.Tensor) []*tensor.Tensor {
	out := make([]*tensor.Tensor, len(in))
	for i, t := range in {
		v := make([]float32, t.Len())
		for k, x := range tensor.Of[float64](t) {
			v[k] = float32(x)
		}
		out[i] = tensor.From(v, t.Shape...)
	}
	return out
}

// narrowModel puts float32 in the place of float64.
func narrowModel(m *onnx.Model) *onnx.Model {
	g := *m.Graph
	for _, list := range []*[]*onnx.ValueInfo{&g.Inputs, &g.Outputs} {
		*list = slices.Clone(*list)
		for i, v := range *list {
			if v.Type.Tensor.ElemType == onnx.Double {
				(*list)[i] = &onnx.ValueInfo{Name: v.Name, Type: &onnx.TypeProto{Tensor: &onnx.TensorType{ElemType: onnx.Float, Shape: v.Type.Tensor.Shape}}}
			}
		}
	}
	narrow := func(t *onnx.Tensor) *onnx.Tensor {
		if x, err := tensor.FromONNX(t); err == nil && x.Type == onnx.Double {
			return narrowAll([]*tensor.Tensor{x})[0].ToONNX(t.Name)
		}
		return t
	}
	g.Initializers = slices.Clone(g.Initializers)
	for i, t := range g.Initializers {
		g.Initializers[i] = narrow(t)
	}
	g.Nodes = slices.Clone(g.Nodes)
	for i, n := range g.Nodes {
		c := *n
		c.Attributes = slices.Clone(n.Attributes)
		for k, a := range c.Attributes {
			if a.T != nil {
				b := *a
				b.T = narrow(a.T)
				c.Attributes[k] = &b
			}
			if n.OpType == "Cast" && a.Name == "to" && a.I == int64(onnx.Double) {
				c.Attributes[k] = attr("to", int(onnx.Float))
			}
		}
		g.Nodes[i] = &c
	}
	return &onnx.Model{IRVersion: m.IRVersion, OpsetImports: m.OpsetImports, Graph: &g}
}

// run computes the outputs and the gradients.
func (p *gradientProgram) run(t *testing.T, o Options) []*tensor.Tensor {
	t.Helper()
	s := session(t, p.derivative, o)
	runner := s.NewRunner()
	in := p.order(t, s)
	var out []*tensor.Tensor
	for k := range 2 { // the second time in memory that is not new
		results, err := runner.Run(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		for i, x := range results {
			if k == 0 {
				out = append(out, x.Clone())
			} else if string(x.Bytes()) != string(out[i].Bytes()) {
				t.Errorf("output %d of the second run is another", i)
			}
		}
	}
	return out
}

// order lists inputs and seeds as the session has them, which leaves out none.
func (p *gradientProgram) order(t *testing.T, s *Session) []*tensor.Tensor {
	t.Helper()
	in := slices.Concat(p.in, p.seeds)
	if len(in) != len(s.Inputs()) {
		t.Fatalf("%d inputs for %d", len(in), len(s.Inputs()))
	}
	return in
}

// loss computes Σ seed·output.
func (p *gradientProgram) loss(t *testing.T, r *Runner) float64 {
	t.Helper()
	out, err := r.Run(t.Context(), p.in)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for i, y := range out {
		for k, v := range tensor.Of[float64](y) {
			sum += v * tensor.Of[float64](p.seeds[i])[k]
		}
	}
	return sum
}

// differences returns the largest relative difference of gradients from central differences, at up to 24 elements of each input. It is not
// ok where differences tell nothing: beside a kink, or where the function bends too much.
func (p *gradientProgram) differences(t *testing.T, grads []*tensor.Tensor, r *rand.Rand) (worst float64, ok bool) {
	t.Helper()
	s := session(t, p.model, Options{Threads: 1, NoFuse: true})
	runner := s.NewRunner()
	for i, x := range p.in {
		var grad []float64
		if k := slices.Index(p.given, i); k >= 0 {
			grad = tensor.Of[float64](grads[k])
		} else {
			grad = make([]float64, x.Len())
		}
		scale := 0.1
		for _, v := range grad {
			scale = max(scale, math.Abs(v))
		}
		v := tensor.Of[float64](x)
		for _, k := range r.Perm(len(v))[:min(len(v), 24)] {
			slope, third := p.slope(t, runner, &v[k])
			if third > 5e-12*scale {
				return 0, false
			}
			if e := math.Abs(slope-grad[k]) / scale; !(e <= worst) {
				worst = e
			}
		}
	}
	return worst, true
}

// slope returns the derivative of the loss by an element, and how much the differences of second order on its two sides, and around it, are apart, beyond
// what rounding does. A kink nearby puts more apart than it changes the derivative.
func (p *gradientProgram) slope(t *testing.T, r *Runner, v *float64) (slope, third float64) {
	t.Helper()
	const h = 1e-5
	var f [5]float64
	old, most := *v, 0.0
	for i := range f {
		*v = old + float64(i-2)*h
		f[i] = p.loss(t, r)
		most = max(most, math.Abs(f[i]))
	}
	*v = old
	left, middle, right := f[0]-2*f[1]+f[2], f[1]-2*f[2]+f[3], f[2]-2*f[3]+f[4]
	third = max(math.Abs(left-middle), math.Abs(right-middle)) - 2e-14*most
	return (8*(f[3]-f[1]) - (f[4] - f[0])) / (12 * h), third
}

// apart is the norm of the difference over the norm, the worst of all tensors. Elements count as 0.1 at least: a sum may come to nothing.
func apart(narrow, wide []*tensor.Tensor) float64 {
	worst := 0.0
	for i, w := range wide {
		sum, diff := 1e-2*float64(w.Len()), 0.0
		for k, v := range tensor.Of[float64](w) {
			d := float64(tensor.Of[float32](narrow[i])[k]) - v
			sum, diff = sum+v*v, diff+d*d
		}
		if e := math.Sqrt(diff / sum); !(e <= worst) {
			worst = e
		}
	}
	return worst
}

// TestGradients compares the gradients of operators in float64 with central differences, and in float32, in every way that the
// executor has, with those in float64. $EFFML_GRADIENT_SEEDS is for how many draws of all numbers, 1 by default.
func TestGradients(t *testing.T) {
	cases := gradientCases()
	report := map[string][2]float64{}
	seeds, err := strconv.Atoi(cmp.Or(os.Getenv("EFFML_GRADIENT_SEEDS"), "1"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range cases {
		c := &cases[i]
		if c.name == "" {
			_, right, _ := strings.Cut(c.node, " = ")
			c.name, _, _ = strings.Cut(right, " ")
		}
		if len(c.trials) < 5 {
			t.Errorf("%s: %d trials", c.name, len(c.trials))
		}
		t.Run(c.name, func(t *testing.T) {
			worst := [2]float64{}
			for k := range c.trials {
				for seed := range seeds {
					e, e32 := c.check(t, k, seed)
					worst[0], worst[1] = max(worst[0], e), max(worst[1], e32)
				}
			}
			report[c.name] = worst
		})
	}
	for _, name := range slices.Sorted(maps.Keys(report)) {
		t.Logf("%-36s float64 against differences %.1e, float32 against float64 %.1e", name, report[name][0], report[name][1])
	}
}

// check draws numbers for a trial until the function is smooth there, and returns how far gradients are off, and those in float32.
func (c *gradientCase) check(t *testing.T, trial, seed int) (e, e32 float64) {
	t.Helper()
	tr := &c.trials[trial]
	at := fmt.Sprintf("trial %d, %s, seed %d", trial, tr.shapes, seed)
	var p *gradientProgram
	var wide []*tensor.Tensor
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, c.name, trial)
	r := rand.New(rand.NewPCG(h.Sum64(), uint64(seed)))
	for ok, draws := false, 0; !ok; draws++ {
		if draws == 10 {
			t.Fatalf("%s: no place where it is smooth", at)
		}
		p = newGradientProgram(t, c, tr, r)
		wide = p.run(t, Options{Threads: 2})
		e, ok = p.differences(t, wide[p.outputs:], r)
	}
	q, limit := p.narrowed(), 3e-6*max(1, c.condition)
	narrow := q.run(t, Options{ISA: best(t), Threads: 1})
	e32 = apart(narrow, wide)
	if !(e <= 1e-7) || !(e32 <= limit) {
		t.Errorf("%s: off by %.1e, float32 by %.1e", at, e, e32)
	}
	for _, o := range []Options{{ISA: best(t), Threads: 3}, {ISA: best(t), Threads: 2, NoFuse: true}, {Threads: 2}} {
		other := q.run(t, o)
		for i, x := range other {
			if o.Threads == 3 && string(x.Bytes()) != string(narrow[i].Bytes()) {
				t.Errorf("%s: output %d depends on the number of threads", at, i)
			}
		}
		if e := apart(other, wide); !(e <= limit) {
			t.Errorf("%s: with %+v off by %.1e", at, o, e)
		}
	}
	return e, e32
}
