package engine

import (
	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/inventory"
	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/quorum/signing"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/trie"
	"github.com/proctornet/proctor/uptime"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// Flags are the platform-ban flags by ProTxHash.
type Flags = trie.Map[state.BanFlag]

// Snapshot is one consistent reading of everything the engine knows. It never
// changes, so any number of readers may hold one. It is a validation.View.
type Snapshot struct {
	Tip      chain.Tip
	State    state.State
	Branch   Branch    // the newest blocks with their states and draws
	Final    chain.Tip // the newest block that is never undone
	Flags    Flags
	Accepted inventory.Bans
	IsSynced bool
	Doubtful Doubtful // why nobody is blamed for contradicting our view; empty if they are

	Events      trie.Map[wire.Event] // by record: those that wait for a block
	Proofs      uptime.Book
	Votes       trie.Map[wire.Vote]         // by voteID
	Checkpoints trie.Map[[]wire.Checkpoint] // by checkpointID

	Rosters    []*dkg.Roster                  // of sessions whose final commitments are taken
	Sessions   []*dkg.Roster                  // whose messages are taken, at most one of a type; none if we do not follow them
	DKG        []dkg.Status                   // of Sessions, as they stood when the tip was new
	Spoken     Spoken                         // of the sessions that we follow
	BadVotes   []BadVote                      // of ours, in the sessions that we follow
	DKGFaults  []DKGFault                     // of members, proven; ascending by base block
	Minable    trie.Map[wire.FinalCommitment] // by state.QuorumKey: the best that no block carries yet
	Signatures trie.Map[wire.RecoveredSig]    // of quorums, see Signature
	Requests   trie.Map[BanRequest]           // of ours, by ProTxHash
	Endpoints  trie.Map[Endpoint]             // platform endpoints that we watch, by ProTxHash

	Contradictions trie.Map[signing.Contradiction] // of quorums that signed two things for one request, by signatureKey
	ShareFaults    []signing.Fault                 // of members, proven

	Refusals inventory.Refusals
	Deferred int // bans that wait until they can be judged
	Wanted   int // bans known by hash only

	Accounts  Accounts
	PeerBans  PeerBans
	Farewells Farewells
}

// Synced reports whether the tip is the network's as far as we can tell.
func (s *Snapshot) Synced() bool { return s.IsSynced }

// TipHeight is the height of the best block.
func (s *Snapshot) TipHeight() int32 { return s.Tip.Height }

// NodeType reports whether a node is registered, and whether as an evonode.
func (s *Snapshot) NodeType(proTx wire.Hash) (evo, registered bool) {
	n, ok := s.State.Node(proTx)
	return n.Evo, ok
}

// PlatformQuorum is the key of a platform quorum whose signature at
// signedHeight is taken now.
func (s *Snapshot) PlatformQuorum(hash wire.Hash, signedHeight int32) (wire.OperatorKey, bool) {
	q, ok := s.State.PlatformQuorum(hash, signedHeight)
	return q.Key(), ok
}

// AcceptedBan is the accepted ban with that inventory hash.
func (s *Snapshot) AcceptedBan(inventoryHash wire.Hash) (wire.PlatformBan, bool) {
	return s.Accepted.Get(inventoryHash)
}

// Refused is why an earlier item with that id was refused, if that is
// remembered.
func (s *Snapshot) Refused(id wire.Hash) (validation.Reason, bool) {
	r, ok := s.Refusals.Get(id)
	return validation.Reason(r.Verdict), ok
}

// Confident reports whether somebody may be blamed for contradicting our view.
func (s *Snapshot) Confident() bool { return s.Doubtful == Settled }

// Account returns a peer's penalty account as it was last charged.
func (s *Snapshot) Account(p Peer) (Account, bool) { return s.Accounts.Get(peerKey(p)) }

// PeerBan returns the ban of a peer that stands.
func (s *Snapshot) PeerBan(p Peer) (PeerBan, bool) { return s.PeerBans.Get(peerKey(p)) }

// Farewell returns the last reason that a peer gave for leaving us.
func (s *Snapshot) Farewell(p Peer) (GivenFarewell, bool) { return s.Farewells.Get(peerKey(p)) }

// TakesBan reports whether a ban signed at height is not older than the last
// change of the node's flag.
func (s *Snapshot) TakesBan(proTx wire.Hash, height int32) bool { return s.Flag(proTx).Takes(height) }

// Flag is the platform-ban flag of a node.
func (s *Snapshot) Flag(proTx wire.Hash) state.BanFlag {
	if f, ok := s.Flags.Get(proTx); ok {
		return f
	}
	return state.NoBanFlag()
}

// FlagsSet counts the evonodes whose flag is set.
func (s *Snapshot) FlagsSet() (n int) {
	for _, f := range s.Flags.All() {
		if f.Set() {
			n++
		}
	}
	return n
}
