// Package job holds what every command of effml has in common as a library call (Config → Run → Result):
// progress events, the common part of result objects, timing, gates and typed errors.
package job
