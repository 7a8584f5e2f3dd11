package ops

// arrayOps are rearranging elements and arithmetic on shapes.
var arrayOps = []spec{}
