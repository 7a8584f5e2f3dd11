package archive

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

// AppendPairs appends the pairs as a list of strings, key and value in turn,
// sorted by key.
func AppendPairs(dst []byte, pairs map[string]string) []byte {
	list := make([]string, 0, 2*len(pairs))
	for _, k := range slices.Sorted(maps.Keys(pairs)) {
		list = append(list, k, pairs[k])
	}
	return AppendStrings(dst, list)
}

// ParsePairs reads what AppendPairs appended.
func ParsePairs(data []byte) (map[string]string, error) {
	list, err := ParseStrings(data)
	if err != nil {
		return nil, err
	}
	if len(list)%2 != 0 {
		return nil, fmt.Errorf("archive: a key without a value among %d strings", len(list))
	}
	pairs := make(map[string]string, len(list)/2)
	for i := 0; i < len(list); i += 2 {
		if i > 0 && string(list[i]) <= string(list[i-2]) {
			return nil, fmt.Errorf("archive: key %q stands after %q", list[i], list[i-2])
		}
		pairs[string(list[i])] = string(list[i+1])
	}
	return pairs, nil
}

// AppendStrings appends a list of byte strings: their number, then each with its
// length before it.
func AppendStrings[T ~string | ~[]byte](dst []byte, list []T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for _, s := range list {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		dst = append(dst, s...)
	}
	return dst
}

// ParseStrings reads what AppendStrings appended; the strings are views of data.
func ParseStrings(data []byte) ([][]byte, error) {
	c := cursor{data: data}
	list := make([][]byte, c.count(1))
	for i := range list {
		list[i] = c.string()
	}
	if err := c.end(); err != nil {
		return nil, err
	}
	return list, nil
}
