package evaluate

import (
	"context"

	"github.com/effml/effml/internal/job"
)

// Diff compares two models.
func Diff(ctx context.Context, c DiffConfig, ev job.Events) (*DiffResult, error) {
	return nil, c.Validate()
}
