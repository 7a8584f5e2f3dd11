package evaluate

import (
	"context"

	"github.com/effml/effml/internal/job"
)

// Inspect reports what is in a model.
func Inspect(ctx context.Context, c InspectConfig, ev job.Events) (*InspectResult, error) {
	return nil, c.Validate()
}
