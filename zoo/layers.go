package zoo

import (
	"cmp"
	"fmt"

	"github.com/effml/effml/onnx"
)

// conv says what a convolution is like.
type conv struct {
	out    int
	k, kw  int // height and width of the kernel; kw of 0 is k
	stride int // 0 is 1
	pad    int
	same   bool // instead of pad: as TensorFlow pads, so that ⌈size/stride⌉ are computed, with the odd one at the end
	groups int  // 0 is 1
	bias   bool
}

// conv adds a convolution.
func (b *builder) conv(name string, x value, c conv) value {
	c.kw, c.stride, c.groups = cmp.Or(c.kw, c.k), cmp.Or(c.stride, 1), cmp.Or(c.groups, 1)
	top, bottom, h := c.extent(x.h, c.k)
	left, right, w := c.extent(x.w, c.kw)
	fanIn, fanOut := c.k*c.kw*x.c/c.groups, c.k*c.kw*c.out
	inputs := []string{x.name, b.fill(name+".weight", b.initial.conv(b.rng, fanIn, fanOut), c.out, x.c/c.groups, c.k, c.kw)}
	if c.bias {
		inputs = append(inputs, b.fill(name+".bias", b.bias(b.rng, fanIn, fanOut), c.out))
	}
	return b.node("Conv", name, value{c: c.out, h: h, w: w}, inputs, integers("kernel_shape", c.k, c.kw), integers("strides", c.stride, c.stride),
		integers("pads", top, left, bottom, right), integers("dilations", 1, 1), integer("group", c.groups))
}

// extent returns what is put before and behind n, and the result's size.
func (c conv) extent(n, kernel int) (before, behind, size int) {
	if !c.same {
		return c.pad, c.pad, slots(n+2*c.pad-kernel, c.stride)
	}
	size = (n + c.stride - 1) / c.stride
	missing := max(0, (size-1)*c.stride+kernel-n)
	return missing / 2, missing - missing/2, size
}

// slots counts the positions of a window that can move by room.
func slots(room, stride int) int {
	if room < 0 {
		return 0
	}
	return room/stride + 1
}

// norm adds a batch normalisation.
func (b *builder) norm(name string, x value) value {
	return b.node("BatchNormalization", name, x, []string{
		x.name, b.constant(name+".weight", 1, x.c), b.constant(name+".bias", 0, x.c),
		b.constant(name+".running_mean", 0, x.c), b.constant(name+".running_var", 1, x.c),
	}, float("epsilon", b.epsilon), float("momentum", b.momentum))
}

// activation adds an operator of one operand.
type activation func(b *builder, name string, x value) value

func relu(b *builder, name string, x value) value { return b.node("Relu", name, x, []string{x.name}) }

func relu6(b *builder, name string, x value) value {
	return b.node("Clip", name, x, []string{x.name, b.constant("relu6.min", 0), b.constant("relu6.max", 6)})
}

func hardSwish(b *builder, name string, x value) value {
	return b.node("HardSwish", name, x, []string{x.name})
}

func hardSigmoid(b *builder, name string, x value) value {
	return b.node("HardSigmoid", name, x, []string{x.name}, float("alpha", 1./6), float("beta", 0.5))
}

// unit adds torchvision's Conv2dNormActivation: a convolution name.0, its normalisation name.1, and name.2 unless act is nil.
func (b *builder) unit(name string, x value, c conv, act activation) value {
	x = b.norm(name+".1", b.conv(name+".0", x, c))
	if act != nil {
		x = act(b, name+".2", x)
	}
	return x
}

// maxPool adds the largest of k×k windows, two apart; with ceil also those count that begin within the image but do not end there.
func (b *builder) maxPool(name string, x value, k, pad int, ceil bool) value {
	const stride = 2
	extra := 0
	if ceil {
		extra = stride - 1
	}
	size := func(n int) int {
		count := slots(n+2*pad-k+extra, stride)
		if ceil && (count-1)*stride >= n+pad {
			count--
		}
		return count
	}
	attributes := []*onnx.Attribute{integers("kernel_shape", k, k), integers("strides", stride, stride), integers("pads", pad, pad, pad, pad)}
	if ceil {
		attributes = append(attributes, integer("ceil_mode", 1))
	}
	return b.node("MaxPool", name, value{c: x.c, h: size(x.h), w: size(x.w)}, []string{x.name}, attributes...)
}

// averageTo adds the means of n×n equal windows.
func (b *builder) averageTo(name string, x value, n int) value {
	if b.err == nil && (x.h%n != 0 || x.w%n != 0) {
		b.err = fmt.Errorf("%d×%d features cannot be averaged to %d×%d", x.h, x.w, n, n)
	}
	if x.h == n && x.w == n {
		return x
	}
	k := integers("kernel_shape", x.h/n, x.w/n)
	return b.node("AveragePool", name, value{c: x.c, h: n, w: n}, []string{x.name}, k, integers("strides", x.h/n, x.w/n))
}

// globalPool adds the mean of each channel.
func (b *builder) globalPool(name string, x value) value {
	return b.node("GlobalAveragePool", name, value{c: x.c, h: 1, w: 1}, []string{x.name})
}

func (b *builder) flatten(x value) value {
	return b.node("Flatten", "flatten", value{c: x.c * x.h * x.w, h: 1, w: 1}, []string{x.name}, integer("axis", 1))
}

// linear adds x·Wᵀ + bias.
func (b *builder) linear(name string, x value, out int) value {
	return b.node("Gemm", name, value{c: out, h: 1, w: 1}, []string{
		x.name, b.fill(name+".weight", b.initial.linear(b.rng, x.c, out), out, x.c), b.fill(name+".bias", b.bias(b.rng, x.c, out), out),
	}, integer("transB", 1))
}

// dropout adds a Dropout, which does something only in training.
func (b *builder) dropout(name string, x value, ratio float64) value {
	inputs := []string{x.name}
	if ratio != 0.5 {
		inputs = append(inputs, b.constant(name+".ratio", ratio))
	}
	return b.node("Dropout", name, x, inputs)
}

// join adds an element-wise operator of two values; y may have one element a channel.
func (b *builder) join(op, name string, x, y value) value {
	return b.node(op, name, x, []string{x.name, y.name})
}

// concat puts channels side by side.
func (b *builder) concat(name string, x, y value) value {
	return b.node("Concat", name, value{c: x.c + y.c, h: x.h, w: x.w}, []string{x.name, y.name}, integer("axis", 1))
}
