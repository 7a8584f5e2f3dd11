package archive

import (
	"github.com/effml/effml/onnx"
)

// Options says how Write packs. The zero value is useful: lossless, all
// processors, fast coding.
type Options struct {
	// Threads is the number of blocks that are coded at a time; 0 means
	// GOMAXPROCS. The bytes written do not depend on it.
	Threads int
	// Coders names the coders of package huffman that packed tensors may use;
	// nil means all. Each block gets the one that makes it shortest.
	Coders []string
	// Effort of the lossless coding, 0 (fast) to 2 (smallest), see
	// huffman.AppendValues.
	Effort int
	// Pack says how a tensor is packed; nil, or a nil Packed, means without
	// loss. It is called once for each tensor whose values are stored, in the
	// order of the model; tensors that Ties finds equal to an earlier one are
	// not asked for. A packed form that turns out no smaller than the lossless
	// one is dropped, and the tensor keeps its own values: see
	// [TensorSize.Form].
	Pack func(onnx.TensorRef) (*Packed, error)
	// Provenance is stored beside the model: where it came from and how it was made.
	Provenance map[string]string
	// Extra sections, uncritical, in any order of distinct ids.
	Extra []Section
	// Progress, if not nil, is called with the bytes of tensor values that
	// were coded since its last call, from one goroutine.
	Progress func(bytes int64)
	// Release, if not nil, is told of each tensor whose values will not be read
	// again soon, so that mapped pages may leave memory.
	Release func(*onnx.Tensor)
}

// Sizes says where the bytes of an archive went. Header to Checksums add up to
// Total, the size of the file.
type Sizes struct {
	Total     int64 `json:"total"`
	Header    int64 `json:"header"`    // magic, directory, tensor records, layout of external data, provenance, extra sections
	Topology  int64 `json:"topology"`  // the graph, names and attributes
	Codebooks int64 `json:"codebooks"` // steps and codebooks
	Codes     int64 `json:"codes"`     // of packed weights
	Positions int64 `json:"positions"` // where the non-zero ones of them are
	Raw       int64 `json:"raw"`       // values coded without loss
	Checksums int64 `json:"checksums"`

	Tensors []TensorSize `json:"tensors"`
}

// TensorSize says where the bytes of one tensor went. Codebooks to Checksums add
// up to Bytes. A tied tensor has none.
type TensorSize struct {
	Index    int           `json:"index"` // of its record, for Reader.Decode
	Name     string        `json:"name"`
	Path     string        `json:"path"` // of its graph, as in onnx.TensorRef
	Shape    []int64       `json:"shape"`
	DataType onnx.DataType `json:"data_type"`
	Role     onnx.Role     `json:"role"`
	// Form is "packed", "lossless" (also where packing was asked for and gained
	// nothing; the values are the original ones), or "same as NAME".
	Form string `json:"form"`
	// Method names the coders (packed) or what huffman.DescribeValues says
	// (lossless) of the blocks.
	Method  string `json:"method"`
	Weights int64  `json:"weights"`
	NonZero int64  `json:"non_zero"` // −1 if nothing was decoded that would tell

	Bytes     int64 `json:"bytes"`
	Codebooks int64 `json:"codebooks"`
	Codes     int64 `json:"codes"`
	Positions int64 `json:"positions"`
	Raw       int64 `json:"raw"`
	Checksums int64 `json:"checksums"`
}
