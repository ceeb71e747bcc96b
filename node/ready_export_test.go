package node

import "time"

// MaxPause is how long the loop may stand still.
const MaxPause = maxPause

// PulseFaults says what is wrong with a loop that turned at those times after
// begun, when so much has passed.
func PulseFaults(begun time.Time, turns []time.Duration, at time.Duration) []string {
	var p pulse
	for _, d := range turns {
		p.beat(begun.Add(d))
	}
	return p.faults(begun.Add(at))
}
