// Command sharing shares and codes the weights of a file as bench/peers/sharing.py does, for bench/acceptance/kmeans.py.
//
//	sharing WEIGHTS.f32 [K [RUNS]]     # little-endian float32; one JSON line, seconds are medians over the runs
package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/effml/effml/huffman"
	"github.com/effml/effml/internal/weights"
	"github.com/effml/effml/quantize"
)

type result struct {
	Weights     int     `json:"weights"`
	K           int     `json:"k"`
	KMeansS     float64 `json:"kmeans_s"` // linear initialisation, as the peer
	MSE         float64 `json:"mse"`
	OptimisedS  float64 `json:"optimised_s"` // optimal initialisation
	OptimisedMS float64 `json:"optimised_mse"`
	OptimumMSE  float64 `json:"optimum_mse"` // dynamic programming over the finest histogram
	HuffmanS    float64 `json:"huffman_s"`
	Bytes       int     `json:"bytes"`
	EntropyB    float64 `json:"entropy_bytes"` // zero order
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sharing:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	options := []int{32, 5}
	if len(args) == 0 {
		return fmt.Errorf("name a file of weights")
	}
	for i, arg := range args[1:min(len(args), 3)] {
		n, err := strconv.Atoi(arg)
		if err != nil {
			return err
		}
		options[i] = n
	}
	w, err := read(args[0])
	if err != nil {
		return err
	}
	r, err := measure(w, options[0], options[1])
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

func read(path string) (weights.Floats, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	w := make(weights.Floats, len(raw)/4)
	for i := range w {
		w[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return w, nil
}

func measure(w weights.Floats, k, runs int) (*result, error) {
	r := &result{Weights: len(w), K: k}
	var q quantize.Quantizer
	var err error
	r.KMeansS, err = median(runs, func() error {
		var s quantize.Stats
		q, s, err = quantize.KMeans(w, quantize.KMeansOptions{K: k})
		r.MSE = s.MSE
		return err
	})
	if err != nil {
		return nil, err
	}
	r.OptimisedS, err = median(runs, func() error {
		_, s, err := quantize.KMeans(w, quantize.KMeansOptions{K: k, Init: quantize.InitOptimal})
		r.OptimisedMS = s.MSE
		return err
	})
	if err != nil {
		return nil, err
	}
	_, s, err := quantize.Optimal(w, k, 1<<16-1, false)
	if err != nil {
		return nil, err
	}
	r.OptimumMSE = s.MSE
	return r, r.code(w, q, runs)
}

// code fills in what Huffman coding of the codes takes.
func (r *result) code(w weights.Floats, q quantize.Quantizer, runs int) error {
	codes := make([]int32, len(w))
	q.Codes(codes, w)
	var p huffman.Params
	p.Min, p.Max = q.Range()
	coder, err := huffman.ByName("huffman")
	if err != nil {
		return err
	}
	var out []byte
	r.HuffmanS, err = median(runs, func() error {
		out, err = coder.Encode(out[:0], codes, []int{len(codes)}, p)
		return err
	})
	if err != nil {
		return err
	}
	back := make([]int32, len(codes))
	if err := coder.Decode(back, out, []int{len(codes)}, p); err != nil {
		return err
	}
	if !slices.Equal(back, codes) {
		return fmt.Errorf("the codes came back changed")
	}
	r.Bytes, r.EntropyB = len(out), entropy(codes)/8
	return nil
}

// entropy returns the bits that an ideal coder of order zero needs.
func entropy(codes []int32) float64 {
	counts := map[int32]float64{}
	for _, c := range codes {
		counts[c]++
	}
	bits := 0.0
	for _, n := range counts {
		bits += n * math.Log2(float64(len(codes))/n)
	}
	return bits
}

// median returns the median seconds of f over several runs.
func median(runs int, f func() error) (float64, error) {
	seconds := make([]float64, runs)
	for i := range seconds {
		start := time.Now()
		if err := f(); err != nil {
			return 0, err
		}
		seconds[i] = time.Since(start).Seconds()
	}
	slices.Sort(seconds)
	return seconds[runs/2], nil
}
