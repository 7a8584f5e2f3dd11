package kernel

// winograd holds the transforms of F(out×out, 3×3): the minimal filtering algorithms of Winograd as Lavin and Gray apply them to
// convolution (Fast algorithms for convolutional neural networks, CVPR 2016), from the construction of Cook and Toom. With the
// points a₀…aₙ₋₂ and infinity, n = out + 2,
//
//	y = output · ((weights · g · weightsᵀ) ∘ (input · d · inputᵀ)) · outputᵀ
//
// for n×n inputs d and 3×3 weights g. We deviate in the points of F(4,3): see newF43.
type winograd struct {
	out, size int
	input     [maxWinograd * maxWinograd]float32 // [size, size]
	output    [maxWinograd * maxWinograd]float32 // [out, size]
	weights   [maxWinograd * 3]float64           // [size, 3]
}

const (
	maxWinograd   = 6  // the largest size
	winogradLanes = 16 // transformed pixels have their channels rounded up to a multiple of this
)

// newF23 returns F(2,3) on the usual points, which are exact.
func newF23() *winograd { return newWinograd(0, 1, -1) }

// newF43 returns F(4,3). The points ±11/16 and ±23/16 make the error about twice that of a direct convolution, where the usual
// ±1 and ±2 make it six times as large; close to ±√½ and ±√2, they have powers that are exact in float32.
func newF43() *winograd { return newWinograd(0, 11.0/16, -11.0/16, 23.0/16, -23.0/16) }

func newWinograd(points ...float64) *winograd {
	n := len(points) + 1
	w := &winograd{out: n - 2, size: n}
	for j, p := range points {
		others := make([]float64, 0, n)
		scale := 1.0
		for i, q := range points {
			if i != j {
				others = append(others, q)
				scale *= p - q
			}
		}
		for k, x := range polynomial(others) {
			w.input[j*n+k] = float32(x)
		}
		power := 1.0
		for k := range max(3, w.out) {
			if k < 3 {
				w.weights[j*3+k] = power / scale
			}
			if k < w.out {
				w.output[k*n+j] = float32(power)
			}
			power *= p
		}
	}
	for k, x := range polynomial(points) {
		w.input[(n-1)*n+k] = float32(x)
	}
	w.weights[(n-1)*3+2] = 1
	w.output[(w.out-1)*n+n-1] = 1
	return w
}

// polynomial returns the coefficients of ∏(x − roots), the constant first.
func polynomial(roots []float64) []float64 {
	c := []float64{1}
	for _, r := range roots {
		c = append(c, 0)
		for i := len(c) - 1; i >= 0; i-- {
			c[i] *= -r
			if i > 0 {
				c[i] += c[i-1]
			}
		}
	}
	return c
}

// transformWeights stores element p of the transform of 3×3 weights g in dst[p], rounded once.
func (w *winograd) transformWeights(dst []float32, g []float32) {
	var half [maxWinograd * 3]float64
	for i := range w.size {
		for j := range 3 {
			for k := range 3 {
				half[i*3+j] += w.weights[i*3+k] * float64(g[k*3+j])
			}
		}
	}
	for i := range w.size {
		for j := range w.size {
			sum := 0.0
			for k := range 3 {
				sum += half[i*3+k] * w.weights[j*3+k]
			}
			dst[i*w.size+j] = float32(sum)
		}
	}
}
