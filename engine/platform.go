package engine

import (
	"slices"
	"strings"

	"github.com/proctornet/proctor/params"
)

// maxFailure is the most characters of the reason of a failed attempt.
const maxFailure = 200

// Attempt is one probe of a platform endpoint.
type Attempt struct {
	Height   int32  `json:"height"`
	Endpoint string `json:"endpoint"`
	Failed   string `json:"failed"` // why; empty if it answered
}

// Endpoint is what we know of an evonode's platform endpoint.
type Endpoint struct {
	Attempts []Attempt // the newest of one URL, oldest first
}

// tried returns p after one more attempt. What was tried at another URL says
// nothing about this one.
func (p Endpoint) tried(a Attempt) Endpoint {
	if text := []rune(strings.ToValidUTF8(a.Failed, "?")); len(text) > maxFailure {
		a.Failed = string(text[:maxFailure])
	} else {
		a.Failed = string(text)
	}
	if p.url() != a.Endpoint {
		return Endpoint{[]Attempt{a}}
	}
	kept := p.Attempts[max(0, len(p.Attempts)+1-params.MonitorAttempts):]
	return Endpoint{append(slices.Clone(kept), a)} // a copy: readers hold the old one
}

func (p Endpoint) url() string {
	if len(p.Attempts) == 0 {
		return ""
	}
	return p.Attempts[len(p.Attempts)-1].Endpoint
}

// fails reports whether it did not answer the last time.
func (p Endpoint) fails() bool {
	return len(p.Attempts) > 0 && p.Attempts[len(p.Attempts)-1].Failed != ""
}

// dead reports whether it did not answer several times in a row, over several
// blocks.
func (p Endpoint) dead() bool {
	first := len(p.Attempts)
	for first > 0 && p.Attempts[first-1].Failed != "" {
		first--
	}
	row := p.Attempts[first:]
	return len(row) >= params.MonitorFailures && row[len(row)-1].Height-row[0].Height >= params.MonitorSpan
}

// othersAnswer reports whether, by how many of the endpoints watched fail, it
// is them and not us: at most a share of them, of a few at most one.
func othersAnswer(failing, watched int) bool {
	return failing <= max(1, watched/params.MonitorShare)
}
