package wire

import (
	"encoding/hex"
	"testing"
)

// seq fills dst with first, first+1 and so on.
func seq(dst []byte, first byte) {
	for i := range dst {
		dst[i] = first + byte(i)
	}
}

// from is the value of a fixed size whose bytes are first, first+1 and so on.
func from[T Hash | StakerKey](first byte) (v T) {
	b := [HashSize]byte(v)
	seq(b[:], first)
	return T(b)
}

func seal(first byte) (s ServiceSignature) { seq(s[:], first); return s }

func blsSignature(first byte) (s Signature) { seq(s[:], first); return s }

// The messages of testdata/messages.txt.
var (
	layoutHead      = EventHead{from[Hash](0x10), 0x0102030405060708}
	layoutAddresses = []string{"/ip4/127.0.0.1/tcp/1", "x"}
	layoutUpdate    = UpdateService{layoutHead, from[Hash](0x40), layoutAddresses, "https://a/b?c", blsSignature(0x60)}
	layoutRevoke    = Revoke{layoutHead, from[Hash](0x40), 3, blsSignature(0x60)}
	layoutStake     = Contribute{layoutHead, from[StakerKey](0x40), from[Hash](0x80), 0x1112131415161718, seal(0x60)}
	layoutExit      = Exit{layoutHead, from[StakerKey](0x40), from[Hash](0x80), seal(0x60)}
	layoutBallot    = Ballot{-2, from[Hash](0x80), from[Hash](0xa0), TwoAddresses}
	layoutVote      = Vote{layoutBallot, from[Hash](0xc0), blsSignature(0x60), Evidence{from[Hash](0x30), 0x21222324, -1}, seal(0xe0)}
	layoutCert      = Certificate{layoutBallot, 0x0102, blsSignature(0x60)}
	layoutPoint     = Checkpoint{0x01020304, from[Hash](0x80), from[Hash](0xa0), from[Hash](0xc0), seal(0xe0)}
	layoutProof     = UptimeProof{from[Hash](0x40), 0x0102030405060708, -2, from[Hash](0x80), 0x0102, "proctor/1.2", layoutAddresses, seal(0xe0)}
)

func layoutRegister() Register {
	e := Register{EventHead: layoutHead, Staker: from[StakerKey](0x40), Evo: true, Platform: "tcp://a:1", Amount: 0x1112131415161718}
	seq(e.OperatorKey[:], 0x20)
	seq(e.ServiceKey[:], 0x30)
	e.OperatorProof, e.ServiceProof, e.Signature = blsSignature(0x61), seal(0x62), seal(0x60)
	return e
}

func layoutBlock() Block {
	null := NullCommitment(CommitmentBasic, 106, from[Hash](0x10), 0, 12)
	c := Content{[]Event{layoutUpdate, layoutExit}, []FinalCommitment{layoutFinal, null}, []Certificate{layoutCert, layoutCert}}
	return Block{Header{-2, 0xfffefdfcfbfaf9f8, from[Hash](0x80), from[Hash](0xa0), c.Hash(), seal(0xe0)}, c}
}

// A codec that changes on both sides still agrees with itself; these bytes
// were computed elsewhere.
func TestLayouts(t *testing.T) {
	v := vectors(t, "testdata/messages.txt")
	network, block, register := layoutHead.Network, layoutBlock(), layoutRegister()
	status := Status{0x0102, network, from[Hash](0x40), 0x01020304, from[Hash](0xc0), true, "proctor/1.2"}
	cases := []struct{ name, got string }{
		{"register_protx", internal(register.ProTxHash())},
		{"ballot_sign_hash", internal(layoutBallot.SignHash(network))},
		{"vote", hex.EncodeToString(layoutVote.Bytes())},
		{"vote_sealed", hex.EncodeToString(layoutVote.SealedBytes(network))},
		{"certificate", hex.EncodeToString(layoutCert.Bytes())},
		{"checkpoint", hex.EncodeToString(layoutPoint.Bytes())},
		{"checkpoint_sealed", hex.EncodeToString(layoutPoint.SealedBytes(network))},
		{"uptime_proof", hex.EncodeToString(layoutProof.Bytes())},
		{"uptime_proof_sealed", hex.EncodeToString(layoutProof.SealedBytes(network))},
		{"uptime_proof_digest", internal(layoutProof.Digest())},
		{"content_hash", internal(block.Content.Hash())},
		{"empty_content_hash", internal(Content{}.Hash())},
		{"header_hash", internal(block.Header.Hash())},
		{"header_signed", hex.EncodeToString(block.Header.SignedBytes())},
		{"block", hex.EncodeToString(block.Bytes())},
		{"status", hex.EncodeToString(status.Bytes())},
		{"block_range", hex.EncodeToString(BlockRange{0x01020304, 256}.Bytes())},
	}
	for name, e := range map[string]Event{
		"register": register, "update_service": layoutUpdate, "revoke": layoutRevoke, "contribute": layoutStake, "exit": layoutExit,
	} {
		cases = append(cases, struct{ name, got string }{name, hex.EncodeToString(e.Bytes())},
			struct{ name, got string }{name + "_sign_hash", internal(e.SignHash())})
	}
	if len(cases) != len(v) {
		t.Errorf("%d values checked, %d in the file", len(cases), len(v))
	}
	for _, c := range cases {
		if want := v[c.name]; c.got != want || want == "" {
			t.Errorf("%s is\n%s, want\n%s", c.name, c.got, want)
		}
	}
}

// The sizes that others rely on.
func TestSizes(t *testing.T) {
	for name, c := range map[string]struct{ got, want, documented int }{
		"header":      {HeaderSize, len(Header{}.Bytes()), 4 + 8 + 32 + 32 + 32 + 64},
		"ballot":      {BallotSize, len(Ballot{}.append(nil)), 4 + 32 + 32 + 1},
		"vote":        {VoteSize, len(Vote{}.Bytes()), 69 + 32 + 96 + 40 + 64},
		"certificate": {CertificateSize, len(Certificate{}.Bytes()), 69 + 2 + 96},
		"checkpoint":  {CheckpointSize, len(Checkpoint{}.Bytes()), 4 + 32 + 32 + 32 + 64},
	} {
		if c.got != c.want || c.got != c.documented {
			t.Errorf("a %s: constant %d, encoded %d, documented %d", name, c.got, c.want, c.documented)
		}
	}
}
