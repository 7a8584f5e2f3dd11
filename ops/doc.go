// Package ops holds the operators, one file each; at present what it takes to fold the rewrites of packages prune and
// quantize back into plain initializers.
package ops
