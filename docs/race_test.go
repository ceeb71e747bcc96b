//go:build race

package docs

const raceEnabled = true

// slowness is how much slower everything is.
const slowness = 3
