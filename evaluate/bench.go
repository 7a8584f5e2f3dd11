package evaluate

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/effml/effml/infer"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/modelfile"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/ops"
	"github.com/effml/effml/tensor"
)

// BenchSchema names the result of [Bench].
const BenchSchema = "effml.bench/v1"

// BenchConfig says what [Bench] measures.
type BenchConfig struct {
	Path      string           `yaml:"-" json:"-" doc:"an .onnx or .effml file"`
	Runs      int              `yaml:"runs,omitempty" json:"runs,omitempty" doc:"runs that are measured; 0 is 50"`
	Warmup    int              `yaml:"warmup,omitempty" json:"warmup,omitempty" doc:"runs before them"`
	Batch     int              `yaml:"batch,omitempty" json:"batch,omitempty" doc:"samples in a run, where the model leaves that open; 0 is 1"`
	Shapes    map[string][]int `yaml:"shape,omitempty" json:"shape,omitempty" doc:"shapes of inputs by name"`
	Ops       bool             `yaml:"ops,omitempty" json:"ops,omitempty" doc:"also time every operator"`
	Train     bool             `yaml:"train,omitempty" json:"train,omitempty" doc:"measure whole steps of training instead"`
	Recompute bool             `yaml:"recompute,omitempty" json:"recompute,omitempty" doc:"of training: compute values between layers again on the way back"`
	Threads   int              `yaml:"threads,omitempty" json:"threads,omitempty" doc:"number of threads; 0 is all processors"`
	Seed      uint64           `yaml:"seed,omitempty" json:"seed,omitempty" doc:"seed of the random inputs"`
	Command   string           `yaml:"-" json:"-" doc:"the command line, copied into the result"`
}

// BenchResult is how fast a model runs.
type BenchResult struct {
	job.Common
	MS          Spread      `json:"ms" doc:"milliseconds a run"`
	GFLOPS      float64     `json:"gflops" doc:"10^9 floating-point operations a second in the median run, a multiplication and an addition being two"`
	MACs        int64       `json:"macs" doc:"multiplications with an addition in one run"`
	Batch       int         `json:"batch" doc:"samples in a run"`
	ImagesPerS  float64     `json:"images_per_s" doc:"samples a second in the median run"`
	Runs        int         `json:"runs" doc:"runs that were measured"`
	LoadMS      float64     `json:"load_ms" doc:"milliseconds to open and prepare the model"`
	LoadFirstMS float64     `json:"load_first_ms" doc:"milliseconds from nothing to the first answer"`
	Inputs      []Value     `json:"inputs" doc:"the inputs, of random numbers"`
	Memory      RunMemory   `json:"memory"`
	Train       *TrainBench `json:"train,omitempty" doc:"present where steps of training were measured: ms and images_per_s are then of these"`
	Ops         []OpTiming  `json:"ops,omitempty" doc:"time of every node, the slowest first"`
	Kinds       []OpTiming  `json:"kinds,omitempty" doc:"time of all nodes of an operator together, the slowest first"`
}

// Spread says how a quantity varied.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// RunMemory is what a run takes beside the model file.
type RunMemory struct {
	Activations int64 `json:"activations" doc:"bytes of the memory that activations share, at their peak"`
	Packed      int64 `json:"packed" doc:"bytes of weights that were rearranged for speed"`
	Repacks     int   `json:"repacks" doc:"activations that change their layout on the way"`
}

// OpTiming is the time of one node, or of what no node accounts for.
type OpTiming struct {
	Node   string  `json:"node,omitempty" doc:"name of the node; several that were fused bear the first one's"`
	Op     string  `json:"op"`
	Nodes  int     `json:"nodes,omitempty" doc:"number of nodes, where it is the time of several"`
	Shape  string  `json:"shape,omitempty" doc:"type and shape of the first output"`
	MS     float64 `json:"ms" doc:"median milliseconds a run"`
	Share  float64 `json:"share" doc:"of the run, in percent"`
	GFLOPS float64 `json:"gflops,omitempty"`
	GBPerS float64 `json:"gb_per_s,omitempty" doc:"10^9 bytes a second read and written, each operand counted once"`
}

// Validate reports all problems of c at once, as a [*job.UsageError].
func (c BenchConfig) Validate() error {
	errs := checkThreads(c.Threads)
	if c.Path == "" {
		errs = append(errs, fmt.Errorf("path: no file named"))
	}
	if c.Train && c.Ops {
		errs = append(errs, fmt.Errorf("ops: operators of a training step are not timed one by one"))
	}
	for _, f := range []struct {
		name  string
		value int
	}{{"runs", c.Runs}, {"warmup", c.Warmup}, {"batch", c.Batch}} {
		if f.value < 0 {
			errs = append(errs, fmt.Errorf("%s: %d is out of range, it must not be negative", f.name, f.value))
		}
	}
	return usage(errs)
}

// Bench measures how long the model takes on random inputs: floats from the standard normal distribution, integers 1. Time that the
// process waits for a processor counts, so an idle machine matters.
func Bench(ctx context.Context, c BenchConfig, ev job.Events) (*BenchResult, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if ev == nil {
		ev = job.Discard
	}
	timer := job.Start(BenchSchema, c.Seed, c.Threads)
	result := &BenchResult{Runs: c.Runs}
	if result.Runs == 0 {
		result.Runs = 50
	}
	result.Command = c.Command
	measure := bench
	if c.Train {
		measure = benchTrain
	}
	if err := measure(ctx, c, ev, result); err != nil {
		return nil, modelfile.Explain(err)
	}
	timer.Fill(&result.Common)
	return result, nil
}

func bench(ctx context.Context, c BenchConfig, ev job.Events, r *BenchResult) error {
	start := time.Now()
	s, err := openSession(c.Path, c.Threads, c.Ops)
	if err != nil {
		return err
	}
	defer s.Close()
	r.LoadMS = ms(time.Since(start))
	inputs, err := randomInputs(s.Inputs(), c)
	if err != nil {
		return err
	}
	for i, in := range inputs {
		r.Inputs = append(r.Inputs, described(s.Inputs()[i].Name, in))
	}
	runner := s.NewRunner()
	if _, err := runner.Run(ctx, inputs); err != nil {
		return err
	}
	r.LoadFirstMS = ms(time.Since(start))
	for range c.Warmup {
		if _, err := runner.Run(ctx, inputs); err != nil {
			return err
		}
	}
	ev.Stage("run", int64(r.Runs), "runs")
	times := make([]float64, r.Runs)
	var profile opTimes
	for i := range times {
		start := time.Now()
		if _, err := runner.Run(ctx, inputs); err != nil {
			return err
		}
		times[i] = ms(time.Since(start))
		profile.add(runner.Profile())
		ev.Advance(1)
	}
	r.MS = spread(times)
	r.Batch = 1
	if len(inputs) > 0 && len(inputs[0].Shape) > 0 {
		r.Batch = inputs[0].Shape[0]
	}
	stats := s.Stats()
	r.MACs = stats.MACs
	r.Memory = RunMemory{Activations: stats.ArenaBytes, Packed: stats.PackedBytes, Repacks: stats.Repacks}
	r.ImagesPerS = 1000 * float64(r.Batch) / r.MS.Median
	r.GFLOPS = 2 * float64(r.MACs) / r.MS.Median / 1e6
	r.Ops, r.Kinds = profile.timings(r.MS.Median)
	r.Input, err = s.file.Describe(ctx)
	return err
}

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// spread sorts values, of which there is at least one.
func spread(values []float64) Spread {
	slices.Sort(values)
	n := len(values)
	return Spread{Median: (values[(n-1)/2] + values[n/2]) / 2, Min: values[0], Max: values[n-1]}
}

// randomInputs makes a value for every input. Of dimensions that the model leaves open the first is the batch, others are 1.
func randomInputs(wanted []infer.Value, c BenchConfig) ([]*tensor.Tensor, error) {
	r := rand.New(rand.NewPCG(c.Seed, 0))
	known := map[string]bool{}
	var inputs []*tensor.Tensor
	for _, in := range wanted {
		known[in.Name] = true
		shape, given := c.Shapes[in.Name]
		if !given {
			shape = make([]int, len(in.Shape))
			for i, d := range in.Shape {
				switch {
				case i == 0 && d.IsKnown() && len(in.Shape) > 1 && c.Batch > 0 && d.N != c.Batch:
					return nil, job.Usagef("evaluate: input %q has its batch fixed at %d; --batch %d is not possible", in.Name, d.N, c.Batch)
				case d.IsKnown():
					shape[i] = d.N
				case i == 0:
					shape[i] = max(c.Batch, 1)
				default:
					shape[i] = 1
				}
			}
		}
		t, err := tensor.New(in.Type, shape...)
		if err != nil {
			return nil, fmt.Errorf("evaluate: input %q: %w", in.Name, err)
		}
		fillRandom(t, r)
		inputs = append(inputs, t)
	}
	for name := range c.Shapes {
		if !known[name] {
			var names []string
			for _, in := range wanted {
				names = append(names, in.Name)
			}
			return nil, job.Usagef("evaluate: shape of input %q, which the model does not have%s", name, job.Hint(name, names))
		}
	}
	return inputs, nil
}

func fillRandom(t *tensor.Tensor, r *rand.Rand) {
	switch t.Type {
	case onnx.Float:
		for i, x := 0, tensor.Of[float32](t); i < len(x); i++ {
			x[i] = float32(r.NormFloat64())
		}
	case onnx.Double:
		for i, x := 0, tensor.Of[float64](t); i < len(x); i++ {
			x[i] = r.NormFloat64()
		}
	case onnx.Int64:
		fill[int64](t, 1)
	case onnx.Int32:
		fill[int32](t, 1)
	case onnx.Uint8:
		fill[uint8](t, 1)
	case onnx.Int8:
		fill[int8](t, 1)
	case onnx.Bool:
		fill(t, true)
	}
}

func fill[T tensor.Element](t *tensor.Tensor, v T) {
	x := tensor.Of[T](t)
	for i := range x {
		x[i] = v
	}
}

func described(name string, t *tensor.Tensor) Value {
	return Value{Name: name, Type: tensor.TypeName(t.Type), Shape: dims(t.Shape)}
}

// dims writes a shape as that of [Value] is written.
func dims(shape []int) string { return ops.MakeShape(shape...).String() }
