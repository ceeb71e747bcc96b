package node

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/proctornet/proctor/api"
	"github.com/proctornet/proctor/engine"
	"github.com/proctornet/proctor/forecast"
	"github.com/proctornet/proctor/wire"
)

// Status is how this node is and what its operator should do.
type Status struct {
	OK      bool           `json:"ok"`
	Verdict string         `json:"verdict"` // AllWell, or the first of ToDo
	ToDo    []string       `json:"to_do"`   // a sentence each, the most urgent first
	Network string         `json:"network"`
	Chain   ChainStatus    `json:"chain"`
	Peers   PeerCount      `json:"peers"`
	Service *ServiceStatus `json:"service,omitempty"` // nil of an observer
	Duties  []DutyInfo     `json:"duties"`            // the next that are known
	Alarms  []AlarmInfo    `json:"alarms"`            // since the node started, by kind
}

// AllWell is the verdict when there is nothing to do.
const AllWell = "OK, nothing to do"

// ChainStatus is how well the node follows the chain.
type ChainStatus struct {
	Height        int32   `json:"height"`
	Final         int32   `json:"final_height"`
	Slot          uint64  `json:"slot"`         // of the best block
	CurrentSlot   uint64  `json:"current_slot"` // by the clock
	TipAgeSeconds float64 `json:"tip_age_seconds"`
	SlotSeconds   float64 `json:"slot_seconds"` // length of a slot, so of a block at the least
	Synced        bool    `json:"synced"`
	View          string  `json:"view"` // settled, or why peers are not blamed for contradicting it
}

// PeerCount counts peers that have completed the handshake.
type PeerCount struct {
	All     int `json:"all"`
	Inbound int `json:"inbound"`
}

// ServiceStatus is this node as a service node.
type ServiceStatus struct {
	Name            string           `json:"name,omitempty"` // in the genesis
	ProTxHash       wire.Hash        `json:"protx_hash"`
	Type            string           `json:"type,omitempty"` // regular or evo; empty unless registered
	State           string           `json:"state"`          // awaiting, active, decommissioned, gone, or unregistered
	Why             string           `json:"why"`            // it is in that state, and since when
	Credit          int32            `json:"credit"`         // blocks
	CreditSeconds   float64          `json:"credit_seconds"`
	PoSe            *forecast.PoSe   `json:"pose,omitempty"`
	PlatformBanFlag bool             `json:"platform_ban_flag"` // as this node sees it
	ProofAge        int32            `json:"proof_age"`         // blocks since its last uptime proof; -1 if it never sent one
	ProofValidity   int32            `json:"proof_validity"`    // blocks
	IfDown          *forecast.Outage `json:"if_down_now,omitempty"`
	Restart         *AbsenceInfo     `json:"restart,omitempty"` // when it may go down for RestartTime
}

// DutyInfo shows a duty.
type DutyInfo struct {
	forecast.Duty
	In int32 `json:"in"` // blocks until From; 0 if it has begun
}

// AlarmInfo counts the alarms of one kind.
type AlarmInfo struct {
	Kind   engine.AlarmKind `json:"kind"`
	Count  int              `json:"count"`
	Last   time.Time        `json:"last"`
	Height int32            `json:"height"` // of the tip then
	Text   string           `json:"text"`   // of the last
}

// RestartTime is how long a restart takes, if nobody says otherwise.
const RestartTime = 2 * time.Minute

// maxDuties is how many duties are shown.
const maxDuties = 5

// Status returns how the node is at a time. It answers from memory.
func (n *Node) Status(now time.Time) Status {
	s, health := n.Snapshot(), n.Health(now)
	st := Status{
		Network: n.config.Genesis.Network,
		Chain: ChainStatus{
			Height: s.TipHeight(), Final: s.Final.Height, Slot: s.Tip.Slot, CurrentSlot: n.config.Genesis.SlotAt(now),
			TipAgeSeconds: health.TipAgeSeconds, SlotSeconds: n.config.Genesis.Slot().Seconds(), Synced: health.Synced, View: health.View,
		},
		Duties: []DutyInfo{}, Alarms: n.alarms.list(),
	}
	for _, c := range n.gossip.Contacts() {
		st.Peers.All++
		if c.Inbound {
			st.Peers.Inbound++
		}
	}
	p := plight{health: health.Problems, observer: n.config.ProTxHash.IsZero()}
	if !p.observer {
		f := forecast.Of(s, n.config.ProTxHash)
		p.service(n, s, f)
		st.Service = n.serviceStatus(s, p, f)
		st.Duties = nextDuties(f, maxDuties)
	}
	st.ToDo = p.toDo()
	st.OK, st.Verdict = len(st.ToDo) == 0, AllWell
	if !st.OK {
		st.Verdict = st.ToDo[0]
	}
	return st
}

func (n *Node) serviceStatus(s *engine.Snapshot, p plight, f forecast.Forecast) *ServiceStatus {
	absence := n.absence(s, f, RestartTime)
	st := &ServiceStatus{
		Name: n.names[f.ProTxHash], ProTxHash: f.ProTxHash, State: p.state(), Why: p.why(), Credit: f.Credit, CreditSeconds: n.seconds(f.Credit),
		PoSe: f.PoSe, PlatformBanFlag: p.flag, ProofAge: f.ProofAge, ProofValidity: p.rules.ProofValidity, IfDown: f.IfDown, Restart: &absence,
	}
	if p.registered {
		st.Type = nodeType(p.node.Evo)
	}
	return st
}

// seconds is how long so many blocks take, if no slot stays empty.
func (n *Node) seconds(blocks int32) float64 {
	return float64(blocks) * n.config.Genesis.Slot().Seconds()
}

// nextDuties are the first known ones.
func nextDuties(f forecast.Forecast, most int) []DutyInfo {
	list := make([]DutyInfo, 0, most)
	for _, d := range f.Duties {
		if d.Chance == 1 && len(list) < most {
			list = append(list, DutyInfo{d, max(0, d.From-f.Height)})
		}
	}
	return list
}

// alarms counts what people should look at. It is safe for concurrent use.
type alarms struct {
	mu   sync.Mutex
	seen map[engine.AlarmKind]AlarmInfo // kinds are a closed set
}

func (a *alarms) note(alarm engine.Alarm, height int32, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.seen == nil {
		a.seen = make(map[engine.AlarmKind]AlarmInfo)
	}
	a.seen[alarm.Kind] = AlarmInfo{alarm.Kind, a.seen[alarm.Kind].Count + 1, now.UTC().Truncate(time.Second), height, alarm.Text}
}

// list returns those seen, the newest first.
func (a *alarms) list() []AlarmInfo {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]AlarmInfo, 0, len(a.seen))
	for _, x := range a.seen {
		list = append(list, x)
	}
	slices.SortFunc(list, func(a, b AlarmInfo) int { return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Kind, b.Kind)) })
	return list
}

func (n *Node) statusMethods() []api.Method {
	return []api.Method{
		{
			Name: "status", Usage: "",
			Help: "show how this node is and what its operator should do",
			Call: func(context.Context, api.Params) (any, error) { return n.Status(time.Now()), nil },
		},
		{
			Name: "forecast", Usage: "[PROTXHASH | NAME] [SECONDS]",
			Help: "show what is in store for a service node, this one if none is named: duties, distance to a ban, and when it may go down for so long",
			Call: n.rpcForecast,
		},
	}
}
