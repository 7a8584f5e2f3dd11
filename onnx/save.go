package onnx

import "errors"

// Save writes the model, and its external data, under path.
func Save(path string, m *Model, o SaveOptions) ([]string, error) {
	return nil, errors.New("onnx: save: not there yet")
}
