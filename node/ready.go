package node

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/metrics"
)

// maxPause is how long the engine's loop may stand still, for a reorganisation
// or a slow disk, before the node counts as stuck. It turns four times a second
// at least.
const maxPause = 30 * time.Second

// pulse tells since when the node runs, and that its loop still turns.
type pulse struct {
	started time.Time
	last    atomic.Int64 // Unix time of the loop's last turn, ns
}

func (p *pulse) beat(now time.Time) { p.last.Store(now.UnixNano()) }

// faults says why the node is as good as dead, so that only a restart helps.
func (p *pulse) faults(now time.Time) []string {
	last := p.last.Load()
	if last == 0 {
		return nil // it has not begun
	}
	if pause := now.Sub(time.Unix(0, last)); pause > maxPause {
		return []string{fmt.Sprintf("The engine has not moved for %.0f s: see whether the disk of data_dir answers, then restart the node.", pause.Seconds())}
	}
	return nil
}

// probes are the pages for supervisors: whether the node should be restarted,
// and whether it should be relied on.
func (n *Node) probes() []api.Probe {
	return []api.Probe{
		{Path: "/livez", Reasons: func() []string { return n.pulse.faults(time.Now()) }},
		{Path: "/readyz", Reasons: func() []string {
			now := time.Now()
			return append(n.pulse.faults(now), n.Health(now).Problems...)
		}},
	}
}

// pages are the probes for those who may see the metrics only.
func (n *Node) pages() (pages []metrics.Page) {
	for _, p := range n.probes() {
		pages = append(pages, metrics.Page{Path: p.Path, Handler: p})
	}
	return pages
}
