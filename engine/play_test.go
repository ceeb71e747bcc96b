package engine

import (
	"github.com/proctornet/proctor/inventory"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// player is an engine and, in place of the node around it, what plays the
// part of its validators: cheap steps on the snapshot, then the signature.
type player struct {
	rig
	genuine map[wire.Hash]bool // ids of the bans whose signature is the quorum's
	total   Effects            // of everything that was fed
	judged  map[validation.Reason]int
}

func (r rig) player(genuine ...Ban) *player {
	p := &player{rig: r, genuine: make(map[wire.Hash]bool), judged: make(map[validation.Reason]int)}
	for _, in := range genuine {
		p.genuine[in.Message.ID()] = true
	}
	return p
}

// tell feeds an input and judges again what becomes due.
func (p *player) tell(in Input) {
	p.t.Helper()
	_, out := p.feed(in)
	p.total.Charges = append(p.total.Charges, out.Charges...)
	p.total.Bans = append(p.total.Bans, out.Bans...)
	p.total.Lost += out.Lost
	p.total.Undone += out.Undone
	for _, d := range out.Due {
		v := p.judge(Peer(d.From), d.Ban, d.Why == inventory.Ahead)
		if why, again := putOffFor[v.Reason]; again {
			d.Why = why
			p.tell(Defer{d})
		}
	}
}

var putOffFor = map[validation.Reason]inventory.Why{
	validation.NotSynced: inventory.Unsynced,
	validation.Unsure:    inventory.Unsure,
	validation.Ahead:     inventory.Ahead,
}

// deliver is a ban that a peer brings.
func (p *player) deliver(from Peer, m wire.PlatformBan) validation.Reason {
	p.t.Helper()
	v := p.judge(from, m, false)
	if why, later := putOffFor[v.Reason]; later {
		p.tell(Defer{inventory.Deferred{From: string(from), Ban: m, Why: why}})
	}
	return v.Reason
}

func (p *player) judge(from Peer, m wire.PlatformBan, held bool) validation.Verdict {
	p.t.Helper()
	view := p.Snapshot()
	v := validation.PlatformBan(m, view, held)
	if v.OK() {
		v = validation.Checked(true, p.genuine[m.ID()])
	}
	if v.OK() {
		key, _ := view.PlatformQuorum(m.QuorumHash, m.SignedHeight)
		out := new(Effects)
		p.Step(Ban{From: from, Message: m, Key: key}, 1, out)
		v = out.Replies[0].Verdict
		p.total.Charges = append(p.total.Charges, out.Charges...)
		p.total.Bans = append(p.total.Bans, out.Bans...)
	} else if v.Points > 0 {
		p.tell(Judged{From: from, Verdict: v, Evidence: m.ID()})
	}
	p.judged[v.Reason]++
	return v
}
