package state

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/wire"
)

// view is everything that can be seen of a state, the indexes included.
type view struct {
	Root                wire.Hash
	Records             []Record
	Array, Rewards      []wire.Hash
	Length              int
	Exits, Unconfirmed  []wire.Hash
	Mined               []string // quorums
	Services, Operators map[wire.Hash]wire.Hash
	Counts              [5]int
	Brake               int
}

func viewOf(s State) view {
	v := view{
		Root: s.Root(), Records: slices.Collect(s.Records()), Rewards: slices.Collect(s.RewardOrder()), Length: s.index.array.Len(),
		Services: map[wire.Hash]wire.Hash{}, Operators: map[wire.Hash]wire.Hash{}, Brake: s.Brake(),
	}
	for i := range s.Listed() {
		v.Array = append(v.Array, s.At(i))
	}
	for _, h := range s.index.exits.all() {
		v.Exits = append(v.Exits, h)
	}
	for _, h := range s.index.unconfirmed.all() {
		v.Unconfirmed = append(v.Unconfirmed, h)
	}
	for _, t := range historyTypes {
		for q := range s.Quorums(t) {
			v.Mined = append(v.Mined, fmt.Sprintf("%d %s at %d", t, q.Hash(), q.Mined))
		}
	}
	for k, h := range s.index.services.All() {
		v.Services[k] = h
	}
	for k, h := range s.index.operators.All() {
		v.Operators[k] = h
	}
	v.Counts[0], v.Counts[1], v.Counts[2] = s.Counts()
	v.Counts[3], v.Counts[4] = s.Testers(), s.Listed()
	return v
}

// history makes random blocks, most of them legal.
type history struct {
	*rand.Rand
	g       chain.Genesis
	twin    twin
	height  int32
	dead    []wire.Hash
	stakers []wire.StakerKey
}

func newHistory(seed uint64) *history {
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	h := &history{Rand: rand.New(rand.NewChaCha8(key))}
	h.g = genesis(h.IntN(14)+1, []string{"spec", "core"}[seed%2])
	h.g.StakingRequirement = uint64(100 + h.IntN(50))
	h.g.NoBrake = h.IntN(4) == 0
	if h.IntN(8) == 0 {
		h.g.StakingRequirement = 0
	}
	for i := range 12 {
		key := wire.StakerKey{byte(i + 1)}
		h.stakers = append(h.stakers, key)
		h.g.Grants = append(h.g.Grants, chain.Grant{Staker: key, Amount: uint64(300 + h.IntN(3000))})
	}
	left := map[wire.StakerKey]uint64{}
	for _, grant := range h.g.Grants {
		left[grant.Staker] = grant.Amount
	}
	for i := range h.g.Nodes {
		key := h.stakers[h.IntN(len(h.stakers))]
		amount := h.g.StakingRequirement
		if h.IntN(5) == 0 {
			amount /= 3
		}
		if amount > 0 && amount <= left[key] {
			left[key] -= amount
			h.g.Nodes[i].Stakes = []chain.Grant{{Staker: key, Amount: amount}}
		}
	}
	h.twin = newTwin(h.g)
	return h
}

func (h *history) node() wire.Hash {
	var alive []wire.Hash
	for p := range h.twin.nodes {
		alive = append(alive, p)
	}
	slices.SortFunc(alive, func(a, b wire.Hash) int { return slices.Compare(a[:], b[:]) })
	if len(alive) == 0 || h.IntN(30) == 0 {
		if len(h.dead) > 0 {
			return h.dead[h.IntN(len(h.dead))]
		}
		return wire.Hash{9}
	}
	return alive[h.IntN(len(alive))]
}

func (h *history) event(used map[wire.Hash]uint64) wire.Event {
	proTx, staker := h.node(), h.stakers[h.IntN(len(h.stakers))]
	if h.IntN(40) == 0 {
		staker = wire.StakerKey{0xff}
	}
	sequence := func(record wire.Hash, last uint64) wire.EventHead {
		used[record]++
		e := wire.EventHead{Network: h.g.Hash(), Sequence: last + used[record]}
		switch h.IntN(40) {
		case 0:
			e.Sequence++
		case 1:
			e.Sequence--
		case 2:
			e.Network[0] ^= 1
		}
		return e
	}
	ofNode := func() wire.EventHead { return sequence(proTx, h.twin.nodes[proTx].sequence) }
	ofStaker := func() wire.EventHead { return sequence(wire.Hash(staker), h.twin.stakers[wire.Hash(staker)].sequence) }
	node := h.twin.nodes[proTx]
	if len(node.stakes) > 0 && h.IntN(3) > 0 {
		staker = node.stakes[h.IntN(len(node.stakes))].Staker
	}
	missing := h.g.StakingRequirement
	switch h.IntN(10) {
	case 0, 1, 2:
		e := wire.Register{EventHead: ofStaker(), Staker: staker, Evo: h.IntN(2) == 0, Amount: missing}
		binary.BigEndian.PutUint32(e.OperatorKey[:], h.Uint32N(60)+1)
		binary.BigEndian.PutUint32(e.ServiceKey[:], h.Uint32N(60)+1)
		if h.IntN(3) > 0 {
			e.Addresses = []string{"a"}
		}
		if h.IntN(2) == 0 {
			e.Amount = missing/10 + h.Uint64N(missing+2)
		}
		if h.IntN(40) == 0 {
			e.OperatorKey = wire.OperatorKey{}
		}
		if e.Evo && h.IntN(2) == 0 || h.IntN(40) == 0 {
			e.Platform = "tcp://a:1"
		}
		return e
	case 3, 4, 5:
		for _, p := range node.stakes {
			missing -= p.Amount
		}
		amount := missing
		if h.IntN(2) == 0 {
			amount = missing/uint64(max(1, 10-len(node.stakes))) + h.Uint64N(3)
		}
		return wire.Contribute{EventHead: ofStaker(), Staker: staker, ProTxHash: proTx, Amount: amount}
	case 6, 7:
		e := wire.UpdateService{EventHead: ofNode(), ProTxHash: proTx, Addresses: []string{fmt.Sprint(h.IntN(9))}}
		if node.evo && h.IntN(2) == 0 || h.IntN(20) == 0 {
			e.Platform = fmt.Sprint("tcp://a:", h.IntN(9)+1)
		}
		return e
	case 8:
		if h.IntN(3) > 0 {
			return wire.UpdateService{EventHead: ofNode(), ProTxHash: proTx, Addresses: []string{"x"}}
		}
		return wire.Revoke{EventHead: ofNode(), ProTxHash: proTx}
	default:
		return wire.Exit{EventHead: ofStaker(), Staker: staker, ProTxHash: proTx}
	}
}

func (h *history) ballot() wire.Ballot {
	proTx := h.node()
	n := h.twin.nodes[proTx]
	b := wire.Ballot{Height: h.height - h.Int32N(3), ProTxHash: proTx, Answer: wire.Answer(h.IntN(4) + 1)}
	if h.IntN(3) == 0 {
		b.Height = int32([]int{n.registered, n.since, n.last, n.penalty}[h.IntN(4)]) + h.Int32N(2)
	}
	if n.down >= 0 && h.IntN(3) == 0 {
		b.Answer = wire.Passes
	}
	if h.IntN(50) == 0 {
		b.Answer = wire.Answer(5 * h.IntN(2))
	}
	return b
}

// historyTypes are the types of quorums in histories.
var historyTypes = []wire.LLMQType{106, 100, 101}

// commitment is of a session whose members are whoever, of which most are
// valid; or a null one.
func (h *history) commitment() (wire.FinalCommitment, Session) {
	t := historyTypes[h.IntN(len(historyTypes))]
	session := Session{Base: h.height - h.Int32N(20)}
	hash := wire.DoubleHash(fmt.Append(nil, session.Base))
	valid := make(wire.Bitset, 6)
	for i := range h.IntN(len(valid)) {
		session.Members = append(session.Members, h.node())
		valid[i] = h.IntN(3) > 0
	}
	if h.IntN(4) == 0 {
		return wire.NullCommitment(wire.CommitmentBasic, t, hash, 0, len(valid)), session
	}
	return wire.FinalCommitment{Version: wire.CommitmentBasic, Type: t, QuorumHash: hash, Signers: valid, ValidMembers: valid, PublicKey: wire.OperatorKey{1}}, session
}

func (h *history) block(s State) (wire.Block, []Session) {
	h.height += []int32{1, 1, 1 + h.Int32N(60), 1 + h.Int32N(1600), 1 + h.Int32N(12_000)}[h.IntN(5)]
	var events []wire.Event
	used := map[wire.Hash]uint64{}
	b := block(s, h.height)
	var sessions []Session
	for range max(0, h.IntN(4)-1) {
		c, session := h.commitment()
		with := b
		with.Commitments = append(slices.Clone(b.Commitments), c)
		if _, legal := h.twin.apply(with, append(slices.Clone(sessions), session)...); legal || h.IntN(20) == 0 {
			b, sessions = with, append(sessions, session)
		}
	}
	if h.IntN(100) == 0 {
		sessions = append(sessions, Session{})
	}
	for range h.IntN(6) {
		tried := maps.Clone(used)
		e := h.event(tried)
		b.Events = append(slices.Clone(events), e)
		if _, legal := h.twin.apply(b, sessions...); legal || h.IntN(20) == 0 {
			events, used = b.Events, tried
		}
	}
	b.Events = events
	var certificates []wire.Certificate
	for range h.IntN(10) {
		c := wire.Certificate{Ballot: h.ballot()}
		b.Certificates = []wire.Certificate{c}
		if _, legal := h.twin.apply(b, sessions...); legal || h.IntN(20) == 0 {
			certificates = append(certificates, c)
		}
	}
	b.Certificates = certificates
	if h.IntN(20) > 0 {
		slices.SortFunc(b.Certificates, func(a, b wire.Certificate) int {
			if a.Height != b.Height {
				return int(a.Height - b.Height)
			}
			return slices.Compare(a.ProTxHash[:], b.ProTxHash[:])
		})
	}
	return b, sessions
}

// Random histories, against the twin: what is legal, every field, order and
// count; and back again by Undo, and from nothing by Load.
func TestHistories(t *testing.T) {
	seeds := uint64(100)
	if testing.Short() {
		seeds = 40
	}
	accepted, refused, quorums := 0, 0, 0
	seen := map[string]int{}
	for seed := range seeds {
		h := newHistory(seed)
		s := start(t, h.g)
		compare(t, seed, s, h.twin)
		var past []view
		var undo [][]byte
		for range 60 {
			b, sessions := h.block(s)
			h.checks(t, seed, s, b)
			want, legal := h.twin.apply(b, sessions...)
			next, diff, err := s.Apply(b, sessions...)
			if legal != (err == nil) {
				t.Fatalf("seed %d, block %d: legal %t, got %v\n%+v", seed, h.height, legal, err, b)
			}
			if !legal {
				refused++
				if viewed := viewOf(next); !reflect.DeepEqual(viewed, viewOf(s)) {
					t.Fatalf("seed %d, block %d: refused, but the state changed", seed, h.height)
				}
				continue
			}
			accepted++
			if diff.Paid != want.paid || len(diff.Transitions) != want.transited {
				t.Fatalf("seed %d, block %d: paid %s and %d transitions, want %s and %d", seed, h.height, diff.Paid, len(diff.Transitions), want.paid, want.transited)
			}
			bans := 0
			for _, p := range diff.Punishments {
				seen[fmt.Sprintf("punished, banned %t, bans %t", want.nodes[p.ProTxHash].banned >= 0, p.Bans)]++
				if p.Bans {
					bans++
				}
			}
			if len(diff.Punishments) != want.punished || bans != want.banned {
				t.Fatalf("seed %d, block %d: %d punished and %d banned, want %d and %d", seed, h.height, len(diff.Punishments), bans, want.punished, want.banned)
			}
			for _, tr := range diff.Transitions {
				seen[fmt.Sprintf("%d to %d by %s%s", tr.From, tr.To, tr.Cause.Event, tr.Cause.Answer)]++
				if tr.Credit != tr.CreditBase+tr.Earned-tr.DownBlocks || tr.Height != h.height {
					t.Fatalf("seed %d: %+v does not add up", seed, tr)
				}
			}
			compare(t, seed, next, want)
			h.thereAndBack(t, seed, s, next, diff)
			for p := range want.gone {
				if _, known := h.twin.gone[p]; !known {
					h.dead = append(h.dead, p)
				}
			}
			slices.SortFunc(h.dead, func(a, b wire.Hash) int { return slices.Compare(a[:], b[:]) })
			past, undo = append(past, viewOf(s)), append(undo, diff.UndoBytes())
			s, h.twin = next, want
		}
		quorums += len(h.twin.quorums)
		// Down again to every height, from what was stored.
		for i := range slices.Backward(undo) {
			d, err := ParseUndo(undo[i])
			if err == nil {
				s, err = s.Undo(d)
			}
			if got := viewOf(s); err != nil || !reflect.DeepEqual(got, past[i]) {
				t.Fatalf("seed %d: undone to before block %d, %v:\n%+v\nwant\n%+v", seed, d.Height, err, got, past[i])
			}
		}
	}
	if accepted < refused/4 || refused < accepted/10 || len(seen) < 18 || quorums < accepted/4 {
		t.Errorf("%d blocks accepted and %d refused, %d quorums, transitions %v: too little is tested", accepted, refused, quorums, seen)
	}
	t.Logf("%d blocks accepted, %d refused, %d quorums, transitions %v", accepted, refused, quorums, seen)
}

// checks holds CheckEvent and CheckResult to what a block with nothing else
// would do.
func (h *history) checks(t *testing.T, seed uint64, s State, b wire.Block) {
	for _, e := range b.Events {
		_, legal := h.twin.apply(block(s, h.height, e))
		if err := s.CheckEvent(h.height, e); legal != (err == nil) {
			t.Fatalf("seed %d, at %d: legal %t, CheckEvent says %v of %+v", seed, h.height, legal, err, e)
		}
	}
	for _, c := range b.Certificates {
		_, legal := h.twin.apply(wire.Block{Header: b.Header, Content: wire.Content{Certificates: []wire.Certificate{c}}})
		if err := s.CheckResult(h.height, c.Ballot); legal != (err == nil) {
			t.Fatalf("seed %d, at %d: legal %t, CheckResult says %v of %+v", seed, h.height, legal, err, c.Ballot)
		}
	}
}

func (h *history) thereAndBack(t *testing.T, seed uint64, s, next State, diff Diff) {
	want := viewOf(s)
	stored, err := ParseUndo(diff.UndoBytes())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []Diff{diff, stored} {
		if back, err := next.Undo(d); err != nil || !reflect.DeepEqual(viewOf(back), want) {
			t.Fatalf("seed %d: block %d undone, %v:\n%+v\nwant\n%+v", seed, h.height, err, viewOf(back), want)
		}
	}
	if len(diff.Before) > 0 {
		if _, err := s.Undo(diff); err == nil {
			t.Fatalf("seed %d: block %d is undone before it was applied", seed, h.height)
		}
	}
	records := slices.Collect(next.Records())
	h.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
	if loaded, err := Load(h.g, slices.Values(records)); err != nil || !reflect.DeepEqual(viewOf(loaded), viewOf(next)) {
		t.Fatalf("seed %d: loaded after %d, %v:\n%+v\nwant\n%+v", seed, h.height, err, viewOf(loaded), viewOf(next))
	}
}

func compare(t *testing.T, seed uint64, s State, want twin) {
	t.Helper()
	if s.NodeCount() != len(want.nodes) || s.tombstones.Len() != len(want.gone) {
		t.Fatalf("seed %d: %d nodes and %d tombstones, want %d and %d", seed, s.NodeCount(), s.tombstones.Len(), len(want.nodes), len(want.gone))
	}
	for h, w := range want.nodes {
		n, ok := s.Node(h)
		got := twinNode{n.Evo, n.Revoked, n.OperatorKey, n.ServiceKey, n.Sequence, n.Addresses, n.Stakes,
			int(n.RegisteredHeight), int(n.PoSe.At(int32(want.height))), int(n.PoSe.BanHeight), int(n.RevivedHeight), int(n.ActiveSince), int(n.DecommissionedHeight), int(n.LastDecommission),
			int(n.Decommissions), int(n.CreditBase), int(n.PenaltyHeight), int(n.RewardHeight), int(n.ExitHeight), n.RewardIndex, n.Cause, n.ConfirmedHash, n.Platform}
		if !ok || !reflect.DeepEqual(got, w) {
			t.Fatalf("seed %d: node %s is\n%+v, want\n%+v", seed, h, got, w)
		}
		if byKey, ok := s.ByServiceKey(n.ServiceKey); !ok || byKey.ProTxHash != h {
			t.Fatalf("seed %d: node %s is not found by its service key", seed, h)
		}
		// The array: testers first, everybody at the place the record names.
		p := int(n.Position)
		if w.since < 0 && p != -1 || w.since >= 0 && (s.At(p) != h || p >= s.Listed() || w.tests() != (p < s.Testers())) {
			t.Fatalf("seed %d: node %s, tester %t, at position %d of %d and %d", seed, h, w.tests(), p, s.Testers(), s.Listed())
		}
	}
	for key, w := range want.stakers {
		v, _ := s.Staker(wire.StakerKey(key))
		sum, count := want.pledged(key)
		if v.Granted != w.granted || v.Sequence != w.sequence || v.Pledged != sum || int(v.Pledges) != count {
			t.Fatalf("seed %d: staker %+v, want %+v with %d in %d", seed, v, w, sum, count)
		}
	}
	for h, w := range want.gone {
		g, ok := s.Tombstone(h)
		if got := (twinGone{g.Deregistered, int(g.Height), int(g.UnlockHeight)}); !ok || got != w {
			t.Fatalf("seed %d: tombstone %+v, want %+v", seed, g, w)
		}
	}
	compareQuorums(t, seed, s, want)
	awaiting, active, down := s.Counts()
	if a, b, c := want.counts(); awaiting != a || active != b || down != c || s.Listed() != b+c || s.Brake() != want.k() {
		t.Fatalf("seed %d: %d awaiting, %d active, %d down, brake %d; want %d, %d, %d, %d", seed, awaiting, active, down, s.Brake(), a, b, c, want.k())
	}
	if got, order := slices.Collect(s.RewardOrder()), want.rewardOrder(); !slices.Equal(got, order) {
		t.Fatalf("seed %d: reward order %v, want %v", seed, got, order)
	}
}

func compareQuorums(t *testing.T, seed uint64, s State, want twin) {
	t.Helper()
	lists := make(map[wire.LLMQType][]twinQuorum)
	for _, q := range want.quorums {
		lists[q.kind] = append(lists[q.kind], q)
	}
	for _, kind := range historyTypes {
		list := lists[kind]
		slices.SortFunc(list, func(a, b twinQuorum) int { // newest first
			x, y := QuorumKey(a.kind, a.hash), QuorumKey(b.kind, b.hash)
			return cmp.Or(b.mined-a.mined, slices.Compare(x[:], y[:]))
		})
		var got []twinQuorum
		for q := range s.Quorums(kind) {
			got = append(got, twinQuorum{q.Type(), q.Hash(), int(q.Base), int(q.Mined), q.Members})
		}
		if !reflect.DeepEqual(got, list) {
			t.Fatalf("seed %d: quorums of type %d are %+v, want %+v", seed, kind, got, list)
		}
	}
}

// The stakes of all owners stay what the genesis granted, at every height.
func TestHistories_FreeStake(t *testing.T) {
	for seed := range uint64(60) {
		h := newHistory(seed)
		s := start(t, h.g)
		for range 60 {
			b, sessions := h.block(s)
			want, legal := h.twin.apply(b, sessions...)
			if !legal {
				continue
			}
			s, _, _ = s.Apply(b, sessions...)
			h.twin = want
			for key, w := range want.stakers {
				v, _ := s.Staker(wire.StakerKey(key))
				for _, at := range []int32{h.height, h.height + 1, h.height + 800, h.height + 30_000} {
					pledged, _ := want.pledged(key)
					locked, _ := want.locked(key, int(at))
					if free := v.Free(at); free+pledged+locked != w.granted {
						t.Fatalf("seed %d: of %d, %d are free at %d, %d pledged, %d locked", seed, w.granted, free, at, pledged, locked)
					}
				}
			}
		}
	}
}
