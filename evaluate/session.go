package evaluate

import (
	"github.com/effml/effml/dataset"
	"github.com/effml/effml/infer"
	"github.com/effml/effml/internal/isa"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/internal/modelfile"
	"github.com/effml/effml/internal/score"
	"github.com/effml/effml/onnx"
)

// session is a model that is ready to run, and its file.
type session struct {
	*infer.Session
	file *modelfile.File
}

func openSession(path string, threads int, profile bool) (*session, error) {
	f, err := modelfile.Open(path)
	if err != nil {
		return nil, err
	}
	s, err := newSession(f.Model, infer.Options{Threads: threads, Profile: profile, Release: f.Release})
	if err != nil {
		f.Close()
		return nil, err
	}
	return &session{s, f}, nil
}

// newSession makes a model ready to run with the instruction set that the environment names.
func newSession(m *onnx.Model, o infer.Options) (s *infer.Session, err error) {
	if o.ISA, err = isa.FromEnv(); err != nil {
		return nil, &job.UsageError{Err: err}
	}
	return infer.New(m, o)
}

// Close ends the use of the model.
func (s *session) Close() {
	s.rest()
	s.file.Close()
}

// rest gives up what makes the model ready to run, but keeps its file open.
func (s *session) rest() {
	if s.Session != nil {
		s.Session.Close()
		s.Session = nil
	}
}

// outcome tells from the graph what the numbers of its first output are.
func (s *session) outcome() score.Outcome {
	what, _ := score.OutcomeOf(s.file.Model.Graph)
	return what
}

func dataInputs(s *infer.Session) (inputs []dataset.Input) {
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
