package ops

import (
	"fmt"
	"slices"
	"sync"

	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// convState is what a run of a convolution or of pooling needs.
type convState struct {
	shape    []int // of the output
	slides   []slide
	at       positions
	epilogue kernel.Epilogue
	plan     imagePlan
}

// imageKernel is a convolution of images, of either direction, whose weights are prepared or are to be loaded before each run.
type imageKernel interface {
	Bytes() int
	Memory() int // that Load needs
	Load(cpu *kernel.CPU, weights, bias, memory []float32)
	own(cpu *kernel.CPU, weights, bias []float32) // loads to memory that it keeps
	scratch(n int, in, out [2]int) int
	run(cpu *kernel.CPU, dst, src []float32, n int, in, out [2]int, ep *kernel.Epilogue, scratch []float32)
}

// imageMaker plans a kernel; size is that of the image that the windows slide over, which of a transposed convolution is the result.
type imageMaker func(cpu *kernel.CPU, s kernel.ConvShape, size [2]int) imageKernel

// imagePlan is a kernel for weights that are not constant, and what it is for.
type imagePlan struct {
	kernel imageKernel
	shape  kernel.ConvShape
	size   [2]int
	cpu    *kernel.CPU
}

// of returns a kernel, the last one if that is for the same.
func (p *imagePlan) of(cpu *kernel.CPU, channels kernel.ConvShape, s []slide, plan imageMaker) imageKernel {
	shape, size := convShape(channels, s)
	if p.kernel == nil || p.shape != shape || p.size != size || p.cpu != cpu {
		*p = imagePlan{plan(cpu, shape, size), shape, size, cpu}
	}
	return p.kernel
}

// imageWeights are constant weights, prepared for each padding that occurs: it may depend on the size of the images.
type imageWeights struct {
	shape         []int
	channels      kernel.ConvShape // channels and groups only
	weights, bias []float32        // nil when no other padding can occur
	plan          imageMaker

	mu   sync.Mutex
	made []*madeKernel
}

type madeKernel struct {
	pads   [4]int
	kernel imageKernel
}

// newImageWeights takes the values of input 1 and, if there is one, of the bias, input 2, and lists these inputs. It
// returns nil if they are not constants for images of one or two dimensions in float32.
func newImageWeights(in []Info, channels kernel.ConvShape, plan imageMaker) (*imageWeights, []int) {
	w := in[1].Value
	iw := &imageWeights{shape: slices.Clone(w.Shape), channels: channels, weights: tensor.Of[float32](w), plan: plan}
	taken := []int{1}
	if len(in) > 2 && !in[2].Missing() {
		b := in[2].Value
		if b == nil || b.Type != onnx.Float || b.Len() != channels.Out {
			return nil, nil
		}
		iw.bias = tensor.Of[float32](b)
		taken = append(taken, 2)
	}
	return iw, taken
}

// packable reports whether a value is constant weights for images of one or two dimensions.
func packable(w *tensor.Tensor) bool {
	return w != nil && w.Type == onnx.Float && (len(w.Shape) == 3 || len(w.Shape) == 4) && w.Len() > 0
}

// release forgets the weights as they were given.
func (w *imageWeights) release() { w.weights, w.bias = nil, nil }

// bytes is the memory that is taken.
func (w *imageWeights) bytes() int64 {
	if w == nil {
		return 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 4 * int64(len(w.weights)+len(w.bias))
	for _, m := range w.made {
		n += int64(m.kernel.Bytes())
	}
	return n
}

// convShape adds to channels and groups how windows slide over images of one or two dimensions, and returns the size of these.
func convShape(k kernel.ConvShape, s []slide) (kernel.ConvShape, [2]int) {
	k.Kernel, k.Stride, k.Dilation = [2]int{1, 1}, [2]int{1, 1}, [2]int{1, 1}
	size := [2]int{1, 1}
	for i := range s {
		axis := i + 2 - len(s)
		k.Kernel[axis], k.Stride[axis], k.Dilation[axis] = s[i].kernel, s[i].stride, s[i].dilation
		k.Pads[axis], k.Pads[axis+2], size[axis] = s[i].before, s[i].after, s[i].in
	}
	return k, size
}

// prepared returns what convolves with the padding that s says.
func (w *imageWeights) prepared(cpu *kernel.CPU, s []slide) imageKernel {
	k, size := convShape(w.channels, s)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.made {
		if m.pads == k.Pads {
			return m.kernel
		}
	}
	m := &madeKernel{k.Pads, w.plan(cpu, k, size)}
	m.kernel.own(cpu, w.weights, w.bias)
	w.made = append(w.made, m)
	return m.kernel
}

// imageScratch returns what images needs for an input of shape x and an output of shape y, with a kernel that has its weights or is to load them.
func imageScratch(k imageKernel, x, y []int, load bool) int {
	n := k.scratch(x[0], imageSize(x), imageSize(y))
	if load {
		n += k.Memory()
	}
	if len(x) == 3 { // has no layout that is channels-last
		n += product(x) + product(y)
	}
	return n
}

// imageShapes returns the shapes of input 0 and of weights, prepared or input 1, and whether a kernel will run on them.
func imageShapes(in []Info, prepared *imageWeights) (x, w []int, ok bool) {
	x, ok = in[0].Shape.Known()
	if prepared != nil {
		w = prepared.shape
	} else if known, there := in[1].Shape.Known(); there {
		w = known
	}
	return x, w, ok && in[0].Type == onnx.Float && len(x) == len(w) && len(x) >= 3 && len(x) <= 4 && product(w) > 0
}

// imageSize is the height and width of images [N, C, H, W] or [N, C, W].
func imageSize(shape []int) [2]int {
	if len(shape) == 3 {
		return [2]int{1, shape[2]}
	}
	return [2]int{shape[2], shape[3]}
}

// images runs a kernel from input 0 to y, both of which it repacks unless they are channels-last. If load, the kernel gets its weights from
// inputs 1 and 2.
func (f fused) images(c *Call, s *convState, k imageKernel, load bool, y *tensor.Tensor) error {
	add, err := f.addend(c, y)
	if err != nil {
		return err
	}
	x := c.In[0]
	if x.Len() == 0 {
		return fmt.Errorf("input 0 of shape %v has no elements", x.Shape)
	}
	n, ch, m := x.Shape[0], x.Shape[1], s.shape[1]
	in, out := imageSize(x.Shape), imageSize(s.shape)
	inner, outer := in[0]*in[1], out[0]*out[1]
	src, dst := tensor.Of[float32](x), tensor.Of[float32](y)
	repackIn := x.Layout == tensor.Plain && ch > 1 && inner > 1
	repackOut := x.Layout == tensor.Plain && m > 1 && outer > 1
	own := k.scratch(n, in, out)
	need := own
	if load {
		need += k.Memory()
	}
	if repackIn {
		need += len(src)
	}
	if repackOut {
		need += len(dst)
	}
	scratch := c.scratch(need)
	rest := scratch[own:]
	if load {
		var bias []float32
		if f.own(len(c.In)) > 2 && c.In[2] != nil {
			bias = tensor.Of[float32](c.In[2])
		}
		k.Load(c.CPU, tensor.Of[float32](c.In[1]), bias, rest[:k.Memory()])
		rest = rest[k.Memory():]
	}
	if repackIn {
		kernel.ChannelsLast(c.CPU, rest[:len(src)], src, n, ch, inner)
		src, rest = rest[:len(src)], rest[len(src):]
	}
	to := dst
	s.epilogue = kernel.Epilogue{Act: f.act, Add: add}
	if repackOut {
		to = rest[:len(dst)]
		if add != nil { // it lies as the output does
			s.epilogue = kernel.Epilogue{}
		}
	}
	k.run(c.CPU, to, src, n, in, out, &s.epilogue, scratch[:own])
	s.epilogue = kernel.Epilogue{}
	if !repackOut {
		return nil
	}
	if add == nil {
		kernel.ChannelsFirst(c.CPU, dst, to, n, m, outer)
		return nil
	}
	// y may be what is added: it cannot take the result before that is read.
	sum := make([]float32, len(dst))
	kernel.ChannelsFirst(c.CPU, sum, to, n, m, outer)
	shape, step := [1]int{len(dst)}, [1]int{1}
	kernel.Binary(c.CPU, kernel.Add, dst, sum, add, shape[:], step[:], step[:], f.act)
	return nil
}
