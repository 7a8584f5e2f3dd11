package train

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"maps"

	"github.com/effml/effml/dataset"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/tensor"
)

// LabelsField is the field in which a [FeedStream] delivers classes, int64 [N].
const LabelsField = "labels"

// FeedStream delivers the samples of a Feed: a field for each input of the model under the input's name, the classes as [LabelsField], and the fields of
// the samples under their own names where these are free. O.Batch is the samples of a batch (0: 1), whatever number the model insists on; a last batch that
// is not full is left out, unless it is the only one. O.Epoch and O.First do not count.
func FeedStream(feed *dataset.Feed, o dataset.Options) Stream {
	f := *feed
	f.Batch = 0
	o.Batch = min(max(o.Batch, 1), f.Len())
	o.DropLast = true
	return &feedStream{&f, o}
}

type feedStream struct {
	feed    *dataset.Feed
	options dataset.Options
}

func (s *feedStream) PerEpoch() int { return s.feed.Len() / s.options.Batch }

func (s *feedStream) Fingerprint() (string, error) {
	samples, err := s.feed.Fingerprint()
	if err != nil {
		return "", err
	}
	o := s.options
	text := fmt.Sprintf("%s %d %v %d %v %d %d", samples, o.Batch, o.Shuffle, o.Seed, o.Augment, len(o.Transforms), o.SkipBad)
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:]), nil
}

func (s *feedStream) Batches(ctx context.Context, epoch, first int) iter.Seq2[*Batch, error] {
	o := s.options
	o.Epoch, o.First = epoch, first
	return func(yield func(*Batch, error) bool) {
		out := &Batch{Fields: map[string]*tensor.Tensor{}}
		for b, err := range s.feed.Batches(ctx, o) {
			if err != nil {
				yield(nil, err)
				return
			}
			maps.Copy(out.Fields, b.Fields)
			if s.feed.Labels != "" {
				out.Fields[LabelsField] = b.Fields[s.feed.Labels]
			}
			for i, in := range s.feed.Inputs {
				out.Fields[in.Name] = b.Inputs[i]
			}
			out.Samples, out.Number = b.Len, b.Number
			if !yield(out, nil) {
				return
			}
		}
	}
}

// cursor is a place in a stream.
type cursor struct {
	name          string
	stream        Stream
	epoch, number int // of the batch that comes next
	next          func() (*Batch, error, bool)
	stop          func()
}

// take returns the next batch, of the next epoch where one is over.
func (c *cursor) take(ctx context.Context) (*Batch, error) {
	for range 2 {
		if c.next == nil {
			c.next, c.stop = iter.Pull2(c.stream.Batches(ctx, c.epoch, c.number))
		}
		b, err, ok := c.next()
		switch {
		case err != nil:
			return nil, fmt.Errorf("train: stream %q: %w", c.name, err)
		case ok:
			c.number = b.Number + 1
			return b, nil
		}
		c.close()
		c.epoch, c.number = c.epoch+1, 0
	}
	return nil, &job.DataError{Err: fmt.Errorf("train: stream %q has no batch in epoch %d", c.name, c.epoch)}
}

// close ends what a stream has under way.
func (c *cursor) close() {
	if c.stop != nil {
		c.stop()
	}
	c.next, c.stop = nil, nil
}
