package fit

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/effml/effml/configs"
	"github.com/effml/effml/dataset"
	"github.com/effml/effml/internal/document"
	"github.com/effml/effml/internal/job"
	"github.com/effml/effml/train"
)

// RecipeVersion is the version of recipes that this package reads.
const RecipeVersion = 1

// Recipe says how a network is trained, whatever the data.
type Recipe struct {
	Version     int                `yaml:"version" json:"version" doc:"1"`
	Description string             `yaml:"description,omitempty" json:"description,omitempty"`
	Model       string             `yaml:"model,omitempty" json:"model,omitempty" doc:"network to train where the command names none"`
	Epochs      int                `yaml:"epochs" json:"epochs" doc:"passes over the training data"`
	Batch       int                `yaml:"batch" json:"batch" doc:"samples that are computed together"`
	Accumulate  int                `yaml:"accumulate,omitempty" json:"accumulate,omitempty" doc:"batches whose gradients are averaged for one step; 0 is 1"`
	Loss        []train.Term       `yaml:"loss,omitempty" json:"loss,omitempty" doc:"terms that are added up; left out: cross entropy, and distillation where there is a teacher"`
	Solver      train.SolverConfig `yaml:"solver,omitempty" json:"solver" doc:"how gradients change weights"`
	Schedule    train.Schedule     `yaml:"schedule" json:"schedule" doc:"how the learning rate changes"`
	NewHead     float64            `yaml:"new-head,omitempty" json:"new_head,omitempty" doc:"factor of the learning rate of a last layer that --classes replaced; 0 is 1"`
	Preprocess  dataset.Preprocess `yaml:"preprocess,omitempty" json:"preprocess,omitzero" doc:"from image to input, where neither the data document nor the model says"`
	Augment     dataset.Augment    `yaml:"augment,omitempty" json:"augment,omitzero" doc:"random changes to images, where the data document says none"`
	Validation  float64            `yaml:"validation,omitempty" json:"validation,omitempty" doc:"share of the training data that is held out to measure on, where the data has no part val"`
	CheckEvery  int                `yaml:"check-every,omitempty" json:"check_every,omitempty" doc:"epochs between two evaluations on the validation data; 0 is 1"`
	Select      string             `yaml:"select,omitempty" json:"select,omitempty" doc:"which evaluation is the best: top1 (the default) or loss"`
	Last        bool               `yaml:"last,omitempty" json:"last,omitempty" doc:"give the weights of the last step, not those of the best evaluation"`
}

// LoadRecipe reads a recipe: the document at a path, or the one of a name that the program carries. A key that there is not and a value that cannot
// be are a [*job.UsageError] that names file, line and key.
func LoadRecipe(name string) (*Recipe, error) {
	source := "recipe " + name
	data, err := configs.Recipe(name)
	if err != nil {
		if source = name; !isPath(name) {
			return nil, job.Usagef("recipe: there is no %q%s; a file's name ends in .yaml", name, job.Hint(name, configs.Recipes()))
		}
		if data, err = os.ReadFile(name); errors.Is(err, fs.ErrNotExist) {
			return nil, job.Usagef("recipe: %w; recipes of effml are %s", err, strings.Join(configs.Recipes(), ", "))
		} else if err != nil {
			return nil, fmt.Errorf("recipe: %w", err)
		}
	}
	r := &Recipe{}
	if err := document.Decode(data, r); err != nil {
		return nil, job.Usagef("%s: %w", source, err)
	}
	if err := r.Validate(); err != nil {
		return nil, job.Usagef("%s: %w", source, document.Place(data, err))
	}
	return r, nil
}

func isPath(name string) bool {
	ext := strings.ToLower(filepath.Ext(name))
	_, err := os.Stat(name)
	return err == nil || ext == ".yaml" || ext == ".yml" || strings.ContainsRune(name, filepath.Separator)
}

// Validate reports all problems of r at once, as a [*job.UsageError].
func (r *Recipe) Validate() error {
	var p job.Problems
	p.Check(r.Version == RecipeVersion, "version: %d is not supported, this build reads version %d", r.Version, RecipeVersion)
	p.Check(r.Epochs > 0, "epochs: %d is out of range, it must be 1 or more", r.Epochs)
	p.Check(r.Batch > 0, "batch: %d is out of range, it must be 1 or more", r.Batch)
	p.Check(r.Accumulate >= 0, "accumulate: %d is out of range, it must not be negative", r.Accumulate)
	p.Check(r.CheckEvery >= 0, "check-every: %d is out of range, it must not be negative", r.CheckEvery)
	p.Check(r.Validation >= 0 && r.Validation < 1, "validation: %v is out of range, it must be 0 to below 1", r.Validation)
	p.Check(r.NewHead >= 0 && !math.IsInf(r.NewHead, 1), "new-head: %v is out of range, it must not be negative", r.NewHead)
	p.Check(slices.Contains([]string{"", "top1", "loss"}, r.Select), "select: %q is neither top1 nor loss", r.Select)
	_, loss := train.Terms(r.Loss)
	spec := dataset.Spec{Path: ".", Preprocess: r.Preprocess, Augment: r.Augment}
	for _, err := range []error{loss, r.Solver.Validate(), r.Schedule.Validate(), spec.Validate()} {
		p.Add(err)
	}
	return p.Err()
}
