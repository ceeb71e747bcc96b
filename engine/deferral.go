package engine

import "github.com/proctornet/proctor/inventory"

// deferBan keeps a ban that was not judged until it can be.
func (e *Engine) deferBan(d inventory.Deferred, out *Effects) {
	if d.Since.IsZero() {
		d.Since, d.Slot, d.Tip = e.now, e.slot(), e.tree.Tip().Height
	}
	if !e.waiting.Add(d) {
		out.Lost++
	}
}

// resume hands out the deferred bans whose time has come, and asks for those
// of which there was only room for the hash.
func (e *Engine) resume(out *Effects) {
	now := inventory.Now{
		Time: e.now, Slot: e.slot(), Tip: e.tree.Tip().Height, Synced: e.synced(), Confident: e.doubtful() == Settled,
	}
	due, lost := e.waiting.Due(now)
	out.Due = append(out.Due, due...)
	out.Lost += lost
	if !now.Synced {
		return
	}
	if from, hashes := e.waiting.Want(); len(hashes) > 0 {
		out.Wants = append(out.Wants, Want{Peer(from), hashes})
	}
}
