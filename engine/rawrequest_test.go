package engine

import (
	"maps"
	"slices"
	"testing"

	"github.com/proctornet/proctor/bls"
	"github.com/proctornet/proctor/params"
	"github.com/proctornet/proctor/quorum/signing"
	"github.com/proctornet/proctor/validation"
	"github.com/proctornet/proctor/wire"
)

// raw is what members' operators ask for in these tests.
func raw(message byte) SignRequest {
	return SignRequest{Type: params.TestPlatform, ID: wire.Hash{9}, MessageHash: wire.Hash{message}, Submit: true}
}

// request is the one that a SignRequest makes.
func (in SignRequest) request() signing.Request {
	return signing.Request{ID: in.ID, MessageHash: in.MessageHash, Height: signing.Lasting}
}

func TestRawRequest_AThresholdSigns(t *testing.T) {
	const size, threshold = 5, 3
	for _, quorum := range []wire.Hash{{}, testQuorum} {
		c := newCouncil(t, size, threshold)
		c.until(12)
		in := raw(1)
		in.Quorum = quorum
		for i := range threshold {
			c.deliver()
			if n := len(c.said[TopicRecovered]); n > 0 {
				t.Fatalf("%d ask, and %d signatures are made", i, n)
			}
			c.want(i, in, validation.Valid)
		}
		c.deliver()
		c.until(14)
		for i, r := range c.rigs {
			sig, ok := r.Snapshot().Signature(in.Type, in.ID)
			if !ok || sig.MessageHash != in.MessageHash || !bls.Verify(c.quorum, sig.SignHash(), must(bls.ParseSignature(sig.Signature))) {
				t.Errorf("member %d has %+v, %t", i, sig, ok)
			}
			c.want(i, raw(2), validation.RequestOther)
			if v, out := c.step(i, in); !v.OK() || *out.Replies[0].Share != c.share(i, in.request()) || len(out.Shares) > 0 {
				t.Errorf("member %d is asked for what is signed: %+v", i, out)
			}
			r.signers[0].pool.Advance(c.tip.Height+signing.VoteBlocks+1, r.acceptable(r.signers[0])) // the signature is forgotten
			c.want(i, raw(2), validation.RequestOther)
		}
	}
}

// A share that is not to be sent goes to the caller and to nobody else, once
// what it says is written down.
func TestRawRequest_ShareForTheCaller(t *testing.T) {
	c := newCouncil(t, 3, 2)
	c.until(12)
	in := raw(1)
	in.Submit = false
	for what, again := range map[string]func(){"running": func() {}, "after a restart": func() { c.up(0) }} {
		again()
		v, out := c.step(0, in)
		if share := out.Replies[0].Share; !v.OK() || share == nil || *share != c.share(0, in.request()) || len(out.Shares) > 0 {
			t.Errorf("%s: %+v, share %+v, %d sent", what, v, share, len(out.Shares))
		}
		c.want(0, raw(2), validation.RequestOther)
	}
	c.want(1, in, validation.Valid)
	c.until(33)
	if len(c.said[TopicRecovered]) > 0 {
		t.Error("a signature is made of shares that were not submitted")
	}
}

// What a stop ended is taken up by the same input, not by itself.
func TestRawRequest_GoesOnWhenAskedAgain(t *testing.T) {
	c := newCouncil(t, 3, 2)
	c.until(12)
	in := raw(1)
	c.lose = func(parcel) bool { return true }
	asking := (c.collector(in.ID, 0) + 1) % 3
	c.want(asking, in, validation.Valid)
	c.up(asking)
	c.lose = nil
	c.want(c.collector(in.ID, 0), in, validation.Valid)
	c.until(33)
	if len(c.said[TopicRecovered]) > 0 {
		t.Error("a request went on after a restart")
	}
	c.want(asking, in, validation.Valid)
	c.want(c.collector(in.ID, 0), in, validation.Valid)
	c.deliver()
	if len(c.said[TopicRecovered]) != 1 {
		t.Errorf("%d signatures after both asked again, want 1", len(c.said[TopicRecovered]))
	}
}

func TestRawRequest_Refused(t *testing.T) {
	c := newCouncil(t, 3, 2)
	c.want(0, raw(1), validation.NotSynced) // nobody has told it the time
	c.until(3)
	c.want(0, raw(1), validation.RequestNoQuorum) // none was mined 8 blocks below
	c.until(12)
	otherType, elsewhere := raw(1), raw(1)
	otherType.Type, elsewhere.Quorum = params.MainnetPlatform, wire.Hash{1}
	c.want(0, otherType, validation.RequestNoQuorum)
	c.want(0, elsewhere, validation.RequestNoQuorum)
	maps.DeleteFunc(c.rigs[1].keyShares, func(wire.Hash, keyShare) bool { return true })
	c.next()
	c.want(1, raw(1), validation.RequestNoMember)
	c.step(2, Tick{c.genesis.SlotStart(c.tip.Slot + 90)})
	c.want(2, raw(1), validation.NotSynced)
	for i, r := range c.rigs {
		if len(r.disk[KindSigned]) > 0 {
			t.Errorf("member %d wrote down what it did not sign", i)
		}
	}
	for err, reason := range map[error]validation.Reason{signing.ErrFull: validation.RequestRefused, signing.ErrVoted: validation.RequestOther, signing.ErrDecided: validation.RequestOther} {
		if v := requestVerdict(err); v != reason.Verdict() {
			t.Errorf("%v: %+v", err, v)
		}
	}
}

// The id of a ban, asked for raw, is one request with the ban's.
func TestRawRequest_OfABan(t *testing.T) {
	c := newCouncil(t, 3, 2)
	c.until(12)
	ban := banOf(c.node(victim), 8)
	in := SignRequest{Type: params.TestPlatform, ID: ban.ID, MessageHash: ban.MessageHash}
	c.ask(0, c.node(victim))
	c.want(0, in, validation.Valid)
	in.MessageHash[0] ^= 1
	c.want(0, in, validation.RequestOther)
	stored, err := signing.ParseVote(slices.Collect(maps.Values(c.rigs[0].disk[KindSigned]))[0])
	if err != nil || stored.Height != signing.Lasting {
		t.Errorf("stored is %+v, %v; want it to last", stored, err)
	}
	c.ask(1, c.node(victim))
	c.deliver()
	c.wantFlags("asked for both ways", c.node(victim), 8)
}
