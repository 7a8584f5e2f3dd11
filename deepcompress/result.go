package deepcompress

import (
	"github.com/effml/effml/evaluate"
	"github.com/effml/effml/internal/job"
)

// Schemas of the results.
const (
	CompressSchema   = "effml.compress/v1"
	DecompressSchema = "effml.decompress/v1"
	VerifySchema     = "effml.verify/v1"
)

// Result is what [Run] did.
type Result struct {
	job.Common
	Preset    string              `json:"preset,omitempty" doc:"preset used"`
	Plan      string              `json:"plan,omitempty" doc:"plan file used instead of a preset"`
	DryRun    bool                `json:"dry_run,omitempty" doc:"bytes were counted, nothing was written"`
	Verified  bool                `json:"verified" doc:"the archive was decoded after writing and every checksum agreed"`
	Ratio     Ratio               `json:"ratio"`
	Bytes     Bytes               `json:"bytes"`
	Floats    FloatTotals         `json:"weights" doc:"sums over the floating-point tensors"`
	Accuracy  *evaluate.Accuracy  `json:"accuracy,omitempty" doc:"before: of the model; after: of what the archive decodes to; on the same samples"`
	Agreement *evaluate.Agreement `json:"agreement,omitempty" doc:"how often both give the same answer"`
	Data      *evaluate.DataUsed  `json:"data,omitempty" doc:"what both were run on"`
	Tensors   []Tensor            `json:"tensors" doc:"what was done with each tensor"`
	Coders    []CoderShare        `json:"coders" doc:"bytes by the way tensors are stored"`
	Gates     []job.Gate          `json:"gates,omitempty"`
	Notes     []string            `json:"notes" doc:"what a reader must know"`
	ONNX      *job.File           `json:"onnx,omitempty" doc:"the plain model written by emit-onnx"`
	Packed    *job.File           `json:"onnx_packed,omitempty" doc:"the small ONNX model written by emit-onnx-packed"`
	PlanOut   string              `json:"plan_out,omitempty" doc:"the resolved plan that was written"`
	Stripped  int64               `json:"stripped_bytes" doc:"bytes of doc strings and exporter traces that were dropped"`
}

// Ratio says how much smaller the archive is.
type Ratio struct {
	File    float64 `json:"file" doc:"input bytes, external data included, by output bytes"`
	Weights float64 `json:"weights" doc:"4 bytes a floating-point weight by output bytes"`
}

// Bytes says where the bytes of an archive are. The parts add up to Total, the size of the file.
type Bytes struct {
	Total     int64 `json:"total"`
	Header    int64 `json:"header" doc:"magic, version, directory, trailer, tensor records"`
	Topology  int64 `json:"topology" doc:"graph, attributes, metadata"`
	Codebooks int64 `json:"codebooks" doc:"codebooks and steps"`
	Codes     int64 `json:"codes" doc:"entropy-coded levels"`
	Positions int64 `json:"positions" doc:"where the non-zero weights are"`
	Raw       int64 `json:"raw" doc:"tensors stored without loss"`
	Checksums int64 `json:"checksums"`
}

// FloatTotals sums over the floating-point tensors of a model.
type FloatTotals struct {
	Count   int64     `json:"count" doc:"number of weights; tied ones count every time"`
	Packed  int64     `json:"packed" doc:"weights stored as codes"`
	NonZero int64     `json:"non_zero" doc:"weights that are not zero afterwards"`
	SQNR    job.Float `json:"sqnr" doc:"signal-to-quantisation-noise ratio over all of them in dB; null when nothing changed"`
}

// Tensor is one row of the table: what was done with a tensor, and why not where nothing was done.
type Tensor struct {
	Name          string     `json:"name"`
	Graph         string     `json:"graph,omitempty" doc:"sub-graph or function that holds it, empty for the main graph"`
	Op            string     `json:"op,omitempty" doc:"operator that uses it first"`
	Type          string     `json:"type" doc:"data type"`
	Shape         []int64    `json:"shape"`
	Action        string     `json:"action" doc:"packed (grid), shared (codebook), pruned+packed, pruned+shared, tied or kept"`
	Reason        string     `json:"reason,omitempty" doc:"why it was kept without loss"`
	Kept          float64    `json:"kept" doc:"fraction of its weights that are not zero afterwards, 0 to 1"`
	Bits          int        `json:"bits,omitempty" doc:"bits of a code: enough for all levels"`
	Levels        int        `json:"levels,omitempty" doc:"different values a weight can have"`
	Step          float64    `json:"step,omitempty" doc:"distance of two levels of a grid"`
	BitsPerWeight float64    `json:"bits_per_weight" doc:"stored bits by weights"`
	SQNR          *job.Float `json:"sqnr,omitempty" doc:"signal-to-quantisation-noise ratio in dB, absent when nothing was lost"`
	Coder         string     `json:"coder,omitempty" doc:"how its blocks are stored"`
	Weights       int64      `json:"weights"`
	Before        int64      `json:"bytes_before" doc:"bytes of its values in the model"`
	Bytes         int64      `json:"bytes" doc:"bytes it takes in the archive, its record included"`
	Histogram     *Histogram `json:"histogram,omitempty"`
}

// Histogram counts the weights of a tensor in equal bins between Min and Max, before and after.
type Histogram struct {
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	Before []int64 `json:"before"`
	After  []int64 `json:"after"`
}

// CoderShare is the share of one way to store tensors.
type CoderShare struct {
	Name    string `json:"name"`
	Tensors int    `json:"tensors"`
	Weights int64  `json:"weights"`
	Bytes   int64  `json:"bytes"`
}

// DecompressResult is what [Decompress] did.
type DecompressResult struct {
	job.Common
	Format     int               `json:"format" doc:"version of the archive's format"`
	Tensors    int               `json:"tensors"`
	Weights    int64             `json:"weights" doc:"elements of all tensors"`
	Provenance map[string]string `json:"provenance,omitempty" doc:"how the archive was made"`
}

// VerifyResult is what [Verify] found.
type VerifyResult struct {
	job.Common
	Format   int                     `json:"format" doc:"version of the archive's format"`
	OK       bool                    `json:"ok"`
	Tensors  int                     `json:"tensors" doc:"tensors decoded"`
	Damage   []Damage                `json:"damage" doc:"what is damaged"`
	Against  *Comparison             `json:"against,omitempty"`
	Outputs  *evaluate.OutputsResult `json:"outputs,omitempty" doc:"how the outputs differ from those of the model, over samples"`
	Gates    []job.Gate              `json:"gates,omitempty"`
	Packed   int                     `json:"packed" doc:"tensors stored as codes"`
	Lossless int                     `json:"lossless" doc:"tensors stored without loss"`
}

// Damage is one damaged place of an archive.
type Damage struct {
	Tensor string `json:"tensor,omitempty"`
	Block  int    `json:"block" doc:"number of the block of the tensor, -1 where it is no block"`
	Offset int64  `json:"offset" doc:"position in the file"`
	Error  string `json:"error"`
}

// Comparison is how an archive differs from the model it was made from.
type Comparison struct {
	Model      job.File      `json:"model"`
	Equal      int           `json:"equal" doc:"tensors that are equal bit by bit"`
	Lossy      int           `json:"lossy" doc:"tensors stored as codes, with an error"`
	Mismatched int           `json:"mismatched" doc:"tensors that differ although they must not, or are missing"`
	Tensors    []TensorMatch `json:"tensors"`
}

// TensorMatch compares one tensor of an archive with the original.
type TensorMatch struct {
	Name     string     `json:"name"`
	Status   string     `json:"status" doc:"equal, lossy, or mismatched"`
	Problem  string     `json:"problem,omitempty" doc:"what is wrong when mismatched"`
	MaxError float64    `json:"max_error" doc:"largest absolute difference of two weights"`
	SQNR     *job.Float `json:"sqnr,omitempty" doc:"dB; null when infinite"`
}
