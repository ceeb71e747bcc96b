//go:build race

package testnet

const raceEnabled = true

// slowness is how much slower everything is.
const slowness = 3
