package onnx

// Check returns every rule that the model breaks.
func Check(m *Model) []Problem { return nil }
