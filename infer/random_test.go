package infer

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// randomGraph makes a network of random layers on images [n, c, h, w]: what is fused, worked on in place, repacked and put into each
// other's memory differs from one to the next.
type randomGraph struct {
	r      *rand.Rand
	nodes  []*onnx.Node
	init   map[string]*tensor.Tensor
	values []image
}

type image struct {
	name    string
	c, h, w int
}

func (g *randomGraph) random(shape ...int) string {
	x := floats(shape, 0)
	for i := range tensor.Of[float32](x) {
		tensor.Of[float32](x)[i] = float32(g.r.NormFloat64()) / 2
	}
	return g.constant(x)
}

func (g *randomGraph) constant(x *tensor.Tensor) string {
	name := fmt.Sprintf("c%d", len(g.init))
	g.init[name] = x
	return name
}

// emit adds a node whose result is a new value.
func (g *randomGraph) emit(op string, c, h, w int, in string, attrs ...*onnx.Attribute) image {
	v := image{fmt.Sprintf("v%d", len(g.values)), c, h, w}
	g.nodes = append(g.nodes, nd(fmt.Sprintf("%s = %s %s", v.name, op, in), attrs...))
	g.values = append(g.values, v)
	return v
}

func (g *randomGraph) layer() {
	x := g.values[max(0, len(g.values)-1-g.r.IntN(4))]
	switch g.r.IntN(16) {
	case 0, 1:
		out, k := 1+g.r.IntN(9), 1+2*g.r.IntN(2)
		pad := int64(k / 2)
		g.emit("Conv", out, x.h, x.w, x.name+", "+g.random(out, x.c, k, k)+", "+g.random(out), attr("pads", []int64{pad, pad, pad, pad}))
	case 2:
		g.emit("Conv", x.c, x.h, x.w, x.name+", "+g.random(x.c, 1, 3, 3), attr("group", x.c), attr("pads", []int64{1, 1, 1, 1}))
	case 3:
		g.emit([]string{"Relu", "Sigmoid", "HardSwish", "LeakyRelu", "Tanh", "Abs"}[g.r.IntN(6)], x.c, x.h, x.w, x.name)
	case 4:
		variance := floats([]int{x.c}, 1.5, 0.7, 2)
		g.emit("BatchNormalization", x.c, x.h, x.w, strings.Join([]string{x.name, g.random(x.c), g.random(x.c), g.random(x.c), g.constant(variance)}, ", "))
	case 5, 6, 7: // of two values of one shape
		for _, y := range g.values {
			if y.c == x.c && y.h == x.h && y.w == x.w && g.r.IntN(2) == 0 {
				g.emit([]string{"Add", "Sub", "Mul", "Max"}[g.r.IntN(4)], x.c, x.h, x.w, x.name+", "+y.name)
				return
			}
		}
		g.emit("Add", x.c, x.h, x.w, x.name+", "+x.name)
	case 8:
		g.emit([]string{"Add", "Mul"}[g.r.IntN(2)], x.c, x.h, x.w, x.name+", "+g.random([][]int{{1}, {x.c, 1, 1}, {1, x.c, 1, 1}, {x.h, x.w}, {1, x.c, x.h, x.w}}[g.r.IntN(5)]...))
	case 9:
		for _, y := range g.values {
			if y.h == x.h && y.w == x.w && x.c+y.c <= 16 {
				g.emit("Concat", x.c+y.c, x.h, x.w, x.name+", "+y.name, attr("axis", 1))
				return
			}
		}
	case 10:
		if x.h < 2 || x.w < 2 {
			return
		}
		g.emit("MaxPool", x.c, (x.h+1)/2, (x.w+1)/2, x.name, attr("kernel_shape", []int64{2, 2}), attr("strides", []int64{2, 2}), attr("ceil_mode", 1))
	case 11:
		s := g.emit("GlobalAveragePool", x.c, 1, 1, x.name)
		g.emit("Mul", x.c, x.h, x.w, x.name+", "+s.name)
	case 12: // away from the layout and back
		g.emit("Transpose", x.h, x.w, x.c, x.name, attr("perm", []int64{0, 2, 3, 1}))
		y := g.values[len(g.values)-1]
		z := g.emit("Mul", y.c, y.h, y.w, y.name+", "+g.random(x.c))
		g.emit("Transpose", x.c, x.h, x.w, z.name, attr("perm", []int64{0, 3, 1, 2}))
	case 13:
		shape := g.constant(tensor.From([]int64{0, int64(x.c * x.h), int64(x.w), 1}, 4))
		g.emit("Reshape", x.c*x.h, x.w, 1, x.name+", "+shape)
		back := g.constant(tensor.From([]int64{0, int64(x.c), int64(x.h), int64(x.w)}, 4))
		g.emit("Reshape", x.c, x.h, x.w, g.values[len(g.values)-1].name+", "+back)
	case 14:
		if x.c%2 == 0 {
			open := g.constant(tensor.From([]int64{-1, 2, int64(x.c / 2), int64(x.h), int64(x.w)}, 5))
			y := g.emit("Reshape", 0, 0, 0, x.name+", "+open)
			z := g.emit("Transpose", 0, 0, 0, y.name, attr("perm", []int64{0, 2, 1, 3, 4}))
			back := g.constant(tensor.From([]int64{-1, int64(x.c), int64(x.h), int64(x.w)}, 4))
			g.values = g.values[:len(g.values)-2]
			v := image{"s" + z.name, x.c, x.h, x.w}
			g.nodes[len(g.nodes)-2].Outputs[0], g.nodes[len(g.nodes)-1].Inputs[0] = "o"+v.name, "o"+v.name
			g.nodes[len(g.nodes)-1].Outputs[0] = "t" + v.name
			g.nodes = append(g.nodes, nd(v.name+" = Reshape t"+v.name+", "+back))
			g.values = append(g.values, v)
		}
	case 15:
		g.emit("Identity", x.c, x.h, x.w, x.name)
	}
}

// TestRandomGraphs compares random networks with and without optimisation, twice in a row and for two batch sizes.
func TestRandomGraphs(t *testing.T) {
	n := 400
	if testing.Short() {
		n = 60
	}
	for seed := range n {
		g := &randomGraph{r: rand.New(rand.NewPCG(uint64(seed), 3)), init: map[string]*tensor.Tensor{}}
		c, h, w := 1+g.r.IntN(8), 1+g.r.IntN(9), 1+g.r.IntN(9)
		g.values = []image{{"x", c, h, w}}
		for range 1 + g.r.IntN(25) {
			g.layer()
		}
		batch := any("n")
		if seed%2 == 0 {
			batch = 2
		}
		var outputs []*onnx.ValueInfo
		for i, v := range g.values {
			if i == len(g.values)-1 || g.r.IntN(12) == 0 {
				outputs = append(outputs, val(v.name))
			}
		}
		m := graphOf([]*onnx.ValueInfo{val("x", batch, c, h, w)}, outputs, g.init, g.nodes...)
		plain, fast := session(t, m, Options{NoFuse: true, Threads: 1}), session(t, m, Options{ISA: best(t), Threads: 2})
		r := fast.NewRunner()
		for i, b := range []int{2, 2, 1, 2} {
			if b != 2 && batch == 2 {
				continue
			}
			x := floats([]int{b, c, h, w}, 1, -0.5, 0.25, 2, -1, 0.1, 0.7)
			want := run(t, plain, []*tensor.Tensor{x})
			got, err := r.Run(t.Context(), []*tensor.Tensor{x})
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			for k := range want {
				if d, err := distance(got[k], want[k]); err != nil || d > 1e-4 {
					t.Fatalf("seed %d, run %d, output %s differs by %g, %v", seed, i, outputs[k].Name, d, err)
				}
			}
		}
	}
}
