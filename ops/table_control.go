package ops

// controlOps are control flow and recurrent networks.
var controlOps = []spec{}
