package zoo

import "fmt"

// resnet is ResNet-18 to 50 as torchvision has it: the stride of a bottleneck is in its 3×3 convolution.
func resnet(blocks [4]int, bottleneck bool) func(*builder, value, Options) value {
	return func(b *builder, x value, o Options) value {
		x = relu(b, "relu", b.norm("bn1", b.conv("conv1", x, conv{out: 64, k: 7, stride: 2, pad: 3})))
		x = b.maxPool("maxpool", x, 3, 1, false)
		stages(blocks[:], func(name string, stage, stride int) {
			layers := []conv{{out: 64 << stage, k: 3, stride: stride, pad: 1}, {out: 64 << stage, k: 3, pad: 1}}
			if bottleneck {
				layers = []conv{{out: 64 << stage, k: 1}, {out: 64 << stage, k: 3, stride: stride, pad: 1}, {out: 256 << stage, k: 1}}
			}
			x = b.residual(name, x, layers, func(out value) value {
				if out.c == x.c && stride == 1 {
					return x
				}
				return b.norm(name+".downsample.1", b.conv(name+".downsample.0", x, conv{out: out.c, k: 1, stride: stride}))
			})
		})
		return b.linear("fc", b.flatten(b.globalPool("avgpool", x)), o.Classes)
	}
}

// stages calls block so many times for each stage; the first block of every stage but the first halves the image.
func stages(counts []int, block func(name string, stage, stride int)) {
	for stage, count := range counts {
		for i := range count {
			stride := 1
			if stage > 0 && i == 0 {
				stride = 2
			}
			block(fmt.Sprintf("layer%d.%d", stage+1, i), stage, stride)
		}
	}
}

// residual adds a chain of normalised convolutions, and to its result the shortcut, which is told of it.
func (b *builder) residual(name string, x value, layers []conv, shortcut func(out value) value) value {
	y := x
	for i, c := range layers {
		y = b.norm(fmt.Sprintf("%s.bn%d", name, i+1), b.conv(fmt.Sprintf("%s.conv%d", name, i+1), y, c))
		if i < len(layers)-1 {
			y = relu(b, name+".relu", y)
		}
	}
	return relu(b, name+".relu", b.join("Add", name+".add", y, shortcut(y)))
}

// resnetCIFAR is the form for 32×32 images with 6n + 2 layers. Shortcuts have no parameters (option A): where the size is halved they take every other
// pixel, and new channels are 0.
func resnetCIFAR(n int) func(*builder, value, Options) value {
	return func(b *builder, x value, o Options) value {
		x = relu(b, "relu", b.norm("bn1", b.conv("conv1", x, conv{out: 16, k: 3, pad: 1})))
		stages([]int{n, n, n}, func(name string, stage, stride int) {
			layers := []conv{{out: 16 << stage, k: 3, stride: stride, pad: 1}, {out: 16 << stage, k: 3, pad: 1}}
			x = b.residual(name, x, layers, func(out value) value { return b.identity(name+".shortcut", x, out, stride) })
		})
		return b.linear("linear", b.flatten(b.globalPool("avgpool", x)), o.Classes)
	}
}

// identity adds option A.
func (b *builder) identity(name string, x, out value, stride int) value {
	if stride > 1 {
		x = b.node("Slice", name+".slice", value{c: x.c, h: out.h, w: out.w}, []string{
			x.name, b.int64s("shortcut.starts", 0, 0), b.int64s("shortcut.ends", 1<<31-1, 1<<31-1), b.int64s("shortcut.axes", 2, 3), b.int64s("shortcut.steps", stride, stride),
		})
	}
	if more := out.c - x.c; more > 0 {
		pads := b.int64s(fmt.Sprintf("shortcut.pads%d", more), 0, more/2, 0, 0, 0, more-more/2, 0, 0)
		x = b.node("Pad", name+".pad", out, []string{x.name, pads})
	}
	return x
}

// resnet8 has one block a stage, shortcuts by convolution without normalisation, and biases throughout, as its Keras source.
func resnet8(b *builder, x value, o Options) value {
	x = relu(b, "relu", b.norm("bn1", b.conv("conv1", x, conv{out: 16, k: 3, same: true, bias: true})))
	for stage := range 3 {
		name := fmt.Sprintf("layer%d", stage+1)
		stride := min(stage, 1) + 1
		layers := []conv{{out: 16 << stage, k: 3, stride: stride, same: true, bias: true}, {out: 16 << stage, k: 3, same: true, bias: true}}
		x = b.residual(name, x, layers, func(out value) value {
			if stage == 0 {
				return x
			}
			return b.conv(name+".shortcut", x, conv{out: out.c, k: 1, stride: stride, same: true, bias: true})
		})
	}
	return b.linear("fc", b.flatten(b.globalPool("avgpool", x)), o.Classes)
}
