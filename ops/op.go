package ops

import (
	"github.com/effml/effml/kernel"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// Op is an operator with its attributes: what a node computes. It is immutable and may run in several goroutines at once.
//
// An operator says more about itself by implementing Coster, Packer, Sizer, ChannelsLaster, InPlacer, Viewer, Scratcher, Activator,
// Repeater or Differentiable as well.
type Op interface {
	// Infer returns what is known of the outputs from what is known of the inputs: type and shape, and values where the
	// operator does arithmetic on shapes. An input that is left out has Type Undefined. Errors say what is wrong with which
	// input; the caller adds the node.
	Infer(in []Info) ([]Info, error)
	// Run computes the outputs, which it gets from c.Out. Inputs must not be written to. It checks what Infer could not know.
	Run(c *Call) error
}

// Coster is implemented by operators that do more than touch each element once.
type Coster interface {
	// Cost is asked when all shapes are known.
	Cost(in, out []Info) Cost
}

// Cost is what an operator does, for all samples of its input together.
type Cost struct {
	MACs  int64 // multiplications that are followed by an addition, as the literature counts them: of products and convolutions
	Bytes int64 // read and written, each operand once; 0 leaves it to the sum of the sizes of inputs and outputs
}

// Packer is implemented by operators that prepare constant inputs once, such as weights.
type Packer interface {
	// Pack returns an operator that computes the same from inputs of which those with a Value in info are constant. Of those it
	// names in dropped it needs no longer the values: it gets nil for them. Shapes in info may be unknown.
	Pack(cpu *kernel.CPU, info []Info) (packed Op, dropped []int, err error)
}

// Sizer is implemented by operators that Pack returns.
type Sizer interface {
	// PackedBytes returns the memory that prepared inputs take.
	PackedBytes() int64
}

// ChannelsLaster is implemented by operators that can work on tensors of rank 4 in the layout tensor.ChannelsLast.
type ChannelsLaster interface {
	// ChannelsLast says, given what is known of the inputs, which inputs may come in that layout (in[i]; all that may must then
	// come in it when they have rank 4, else all of them Plain) and whether the operator is faster so. An operator that is given
	// ChannelsLast gives outputs of rank 4 in ChannelsLast, unless it is a PlainResulter.
	ChannelsLast(in []Info) (inputs []bool, faster bool)
}

// PlainResulter is implemented by those ChannelsLasters whose outputs are Plain nevertheless.
type PlainResulter interface{ PlainResults() }

// InPlacer is implemented by operators that read each element of an input before they write the same element of output 0.
type InPlacer interface {
	// InPlace lists the inputs whose memory output 0 may take when it has their type and shape.
	InPlace() []int
}

// Viewer is implemented by operators whose output 0 is input 0 with another shape. Run is not called where the executor can
// share the memory.
type Viewer interface{ IsView() }

// Scratcher is implemented by operators that need memory while they run.
type Scratcher interface {
	// Scratch returns the number of float32 that Call.Scratch will hold, for known shapes.
	Scratch(cpu *kernel.CPU, in []Info) int
}

// Activator is implemented by operators that a convolution or product may apply to its result.
type Activator interface {
	// Activation returns the function, and false if these attributes (or constant inputs) are beyond it.
	Activation(in []Info) (kernel.Activation, bool)
}

// Fuser is implemented by operators that take over what follows them.
type Fuser interface {
	// Fuse returns an operator that also adds a last input of the output's shape (if add), then applies act.
	Fuse(add bool, act kernel.Activation) Op
}

// Body is a sub-graph of a control-flow node.
type Body interface {
	// NumIn and NumOut are the numbers of formal inputs and outputs.
	NumIn() int
	NumOut() int
	Infer(in []Info) ([]Info, error)
	// Run runs the sub-graph on behalf of c, whose captured values it sees. The results belong to the caller.
	Run(c *Call, in []*tensor.Tensor) ([]*tensor.Tensor, error)
}

// Repeater is implemented by operators that run a Body any number of times.
type Repeater interface {
	// Repeats returns how often the body runs, and false where only a run can tell.
	Repeats(in []Info) (int, bool)
}

// Call is one execution of an operator.
type Call struct {
	CPU *kernel.CPU
	In  []*tensor.Tensor // nil for an optional input that is left out
	// Captured are values of the surrounding graphs that the bodies use, for the Body to read.
	Captured []*tensor.Tensor
	// Outs has an entry for each output of the node. Before Run an entry may hold memory to use, see Out; after it, it is the
	// result. nil in Wanted[i] false: nobody reads the output and it need not be computed.
	Outs   []*tensor.Tensor
	Wanted []bool
	// Scratch has the length that Scratcher asked for; its contents are arbitrary.
	Scratch []float32
	// Wide is memory for operands of half precision, nil where each run may take its own.
	Wide *Wide
	// Limit bounds the bytes of an output that no plan has foreseen.
	Limit int64
	// Seed makes random operators repeatable.
	Seed uint64
	// Done is closed when the run is to end early, nil when it never is. Bodies heed it.
	Done <-chan struct{}
}

// Out returns the tensor for output i, with type, shape and layout set and elements arbitrary: the planned memory where that
// is large enough, else new memory. It is an error if the size passes Limit.
func (c *Call) Out(i int, dt onnx.DataType, shape []int, layout ...tensor.Layout) (*tensor.Tensor, error) {
	var l tensor.Layout
	if len(layout) > 0 {
		l = layout[0]
	}
	n, err := tensor.Count(shape)
	if err != nil {
		return nil, err
	}
	if t := c.Outs[i]; t != nil && t.Reuse(dt, shape, l) {
		return t, nil
	}
	if size := int64(n) * int64(max(tensor.Width(dt), 1)); c.Limit > 0 && size > c.Limit {
		return nil, &LimitError{What: tensor.Describe(dt, shape), Bytes: size, Limit: c.Limit}
	}
	t, err := tensor.New(dt, shape...)
	if err != nil {
		return nil, err
	}
	t.Layout = l
	c.Outs[i] = t
	return t, nil
}
