package dataset

import (
	"slices"

	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// Sample holds the values of one sample by the names of its fields. Tensors may be views of read-only memory: whoever
// changes a value puts a new tensor in its place.
type Sample map[string]*tensor.Tensor

// Collate says how the values that a field has in the samples of a batch become one tensor. N is the number of samples.
type Collate uint8

// The rules of collation.
const (
	// Stack joins values of equal shape […] to [N, …].
	Stack Collate = iota
	// Pad joins values [Tᵢ, …] to [N, max Tᵢ, …], zeros behind the shorter ones, and adds the field name_length, int64 [N].
	Pad
	// Ragged joins values [Tᵢ, …] to [Σ Tᵢ, …] and adds the field name_offsets, int64 [N+1]: sample i has rows offsets[i] to
	// offsets[i+1]−1.
	Ragged
	// Join joins values of equal shape [T, …] to [N·T, …]: clips of T frames for a model that takes frames.
	Join
)

var collateNames = []string{"stack", "pad", "ragged", "join"}

// String returns the name of the rule in a SPEC.
func (c Collate) String() string { return collateNames[c] }

// Names of the tensors that Pad and Ragged add to a batch, behind the name of the field.
const (
	LengthSuffix  = "_length"
	OffsetsSuffix = "_offsets"
)

// Kind says what a field is, and so what may be done to it.
type Kind uint8

// The kinds of fields.
const (
	Values Kind = iota // passed on as it is
	Image              // [H, W, C] or frames [T, H, W, C], of uint8 or float32: augmented and preprocessed
	Label              // int64 []: the number of the class
)

// Field describes a field of all samples of a source.
type Field struct {
	Name    string
	Kind    Kind
	Type    onnx.DataType
	Shape   []int // of one sample; −1 where samples differ
	Collate Collate
}

// Source is a row of samples. Its methods are safe for concurrent calls.
type Source interface {
	Len() int
	Fields() []Field
	// Read puts the fields of sample i into s. The tensors stay valid until the source is closed.
	Read(i int, s Sample) error
	// Name says where sample i comes from: a file, and the place in it where it has several.
	Name(i int) string
	Close() error
}

// labelled is a Source that knows a label without reading the sample.
type labelled interface {
	label(i int) int64
}

// fieldOf returns the field called name.
func fieldOf(fields []Field, name string) (Field, bool) {
	i := slices.IndexFunc(fields, func(f Field) bool { return f.Name == name })
	if i < 0 {
		return Field{}, false
	}
	return fields[i], true
}

// fieldsOfKind returns the fields of a kind.
func fieldsOfKind(fields []Field, k Kind) []Field {
	return slices.DeleteFunc(slices.Clone(fields), func(f Field) bool { return f.Kind != k })
}

func names(fields []Field) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.Name
	}
	return out
}

// chain is several sources of the same fields, one behind another.
type chain struct {
	parts  []Source
	starts []int // of each, and the end
}

func newChain(parts []Source) Source {
	if len(parts) == 1 {
		return parts[0]
	}
	c := &chain{parts: parts, starts: []int{0}}
	for _, p := range parts {
		c.starts = append(c.starts, c.Len()+p.Len())
	}
	return c
}

// find returns the source of sample i and its number there.
func (c *chain) find(i int) (Source, int) {
	k, found := slices.BinarySearch(c.starts, i)
	if !found {
		k--
	}
	for c.starts[k+1] == i { // an empty source
		k++
	}
	return c.parts[k], i - c.starts[k]
}

func (c *chain) Len() int        { return c.starts[len(c.starts)-1] }
func (c *chain) Fields() []Field { return c.parts[0].Fields() }

func (c *chain) Read(i int, s Sample) error {
	p, k := c.find(i)
	return p.Read(k, s)
}

func (c *chain) Name(i int) string {
	p, k := c.find(i)
	return p.Name(k)
}

func (c *chain) label(i int) int64 {
	p, k := c.find(i)
	if l, ok := p.(labelled); ok {
		return l.label(k)
	}
	return 0
}

func (c *chain) Close() error {
	var first error
	for _, p := range c.parts {
		if err := p.Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}
