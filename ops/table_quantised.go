package ops

// quantisedOps are integers that stand for reals.
var quantisedOps = []spec{}
