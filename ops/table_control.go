package ops

// controlOps are control flow and recurrent networks.
var controlOps = []spec{
	{"If", 7, 0, 1, 1, -1, newIf},
	{"Loop", 7, 0, 0, -1, -1, newLoop},
	{"Scan", 8, 0, 0, -1, -1, newScan},
}
