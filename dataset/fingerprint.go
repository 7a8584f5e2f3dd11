package dataset

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"

	"github.com/effml/effml/internal/mapped"
	"github.com/effml/effml/onnx"
)

// fingerprinted is about how many samples a fingerprint looks into.
const fingerprinted = 64

// Fingerprint returns a hash that tells the samples of f, and what is done to them, from others: of the number of samples, all labels that are known
// without reading, the contents of 64 samples evenly spread, the classes, the preprocessing and the augmentation. It does not depend on where
// the files lie.
func (f *Feed) Fingerprint() (string, error) {
	h := sha256.New()
	about, err := json.Marshal(struct {
		Fields     []Field
		Sources    []string
		Classes    []string
		Preprocess Preprocess
		Augment    Augment
		Samples    int
	}{f.Fields, f.Sources, f.Classes(), f.Preprocess, f.set.Spec.Augment, f.Len()})
	if err != nil {
		return "", fmt.Errorf("dataset: %w", err)
	}
	h.Write(about)
	if s, ok := f.source.(labelled); ok && len(fieldsOfKind(f.Fields, Label)) > 0 {
		for _, i := range f.order {
			_, _ = fmt.Fprintf(h, " %d", s.label(i))
		}
	}
	for i := 0; i < f.Len(); i += max(f.Len()/fingerprinted, 1) {
		if err := mapped.Guard(func() error { return f.hash(h, i) }); err != nil {
			_, _ = fmt.Fprintf(h, "\nunreadable %d", i) // Batches decides whether that matters
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// hash adds sample i of the part to h.
func (f *Feed) hash(h hash.Hash, i int) error {
	s := Sample{}
	if err := f.source.Read(f.order[i], s); err != nil {
		return err
	}
	for _, name := range sortedKeys(s) {
		t := s[name]
		_, _ = fmt.Fprintf(h, "\n%q %s ", name, t)
		if t.Type == onnx.String {
			for _, text := range t.Strings() {
				_, _ = fmt.Fprintf(h, "%q", text)
			}
			continue
		}
		h.Write(t.Bytes())
	}
	return nil
}
