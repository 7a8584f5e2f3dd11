package archive

import "fmt"

// CorruptError reports bytes that Write did not write: damage, or a forgery.
type CorruptError struct {
	Path    string // of the file, if known
	Offset  int64  // in the file; −1 if it cannot be told
	Section string // the section, "header" or "trailer"
	Tensor  string // the tensor, if it is one's
	Msg     string
	Err     error // what was noticed below, or nil
}

func (e *CorruptError) Error() string {
	s := "archive: "
	if e.Path != "" {
		s += e.Path + ": "
	}
	s += "damaged"
	if e.Section != "" {
		s += " " + e.Section
	}
	if e.Offset >= 0 {
		s += fmt.Sprintf(" at byte %d", e.Offset)
	}
	if e.Tensor != "" {
		s += fmt.Sprintf(", tensor %q", e.Tensor)
	}
	s += ": " + e.Msg
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *CorruptError) Unwrap() error { return e.Err }

// VersionError reports a file that needs a newer effml, or one that is no
// archive of any version.
type VersionError struct {
	Path    string // of the file, if known
	Version int    // of the file
	Feature string // the feature that is not known; empty if the version as a whole is not
}

func (e *VersionError) Error() string {
	s := "archive: "
	if e.Path != "" {
		s += e.Path + ": "
	}
	if e.Feature != "" {
		return s + "the file uses " + e.Feature + ", which this effml does not know: a newer effml is needed"
	}
	return s + fmt.Sprintf("the file has format version %d; this effml reads versions 1 to %d: a newer effml is needed", e.Version, Version)
}

// NotArchiveError reports a file that does not begin as an archive does.
type NotArchiveError struct {
	Path string
	Msg  string
}

func (e *NotArchiveError) Error() string {
	if e.Path == "" {
		return "archive: not an effml archive: " + e.Msg
	}
	return "archive: " + e.Path + ": not an effml archive: " + e.Msg
}

// LimitError reports an archive that claims to decode to more than the caller
// allows.
type LimitError struct {
	Path                 string
	Decoded, File, Limit int64 // bytes
}

func (e *LimitError) Error() string {
	s := "archive: "
	if e.Path != "" {
		s += e.Path + ": "
	}
	return s + fmt.Sprintf("%d bytes claim to decode to %d bytes, more than the limit of %d; raise the limit (--max-decoded) if this is meant", e.File, e.Decoded, e.Limit)
}
