package evaluate

import (
	"cmp"
	"slices"

	"github.com/effml/effml/dataset"
	"github.com/effml/effml/infer"
	"github.com/effml/effml/internal/isa"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/modelfile"
	"github.com/effml/effml/onnx"
)

// session is a model that is ready to run, and its file.
type session struct {
	*infer.Session
	file *modelfile.File
}

func openSession(path string, threads int, profile bool) (*session, error) {
	set, err := isa.FromEnv()
	if err != nil {
		return nil, &job.UsageError{Err: err}
	}
	f, err := modelfile.Open(path)
	if err != nil {
		return nil, err
	}
	s, err := infer.New(f.Model, infer.Options{Threads: threads, ISA: set, Profile: profile, Release: f.Release})
	if err != nil {
		f.Close()
		return nil, err
	}
	return &session{s, f}, nil
}

// Close ends the use of the model.
func (s *session) Close() {
	s.Session.Close()
	s.file.Close()
}

// Files lists the files of the model.
func (s *session) Files() []onnx.FileInfo { return s.file.Files }

// outcome tells from the graph what the numbers of its first output are.
func (s *session) outcome() Outcome {
	g := s.file.Model.Graph
	if len(g.Outputs) == 0 {
		return Logits
	}
	for name := g.Outputs[0].Name; ; {
		i := slices.IndexFunc(g.Nodes, func(n *onnx.Node) bool { return slices.Contains(n.Outputs, name) })
		if i < 0 {
			return Logits
		}
		switch n := g.Nodes[i]; n.OpType {
		case "Softmax":
			return Probabilities
		case "LogSoftmax":
			return LogProbabilities
		case "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Dropout":
			name = n.Inputs[0]
		default:
			return Logits
		}
	}
}

// feed opens a part of the data that SPEC data names and fits it to the model. The preprocessing is that of the SPEC, else that of the
// model; keys of preprocess change it.
func (s *session) feed(data, preprocess, part string) (*dataset.Set, *dataset.Feed, error) {
	spec, err := dataset.Load(data)
	if err != nil {
		return nil, nil, err
	}
	properties := map[string]string{}
	for _, e := range s.file.Model.Metadata {
		properties[e.Key] = e.Value
	}
	stored, classes, err := dataset.FromMetadata(properties)
	if err != nil {
		return nil, nil, &job.ModelError{Err: err}
	}
	if spec.Preprocess.IsZero() {
		spec.Preprocess = stored
	}
	if spec.Classes == nil {
		spec.Classes = classes
	}
	if preprocess != "" {
		if err := spec.Preprocess.Set(preprocess); err != nil {
			return nil, nil, err
		}
	}
	set, err := dataset.Open(spec)
	if err != nil {
		return nil, nil, err
	}
	p, err := set.Part(cmp.Or(part, "test"))
	if err != nil {
		set.Close()
		return nil, nil, err
	}
	feed, err := p.Bind(s.dataInputs(), s.classes())
	if err != nil {
		set.Close()
		return nil, nil, err
	}
	return set, feed, nil
}

func (s *session) dataInputs() (inputs []dataset.Input) {
	for _, v := range s.Inputs() {
		in := dataset.Input{Name: v.Name, Type: v.Type}
		for _, d := range v.Shape {
			in.Shape = append(in.Shape, d.N) // −1 where it is open
		}
		inputs = append(inputs, in)
	}
	return inputs
}

// classes returns the last dimension of the first output, 0 where it is not known.
func (s *session) classes() int {
	if out := s.Outputs(); len(out) > 0 && len(out[0].Shape) > 1 {
		return max(0, out[0].Shape[len(out[0].Shape)-1].N)
	}
	return 0
}
