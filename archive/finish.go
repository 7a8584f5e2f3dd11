package archive

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/effml/effml/onnx"
)

// side is what is made beside the blocks, at the same time.
type side struct {
	topology entry
	payload  []byte
	layout   *layout
}

func (s *side) make(m *onnx.Model) error {
	model, l, err := skeleton(m)
	if err != nil {
		return err
	}
	s.layout = l
	s.topology, s.payload = packSection(sectionTopology, true, appendField(nil, topologyModel, true, model), 0)
	return nil
}

// finish writes everything behind the blocks.
func (w *writer) finish(s *side) error {
	blocks := w.written - int64(headerSize)
	if blocks > 0 {
		w.entries = append(w.entries, entry{id: sectionBlocks, critical: true, length: blocks, decoded: blocks})
	}
	if err := w.place(s.topology, s.payload); err != nil {
		return err
	}
	if err := w.section(sectionRecords, true, appendRecords(nil, w.records), 1); err != nil {
		return err
	}
	if len(w.tables) > 0 {
		if err := w.section(sectionTables, true, AppendStrings(nil, w.tables), 4); err != nil {
			return err
		}
	}
	if len(w.checksums) > 0 {
		if err := w.section(sectionChecksums, true, w.checksums, 4); err != nil {
			return err
		}
	}
	if len(s.layout.places) > 0 {
		if err := w.section(sectionLayout, false, appendLayout(nil, s.layout), 1); err != nil {
			return err
		}
	}
	if len(w.o.Provenance) > 0 {
		if err := w.section(sectionProvenance, false, AppendPairs(nil, w.o.Provenance), 0); err != nil {
			return err
		}
	}
	extra := map[uint64][]byte{}
	for _, x := range w.o.Extra {
		extra[x.ID] = x.Data
	}
	for _, id := range slices.Sorted(maps.Keys(extra)) {
		if err := w.section(id, false, extra[id], 0); err != nil {
			return err
		}
	}
	return w.close()
}

// section codes and writes a section.
func (w *writer) section(id uint64, critical bool, data []byte, stride int) error {
	e, payload := packSection(id, critical, data, stride)
	return w.place(e, payload)
}

func (w *writer) place(e entry, payload []byte) error {
	w.entries = append(w.entries, e)
	return w.put(payload)
}

// close writes the directory and the trailer.
func (w *writer) close() error {
	var dir []byte
	for _, e := range w.entries {
		dir = appendEntry(dir, e)
	}
	if err := w.put(dir); err != nil {
		return err
	}
	length := binary.LittleEndian.AppendUint32(nil, uint32(len(dir)))
	trailer := binary.LittleEndian.AppendUint32(length, directorySum(Version, dir))
	if err := w.put(trailer); err != nil {
		return err
	}
	end := binary.LittleEndian.AppendUint32(nil, w.sum)
	if err := w.put(append(end, endMagic...)); err != nil {
		return err
	}
	w.sizes.addUp(w.entries, len(dir), w.tableBytes)
	return w.out.Flush()
}

// directorySum is the checksum of the directory with what it depends on: the
// header before it, its length behind it.
func directorySum(version byte, dir []byte) uint32 {
	b := append([]byte(magic), version)
	b = append(b, dir...)
	return checksum(binary.LittleEndian.AppendUint32(b, uint32(len(dir))))
}
