//go:build !unix

package main

import (
	"errors"
	"os"
)

func interrupt(*os.Process, string) error {
	return errors.New("this system has no signals; the script is skipped")
}
