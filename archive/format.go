package archive

// The layout of the file, docs/format.md §2: header, sections back to back,
// directory, trailer.
const (
	magic       = "\x89EFFML\r\n" // §2.1; the 8-bit byte and the line end catch text-mode transfers
	Version     = 1               // of the files that Write writes, and the newest that Open reads
	headerSize  = len(magic) + 1
	endMagic    = "LMFE"                    // §2.4
	trailerSize = 4 + 4 + 4 + len(endMagic) // directory length, its CRC, the file's CRC, magic
)

// Section ids, docs/format.md §3.
const (
	sectionBlocks     = 1
	sectionTopology   = 2
	sectionRecords    = 3
	sectionTables     = 4
	sectionChecksums  = 5
	sectionLayout     = 6
	sectionProvenance = 7
	// SectionPreprocessing holds key/value pairs in the form of
	// [AppendPairs]: how inputs are prepared for this model.
	SectionPreprocessing = 8
	// SectionClassNames holds the names of the classes in the order of the
	// model's output, in the form of [AppendStrings].
	SectionClassNames = 9
	// FirstPrivateSection is the least id that is free for anybody's use;
	// sections from here on must not be critical.
	FirstPrivateSection = 1 << 16
)

// sectionNames names the sections of this version for messages.
var sectionNames = map[uint64]string{
	sectionBlocks: "blocks", sectionTopology: "topology", sectionRecords: "records", sectionTables: "tables",
	sectionChecksums: "checksums", sectionLayout: "layout", sectionProvenance: "provenance",
	SectionPreprocessing: "preprocessing", SectionClassNames: "class names",
}

// Ways in which a section's bytes are coded, docs/format.md §2.3: the low four
// bits of the coding byte; the high four are the stride of coding 1.
const (
	codingStored = 0
	codingMix    = 1
	codingZstd   = 2
)

const (
	blockUnits    = 1 << 18 // units a block, where a record names no other number (§5)
	maxBlockUnits = 1 << 20
	maxMix        = 1 << 20 // a section coded by the mixing coder is at most this long
	minMix        = 32      // below, a writer does not try it

	// A tensor inside an attribute has a record if its values take so many
	// bytes; below, they stay in the topology. Readers do not depend on it.
	minAttribute = 64
)

// Topology fields, docs/format.md §4.
const (
	topologyName  = 1
	topologyModel = 2
	topologySlots = 3 // reserved: the record of each slot, where it is not the slot's own number
)

// Record fields, docs/format.md §5.
const (
	recordName        = 1
	recordType        = 2
	recordDims        = 3
	recordStorage     = 4
	recordBytes       = 5
	recordBlock       = 6
	recordLengths     = 7
	recordCoders      = 8
	recordTable       = 9
	recordSame        = 10
	recordPermutation = 11 // reserved
	recordScan        = 12 // reserved
)

// Table fields, docs/format.md §6.
const (
	tableSteps   = 1
	tableLevels  = 2
	tableOrigins = 3
	tableGroup   = 4
)
