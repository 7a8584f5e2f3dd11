package ops

// mathOps are element-wise functions, comparisons, reductions.
var mathOps = []spec{}
