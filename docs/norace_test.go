//go:build !race

package docs

const raceEnabled = false

const slowness = 1
