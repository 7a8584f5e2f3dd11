package deepcompress

import (
	"context"

	"github.com/effml/effml/internal/job"
)

// Decompress restores the ONNX model of an archive.
func Decompress(ctx context.Context, c DecompressConfig, ev job.Events) (*DecompressResult, error) {
	return nil, c.Validate()
}
