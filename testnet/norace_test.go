//go:build !race

package testnet

const raceEnabled = false

const slowness = 1
