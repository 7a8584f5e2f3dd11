package ops

import (
	"fmt"
	"strings"
)

// LimitError refuses a tensor that is larger than memory is meant for.
type LimitError struct {
	What         string // type and shape
	Bytes, Limit int64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%s takes %d bytes, over the limit of %d", e.What, e.Bytes, e.Limit)
}

// UnsupportedError says that there is no such operator here.
type UnsupportedError struct {
	Domain, Name string
	Opset        int64
	Supported    [2]int64 // the operator sets in which the operator is known; zeros for none
	Detail       string   // what of the operator is not supported, if it is only a part
}

func (e *UnsupportedError) Error() string {
	name := e.Name
	if e.Domain != "" {
		name = e.Domain + "." + e.Name
	}
	var b strings.Builder
	fmt.Fprintf(&b, "operator %s of opset %d is not supported", name, e.Opset)
	switch {
	case e.Detail != "":
		b.WriteString(": " + e.Detail)
	case e.Supported[1] > 0:
		fmt.Fprintf(&b, "; supported is opset %d to %d", e.Supported[0], e.Supported[1])
	}
	return b.String()
}
