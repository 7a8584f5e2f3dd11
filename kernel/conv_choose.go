package kernel

import "github.com/effml/effml/internal/isa"

// choose returns the algorithm for images of a size.
func (s *ConvShape) choose(set isa.Set, h, w int) (algorithm, *winograd) {
	switch {
	case s.Groups == s.In && s.In == s.Out && s.Groups > 1:
		return depthwise, nil
	case s.Groups == 1 && s.pointwise():
		return product, nil
	}
	how, best := direct, (*winograd)(nil)
	if s.Groups == 1 && s.Kernel == [2]int{3, 3} && s.Stride == [2]int{1, 1} && s.Dilation == [2]int{1, 1} {
		if h <= 0 || w <= 0 {
			h, w = usualSize, usualSize
		}
		oh, ow := s.window(0, h).outputs(), s.window(1, w).outputs()
		least := s.directCost(set, oh, ow)
		candidates := []*winograd{newF23()}
		if !s.Fine {
			candidates = append(candidates, newF43())
		}
		for _, win := range candidates {
			if cost := s.minimalCost(set, win, oh, ow); cost < least {
				how, best, least = minimal, win, cost
			}
		}
	}
	return how, best
}

// The costs of algorithms are estimates, in products of two elements, the unit in which the processor is busy. They are
// fitted to measurements on a processor with AVX-512.
const (
	usualSize     = 28  // of an image, if it is unknown
	shortRows     = 1   // a tile of A costs as much as if it had so many more rows
	shortDepth    = 16  // a sum costs as much as if it had so many more products
	loadCost      = 16  // of an element of weights that is loaded from beyond the second-level cache, for a panel's columns
	unfoldCost    = 0.3 // of an element of a window that is copied, likewise
	transformCost = 0.2 // of an element of a transform, likewise
)

// productCost is the cost of a product [m, k]·[k, n], of which many use the same memory for weights in total.
func productCost(set isa.Set, m, k, n, weights int) float64 {
	width := tileWidth(set)
	columns := float64(roundUp(n, width/2))
	height := float64(m) / float64(ceilDiv(m, tileRows(set)))
	cost := float64(m) * (1 + shortRows/height) * float64(k+shortDepth) * columns
	far := max(0, 1-float64(nearWeights)/float64(weights))
	return cost + far*loadCost*float64(k)*columns
}

// directCost is the cost of the direct convolution.
func (s *ConvShape) directCost(set isa.Set, oh, ow int) float64 {
	k := s.In * s.Kernel[0] * s.Kernel[1]
	return productCost(set, oh*ow, k, s.Out, k*s.Out) + unfoldCost*float64(oh*ow*k*tileWidth(set))
}

// minimalCost is the cost with an algorithm of Winograd.
func (s *ConvShape) minimalCost(set isa.Set, win *winograd, oh, ow int) float64 {
	tiles := ceilDiv(oh, win.out) * ceilDiv(ow, win.out)
	size := win.size * win.size
	cost := productCost(set, tiles, s.In, s.Out, size*s.In*s.Out)
	return float64(size) * (cost + transformCost*float64(tiles*(s.In+s.Out)*tileWidth(set)))
}
