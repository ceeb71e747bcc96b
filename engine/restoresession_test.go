package engine

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// What was stored and never sent is sent after the restart, and counts.
func TestSession_WhatAStopHeldBackIsSent(t *testing.T) {
	before := newHall(t, hallNetwork(4, platform(4, 3)))
	before.until(25)
	for _, height := range []int32{26, 30, 32} { // contributions, justifications, premature commitments
		h := before.branchOff()
		h.eventful()
		honest := h.lie
		held := 0
		h.lie = func(from int, p Publication) []Publication {
			if from == 1 && speaks(p) != nil && h.rigs[1].tree.Tip().Height == height {
				held++
				return nil
			}
			return honest(from, p)
		}
		h.until(height)
		h.lie = honest
		if held != 1 {
			t.Fatalf("at %d member 1 said %d things", height, held)
		}
		h.again(1)
		h.until(44)
		if q, ok := h.quorumOf(0, params.TestPlatform); !ok || q.Mined != 35 || q.Commitment.ValidMembers.Count() != 4 || q.Commitment.Signers.Count() != 4 {
			t.Errorf("stopped at %d: mined at %d, valid %s, signed by %s", height, q.Mined, q.Commitment.ValidMembers, q.Commitment.Signers)
		}
	}
	// The same of a final commitment that one node alone has found.
	h := before.branchOff()
	h.lie = func(_ int, p Publication) []Publication {
		if p.Topic == TopicCommitment {
			return nil
		}
		return []Publication{p}
	}
	h.pass = func(_, to int, p Publication) bool {
		m := speaks(p)
		return to == 1 || m == nil || m.Kind() != wire.KindPrematureCommitment
	}
	h.until(34)
	h.lie = nil
	if h.rigs[0].minable.Len() != 0 || h.rigs[1].minable.Len() != 1 {
		t.Fatalf("%d and %d commitments, want none and one", h.rigs[0].minable.Len(), h.rigs[1].minable.Len())
	}
	h.again(1)
	if h.rigs[0].minable.Len() != 1 {
		t.Error("the commitment was not sent")
	}
}

// Records of sessions whose base block is gone are deleted.
func TestSession_StrayRecordsGo(t *testing.T) {
	h := newHall(t, hallNetwork(4, platform(4, 3)))
	h.until(27)
	other := newHall(t, h.network)
	other.step() // so that its blocks are others
	other.slot += 2
	other.until(28)
	stray := other.rigs[1].disk[KindDKG]
	if len(stray) == 0 {
		t.Fatal("nothing is stored of the other session")
	}
	disk := h.rigs[0].disk
	own := len(disk[KindDKG])
	maps.Copy(disk[KindDKG], stray)
	h.again(0)
	if got := len(disk[KindDKG]); got != own {
		t.Errorf("%d messages are stored, want %d", got, own)
	}
	h.until(44)
	if q, ok := h.quorumOf(0, params.TestPlatform); !ok || q.Commitment.Signers.Count() != 4 {
		t.Errorf("signed by %s", q.Commitment.Signers)
	}
}

func TestRestore_RefusesBadRecordsOfSessions(t *testing.T) {
	h := newHall(t, hallNetwork(4, platform(4, 3)))
	h.until(34)
	disk := h.rigs[0].disk.clone()
	h.until(36)
	disk[KindShare] = h.rigs[0].disk[KindShare]
	for _, kind := range []Kind{KindDKG, KindShare, KindMinable} {
		key := slices.Min(slices.Collect(maps.Keys(disk[kind])))
		value := disk[kind][key]
		for what, change := range map[string]func(of map[string][]byte){
			"cut short":         func(of map[string][]byte) { of[key] = value[:len(value)-1] },
			"empty":             func(of map[string][]byte) { of[key] = []byte{} },
			"too long":          func(of map[string][]byte) { of[key] = append(bytes.Clone(value), 0) },
			"under a short key": func(of map[string][]byte) { of["short"] = value },
		} {
			broken := disk.clone()
			change(broken[kind])
			if _, _, err := Restore(h.configOf(0), broken); !errors.Is(err, ErrCorrupt) {
				t.Errorf("kind %d %s: got %v, want %v", kind, what, err, ErrCorrupt)
			}
		}
		if _, _, err := Restore(h.configOf(0), failing{disk, kind}); !errors.Is(err, errRead) {
			t.Errorf("kind %d: got %v, want %v", kind, err, errRead)
		}
		swapped := disk.clone()
		for other, v := range disk[kind] {
			if other != key && kind == KindDKG {
				swapped[kind][key] = v
			}
		}
		if _, _, err := Restore(h.configOf(0), swapped); kind == KindDKG && !errors.Is(err, ErrCorrupt) {
			t.Errorf("under another's key: got %v, want %v", err, ErrCorrupt)
		}
	}
	if _, _, err := Restore(h.configOf(0), disk); err != nil {
		t.Errorf("unchanged: %v", err)
	}
}

// Secrets stay out of every text.
func TestKeyShare_IsNotPrinted(t *testing.T) {
	h := newHall(t, hallNetwork(4, platform(4, 3)))
	h.until(36)
	for _, k := range h.rigs[0].keyShares {
		secret := k.secret.Bytes()
		for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%s", "%d"} {
			if text := fmt.Sprintf(verb, k); bytes.Contains([]byte(text), fmt.Appendf(nil, "%x", secret[:4])) || bytes.Contains([]byte(text), fmt.Appendf(nil, "%d", secret[0:3])) {
				t.Errorf("%s shows the secret: %s", verb, text)
			}
		}
	}
}

// A member that was down goes on in whatever phase it comes back, votes out
// whom it would have voted out, and tells of it as before.
func TestSession_RestartWithVotes(t *testing.T) {
	before := newHall(t, hallNetwork(5, platform(5, 3)))
	before.until(44)
	before.flag(1, 0, 1, 2, 3, 4)
	before.until(47)
	for height := int32(48); height <= 59; height++ {
		h := before.branchOff()
		unreachable := func() { h.rigs[2].unreached[proTx(3)] = params.MaxFailedProbes + 1 }
		unreachable()
		for h.height() < height {
			h.step()
		}
		h.again(2)
		if height < 52 {
			unreachable() // it is counted anew
		}
		h.until(56)
		want := []BadVoteReason{VoteFlagged, VoteUnreachable} // of members 1 and 3
		if height >= 52 {
			want[1] = VoteRecalled
		}
		wantVotes(t, fmt.Sprintf("stopped at %d", height), h.rigs[2], want)
		h.until(62)
		q, _ := h.quorumOf(0, params.TestPlatform)
		if i, _ := q.Index(proTx(1)); q.Base != 48 || q.Commitment.ValidMembers.Has(i) || q.Commitment.ValidMembers.Count() != 4 {
			t.Errorf("stopped at %d: quorum of %d, valid %s; want all but %d", height, q.Base, q.Commitment.ValidMembers, i)
		}
	}
	// Complain begins while it is down.
	h := before.branchOff()
	h.until(50)
	h.down(2)
	h.until(53)
	h.up(2)
	wantVotes(t, "down when complain began", h.rigs[2], []BadVoteReason{VoteFlagged})
	if _, count := h.messages(2); count[wire.KindComplaint] != 1 {
		t.Errorf("down when complain began, it said %v", count)
	}
}

func wantVotes(t *testing.T, when string, r rig, want []BadVoteReason) {
	t.Helper()
	got := make(map[wire.Hash]BadVoteReason)
	votes := r.Snapshot().BadVotes
	for _, v := range votes {
		got[v.ProTxHash] = v.Reason
	}
	expected := make(map[wire.Hash]BadVoteReason)
	for n, reason := range want {
		expected[proTx(1+2*n)] = reason
	}
	if !maps.Equal(got, expected) || len(votes) != len(want) {
		t.Errorf("%s: votes %v, want %v", when, votes, expected)
	}
}
