package train

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// superNetwork has the tensors of all networks that can be sampled from it; sample makes the graph of one.
type superNetwork struct {
	size, batch int
	build       func(p *path) // from "x" on
	store       *store
}

// path is a graph that grows.
type path struct {
	*onnx.Graph
	*rand.Rand        // the choices
	whole      bool   // all choices at once, as far as there are tensors for each, and all tensors
	last       string // the value that comes next
	channels   int
	there      map[string]bool // tensors of the graph
}

// superClasses is the number of classes of what super-networks tell apart.
const superClasses = 10

func newSuperNetwork(t testing.TB, size, batch int, build func(*path)) *superNetwork {
	s := &superNetwork{size: size, batch: batch, build: build}
	m := &onnx.Model{IRVersion: 10, OpsetImports: []*onnx.OperatorSet{{Version: 20}}, Graph: s.graph(rand.New(rand.NewPCG(1, 1)), true)}
	var err error
	if s.store, err = newStore([]Model{{Model: m, Also: `gate$|to\d$`}}); err != nil {
		t.Fatal(err)
	}
	return s
}

// data is a batch of random images and labels.
func (s *superNetwork) data() *Batch {
	r := rand.New(rand.NewPCG(2, 2))
	x, labels := make([]float32, s.batch*3*s.size*s.size), make([]int64, s.batch)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	for i := range labels {
		labels[i] = r.Int64N(superClasses)
	}
	fields := map[string]*tensor.Tensor{"x": tensor.From(x, s.batch, 3, s.size, s.size), "labels": tensor.From(labels, s.batch), seedField: tensor.Scalar(int64(1))}
	return &Batch{Fields: fields, Samples: s.batch}
}

// graph makes a graph by the choices of r, or of all.
func (s *superNetwork) graph(r *rand.Rand, whole bool) *onnx.Graph {
	p := &path{Graph: &onnx.Graph{Name: "path"}, Rand: r, whole: whole, last: "x", channels: 3, there: map[string]bool{}}
	p.Inputs = []*onnx.ValueInfo{declare("x", ops.Info{Type: onnx.Float, Shape: ops.MakeShape(s.batch, 3, s.size, s.size)})}
	s.build(p)
	p.Outputs = []*onnx.ValueInfo{declare(p.last, ops.Info{Type: onnx.Float, Shape: ops.MakeShape(s.batch, superClasses)})}
	return p.Graph
}

// sample makes the network of a path by the choices of r, as a training does in a step.
func (s *superNetwork) sample(t testing.TB, r *rand.Rand, b *Batch) *network {
	t.Helper()
	g := s.graph(r, false)
	loss := func(f *Formula, _ *Values) (string, error) {
		return f.CrossEntropy(g.Outputs[0].Name, "labels", superClasses, 0), nil
	}
	n, _, err := assemble(s.store, Pass{Uses: []Use{{Graph: g}}, Loss: loss}, fieldsOf(b), func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// tensor adds an initializer. Of weights a path has the names alone: they are in the store.
func (p *path) tensor(name string, v func() *tensor.Tensor) string {
	if !p.there[name] {
		p.there[name] = true
		p.Initializers = append(p.Initializers, v().ToONNX(name))
	}
	return name
}

// weight returns the name of a tensor of random numbers.
func (p *path) weight(name string, shape ...int) string {
	if !p.whole {
		return name
	}
	return p.tensor(name, func() *tensor.Tensor {
		n := 1
		for _, d := range shape {
			n *= d
		}
		v, scale := make([]float32, n), math.Sqrt(2/float64(n/shape[0]))
		for i := range v {
			v[i] = float32(scale * p.NormFloat64())
		}
		return tensor.From(v, shape...)
	})
}

// equal returns the name of a tensor of n equal numbers.
func (p *path) equal(name string, value float32, n int) string {
	if !p.whole {
		return name
	}
	return p.tensor(name, func() *tensor.Tensor { return tensor.From(slices.Repeat([]float32{value}, n), n) })
}

// number returns the name of a constant vector.
func (p *path) number(v ...int64) string {
	return p.tensor(fmt.Sprint(v), func() *tensor.Tensor { return tensor.From(v, len(v)) })
}

func (p *path) node(op string, in []string, attrs ...*onnx.Attribute) string {
	out := op + strconv.Itoa(len(p.Nodes))
	p.Nodes = append(p.Nodes, &onnx.Node{OpType: op, Name: out, Inputs: in, Outputs: []string{out}, Attributes: attrs})
	return out
}

// step adds a node that takes what came last.
func (p *path) step(op string, more []string, attrs ...*onnx.Attribute) {
	p.last = p.node(op, append([]string{p.last}, more...), attrs...)
}

// slice takes the first n along an axis of a tensor that has most, or all.
func (p *path) slice(name string, axis, n, most int) string {
	if n == most {
		return name
	}
	return p.node("Slice", []string{name, p.number(0), p.number(int64(n)), p.number(int64(axis))})
}

func (p *path) conv(weights string, out, k, stride, group int) {
	half := int64(k / 2)
	p.step("Conv", []string{weights}, integers("pads", half, half, half, half), integers("strides", int64(stride), int64(stride)), integer("group", int64(group)))
	p.channels = out
}

func integers(name string, v ...int64) *onnx.Attribute {
	return &onnx.Attribute{Name: name, Type: onnx.AttributeInts, Ints: v}
}

// norm is a batch normalisation of the first of most channels.
func (p *path) norm(name string, most int) {
	in := []string{p.equal(name+".scale", 1, most), p.equal(name+".bias", 0, most), p.equal(name+".mean", 0, most), p.equal(name+".var", 1, most)}
	for i := range in {
		in[i] = p.slice(in[i], 0, p.channels, most)
	}
	p.step("BatchNormalization", in)
}

func (p *path) relu6() {
	p.step("Clip", []string{
		p.tensor("0", func() *tensor.Tensor { return tensor.Scalar(float32(0)) }), p.tensor("6", func() *tensor.Tensor { return tensor.Scalar(float32(6)) }),
	})
}

// head ends in the logits.
func (p *path) head() {
	p.step("GlobalAveragePool", nil)
	p.step("Flatten", nil)
	p.step("Gemm", []string{p.weight("classes", superClasses, p.channels)}, integer("transB", 1))
}

// candidates is a super-network after H. Cai et al.: ProxylessNAS, 2019, of a MobileNetV2: in each of 21 blocks one of the kernels 3, 5, 7 with the
// expansions 3, 6, each with tensors of its own and a gate, or nothing.
func candidates(p *path) {
	p.conv(p.weight("stem", 32, 3, 3, 3), 32, 3, 2, 1)
	p.norm("stem", 32)
	p.relu6()
	p.conv(p.weight("first.dw", 32, 1, 3, 3), 32, 3, 1, 32)
	p.norm("first.dw", 32)
	p.relu6()
	p.conv(p.weight("first", 16, 32, 1, 1), 16, 1, 1, 1)
	p.norm("first", 16)
	for stage, s := range []struct{ out, blocks, stride int }{{24, 4, 2}, {40, 4, 2}, {80, 4, 2}, {96, 4, 1}, {192, 4, 2}, {320, 1, 1}} {
		for i := range s.blocks {
			stride := 1
			if i == 0 {
				stride = s.stride
			}
			p.candidate(fmt.Sprintf("%d.%d", stage, i), s.out, stride)
		}
	}
	p.conv(p.weight("last", 1280, 320, 1, 1), 1280, 1, 1, 1)
	p.norm("last", 1280)
	p.relu6()
	p.head()
}

func (p *path) candidate(name string, out, stride int) {
	in, from, skips := p.last, p.channels, p.channels == out && stride == 1
	chosen := p.IntN(7)
	if !skips {
		chosen = p.IntN(6)
	}
	var branches []string
	for i := range 6 {
		if i == chosen || p.whole {
			p.last, p.channels = in, from
			p.bottleneck(fmt.Sprintf("%s/%d/", name, i), 3+i/2*2, from*(3+i%2*3), out, stride)
			branches = append(branches, p.last)
		}
	}
	if skips {
		branches = append(branches, in)
	}
	if p.last = branches[0]; len(branches) > 1 {
		p.last = p.node("Sum", branches)
	}
}

func (p *path) bottleneck(name string, k, mid, out, stride int) {
	p.conv(p.weight(name+"up", mid, p.channels, 1, 1), mid, 1, 1, 1)
	p.norm(name+"up", mid)
	p.relu6()
	p.conv(p.weight(name+"dw", mid, 1, k, k), mid, k, stride, mid)
	p.norm(name+"dw", mid)
	p.relu6()
	p.conv(p.weight(name+"down", out, mid, 1, 1), out, 1, 1, 1)
	p.norm(name+"down", out)
	p.step("Mul", []string{p.equal(name+"gate", 1, 1)})
}

// elastic is a super-network after H. Cai et al.: Once-for-All, 2020, of 20 blocks: kernels 7, or the middle of 7 changed by a matrix; of the
// channels in a block the first part; and squeeze-and-excitation.
func elastic(p *path) {
	p.conv(p.weight("stem", 16, 3, 3, 3), 16, 3, 1, 1)
	p.norm("stem", 16)
	p.step("HardSwish", nil)
	for stage, out := range []int{24, 40, 80, 112, 160} {
		for i := range 4 {
			stride := 1
			if i == 0 && stage != 3 {
				stride = 2
			}
			p.elastic(fmt.Sprintf("%d.%d.", stage, i), out, stride)
		}
	}
	p.head()
}

func (p *path) elastic(name string, out, stride int) {
	in, from := p.last, p.channels
	most := 6 * from
	k, mid := 3+2*p.IntN(3), from*[]int{3, 4, 6}[p.IntN(3)]
	if p.whole {
		k, mid = 7, most
	}
	p.conv(p.slice(p.weight(name+"up", most, from, 1, 1), 0, mid, most), mid, 1, 1, 1)
	p.norm(name+"up", most)
	p.step("HardSwish", nil)
	p.conv(p.kernel(name+"dw", k, mid, most), mid, k, stride, mid)
	p.norm(name+"dw", most)
	p.step("HardSwish", nil)
	p.excite(name+"se.", mid, most)
	p.conv(p.slice(p.weight(name+"down", out, most, 1, 1), 1, mid, most), out, 1, 1, 1)
	p.norm(name+"down", out)
	if from == out && stride == 1 {
		p.step("Add", []string{in})
	}
}

// kernel takes the k×k middle of a kernel of 7×7, of the first channels, multiplied by a matrix for each step from 7 to k.
func (p *path) kernel(name string, k, n, most int) string {
	w := p.slice(p.weight(name, most, 1, 7, 7), 0, n, most)
	if p.whole {
		p.weight(name+".to5", 25, 25)
		p.weight(name+".to3", 9, 9)
	}
	for size := 5; size >= k; size -= 2 {
		w = p.node("Slice", []string{w, p.number(1, 1), p.number(int64(size)+1, int64(size)+1), p.number(2, 3)})
		w = p.node("Reshape", []string{w, p.number(int64(n), int64(size*size))})
		w = p.node("MatMul", []string{w, p.weight(fmt.Sprintf("%s.to%d", name, size), size*size, size*size)})
		w = p.node("Reshape", []string{w, p.number(int64(n), 1, int64(size), int64(size))})
	}
	return w
}

func (p *path) excite(name string, n, most int) {
	x := p.last
	squeezed, mostSqueezed := n/4, most/4
	p.step("GlobalAveragePool", nil)
	p.conv(p.slice(p.slice(p.weight(name+"reduce", mostSqueezed, most, 1, 1), 0, squeezed, mostSqueezed), 1, n, most), squeezed, 1, 1, 1)
	p.step("Relu", nil)
	p.conv(p.slice(p.slice(p.weight(name+"expand", most, mostSqueezed, 1, 1), 0, n, most), 1, squeezed, mostSqueezed), n, 1, 1, 1)
	p.step("HardSigmoid", nil)
	p.last = p.node("Mul", []string{x, p.last})
}
