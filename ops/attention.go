package ops

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// attention is Attention: softmax(cap(scale·Q·Kᵀ) + bias)·V for each head. A. Vaswani et al.: Attention Is All You Need, NIPS 2017;
// several heads of Q may share one of K and V (J. Ainslie et al.: GQA, EMNLP 2023).
//
// Q is [B, H, S, D] or [B, S, H·D], K and V alike with T positions and perhaps fewer heads; past keys and values, [B, Hkv, P, D], come
// before them. The bias is the mask (numbers to add; or bools, −∞ where false) broadcast to [B, H, S, P+T], and −∞ where causality,
// the window or the number of valid keys forbid a key. A query that may see no key gives zeros.
//
// It computes in float32, whatever softmax_precision says; float64 is refused.
type attention struct {
	heads, headsKV int     // 0: of the shapes
	scale          float64 // 0: 1/√D
	softcap        float32
	window         sightWindow
	mode           int // what output 3 is, see qkMode…
	states         *states[attentionRun]
}

// What output 3 holds.
const (
	qkModeRaw = iota
	qkModeCapped
	qkModeBiased
	qkModeSoftmax
)

func newAttention(n *Node) (Op, error) {
	o := &attention{
		heads: n.Int("q_num_heads", 0), headsKV: n.Int("kv_num_heads", 0), scale: float64(n.Float("scale", 0)), softcap: n.Float("softcap", 0),
		window: sightWindow{n.Bool("is_causal", false), n.Int("left_window_size", -1), n.Int("right_window_size", -1)},
		mode:   n.Int("qk_matmul_output_mode", 0), states: new(states[attentionRun]),
	}
	switch {
	case o.heads < 0 || o.headsKV < 0:
		return nil, fmt.Errorf("attributes q_num_heads and kv_num_heads are %d and %d", o.heads, o.headsKV)
	case o.scale < 0 || o.softcap < 0:
		return nil, fmt.Errorf("attributes scale and softcap are %g and %g", o.scale, o.softcap)
	case o.window.left < -1 || o.window.right < -1:
		return nil, fmt.Errorf("attributes left_window_size and right_window_size are %d and %d", o.window.left, o.window.right)
	case o.mode < qkModeRaw || o.mode > qkModeSoftmax:
		return nil, fmt.Errorf("attribute qk_matmul_output_mode is %d", o.mode)
	}
	return o, nil
}

func (o *attention) Infer(in []Info) ([]Info, error) {
	for i, v := range in[:3] {
		if t := v.Type; t != onnx.Undefined && t != onnx.Float && t != onnx.Float16 && t != onnx.BFloat16 {
			return nil, fmt.Errorf("input %d is of type %s, not float, float16 or bfloat16", i, t)
		}
	}
	var views [3]headShape
	for i, heads := range []int{o.heads, o.headsKV, o.headsKV} {
		var err error
		if views[i], err = headShapeOf(i, in[i].Shape, heads); err != nil {
			return nil, err
		}
	}
	q, k, v := views[0], views[1], views[2]
	total := k.seq
	if len(in) > 4 && !in[4].Missing() {
		total = Unknown
		if s := in[4].Shape; len(s) == 4 && s[2].IsKnown() && k.seq.IsKnown() {
			total = Known(s[2].N + k.seq.N)
		}
	}
	y := Info{Type: in[0].Type}
	if len(in[0].Shape) == 3 {
		hidden := Unknown
		if v.size.IsKnown() {
			hidden = Known(o.heads * v.size.N)
		}
		y.Shape = Shape{q.batch, q.seq, hidden}
	} else if in[0].Shape != nil {
		y.Shape = Shape{q.batch, q.heads, q.seq, v.size}
	}
	return []Info{
		y,
		{Type: in[1].Type, Shape: Shape{k.batch, k.heads, total, k.size}},
		{Type: in[2].Type, Shape: Shape{v.batch, v.heads, total, v.size}},
		{Type: in[0].Type, Shape: Shape{q.batch, q.heads, q.seq, total}},
	}, nil
}

// Cost counts both products.
func (o *attention) Cost(in, out []Info) Cost {
	qk := out[3].Shape
	n := int64(qk[0].N) * int64(qk[1].N) * int64(qk[2].N) * int64(qk[3].N)
	return Cost{MACs: n * int64(out[1].Shape[3].N+out[2].Shape[3].N)}
}

// attentionRun is a run; a piece is some queries of a head.
type attentionRun struct {
	o          *attention
	cpu        *kernel.CPU
	q, k, v, y heads
	sight      sight
	scale      float32
	rounds     onnx.DataType // what intermediate numbers are rounded to
	qk         []float32     // output 3, nil for none
	buffers    [][]float32   // the scores of a piece, one a worker
	converted  [9][]float32  // of inputs and outputs that are not float32
	present    [2][]float32
	dims       Shape // of the input that is being read
}

// queries is how many of them are a piece.
const queries = 128

func (o *attention) Run(c *Call) error {
	r := o.states.get()
	defer o.states.put(r)
	defer r.forget()
	r.o, r.cpu = o, c.CPU
	for i, h := range [...]*heads{&r.q, &r.k, &r.v} {
		if err := r.read(c, i, h); err != nil {
			return err
		}
	}
	q, k, v := &r.q, &r.k, &r.v
	if k.batch != q.batch || v.batch != q.batch || k.size != q.size || v.seq != k.seq || v.n != k.n || k.n == 0 || q.n%k.n != 0 {
		return fmt.Errorf("inputs are %s, %s and %s, of %d and %d heads", c.In[0], c.In[1], c.In[2], q.n, k.n)
	}
	r.sight = sight{sightWindow: o.window, heads: q.n, queries: q.seq}
	if err := r.keep(c); err != nil {
		return err
	}
	r.sight.keys = k.seq
	if err := r.sight.read(c, q.batch); err != nil {
		return err
	}
	r.rescale(o.scale, c.In[0].Type)
	if err := r.outputs(c); err != nil {
		return err
	}
	for len(r.buffers) < c.CPU.Threads() {
		r.buffers = append(r.buffers, nil)
	}
	for i := range r.buffers {
		r.buffers[i] = resized(r.buffers[i], min(queries, q.seq)*k.seq)
	}
	c.CPU.Parallel(q.batch*q.n*((q.seq+queries-1)/queries), r)
	if c.In[0].Type != onnx.Float {
		c.Outs[0].SetFloats(0, r.y.data, false)
		if r.qk != nil {
			c.Outs[3].SetFloats(0, r.qk, false)
		}
	}
	return nil
}

// forget lets go of what belongs to the caller.
func (r *attentionRun) forget() {
	r.q.data, r.k.data, r.v.data, r.y.data, r.qk, r.sight = nil, nil, nil, nil, nil, sight{}
}

// rescale sets the scale of products. With bfloat16 its square root goes into the factors, which are copies, and rounding happens
// where the standard's definition has it: there it is coarse enough to show.
func (r *attentionRun) rescale(scale float64, dt onnx.DataType) {
	if scale == 0 {
		scale = 1 / math.Sqrt(float64(r.q.size))
	}
	r.rounds, r.scale = dt, float32(scale)
	if dt != onnx.BFloat16 {
		r.rounds = onnx.Float
		return
	}
	root := []float32{float32(math.Sqrt(scale))}
	round16(root, dt)
	for _, s := range [...]*heads{&r.q, &r.k} {
		for i := range s.data {
			s.data[i] *= root[0]
		}
		round16(s.data, dt)
	}
	r.scale = 1
}

// floats returns the elements of t as float32: the tensor's own or converted.
func (r *attentionRun) floats(t *tensor.Tensor, slot int) []float32 {
	if t.Type == onnx.Float {
		return tensor.Of[float32](t)
	}
	r.converted[slot] = resized(r.converted[slot], t.Len())
	t.Floats(r.converted[slot], 0)
	return r.converted[slot]
}

// read makes h of input i.
func (r *attentionRun) read(c *Call, i int, h *heads) error {
	t := c.In[i]
	if !(typesHalf | 1<<onnx.Float).has(t.Type) {
		return fmt.Errorf("input %d is %s, not float, float16 or bfloat16", i, t)
	}
	n := r.o.headsKV
	if i == 0 {
		n = r.o.heads
	}
	r.dims = r.dims[:0]
	for _, d := range t.Shape {
		r.dims = append(r.dims, Known(d))
	}
	v, err := headShapeOf(i, r.dims, n)
	if err != nil {
		return err
	}
	if len(t.Shape) != len(c.In[0].Shape) {
		return fmt.Errorf("inputs are %s and %s", c.In[0], t)
	}
	*h = headsOf(r.floats(t, i), v.batch.N, v.heads.N, v.seq.N, v.size.N, len(t.Shape) == 3)
	return nil
}

// keep puts the past before keys and values, where there is a past or somebody asks for the result.
func (r *attentionRun) keep(c *Call) error {
	if (c.input(4) == nil) != (c.input(5) == nil) {
		return errors.New("past_key and past_value are to come together")
	}
	for i, h := range [...]*heads{&r.k, &r.v} {
		n := 0
		var before []float32
		if t := c.input(4 + i); t != nil {
			if len(t.Shape) != 4 || t.Type != c.In[1+i].Type || t.Shape[0] != h.batch || t.Shape[1] != h.n || t.Shape[3] != h.size {
				return fmt.Errorf("input %d is %s for %s", 4+i, t, c.In[1+i])
			}
			n, before = t.Shape[2], r.floats(t, 4+i)
		}
		if i == 1 && n != r.sight.past {
			return fmt.Errorf("%d past keys and %d past values", r.sight.past, n)
		}
		r.sight.past = n
		if n == 0 && !c.wants(1+i) {
			continue
		}
		if err := r.join(c, i, h, before, n); err != nil {
			return err
		}
	}
	return nil
}

// join makes h what was n positions before followed by h, as output 1 + i if that is wanted.
func (r *attentionRun) join(c *Call, i int, h *heads, before []float32, n int) error {
	shape := h.shape(n + h.seq)
	count, err := tensor.Count(shape[:])
	if err != nil {
		return err
	}
	if !c.wants(1 + i) {
		r.present[i] = resized(r.present[i], count)
		*h = h.join(r.present[i], before, n)
		return nil
	}
	t, err := c.Out(1+i, c.In[1+i].Type, shape[:])
	if err != nil {
		return err
	}
	all := r.target(t, &r.present[i])
	*h = h.join(all, before, n)
	if t.Type != onnx.Float {
		t.SetFloats(0, all, false)
	}
	return nil
}

// target returns where to compute the elements of t in float32: in itself or in the buffer.
func (r *attentionRun) target(t *tensor.Tensor, buffer *[]float32) []float32 {
	if t.Type == onnx.Float {
		return tensor.Of[float32](t)
	}
	*buffer = resized(*buffer, t.Len())
	return *buffer
}

// outputs takes outputs 0 and 3.
func (r *attentionRun) outputs(c *Call) error {
	q, v, dt := &r.q, &r.v, c.In[0].Type
	shape := []int{q.batch, q.n, q.seq, v.size}
	seqFirst := len(c.In[0].Shape) == 3
	if seqFirst {
		shape = append(shape[:0], q.batch, q.seq, q.n*v.size)
	}
	t, err := c.Out(0, dt, shape)
	if err != nil {
		return err
	}
	r.y = headsOf(r.target(t, &r.converted[6]), q.batch, q.n, q.seq, v.size, seqFirst)
	if !c.wants(3) {
		return nil
	}
	if t, err = c.Out(3, dt, append(shape[:0], q.batch, q.n, q.seq, r.k.seq)); err != nil {
		return err
	}
	r.qk = r.target(t, &r.converted[7])
	return nil
}

// Piece implements kernel.Task.
func (r *attentionRun) Piece(i, worker int) {
	blocks := (r.q.seq + queries - 1) / queries
	b, h, first := i/blocks/r.q.n, i/blocks%r.q.n, i%blocks*queries
	n, keys := min(queries, r.q.seq-first), r.k.seq
	shared := h / (r.q.n / r.k.n)
	scores := r.buffers[worker][:n*keys]
	kernel.Gemm(r.cpu, &kernel.Product{
		TransB: true, M: n, N: keys, K: r.q.size, Alpha: r.scale, A: r.q.rows(b, h, first), LDA: r.q.bySeq,
		B: r.k.rows(b, shared, 0), LDB: r.k.bySeq, C: scores, LDC: keys,
	})
	var qk []float32
	if r.qk != nil {
		qk = r.qk[((b*r.q.n+h)*r.q.seq+first)*keys:][:n*keys]
	}
	round16(scores, r.rounds)
	r.show(qk, scores, qkModeRaw)
	if limit := r.o.softcap; limit > 0 {
		for j := range scores {
			scores[j] /= limit
		}
		kernel.Activate(r.cpu, kernel.Activation{Kind: kernel.Tanh}, scores, scores)
		for j := range scores {
			scores[j] *= limit
		}
	}
	r.show(qk, scores, qkModeCapped)
	for j := range n {
		row := scores[j*keys : (j+1)*keys]
		lo, hi, seen := r.sight.bias(row, b, h, first+j)
		if qk != nil && r.o.mode == qkModeBiased {
			copy(qk[j*keys:], row)
		}
		r.normalise(row, lo, hi, seen)
	}
	r.show(qk, scores, qkModeSoftmax)
	kernel.Gemm(r.cpu, &kernel.Product{
		M: n, N: r.v.size, K: keys, Alpha: 1, A: scores, LDA: keys, B: r.v.rows(b, shared, 0), LDB: r.v.bySeq,
		C: r.y.rows(b, h, first), LDC: r.y.bySeq,
	})
}

// show copies the scores to output 3 in the mode that asks for them.
func (r *attentionRun) show(qk, scores []float32, mode int) {
	if r.o.mode == mode {
		copy(qk, scores)
	}
}

// normalise makes the scores of a query add to 1, or to nothing where it sees no key; those it may see are lo to hi−1.
func (r *attentionRun) normalise(row []float32, lo, hi int, seen bool) {
	if !seen {
		clear(row)
		return
	}
	// Keys out of sight need no exponential.
	clear(row[:lo])
	clear(row[hi:])
	if r.rounds != onnx.Float {
		softmax16(row[lo:hi], r.rounds)
		return
	}
	kernel.Softmax(r.cpu, row[lo:hi], row[lo:hi], 1, hi-lo, 1, false)
}

// softmax16 is the soft-max with every step rounded to a type of 16 bits.
func softmax16(x []float32, dt onnx.DataType) {
	round16(x, dt)
	most := slices.Max(x)
	for i := range x {
		x[i] -= most
	}
	round16(x, dt)
	for i, v := range x {
		x[i] = float32(math.Exp(float64(v)))
	}
	round16(x, dt)
	sum := []float32{0}
	for _, v := range x {
		sum[0] += v
		round16(sum, dt)
	}
	for i := range x {
		x[i] /= sum[0]
	}
	round16(x, dt)
}
