//go:build !unix

package mapped

func release([]byte) {}
