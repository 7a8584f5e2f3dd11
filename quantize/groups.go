package quantize

// Grouped quantises runs of Size consecutive weights with a quantiser each: weight i belongs to Q[i/Size]. Size 0 is one
// group of all. An output channel of a tensor in row-major layout [O, …] is a group of Len/O weights.
type Grouped struct {
	Size int
	Q    []Quantizer
}

// Fit is one of the functions of this package with its options bound.
type Fit func(src Source) (Quantizer, Stats, error)

// Groups fits each run of size consecutive weights on its own (the last may be shorter) and returns the statistics of all together.
func Groups(src Source, size int, fit Fit) (Grouped, Stats, error) { return Grouped{}, Stats{}, nil }

// Codes writes the codes of the weights first…first+len(w)-1 into dst.
func (g Grouped) Codes(dst []int32, w []float32, first int) {}

// Values writes the values of the codes of weights first…first+len(codes)-1 into dst.
func (g Grouped) Values(dst []float32, codes []int32, first int) {}

// Range returns the least and the greatest code of all groups.
func (g Grouped) Range() (lo, hi int32) { return 0, 0 }
