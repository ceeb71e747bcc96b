package engine

import (
	"maps"
	"time"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/validation"
)

// maxDoubters bounds the peers watched for doubt.
const maxDoubters = 256

// doubt notices when so many peers contradict our view of the chain that we,
// and not they, are likely to be wrong.
type doubt struct {
	contradicted map[Peer]time.Time // by whom, and when last
	until        time.Time          // nobody is blamed for our view before it
}

func newDoubt() doubt { return doubt{contradicted: make(map[Peer]time.Time)} }

// stands reports whether we doubt ourselves.
func (d *doubt) stands(now time.Time) bool { return now.Before(d.until) }

// note hears of a heavy penalty that follows from our view, and reports
// whether it is one too many. contacts is how many peers we have.
func (d *doubt) note(p Peer, v validation.Verdict, contacts int, now time.Time) bool {
	if v.Reason.Nature() != validation.OfView || v.Points < params.PointsMedium {
		return false
	}
	maps.DeleteFunc(d.contradicted, func(_ Peer, t time.Time) bool { return now.Sub(t) > params.DoubtWindow })
	if _, known := d.contradicted[p]; !known && len(d.contradicted) >= maxDoubters {
		return false
	}
	d.contradicted[p] = now
	if len(d.contradicted) < max(params.DoubtPeers, (contacts+2)/3) {
		return false
	}
	clear(d.contradicted)
	d.until = now.Add(params.DoubtTime)
	return true
}
