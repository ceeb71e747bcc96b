package validation

import (
	"slices"
	"strings"
	"testing"

	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/wire"
)

// published is the row "received marking" of DESIGN.md section 8 for every
// verdict a platform ban can get: the profile "spec" takes every verdict as
// received but those that say we could not judge, of which DIP-0031 knows "not
// synced"; "core" takes the accepted ones. Then what is known again by its
// bytes: what cost a signature check always, what our view decided only where
// it is received.
//
//	reason              spec      core      spec        core
const published = `
	valid               received  received  -           -
	malformed           received  -         -           -
	duplicate           received  -         -           -
	forged-twin         received  -         -           -
	not-synced          -         -         -           -
	unsure              -         -         -           -
	ahead               -         -         -           -
	unknown-node        received  -         remembered  -
	regular-node        received  -         remembered  -
	height-near         received  -         remembered  -
	height-far          received  -         remembered  -
	unknown-quorum      received  -         remembered  -
	signature-encoding  received  -         remembered  remembered
	signature           received  -         remembered  remembered
	stale               received  -         remembered  remembered
	rate                -         -         -           -
	overload            -         -         -           -
	internal            -         -         -           -
`

func TestReason_ReceivedAndRememberedAsPublished(t *testing.T) {
	spec, err := params.ProfileByName("spec")
	if err != nil {
		t.Fatal(err)
	}
	core, err := params.ProfileByName("core")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[Reason]bool)
	for line := range strings.Lines(strings.TrimSpace(published)) {
		f := strings.Fields(line)
		r := Reason(f[0])
		seen[r] = true
		if !r.Known() {
			t.Errorf("%s is no reason", r)
		}
		for i, p := range []params.Profile{spec, core} {
			if got, want := r.Received(p), f[1+i] == "received"; got != want {
				t.Errorf("%s under %s: received is %t, want %t", r, p.Name, got, want)
			}
			if got, want := r.Remembered(p), f[3+i] == "remembered"; got != want {
				t.Errorf("%s under %s: remembered is %t, want %t", r, p.Name, got, want)
			}
		}
	}
	for _, row := range Table() {
		topic, _, _ := strings.Cut(string(row.Reason), "-")
		other := slices.Contains([]string{"block", "event", "pool", "proof", "vote", "checkpoint", "dkg", "commitment", "share", "recovered", "request", "handshake", "operator"}, topic) // never the verdict on a ban
		if seen[row.Reason] == other {
			t.Errorf("%s: in the published table %t, the verdict on something else %t", row.Reason, seen[row.Reason], other)
		}
		for _, p := range []params.Profile{spec, core} {
			if other && row.Reason.Remembered(p) {
				t.Errorf("%s is remembered under %s: only bans are looked up", row.Reason, p.Name)
			}
		}
	}
}

// What is about us costs nobody anything, and what is put off is kept.
func TestTable_WhatIsAboutUsIsFree(t *testing.T) {
	for _, row := range Table() {
		if row.Nature == OfUs && (row.Points != 0 || row.Outcome != Ignore) {
			t.Errorf("row %+v blames somebody for what is about us", row)
		}
		if row.Nature == OfView && row.Points == 0 {
			t.Errorf("row %+v is of our view and costs nothing: there would be nothing to put off", row)
		}
	}
}

// A forgery is charged to everybody who passes it on; an item that our view
// refused is received and done with, whoever offers it and whatever we see now.
func TestPlatformBan_RefusedItemsAreKnownAgain(t *testing.T) {
	m := wire.PlatformBan{ProTxHash: evo, SignedHeight: tip, QuorumHash: quorumHash, Signature: wire.Signature{7}}
	for _, c := range []struct {
		memory Reason
		want   Verdict
	}{
		{SignatureEncoding, Verdict{Reject, 100, SignatureEncoding}},
		{Signature, Verdict{Reject, 100, Signature}},
		{Stale, Verdict{Ignore, 0, Stale}},
		{UnknownNode, Verdict{Ignore, 0, Duplicate}},
		{RegularNode, Verdict{Ignore, 0, Duplicate}},
		{HeightNear, Verdict{Ignore, 0, Duplicate}},
		{HeightFar, Verdict{Ignore, 0, Duplicate}},
		{UnknownQuorum, Verdict{Ignore, 0, Duplicate}},
	} {
		// Neither our sync nor our confidence matters: bytes are bytes.
		for _, v := range []view{{synced: true, tip: tip}, {tip: tip}, {synced: true, tip: tip, unsure: true}} {
			v.refused = map[wire.Hash]Reason{m.ID(): c.memory}
			if got := PlatformBan(m, v, false); got != c.want {
				t.Errorf("refused as %s: %+v, want %+v", c.memory, got, c.want)
			}
		}
		// The genuine one has another signature, so it has another id.
		genuine := m
		genuine.Signature[0]++
		v := view{synced: true, tip: tip, refused: map[wire.Hash]Reason{m.ID(): c.memory}}
		if got := PlatformBan(genuine, v, false); !got.OK() {
			t.Errorf("refused as %s: the ban with another signature is %+v, want valid", c.memory, got)
		}
	}
}
