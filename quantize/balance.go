package quantize

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/effml/effml/internal/mapped"
	"golang.org/x/sync/errgroup"
)

// Sums says which sums of weights a layer forms of inputs that are alike, in row-major layout. The zero value is none.
type Sums struct {
	Row     int // consecutive weights that feed one output: the rows of W [outputs, …]
	Kernel  int // consecutive weights of a row that meet one input channel at neighbouring places; 0 and 1 are the same
	Columns int // instead of Row: W is [inputs, Columns] and a column feeds one output
}

// Balanced computes the codes of a grid so that rounding errors cancel within each kernel and within each output, after
// Guo et al., "SQuant: On-the-Fly Data-Free Quantization via Diagonal Hessian Approximation", ICLR 2022. Inputs of a
// layer behind a ReLU have a positive mean, and neighbouring places of a feature map are alike; so what a rounding error
// e adds to an output is not Σe² alone but also (Σe)², over each kernel and over all inputs. Codes begin as plain rounding. Then in
// each kernel, whose errors sum to s steps, the round(s) weights that are nearest to the next code take that one; last the
// same over the kernels of an output, one weight a kernel. No sum exceeds half a step afterwards, unless the range of
// the codes is in the way, while Σe² grows by a few per cent.
//
// Where we deviate: rows longer than 2^17 weights, and columns, are balanced in sections of about 2^17 weights, so
// that any range of codes costs bounded memory; a weight that is zero stays zero.
//
// Codebooks, and groups smaller than a row, keep plain rounding. The zero Sums does so for all.
type Balanced struct {
	Source Source
	Levels Grouped
	Sums   Sums

	scratches sync.Pool // of *scratch
}

// section bounds the weights that are balanced together.
const section = 1 << 17

// Codes writes the codes of the weights first…first+len(dst)-1 into dst. Every range gives the same codes. It may be
// called concurrently.
func (b *Balanced) Codes(dst []int32, first int) error {
	s, ok := b.scratches.Get().(*scratch)
	if !ok {
		s = new(scratch)
	}
	defer b.scratches.Put(s)
	if !b.possible() {
		return s.plain(b, dst, first)
	}
	for len(dst) > 0 {
		lo, hi := b.unit(first)
		codes, err := s.unit(b, lo, hi)
		if err != nil {
			return err
		}
		n := copy(dst, codes[first-lo:])
		dst, first = dst[n:], first+n
	}
	return nil
}

// Measure is like the function Measure, for the codes of b.
func (b *Balanced) Measure(round Round) (Stats, error) {
	n := b.Source.Len()
	if !b.possible() && len(b.Levels.Q) == 1 {
		return Measure(b.Source, b.Levels.Q[0], round)
	}
	lo, hi := b.Levels.Range()
	parts := make([]balanceTally, (n+section-1)/section)
	var g errgroup.Group
	g.SetLimit(8)
	for i := range parts {
		g.Go(func() error {
			return mapped.Guard(func() error {
				first := i * section
				return parts[i].add(b, first, min(section, n-first), lo, hi, round)
			})
		})
	}
	if err := g.Wait(); err != nil {
		return Stats{}, err
	}
	all := tally{counts: make([]uint32, hi-lo+1), value: make([]float32, hi-lo+1)}
	zeros := 0
	for i := range all.value {
		all.value[i] = float32(int32(i) + lo) // only zero matters
	}
	for _, p := range parts {
		all.signal += p.signal
		all.noise += p.noise
		zeros += p.zeros
		for i, c := range p.counts {
			all.counts[i] += c
		}
	}
	st := all.stats(n, Quantizer{})
	st.Zeros, st.Method = zeros, "grid balanced"
	return st, nil
}

// Hold makes the grid finer until its measured SQNR is at least minSQNR (dB) once more, and returns what it then does:
// balancing costs the weights themselves a little. o is what the grid was made with.
func (b *Balanced) Hold(minSQNR float64, o GridOptions) (Stats, error) {
	for {
		st, err := b.Measure(o.Round)
		if err != nil || st.SQNR >= minSQNR {
			return st, err
		}
		finer := math.Pow(10, (st.SQNR-minSQNR-0.005)/20)
		q := slices.Clone(b.Levels.Q)
		for i := range q {
			first, n := i*b.Levels.Size, b.Levels.Size
			if n == 0 {
				n = b.Source.Len()
			}
			group := Section(b.Source, first, min(n, b.Source.Len()-first))
			if q[i], _, err = Grid(group, float32(finer*float64(q[i].Step)), o); err != nil {
				return Stats{}, err
			}
			if q[i].Step == b.Levels.Q[i].Step {
				return Stats{}, &FloorError{Want: minSQNR, Got: st.SQNR} // as fine as float32 can say
			}
		}
		b.Levels.Q = q
	}
}

// balanceTally is what a section of the weights adds to a measurement.
type balanceTally struct {
	signal, noise float64
	zeros         int
	counts        []uint32
}

func (t *balanceTally) add(b *Balanced, first, n int, lo, hi int32, round Round) error {
	w, v, codes := make([]float32, n), make([]float32, n), make([]int32, n)
	if err := b.Source.Read(w, first); err != nil {
		return err
	}
	if err := finite(w, first); err != nil {
		return err
	}
	if err := b.Codes(codes, first); err != nil {
		return err
	}
	b.Levels.Values(v, codes, first)
	if round != nil {
		round(v)
	}
	t.counts = make([]uint32, hi-lo+1)
	for i, x := range w {
		e := float64(x) - float64(v[i])
		t.signal += float64(float64(x) * float64(x))
		t.noise += float64(e * e)
		t.counts[codes[i]-lo]++
		if v[i] == 0 {
			t.zeros++
		}
	}
	return nil
}

// possible reports whether b is more than plain rounding.
func (b *Balanced) possible() bool {
	g, s := b.Levels, b.Sums
	if len(g.Q) == 0 || slices.ContainsFunc(g.Q, func(q Quantizer) bool { return len(q.Codebook) > 0 }) {
		return false
	}
	if s.Columns > 0 {
		return g.Size == 0 && s.Columns <= section/2
	}
	return s.Row > 1 && (g.Size == 0 || g.Size%s.Row == 0) && s.Kernel <= section
}

// unit returns the bounds of the section that weight i is balanced in.
func (b *Balanced) unit(i int) (lo, hi int) {
	n := b.Source.Len()
	if c := b.Sums.Columns; c > 0 {
		size := section / c * c
		lo = i / size * size
		return lo, min(lo+size, n)
	}
	kernel := max(1, b.Sums.Kernel)
	row := i / b.Sums.Row * b.Sums.Row
	size := section / kernel * kernel
	lo = row + (i-row)/size*size
	return lo, min(lo+size, row+b.Sums.Row, n)
}

// scratch is the memory that balancing a section takes.
type scratch struct {
	w     []float32
	codes []int32
	turn  []int32   // codes of a panel, column by column
	err   []float64 // w/step - code
	sum   []float64 // by kernel
	pick  []int
}

// plain writes the codes of plain rounding.
func (s *scratch) plain(b *Balanced, dst []int32, first int) error {
	for len(dst) > 0 {
		n := min(section, len(dst))
		s.w = slices.Grow(s.w[:0], n)[:n]
		if err := b.Source.Read(s.w, first); err != nil {
			return fmt.Errorf("quantize: reading weights from %d on: %w", first, err)
		}
		b.Levels.Codes(dst[:n], s.w, first)
		dst, first = dst[n:], first+n
	}
	return nil
}

// unit returns the codes of weights lo…hi-1; they are valid until s is used again.
func (s *scratch) unit(b *Balanced, lo, hi int) ([]int32, error) {
	n := hi - lo
	s.w, s.codes, s.err = slices.Grow(s.w[:0], n)[:n], slices.Grow(s.codes[:0], n)[:n], slices.Grow(s.err[:0], n)[:n]
	if err := b.Source.Read(s.w, lo); err != nil {
		return nil, fmt.Errorf("quantize: reading weights from %d on: %w", lo, err)
	}
	q := b.Levels.Q[0]
	if b.Levels.Size > 0 {
		q = b.Levels.Q[lo/b.Levels.Size]
	}
	q.Codes(s.codes, s.w)
	if q.Step <= 0 {
		return s.codes, nil
	}
	inv := 1 / float64(q.Step)
	c := b.Sums.Columns
	if c == 0 {
		for i, w := range s.w {
			s.err[i] = float64(float64(w)*inv) - float64(s.codes[i])
		}
		s.balance(s.codes, s.err, max(1, b.Sums.Kernel), q)
		return s.codes, nil
	}
	rows := n / c
	s.turn = slices.Grow(s.turn[:0], n)[:n]
	for r := range rows {
		for j := range c {
			s.turn[j*rows+r] = s.codes[r*c+j]
			s.err[j*rows+r] = float64(float64(s.w[r*c+j])*inv) - float64(s.codes[r*c+j])
		}
	}
	for j := range c {
		s.balance(s.turn[j*rows:(j+1)*rows], s.err[j*rows:(j+1)*rows], 1, q)
	}
	for r := range rows {
		for j := range c {
			s.codes[r*c+j] = s.turn[j*rows+r]
		}
	}
	return s.codes, nil
}

// balance changes codes so that the errors e cancel within each kernel, and then within all.
func (s *scratch) balance(codes []int32, e []float64, kernel int, q Quantizer) {
	if kernel == 1 {
		for _, i := range s.top(e, e) {
			move(codes, e, i, q)
		}
		return
	}
	s.sum = s.sum[:0]
	for lo := 0; lo < len(e); lo += kernel {
		k, c := e[lo:min(lo+kernel, len(e))], codes[lo:min(lo+kernel, len(e))]
		sum := total(k)
		for range int(math.Abs(math.RoundToEven(sum))) {
			i := farthest(k, sum)
			sum -= move(c, k, i, q)
		}
		s.sum = append(s.sum, sum)
	}
	for _, j := range s.top(s.sum, s.sum) {
		lo, hi := j*kernel, min((j+1)*kernel, len(e))
		move(codes[lo:hi], e[lo:hi], farthest(e[lo:hi], s.sum[j]), q)
	}
}

func total(e []float64) (sum float64) {
	for _, x := range e {
		sum += x
	}
	return sum
}

// farthest returns the index of the error that is largest in the direction of sign.
func farthest(e []float64, sign float64) (best int) {
	for i, x := range e {
		if math.Copysign(1, sign)*(x-e[best]) > 0 {
			best = i
		}
	}
	return best
}

// move gives weight i the code next to its own on the side where the weight lies, if there is one, and returns the change.
func move(codes []int32, e []float64, i int, q Quantizer) float64 {
	d := int32(1)
	if e[i] < 0 {
		d = -1
	}
	if e[i] == 0 || codes[i]+d < q.Min || codes[i]+d > q.Max {
		return 0
	}
	codes[i] += d
	e[i] -= float64(d)
	return float64(d)
}

// top returns the indices of the |round(Σerrors)| keys that are largest in the direction of the sum, and not of the other
// sign; of equal keys the first.
func (s *scratch) top(keys, errors []float64) []int {
	sum := total(errors)
	n := int(math.Abs(math.RoundToEven(sum)))
	s.pick = s.pick[:0]
	if n == 0 {
		return nil
	}
	sign := math.Copysign(1, sum)
	// Errors spread evenly over ±½, so about 2n lie above this bound: few enough to sort.
	for width := 2 * float64(n) / float64(len(keys)); ; width *= 2 {
		bound := max(0, 0.5-width)
		s.pick = s.pick[:0]
		for i, k := range keys {
			if sign*k > bound {
				s.pick = append(s.pick, i)
			}
		}
		if len(s.pick) >= n || bound == 0 {
			break
		}
	}
	slices.SortFunc(s.pick, func(a, b int) int {
		return cmp.Or(cmp.Compare(sign*keys[b], sign*keys[a]), cmp.Compare(a, b))
	})
	return s.pick[:min(n, len(s.pick))]
}
