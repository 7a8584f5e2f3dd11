package deepcompress

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/effml/effml/internal/uses"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/prune"
	"github.com/effml/effml/quantize"
)

// decision says what happens to one tensor.
type decision struct {
	ref      onnx.TensorRef
	name     string // its own, or that of the Constant's output
	op       string // operator that uses it first
	ops      []string
	nodes    []string
	class    class
	sums     quantize.Sums
	reason   string // why it is kept; empty when it is packed
	skipped  bool   // a weight that the plan wanted packed, or might have
	weights  int64
	bytes    int64 // of its values
	rule     *Rule // that decided, nil where none did
	resolved Rule  // what a plan must say to get the same again
	packed   *packing
}

// decisionFor collects what is known of a tensor without looking at its values.
func decisionFor(ref onnx.TensorRef, m uses.Map) decision {
	d := decision{ref: ref, name: m.Name(ref.Tensor), class: classKept}
	d.weights, _ = ref.NumElements() // the checker has seen to it
	if d.bytes, _ = ref.ByteSize(); ref.DataType == onnx.String {
		d.bytes = ref.Size()
	}
	list, known := m.Of(ref.Tensor)
	if !known {
		d.reason = "part of a sparse tensor"
		if ref.Role == onnx.AttributeValue || ref.Node != nil {
			d.reason = "attribute of a node"
		}
		if ref.Node != nil {
			d.op = uses.OpName(ref.Node)
		}
		return d
	}
	for _, u := range list {
		if u.Node == nil {
			continue
		}
		d.ops = append(d.ops, u.Op())
		if u.Node.Name != "" {
			d.nodes = append(d.nodes, u.Node.Name)
		}
		if depthwise(u, ref.Dims) {
			d.ops = append(d.ops, "DepthwiseConv")
		}
	}
	if len(d.ops) > 0 {
		d.op = d.ops[0]
	}
	if d.class, d.reason = classify(ref.Tensor, list); d.class == classWeight {
		d.sums = sums(ref.Tensor, list)
	}
	return d
}

// depthwise reports whether u is the weight of a convolution in which each output channel sees one input channel.
func depthwise(u uses.Use, dims []int64) bool {
	if u.Node.OpType != "Conv" || u.Input != 1 || len(dims) < 3 || dims[1] != 1 {
		return false
	}
	return integer(u.Node, "group") > 1
}

// classify judges a tensor by its type, its shape and all its uses.
func classify(t *onnx.Tensor, list []uses.Use) (class, string) {
	switch {
	case !t.DataType.IsFloat():
		return classKept, fmt.Sprintf("%s values are exact", t.DataType)
	case t.DataType.Bits() < 16:
		return classKept, fmt.Sprintf("%s has few bits already", t.DataType)
	case t.Segment != nil:
		return classKept, "a segment of a tensor"
	case slices.Contains(t.Dims, 0):
		return classKept, "no elements"
	case len(t.Dims) == 0:
		return classKept, "a scalar"
	case len(list) == 0:
		return classKept, "not used by any node"
	}
	worst, reason := classWeight, ""
	for _, u := range list {
		if c, r := judge(u); c > worst {
			worst, reason = c, r
		}
	}
	if len(t.Dims) == 1 && worst < classKept {
		return classKept, "one-dimensional, as biases and statistics are"
	}
	return worst, reason
}

// matches reports whether r selects d.
func (r *Rule) matches(d *decision) bool {
	return (r.Tensor == "" || r.Tensor == d.name) &&
		(r.Graph == "" || r.Graph == d.ref.Path) &&
		(r.Name == "" || r.name.match(d.name)) &&
		(r.Node == "" || slices.ContainsFunc(d.nodes, r.node.match)) &&
		(len(r.Op) == 0 || slices.ContainsFunc(d.ops, func(op string) bool { return slices.Contains(r.Op, op) }))
}

// fit chooses the levels of d as its rule says. It fills d.packed, or d.reason where that is not possible or does not pay.
func (d *decision) fit(seed uint64) error {
	weights, err := quantize.TensorSource(d.ref.Tensor)
	if err != nil {
		return err
	}
	round, err := quantize.RoundTo(d.ref.DataType)
	if err != nil {
		return err
	}
	r, src := d.rule, weights
	if r.Prune != nil {
		rule := prune.Rule{Keep: r.Prune.Keep, Threshold: r.Prune.Threshold, Sigma: r.Prune.Sigma}
		threshold, err := prune.Threshold(weights, rule)
		if err != nil {
			return d.skip(err)
		}
		src = pruned{weights, threshold}
	}
	levels, stats, shared, err := r.choose(src, d.groupSize(), round, seed)
	if err != nil {
		return d.skip(err)
	}
	if r.Tensor == "" && r.Prune == nil {
		counts, err := palette(src)
		if err != nil {
			return err
		}
		if counts != nil && entropy(counts)+32*float64(len(counts)) <= cost(levels, stats) {
			d.reason = fmt.Sprintf("its %d distinct values take no more bytes as they are", len(counts))
			return nil
		}
	}
	weighed := &quantize.Balanced{Source: src, Levels: levels}
	if r.Balance && !shared && d.sums != (quantize.Sums{}) {
		weighed.Sums = d.sums
		floor := math.Inf(-1)
		if r.SQNR != 0 {
			floor = r.SQNR
		}
		if stats, err = weighed.Hold(floor, r.gridOptions(round)); err != nil {
			return d.skip(err)
		}
	}
	d.packed = &packing{Balanced: weighed, stats: stats, shared: shared, pruned: r.Prune != nil, coder: r.Coder}
	if r.Prune != nil {
		return d.packed.measureAgainst(weights, round)
	}
	return nil
}

// skip turns an error that is due to the weights into a reason.
func (d *decision) skip(err error) error {
	var value *quantize.ValueError
	var pruneValue *prune.ValueError
	var floor *quantize.FloorError
	switch {
	case errors.As(err, &value):
		d.reason = fmt.Sprintf("weight %d is %v", value.Index, value.Value)
	case errors.As(err, &pruneValue):
		d.reason = fmt.Sprintf("weight %d is %v", pruneValue.Index, pruneValue.Value)
	case errors.As(err, &floor):
		d.reason = fmt.Sprintf("%.4g dB cannot be held, %.4g dB is the most", floor.Want, floor.Got)
	default:
		return fmt.Errorf("deepcompress: tensor %q: %w", d.name, err)
	}
	d.skipped = true
	return nil
}

// groupSize returns how many consecutive weights share levels; 0 is all.
func (d *decision) groupSize() int {
	switch g := d.rule.Group; {
	case g == GroupChannel:
		return int(d.weights / d.ref.Dims[0])
	case int64(g) >= d.weights:
		return 0
	default:
		return int(g)
	}
}

// choose finds levels by the rule's method; auto takes the one with fewer bits, codebooks counted.
func (r *Rule) choose(src quantize.Source, size int, round quantize.Round, seed uint64) (g quantize.Grouped, st quantize.Stats, shared bool, err error) {
	if r.Method != "kmeans" {
		g, st, err = quantize.Groups(src, size, r.grid(round))
		var floor *quantize.FloorError
		if err != nil && (r.Method != "auto" || !errors.As(err, &floor)) {
			return g, st, false, err
		}
	}
	if r.Method == "uniform" {
		return g, st, false, nil
	}
	gridErr := err
	k, kst, err := quantize.Groups(src, size, r.codebook(round, seed))
	if r.Method == "kmeans" {
		return k, kst, true, err
	}
	var floor *quantize.FloorError
	switch {
	case err != nil && !errors.As(err, &floor):
		return k, kst, true, err
	case err != nil || gridErr == nil && cost(g, st) <= cost(k, kst):
		return g, st, false, gridErr
	}
	return k, kst, true, nil
}

// cost is the bits of the codes and of what is needed to read them.
func cost(g quantize.Grouped, st quantize.Stats) float64 {
	bits := st.Entropy * float64(st.Weights)
	for _, q := range g.Q {
		bits += 32 * float64(max(1, len(q.Codebook)))
	}
	return bits
}

// gridOptions returns what narrows a grid of r.
func (r *Rule) gridOptions(round quantize.Round) quantize.GridOptions {
	o := quantize.GridOptions{DeadZone: float32(r.Dead), Round: round}
	if r.Bits != 0 {
		o.Limit = max(1, int32(1)<<(r.Bits-1)-1)
	}
	return o
}

// grid binds the options of a uniform grid.
func (r *Rule) grid(round quantize.Round) quantize.Fit {
	o := r.gridOptions(round)
	switch {
	case r.Step != 0:
		return func(src quantize.Source) (quantize.Quantizer, quantize.Stats, error) {
			return quantize.Grid(src, float32(r.Step), o)
		}
	case r.Bits != 0: // symmetric: the largest magnitude is the outermost level
		return func(src quantize.Source) (quantize.Quantizer, quantize.Stats, error) {
			largest, err := magnitude(src)
			if err != nil {
				return quantize.Quantizer{}, quantize.Stats{}, err
			}
			step := float32(largest / float64(o.Limit))
			if step == 0 {
				step = math.SmallestNonzeroFloat32
			}
			return quantize.Grid(src, step, o)
		}
	}
	return func(src quantize.Source) (quantize.Quantizer, quantize.Stats, error) {
		return quantize.Uniform(src, r.SQNR, o)
	}
}

// codebook binds the options of k-means.
func (r *Rule) codebook(round quantize.Round, seed uint64) quantize.Fit {
	if r.SQNR != 0 {
		o := quantize.FloorOptions{Method: quantize.SharedLevels, KeepZero: r.Prune != nil, Round: round}
		return func(src quantize.Source) (quantize.Quantizer, quantize.Stats, error) {
			return quantize.ForSQNR(src, r.SQNR, o)
		}
	}
	o := quantize.KMeansOptions{K: r.Levels, KeepZero: r.Prune != nil, Round: round}
	if r.Bits != 0 {
		o.K = 1 << r.Bits
	}
	return func(src quantize.Source) (quantize.Quantizer, quantize.Stats, error) {
		init, err := quantize.ParseInit(r.initName())
		if err != nil {
			return quantize.Quantizer{}, quantize.Stats{}, err
		}
		with := o
		with.Init, with.Rand = init, rand.New(rand.NewPCG(seed, uint64(src.Len())))
		return quantize.KMeans(src, with)
	}
}

func (r *Rule) initName() string {
	if r.Init == "" {
		return "linear"
	}
	return r.Init
}

// magnitude returns the largest |w|.
func magnitude(src quantize.Source) (largest float64, err error) {
	buf := make([]float32, min(src.Len(), 1<<16))
	for first := 0; first < src.Len(); first += len(buf) {
		w := buf[:min(len(buf), src.Len()-first)]
		if err := src.Read(w, first); err != nil {
			return 0, err
		}
		for i, v := range w {
			a := math.Abs(float64(v))
			if math.IsNaN(a) || math.IsInf(a, 0) {
				return 0, &quantize.ValueError{Index: first + i, Value: v}
			}
			largest = max(largest, a)
		}
	}
	return largest, nil
}

// resolve writes down what a plan must say to get the same result again.
func (d *decision) resolve() {
	d.resolved = Rule{Tensor: d.name, Keep: "lossless"}
	if d.packed == nil {
		return
	}
	r := *d.rule
	d.resolved = Rule{
		Tensor: d.name, Method: "uniform", Bits: r.Bits, Levels: r.Levels, SQNR: r.SQNR, Step: r.Step, Dead: r.Dead,
		Group: r.Group, Prune: r.Prune, Coder: r.Coder, Balance: r.Balance,
	}
	switch {
	case d.packed.shared:
		d.resolved.Method, d.resolved.Init = "kmeans", r.Init
		d.resolved.Step, d.resolved.Dead, d.resolved.Balance = 0, 0, false
	case len(d.packed.Levels.Q) == 1 && r.Bits == 0:
		d.resolved.SQNR, d.resolved.Step = 0, shortFloat(d.packed.Levels.Q[0].Step)
	}
}

// shortFloat returns the float64 of fewest digits that rounds to v.
func shortFloat(v float32) float64 {
	short, err := strconv.ParseFloat(strconv.FormatFloat(float64(v), 'g', -1, 32), 64)
	if err != nil {
		return float64(v)
	}
	return short
}
