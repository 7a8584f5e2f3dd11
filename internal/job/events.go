package job

// Events takes the progress of a job. Implementations must allow calls from several goroutines.
type Events interface {
	// Stage begins a stage of total units; total is 0 where it is unknown. Unit is "B" for bytes, else a
	// plural noun ("tensors"). The stage before it is over.
	Stage(name string, total int64, unit string)
	// Advance adds n units to the current stage.
	Advance(n int64)
	// Note passes on one line that a user should read, without a line end.
	Note(msg string)
}

// Discard is an [Events] that ignores everything.
var Discard Events = discard{} //nolint:gochecknoglobals // a constant that Go cannot spell, as io.Discard is

type discard struct{}

func (discard) Stage(string, int64, string) {}
func (discard) Advance(int64)               {}
func (discard) Note(string)                 {}
