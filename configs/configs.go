// Package configs holds the YAML documents that the program carries: presets of compress and recipes of train.
package configs

import (
	"embed"
	"io/fs"
	"path"
	"slices"
	"strings"
)

//go:embed presets/*.yaml recipes/*.yaml
var files embed.FS

// Preset returns the plan document of a preset, or an error that wraps [fs.ErrNotExist].
func Preset(name string) ([]byte, error) { return files.ReadFile(path.Join("presets", name+".yaml")) }

// Presets returns the names of all presets in alphabetical order.
func Presets() []string { return names("presets") }

// Recipe returns the document of a recipe, or an error that wraps [fs.ErrNotExist].
func Recipe(name string) ([]byte, error) { return files.ReadFile(path.Join("recipes", name+".yaml")) }

// Recipes returns the names of all recipes in alphabetical order.
func Recipes() []string { return names("recipes") }

func names(folder string) []string {
	entries, err := fs.ReadDir(files, folder)
	if err != nil {
		return nil // an embedded folder is always readable
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = strings.TrimSuffix(e.Name(), ".yaml")
	}
	slices.Sort(names)
	return names
}
