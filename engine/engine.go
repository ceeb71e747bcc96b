// Package engine is the one writer of protocol state. It is fed inputs, one
// at a time, and answers with effects; it opens nothing, waits for nothing
// and has no clock, so the same engine runs in a node, in a simulation and in
// a replay.
package engine

import (
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/inventory"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum"
	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/quorum/signing"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/trie"
	"github.com/proctornet/proctor/uptime"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// Config of an Engine.
type Config struct {
	Genesis chain.Genesis

	// ProTxHash and ServiceKey make this node a service node; without them it
	// is an observer. The key must be the registered one.
	ProTxHash  wire.Hash
	ServiceKey ed25519.PrivateKey

	// OperatorKey signs the answers of a tester; without it none are given.
	OperatorKey *bls.SecretKey
	// Addresses are named in our uptime proofs; default: the registered ones.
	Addresses []string
	// Verify checks Ed25519 signatures; default ed25519.Verify. A simulation
	// of many nodes checks each only once with it.
	Verify chain.Verifier

	// Watch follows the sessions of quorums as an observer. A service node does
	// anyway.
	Watch bool

	// DryRun keeps the accounts of peers and writes their bans down, but
	// carries no ban out. The operator's own are.
	DryRun bool
}

// Engine holds the protocol state of one node. It is not safe for concurrent
// use.
type Engine struct {
	config    Config
	network   wire.Hash // of the genesis
	tree      *chain.Tree
	branch    Branch      // the newest part of ours
	state     state.State // at its end
	flags     Flags
	inventory *inventory.Inventory
	refused   inventory.Refused
	waiting   *inventory.Pool
	ledger    *ledger
	contacts  contacts
	pool      events
	sync      syncer

	silentUntil uint64 // slot before which we make no block, see leftBehind

	bodies map[wire.Hash]wire.Block // of blocks that are not on our branch

	keyShares map[wire.Hash]keyShare          // of mined quorums, by state.QuorumKey
	rosters   recent[*dkg.Roster]             // by state.QuorumKey; nil where members are too few
	verified  recent[bool]                    // ids of final commitments that are good
	minable   trie.Map[wire.FinalCommitment]  // by state.QuorumKey: the best that no block carries
	sessions  []*session                      // ascending by base and type
	stored    map[wire.Hash][]wire.DKGMessage // of an earlier run, by state.QuorumKey, until we are synced
	attended  wire.Hash                       // the tip that sessions have moved on to
	shown     shownSessions
	spoken    Spoken            // of sessions
	dkgFaults []DKGFault        // ascending by base; never changed in place
	unreached map[wire.Hash]int // registered nodes: failed probes in a row

	proofs           uptime.Book
	votes            *quorum.Votes
	heardVotes       trie.Map[wire.Vote] // by voteID
	checkpoints      *quorum.Checkpoints
	heardCheckpoints trie.Map[[]wire.Checkpoint]      // by checkpointID: at most two
	cases            map[caseID]quorum.Case           // of misconduct, as they are stored
	judged           map[wire.Hash]int32              // draws answered about, by their block: height
	spare            map[wire.Ballot]wire.Certificate // of blocks that were undone
	unsent           bool                             // since the start nothing of ours was sent once more
	decisions        map[wire.Hash][]int32            // by node: heights, ascending
	decidedAt        map[int32][]wire.Hash            // by height: nodes; heights that may be undone only
	served           wire.Hash                        // the tip our duties are done at
	leftover         []int32                          // heights of undo records that no block needs; of Restore only
	written          standing                         // what the database says of where we stand

	signers        []*signer                       // one of each type of quorum that runs
	signatures     trie.Map[wire.RecoveredSig]     // of quorums, by signatureKey
	contradictions trie.Map[signing.Contradiction] // by signatureKey
	shareFaults    []signing.Fault                 // of members of quorums; never changed in place
	stirred        [32]byte                        // see stir
	followed       wire.Hash                       // the tip that the signers stand at
	requests       trie.Map[BanRequest]            // by ProTxHash
	pursued        wire.Hash                       // the tip that they were pursued at
	endpoints      trie.Map[Endpoint]              // that we watch, by ProTxHash
	probedAt       int32                           // height
	lastProbed     wire.Hash                       // the node

	confidence confidence
	doubt      doubt

	now     time.Time // of the last tick
	expired time.Time // when the ledger was last tidied
	started uint64    // slot of the first tick
}

// expireEvery is how often bans and accounts whose time is up are dropped.
const expireEvery = time.Minute

// New returns the engine of a node that has stored nothing yet, and the
// records that it must store first. They may be stored piece by piece: the
// last one makes the others count.
func New(c Config) (*Engine, *Effects, error) {
	e, err := blank(c)
	if err != nil {
		return nil, nil, err
	}
	if e.state, err = state.Genesis(c.Genesis); err != nil {
		return nil, nil, err
	}
	e.branch = Branch{e.newLink(e.tree.Tip(), wire.Block{}, e.state, state.Diff{})}
	e.signers = e.newSigners()
	if err := e.checkKeys(); err != nil {
		return nil, nil, err
	}
	out := new(Effects)
	for r := range e.state.Records() {
		out.record(r)
	}
	e.putMeta(out)
	return e, out, nil
}

func blank(c Config) (*Engine, error) {
	if (c.ServiceKey == nil) != c.ProTxHash.IsZero() {
		return nil, fmt.Errorf("engine: a service node needs both its ProTxHash and its service key, an observer neither")
	}
	if c.Verify == nil {
		c.Verify = ed25519.Verify
	}
	return &Engine{
		config:      c,
		network:     c.Genesis.Hash(),
		tree:        chain.New(c.Genesis, chain.WithVerifier(c.Verify)),
		bodies:      make(map[wire.Hash]wire.Block),
		keyShares:   make(map[wire.Hash]keyShare),
		rosters:     newRecent[*dkg.Roster](maxRosters),
		verified:    newRecent[bool](maxVerified),
		unreached:   make(map[wire.Hash]int),
		votes:       quorum.NewVotes(),
		checkpoints: quorum.NewCheckpoints(),
		cases:       make(map[caseID]quorum.Case),
		judged:      make(map[wire.Hash]int32),
		spare:       make(map[wire.Ballot]wire.Certificate),
		decisions:   make(map[wire.Hash][]int32),
		decidedAt:   make(map[int32][]wire.Hash),
		inventory:   inventory.New(),
		waiting:     inventory.NewPool(),
		ledger:      &ledger{dryRun: c.DryRun},
		contacts:    newContacts(),
		sync:        newSyncer(),
		doubt:       newDoubt(),
		confidence:  newConfidence(),
	}, nil
}

// checkKeys finds at the start what would otherwise fail in the middle.
func (e *Engine) checkKeys() error {
	for _, n := range e.state.Nodes() {
		if n.Revoked {
			continue
		}
		if _, err := bls.ParsePublicKey(n.OperatorKey); err != nil {
			return fmt.Errorf("%w: operator key of node %s: %w", chain.ErrGenesis, n.ProTxHash, err)
		}
	}
	if e.config.ServiceKey == nil {
		return nil
	}
	n, ok := e.state.Node(e.config.ProTxHash)
	if !ok {
		return nil // not yet, or not any more: an observer until it is
	}
	if k := e.config.OperatorKey; k != nil && !n.Revoked && wire.OperatorKey(k.PublicKey().Bytes()) != n.OperatorKey {
		return fmt.Errorf("engine: the operator key given is %x, node %s is registered with %s", k.PublicKey().Bytes(), n.ProTxHash, n.OperatorKey)
	}
	if public := e.config.ServiceKey.Public().(ed25519.PublicKey); wire.ServiceKey(public) != n.ServiceKey {
		return fmt.Errorf("engine: the service key given is %x, node %s is registered with %s", public, n.ProTxHash, n.ServiceKey)
	}
	return nil
}

// Snapshot returns what the engine knows now.
func (e *Engine) Snapshot() *Snapshot {
	return &Snapshot{
		Tip:      e.tree.Tip(),
		Final:    e.tree.Final(),
		State:    e.state,
		Branch:   e.branch,
		Flags:    e.flags,
		Accepted: e.inventory.Bans(),
		IsSynced: e.synced(),
		Doubtful: e.doubtful(),

		Events:      e.pool.waiting,
		Proofs:      e.proofs,
		Votes:       e.heardVotes,
		Checkpoints: e.heardCheckpoints,

		Rosters:        e.lastRosters(),
		Sessions:       e.shown.rosters,
		DKG:            e.shown.status,
		Spoken:         e.spoken,
		BadVotes:       e.shown.badVotes,
		DKGFaults:      e.dkgFaults,
		Minable:        e.minable,
		Signatures:     e.signatures,
		Contradictions: e.contradictions,
		ShareFaults:    e.shareFaults,
		Requests:       e.requests,
		Endpoints:      e.endpoints,

		Refusals:  e.refused.Items(),
		Deferred:  e.waiting.Deferred(),
		Wanted:    e.waiting.Wanted(),
		Accounts:  e.ledger.accounts,
		PeerBans:  e.ledger.bans,
		Farewells: e.contacts.farewells,
	}
}

// Step takes one input and adds what follows from it to out, among it a reply
// for t when the input is a message to judge. After a fatal effect it does no
// more: nothing of that batch will be stored.
func (e *Engine) Step(in Input, t Ticket, out *Effects) {
	if out.Fatal != nil {
		out.reply(t, validation.Internal.Verdict())
		return
	}
	e.take(in, t, out)
	if out.Fatal == nil {
		e.duties(out)
		e.monitor(out)
		e.signing(out)
		e.putMeta(out)
	}
}

func (e *Engine) take(in Input, t Ticket, out *Effects) {
	switch in := in.(type) {
	case Tick:
		e.tick(in, out)
	case Ban:
		v := e.ban(in, out)
		e.settle(in.From, v, in.Message.ID(), out)
		out.reply(t, v)
	case Block:
		v := e.block(in, false, out)
		e.charge(in.From, v, in.Block.Header.Hash(), out)
		out.reply(t, v)
	case Event:
		v := e.event(in, out)
		e.charge(in.From, v, eventID(in.Event), out)
		out.reply(t, v)
	case Proof:
		v := e.proof(in, out)
		e.charge(in.From, v, in.Proof.Digest(), out)
		out.reply(t, v)
	case Vote:
		v := e.vote(in, out)
		e.charge(in.From, v, wire.DoubleHash(in.Vote.Bytes()), out)
		out.reply(t, v)
	case Checkpoint:
		v := e.checkpoint(in, out)
		e.charge(in.From, v, wire.DoubleHash(in.Checkpoint.Bytes()), out)
		out.reply(t, v)
	case DKG:
		v := e.dkgMessage(in, out)
		e.charge(in.From, v, in.Message.Message.ID(), out)
		out.reply(t, v)
	case Commitment:
		v := e.finalCommitment(in, out)
		e.charge(in.From, v, in.Commitment.ID(), out)
		out.reply(t, v)
	case Shares:
		e.sigShares(in, out)
	case Recovered:
		v := e.recovered(in, out)
		e.charge(in.From, v, in.Signature.InventoryHash(), out)
		out.reply(t, v)
	case RequestBan:
		out.reply(t, e.requestBan(in, out))
	case SignRequest:
		v, share := e.signRaw(in, out)
		out.replyShare(t, v, share)
	case Probed:
		e.probed(in, out)
	case Judged:
		e.settle(in.From, in.Verdict, in.Evidence, out)
	case Defer:
		e.deferBan(in.Ban, out)
	case BanPeer:
		out.reply(t, e.banPeer(in, out))
	case UnbanPeer:
		e.ledger.forgive(in.Peer, e.now, out)
		out.reply(t, validation.Valid.Verdict())
	case Reached:
		e.contacts.reach(in, e.now, out)
	case Farewell:
		e.contacts.part(in, e.now, out)
	case PeerTip:
		e.sync.claim(in.Peer, e.plausible(in.Height), in.Observer)
		e.fetch(out)
	case Announce:
		if m, ok := e.inventory.Bans().Get(in.Message.InventoryHash()); ok && m == in.Message {
			publishBan(m, out)
		}
	case PeerGone:
		e.sync.forget(in.Peer)
		e.waiting.Forget(string(in.Peer))
	case Fetched:
		e.fetched(in, out)
	default:
		panic(fmt.Sprintf("engine: input of type %T", in))
	}
}

func (e *Engine) tick(in Tick, out *Effects) {
	first := e.now.IsZero()
	e.now = time.UnixMilli(in.Now.UnixMilli()).UTC() // as precise as records are, or a restart would change when points decay
	if first {
		e.started = e.slot()
	}
	if e.now.Sub(e.expired) >= expireEvery {
		e.expired = e.now
		e.ledger.expire(e.now, out)
	}
	e.produce(out)
	e.fetch(out)
	e.watchSync()
	e.resume(out)
}

// settle charges the sender of an item and remembers what became of it.
func (e *Engine) settle(from Peer, v validation.Verdict, id wire.Hash, out *Effects) {
	e.charge(from, v, id, out)
	if v.Reason.Nature() == validation.OfView && e.doubtful() != Settled {
		return // nor is it received: it may come again, and be good
	}
	if v.Reason.Remembered(e.state.Profile()) && !id.IsZero() {
		e.remember(id, inventory.Refusal{Verdict: string(v.Reason), Height: e.tree.Tip().Height}, out)
	}
}

func (e *Engine) charge(from Peer, v validation.Verdict, evidence wire.Hash, out *Effects) {
	if from == "" || v.Points == 0 {
		return
	}
	if v.Reason.Nature() == validation.OfView && e.doubtful() != Settled {
		return // the validator's view was settled, ours no longer is
	}
	e.ledger.charge(from, e.sync.bound(from), v, evidence, e.now, out)
	if e.doubt.note(from, v, e.sync.contacts(), e.now) {
		out.Doubting = true
		e.ledger.refund(e.now.Add(-params.DoubtWindow), out)
		e.forgetRefusals(func(r inventory.Refusal) bool { return validation.Reason(r.Verdict).Nature() == validation.OfView }, out)
	}
}

func (e *Engine) slot() uint64 { return e.config.Genesis.SlotAt(e.now) }

// ban repeats the cheap rules on our own state, which may have moved on since
// the validator read its snapshot, and sets the flag.
func (e *Engine) ban(in Ban, out *Effects) validation.Verdict {
	view := e.Snapshot()
	if v := validation.PlatformBan(in.Message, view, false); !v.OK() {
		return v
	}
	if key, _ := view.PlatformQuorum(in.Message.QuorumHash, in.Message.SignedHeight); key != in.Key {
		return validation.Internal.Verdict() // checked against a quorum that is gone: let it come again
	}
	v := validation.Fresh(in.Message, view)
	if v.OK() {
		e.accept(in, out)
	}
	return v
}

func (e *Engine) accept(in Ban, out *Effects) {
	m := in.Message
	flag := e.flag(m.ProTxHash).Banned(m)
	e.flags = e.flags.Set(m.ProTxHash, flag)
	out.put(KindFlag, m.ProTxHash[:], flag.Bytes())

	evicted := e.inventory.Add(m)
	hash := m.InventoryHash()
	out.put(KindBan, hash[:], m.Bytes())
	deleteBans(evicted, out)
	out.Evicted += len(evicted)

	// What a peer sent is forwarded by the gossip layer once we accept it.
	if in.From == "" {
		publishBan(m, out)
	}
}

func publishBan(m wire.PlatformBan, out *Effects) {
	out.Publications = append(out.Publications, Publication{TopicPlatformBan, m.Bytes()})
}

func deleteBans(bans []wire.PlatformBan, out *Effects) {
	for _, m := range bans {
		hash := m.InventoryHash()
		out.delete(KindBan, hash[:])
	}
}

func (e *Engine) flag(proTx wire.Hash) state.BanFlag {
	if f, ok := e.flags.Get(proTx); ok {
		return f
	}
	return state.NoBanFlag()
}

// windowFloor is the lowest signed height that step 4 does not call far.
func (e *Engine) windowFloor() int32 {
	return e.tree.Tip().Height - params.BanWindow - params.BanHeightSlack
}
