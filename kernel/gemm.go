package kernel

// Product is C = act(α·op(A)·op(B) + β·C + bias + add), where op transposes or does not. Matrices are row-major: op(A) is
// [M, K], op(B) [K, N], C [M, N]; LDA, LDB and LDC are the distances between rows as they are stored.
//
// C must not overlap A or B. It is not read where Beta is 0, so that what it held, NaN included, does not matter. M, N or K may
// be 0. Bias has N elements; Add, which may be C, is laid out as C. NaN and infinities give what the formula gives.
type Product struct {
	TransA, TransB bool
	M, N, K        int
	Alpha, Beta    float32
	A              []float32
	LDA            int
	B              []float32
	LDB            int
	C              []float32
	LDC            int
	Epilogue
}

// Gemm computes a product. Its method is that of Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication,
// ACM TOMS 34(3), 2008: B is packed, K is cut into chunks (by K alone) whose sums, in float32, are added in order. We deviate in
// that rows of A are read in place, as is B where A has few rows, and that chunks of K are as long as the second-level
// cache, not the first, allows: today's processors read ahead from there fast enough, and C is written less often.
func Gemm(c *CPU, p *Product) {
	t := newGemmTask(c)
	t.product(p)
	t.release()
}

// GemmBatch computes products that do not depend on each other, several at a time where they are small.
func GemmBatch(c *CPU, p []Product) {
	if len(p) == 0 {
		return
	}
	if q := &p[0]; q.M*q.N*q.K >= 1<<24 || len(p) == 1 {
		for i := range p {
			Gemm(c, &p[i])
		}
		return
	}
	t := newGemmTask(c)
	t.do, t.batch = batchPiece, p
	t.run(len(p))
	t.release()
}

func batchPiece(t *gemmTask, i, _ int) {
	own := newGemmTask(t.cpu)
	own.alone = true
	own.product(&t.batch[i])
	own.release()
}

// Gemm computes dst = act(A·B + bias + add), where A is [m, K] with distance lda between rows, and dst [m, N] with distance
// ldc. ep, nil for none, has a bias of N elements and something to add that is laid out as dst, which it may be, with distance
// addStride. dst must not overlap a. The same row of A gives the same bits whatever m is.
func (p *Packed) Gemm(c *CPU, m int, a []float32, lda int, dst []float32, ldc int, ep *Epilogue, addStride int) {
	if m <= 0 || p.n == 0 {
		return
	}
	t := newGemmTask(c)
	t.r = rowBlock{m: m, a: a, lda: lda, k: p.k, dst: dst, ldc: ldc, addStride: addStride}
	if ep != nil {
		t.r.ep = *ep
	}
	t.multiply(p)
	t.release()
}
