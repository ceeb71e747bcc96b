package engine

import (
	"time"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/validation"
)

// banPeer carries out our operator's word, in place of whatever the ledger
// says of the peer.
func (e *Engine) banPeer(in BanPeer, out *Effects) validation.Verdict {
	if in.Peer == "" {
		return validation.Internal.Verdict() // that is the operator's own
	}
	e.ledger.drop(in.Peer, out)
	e.ledger.ban(PeerBan{
		Peer:    in.Peer,
		From:    e.now,
		Until:   e.now.Add(in.For.Truncate(time.Millisecond)), // as precise as records are
		Bound:   e.sync.bound(in.Peer),
		Entries: []Entry{{Time: e.now, Reason: validation.Operator, Points: params.PointsBan, Total: params.PointsBan}},
	}, out)
	return validation.Valid.Verdict()
}
