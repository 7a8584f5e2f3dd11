package ops

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

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
	causal         bool
	left, right    int // of the window; −1: no bound
	mode           int // what output 3 is, see qkMode…
	pool           *sync.Pool
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
		causal: n.Bool("is_causal", false), left: n.Int("left_window_size", -1), right: n.Int("right_window_size", -1),
		mode: n.Int("qk_matmul_output_mode", 0), pool: &sync.Pool{New: func() any { return new(attentionRun) }},
	}
	switch {
	case o.heads < 0 || o.headsKV < 0:
		return nil, fmt.Errorf("attributes q_num_heads and kv_num_heads are %d and %d", o.heads, o.headsKV)
	case o.scale < 0 || o.softcap < 0:
		return nil, fmt.Errorf("attributes scale and softcap are %g and %g", o.scale, o.softcap)
	case o.left < -1 || o.right < -1:
		return nil, fmt.Errorf("attributes left_window_size and right_window_size are %d and %d", o.left, o.right)
	case o.mode < qkModeRaw || o.mode > qkModeSoftmax:
		return nil, fmt.Errorf("attribute qk_matmul_output_mode is %d", o.mode)
	}
	return o, nil
}

// headShape is that of a value [B, H, S, D] however it lies in memory.
type headShape struct{ batch, heads, seq, size Dim }

// split returns what a shape means for a number of heads.
func (o *attention) split(i int, s Shape, heads int) (headShape, error) {
	switch {
	case s == nil:
		return headShape{Unknown, Unknown, Unknown, Unknown}, nil
	case len(s) == 4:
		return headShape{s[0], s[1], s[2], s[3]}, nil
	case len(s) != 3:
		return headShape{}, fmt.Errorf("input %d has shape %s, not three or four dimensions", i, s)
	case heads == 0:
		return headShape{}, errors.New("attributes q_num_heads and kv_num_heads are needed for inputs of three dimensions")
	}
	v := headShape{s[0], Known(heads), s[1], Unknown}
	if s[2].IsKnown() {
		if s[2].N%heads != 0 {
			return headShape{}, fmt.Errorf("input %d has shape %s, of %d heads", i, s, heads)
		}
		v.size = Known(s[2].N / heads)
	}
	return v, nil
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
		if views[i], err = o.split(i, in[i].Shape, heads); err != nil {
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

// strided is a value [batch, heads, seq, size] of float32, whose rows of size lie apart.
type strided struct {
	data                    []float32
	batch, heads, seq, size int
	byHead, byBatch, bySeq  int
}

// head returns the rows of a head and how far they lie apart.
func (s *strided) head(b, h int) []float32 { return s.data[b*s.byBatch+h*s.byHead:] }

// attentionRun is a run; a piece is some queries of a head.
type attentionRun struct {
	o          *attention
	cpu        *kernel.CPU
	q, k, v, y strided
	scale      float32
	rounds     onnx.DataType // what intermediate numbers are rounded to
	past       int           // keys before those of this call
	valid      []int64
	mask       *tensor.Tensor
	qk         []float32 // output 3, nil for none
	buffers    [][]float32
	converted  [9][]float32 // of inputs and outputs that are not float32
	present    [2][]float32
}

// queries is how many of them are a piece.
const queries = 128

func (o *attention) Run(c *Call) error {
	r := o.pool.Get().(*attentionRun)
	defer o.pool.Put(r)
	defer func() {
		r.q.data, r.k.data, r.v.data, r.y.data, r.valid, r.mask, r.qk = nil, nil, nil, nil, nil, nil, nil
	}()
	r.o, r.cpu = o, c.CPU
	for i, s := range []*strided{&r.q, &r.k, &r.v} {
		if err := r.read(c, i, s); err != nil {
			return err
		}
	}
	q, k, v := &r.q, &r.k, &r.v
	if k.batch != q.batch || v.batch != q.batch || k.size != q.size || v.seq != k.seq || v.heads != k.heads || k.heads == 0 || q.heads%k.heads != 0 {
		return fmt.Errorf("inputs are %s, %s and %s, of %d and %d heads", c.In[0], c.In[1], c.In[2], q.heads, k.heads)
	}
	if err := r.keep(c); err != nil {
		return err
	}
	if err := r.masks(c); err != nil {
		return err
	}
	r.rescale(o.scale, c.In[0].Type)
	outs, err := r.outputs(c)
	if err != nil {
		return err
	}
	for len(r.buffers) < c.CPU.Threads() {
		r.buffers = append(r.buffers, nil)
	}
	for i := range r.buffers {
		r.buffers[i] = resized(r.buffers[i], min(queries, q.seq)*k.seq)
	}
	c.CPU.Parallel(q.batch*q.heads*((q.seq+queries-1)/queries), r)
	for i, f := range outs {
		if f != nil {
			c.Outs[i].SetFloats(0, f, false)
		}
	}
	return nil
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
	for _, s := range []*strided{&r.q, &r.k} {
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

// read makes s of input i.
func (r *attentionRun) read(c *Call, i int, s *strided) error {
	t := c.In[i]
	if t.Type != onnx.Float && t.Type != onnx.Float16 && t.Type != onnx.BFloat16 {
		return fmt.Errorf("input %d is %s, not float, float16 or bfloat16", i, t)
	}
	heads := r.o.headsKV
	if i == 0 {
		heads = r.o.heads
	}
	v, err := r.o.split(i, MakeShape(t.Shape...), heads)
	if err != nil {
		return err
	}
	if len(t.Shape) != len(c.In[0].Shape) {
		return fmt.Errorf("inputs are %s and %s", c.In[0], t)
	}
	*s = r.place(r.floats(t, i), v.batch.N, v.heads.N, v.seq.N, v.size.N, len(t.Shape) == 3)
	return nil
}

// place describes data [batch, heads, seq, size], or [batch, seq, heads, size] if seqFirst.
func (r *attentionRun) place(data []float32, batch, heads, seq, size int, seqFirst bool) strided {
	s := strided{data: data, batch: batch, heads: heads, seq: seq, size: size, byBatch: heads * seq * size, byHead: seq * size, bySeq: size}
	if seqFirst {
		s.byHead, s.bySeq = size, heads*size
	}
	return s
}

// keep puts the past before keys and values, where there is a past or somebody asks for the result.
func (r *attentionRun) keep(c *Call) error {
	past := [2]*tensor.Tensor{c.input(4), c.input(5)}
	if (past[0] == nil) != (past[1] == nil) {
		return errors.New("past_key and past_value are to come together")
	}
	r.past = 0
	for i, s := range []*strided{&r.k, &r.v} {
		n := 0
		var before []float32
		if t := past[i]; t != nil {
			if len(t.Shape) != 4 || t.Type != c.In[1+i].Type || t.Shape[0] != s.batch || t.Shape[1] != s.heads || t.Shape[3] != s.size {
				return fmt.Errorf("input %d is %s for %s", 4+i, t, c.In[1+i])
			}
			n, before = t.Shape[2], r.floats(t, 4+i)
		}
		if i == 1 && n != r.past {
			return fmt.Errorf("%d past keys and %d past values", r.past, n)
		}
		r.past = n
		if n == 0 && !c.wants(1+i) {
			continue
		}
		if err := r.join(c, i, s, before, n); err != nil {
			return err
		}
	}
	return nil
}

// join makes s what was n positions before followed by s, as output 1 + i.
func (r *attentionRun) join(c *Call, i int, s *strided, before []float32, n int) error {
	total := n + s.seq
	shape := []int{s.batch, s.heads, total, s.size}
	count, err := tensor.Count(shape)
	if err != nil {
		return err
	}
	var all []float32
	if c.wants(1 + i) {
		t, err := c.Out(1+i, c.In[1+i].Type, shape)
		if err != nil {
			return err
		}
		if t.Type == onnx.Float {
			all = tensor.Of[float32](t)
		}
	}
	if all == nil {
		r.present[i] = resized(r.present[i], count)
		all = r.present[i]
	}
	out := r.place(all, s.batch, s.heads, total, s.size, false)
	for b := range s.batch {
		for h := range s.heads {
			dst, src := out.head(b, h), s.head(b, h)
			copy(dst[:n*s.size], before[(b*s.heads+h)*n*s.size:])
			for t := range s.seq {
				copy(dst[(n+t)*s.size:(n+t+1)*s.size], src[t*s.bySeq:])
			}
		}
	}
	if c.wants(1+i) && c.Outs[1+i].Type != onnx.Float {
		c.Outs[1+i].SetFloats(0, all, false)
	}
	*s = out
	return nil
}

// masks reads the mask and the numbers of valid keys.
func (r *attentionRun) masks(c *Call) error {
	r.mask, r.valid = c.input(3), nil
	if m := r.mask; m != nil {
		full := []int{r.q.batch, r.q.heads, r.q.seq, r.k.seq}
		ok := len(m.Shape) >= 1 && len(m.Shape) <= 4 && (m.Type == onnx.Bool || m.Type == onnx.Float || m.Type == onnx.Float16 || m.Type == onnx.BFloat16)
		for i, d := range m.Shape {
			want := full[max(0, len(full)-len(m.Shape)+i)]
			last := i == len(m.Shape)-1
			ok = ok && (d == want || d == 1 && !last || last && d < want)
		}
		if !ok {
			return fmt.Errorf("mask is %s, for scores %v", m, full)
		}
	}
	if t := c.input(6); t != nil {
		if t.Type != onnx.Int64 || !slices.Equal(t.Shape, []int{r.q.batch}) || r.past > 0 {
			return fmt.Errorf("nonpad_kv_seqlen is %s, of a batch of %d with %d past keys", t, r.q.batch, r.past)
		}
		r.valid = tensor.Of[int64](t)
	}
	return nil
}

// outputs takes outputs 0 and 3. Where they are not float32, it returns the float32 to convert from.
func (r *attentionRun) outputs(c *Call) (outs [4][]float32, err error) {
	q, v := &r.q, &r.v
	seqFirst := len(c.In[0].Shape) == 3
	shape := []int{q.batch, q.heads, q.seq, v.size}
	if seqFirst {
		shape = []int{q.batch, q.seq, q.heads * v.size}
	}
	for i, s := range map[int][]int{0: shape, 3: {q.batch, q.heads, q.seq, r.k.seq}} {
		if i > 0 && !c.wants(i) {
			continue
		}
		t, err := c.Out(i, c.In[0].Type, s)
		if err != nil {
			return outs, err
		}
		var data []float32
		if t.Type == onnx.Float {
			data = tensor.Of[float32](t)
		} else {
			r.converted[6+i/3] = resized(r.converted[6+i/3], t.Len())
			data, outs[i] = r.converted[6+i/3], r.converted[6+i/3]
		}
		if i == 0 {
			r.y = r.place(data, q.batch, q.heads, q.seq, v.size, seqFirst)
		} else {
			r.qk = data
		}
	}
	return outs, nil
}

// Piece implements kernel.Task.
func (r *attentionRun) Piece(i, worker int) {
	blocks := (r.q.seq + queries - 1) / queries
	b, h, first := i/blocks/r.q.heads, i/blocks%r.q.heads, i%blocks*queries
	n, keys := min(queries, r.q.seq-first), r.k.seq
	shared := h / (r.q.heads / r.k.heads)
	scores := r.buffers[worker][:n*keys]
	kernel.Gemm(r.cpu, &kernel.Product{
		TransB: true, M: n, N: keys, K: r.q.size, Alpha: r.scale, A: r.q.head(b, h)[first*r.q.bySeq:], LDA: r.q.bySeq,
		B: r.k.head(b, shared), LDB: r.k.bySeq, C: scores, LDC: keys,
	})
	var qk []float32
	if r.qk != nil {
		qk = r.qk[((b*r.q.heads+h)*r.q.seq+first)*keys:][:n*keys]
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
	for row := range n {
		r.normalise(scores[row*keys:(row+1)*keys], b, h, first+row, qk, row)
	}
	r.show(qk, scores, qkModeSoftmax)
	kernel.Gemm(r.cpu, &kernel.Product{
		M: n, N: r.v.size, K: keys, Alpha: 1, A: scores, LDA: keys, B: r.v.head(b, shared), LDB: r.v.bySeq,
		C: r.y.head(b, h)[first*r.y.bySeq:], LDC: r.y.bySeq,
	})
}

// show copies the scores to output 3 in the mode that asks for them.
func (r *attentionRun) show(qk, scores []float32, mode int) {
	if r.o.mode == mode {
		copy(qk, scores)
	}
}

// normalise adds the bias to a row of scores and makes it add to 1, or to nothing where no key may be seen.
func (r *attentionRun) normalise(row []float32, b, h, query int, qk []float32, line int) {
	lo, hi := r.visible(b, query, len(row))
	minus := float32(math.Inf(-1))
	for j := range row[:lo] {
		row[j] = minus
	}
	for j := range row[hi:] {
		row[hi+j] = minus
	}
	seen := lo < hi
	if r.mask != nil {
		seen = r.addMask(row, lo, hi, b, h, query)
	}
	if qk != nil && r.o.mode == qkModeBiased {
		copy(qk[line*len(row):], row)
	}
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

// visible returns the keys that causality, window and the number of valid keys let a query see.
func (r *attentionRun) visible(b, query, keys int) (lo, hi int) {
	hi = keys
	at := query + r.past
	if r.valid != nil {
		n := int(max(0, min(r.valid[b], int64(keys))))
		hi = n
		at = query + int(r.valid[b]) - r.q.seq
	}
	if r.o.causal {
		hi = min(hi, at+1)
	}
	if r.o.right >= 0 {
		hi = min(hi, at+r.o.right+1)
	}
	if r.o.left >= 0 {
		lo = at - r.o.left
	}
	lo = max(0, min(lo, keys))
	return lo, max(lo, hi)
}

// addMask adds the mask to the keys lo to hi−1 of a row and reports whether any of them may be seen.
func (r *attentionRun) addMask(row []float32, lo, hi, b, h, query int) (seen bool) {
	m := r.mask
	at, stride := 0, 1
	where := [4]int{b, h, query, 0}
	for i := len(m.Shape) - 1; i >= 0; i-- {
		if d := m.Shape[i]; d > 1 && i < len(m.Shape)-1 {
			at += where[4-len(m.Shape)+i] * stride
		}
		stride *= m.Shape[i]
	}
	n := m.Shape[len(m.Shape)-1]
	minus := float32(math.Inf(-1))
	var one [1]float32
	for j := lo; j < hi; j++ {
		switch {
		case j >= n:
			row[j] = minus
			continue
		case m.Type == onnx.Bool:
			if !tensor.Of[bool](m)[at+j] {
				row[j] = minus
				continue
			}
		default:
			m.Floats(one[:], at+j)
			if one[0] == minus {
				row[j] = minus
				continue
			}
			row[j] += one[0]
		}
		seen = true
	}
	return seen
}
