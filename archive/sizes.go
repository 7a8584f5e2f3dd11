package archive

// describe sets the form and method of a tensor.
func (s *TensorSize) describe(r *record, method string, earlier func(int) *TensorSize) {
	switch {
	case r.same >= 0:
		s.Form = "same as " + earlier(r.same).Name
	case r.table >= 0:
		s.Form, s.Method = "packed", method
	default:
		s.Form, s.Method = "lossless", method
	}
}

// addUp fills in everything that follows from the sections and the tensors' blocks.
// tableBytes is each tensor's part of the tables before these were coded.
func (s *Sizes) addUp(entries []entry, directory int, tableBytes []int64) {
	s.Checksums = 4 + 4 + 4*int64(len(entries))
	s.Header = int64(headerSize+directory+trailerSize) - s.Checksums
	for _, e := range entries {
		switch e.id {
		case sectionBlocks: // counted by tensor
		case sectionTopology:
			s.Topology += e.length
		case sectionTables:
			s.Codebooks += e.length
		case sectionChecksums:
			s.Checksums += e.length
		default:
			s.Header += e.length
		}
	}
	s.shareTables(tableBytes)
	for i := range s.Tensors {
		t := &s.Tensors[i]
		t.Bytes = t.Codebooks + t.Codes + t.Positions + t.Raw + t.Checksums
		s.Codes += t.Codes
		s.Positions += t.Positions
		s.Raw += t.Raw
	}
	s.Total = s.Header + s.Topology + s.Codebooks + s.Codes + s.Positions + s.Raw + s.Checksums
}

// shareTables gives each tensor its share of the coded tables, whole bytes that
// add up.
func (s *Sizes) shareTables(tableBytes []int64) {
	total, before := int64(0), int64(0)
	for _, n := range tableBytes {
		total += n
	}
	if total == 0 {
		return
	}
	given := int64(0)
	for i, n := range tableBytes {
		before += n
		upTo := int64(float64(s.Codebooks) * (float64(before) / float64(total)))
		if before == total {
			upTo = s.Codebooks
		}
		s.Tensors[i].Codebooks = upTo - given
		given = upTo
	}
}
