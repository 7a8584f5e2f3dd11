package ops

import (
	"fmt"
	"slices"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// convInteger is ConvInteger, the convolution of (x − zero of x) with (w − zero of w) as int32, and QLinearConv, which adds a bias,
// multiplies by the scales and quantises again. x is [N, C, …] with one to three spatial dimensions, w [M, C/groups, …] with a zero
// point (and scale) in all or for each output channel. Padding stands for the number 0.
type convInteger struct {
	factors8
	window *window
	group  int
	states *states[integerConv]
}

func newConvInteger(n *Node) (Op, error) { return newIntegerConv(n, false) }
func newQLinearConv(n *Node) (Op, error) { return newIntegerConv(n, true) }

func newIntegerConv(n *Node, linear bool) (Op, error) {
	w, err := newWindow(n)
	o := &convInteger{factors8{linear: linear}, w, n.Int("group", 1), new(states[integerConv])}
	if o.group < 1 {
		return nil, fmt.Errorf("attribute group is %d", o.group)
	}
	return o, err
}

// Pack widens constant weights.
func (o *convInteger) Pack(_ *kernel.CPU, info []Info) (Op, []int, error) {
	if v := info[o.second()].Value; v == nil || len(v.Shape) < 3 || v.Len() == 0 {
		return nil, nil, nil
	}
	f, dropped, err := o.pack(info, channels)
	if f == nil || err != nil {
		return nil, nil, err
	}
	return &convInteger{*f, o.window, o.group, new(states[integerConv])}, dropped, nil
}

// channels tells the output channel of an element of weights.
func channels(shape []int) func(i int) int {
	per := 1
	for _, d := range shape[1:] {
		per *= d
	}
	return func(i int) int { return i / per }
}

func (o *convInteger) Infer(in []Info) ([]Info, error) {
	dt, err := o.infer(in)
	x, w := in[0], in[o.second()]
	if err != nil || x.Shape == nil || w.Shape == nil {
		return []Info{{Type: dt}}, err
	}
	if len(x.Shape) < 3 || len(x.Shape) > 5 || len(w.Shape) != len(x.Shape) {
		return nil, fmt.Errorf("input and weights have shapes %s and %s, not three to five dimensions", x.Shape, w.Shape)
	}
	spatial, err := o.window.infer(x.Shape[2:], w.Shape[2:], forward{})
	return []Info{{Type: dt, Shape: append(Shape{x.Shape[0], w.Shape[0]}, spatial...)}}, err
}

// Cost counts the products.
func (o *convInteger) Cost(in, out []Info) Cost {
	n := int64(1)
	for _, d := range out[0].Shape {
		n *= int64(d.N)
	}
	for _, d := range in[o.second()].Shape[1:] {
		n *= int64(d.N)
	}
	return Cost{MACs: n}
}

// integerConv is a run of convInteger. A piece is a tile of the output: of an image, a group of channels, and some positions.
//
// Each tile is a product of the weights [channels, depth] and of columns [depth, positions], a part of the depth after another.
type integerConv struct {
	cpu              *kernel.CPU
	axes             [3]slide // depth, height, width
	slides           []slide
	x                *tensor.Tensor
	y                *tensor.Tensor
	w                []float32 // [M, C/groups, …], less the zero points
	own              factor8   // w where it is not packed
	table            *widened  // of x
	groups, in, out  int       // and channels of a group
	depth, exact     int       // of the whole product, of an exact part
	tiles, positions int
	linear           bool
	bias             []int32
	scale            []float32 // for each output channel
	zero             int32
	buffers          []tileBuffer // one a worker
}

type tileBuffer struct {
	columns, part []float32
	acc           []int32
}

// tilePositions is how many positions are computed at once.
const tilePositions = 256

// fewChannels is from how many output channels of a group on a product is worth its preparation.
const fewChannels = 4

func (o *convInteger) Run(c *Call) error {
	r := o.states.get()
	defer o.states.put(r)
	defer func() { r.x, r.y, r.bias = nil, nil, nil }()
	x := c.In[0]
	dt, shape, err := o.operands(c)
	if err != nil {
		return err
	}
	out, err := o.shapes(r, x.Shape, shape)
	if err != nil {
		return err
	}
	zx, zw, err := o.scales(c, r, dt, shape[0])
	if err != nil {
		return err
	}
	r.w = o.widen(c, &r.own, zw, channels).values
	r.cpu, r.x, r.linear = c.CPU, x, o.linear
	r.exact = min(exactDepth(largest(x.Type, []int32{zx}), largest(dt, zw)), 2*tilePositions)
	r.table = newWidened(x.Type, zx)
	if r.y, err = c.Out(0, o.result(c), out); err != nil {
		return err
	}
	r.run()
	return nil
}

// shapes sets what r says of the shapes of input and weights and returns the shape of the result.
func (o *convInteger) shapes(r *integerConv, x, w []int) ([]int, error) {
	if len(x) < 3 || len(x) > 5 || len(w) != len(x) {
		return nil, fmt.Errorf("input and weights have shapes %v and %v, not three to five dimensions", x, w)
	}
	if x[1] != w[1]*o.group || w[0]%o.group != 0 {
		return nil, fmt.Errorf("%d input channels and weights %v in %d groups", x[1], w, o.group)
	}
	var err error
	if r.slides, err = o.window.slides(r.slides, x[2:], w[2:]); err != nil {
		return nil, err
	}
	out := []int{x[0], w[0]}
	none := slide{in: 1, out: 1, kernel: 1, stride: 1, dilation: 1}
	r.axes = [3]slide{none, none, none}
	copy(r.axes[5-len(x):], r.slides)
	for _, a := range r.slides {
		out = append(out, a.out)
	}
	r.groups, r.in, r.out = o.group, w[1], w[0]/o.group
	r.depth = r.in * r.axes[0].kernel * r.axes[1].kernel * r.axes[2].kernel
	return out, nil
}

// scales reads scales, zero points and the bias, of weights of a type and m output channels.
func (o *convInteger) scales(c *Call, r *integerConv, w onnx.DataType, m int) (zx int32, zw []int32, err error) {
	q, err := o.parameters(c, c.In[0].Type, w)
	if err != nil {
		return 0, nil, err
	}
	if len(q[0].zero) != 1 || len(q[1].zero) != 1 && len(q[1].zero) != m {
		return 0, nil, fmt.Errorf("%d and %d zero points of input and weights, of %d output channels", len(q[0].zero), len(q[1].zero), m)
	}
	if !o.linear {
		return q[0].zero[0], q[1].zero, nil
	}
	if len(c.In) > 8 && c.In[8] != nil {
		if c.In[8].Type != onnx.Int32 || !slices.Equal(c.In[8].Shape, []int{m}) {
			return 0, nil, fmt.Errorf("input 8 is %s, not %s", c.In[8], tensor.Describe(onnx.Int32, []int{m}))
		}
		r.bias = tensor.Of[int32](c.In[8])
	}
	r.zero = q[2].zero[0]
	r.scale = resized(r.scale, m)
	for i := range r.scale {
		r.scale[i] = q[0].scale[0] * q[1].scale[i%len(q[1].scale)] / q[2].scale[0]
	}
	return q[0].zero[0], q[1].zero, nil
}

func (r *integerConv) run() {
	r.positions = r.axes[0].out * r.axes[1].out * r.axes[2].out
	r.tiles = (r.positions + tilePositions - 1) / tilePositions
	for len(r.buffers) < r.cpu.Threads() {
		r.buffers = append(r.buffers, tileBuffer{})
	}
	size, columns := r.out*min(tilePositions, r.positions), min(r.exact, r.depth)*min(tilePositions, r.positions)
	for i := range r.buffers {
		b := &r.buffers[i]
		b.columns, b.part, b.acc = resized(b.columns, columns), resized(b.part, size), resized(b.acc, size)
	}
	r.cpu.Parallel(r.x.Shape[0]*r.groups*r.tiles, r)
}

// Piece implements kernel.Task.
func (r *integerConv) Piece(i, worker int) {
	b := &r.buffers[worker]
	image, group, first := i/r.tiles/r.groups, i/r.tiles%r.groups, i%r.tiles*tilePositions
	n := min(tilePositions, r.positions-first)
	acc := b.acc[:r.out*n]
	clear(acc)
	if r.bias != nil {
		for m := range r.out {
			for j := range n {
				acc[m*n+j] = r.bias[group*r.out+m]
			}
		}
	}
	size := r.axes[0].in * r.axes[1].in * r.axes[2].in
	x := r.x.Bytes()[(image*r.groups+group)*r.in*size:][:r.in*size]
	w := r.w[group*r.out*r.depth:][:r.out*r.depth]
	for k := 0; k < r.depth; k += r.exact {
		rows := min(r.exact, r.depth-k)
		for row := range rows {
			r.column(b.columns[row*n:(row+1)*n], x, k+row, first)
		}
		if r.out < fewChannels {
			r.addRows(b, acc, w[k:], rows, n)
			continue
		}
		multiply(r.cpu, acc, w[k:], r.depth, b.columns, b.part, r.out, n, rows, rows)
	}
	for m := range r.out {
		ch := group*r.out + m
		at := (image*r.groups*r.out+ch)*r.positions + first
		if r.linear {
			requantise(r.y.Bytes()[at:at+n], acc[m*n:(m+1)*n], r.scale[ch:], 0, r.zero, r.y.Type == onnx.Int8)
		} else {
			copy(tensor.Of[int32](r.y)[at:at+n], acc[m*n:])
		}
	}
}

// column fills dst with what element k of the kernel meets at positions first and on.
func (r *integerConv) column(dst []float32, x []byte, k, first int) {
	d, h, w := &r.axes[0], &r.axes[1], &r.axes[2]
	kw, kh, kd, ch := k%w.kernel, k/w.kernel%h.kernel, k/w.kernel/h.kernel%d.kernel, k/w.kernel/h.kernel/d.kernel
	for len(dst) > 0 {
		ow, oh, od := first%w.out, first/w.out%h.out, first/w.out/h.out
		n := min(w.out-ow, len(dst))
		row := dst[:n]
		dst, first = dst[n:], first+n
		z, y := od*d.stride-d.before+kd*d.dilation, oh*h.stride-h.before+kh*h.dilation
		if z < 0 || z >= d.in || y < 0 || y >= h.in {
			clear(row)
			continue
		}
		r.line(row, x[((ch*d.in+z)*h.in+y)*w.in:][:w.in], ow*w.stride-w.before+kw*w.dilation, w.stride)
	}
}

// line fills dst with elements at, at + stride, … of a line of x, and with zeros where they are outside.
func (r *integerConv) line(dst []float32, src []byte, at, stride int) {
	lo := min(len(dst), (max(0, -at)+stride-1)/stride)
	hi := max(lo, min(len(dst), (len(src)-at+stride-1)/stride))
	clear(dst[:lo])
	clear(dst[hi:])
	dst = dst[lo:hi]
	if len(dst) == 0 {
		return
	}
	src = src[at+lo*stride:]
	if stride == 1 {
		r.table.apply(dst, src[:len(dst)])
		return
	}
	for i := range dst {
		dst[i] = r.table[src[i*stride]]
	}
}

// addRows adds weights [out, rows of the depth] · columns [rows, n] to acc, for so few output channels that a product is not
// worth its preparation.
func (r *integerConv) addRows(b *tileBuffer, acc []int32, w []float32, rows, n int) {
	part := b.part[:n]
	for m := range r.out {
		clear(part)
		for k, v := range w[m*r.depth:][:rows] {
			for j, x := range b.columns[k*n : (k+1)*n] {
				part[j] += v * x
			}
		}
		addInts(acc[m*n:(m+1)*n], part)
	}
}
