package deepcompress

import (
	"context"

	"github.com/effml/effml/internal/job"
)

// Verify decodes a whole archive. Damage and mismatches are in the result, which comes with a [*job.VerifyError].
func Verify(ctx context.Context, c VerifyConfig, ev job.Events) (*VerifyResult, error) {
	return nil, c.Validate()
}
