// Package params is the one home of every constant that the rules name:
// networks, rule profiles and the table of long-living quorum types.
package params

import (
	"fmt"
	"strings"

	"github.com/proctornet/proctor/wire"
)

// LLMQ describes one type of long-living masternode quorum.
// Source: spec/dash.md 3.1 (DIP-0006 and Dash Core). Heights and intervals
// are in blocks.
type LLMQ struct {
	Type      wire.LLMQType
	Name      string
	Size      int // members wanted
	MinSize   int // members needed
	Threshold int // shares that recover a signature

	DKGInterval    int32 // between two DKG sessions
	DKGPhaseBlocks int32 // length of one DKG phase
	MiningStart    int32 // first offset at which a commitment may be mined
	MiningEnd      int32 // last such offset
	BadVotes       int   // votes that put a member out in DKG

	SigningActive      int  // quorums that sign
	KeepOldConnections int  // newest quorums whose signatures are taken
	KeepOldKeys        int  // quorums whose key shares are kept
	RecoveryMembers    int  // members that collect shares
	Rotated            bool // DIP-0024
}

var llmqs = []LLMQ{
	{1, "llmq_50_60", 50, 40, 30, 24, 2, 10, 18, 40, 24, 25, 48, 25, false},
	{2, "llmq_400_60", 400, 300, 240, 288, 4, 20, 28, 300, 4, 5, 8, 100, false},
	{3, "llmq_400_85", 400, 350, 340, 576, 4, 20, 48, 300, 4, 5, 8, 100, false},
	{4, "llmq_100_67", 100, 80, 67, 24, 2, 10, 18, 80, 24, 25, 1440, 50, false},
	{5, "llmq_60_75", 60, 50, 45, 288, 2, 42, 50, 48, 32, 64, 64, 25, true},
	{6, "llmq_25_67", 25, 22, 17, 24, 2, 10, 18, 22, 24, 25, 1440, 12, false},
	{100, "llmq_test", 3, 2, 2, 24, 2, 10, 18, 2, 2, 3, 4, 3, false},
	{101, "llmq_devnet", 12, 7, 6, 24, 2, 10, 18, 7, 4, 5, 8, 6, false},
	{102, "llmq_test_v17", 3, 2, 2, 24, 2, 10, 18, 2, 2, 3, 4, 3, false},
	{103, "llmq_test_dip0024", 4, 4, 3, 24, 2, 12, 20, 2, 2, 4, 4, 3, true},
	{104, "llmq_test_instantsend", 3, 2, 2, 24, 2, 10, 18, 2, 2, 3, 4, 3, false},
	{105, "llmq_devnet_dip0024", 8, 6, 4, 48, 2, 12, 20, 7, 2, 4, 4, 4, true},
	{106, "llmq_test_platform", 3, 2, 2, 24, 2, 10, 18, 2, 2, 4, 1440, 3, false},
	{107, "llmq_devnet_platform", 12, 9, 8, 24, 2, 10, 18, 7, 4, 5, 1440, 6, false},
}

// LLMQByType returns the quorum type with that number. The error of an
// unknown one lists the known.
func LLMQByType(t wire.LLMQType) (LLMQ, error) {
	known := make([]string, len(llmqs))
	for i, q := range llmqs {
		if q.Type == t {
			return q, nil
		}
		known[i] = fmt.Sprintf("%d (%s)", q.Type, q.Name)
	}
	return LLMQ{}, fmt.Errorf("llmq type %d is unknown; known: %s", t, strings.Join(known, ", "))
}

// Limits of a platform quorum on a devnet, see SmallPlatformQuorum.
const (
	minDevnetQuorum = 4
	maxDevnetQuorum = 12
)

// SmallPlatformQuorum returns llmq_test_platform shaped for a network with
// that many evonodes: all of them up to 12, a majority signs. Fewer than 4
// make no platform quorum. Source: DESIGN.md section 9.
func SmallPlatformQuorum(evonodes int) (LLMQ, error) {
	if evonodes < minDevnetQuorum {
		return LLMQ{}, fmt.Errorf("%d evonodes make no platform quorum, want at least %d", evonodes, minDevnetQuorum)
	}
	q, err := LLMQByType(TestPlatform)
	if err != nil {
		return LLMQ{}, err
	}
	size := min(evonodes, maxDevnetQuorum)
	return q.Shaped(size, size/2+1)
}

// Shaped returns q for so many members, of which threshold are the least, sign
// and put out another. A threshold of half or less would let two halves sign
// two things. Source: spec/dash.md 3.1, -llmqtestplatformparams.
func (q LLMQ) Shaped(size, threshold int) (LLMQ, error) {
	if size < 2 || size > wire.MaxQuorumMembers || 2*threshold <= size || threshold > size {
		return LLMQ{}, fmt.Errorf("llmq type %d of size %d and threshold %d: want a size of 2 to %d and a threshold above half of it", q.Type, size, threshold, wire.MaxQuorumMembers)
	}
	q.Size, q.Threshold, q.MinSize, q.BadVotes = size, threshold, threshold, threshold
	return q, nil
}
