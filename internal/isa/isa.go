package isa

import (
	"fmt"
	"os"
	"strings"

	"github.com/klauspost/cpuid/v2"
)

// Env is the environment variable that forces an instruction set.
const Env = "EFFML_ISA"

// Set is an instruction set, from the one that every processor has upwards.
type Set uint8

// The sets, weakest first: a processor that has one has all before it.
const (
	Generic Set = iota
	AVX2        // AVX2 and FMA3
	AVX512      // AVX-512 F, BW, DQ and VL
)

// String returns the name that [Env] and the result objects use.
func (s Set) String() string { return [...]string{"generic", "avx2", "avx512"}[s] }

// Names lists all sets, weakest first.
func Names() []string {
	return []string{Generic.String(), AVX2.String(), AVX512.String()}
}

// Best returns the strongest set that this processor and its operating system support.
func Best() Set {
	switch cpu := cpuid.CPU; {
	case cpu.Supports(cpuid.AVX2, cpuid.FMA3, cpuid.AVX512F, cpuid.AVX512BW, cpuid.AVX512DQ, cpuid.AVX512VL):
		return AVX512
	case cpu.Supports(cpuid.AVX2, cpuid.FMA3):
		return AVX2
	}
	return Generic
}

// Choose returns the set called name, or [Best] where name is empty. A name that is unknown, or a set
// that this processor lacks, is an error.
func Choose(name string) (Set, error) { return choose(name, Best()) }

func choose(name string, best Set) (Set, error) {
	if name == "" {
		return best, nil
	}
	for s := Generic; s <= AVX512; s++ {
		if s.String() != name {
			continue
		}
		if s > best {
			return Generic, fmt.Errorf("isa: %s=%s: this processor has no more than %s", Env, name, best)
		}
		return s, nil
	}
	return Generic, fmt.Errorf("isa: %s=%q: want one of %s", Env, name, strings.Join(Names(), ", "))
}

// FromEnv is [Choose] with the value of [Env].
func FromEnv() (Set, error) { return Choose(os.Getenv(Env)) }

// CPU describes the processor.
type CPU struct {
	Brand    string   `json:"brand"`
	Cores    int      `json:"cores"`   // physical; 0 where unknown
	Threads  int      `json:"threads"` // logical; 0 where unknown
	L1D      int      `json:"l1d_bytes"`
	L2       int      `json:"l2_bytes"`
	L3       int      `json:"l3_bytes"`
	Features []string `json:"features"`
}

// Processor returns what the processor says of itself. Sizes that it does not tell are 0.
func Processor() CPU {
	c := cpuid.CPU
	return CPU{
		Brand: c.BrandName, Cores: c.PhysicalCores, Threads: c.LogicalCores,
		L1D: max(c.Cache.L1D, 0), L2: max(c.Cache.L2, 0), L3: max(c.Cache.L3, 0),
		Features: c.FeatureSet(),
	}
}
