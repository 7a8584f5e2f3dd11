package job

import (
	"runtime"
	"runtime/debug"
	"strings"
)

// version and commit are set by the linker: -X github.com/effml/effml/internal/job.version=v1.2.3
var (
	version string
	commit  string //nolint:gochecknoglobals // as version
)

// BuildInfo says which build this is.
type BuildInfo struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"`
	Time     string `json:"time,omitempty"` // of the commit, RFC 3339
	Modified bool   `json:"modified"`       // the working tree differed from the commit
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

// Build describes the running binary. Version is "dev" and Commit is empty where the build did not record them.
func Build() BuildInfo {
	b := BuildInfo{Version: version, Commit: commit, Modified: strings.HasSuffix(version, "-dirty"), Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		if b.Version == "" && info.Main.Version != "(devel)" {
			b.Version = info.Main.Version
		}
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				b.Commit = s.Value
			case "vcs.time":
				b.Time = s.Value
			case "vcs.modified":
				b.Modified = s.Value == "true"
			}
		}
	}
	if b.Version == "" {
		b.Version = "dev"
	}
	return b
}
