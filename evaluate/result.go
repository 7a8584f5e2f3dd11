package evaluate

import "github.com/effml/effml/internal/job"

// Schemas of the results.
const (
	InspectSchema = "effml.inspect/v1"
	DiffSchema    = "effml.diff/v1"
)

// InspectConfig says what [Inspect] looks at.
type InspectConfig struct {
	Path      string `yaml:"-" json:"-" doc:"an .onnx or .effml file"`
	Histogram bool   `yaml:"histogram,omitempty" json:"histogram,omitempty" doc:"add a histogram of each floating-point tensor"`
	// Shapes of inputs by name, where the model leaves dimensions open; −1 leaves them so.
	Shapes  map[string][]int `yaml:"shape,omitempty" json:"shape,omitempty" doc:"shapes of inputs by name, where the model leaves dimensions open"`
	NoStats bool             `yaml:"no-stats,omitempty" json:"no-stats,omitempty" doc:"read no tensor values: faster, no distribution summary"`
	Threads int              `yaml:"threads,omitempty" json:"threads,omitempty" doc:"number of threads; 0 is all processors"`
	Command string           `yaml:"-" json:"-" doc:"the command line, copied into the result"`
}

// DiffConfig says what [Diff] compares.
type DiffConfig struct {
	Samples   `yaml:",inline"`
	Tolerance float64 `yaml:"tolerance,omitempty" json:"tolerance,omitempty" doc:"relative error up to which values of nodes count as equal; 0: only equal ones do"`
	A         string  `yaml:"-" json:"-" doc:"an .onnx or .effml file"`
	B         string  `yaml:"-" json:"-" doc:"another one"`
	Threads   int     `yaml:"threads,omitempty" json:"threads,omitempty" doc:"number of threads; 0 is all processors"`
	Command   string  `yaml:"-" json:"-" doc:"the command line, copied into the result"`
}

// InspectResult is what is in a model.
type InspectResult struct {
	job.Common
	Kind        string          `json:"kind" doc:"onnx or effml"`
	Model       ModelInfo       `json:"model"`
	MACs        int64           `json:"macs" doc:"multiplications followed by an addition in one run, of the nodes of which they are known"`
	MACsAt      []Value         `json:"macs_at" doc:"the inputs of that run: of dimensions that the model leaves open the first is 1"`
	MACsUnknown int             `json:"macs_unknown" doc:"nodes of which they are not known; nodes says why"`
	MovedBytes  int64           `json:"moved_bytes" doc:"bytes of the inputs and outputs of all nodes, each once a node"`
	Nodes       []NodeInfo      `json:"nodes" doc:"in the order of the graph, with those of the functions that it calls; sub-graphs count with the node that holds them"`
	Operators   []OperatorCount `json:"operators" doc:"most frequent first"`
	DataTypes   []TypeShare     `json:"data_types" doc:"most bytes first"`
	Parameters  int64           `json:"parameters" doc:"elements of floating-point tensors and of integer tensors that are de-quantised"`
	Elements    int64           `json:"elements" doc:"elements of all tensors"`
	TensorBytes int64           `json:"tensor_bytes" doc:"bytes of all tensors' values, decoded"`
	GraphBytes  int64           `json:"graph_bytes" doc:"bytes of the file that are not tensor values"`
	Tensors     []TensorInfo    `json:"tensors"`
	Archive     *ArchiveInfo    `json:"archive,omitempty"`
	Problems    []Problem       `json:"problems" doc:"what the checker objects to"`
}

// ModelInfo is the head of a model.
type ModelInfo struct {
	IRVersion       int64   `json:"ir_version"`
	Producer        string  `json:"producer,omitempty"`
	ProducerVersion string  `json:"producer_version,omitempty"`
	Domain          string  `json:"domain,omitempty"`
	ModelVersion    int64   `json:"model_version,omitempty"`
	Graph           string  `json:"graph,omitempty" doc:"name of the main graph"`
	Opsets          []Opset `json:"opsets"`
	Inputs          []Value `json:"inputs" doc:"inputs that are no initializers"`
	Outputs         []Value `json:"outputs"`
	Nodes           int     `json:"nodes" doc:"nodes of all graphs and functions"`
	SubGraphs       int     `json:"sub_graphs"`
	Functions       int     `json:"functions"`
	Metadata        []Entry `json:"metadata,omitempty"`
}

// Opset is an imported operator set.
type Opset struct {
	Domain  string `json:"domain"`
	Version int64  `json:"version"`
}

// Value is an input or an output.
type Value struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Shape string `json:"shape,omitempty" doc:"dimensions, names where they are symbolic; empty when unknown"`
}

// Entry is a key with its value.
type Entry struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// NodeInfo is what can be told of a node without running it.
type NodeInfo struct {
	Node       string  `json:"node" doc:"its name, or the operator and the name of its output; of nodes in functions with the path to them"`
	Op         string  `json:"op" doc:"operator, with its domain where that is not ONNX's"`
	Outputs    []Value `json:"outputs" doc:"with the dimensions that the model leaves open"`
	MACs       int64   `json:"macs,omitempty"`
	Parameters int64   `json:"parameters,omitempty" doc:"elements of the parameters that it is the first to use"`
	Moved      int64   `json:"moved_bytes,omitempty" doc:"bytes of its inputs and outputs, each once; 0 where they are not known"`
	Unknown    string  `json:"unknown,omitempty" doc:"why its MACs are not known"`
}

// OperatorCount says how often an operator occurs, what it computes and what tensors it uses.
type OperatorCount struct {
	Op         string `json:"op" doc:"operator, with its domain where that is not ONNX's"`
	Count      int    `json:"count"`
	MACs       int64  `json:"macs" doc:"of the nodes of which they are known"`
	Moved      int64  `json:"moved_bytes" doc:"bytes of inputs and outputs"`
	Parameters int64  `json:"parameters" doc:"elements of the tensors that such nodes use first"`
	Bytes      int64  `json:"bytes" doc:"bytes of their values, decoded"`
	Stored     int64  `json:"stored,omitempty" doc:"bytes they take in the archive"`
}

// TypeShare says what tensors of one data type take.
type TypeShare struct {
	Type     string `json:"type"`
	Tensors  int    `json:"tensors"`
	Elements int64  `json:"elements"`
	Bytes    int64  `json:"bytes"`
	Stored   int64  `json:"stored,omitempty" doc:"bytes they take in the archive"`
}

// TensorInfo is one tensor.
type TensorInfo struct {
	Name     string  `json:"name"`
	Graph    string  `json:"graph,omitempty" doc:"sub-graph or function that holds it, empty for the main graph"`
	Role     string  `json:"role" doc:"initializer, attribute, sparse values or sparse indices"`
	Op       string  `json:"op,omitempty" doc:"operator that uses it first"`
	Type     string  `json:"type"`
	Shape    []int64 `json:"shape"`
	Elements int64   `json:"elements"`
	Bytes    int64   `json:"bytes" doc:"bytes of its values, decoded"`
	Storage  string  `json:"storage,omitempty" doc:"field of the model that holds the values, or the external file"`
	Form     string  `json:"form,omitempty" doc:"in an archive: packed, lossless, or the tensor that it is the same as"`
	Method   string  `json:"method,omitempty" doc:"in an archive: how its blocks are coded"`
	Stored   int64   `json:"stored,omitempty" doc:"bytes it takes in the archive"`
	Stats    *Stats  `json:"stats,omitempty"`
}

// Stats summarises the values of a floating-point tensor. NaN and infinite values are counted apart and do not
// enter the rest.
type Stats struct {
	Min       float64 `json:"min"`
	Max       float64 `json:"max"`
	Mean      float64 `json:"mean"`
	Sigma     float64 `json:"sigma" doc:"standard deviation"`
	Zeros     float64 `json:"zeros" doc:"percentage of zeros"`
	Distinct  int     `json:"distinct" doc:"different values; 0 when there are more than 4096"`
	NaN       int64   `json:"nan,omitempty"`
	Inf       int64   `json:"inf,omitempty"`
	Histogram []int64 `json:"histogram,omitempty" doc:"counts in 64 equal bins from min to max"`
}

// ArchiveInfo says where the bytes of an archive went.
type ArchiveInfo struct {
	Format     int               `json:"format" doc:"version of the format"`
	Bytes      map[string]int64  `json:"bytes" doc:"total, header, topology, codebooks, codes, positions, raw, checksums; the parts add up to total"`
	Coders     []CoderShare      `json:"coders" doc:"coverage by coder, most bytes first"`
	Provenance map[string]string `json:"provenance,omitempty" doc:"how the archive was made"`
}

// CoderShare is the share of one way to store tensors.
type CoderShare struct {
	Name     string  `json:"name"`
	Tensors  int     `json:"tensors"`
	Elements int64   `json:"elements"`
	Bytes    int64   `json:"bytes"`
	Coverage float64 `json:"coverage" doc:"percentage of all elements"`
}

// Problem is an objection of the checker.
type Problem struct {
	Node    string `json:"node,omitempty"`
	Tensor  string `json:"tensor,omitempty"`
	Message string `json:"message"`
}

// DiffResult is how model B differs from model A.
type DiffResult struct {
	job.Common
	A       Side           `json:"a"`
	B       Side           `json:"b"`
	Equal   bool           `json:"equal" doc:"same graph and bit-equal tensors"`
	Graph   GraphDiff      `json:"graph"`
	Summary DiffSummary    `json:"summary"`
	Outputs *OutputsResult `json:"outputs,omitempty" doc:"how the outputs differ, over samples"`
	Nodes   *NodesResult   `json:"nodes,omitempty" doc:"at which nodes values differ, over samples"`
	Tensors []TensorDiff   `json:"tensors" doc:"tensors that differ first, then the equal ones"`
}

// Side is one of the two models.
type Side struct {
	job.File
	Kind       string `json:"kind" doc:"onnx or effml"`
	Nodes      int    `json:"nodes"`
	Tensors    int    `json:"tensors"`
	Parameters int64  `json:"parameters"`
	NonZero    int64  `json:"non_zero" doc:"floating-point weights that are not zero"`
}

// GraphDiff lists what differs in the graph.
type GraphDiff struct {
	Equal    bool     `json:"equal"`
	Nodes    []Change `json:"nodes"`
	Inputs   []Change `json:"inputs"`
	Outputs  []Change `json:"outputs"`
	Opsets   []Change `json:"opsets"`
	Metadata []Change `json:"metadata" doc:"producer, versions, doc strings and metadata entries; they do not make graphs unequal"`
}

// Change is something added, removed or changed.
type Change struct {
	Kind string `json:"kind" doc:"added (only in B), removed (only in A) or changed"`
	Name string `json:"name"`
	A    string `json:"a,omitempty"`
	B    string `json:"b,omitempty"`
}

// DiffSummary sums over the tensors.
type DiffSummary struct {
	Equal    int       `json:"equal"`
	Changed  int       `json:"changed"`
	Added    int       `json:"added"`
	Removed  int       `json:"removed"`
	MaxError job.Float `json:"max_error" doc:"largest absolute difference of two values"`
	SQNR     job.Float `json:"sqnr" doc:"dB over all floating-point tensors present in both; null when they are equal"`
}

// TensorDiff compares one tensor.
type TensorDiff struct {
	Name     string     `json:"name"`
	Graph    string     `json:"graph,omitempty"`
	Status   string     `json:"status" doc:"equal, values, shape, type, added or removed"`
	TypeA    string     `json:"type_a,omitempty"`
	TypeB    string     `json:"type_b,omitempty"`
	ShapeA   []int64    `json:"shape_a,omitempty"`
	ShapeB   []int64    `json:"shape_b,omitempty"`
	Changed  int64      `json:"changed,omitempty" doc:"values that differ"`
	MaxError *job.Float `json:"max_error,omitempty" doc:"largest absolute difference"`
	SQNR     *job.Float `json:"sqnr,omitempty" doc:"signal-to-noise ratio in dB with A as the signal; null when infinite"`
	ZerosA   float64    `json:"zeros_a" doc:"percentage of zeros in A"`
	ZerosB   float64    `json:"zeros_b" doc:"percentage of zeros in B"`
	BytesA   int64      `json:"bytes_a" doc:"bytes it takes in A: in the archive, or of its values in the model"`
	BytesB   int64      `json:"bytes_b" doc:"bytes it takes in B"`
	PackedA  bool       `json:"packed_a,omitempty" doc:"A is an archive and stores it as codes"`
	PackedB  bool       `json:"packed_b,omitempty" doc:"B is an archive and stores it as codes"`
}
