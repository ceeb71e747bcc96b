package engine

import (
	"github.com/proctornet/proctor/chain"
	"github.com/proctornet/proctor/inventory"
	"github.com/proctornet/proctor/state"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// Kind says what a stored record is. The store keeps the kinds apart and
// knows nothing else about records. Values are part of the database schema.
type Kind byte

// The kinds of records.
const (
	KindMeta       Kind = iota + 1 // key empty: meta, where the node stands
	KindBlock                      // by height, big endian: wire.Block
	KindNode                       // by ProTxHash: state.Node
	KindFlag                       // by ProTxHash: state.BanFlag
	KindBan                        // by inventory hash: wire.PlatformBan
	KindAccount                    // by peer: penalty account
	KindPeerBan                    // by peer: PeerBan
	KindRefusal                    // by id of all bytes: inventory.Refusal
	KindContact                    // by peer: Contact
	KindFarewell                   // by peer: GivenFarewell
	KindStaker                     // by staker's key: state.Staker
	KindTombstone                  // by ProTxHash: state.Tombstone
	KindUndo                       // by height, big endian: state.Diff, to take the block back
	KindProof                      // by ProTxHash: uptime.Record
	KindVote                       // by height of the draw, big endian, and voteID: wire.Vote
	KindCheckpoint                 // by height, big endian, voter and digest: wire.Checkpoint
	KindJudged                     // by height of the draw, big endian, and its block's hash: 1
	KindDecision                   // by ProTxHash and height, big endian: Decision
	KindMisconduct                 // by height of the draw, big endian, and voter: two wire.Vote
	KindQuorum                     // by type and quorum hash, hashed: state.Quorum
	KindDKG                        // by type, quorum hash and id: kind and bytes of a message of a session
	KindShare                      // by type and quorum hash: our share of a quorum's key and its vector
	KindMinable                    // by type and quorum hash: the best wire.FinalCommitment that no block carries yet
	KindSigned                     // by type and request: signing.Vote, the one message we sign for it
	KindRecovered                  // by type and request: height, wire.RecoveredSig, and the one that contradicts it
	KindRequest                    // by ProTxHash: BanRequest, a ban that we ask our quorum for
	KindShareFault                 // by type, request, member and number of shares: signing.Fault
	KindDKGFault                   // by type, quorum hash, member and kind of message: DKGFault
)

// Kinds lists every kind.
func Kinds() []Kind {
	return []Kind{
		KindMeta, KindBlock, KindNode, KindFlag, KindBan, KindAccount, KindPeerBan, KindRefusal, KindContact, KindFarewell,
		KindStaker, KindTombstone, KindUndo, KindProof, KindVote, KindCheckpoint, KindJudged, KindDecision, KindMisconduct,
		KindQuorum, KindDKG, KindShare, KindMinable, KindSigned, KindRecovered, KindRequest, KindShareFault, KindDKGFault,
	}
}

// Write puts a record into the database, or deletes it when Value is nil.
type Write struct {
	Kind  Kind
	Key   []byte
	Value []byte
}

// Reply answers the input with that ticket.
type Reply struct {
	Ticket  Ticket
	Verdict validation.Verdict
	Share   *wire.SigShare // ours, of a SignRequest that was granted
}

// Publication is a message of ours for all peers.
type Publication struct {
	Topic Topic
	Bytes []byte
}

// Charge is a change of a peer's penalty account.
type Charge struct {
	Peer     Peer
	Points   int // added, or taken back if negative
	Total    int // after the charge, decay counted
	Reason   validation.Reason
	Evidence wire.Hash
}

// Fetch asks a peer for blocks; the answer is a Fetched.
type Fetch struct {
	Peer  Peer
	Range wire.BlockRange
}

// Want asks a peer for bans that it has shown us and we could not keep.
type Want struct {
	Peer Peer
	Bans []wire.Hash // inventory hashes, up to wire.MaxListedBans
}

// SendShares are shares of ours for one other member of a quorum, directly.
type SendShares struct {
	To     wire.Hash // ProTxHash
	Shares wire.SigShares
}

// Probe asks to try whether a service of another node answers; the answer is
// a Probed.
type Probe struct {
	ProTxHash wire.Hash
	Service   ProbedService
	Endpoint  string // of Platform: its URL; empty for Transport: the node's addresses
}

// ProbedService is what of a node is tried.
type ProbedService uint8

// The services.
const (
	Transport ProbedService = iota + 1 // it takes a connection and shows its service key
	Platform                           // its platform endpoint answers
)

// Effects is what the world has to do because of some inputs. Nothing of it
// may leave the node before all Writes are on disk, in one piece.
type Effects struct {
	Writes       []Write
	Replies      []Reply
	Publications []Publication
	Charges      []Charge
	Bans         []PeerBan
	Unbans       []Peer
	Fetches      []Fetch
	Wants        []Want
	Shares       []SendShares
	Probes       []Probe
	Due          []inventory.Deferred // to be judged again
	Known        []Contact            // of earlier runs; only when an engine is restored
	Lost         int                  // deferred bans given up
	Doubting     bool                 // from now on we doubt ourselves
	Evicted      int                  // records dropped because a limit was reached

	SharesJudged []validation.Verdict // of shares of others; again of those that were taken and found wrong later

	Connected []Connected // blocks that joined our branch
	Undone    int         // blocks that left it
	Alarms    []Alarm
	Fatal     error // the node must stop: it cannot go on without undoing what is final

	seams []int
}

// Connected tells what a block did, for those who count and log.
type Connected struct {
	Tip         chain.Tip
	Transitions []state.Transition
	Waited      []int32         // of each certificate, blocks since its draw
	Formed      []state.Quorum  // by its commitments
	Null        []wire.LLMQType // of sessions without a result
	Punishments []state.Punishment
}

// Alarm is something that people should look at and that no rule punishes.
type Alarm struct {
	Kind AlarmKind
	Text string
}

// AlarmKind is the sort of an Alarm, a closed set.
type AlarmKind string

// The sorts of alarms.
const (
	AlarmMisconduct AlarmKind = "misconduct" // a tester answered one question in two ways
	AlarmCheckpoint AlarmKind = "checkpoint" // a tester published another block or state root than ours
	AlarmReorg      AlarmKind = "reorg"      // blocks were undone

	AlarmShare         AlarmKind = "share"         // a member signed two messages for one request, or sent us a wrong share
	AlarmContradiction AlarmKind = "contradiction" // quorums signed two messages for one request
	AlarmDKG           AlarmKind = "dkg"           // a member sent two different messages of one kind in a session
)

// AlarmKinds lists every sort of alarm.
func AlarmKinds() []AlarmKind {
	return []AlarmKind{AlarmMisconduct, AlarmCheckpoint, AlarmReorg, AlarmShare, AlarmContradiction, AlarmDKG}
}

// seam marks a place where one commit may end and the next begin: what was
// written so far makes sense without what follows.
func (e *Effects) seam() { e.seams = append(e.seams, len(e.Writes)) }

// Commits splits the writes, in order, into parts of at most limit bytes as
// far as seams allow. Each part leaves the database in good order.
func (e *Effects) Commits(limit int) (parts [][]Write) {
	begin, end, size := 0, 0, 0
	for _, seam := range append(e.seams, len(e.Writes)) {
		piece := 0
		for _, w := range e.Writes[end:seam] {
			piece += len(w.Key) + len(w.Value)
		}
		if size+piece > limit && end > begin {
			parts = append(parts, e.Writes[begin:end])
			begin, size = end, 0
		}
		end, size = seam, size+piece
	}
	if end > begin {
		parts = append(parts, e.Writes[begin:end])
	}
	return parts
}

// WriteBytes is the size of the records in Writes.
func (e *Effects) WriteBytes() (n int) {
	for _, w := range e.Writes {
		n += len(w.Key) + len(w.Value)
	}
	return n
}

func (e *Effects) put(k Kind, key, value []byte) {
	e.Writes = append(e.Writes, Write{k, key, value})
}

func (e *Effects) delete(k Kind, key []byte) { e.Writes = append(e.Writes, Write{Kind: k, Key: key}) }

func (e *Effects) reply(t Ticket, v validation.Verdict) { e.replyShare(t, v, nil) }

func (e *Effects) replyShare(t Ticket, v validation.Verdict, share *wire.SigShare) {
	if t != 0 {
		e.Replies = append(e.Replies, Reply{t, v, share})
	}
}
