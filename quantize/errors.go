package quantize

import (
	"errors"
	"fmt"
)

// errChanged says that a source gave other weights on the second reading than on the first.
var errChanged = errors.New("quantize: the weights changed while they were being read")

// ValueError is a weight that cannot be quantised: NaN or an infinity.
type ValueError struct {
	Index int
	Value float32
}

func (e *ValueError) Error() string {
	return fmt.Sprintf("quantize: weight %d is %v", e.Index, e.Value)
}

// FloorError says that a signal-to-quantisation-noise ratio cannot be held; Got is the best that can be.
type FloorError struct{ Want, Got float64 }

func (e *FloorError) Error() string {
	return fmt.Sprintf("quantize: SQNR of %.2f dB cannot be held: %.2f dB is the most within the allowed levels", e.Want, e.Got)
}
