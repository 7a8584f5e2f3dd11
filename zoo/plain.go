package zoo

import "fmt"

// lenet300 is two hidden layers of 300 and 100.
func lenet300(b *builder, x value, o Options) value {
	x = b.flatten(x)
	x = relu(b, "relu1", b.linear("fc1", x, 300))
	x = relu(b, "relu2", b.linear("fc2", x, 100))
	return b.linear("fc3", x, o.Classes)
}

// lenet5 is Caffe's, which has no activation behind its convolutions.
func lenet5(b *builder, x value, o Options) value {
	x = b.maxPool("pool1", b.conv("conv1", x, conv{out: 20, k: 5, bias: true}), 2, 0, false)
	x = b.maxPool("pool2", b.conv("conv2", x, conv{out: 50, k: 5, bias: true}), 2, 0, false)
	x = relu(b, "relu1", b.linear("ip1", b.flatten(x), 500))
	return b.linear("ip2", x, o.Classes)
}

func alexnet(b *builder, x value, o Options) value {
	layer := func(at int, c conv) {
		c.bias = true
		x = relu(b, fmt.Sprintf("features.%d", at+1), b.conv(fmt.Sprintf("features.%d", at), x, c))
	}
	layer(0, conv{out: 64, k: 11, stride: 4, pad: 2})
	x = b.maxPool("features.2", x, 3, 0, false)
	layer(3, conv{out: 192, k: 5, pad: 2})
	x = b.maxPool("features.5", x, 3, 0, false)
	layer(6, conv{out: 384, k: 3, pad: 1})
	layer(8, conv{out: 256, k: 3, pad: 1})
	layer(10, conv{out: 256, k: 3, pad: 1})
	x = b.maxPool("features.12", x, 3, 0, false)
	x = b.flatten(b.averageTo("avgpool", x, 6))
	x = relu(b, "classifier.2", b.linear("classifier.1", b.dropout("classifier.0", x, 0.5), 4096))
	x = relu(b, "classifier.5", b.linear("classifier.4", b.dropout("classifier.3", x, 0.5), 4096))
	return b.linear("classifier.6", x, o.Classes)
}

// configuration D of the paper: channels of convolutions, 0 for a pooling.
func vgg16Layers() []int {
	return []int{64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0}
}

// vgg16Features is those layers; a normalisation behind each convolution takes the place of its bias.
func vgg16Features(b *builder, x value, normalised bool) value {
	at := 0
	name := func() string { at++; return fmt.Sprintf("features.%d", at-1) }
	for _, out := range vgg16Layers() {
		if out == 0 {
			x = b.maxPool(name(), x, 2, 0, false)
			continue
		}
		x = b.conv(name(), x, conv{out: out, k: 3, pad: 1, bias: !normalised})
		if normalised {
			x = b.norm(name(), x)
		}
		x = relu(b, name(), x)
	}
	return x
}

func vgg16(b *builder, x value, o Options) value {
	x = vgg16Features(b, x, false)
	x = b.flatten(b.averageTo("avgpool", x, 7))
	x = b.dropout("classifier.2", relu(b, "classifier.1", b.linear("classifier.0", x, 4096)), 0.5)
	x = b.dropout("classifier.5", relu(b, "classifier.4", b.linear("classifier.3", x, 4096)), 0.5)
	return b.linear("classifier.6", x, o.Classes)
}

// vgg16CIFAR is normalised and has one hidden layer of 512.
func vgg16CIFAR(b *builder, x value, o Options) value {
	x = vgg16Features(b, x, true)
	x = b.linear("classifier.1", b.dropout("classifier.0", b.flatten(x), 0.5), 512)
	x = relu(b, "classifier.3", b.norm("classifier.2", x))
	return b.linear("classifier.5", b.dropout("classifier.4", x, 0.5), o.Classes)
}

func squeezenet(b *builder, x value, o Options) value {
	layer := func(name, act string, x value, c conv) value {
		c.bias = true
		return relu(b, act, b.conv(name, x, c))
	}
	x = layer("features.0", "features.1", x, conv{out: 64, k: 3, stride: 2})
	at := 2
	for _, squeezed := range []int{0, 16, 16, 0, 32, 32, 0, 48, 48, 64, 64} {
		name := fmt.Sprintf("features.%d", at)
		at++
		if squeezed == 0 {
			x = b.maxPool(name, x, 3, 0, true)
			continue
		}
		s := layer(name+".squeeze", name+".squeeze_activation", x, conv{out: squeezed, k: 1})
		x = b.concat(name+".concat", layer(name+".expand1x1", name+".expand1x1_activation", s, conv{out: 4 * squeezed, k: 1}),
			layer(name+".expand3x3", name+".expand3x3_activation", s, conv{out: 4 * squeezed, k: 3, pad: 1}))
	}
	x = b.dropout("classifier.0", x, 0.5)
	b.initial.conv = normal(0.01) // of the last one
	x = layer("classifier.1", "classifier.2", x, conv{out: o.Classes, k: 1})
	return b.flatten(b.globalPool("classifier.3", x))
}

// dscnn is a convolution over time and frequency, and depthwise separable ones.
func dscnn(b *builder, x value, o Options) value {
	x = b.unit("conv", x, conv{out: 64, k: 10, kw: 4, stride: 2, same: true, bias: true}, relu)
	x = b.dropout("dropout1", x, 0.2)
	for i := range 4 {
		name := fmt.Sprintf("block%d", i+1)
		x = b.unit(name+".depthwise", x, conv{out: x.c, k: 3, same: true, groups: x.c, bias: true}, relu)
		x = b.unit(name+".pointwise", x, conv{out: 64, k: 1, bias: true}, relu)
	}
	x = b.globalPool("pool", b.dropout("dropout2", x, 0.4))
	return b.linear("fc", b.flatten(x), o.Classes)
}
