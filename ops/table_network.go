package ops

// networkOps are neural-network layers.
var networkOps = []spec{}
