package job

import (
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
