//go:build race

package ops

const raceEnabled = true // then pools drop what they hold at random
