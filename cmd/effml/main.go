// Command effml makes trained networks smaller.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/effml/effml/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	os.Exit(cli.Main(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
