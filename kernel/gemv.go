package kernel

// Gemv computes dst[i] = act(Σ w[i·ldw + j]·x[j] + bias[i] + add[i]) for i below n and j below k: the product of a matrix, whose
// rows are read once and where they are, and a vector. ep is nil for none. dst must not overlap w or x.
func Gemv(c *CPU, dst []float32, w []float32, ldw int, x []float32, n, k int, ep *Epilogue) {
	if n <= 0 {
		return
	}
	t := newGemmTask(c)
	t.r = rowBlock{m: n, a: w, lda: ldw, k: k, dst: dst, ldc: 1, addStride: 1}
	if ep != nil {
		t.r.ep = *ep
	}
	t.b, t.ldb = x[:k], 1
	t.dots()
	t.release()
}

// vector computes p if it is a product of rows that are in memory one after another and a vector, and reports whether it is. Then,
// t.b is the vector and t.ldb the distance of the elements of the bias for neighbouring results.
func (t *gemmTask) vector(p *Product) bool {
	var step int
	switch {
	case p.N == 1 && !p.TransA:
		if step = p.LDB; p.TransB {
			step = 1
		}
		t.b, t.ldb = p.B, 0
	case p.M == 1 && p.TransB:
		if step = p.LDA; !p.TransA {
			step = 1
		}
		t.b, t.ldb = p.A, 1
		t.r.m, t.r.a, t.r.lda, t.r.ldc, t.r.addStride = p.N, p.B, p.LDB, 1, 1
	default:
		return false
	}
	if step != 1 {
		t.packed = grow(t.packed, p.K)
		for i := range t.packed {
			t.packed[i] = t.b[i*step]
		}
		t.b = t.packed
	}
	t.b = t.b[:p.K]
	t.dots()
	return true
}

// dots computes the products of all rows of t.r with t.b.
func (t *gemmTask) dots() {
	t.do = dotsPiece
	t.nBlock = max(4, 2*pieceSize/max(t.r.k, 1)&^3) // rows of a piece
	t.scratch = grow(t.scratch, t.cpu.threads)
	t.run((t.r.m + t.nBlock - 1) / t.nBlock)
}

func dotsPiece(t *gemmTask, i, worker int) {
	r := &t.r
	lo, hi := i*t.nBlock, min((i+1)*t.nBlock, r.m)
	t.scratch[worker] = grow(t.scratch[worker], hi-lo)
	sums := t.scratch[worker]
	dots(t.cpu.set, sums, r.a[min(lo*r.lda, len(r.a)):], t.b, r.lda)
	for j, sum := range sums {
		at := lo + j
		if r.scale != nil {
			sum *= r.scale.alpha
			if r.scale.beta != 0 {
				sum += r.scale.beta * r.dst[at*r.ldc]
			}
		}
		if r.ep.Bias != nil {
			sum += r.ep.Bias[at*t.ldb]
		}
		if r.ep.Add != nil {
			sum += r.ep.Add[at*r.addStride]
		}
		sums[j] = sum
	}
	activateRow(t.cpu.set, r.ep.Act, sums)
	for j, sum := range sums {
		r.dst[(lo+j)*r.ldc] = sum
	}
}

func dotsGeneric(dst, w, x []float32, stride int) {
	for r := range dst {
		var sum [4]float32
		row := w[min(r*stride, len(w)):]
		row = row[:len(x)]
		i := 0
		for ; i+4 <= len(x); i += 4 {
			sum[0] += row[i] * x[i]
			sum[1] += row[i+1] * x[i+1]
			sum[2] += row[i+2] * x[i+2]
			sum[3] += row[i+3] * x[i+3]
		}
		for ; i < len(x); i++ {
			sum[0] += row[i] * x[i]
		}
		dst[r] = sum[0] + sum[1] + (sum[2] + sum[3])
	}
}
