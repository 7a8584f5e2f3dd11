package evaluate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/effml/effml/infer"
	"github.com/effml/effml/internal/atomicfile"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/modelfile"
	"github.com/effml/effml/internal/npy"
	"github.com/effml/effml/onnx"
	"github.com/effml/effml/tensor"
)

// RunSchema names the result of [Run].
const RunSchema = "effml.run/v1"

// RunConfig says what [Run] computes.
type RunConfig struct {
	Path    string            `yaml:"-" json:"-" doc:"an .onnx or .effml file"`
	Inputs  map[string]string `yaml:"input,omitempty" json:"input,omitempty" doc:"a .npy file for each input by name; the name is empty where there is only one input, or where a .npz file holds all of them; an array with one dimension more than the input holds samples, which run one after another"`
	Output  string            `yaml:"output,omitempty" json:"output,omitempty" doc:"write the outputs into this .npz file"`
	Force   bool              `yaml:"force,omitempty" json:"force,omitempty" doc:"overwrite an existing output"`
	Threads int               `yaml:"threads,omitempty" json:"threads,omitempty" doc:"number of threads; 0 is all processors"`
	Command string            `yaml:"-" json:"-" doc:"the command line, copied into the result"`
}

// RunResult is what a model answered.
type RunResult struct {
	job.Common
	MS      float64   `json:"ms" doc:"milliseconds of the run; with samples their mean"`
	Samples int       `json:"samples,omitempty" doc:"runs, where the inputs hold samples: the first dimension of every output"`
	Outputs []Summary `json:"outputs"`
	Notes   []string  `json:"notes" doc:"what was changed to fit the model"`
}

// Summary describes the numbers of a tensor.
type Summary struct {
	Value
	Elements int       `json:"elements"`
	Min      job.Float `json:"min"`
	Max      job.Float `json:"max"`
	Mean     job.Float `json:"mean"`
	NaN      int       `json:"nan,omitempty" doc:"elements that are not a number; the other figures leave them out"`
	First    []float64 `json:"first" doc:"the first elements"`
}

// Validate reports all problems of c at once, as a [*job.UsageError].
func (c RunConfig) Validate() error {
	errs := checkThreads(c.Threads)
	if c.Path == "" {
		errs = append(errs, errors.New("path: no file named"))
	}
	for name, file := range c.Inputs {
		if file == "" {
			errs = append(errs, fmt.Errorf("input %q: no file named", name))
		}
	}
	if c.Output != "" && !strings.EqualFold(filepath.Ext(c.Output), ".npz") {
		errs = append(errs, fmt.Errorf("output: %s: outputs are written as .npz, so the name must end so", c.Output))
	}
	return usage(errs)
}

// Run computes the outputs of a model for given inputs.
func Run(ctx context.Context, c RunConfig, ev job.Events) (*RunResult, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	timer := job.Start(RunSchema, 0, c.Threads)
	result := &RunResult{Notes: []string{}}
	result.Command = c.Command
	if err := run(ctx, c, result); err != nil {
		return nil, modelfile.Explain(err)
	}
	timer.Fill(&result.Common)
	return result, nil
}

func run(ctx context.Context, c RunConfig, r *RunResult) error {
	var out *atomicfile.File
	if c.Output != "" {
		var err error
		if out, err = atomicfile.Create(c.Output, c.Force); err != nil {
			return err
		}
		defer out.Abort()
	}
	s, err := openSession(c.Path, c.Threads, false)
	if err != nil {
		return err
	}
	defer s.Close()
	inputs, err := readInputs(c.Inputs, s.Inputs())
	if err != nil {
		return err
	}
	if r.Notes, err = adapt(inputs, s.Inputs(), r.Notes); err != nil {
		return err
	}
	if r.Samples, err = countSamples(inputs, s.Inputs()); err != nil {
		return err
	}
	outputs, took, err := runSamples(ctx, s, inputs, r.Samples)
	if err != nil {
		return err
	}
	r.MS = ms(took)
	for _, v := range s.Outputs() {
		r.Outputs = append(r.Outputs, describe(v.Name, outputs[v.Name]))
	}
	if r.Input, err = s.file.Describe(ctx); err != nil || out == nil {
		return err
	}
	hash := job.NewHash(c.Output)
	if err := writeOutputs(io.MultiWriter(out, hash), s.Outputs(), outputs); err != nil {
		return fmt.Errorf("write %s: %w", c.Output, err)
	}
	r.Output = job.Describe(hash)
	return commit(ctx, out)
}

// writeOutputs writes outputs as a .npz file, in the model's order.
func writeOutputs(w io.Writer, order []infer.Value, outputs map[string]*tensor.Tensor) error {
	var arrays []npy.Named
	for _, v := range order {
		t, err := storable(outputs[v.Name])
		if err != nil {
			return err
		}
		arrays = append(arrays, npy.Named{Name: v.Name, Tensor: t})
	}
	return npy.WriteArchive(w, arrays)
}

// commit gives f its name, as the last thing that happens: an error, and an interruption above all, means that nothing was written.
func commit(ctx context.Context, f *atomicfile.File) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return f.Commit()
}

// readInputs reads a file for each input.
func readInputs(files map[string]string, wanted []infer.Value) (map[string]*tensor.Tensor, error) {
	var names []string
	for _, v := range wanted {
		names = append(names, v.Name)
	}
	got := map[string]*tensor.Tensor{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		arrays, err := readArrays(files[name])
		if errors.As(err, new(*fs.PathError)) {
			return nil, err
		} else if err != nil {
			return nil, &job.DataError{Err: err}
		}
		switch one, single := arrays[""]; {
		case single && name != "":
			got[name] = one
		case single && len(names) == 1:
			got[names[0]] = one
		case single:
			return nil, job.Usagef("evaluate: %s: say which input it is for, as NAME=FILE; there are %s", files[name], strings.Join(names, ", "))
		default:
			maps.Copy(got, arrays)
		}
	}
	for name := range got {
		if !slices.Contains(names, name) {
			return nil, job.Usagef("evaluate: there is no input %q%s", name, job.Hint(name, names))
		}
	}
	for _, name := range names {
		if got[name] == nil {
			return nil, job.Usagef("evaluate: input %q is missing: give it as %s=FILE.npy", name, name)
		}
	}
	return got, nil
}

// adapt gives numbers the floating-point type that an input takes: NumPy makes float64 where nothing is said, and images are uint8. It adds
// a note for each.
func adapt(inputs map[string]*tensor.Tensor, wanted []infer.Value, notes []string) ([]string, error) {
	for _, v := range wanted {
		t := inputs[v.Name]
		if !v.Type.IsFloat() || t.Type == v.Type {
			continue
		}
		out, err := tensor.New(v.Type, t.Shape...)
		if err != nil {
			return nil, err
		}
		values := make([]float32, t.Len())
		if v.Type == onnx.Double || !t.Floats(values, 0) || !out.SetFloats(0, values, false) {
			continue // the model will say what it takes
		}
		inputs[v.Name] = out
		notes = append(notes, fmt.Sprintf("input %s: %s became %s", v.Name, tensor.TypeName(t.Type), tensor.TypeName(v.Type)))
	}
	return notes, nil
}

// readArrays reads the arrays of an .npz file by name, or that of an .npy file under an empty name.
func readArrays(path string) (map[string]*tensor.Tensor, error) {
	if !strings.HasSuffix(strings.ToLower(path), ".npz") {
		t, err := npy.ReadFile(path)
		if err != nil {
			return nil, err
		}
		return map[string]*tensor.Tensor{"": t}, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	z, err := npy.OpenArchive(data)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	arrays := map[string]*tensor.Tensor{}
	for _, name := range z.Names() {
		if arrays[name], err = z.Read(name); err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
	}
	return arrays, nil
}

// storable returns t, or its values as float32 where NumPy lacks the type.
func storable(t *tensor.Tensor) (*tensor.Tensor, error) {
	if !t.Type.IsFloat() || t.Type == onnx.Float || t.Type == onnx.Double || t.Type == onnx.Float16 {
		return t, nil
	}
	out, err := tensor.New(onnx.Float, t.Shape...)
	if err != nil {
		return nil, err
	}
	t.Floats(tensor.Of[float32](out), 0)
	return out, nil
}

// describe summarises a tensor of numbers; of strings only the shape.
func describe(name string, t *tensor.Tensor) Summary {
	s := Summary{Value: Value{Name: name, Type: tensor.TypeName(t.Type), Shape: dims(t.Shape)}, Elements: t.Len(), First: []float64{}}
	values := make([]float32, t.Len())
	if !t.Floats(values, 0) {
		return s
	}
	lo, hi, sum, n := 0.0, 0.0, 0.0, 0
	for i, v := range values {
		x := float64(v)
		if i < 8 {
			s.First = append(s.First, x)
		}
		if x != x {
			s.NaN++
			continue
		}
		if n == 0 {
			lo, hi = x, x
		}
		lo, hi, sum, n = min(lo, x), max(hi, x), sum+x, n+1
	}
	s.Min, s.Max, s.Mean = job.Float(lo), job.Float(hi), job.Float(sum/float64(max(n, 1)))
	return s
}
