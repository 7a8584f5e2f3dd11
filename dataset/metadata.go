package dataset

import (
	"encoding/json"
	"fmt"
)

// The keys under which a model carries what its data needs, in the metadata_props of ONNX and of archives.
const (
	PreprocessKey = "effml.preprocess" // as Preprocess.String writes it
	ClassesKey    = "effml.classes"    // a JSON array of names
)

// Metadata returns the properties that say how images are preprocessed for a model and what its classes are called. What is
// not known is left out.
func Metadata(p Preprocess, classes []string) (map[string]string, error) {
	out := map[string]string{}
	if text := p.String(); text != "" {
		out[PreprocessKey] = text
	}
	if len(classes) > 0 {
		text, err := json.Marshal(classes)
		if err != nil {
			return nil, fmt.Errorf("classes: %w", err)
		}
		out[ClassesKey] = string(text)
	}
	return out, nil
}

// FromMetadata reads what Metadata wrote; other properties do not matter.
func FromMetadata(properties map[string]string) (p Preprocess, classes []string, err error) {
	if err := p.Set(properties[PreprocessKey]); err != nil {
		return Preprocess{}, nil, fmt.Errorf("property %s: %w", PreprocessKey, err)
	}
	if text := properties[ClassesKey]; text != "" {
		if err := json.Unmarshal([]byte(text), &classes); err != nil {
			return Preprocess{}, nil, fmt.Errorf("property %s: %w", ClassesKey, err)
		}
	}
	return p, classes, nil
}
