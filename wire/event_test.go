package wire

import (
	"bytes"
	"testing"
)

// covers holds: of an encoded message, exactly the bytes that covered tells
// change the digest. Every bit is flipped; flips that no longer decode prove
// nothing and are counted only.
func covers(t *testing.T, name string, sample []byte, covered func(i int) bool, digest func([]byte) ([]byte, error)) {
	t.Helper()
	want, err := digest(sample)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	decoded := 0
	for i := range sample {
		for bit := range 8 {
			b := bytes.Clone(sample)
			b[i] ^= 1 << bit
			got, err := digest(b)
			if err != nil {
				continue
			}
			decoded++
			if changed := !bytes.Equal(got, want); changed != covered(i) {
				t.Errorf("%s: bit %d of byte %d changes the digest: %t, want %t", name, bit, i, changed, covered(i))
			}
		}
	}
	if decoded < len(sample)*6 {
		t.Errorf("%s: only %d of %d changes decode", name, decoded, 8*len(sample))
	}
}

// before is what stands in front of the last n bytes of b.
func before(b []byte, n int) func(int) bool { return func(i int) bool { return i < len(b)-n } }

func hashBytes(h Hash) []byte { return h[:] }

func TestEvent_SignHashCoversAllButTheSignatures(t *testing.T) {
	for _, c := range []struct {
		event      Event
		signatures int // bytes
	}{
		{sampleRegister(), SignatureSize + 2*ServiceSignatureSize},
		{layoutUpdate, SignatureSize},
		{layoutRevoke, SignatureSize},
		{layoutStake, ServiceSignatureSize},
		{layoutExit, ServiceSignatureSize},
	} {
		b := c.event.Bytes()
		covers(t, c.event.Kind().String(), b, before(b, c.signatures), func(b []byte) ([]byte, error) {
			e, err := ParseEvent(b)
			if err != nil {
				return nil, err
			}
			return hashBytes(e.SignHash()), nil
		})
	}
}

// Two registrations of the same keys by the same owner make two nodes, and
// signing one again makes none.
func TestRegister_ProTxHash(t *testing.T) {
	e := sampleRegister()
	b := e.Bytes()
	covers(t, "ProTxHash", b, before(b, SignatureSize+2*ServiceSignatureSize), func(b []byte) ([]byte, error) {
		e, err := ParseEvent(b)
		if err != nil {
			return nil, err
		}
		if e, ok := e.(Register); ok {
			return hashBytes(e.ProTxHash()), nil
		}
		return nil, ErrValue
	})
	next := e
	next.Sequence++
	if next.ProTxHash() == e.ProTxHash() || e.ProTxHash() == e.SignHash() {
		t.Errorf("nodes %s and, with the next sequence number, %s; sign hash %s", e.ProTxHash(), next.ProTxHash(), e.SignHash())
	}
}

func TestSealedBytes_CoverAllButTheSeal(t *testing.T) {
	network := Hash{9}
	vote, point, proof := layoutVote.Bytes(), layoutPoint.Bytes(), layoutProof.Bytes()
	covers(t, "vote", vote, before(vote, ServiceSignatureSize), func(b []byte) ([]byte, error) {
		v, err := ParseVote(b)
		return v.SealedBytes(network), err
	})
	covers(t, "checkpoint", point, before(point, ServiceSignatureSize), func(b []byte) ([]byte, error) {
		c, err := ParseCheckpoint(b)
		return c.SealedBytes(network), err
	})
	covers(t, "uptime proof", proof, before(proof, ServiceSignatureSize), func(b []byte) ([]byte, error) {
		p, err := ParseUptimeProof(b)
		return p.SealedBytes(network), err
	})
	// The operator's signature must be equal for all who agree: the ballot only.
	covers(t, "ballot", vote, func(i int) bool { return i < BallotSize }, func(b []byte) ([]byte, error) {
		v, err := ParseVote(b)
		return hashBytes(v.Ballot.SignHash(network)), err
	})
	header := layoutBlock().Header.Bytes()
	covers(t, "header", header, before(header, ServiceSignatureSize), func(b []byte) ([]byte, error) {
		return parseHeader(&reader{rest: b}).SignedBytes(), nil
	})
	covers(t, "proof's digest", proof, func(int) bool { return true }, func(b []byte) ([]byte, error) {
		p, err := ParseUptimeProof(b)
		return hashBytes(p.Digest()), err
	})
}

// What is signed for one network, or as one kind of message, says nothing on
// another or as another.
func TestSignedBytes_BindNetworkAndKind(t *testing.T) {
	seen := make(map[string]string)
	add := func(name string, signed []byte) {
		if other, twice := seen[string(signed)]; twice {
			t.Errorf("%s and %s sign the same bytes", name, other)
		}
		seen[string(signed)] = name
	}
	for _, network := range []Hash{{}, {1}, {31: 1}} {
		n := " of " + network.Short()
		add("ballot"+n, hashBytes(layoutBallot.SignHash(network)))
		add("vote"+n, layoutVote.SealedBytes(network))
		add("checkpoint"+n, layoutPoint.SealedBytes(network))
		add("uptime proof"+n, layoutProof.SealedBytes(network))
		for _, e := range []Event{
			Register{EventHead: EventHead{Network: network}},
			UpdateService{EventHead: EventHead{Network: network}},
			Revoke{EventHead: EventHead{Network: network}},
			Contribute{EventHead: EventHead{Network: network}},
			Exit{EventHead: EventHead{Network: network}},
		} {
			add(e.Kind().String()+n, hashBytes(e.SignHash()))
		}
	}
}

func TestEvent_HeadAndRecord(t *testing.T) {
	for _, e := range []Event{layoutRegister(), layoutUpdate, layoutRevoke, layoutStake, layoutExit} {
		if e.Head() != layoutHead || e.Record() != from[Hash](0x40) {
			t.Errorf("%s: head %+v, record %s", e.Kind(), e.Head(), e.Record())
		}
		if b := e.Bytes(); EventKind(b[0]) != e.Kind() || !bytes.Equal(b[33:65], hashBytes(e.Record())) {
			t.Errorf("%s: begins with %x", e.Kind(), b[:73])
		}
	}
}

// An event under another kind's number is another event or none, never the
// same bytes twice.
func TestParseEvent_KindDecides(t *testing.T) {
	for _, e := range []Event{layoutRegister(), sampleRegister(), layoutUpdate, layoutRevoke, layoutStake, layoutExit} {
		b := e.Bytes()
		for kind := range 256 {
			b[0] = byte(kind)
			if got, err := ParseEvent(b); (err == nil) != (EventKind(kind) == e.Kind()) {
				t.Errorf("%s as kind %d: %+v, %v", e.Kind(), kind, got, err)
			}
		}
	}
}
