package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// gridSample is GridSample: x [N, C, D₁ … Dᵣ] read at the places that a grid [N, O₁ … Oᵣ, r] says, whose coordinates, the last
// dimension's first, go from −1 to 1 over the image. Interpolation is N-linear, N-cubic (with a = −3/4) or takes the nearest, halves to even. Types:
// floating-point ones. A coordinate that is NaN counts as one before the image.
type gridSample struct {
	mode    resizeMode
	padding string
	align   bool
}

func newGridSample(n *Node) (Op, error) {
	o := &gridSample{padding: n.Text("padding_mode", "zeros"), align: n.Bool("align_corners", false)}
	switch mode := n.Text("mode", "linear"); mode {
	case "linear", "bilinear":
		o.mode = resizeLinear
	case "cubic", "bicubic":
		o.mode = resizeCubic
	case "nearest":
	default:
		return nil, fmt.Errorf("attribute mode is %q", mode)
	}
	if !slices.Contains([]string{"zeros", "border", "reflection"}, o.padding) {
		return nil, fmt.Errorf("attribute padding_mode is %q", o.padding)
	}
	return o, nil
}

func (o *gridSample) Infer(in []Info) ([]Info, error) {
	for i := range in {
		if err := typesFloat.check(in, i); err != nil {
			return nil, err
		}
	}
	out := Info{Type: in[0].Type}
	x, g := in[0].Shape, in[1].Shape
	if x != nil && len(x) < 3 {
		return nil, rankError(0, len(x), "3 or more")
	}
	if g != nil && len(g) < 3 {
		return nil, rankError(1, len(g), "3 or more")
	}
	if x == nil || g == nil {
		return []Info{out}, nil
	}
	if r := g[len(g)-1]; len(x) != len(g) || r.IsKnown() && r.N != len(x)-2 {
		return nil, fmt.Errorf("grid of shape %s for an input of shape %s", g, x)
	}
	if x[0].IsKnown() && g[0].IsKnown() && x[0] != g[0] {
		return nil, fmt.Errorf("%d samples and %d grids", x[0].N, g[0].N)
	}
	out.Shape = slices.Concat(x[:2], g[1:len(g)-1])
	return []Info{out}, nil
}

func (o *gridSample) Run(c *Call) error { return throughFloat32(c, o) }

func (o *gridSample) run(c *Call) error {
	x, g := c.In[0], c.In[1]
	rank := len(x.Shape) - 2
	if rank < 1 || len(g.Shape) != len(x.Shape) || g.Shape[rank+1] != rank || g.Shape[0] != x.Shape[0] {
		return fmt.Errorf("grid of shape %v for an input of shape %v", g.Shape, x.Shape)
	}
	y, err := c.Out(0, x.Type, slices.Concat(x.Shape[:2], g.Shape[1:rank+1]))
	if err != nil || y.Len() == 0 {
		return err
	}
	if x.Len() == 0 {
		return fmt.Errorf("input 0 of shape %v has no elements", x.Shape)
	}
	grid, err := numbersOf(nil, g)
	if err != nil {
		return fmt.Errorf("grid: %w", err)
	}
	switch x.Type {
	case onnx.Float:
		sample(o, tensor.Of[float32](y), tensor.Of[float32](x), grid, x.Shape)
	case onnx.Double:
		sample(o, tensor.Of[float64](y), tensor.Of[float64](x), grid, x.Shape)
	default:
		return typeError(x.Type)
	}
	return nil
}

// weighted is an element of an image with a weight.
type weighted struct {
	offset int
	weight float64
}

func sample[T float32 | float64](o *gridSample, dst, src []T, grid []float64, shape []int) {
	n, ch, dims := shape[0], shape[1], shape[2:]
	inner, outer := product(dims), len(dst)/(n*ch)
	var parts []weighted
	for i := range n * outer {
		parts = append(parts[:0], weighted{0, 1})
		for d, extent := range dims {
			v := grid[i*len(dims)+len(dims)-1-d]
			parts = o.along(parts, v, extent)
		}
		image := i / outer * ch
		for k := range ch {
			sum := 0.0
			for _, p := range parts {
				sum += p.weight * float64(src[(image+k)*inner+p.offset])
			}
			dst[(image+k)*outer+i%outer] = T(sum)
		}
	}
}

// along multiplies elements of the dimensions so far by those of one more.
func (o *gridSample) along(parts []weighted, v float64, extent int) []weighted {
	x := ((v+1)*float64(extent) - 1) / 2
	if o.align {
		x = (v + 1) / 2 * float64(extent-1)
	}
	if x = min(max(x, -1e9), 1e9); x != x { //nolint:gocritic // NaN
		x = -2
	}
	if o.mode == resizeNearest {
		x = math.RoundToEven(x)
	}
	lo, hi := -0.5, float64(extent)-0.5
	if o.align {
		lo, hi = 0, float64(extent-1)
	}
	// Cubic interpolation finds its four elements before they are moved inside, as PyTorch and ONNX Runtime do.
	switch {
	case x >= lo && x <= hi || o.mode == resizeCubic:
	case o.padding == "border":
		x = min(max(x, 0), float64(extent-1))
	case o.padding == "reflection":
		x = reflect(x, lo, hi)
	}
	weights := [4]float64{1}
	first, count := int(math.Floor(x)), 1
	r := x - math.Floor(x)
	switch o.mode {
	case resizeNearest:
		first = int(x)
	case resizeLinear:
		count, weights = 2, [4]float64{1 - r, r}
	default:
		cubic := resize{mode: resizeCubic, cubic: -0.75}
		first, count = first-1, 4
		for k := range weights {
			weights[k] = cubic.kernel(math.Abs(float64(k-1) - r))
		}
	}
	n := len(parts)
	for k := range count {
		i := first + k
		inside := i >= 0 && i < extent
		switch {
		case inside:
		case o.padding == "border":
			i = min(max(i, 0), extent-1)
		case o.padding == "reflection":
			i = min(max(int(reflect(float64(i), lo, hi)), 0), extent-1)
		default:
			continue
		}
		for _, p := range parts[:n] {
			parts = append(parts, weighted{p.offset*extent + i, p.weight * weights[k]})
		}
	}
	return append(parts[:0], parts[n:]...)
}

// reflect mirrors x at the borders until it is between them.
func reflect(x, lo, hi float64) float64 {
	width := hi - lo
	if width <= 0 {
		return lo
	}
	d, from, sign := lo-x, lo, 1.0
	switch {
	case x > hi:
		d, from, sign = x-hi, hi, -1
	case x >= lo:
		return x
	}
	times := math.Floor(d / width)
	rest := d - times*width
	if math.Mod(times, 2) == 0 {
		return from + sign*rest
	}
	return lo + hi - from - sign*rest
}
