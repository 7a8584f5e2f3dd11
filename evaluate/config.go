package evaluate

import (
	"errors"
	"fmt"

	"github.com/effml/effml/internal/job"
)

// Validate reports all problems of c at once, as a [*job.UsageError].
func (c InspectConfig) Validate() error {
	var errs []error
	if c.Path == "" {
		errs = append(errs, errors.New("path: no file named"))
	}
	return usage(append(errs, checkThreads(c.Threads)...))
}

// Validate reports all problems of c at once, as a [*job.UsageError].
func (c DiffConfig) Validate() error {
	var errs []error
	if c.A == "" || c.B == "" {
		errs = append(errs, errors.New("a and b: two files are needed"))
	}
	errs = append(errs, c.Samples.check()...)
	if !(c.Tolerance >= 0) {
		errs = append(errs, fmt.Errorf("tolerance: %v is out of range, it must not be negative", c.Tolerance))
	}
	return usage(append(errs, checkThreads(c.Threads)...))
}

func checkThreads(n int) []error {
	if n < 0 {
		return []error{fmt.Errorf("threads: %d is out of range, it must be 0 (all processors) or more", n)}
	}
	return nil
}

func usage(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	return &job.UsageError{Err: fmt.Errorf("evaluate: %w", errors.Join(errs...))}
}
