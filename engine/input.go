package engine

import (
	"time"

	"github.com/proctornet/proctor/inventory"
	"github.com/proctornet/proctor/quorum/dkg"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// Peer is the identity of a peer as its transport proves it: opaque bytes
// here. The empty Peer is this node's own operator and is never charged.
type Peer string

// Ticket ties a reply to the input that asked for it; 0 asks for none. It is
// no part of the input: what follows from an input does not depend on who waits.
type Ticket uint64

// Input is everything the engine can be fed. Feeding the same inputs to an
// engine restored from the same records gives the same effects.
type Input interface{ input() }

// Ban is a platform ban whose signature was found valid under Key.
type Ban struct {
	From    Peer
	Message wire.PlatformBan
	Key     wire.OperatorKey
}

// Announce sends an accepted ban to all peers once more.
type Announce struct{ Message wire.PlatformBan }

// Block is a block as its author or a peer sent it.
type Block struct {
	From  Peer
	Block wire.Block
}

// Event is an event that somebody wants in a block. Its signatures were found
// valid under the keys that stand in it and under Key.
type Event struct {
	From  Peer
	Event wire.Event
	Key   wire.OperatorKey // of the node, where its operator signs; zero otherwise
}

// Proof is an uptime proof whose seal was found valid under Key.
type Proof struct {
	From  Peer
	Proof wire.UptimeProof
	Key   wire.ServiceKey
}

// Vote is a tester's vote. Signature and seal were found valid under the keys
// that the voter had at the block that drew it.
type Vote struct {
	From Peer
	Vote wire.Vote
}

// Checkpoint is a tester's word on a block. The seal was found valid under
// the key that the voter had at that block.
type Checkpoint struct {
	From       Peer
	Checkpoint wire.Checkpoint
}

// DKG is a message of a session: it has been through Roster.Check, its
// operator signature, and Roster.Open, of the roster in a Snapshot.
type DKG struct {
	From    Peer
	Message dkg.Opened
}

// Commitment is a final commitment, found good for the session that the
// Snapshot names.
type Commitment struct {
	From       Peer
	Commitment wire.FinalCommitment
}

// Shares are shares of signatures that a peer sent us, unverified.
type Shares struct {
	From      Peer
	ProTxHash wire.Hash // of the node that the transport proved the peer to be; zero if none
	Shares    wire.SigShares
}

// Recovered is a quorum's signature, found valid under Key.
type Recovered struct {
	From      Peer
	Signature wire.RecoveredSig
	Key       wire.OperatorKey
}

// RequestBan is our operator's decision that an evonode is to be banned: as a
// member of a platform quorum we ask for the signature until it is there, or
// no longer with Withdraw.
type RequestBan struct {
	ProTxHash wire.Hash
	Withdraw  bool
}

// SignRequest is our operator's wish that we, as a member of a quorum, sign a
// message for an id of the operator's own making. The id may come up again at
// any height, so what was signed for it is never forgotten. Our share is in the
// Reply; with Submit it goes to the members that collect shares, too. A stop
// ends that, and the same input takes it up again.
type SignRequest struct {
	Type        wire.LLMQType
	ID          wire.Hash
	MessageHash wire.Hash
	Quorum      wire.Hash // zero: the one that the request selects at our tip
	Submit      bool
}

// Probed answers a Probe.
type Probed struct {
	Probe  Probe
	Failed string // why it did not answer, at most 200 characters; empty if it did
}

// Judged is a message that was refused before it reached the engine; the
// engine only keeps the accounts.
type Judged struct {
	From     Peer
	Verdict  validation.Verdict
	Evidence wire.Hash // id of all bytes of the message; zero if there is none to name
}

// Tick tells the time. Without ticks no time passes.
type Tick struct{ Now time.Time }

// PeerTip is the height of a peer's tip as it claims.
type PeerTip struct {
	Peer     Peer
	Height   int32
	Observer bool // no service node: identities are free, so its word holds nobody back
}

// PeerGone ends what a peer claimed.
type PeerGone struct{ Peer Peer }

// Fetched answers a Fetch. No blocks means that the peer had none for us,
// answered badly, or not at all.
type Fetched struct {
	Peer   Peer
	Blocks []wire.Block // ascending heights
}

// Defer is a ban that was not judged, or whose verdict waits. Since and Slot
// are zero the first time.
type Defer struct{ Ban inventory.Deferred }

// BanPeer is our operator's word that a peer is banned from now on.
type BanPeer struct {
	Peer Peer
	For  time.Duration
}

// UnbanPeer lifts a peer's ban and forgets its points.
type UnbanPeer struct{ Peer Peer }

// Reached is where a peer that we dialled was met.
type Reached struct {
	Peer      Peer
	Addresses []string // multiaddresses without the peer's identity
}

// Farewell is the reason that a peer gave for leaving us.
type Farewell struct {
	Peer   Peer
	Code   byte              // of the goodbye
	Reason validation.Reason // of our offence, if the peer banned us and said why
	Until  time.Time         // end of the peer's ban; zero if it did not ban us
}

func (Ban) input()         {}
func (Defer) input()       {}
func (BanPeer) input()     {}
func (UnbanPeer) input()   {}
func (Reached) input()     {}
func (Farewell) input()    {}
func (Announce) input()    {}
func (Block) input()       {}
func (Event) input()       {}
func (Proof) input()       {}
func (Vote) input()        {}
func (Checkpoint) input()  {}
func (DKG) input()         {}
func (Commitment) input()  {}
func (Shares) input()      {}
func (Recovered) input()   {}
func (RequestBan) input()  {}
func (SignRequest) input() {}
func (Probed) input()      {}
func (Judged) input()      {}
func (Tick) input()        {}
func (PeerTip) input()     {}
func (PeerGone) input()    {}
func (Fetched) input()     {}
