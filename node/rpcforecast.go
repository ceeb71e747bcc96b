package node

import (
	"context"
	"time"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/forecast"
	"github.com/proctornet/proctor/wire"
)

// MaxAbsence bounds the times that can be asked about.
const MaxAbsence = 7 * 24 * time.Hour

// ForecastInfo answers `forecast`.
type ForecastInfo struct {
	Name        string  `json:"name,omitempty"` // in the genesis
	SlotSeconds float64 `json:"slot_seconds"`   // a block takes as much at the least
	Synced      bool    `json:"synced"`         // if not, what is known of duties is old
	forecast.Forecast
	Restart AbsenceInfo `json:"restart"`
}

// AbsenceInfo tells when a node may go down for some time.
type AbsenceInfo struct {
	Seconds float64          `json:"seconds"`
	Blocks  int32            `json:"blocks"`           // that are made meanwhile
	Safe    bool             `json:"safe_now"`         // it may go down before the next block
	Window  *forecast.Window `json:"window,omitempty"` // nil if there is none as far as can be seen
	Open    bool             `json:"open,omitempty"`   // there is none, but one opens if it is not drawn for what is to come
	Longest int32            `json:"longest"`          // blocks for which there is one, if for this there is not
}

// absence finds when a node may go down for so long. While we are not synced,
// what we know of its duties is old.
func (n *Node) absence(s *engine.Snapshot, f forecast.Forecast, d time.Duration) AbsenceInfo {
	slot := n.config.Genesis.Slot()
	a := AbsenceInfo{Seconds: d.Seconds(), Blocks: int32((d + slot - 1) / slot)}
	if w, ok := f.Window(a.Blocks); ok {
		a.Window = &w
		a.Safe = s.Synced() && w.From == f.Height
	} else {
		a.Open, a.Longest = f.Possible(a.Blocks), f.Longest()
	}
	return a
}

func (n *Node) rpcForecast(_ context.Context, p api.Params) (any, error) {
	if err := p.Count(0, 2); err != nil {
		return nil, err
	}
	proTx, d := n.config.ProTxHash, RestartTime
	if len(p) > 0 && string(p[0]) != "null" { // null stands for this node before a time
		text, err := p.Text(0, "node")
		if err != nil {
			return nil, err
		}
		if proTx, err = n.find(text); err != nil {
			return nil, err
		}
	}
	if len(p) > 1 {
		seconds, err := p.Height(1, "seconds")
		if err != nil {
			return nil, err
		}
		if most := int32(MaxAbsence / time.Second); seconds < 1 || seconds > most {
			return nil, api.Invalid("%d seconds, want 1 to %d", seconds, most)
		}
		d = time.Duration(seconds) * time.Second
	}
	return n.Forecast(proTx, d), nil
}

// Forecast tells what is in store for a service node, and when it may go down
// for so long.
func (n *Node) Forecast(proTx wire.Hash, away time.Duration) ForecastInfo {
	s := n.Snapshot()
	f := forecast.Of(s, proTx)
	return ForecastInfo{n.names[proTx], n.config.Genesis.Slot().Seconds(), s.Synced(), f, n.absence(s, f, away)}
}
