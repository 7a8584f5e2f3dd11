package archive

import (
	"context"

	"github.com/effml/effml/internal/mapped"
	"golang.org/x/sync/errgroup"
)

// inOrder runs work for every job that produce yields, on so many goroutines, and
// take for each job whose work is done, in the order they were yielded, one at a
// time. A few jobs a goroutine exist at a time. The first error ends everything;
// yield returns an error when that has happened. All three may touch mapped
// memory.
func inOrder[J any](ctx context.Context, threads int,
	produce func(ctx context.Context, yield func(J) error) error,
	work func(*scratch, J) error, take func(J) error,
) error {
	type item struct {
		job  J
		done chan struct{}
	}
	jobs, order := make(chan *item, threads), make(chan *item, 3*threads)
	g, ctx := errgroup.WithContext(ctx)
	send := func(to chan<- *item, it *item) error {
		select {
		case to <- it:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	// receive returns nil when the channel is closed.
	receive := func(from <-chan *item) (*item, error) {
		select {
		case it := <-from:
			return it, ctx.Err()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	start := func(fn func() error) { g.Go(func() error { return mapped.Guard(fn) }) }
	start(func() error {
		defer close(order)
		defer close(jobs)
		return produce(ctx, func(j J) error {
			it := &item{job: j, done: make(chan struct{})}
			if err := send(order, it); err != nil {
				return err
			}
			return send(jobs, it)
		})
	})
	for range threads {
		start(func() error {
			var sc scratch
			for {
				it, err := receive(jobs)
				if it == nil || err != nil {
					return err
				}
				if err := work(&sc, it.job); err != nil {
					return err
				}
				close(it.done)
			}
		})
	}
	start(func() error {
		for {
			it, err := receive(order)
			if it == nil || err != nil {
				return err
			}
			select {
			case <-it.done:
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := take(it.job); err != nil {
				return err
			}
		}
	})
	return g.Wait()
}
