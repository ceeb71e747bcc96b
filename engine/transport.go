package engine

import (
	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/wire"
)

// probeMembers asks to try whether the other members of a session take
// connections. Source: spec/dash.md 4.1.
func (e *Engine) probeMembers(r *dkg.Roster, self int, out *Effects) {
	for i, m := range r.Members() {
		if i != self {
			out.Probes = append(out.Probes, Probe{ProTxHash: m.ProTxHash, Service: Transport})
		}
	}
}

// transportProbed counts how often in a row a member could not be reached.
func (e *Engine) transportProbed(in Probed) {
	switch proTx := in.Probe.ProTxHash; {
	case in.Failed == "":
		delete(e.unreached, proTx)
	case e.fellowMember(proTx):
		e.unreached[proTx]++
	}
}

// fellowMember reports whether a node is in a session that we follow. Others
// are not counted, which bounds what is remembered.
func (e *Engine) fellowMember(proTx wire.Hash) bool {
	for _, s := range e.sessions {
		if _, member := s.Index(proTx); member {
			return true
		}
	}
	return false
}

// forgetUnreached forgets nodes that are in no session any more.
func (e *Engine) forgetUnreached() {
	for proTx := range e.unreached {
		if !e.fellowMember(proTx) {
			delete(e.unreached, proTx)
		}
	}
}
