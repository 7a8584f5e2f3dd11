package ops

// controlOps are control flow, recurrent networks, attention, chance, signals and strings.
var controlOps = []spec{
	{"Attention", 23, 0, 3, 7, 4, newAttention},
	{"Bernoulli", 15, 0, 1, 1, 1, newRandom(bernoulli, true)},
	{"BlackmanWindow", 17, 0, 1, 1, 1, newTaper(0.42, 0.5, 0.08)},
	{"GRU", 7, 0, 3, 6, 2, newGRU},
	{"HammingWindow", 17, 0, 1, 1, 1, newTaper(25.0/46, 21.0/46, 0)},
	{"HannWindow", 17, 0, 1, 1, 1, newTaper(0.5, 0.5, 0)},
	{"If", 1, 0, 1, 1, -1, newIf},
	{"LSTM", 7, 0, 3, 8, 3, newLSTM},
	{"Loop", 1, 0, 0, -1, -1, newLoop},
	{"MelWeightMatrix", 17, 0, 5, 5, 1, newMelWeightMatrix},
	{"Multinomial", 7, 0, 1, 1, 1, newRandom(multinomial, true)},
	{"NonMaxSuppression", 10, 0, 2, 5, 1, newNonMaxSuppression},
	{"RNN", 7, 0, 3, 6, 2, newRNN},
	{"RandomNormal", 1, 0, 0, 0, 1, newRandom(normal, false)},
	{"RandomNormalLike", 1, 0, 1, 1, 1, newRandom(normal, true)},
	{"RandomUniform", 1, 0, 0, 0, 1, newRandom(uniform, false)},
	{"RandomUniformLike", 1, 0, 1, 1, 1, newRandom(uniform, true)},
	{"RegexFullMatch", 20, 0, 1, 1, 1, newRegexFullMatch},
	{"RotaryEmbedding", 23, 0, 3, 4, 1, newRotaryEmbedding},
	{"Scan", 8, 0, 0, -1, -1, newScan},
	{"StringConcat", 20, 0, 2, 2, 1, newStringConcat},
	{"StringSplit", 20, 0, 1, 1, 2, newStringSplit},
}
