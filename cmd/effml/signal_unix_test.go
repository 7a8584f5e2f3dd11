//go:build unix

package main

import (
	"fmt"
	"os"
	"syscall"
)

func interrupt(p *os.Process, signal string) error {
	switch signal {
	case "INT":
		return p.Signal(os.Interrupt)
	case "TERM":
		return p.Signal(syscall.SIGTERM)
	}
	return fmt.Errorf("unknown signal %s", signal)
}
