package state

import (
	"bytes"
	"maps"
	"math"
	"slices"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/wire"
)

// twin is the slow, obvious state: maps that are copied whole for every block
// and searched for every question. It shares no rule and no constant with the
// package.
type twin struct {
	network            wire.Hash
	requirement        uint64
	brake, keeps       bool
	lock, delay        int
	nodes              map[wire.Hash]twinNode
	stakers            map[wire.Hash]twinStaker
	gone               map[wire.Hash]twinGone
	quorums            []twinQuorum // as they were mined
	removed, transited int          // in the last block
	punished, banned   int          // in the last block
	height             int          // of the last block
	thirds             bool
	paid               wire.Hash
}

type twinNode struct {
	evo, revoked                                          bool
	operator                                              wire.OperatorKey
	service                                               wire.ServiceKey
	sequence                                              uint64
	addresses                                             []string
	stakes                                                []Pledge
	registered, score, banned, revived, since, down, last int
	times, base, penalty, reward, exit                    int
	index                                                 uint32
	cause                                                 wire.Answer
	confirmed                                             wire.Hash
	platform                                              string
}

type twinStaker struct {
	granted, sequence uint64
	locks             []Lock // never dropped here
}

type twinQuorum struct {
	kind        wire.LLMQType
	hash        wire.Hash
	base, mined int
	members     []wire.Hash
}

type twinGone struct {
	deregistered   bool
	height, unlock int
}

func newTwin(g chain.Genesis) twin {
	t := twin{
		network: g.Hash(), requirement: g.StakingRequirement, brake: !g.NoBrake, lock: 30 * 720, delay: 15 * 720,
		nodes: map[wire.Hash]twinNode{}, stakers: map[wire.Hash]twinStaker{}, gone: map[wire.Hash]twinGone{},
	}
	if g.Profile == "core" {
		t.keeps, t.lock, t.delay = true, 2*720, 720
	}
	t.thirds = g.Profile == "spec"
	for _, grant := range g.Grants {
		t.stakers[wire.Hash(grant.Staker)] = twinStaker{granted: grant.Amount}
	}
	for _, n := range g.Nodes {
		x := twinNode{evo: n.Evo, operator: n.OperatorKey, service: n.ServiceKey, addresses: n.Addresses, platform: n.Platform, confirmed: t.network,
			banned: -1, revived: -1, since: -1, down: -1, last: -1, base: 60, penalty: -1, reward: -1, exit: -1}
		if len(n.Addresses) == 0 {
			x.banned = 0
		}
		var sum uint64
		for _, s := range n.Stakes {
			x.stakes = append(x.stakes, Pledge{s.Staker, s.Amount})
			sum += s.Amount
		}
		if sum == g.StakingRequirement {
			x.since, x.reward = 0, 0
		}
		t.nodes[n.ProTxHash] = x
	}
	return t
}

func (t twin) clone() twin {
	t.nodes, t.stakers, t.gone, t.quorums = maps.Clone(t.nodes), maps.Clone(t.stakers), maps.Clone(t.gone), slices.Clone(t.quorums)
	t.removed, t.transited, t.punished, t.banned, t.paid = 0, 0, 0, 0, wire.Hash{}
	return t
}

func (n twinNode) tests() bool { return n.since >= 0 && n.down < 0 && n.banned < 0 }

func (t twin) counts() (awaiting, active, down int) {
	for _, n := range t.nodes {
		switch {
		case n.since < 0:
			awaiting++
		case n.down >= 0:
			down++
		default:
			active++
		}
	}
	return
}

func (t twin) k() int {
	if !t.brake {
		return math.MaxInt32
	}
	_, a, d := t.counts()
	return max(2, (a+d)/4)
}

func (t twin) rewardOrder() (list []wire.Hash) {
	for h, n := range t.nodes {
		if n.tests() {
			list = append(list, h)
		}
	}
	slices.SortFunc(list, func(a, b wire.Hash) int {
		x, y := t.nodes[a], t.nodes[b]
		switch {
		case x.reward != y.reward:
			return x.reward - y.reward
		case x.index != y.index:
			return int(int64(x.index) - int64(y.index))
		}
		return bytes.Compare(a[:], b[:])
	})
	return list
}

func (t twin) pledged(staker wire.Hash) (sum uint64, count int) {
	for _, n := range t.nodes {
		for _, p := range n.stakes {
			if wire.Hash(p.Staker) == staker {
				sum += p.Amount
				count++
			}
		}
	}
	return
}

func (t twin) locked(staker wire.Hash, height int) (sum uint64, count int) {
	for _, l := range t.stakers[staker].locks {
		if int(l.UnlockHeight) > height {
			sum += l.Amount
			count++
		}
	}
	return
}

func (n twinNode) credit(height int) int {
	if n.since < 0 {
		return n.base
	}
	end := height
	if n.down >= 0 {
		end = n.down
	}
	c := min(1440, n.base+(end-n.since)*24/720)
	if n.down >= 0 {
		c -= height - n.down
	}
	return c
}

// apply returns t after the block, and whether the block is legal.
func (t twin) apply(b wire.Block, sessions ...Session) (twin, bool) {
	next := t.clone()
	height := int(b.Header.Height)
	next.height = height
	for h, n := range next.nodes {
		for fall := height - t.height; fall > 0 && n.score > 0 && n.banned < 0; fall-- {
			n.score--
		}
		next.nodes[h] = n
	}
	if list := t.rewardOrder(); len(list) > 0 {
		next.paid = list[0]
	}
	for h, n := range t.nodes {
		if n.exit >= 0 && height > n.exit {
			delete(next.nodes, h)
			next.gone[h] = twinGone{false, height, height}
			next.transited++
		}
	}
	if n, ok := next.nodes[next.paid]; ok {
		n.reward, n.index = height, math.MaxUint32
		next.nodes[next.paid] = n
	}
	for h, n := range next.nodes {
		if n.confirmed == (wire.Hash{}) && height-1-n.registered >= 1 {
			n.confirmed = b.Header.Parent
			next.nodes[h] = n
		}
	}
	if !next.form(height, b.Commitments, sessions) {
		return t, false
	}
	for i, e := range b.Events {
		if e.Head().Network != t.network || !next.event(height, i, e) {
			return t, false
		}
	}
	for i, c := range b.Certificates {
		for _, earlier := range b.Certificates[:i] {
			if earlier.ProTxHash == c.ProTxHash || earlier.Height > c.Height || earlier.Height == c.Height && bytes.Compare(earlier.ProTxHash[:], c.ProTxHash[:]) > 0 {
				return t, false
			}
		}
		if !next.certificate(height, c) {
			return t, false
		}
	}
	return next, true
}

func (t *twin) form(height int, commitments []wire.FinalCommitment, sessions []Session) bool {
	if len(commitments) != len(sessions) {
		return false
	}
	for i, c := range commitments {
		if c.PublicKey == (wire.OperatorKey{}) { // the only null ones here
			continue
		}
		for _, q := range t.quorums {
			if q.kind == c.Type && q.hash == c.QuorumHash {
				return false
			}
		}
		t.quorums = append(t.quorums, twinQuorum{c.Type, c.QuorumHash, int(sessions[i].Base), height, sessions[i].Members})
		for j, h := range sessions[i].Members {
			if !c.ValidMembers[j] {
				t.punish(height, h)
			}
		}
	}
	return true
}

func (t *twin) punish(height int, h wire.Hash) {
	n, ok := t.nodes[h]
	if !ok {
		return
	}
	bar := len(t.nodes)
	if bar < 100 {
		bar = 100
	}
	if t.thirds {
		n.score += bar * 2 / 3
	} else {
		n.score = min(bar, n.score+bar*66/100)
	}
	if n.banned < 0 && n.score >= bar {
		n.banned = height
		t.banned++
	}
	t.punished++
	t.nodes[h] = n
}

func (t *twin) event(height, i int, e wire.Event) bool {
	sequence, record := e.Head().Sequence, e.Record()
	staker, isStaker := t.stakers[record]
	node, isNode := t.nodes[record]
	switch e := e.(type) {
	case wire.Register:
		for _, n := range t.nodes {
			if n.service == e.ServiceKey || n.operator == e.OperatorKey {
				return false
			}
		}
		if e.ServiceKey == (wire.ServiceKey{}) || e.OperatorKey == (wire.OperatorKey{}) || e.Platform != "" && !e.Evo {
			return false
		}
		x := twinNode{evo: e.Evo, operator: e.OperatorKey, service: e.ServiceKey, addresses: e.Addresses, platform: e.Platform,
			registered: height, banned: -1, revived: -1, since: -1, down: -1, last: -1, base: 60, penalty: -1, reward: -1, exit: -1}
		if len(e.Addresses) == 0 {
			x.banned = height
		}
		if !isStaker || sequence != staker.sequence+1 || !t.pledge(&x, record, e.Amount, height, i) {
			return false
		}
		t.nodes[e.ProTxHash()] = x
		t.transited++
	case wire.Contribute:
		x, ok := t.nodes[e.ProTxHash]
		if !ok || x.since >= 0 || x.revoked || x.exit >= 0 || !isStaker || sequence != staker.sequence+1 || !t.pledge(&x, record, e.Amount, height, i) {
			return false
		}
		t.nodes[e.ProTxHash] = x
		if x.since >= 0 {
			t.transited++
		}
	case wire.Exit:
		x, ok := t.nodes[e.ProTxHash]
		has := false
		for _, p := range x.stakes {
			has = has || p.Staker == e.Staker
		}
		if !ok || !has || x.exit >= 0 || sequence != staker.sequence+1 {
			return false
		}
		x.exit = height
		if x.since >= 0 {
			x.exit += t.delay
		}
		t.nodes[e.ProTxHash] = x
	case wire.UpdateService:
		if !isNode || node.revoked || sequence != node.sequence+1 || e.Platform != "" && !node.evo {
			return false
		}
		node.sequence, node.addresses, node.platform = sequence, e.Addresses, e.Platform
		if node.banned >= 0 {
			node.score, node.banned, node.revived = 0, -1, height
			if node.since >= 0 && node.down < 0 {
				node.reward, node.index = height, uint32(i)
			}
		}
		t.nodes[record] = node
		return true
	case wire.Revoke:
		if !isNode || node.revoked || sequence != node.sequence+1 {
			return false
		}
		node.sequence, node.revoked, node.operator = sequence, true, wire.OperatorKey{}
		if node.banned < 0 {
			node.banned = height
		}
		t.nodes[record] = node
		return true
	}
	staker.sequence = sequence
	t.stakers[record] = staker
	return true
}

func (t *twin) pledge(n *twinNode, staker wire.Hash, amount uint64, height, i int) bool {
	missing, own := t.requirement, -1
	for j, p := range n.stakes {
		missing -= p.Amount
		if wire.Hash(p.Staker) == staker {
			own = j
		}
	}
	places := 10 - len(n.stakes)
	if own < 0 && places == 0 || amount < 1 || amount > missing || amount*uint64(max(places, 1)) < missing {
		return false
	}
	sum, count := t.pledged(staker)
	lockedSum, lockedCount := t.locked(staker, height)
	if own < 0 && count+lockedCount >= 64 || sum+lockedSum+amount > t.stakers[staker].granted {
		return false
	}
	n.stakes = slices.Clone(n.stakes)
	if own >= 0 {
		n.stakes[own].Amount += amount
	} else {
		n.stakes = append(n.stakes, Pledge{wire.StakerKey(staker), amount})
	}
	if amount == missing {
		n.since, n.reward, n.index = height, height, uint32(i)
	}
	return true
}

func (t *twin) certificate(height int, c wire.Certificate) bool {
	n, ok := t.nodes[c.ProTxHash]
	q, credit := int(c.Height), n.credit(height)
	_, a, d := t.counts()
	if !ok || n.since < 0 || q <= n.registered || q <= n.since || q <= n.last || c.Answer < 1 || c.Answer > 4 {
		return false
	}
	fails := c.Answer == wire.FailsUptime || c.Answer == wire.FailsCheckpoint
	full := t.brake && t.removed >= max(2, (a+d)/100)
	deregister := false
	switch {
	case c.Answer == wire.TwoAddresses:
		if n.down >= 0 || q <= n.penalty {
			return false
		}
		n.penalty, n.reward, n.index = height, height, math.MaxUint32
	case c.Answer == wire.Passes:
		if n.down < 0 {
			return false
		}
		atDown := n.credit(n.down)
		n.base = 0
		if t.keeps {
			n.base = max(0, atDown-2*(height-n.down))
		}
		n.since, n.down, n.reward, n.index = height, -1, height, math.MaxUint32
	case fails && n.down < 0:
		if full || d >= t.k() {
			return false
		}
		t.removed++
		deregister = credit < 60
		if !deregister {
			n.down, n.last, n.times, n.cause = height, height, n.times+1, c.Answer
		}
	case fails:
		if full || credit >= 0 || d >= t.k() && credit >= -1440 {
			return false
		}
		t.removed++
		deregister = true
	}
	t.transited++
	if !deregister {
		t.nodes[c.ProTxHash] = n
		return true
	}
	delete(t.nodes, c.ProTxHash)
	t.gone[c.ProTxHash] = twinGone{true, height, height + t.lock}
	for _, p := range n.stakes {
		s := t.stakers[wire.Hash(p.Staker)]
		s.locks = append(slices.Clone(s.locks), Lock{c.ProTxHash, p.Amount, int32(height + t.lock)})
		t.stakers[wire.Hash(p.Staker)] = s
	}
	return true
}
