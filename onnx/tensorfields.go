package onnx

import "strconv"

// tensorFields is TensorProto as it is on the wire; Tensor offers the same with one kind of values.
type tensorFields struct {
	message
	Dims         []int64        `onnx:"1,dims"`
	DataType     DataType       `onnx:"2,data_type"`
	Segment      *Segment       `onnx:"3,segment"`
	FloatData    blob           `onnx:"4,float_data,fixed32"`
	Int32Data    blob           `onnx:"5,int32_data,varint"`
	StringData   [][]byte       `onnx:"6,string_data"`
	Int64Data    blob           `onnx:"7,int64_data,varint"`
	Name         string         `onnx:"8,name"`
	RawData      blob           `onnx:"9,raw_data"`
	DoubleData   blob           `onnx:"10,double_data,fixed64"`
	Uint64Data   blob           `onnx:"11,uint64_data,varint"`
	DocString    string         `onnx:"12,doc_string"`
	ExternalData []*StringEntry `onnx:"13,external_data"`
	DataLocation int32          `onnx:"14,data_location"` // 1 is EXTERNAL
	Metadata     []*StringEntry `onnx:"16,metadata_props"`
}

// blob is the contents of raw_data or of a packed field.
type blob struct {
	data    []byte
	stream  Payload // instead of data
	present bool    // raw_data is written even if it is empty
	checked int     // bytes of data that are known to be well-formed numbers
}

func (b *blob) empty() bool { return len(b.data) == 0 && b.stream == nil && !b.present }

// blob returns the field of bytes that the storage names, nil if it is none.
func (w *tensorFields) blob(s Storage) *blob {
	switch s {
	case StorageRaw:
		return &w.RawData
	case StorageFloat:
		return &w.FloatData
	case StorageInt32:
		return &w.Int32Data
	case StorageInt64:
		return &w.Int64Data
	case StorageDouble:
		return &w.DoubleData
	case StorageUint64:
		return &w.Uint64Data
	}
	return nil
}

// fill sets the tensor from its wire form. Values in several fields are kept in other; the first of external, raw and the
// fields in the order of Storage counts.
func (t *Tensor) fill(w *tensorFields) error {
	*t = Tensor{
		message: w.message, Name: w.Name, DataType: w.DataType, Dims: w.Dims,
		DocString: w.DocString, Metadata: w.Metadata, Segment: w.Segment,
	}
	if len(w.ExternalData) > 0 || w.DataLocation == 1 {
		external, err := parseExternal(w.ExternalData)
		if err != nil {
			return err
		}
		t.External = external
	}
	used := 0
	for s := StorageUint64; s > StorageNone; s-- {
		if s == StorageString && len(w.StringData) > 0 {
			used++
			t.Storage, t.values = s, values{text: w.StringData}
		} else if b := w.blob(s); b != nil && !b.empty() {
			used++
			t.Storage, t.values = s, values{wire: b.data, from: s}
		}
	}
	if w.DataLocation == 1 {
		used++
		t.Storage, t.values = StorageExternal, values{from: StorageExternal}
	}
	if used > 1 || w.DataLocation < 0 || w.DataLocation > 1 {
		other := *w
		t.other = &other
	}
	return nil
}

// fields returns the tensor's wire form.
func (t *Tensor) fields() (*tensorFields, error) {
	w := &tensorFields{}
	if t.other != nil {
		*w = *t.other
	}
	w.message, w.Name, w.DataType, w.Dims = t.message, t.Name, t.DataType, t.Dims
	w.DocString, w.Metadata, w.Segment = t.DocString, t.Metadata, t.Segment
	if t.External != nil {
		w.ExternalData = t.External.update()
	}
	if t.other != nil {
		return w, nil
	}
	switch t.Storage {
	case StorageNone:
		if t.Size() > 0 {
			return nil, t.errorf("has values but no storage for them")
		}
	case StorageString:
		w.StringData = t.values.text
	case StorageExternal:
		w.DataLocation = 1
	default:
		b := w.blob(t.Storage)
		if b == nil {
			return nil, t.errorf("has unknown storage %s", t.Storage)
		}
		return w, t.fillBlob(b)
	}
	return w, nil
}

// fillBlob puts the values into the form of the field that b is.
func (t *Tensor) fillBlob(b *blob) error {
	b.present = t.Storage == StorageRaw
	v := &t.values
	if v.raw == nil && v.stream == nil && v.from == t.Storage {
		b.data = v.wire
		return nil
	}
	if t.Storage != StorageRaw && t.Storage != t.DataType.TypedStorage() {
		return t.errorf("values of type %s cannot be stored in %s", t.DataType, t.Storage)
	}
	plain := t.Storage == StorageRaw || t.Storage == StorageFloat || t.Storage == StorageDouble
	if plain && v.stream != nil {
		b.stream = v.stream
		return nil
	}
	raw, err := t.Bytes()
	if err != nil {
		return err
	}
	b.data = raw
	if !plain {
		n, _ := t.NumElements() // Bytes has counted them without an error
		b.data = encodeTyped(t.DataType, raw, n)
	}
	return nil
}

// parseExternal reads the entries of external_data; where a key occurs twice the last counts.
func parseExternal(entries []*StringEntry) (*ExternalData, error) {
	x := &ExternalData{entries: entries}
	for _, e := range entries {
		var err error
		switch e.Key {
		case "location":
			x.Location = e.Value
		case "offset":
			x.Offset, err = parseCount(e)
			x.HasOffset = true
		case "length":
			x.Length, err = parseCount(e)
			x.HasLength = true
		case "checksum":
			x.Checksum = e.Value
		}
		if err != nil {
			return nil, err
		}
	}
	return x, nil
}

func parseCount(e *StringEntry) (int64, error) {
	n, err := strconv.ParseInt(e.Value, 10, 64)
	if err != nil || n < 0 {
		return 0, &FormatError{Field: "external_data", Msg: e.Key + " " + strconv.Quote(e.Value) + " is not a number of bytes"}
	}
	return n, nil
}

// update returns the entries with the struct's values: those that still say the same stay as they were written, others
// are replaced where they stand, dropped, or appended in the order location, offset, length, checksum.
func (x *ExternalData) update() []*StringEntry {
	type entry struct {
		has   bool
		value string
		same  bool
	}
	old, err := parseExternal(x.entries)
	if err != nil {
		old = &ExternalData{}
	}
	want := map[string]entry{
		"location": {x.Location != "", x.Location, old.Location == x.Location},
		"offset":   {x.HasOffset, strconv.FormatInt(x.Offset, 10), old.HasOffset && old.Offset == x.Offset},
		"length":   {x.HasLength, strconv.FormatInt(x.Length, 10), old.HasLength && old.Length == x.Length},
		"checksum": {x.Checksum != "", x.Checksum, old.Checksum == x.Checksum},
	}
	var entries []*StringEntry
	seen := map[string]bool{}
	for _, e := range x.entries {
		w, known := want[e.Key]
		seen[e.Key] = true
		switch {
		case !known || w.same:
			entries = append(entries, e)
		case w.has:
			entries = append(entries, &StringEntry{Key: e.Key, Value: w.value})
		}
	}
	for _, key := range []string{"location", "offset", "length", "checksum"} {
		if w := want[key]; w.has && !seen[key] {
			entries = append(entries, &StringEntry{Key: key, Value: w.value})
		}
	}
	return entries
}
