package engine

import "github.com/proctornet/proctor/quorum/dkg"

// probeMembers asks to try whether the other members of a session take
// connections. Each member begins with its successor: if all began with the
// first, it would have to refuse most of them. Source: spec/dash.md 4.1.
func (e *Engine) probeMembers(r *dkg.Roster, self int, out *Effects) {
	members := r.Members()
	for i := 1; i < len(members); i++ {
		m := members[(self+i)%len(members)]
		out.Probes = append(out.Probes, Probe{ProTxHash: m.ProTxHash, Service: Transport})
	}
}

// transportProbed counts how often in a row a registered node could not be
// reached. The registry bounds what is remembered.
func (e *Engine) transportProbed(in Probed) {
	proTx := in.Probe.ProTxHash
	if in.Failed == "" {
		delete(e.unreached, proTx)
	} else if _, registered := e.state.Node(proTx); registered {
		e.unreached[proTx]++
	}
}

// forgetUnreached forgets nodes that have left the registry.
func (e *Engine) forgetUnreached() {
	for proTx := range e.unreached {
		if _, registered := e.state.Node(proTx); !registered {
			delete(e.unreached, proTx)
		}
	}
}
