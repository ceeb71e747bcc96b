package engine

import (
	"github.com/proctornet/proctor/inventory"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// Kind says what a stored record is. The store keeps the kinds apart and
// knows nothing else about records. Values are part of the database schema.
type Kind byte

// The kinds of records.
const (
	KindMeta     Kind = iota + 1 // key empty: tip and state root
	KindBlock                    // by height, big endian: wire.Block
	KindNode                     // by ProTxHash: state.Node
	KindFlag                     // by ProTxHash: state.BanFlag
	KindBan                      // by inventory hash: wire.PlatformBan
	KindAccount                  // by peer: penalty account
	KindPeerBan                  // by peer: PeerBan
	KindRefusal                  // by id of all bytes: inventory.Refusal
	KindContact                  // by peer: Contact
	KindFarewell                 // by peer: GivenFarewell
)

// Kinds lists every kind.
func Kinds() []Kind {
	return []Kind{KindMeta, KindBlock, KindNode, KindFlag, KindBan, KindAccount, KindPeerBan, KindRefusal, KindContact, KindFarewell}
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
}

// Topic is a kind of gossip.
type Topic uint8

// The topics.
const (
	TopicPlatformBan Topic = iota + 1
	TopicBlock
)

// Topics lists every topic.
func Topics() []Topic { return []Topic{TopicPlatformBan, TopicBlock} }

func (t Topic) String() string {
	return map[Topic]string{TopicPlatformBan: "platformban", TopicBlock: "block"}[t]
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
	Due          []inventory.Deferred // to be judged again
	Known        []Contact            // of earlier runs; only when an engine is restored
	Lost         int                  // deferred bans given up
	Doubting     bool                 // from now on we doubt ourselves
	Evicted      int                  // records dropped because a limit was reached
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

func (e *Effects) reply(t Ticket, v validation.Verdict) {
	if t != 0 {
		e.Replies = append(e.Replies, Reply{t, v})
	}
}
