package job

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// UsageError is a mistake in the command line or in a configuration.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }
func (e *UsageError) Unwrap() error { return e.Err }

// Usagef returns a [*UsageError]; the format is that of [fmt.Errorf].
func Usagef(format string, args ...any) error { return &UsageError{fmt.Errorf(format, args...)} }

// Problems collects what is wrong with a configuration, so that its Validate reports all of it at once.
type Problems struct {
	Prefix string // put before what Check reports
	errs   []error
}

// Check reports a problem unless ok; the format is that of [fmt.Errorf].
func (p *Problems) Check(ok bool, format string, args ...any) {
	if !ok {
		err := fmt.Errorf(format, args...)
		p.errs = append(p.errs, fmt.Errorf("%s%w", p.Prefix, err))
	}
}

// Add reports err as it is, unless it is nil.
func (p *Problems) Add(err error) {
	if err != nil {
		p.errs = append(p.errs, err)
	}
}

// Err returns all problems as one [*UsageError], a line each, or nil where there are none.
func (p *Problems) Err() error {
	if len(p.errs) == 0 {
		return nil
	}
	return &UsageError{errors.Join(p.errs...)}
}

// ModelError is a model that is invalid or not supported. Err names the node or tensor.
type ModelError struct{ Err error }

func (e *ModelError) Error() string { return e.Err.Error() }
func (e *ModelError) Unwrap() error { return e.Err }

// DataError is a problem of the data set, not of the model.
type DataError struct{ Err error }

func (e *DataError) Error() string { return e.Err.Error() }
func (e *DataError) Unwrap() error { return e.Err }

// ResumeError is a checkpoint that belongs to another run: it names what differs.
type ResumeError struct{ Err error }

func (e *ResumeError) Error() string { return e.Err.Error() }
func (e *ResumeError) Unwrap() error { return e.Err }

// VerifyError is a file that is damaged, or differs from what it was compared with.
type VerifyError struct{ Err error }

func (e *VerifyError) Error() string { return e.Err.Error() }
func (e *VerifyError) Unwrap() error { return e.Err }

// GateError says which gates were missed. The result exists and is written nevertheless: Run returns both.
type GateError struct{ Gates []Gate }

func (e *GateError) Error() string {
	parts := make([]string, len(e.Gates))
	for i, g := range e.Gates {
		parts[i] = fmt.Sprintf("%s: limit %s, got %s", g.Name, number(g.Limit), number(g.Value))
	}
	return "gate missed: " + strings.Join(parts, "; ")
}

// number writes integers (sizes) in full and all else with four significant digits.
func number(v float64) string {
	if v == float64(int64(v)) {
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// StoppedError is a job that was ended before its time by its context, whose error Err wraps. Left says what there is of its work.
type StoppedError struct {
	Err  error
	Left string
}

func (e *StoppedError) Error() string { return e.Left }
func (e *StoppedError) Unwrap() error { return e.Err }
