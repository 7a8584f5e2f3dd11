package evaluate

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/mapped"
	"github.com/effml/effml/internal/modelfile"
	"github.com/effml/effml/onnx"
)

// Diff compares two models: the graphs, and tensor by tensor the values. Tensors are matched by their name and place. The
// values of one tensor a thread are looked at at a time, in blocks.
func Diff(ctx context.Context, c DiffConfig, ev job.Events) (*DiffResult, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if ev == nil {
		ev = job.Discard
	}
	timer := job.Start(DiffSchema, 0, c.Threads)
	result := &DiffResult{}
	result.Command = c.Command
	if err := mapped.Guard(func() error { return diff(ctx, c, ev, result) }); err != nil {
		return nil, modelfile.Explain(err)
	}
	timer.Fill(&result.Common)
	return result, nil
}

func diff(ctx context.Context, c DiffConfig, ev job.Events, result *DiffResult) error {
	a, err := openModel(c.A)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := openModel(c.B)
	if err != nil {
		return err
	}
	defer b.Close()
	result.Graph = diffGraphs(a.Model, b.Model)
	pairs := match(a.tensors, b.tensors)
	rows, err := comparePairs(ctx, pairs, workers(c.Threads), ev, a, b)
	if err != nil {
		return err
	}
	if result.A, err = a.side(ctx); err != nil {
		return err
	}
	if result.B, err = b.side(ctx); err != nil {
		return err
	}
	result.sum(rows)
	return result.run(ctx, c, ev)
}

// run compares what the models compute, where there is anything to run them on.
func (d *DiffResult) run(ctx context.Context, c DiffConfig, ev job.Events) error {
	if !c.some() {
		return nil
	}
	p, err := openCouple(c.A, c.B, c.Samples, c.Threads)
	if err != nil {
		return err
	}
	defer p.close()
	if d.Outputs, err = p.outputs(ctx, Limits{}, ev); err != nil {
		return err
	}
	d.Nodes, err = p.nodes(ctx, c.Tolerance, ev)
	return err
}

func (m *model) side(ctx context.Context) (Side, error) {
	f, err := m.Describe(ctx)
	if err != nil {
		return Side{}, err
	}
	s := Side{File: *f, Kind: m.Kind, Tensors: len(m.tensors)}
	eachGraph(m.Model, func(_ string, _ *onnx.Graph, nodes []*onnx.Node) { s.Nodes += len(nodes) })
	for i := range m.tensors {
		if m.tensors[i].parameter() {
			s.Parameters += m.tensors[i].elements
		}
	}
	return s, nil
}

// pair is a tensor of each model, or of one of them.
type pair struct{ a, b *held }

// place is how tensors are matched: by name, graph and role, those alike in order.
type place struct {
	path, name string
	role       onnx.Role
	number     int
}

func places(list []held) []place {
	seen := map[place]int{}
	out := make([]place, len(list))
	for i := range list {
		p := place{list[i].Path, list[i].name, list[i].Role, 0}
		n := seen[p]
		seen[p]++
		p.number = n
		out[i] = p
	}
	return out
}

func match(a, b []held) (pairs []pair) {
	inB := map[place]*held{}
	placesB := places(b)
	for i, p := range placesB {
		inB[p] = &b[i]
	}
	for i, p := range places(a) {
		pairs = append(pairs, pair{&a[i], inB[p]})
		delete(inB, p)
	}
	for i, p := range placesB {
		if inB[p] != nil {
			pairs = append(pairs, pair{nil, &b[i]})
		}
	}
	return pairs
}

// row is a compared pair with what the totals need.
type row struct {
	TensorDiff
	signal, noise      float64 // sums of squares over a floating-point tensor
	nonZeroA, nonZeroB int64
}

func comparePairs(ctx context.Context, pairs []pair, threads int, ev job.Events, a, b *model) ([]row, error) {
	var total int64
	for _, p := range pairs {
		total += p.bytes()
	}
	ev.Stage("compare", total, "B")
	rows := make([]row, len(pairs))
	var g errgroup.Group
	g.SetLimit(threads)
	for i, p := range pairs {
		g.Go(func() (err error) {
			if rows[i], err = p.compare(ctx); err != nil {
				return err
			}
			if p.a != nil {
				a.Release(p.a.Tensor)
			}
			if p.b != nil {
				b.Release(p.b.Tensor)
			}
			ev.Advance(p.bytes())
			return nil
		})
	}
	return rows, g.Wait()
}

func (p pair) bytes() int64 {
	if p.a != nil {
		return p.a.bytes
	}
	return p.b.bytes
}

func (p pair) compare(ctx context.Context) (r row, err error) {
	if p.a != nil {
		r.Name, r.Graph, r.TypeA, r.ShapeA, r.BytesA = p.a.name, p.a.graph(), typeName(p.a.DataType), p.a.Dims, p.a.size()
		r.PackedA = p.a.packed
	}
	if p.b != nil {
		r.Name, r.Graph, r.TypeB, r.ShapeB, r.BytesB = p.b.name, p.b.graph(), typeName(p.b.DataType), p.b.Dims, p.b.size()
		r.PackedB = p.b.packed
	}
	switch {
	case p.b == nil:
		r.Status = "removed"
		r.ZerosA, r.nonZeroA, err = zeros(ctx, p.a)
	case p.a == nil:
		r.Status = "added"
		r.ZerosB, r.nonZeroB, err = zeros(ctx, p.b)
	case !slices.Equal(p.a.Dims, p.b.Dims):
		r.Status = "shape"
		if r.ZerosA, r.nonZeroA, err = zeros(ctx, p.a); err == nil {
			r.ZerosB, r.nonZeroB, err = zeros(ctx, p.b)
		}
	default:
		err = p.compareValues(ctx, &r)
	}
	if err != nil {
		err = fmt.Errorf("evaluate: tensor %q: %w", r.Name, err)
	}
	return r, err
}

// zeros counts the zeros of a floating-point tensor.
func zeros(ctx context.Context, t *held) (percent float64, nonZero int64, err error) {
	if !t.DataType.IsFloat() || !numeric(t.DataType) || t.elements == 0 {
		return 0, 0, nil
	}
	err = scan(ctx, t.Tensor, t.elements, func(v []float64) {
		for _, x := range v {
			if x != 0 {
				nonZero++
			}
		}
	})
	return 100 * float64(t.elements-nonZero) / float64(t.elements), nonZero, err
}

// compareValues compares two tensors of one shape.
func (p pair) compareValues(ctx context.Context, r *row) error {
	sameType := p.a.DataType == p.b.DataType
	r.Status = "equal"
	if !sameType {
		r.Status = "type"
	}
	switch {
	case sameType && p.a.DataType == onnx.String:
		return p.compareStrings(r)
	case numeric(p.a.DataType) && numeric(p.b.DataType):
		return p.compareNumbers(ctx, r, sameType)
	case !sameType || p.a.DataType.Bits() == 0:
		return nil
	}
	x, y := newReader(p.a.Tensor), newReader(p.b.Tensor)
	defer x.close()
	defer y.close()
	bufs := [2][]byte{make([]byte, 1<<16), make([]byte, 1<<16)}
	for left := p.a.bytes; left > 0; left -= int64(len(bufs[0])) {
		n := min(left, int64(len(bufs[0])))
		if err := readBoth(ctx, x, y, bufs[0][:n], bufs[1][:n]); err != nil {
			return err
		}
		for i, v := range bufs[0][:n] {
			if v != bufs[1][i] {
				r.Changed++
			}
		}
	}
	if r.Changed > 0 {
		r.Status = "values"
	}
	return nil
}

func (p pair) compareStrings(r *row) error {
	x, err := p.a.Strings()
	if err != nil {
		return err
	}
	y, err := p.b.Strings()
	if err != nil {
		return err
	}
	for i := range x {
		if !bytes.Equal(x[i], y[i]) {
			r.Changed++
			r.Status = "values"
		}
	}
	return nil
}

func readBoth(ctx context.Context, x, y io.Reader, a, b []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := io.ReadFull(x, a); err != nil {
		return err
	}
	_, err := io.ReadFull(y, b)
	return err
}

// compareNumbers compares values, which may be of different types.
func (p pair) compareNumbers(ctx context.Context, r *row, sameType bool) error {
	x, y := newReader(p.a.Tensor), newReader(p.b.Tensor)
	defer x.close()
	defer y.close()
	wa, wb := p.a.DataType.Bits()/8, p.b.DataType.Bits()/8
	rawA, rawB := make([]byte, blockElements*wa), make([]byte, blockElements*wb)
	va, vb := make([]float64, blockElements), make([]float64, blockElements)
	worst := 0.0
	for left := p.a.elements; left > 0; left -= blockElements {
		n := int(min(left, blockElements))
		if err := readBoth(ctx, x, y, rawA[:n*wa], rawB[:n*wb]); err != nil {
			return err
		}
		toFloats(va[:n], rawA, p.a.DataType)
		same := sameType && bytes.Equal(rawA[:n*wa], rawB[:n*wb])
		if !same {
			toFloats(vb[:n], rawB, p.b.DataType)
		}
		worst = max(worst, r.addBlock(va[:n], vb[:n], same))
		if sameType && !same {
			r.Status = "values"
			for i := range n {
				if !bytes.Equal(rawA[i*wa:(i+1)*wa], rawB[i*wb:(i+1)*wb]) {
					r.Changed++
				}
			}
		}
	}
	if n := float64(p.a.elements); n > 0 && p.a.DataType.IsFloat() {
		r.ZerosA, r.ZerosB = 100*(n-float64(r.nonZeroA))/n, 100*(n-float64(r.nonZeroB))/n
	}
	if r.Status != "equal" {
		e, q := job.Float(worst), job.Float(10*math.Log10(r.signal/r.noise))
		r.MaxError, r.SQNR = &e, &q
	}
	if !p.a.DataType.IsFloat() {
		r.signal, r.noise, r.nonZeroA, r.nonZeroB = 0, 0, 0, 0
	}
	return nil
}

// addBlock adds a block to the sums and returns its largest error: infinite where one value is not finite and the other differs.
func (r *row) addBlock(a, b []float64, same bool) (worst float64) {
	if same {
		b = a
	}
	for i, v := range a {
		if v != 0 {
			r.nonZeroA++
		}
		if b[i] != 0 {
			r.nonZeroB++
		}
		e := v - b[i]
		switch {
		case e == 0:
		case math.IsNaN(v) && math.IsNaN(b[i]), v == b[i]:
			continue
		case e-e != 0:
			worst = math.Inf(1)
			continue
		}
		if v-v == 0 {
			r.signal += v * v
			r.noise += e * e
		}
		worst = max(worst, math.Abs(e))
	}
	return worst
}

// sum fills the summary and sorts the rows.
func (d *DiffResult) sum(rows []row) {
	var signal, noise, worst float64
	for i := range rows {
		r := &rows[i]
		switch r.Status {
		case "equal":
			d.Summary.Equal++
		case "added":
			d.Summary.Added++
		case "removed":
			d.Summary.Removed++
		default:
			d.Summary.Changed++
		}
		signal, noise = signal+r.signal, noise+r.noise
		if r.MaxError != nil {
			worst = max(worst, float64(*r.MaxError))
		}
		d.A.NonZero += r.nonZeroA
		d.B.NonZero += r.nonZeroB
	}
	d.Summary.MaxError, d.Summary.SQNR = job.Float(worst), job.Float(10*math.Log10(signal/noise))
	slices.SortStableFunc(rows, func(a, b row) int { return rank(a.Status) - rank(b.Status) })
	d.Tensors = make([]TensorDiff, len(rows))
	for i := range rows {
		d.Tensors[i] = rows[i].TensorDiff
	}
	d.Equal = d.Graph.Equal && d.Summary.Equal == len(rows)
}

func rank(status string) int {
	if status == "equal" {
		return 1
	}
	return 0
}
