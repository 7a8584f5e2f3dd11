package zoo

import "fmt"

// divisible is the multiple of 8 nearest to v, but not below 0.9·v, as in TensorFlow's MobileNets.
func divisible(v float64) int {
	n := max(8, int(v+4)/8*8)
	if float64(n) < 0.9*v {
		n += 8
	}
	return n
}

// mobilenetV1 is table 1 of the paper. The multiplier truncates, to 8 channels at least.
func mobilenetV1(b *builder, x value, o Options) value {
	scaled := func(c int) int { return max(8, int(float64(c)*o.Width)) }
	x = b.unit("features.0", x, conv{out: scaled(32), k: 3, stride: 2, same: true}, relu)
	for i, l := range [][2]int{
		{64, 1}, {128, 2}, {128, 1}, {256, 2}, {256, 1}, {512, 2}, {512, 1}, {512, 1}, {512, 1}, {512, 1}, {512, 1}, {1024, 2}, {1024, 1},
	} {
		name := fmt.Sprintf("features.%d.", i+1)
		x = b.unit(name+"0", x, conv{out: x.c, k: 3, stride: l[1], same: true, groups: x.c}, relu)
		x = b.unit(name+"1", x, conv{out: scaled(l[0]), k: 1}, relu)
	}
	x = b.flatten(b.globalPool("avgpool", x))
	return b.linear("classifier", b.dropout("dropout", x, 0.001), o.Classes)
}

// mobilenetV2 is table 2 of the paper, with torchvision's names.
func mobilenetV2(b *builder, x value, o Options) value {
	scaled := func(c int) int { return divisible(float64(c) * o.Width) }
	x = b.unit("features.0", x, conv{out: scaled(32), k: 3, stride: 2, pad: 1}, relu6)
	at := 1
	for _, l := range []struct{ expansion, channels, blocks, stride int }{
		{1, 16, 1, 1}, {6, 24, 2, 2}, {6, 32, 3, 2}, {6, 64, 4, 2}, {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1},
	} {
		for i := range l.blocks {
			stride := 1
			if i == 0 {
				stride = l.stride
			}
			name := fmt.Sprintf("features.%d", at)
			at++
			layer, y := 0, x
			next := func() string { layer++; return fmt.Sprintf("%s.conv.%d", name, layer-1) }
			if l.expansion > 1 {
				y = b.unit(next(), y, conv{out: x.c * l.expansion, k: 1}, relu6)
			}
			y = b.unit(next(), y, conv{out: y.c, k: 3, stride: stride, pad: 1, groups: y.c}, relu6)
			y = b.conv(next(), y, conv{out: scaled(l.channels), k: 1})
			y = b.norm(next(), y)
			if stride == 1 && y.c == x.c {
				y = b.join("Add", name+".add", x, y)
			}
			x = y
		}
	}
	x = b.unit(fmt.Sprintf("features.%d", at), x, conv{out: divisible(1280 * max(1, o.Width)), k: 1}, relu6)
	x = b.flatten(b.globalPool("avgpool", x))
	return b.linear("classifier.1", b.dropout("classifier.0", x, 0.2), o.Classes)
}

// bottleneck is a row of the tables of MobileNetV3: kernel, expanded and resulting channels, squeeze-and-excitation, h-swish, stride.
type bottleneck struct {
	k, expanded, out int
	squeeze, swish   bool
	stride           int
}

func mobilenetV3Large(b *builder, x value, o Options) value {
	return b.mobilenetV3(x, o, 1280, []bottleneck{
		{3, 16, 16, false, false, 1},
		{3, 64, 24, false, false, 2},
		{3, 72, 24, false, false, 1},
		{5, 72, 40, true, false, 2},
		{5, 120, 40, true, false, 1},
		{5, 120, 40, true, false, 1},
		{3, 240, 80, false, true, 2},
		{3, 200, 80, false, true, 1},
		{3, 184, 80, false, true, 1},
		{3, 184, 80, false, true, 1},
		{3, 480, 112, true, true, 1},
		{3, 672, 112, true, true, 1},
		{5, 672, 160, true, true, 2},
		{5, 960, 160, true, true, 1},
		{5, 960, 160, true, true, 1},
	})
}

func mobilenetV3Small(b *builder, x value, o Options) value {
	return b.mobilenetV3(x, o, 1024, []bottleneck{
		{3, 16, 16, true, false, 2},
		{3, 72, 24, false, false, 2},
		{3, 88, 24, false, false, 1},
		{5, 96, 40, true, true, 2},
		{5, 240, 40, true, true, 1},
		{5, 240, 40, true, true, 1},
		{5, 120, 48, true, true, 1},
		{5, 144, 48, true, true, 1},
		{5, 288, 96, true, true, 2},
		{5, 576, 96, true, true, 1},
		{5, 576, 96, true, true, 1},
	})
}

func (b *builder) mobilenetV3(x value, o Options, hidden int, rows []bottleneck) value {
	scaled := func(c int) int { return divisible(float64(c) * o.Width) }
	x = b.unit("features.0", x, conv{out: scaled(16), k: 3, stride: 2, pad: 1}, hardSwish)
	for i, r := range rows {
		act := relu
		if r.swish {
			act = hardSwish
		}
		name, layer, y := fmt.Sprintf("features.%d", i+1), 0, x
		next := func() string { layer++; return fmt.Sprintf("%s.block.%d", name, layer-1) }
		if scaled(r.expanded) != x.c {
			y = b.unit(next(), y, conv{out: scaled(r.expanded), k: 1}, act)
		}
		y = b.unit(next(), y, conv{out: y.c, k: r.k, stride: r.stride, pad: r.k / 2, groups: y.c}, act)
		if r.squeeze {
			y = b.excite(next(), y, divisible(float64(y.c/4)))
		}
		y = b.unit(next(), y, conv{out: scaled(r.out), k: 1}, nil)
		if r.stride == 1 && y.c == x.c {
			y = b.join("Add", name+".add", y, x)
		}
		x = y
	}
	x = b.unit(fmt.Sprintf("features.%d", len(rows)+1), x, conv{out: 6 * x.c, k: 1}, hardSwish)
	x = b.flatten(b.globalPool("avgpool", x))
	x = hardSwish(b, "classifier.1", b.linear("classifier.0", x, scaled(hidden)))
	return b.linear("classifier.3", b.dropout("classifier.2", x, 0.2), o.Classes)
}

// excite adds squeeze-and-excitation: each channel times a gate that sees the means of all.
func (b *builder) excite(name string, x value, squeezed int) value {
	y := b.conv(name+".fc1", b.globalPool(name+".avgpool", x), conv{out: squeezed, k: 1, bias: true})
	y = b.conv(name+".fc2", relu(b, name+".activation", y), conv{out: x.c, k: 1, bias: true})
	return b.join("Mul", name+".mul", x, hardSigmoid(b, name+".scale_activation", y))
}
