// Package mapped reads whole files as read-only memory, and turns the fault that a truncated file causes into an error.
package mapped
