package zoo

import (
	"math"
	"math/rand/v2"
)

// initial says how the weights of a network begin.
type initial struct {
	conv, linear, bias draw
	// momentum and epsilon of batch normalisation: running = momentum·running + (1 − momentum)·batch.
	momentum, epsilon float32
}

// draw returns a source of weights of a layer. The fans are those of PyTorch, fanIn = k²·C/groups and fanOut = k²·M.
type draw func(rng *rand.Rand, fanIn, fanOut int) func() float64

func zeros(*rand.Rand, int, int) func() float64 { return func() float64 { return 0 } }

func uniform(rng *rand.Rand, bound float64) func() float64 {
	return func() float64 { return bound * (2*rng.Float64() - 1) }
}

func normal(deviation float64) draw {
	return func(rng *rand.Rand, _, _ int) func() float64 {
		return func() float64 { return deviation * rng.NormFloat64() }
	}
}

// truncated is the normal distribution without what lies beyond two deviations.
func truncated(rng *rand.Rand, deviation float64) func() float64 {
	return func() float64 {
		for {
			if x := rng.NormFloat64(); math.Abs(x) <= 2 {
				return deviation * x
			}
		}
	}
}

// kaimingOut and kaimingIn are the normal distributions that keep the variance of gradients and of activations through layers with ReLU.
//
// K. He, X. Zhang, S. Ren, J. Sun: Delving Deep into Rectifiers, 2015, equations 14 and 10.
func kaimingOut(rng *rand.Rand, _, fanOut int) func() float64 {
	return normal(math.Sqrt(2/float64(fanOut)))(rng, 0, 0)
}

func kaimingIn(rng *rand.Rand, fanIn, _ int) func() float64 {
	return normal(math.Sqrt(2/float64(fanIn)))(rng, 0, 0)
}

func kaimingUniform(rng *rand.Rand, fanIn, _ int) func() float64 {
	return uniform(rng, math.Sqrt(6/float64(fanIn)))
}

// kaimingTruncated is Keras's he_normal, whose variance after truncation is 2/fanIn.
func kaimingTruncated(rng *rand.Rand, fanIn, _ int) func() float64 {
	return truncated(rng, math.Sqrt(2/float64(fanIn))/0.87962566103423978)
}

// glorot is X. Glorot, Y. Bengio: Understanding the difficulty of training deep feedforward neural networks, 2010, equation 16.
func glorot(rng *rand.Rand, fanIn, fanOut int) func() float64 {
	return uniform(rng, math.Sqrt(6/float64(fanIn+fanOut)))
}

// caffe is Caffe's filler "xavier".
func caffe(rng *rand.Rand, fanIn, _ int) func() float64 {
	return uniform(rng, math.Sqrt(3/float64(fanIn)))
}

// pytorch is what PyTorch's layers begin with where a network says nothing, weights and biases alike.
func pytorch(rng *rand.Rand, fanIn, _ int) func() float64 {
	return uniform(rng, 1/math.Sqrt(float64(fanIn)))
}

// slim is the distribution of TF-Slim's MobileNets.
func slim(rng *rand.Rand, _, _ int) func() float64 { return truncated(rng, 0.09) }
