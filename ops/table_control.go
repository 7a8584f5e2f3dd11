package ops

// controlOps are control flow and recurrent networks.
var controlOps = []spec{
	{"Attention", 23, 0, 3, 7, 4, newAttention},
	{"GRU", 7, 0, 3, 6, 2, newGRU},
	{"If", 7, 0, 1, 1, -1, newIf},
	{"LSTM", 7, 0, 3, 8, 3, newLSTM},
	{"Loop", 7, 0, 0, -1, -1, newLoop},
	{"NonMaxSuppression", 10, 0, 2, 5, 1, newNonMaxSuppression},
	{"RNN", 7, 0, 3, 6, 2, newRNN},
	{"Scan", 8, 0, 0, -1, -1, newScan},
}
